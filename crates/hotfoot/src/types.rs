//! The types of the specification, as the API shows them.
//!
//! Value, table, memory and global types are plain values. A function type belongs to an engine, which gives equal
//! types one number, so that compiled code can compare types by comparing numbers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hotfoot_artifact as artifact;
pub use hotfoot_artifact::{
    GlobalType, HeapType, MemoryType, MemoryTypeBuilder, MemoryTypeError, Mutability, RefType, TableType, ValType,
};

use crate::engine::Engine;

/// A function type of an engine.
///
/// ```
/// use hotfoot::{Engine, FuncType, ValType};
/// let engine = Engine::default();
/// let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], [ValType::I64]);
/// assert_eq!(ty.to_string(), "(func (param i32 i32) (result i64))");
/// ```
#[derive(Clone, Debug)]
pub struct FuncType {
    id: u32,
    ty: Arc<artifact::FuncType>,
}

impl PartialEq for FuncType {
    fn eq(&self, other: &FuncType) -> bool {
        self.ty == other.ty
    }
}

impl Eq for FuncType {}

impl FuncType {
    /// A function type with these parameters and results.
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let ty = artifact::FuncType { params: params.into_iter().collect(), results: results.into_iter().collect() };
        engine.types().register(&ty)
    }

    /// Parameter types.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.ty.params.iter().copied()
    }

    /// Result types.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.ty.results.iter().copied()
    }

    /// The number that the engine gave to the type.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ty.fmt(formatter)
    }
}

/// The type of a tag: a function type whose parameters are what exceptions carry.
///
/// ```
/// use hotfoot::{Engine, FuncType, TagType, ValType};
/// let ty = TagType::new(FuncType::new(&Engine::default(), [ValType::I32], []));
/// assert_eq!(ty.to_string(), "(tag (param i32))");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagType {
    ty: FuncType,
}

impl TagType {
    /// The tag type with the parameters of this function type, which should have no results.
    pub fn new(ty: FuncType) -> TagType {
        TagType { ty }
    }

    /// The function type.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }
}

impl fmt::Display for TagType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(tag")?;
        if self.ty.params().len() != 0 {
            formatter.write_str(" (param")?;
            self.ty.params().try_for_each(|ty| write!(formatter, " {ty}"))?;
            formatter.write_str(")")?;
        }
        formatter.write_str(")")
    }
}

/// The type of something that can be imported or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A global.
    Global(GlobalType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A tag.
    Tag(TagType),
}

impl ExternType {
    /// The function type, if it is one.
    pub fn func(&self) -> Option<&FuncType> {
        if let ExternType::Func(ty) = self { Some(ty) } else { None }
    }

    /// The global type, if it is one.
    pub fn global(&self) -> Option<&GlobalType> {
        if let ExternType::Global(ty) = self { Some(ty) } else { None }
    }

    /// The table type, if it is one.
    pub fn table(&self) -> Option<&TableType> {
        if let ExternType::Table(ty) = self { Some(ty) } else { None }
    }

    /// The memory type, if it is one.
    pub fn memory(&self) -> Option<&MemoryType> {
        if let ExternType::Memory(ty) = self { Some(ty) } else { None }
    }

    /// The tag type, if it is one.
    pub fn tag(&self) -> Option<&TagType> {
        if let ExternType::Tag(ty) = self { Some(ty) } else { None }
    }

    /// Whether something of this type satisfies an import of type `expected` (section 3.3.15 "Matching").
    pub(crate) fn matches(&self, expected: &ExternType) -> bool {
        match (self, expected) {
            (ExternType::Func(actual), ExternType::Func(expected)) => actual == expected,
            (ExternType::Global(actual), ExternType::Global(expected)) => actual == expected,
            (ExternType::Tag(actual), ExternType::Tag(expected)) => actual == expected,
            (ExternType::Table(actual), ExternType::Table(expected)) => {
                actual.element == expected.element
                    && actual.index64 == expected.index64
                    && limits_match((actual.minimum, actual.maximum), (expected.minimum, expected.maximum))
            }
            (ExternType::Memory(actual), ExternType::Memory(expected)) => {
                actual.index64 == expected.index64
                    && actual.shared == expected.shared
                    && actual.page_size_log2 == expected.page_size_log2
                    && limits_match((actual.minimum, actual.maximum), (expected.minimum, expected.maximum))
            }
            _ => false,
        }
    }
}

