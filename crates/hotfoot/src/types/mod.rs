//! The types of the specification, as the API shows them, and how the runtime holds them.
//!
//! ```text
//!  hotfoot::ValType       what embedders see; concrete types are handles that know their engine     (this folder)
//!  artifact::ValType      what an artifact stores and the runtime compares: plain values            (`to_raw`, `from_raw`)
//!                         in an artifact, a concrete type is an index in the module;
//!                         in the runtime, the number that the engine gave to it                     (`registry`)
//! ```

mod composite;
pub(crate) mod handle;
pub(crate) mod matching;
pub(crate) mod registry;
mod value;

use std::fmt;
use std::sync::Arc;

use hotfoot_artifact as artifact;
pub use hotfoot_artifact::{MemoryType, MemoryTypeBuilder, MemoryTypeError, Mutability};

pub use composite::{ArrayType, FieldType, FuncType, StorageType, StructType};
pub use handle::Finality;
pub use value::{HeapType, RefType, ValType};

use registry::TypeRegistry;

/// A table type. Sizes are in elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    element: RefType,
    index64: bool,
    minimum: u64,
    maximum: Option<u64>,
}

impl TableType {
    /// A table of at least `minimum` and at most `maximum` elements, indexed by i32.
    pub fn new(element: RefType, minimum: u32, maximum: Option<u32>) -> TableType {
        TableType { element, index64: false, minimum: minimum.into(), maximum: maximum.map(u64::from) }
    }

    /// A table indexed by i64.
    pub fn new64(element: RefType, minimum: u64, maximum: Option<u64>) -> TableType {
        TableType { element, index64: true, minimum, maximum }
    }

    /// What the elements are.
    pub fn element(&self) -> &RefType {
        &self.element
    }

    /// Initial size in elements.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }

    /// Largest size in elements.
    pub fn maximum(&self) -> Option<u64> {
        self.maximum
    }

    /// Indexed by i64.
    pub fn is_64(&self) -> bool {
        self.index64
    }

    pub(crate) fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::TableType {
        artifact::TableType {
            element: self.element.to_raw(types),
            index64: self.index64,
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }

    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::TableType) -> TableType {
        TableType {
            element: RefType::from_raw(types, raw.element),
            index64: raw.index64,
            minimum: raw.minimum,
            maximum: raw.maximum,
        }
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index64, minimum, maximum) = (self.index64, self.minimum, self.maximum);
        artifact::TableType { element: self.element.raw(), index64, minimum, maximum }.fmt(formatter)
    }
}

/// A global type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    content: ValType,
    mutability: Mutability,
}

impl GlobalType {
    /// A global that holds `content`.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType { content, mutability }
    }

    /// What it holds.
    pub fn content(&self) -> &ValType {
        &self.content
    }

    /// Whether it can be set.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }

    pub(crate) fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::GlobalType {
        artifact::GlobalType { content: self.content.to_raw(types), mutable: self.mutability == Mutability::Var }
    }

    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::GlobalType) -> GlobalType {
        let mutability = if raw.mutable { Mutability::Var } else { Mutability::Const };
        GlobalType { content: ValType::from_raw(types, raw.content), mutability }
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mutable = self.mutability == Mutability::Var;
        artifact::GlobalType { content: self.content.raw(), mutable }.fmt(formatter)
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

    /// From what the runtime of the engine with these types holds; functions and tags by the number of their type.
    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: &artifact::EntityType) -> ExternType {
        match *raw {
            artifact::EntityType::Func(number) => ExternType::Func(FuncType::from_number(types, number)),
            artifact::EntityType::Table(ty) => ExternType::Table(TableType::from_raw(types, ty)),
            artifact::EntityType::Memory(ty) => ExternType::Memory(ty),
            artifact::EntityType::Global(ty) => ExternType::Global(GlobalType::from_raw(types, ty)),
            artifact::EntityType::Tag(number) => ExternType::Tag(TagType::new(FuncType::from_number(types, number))),
        }
    }
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
