//! The types of the specification, as an artifact stores them and the runtime compares them.
//!
//! Source: WebAssembly 3.0, section 2.3 "Types".

use std::fmt;

use hotfoot_abi::tunables::MemoryShape;
use serde::{Deserialize, Serialize};

/// A heap type: what a reference may refer to.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeapType {
    /// Any function.
    Func,
    /// Any value of the host.
    Extern,
    /// Any exception.
    Exn,
}

/// A reference type.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefType {
    /// Whether null belongs to the type.
    pub nullable: bool,
    /// What is referred to.
    pub heap: HeapType,
}

impl RefType {
    /// `(ref null func)`.
    pub const FUNCREF: RefType = RefType { nullable: true, heap: HeapType::Func };
    /// `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType { nullable: true, heap: HeapType::Extern };
    /// `(ref null exn)`.
    pub const EXNREF: RefType = RefType { nullable: true, heap: HeapType::Exn };
}

/// A value type.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// Whether a value of this type is held in a float or vector register.
    pub fn is_float_or_vector(self) -> bool {
        matches!(self, ValType::F32 | ValType::F64 | ValType::V128)
    }
}

/// A function type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FuncType {
    /// Parameter types.
    pub params: Vec<ValType>,
    /// Result types.
    pub results: Vec<ValType>,
}

impl FuncType {
    /// Whether results are returned through a result area, see [`hotfoot_abi::call`].
    pub fn results_use_area(&self) -> bool {
        let floats = self.results.iter().filter(|ty| ty.is_float_or_vector()).count();
        hotfoot_abi::call::results_use_area(self.results.len() - floats, floats)
    }

    /// Slots that a call from or to the host needs.
    pub fn slots(&self) -> usize {
        self.params.len().max(self.results.len())
    }
}

/// A table type. Sizes are in elements.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableType {
    /// What the elements are.
    pub element: RefType,
    /// Indexed by i64.
    pub index64: bool,
    /// Initial size.
    pub minimum: u64,
    /// Largest size.
    pub maximum: Option<u64>,
}

/// A memory type. Sizes are in pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemoryType {
    /// Addressed by i64.
    pub index64: bool,
    /// Shared between threads.
    pub shared: bool,
    /// Bytes of a page, as a power of two: 16 or, with the proposal for custom page sizes, 0.
    pub page_size_log2: u8,
    /// Initial size.
    pub minimum: u64,
    /// Largest size.
    pub maximum: Option<u64>,
}

/// A global type.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GlobalType {
    /// What it holds.
    pub content: ValType,
    /// Whether it can be set.
    pub mutable: bool,
}

/// The type of an import or export.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntityType {
    /// A function, by index of its type.
    Func(u32),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag, by index of the function type whose parameters are the payload.
    Tag(u32),
}

/// What an export names; indices count imports first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntityIndex {
    /// A function.
    Func(u32),
    /// A table.
    Table(u32),
    /// A memory.
    Memory(u32),
    /// A global.
    Global(u32),
    /// A tag.
    Tag(u32),
}

/// One import, in order of the import section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Name of the module that is asked for it.
    pub module: String,
    /// Name within that module.
    pub name: String,
    /// What it must be.
    pub ty: EntityType,
}

/// One export, in order of the export section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it names.
    pub entity: EntityIndex,
}

impl RefType {
    /// A reference type.
    pub fn new(nullable: bool, heap: HeapType) -> RefType {
        RefType { nullable, heap }
    }

    /// Whether null belongs to the type.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What is referred to.
    pub fn heap_type(&self) -> HeapType {
        self.heap
    }
}

impl ValType {
    /// `(ref null func)`.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `(ref null extern)`.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// `(ref null exn)`.
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);
}

impl fmt::Display for HeapType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            HeapType::Func => "func",
            HeapType::Extern => "extern",
            HeapType::Exn => "exn",
        })
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nullable, self.heap) {
            (true, HeapType::Func) => formatter.write_str("funcref"),
            (true, HeapType::Extern) => formatter.write_str("externref"),
            (true, HeapType::Exn) => formatter.write_str("exnref"),
            (false, heap) => write!(formatter, "(ref {heap})"),
        }
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::I32 => formatter.write_str("i32"),
            ValType::I64 => formatter.write_str("i64"),
            ValType::F32 => formatter.write_str("f32"),
            ValType::F64 => formatter.write_str("f64"),
            ValType::V128 => formatter.write_str("v128"),
            ValType::Ref(reference) => reference.fmt(formatter),
        }
    }
}

/// In the text format: `(func (param i32 i32) (result i64))`.
impl fmt::Display for FuncType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(func")?;
        for (keyword, types) in [("param", &self.params), ("result", &self.results)] {
            if !types.is_empty() {
                write!(formatter, " ({keyword}")?;
                types.iter().try_for_each(|ty| write!(formatter, " {ty}"))?;
                formatter.write_str(")")?;
            }
        }
        formatter.write_str(")")
    }
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
}

impl MemoryType {
    /// A memory of at least `minimum` and at most `maximum` pages, addressed by i32.
    pub fn new(minimum: u32, maximum: Option<u32>) -> MemoryType {
        let (minimum, maximum) = (minimum.into(), maximum.map(u64::from));
        MemoryType { index64: false, shared: false, page_size_log2: 16, minimum, maximum }
    }