fn limits_match(actual: (u64, Option<u64>), expected: (u64, Option<u64>)) -> bool {
    let maximum_fits = match (actual.1, expected.1) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(actual), Some(expected)) => actual <= expected,
    };
    actual.0 >= expected.0 && maximum_fits
}

impl fmt::Display for ExternType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => ty.fmt(formatter),
            ExternType::Global(ty) => ty.fmt(formatter),
            ExternType::Table(ty) => ty.fmt(formatter),
            ExternType::Memory(ty) => ty.fmt(formatter),
            ExternType::Tag(ty) => ty.fmt(formatter),
        }
    }
}

/// One import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'module> {
    pub(crate) module: &'module str,
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

impl<'module> ImportType<'module> {
    /// Name of the module that is asked for it.
    pub fn module(&self) -> &'module str {
        self.module
    }

    /// Name within that module.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it must be.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

/// One export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'module> {
    pub(crate) name: &'module str,
    pub(crate) ty: ExternType,
}

impl<'module> ExportType<'module> {
    /// Its name.
    pub fn name(&self) -> &'module str {
        self.name
    }

    /// What it is.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

/// The function types of an engine and their numbers. Numbers are given once and kept for the engine's life.
///
/// Giving a number takes a lock; looking one up does not, so that calls and lookups of functions share nothing that is
/// written: types stand in blocks that never move, each twice as long as the one before.
///
/// ```text
///  blocks[0] ▶ types 0 … 63      blocks[1] ▶ types 64 … 191      blocks[2] ▶ types 192 … 447      …
/// ```
#[derive(Debug, Default)]
pub struct TypeRegistry {
    blocks: [OnceLock<Box<[OnceLock<FuncType>]>>; BLOCKS],
    ids: Mutex<HashMap<Arc<artifact::FuncType>, u32>>,
}

/// Types in the first block.
const FIRST_BLOCK: usize = 64;
/// Blocks for all numbers that fit a `u32`.
const BLOCKS: usize = 26;

/// In which block a type stands, and where in it.
fn place(id: u32) -> (usize, usize) {
    let shifted = id as usize + FIRST_BLOCK;
    let block = (shifted / FIRST_BLOCK).ilog2() as usize;
    (block, shifted - (FIRST_BLOCK << block))
}

impl TypeRegistry {
    /// The engine's own copy of a type, with its number.
    pub fn register(&self, ty: &artifact::FuncType) -> FuncType {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((ty, id)) = ids.get_key_value(ty) {
            return FuncType { id: *id, ty: ty.clone() };
        }
        let (ty, id) = (Arc::new(ty.clone()), ids.len() as u32);
        let (block, at) = place(id);
        let new_block = || (0..FIRST_BLOCK << block).map(|_| OnceLock::new()).collect();
        let registered = FuncType { id, ty: ty.clone() };
        // Only the holder of the lock fills a place, and each place once.
        let _ = self.blocks[block].get_or_init(new_block)[at].set(registered.clone());
        ids.insert(ty, id);
        registered
    }

    /// The type as this engine's own, whichever engine it was made with: numbers of another engine mean other types.
    pub fn adopt(&self, ty: FuncType) -> FuncType {
        let own = self.find(ty.id).is_some_and(|own| Arc::ptr_eq(&own.ty, &ty.ty));
        if own { ty } else { self.register(&ty.ty) }
    }

    /// The type with this number, which this registry gave out.
    ///
    /// # Panics
    /// When it did not: function references get their numbers from `register` only.
    pub fn get(&self, id: u32) -> &FuncType {
        self.find(id).expect("a function type's number was not given out by this engine")
    }

    fn find(&self, id: u32) -> Option<&FuncType> {
        let (block, at) = place(id);
        self.blocks[block].get()?.get(at)?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_the_types_they_were_given_to() {
        let registry = TypeRegistry::default();
        let ty = |count| artifact::FuncType { params: vec![ValType::I32; count], results: vec![] };
        for count in 0..500 {
            assert_eq!(registry.register(&ty(count)).id(), count as u32);
        }
        for count in 0..500 {
            assert_eq!(registry.register(&ty(count)).id(), count as u32, "an equal type has the same number");
            assert_eq!(registry.get(count as u32).params().len(), count);
        }
    }

    #[test]
    fn the_last_number_has_a_place() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(63), (0, 63));
        assert_eq!(place(64), (1, 0));
        assert_eq!(place(191), (1, 127));
        assert_eq!(place(192), (2, 0));
        assert!(place(u32::MAX - FIRST_BLOCK as u32).0 < BLOCKS);
    }
}