    /// A memory addressed by i64.
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType { index64: true, shared: false, page_size_log2: 16, minimum, maximum }
    }

    /// A memory that threads share, addressed by i32. One without a maximum does not exist.
    pub fn shared(minimum: u32, maximum: u32) -> MemoryType {
        MemoryType { shared: true, ..MemoryType::new(minimum, Some(maximum)) }
    }

    /// Any other combination, see [`MemoryTypeBuilder`].
    pub fn builder() -> MemoryTypeBuilder {
        MemoryTypeBuilder::default()
    }

    /// Initial size in pages.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }

    /// Largest size in pages.
    pub fn maximum(&self) -> Option<u64> {
        self.maximum
    }

    /// Addressed by i64.
    pub fn is_64(&self) -> bool {
        self.index64
    }

    /// Shared between threads.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u64 {
        1 << self.page_size_log2
    }

    /// Bytes of a page, as a power of two.
    pub fn page_size_log2(&self) -> u8 {
        self.page_size_log2
    }

    /// The parts of the type that decide how code accesses the memory.
    pub fn shape(&self) -> MemoryShape {
        MemoryShape {
            index64: self.index64,
            shared: self.shared,
            page_size_log2: self.page_size_log2,
            maximum_pages: self.maximum,
        }
    }

    /// Most pages that indices of the type reach.
    pub fn reach(&self) -> u64 {
        match (self.index64, self.page_size_log2) {
            (true, 0) => u64::MAX,
            (true, log2) => 1 << (64 - log2),
            (false, 0) => u32::MAX.into(),
            (false, log2) => 1 << (32 - log2),
        }
    }
}

/// Builds memory types.
///
/// ```
/// use hotfoot_artifact::MemoryType;
/// let ty = MemoryType::builder().memory64(true).shared(true).min(1).max(Some(4)).build()?;
/// assert_eq!(ty.to_string(), "(memory i64 1 4 shared)");
/// assert!(MemoryType::builder().shared(true).build().is_err());
/// # Ok::<(), hotfoot_artifact::MemoryTypeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryTypeBuilder(MemoryType);

impl Default for MemoryTypeBuilder {
    fn default() -> MemoryTypeBuilder {
        MemoryTypeBuilder(MemoryType::new(0, None))
    }
}

/// A memory type that cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MemoryTypeError(String);

impl MemoryTypeBuilder {
    /// Initial size in pages. Default: 0.
    pub fn min(&mut self, pages: u64) -> &mut Self {
        self.0.minimum = pages;
        self
    }

    /// Largest size in pages. Default: none.
    pub fn max(&mut self, pages: Option<u64>) -> &mut Self {
        self.0.maximum = pages;
        self
    }

    /// Addressed by i64. Default: by i32.
    pub fn memory64(&mut self, enable: bool) -> &mut Self {
        self.0.index64 = enable;
        self
    }

    /// Shared between threads. Default: not.
    pub fn shared(&mut self, enable: bool) -> &mut Self {
        self.0.shared = enable;
        self
    }

    /// Bytes of a page, as a power of two: 16 (the default) or 0.
    pub fn page_size_log2(&mut self, log2: u8) -> &mut Self {
        self.0.page_size_log2 = log2;
        self
    }

    /// The type.
    ///
    /// # Errors
    /// When no memory can have it; the error says why.
    pub fn build(&self) -> Result<MemoryType, MemoryTypeError> {
        let ty = self.0;
        let most = ty.maximum.unwrap_or(ty.minimum);
        let refused = |why: String| Err(MemoryTypeError(why));
        if ![0, 16].contains(&ty.page_size_log2) {
            let log2 = ty.page_size_log2;
            return refused(format!("there are no pages of 2^{log2} bytes: a page has 2^16 bytes, or 2^0"));
        }
        if ty.shared && ty.maximum.is_none() {
            return refused("a shared memory must have a maximum: it is reserved at once".to_owned());
        }
        if ty.minimum > most || most > ty.reach() {
            let (minimum, reach) = (ty.minimum, ty.reach());
            return refused(format!(
                "there cannot be a memory with the limits {minimum} and {most}: the first must not exceed the second, nor that {reach}"
            ));
        }
        Ok(ty)
    }
}

/// Whether a global can be set.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mutability {
    /// It cannot.
    Const,
    /// It can.
    Var,
}

impl GlobalType {
    /// A global that holds `content`.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType { content, mutable: mutability == Mutability::Var }
    }

    /// What it holds.
    pub fn content(&self) -> &ValType {
        &self.content
    }

    /// Whether it can be set.
    pub fn mutability(&self) -> Mutability {
        if self.mutable { Mutability::Var } else { Mutability::Const }
    }
}

/// Sizes as the text format writes them: `1 10`, or `i64 1`.
fn limits(formatter: &mut fmt::Formatter<'_>, index64: bool, minimum: u64, maximum: Option<u64>) -> fmt::Result {
    if index64 {
        formatter.write_str("i64 ")?;
    }
    write!(formatter, "{minimum}")?;
    maximum.map_or(Ok(()), |maximum| write!(formatter, " {maximum}"))
}

impl fmt::Display for TableType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(table ")?;
        limits(formatter, self.index64, self.minimum, self.maximum)?;
        write!(formatter, " {})", self.element)
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(memory ")?;
        limits(formatter, self.index64, self.minimum, self.maximum)?;
        if self.shared {
            formatter.write_str(" shared")?;
        }
        if self.page_size_log2 != 16 {
            write!(formatter, " (pagesize {})", self.page_size())?;
        }
        formatter.write_str(")")
    }
}

impl fmt::Display for GlobalType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutable {
            true => write!(formatter, "(global (mut {}))", self.content),
            false => write!(formatter, "(global {})", self.content),
        }
    }
}
