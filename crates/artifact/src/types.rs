//! The types of the specification, as an artifact stores them and the runtime compares them.
//!
//! Source: WebAssembly 3.0, section 2.3 "Types".

use std::fmt;

use hotfoot_abi::tunables::MemoryShape;
use serde::{Deserialize, Serialize};

/// A heap type: what a reference may refer to. Concrete types are named by number, see [`crate::defined`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeapType {
    /// Any value of the guest's own: what `eq` has, and host values that were converted.
    Any,
    /// What can be compared with `ref.eq`.
    Eq,
    /// Integers of 31 bits.
    I31,
    /// Any struct.
    Struct,
    /// Any array.
    Array,
    /// Nothing, below `any`.
    None,
    /// Any function.
    Func,
    /// Nothing, below `func`.
    NoFunc,
    /// Any value of the host.
    Extern,
    /// Nothing, below `extern`.
    NoExtern,
    /// Any exception.
    Exn,
    /// Nothing, below `exn`.
    NoExn,
    /// Functions of one type.
    ConcreteFunc(u32),
    /// Structs of one type.
    ConcreteStruct(u32),
    /// Arrays of one type.
    ConcreteArray(u32),
}

impl HeapType {
    /// The largest type of its hierarchy: `any`, `func`, `extern` or `exn`.
    pub fn top(self) -> HeapType {
        use HeapType as H;
        match self {
            H::Any | H::Eq | H::I31 | H::Struct | H::Array | H::None | H::ConcreteStruct(_) | H::ConcreteArray(_) => {
                H::Any
            }
            H::Func | H::NoFunc | H::ConcreteFunc(_) => H::Func,
            H::Extern | H::NoExtern => H::Extern,
            H::Exn | H::NoExn => H::Exn,
        }
    }

    /// The smallest type of its hierarchy, to which no value belongs but null.
    pub fn bottom(self) -> HeapType {
        match self.top() {
            HeapType::Func => HeapType::NoFunc,
            HeapType::Extern => HeapType::NoExtern,
            HeapType::Exn => HeapType::NoExn,
            _ => HeapType::None,
        }
    }

    /// The number of a concrete type.
    pub fn concrete(self) -> Option<u32> {
        match self {
            HeapType::ConcreteFunc(number) | HeapType::ConcreteStruct(number) | HeapType::ConcreteArray(number) => {
                Some(number)
            }
            _ => None,
        }
    }

    /// Whether references to it may be to what the collector moves. Functions never are.
    pub fn is_collected(self) -> bool {
        self.top() != HeapType::Func
    }

    /// The same type with another number.
    pub fn map_types(self, number: &impl Fn(u32) -> u32) -> HeapType {
        match self {
            HeapType::ConcreteFunc(ty) => HeapType::ConcreteFunc(number(ty)),
            HeapType::ConcreteStruct(ty) => HeapType::ConcreteStruct(number(ty)),
            HeapType::ConcreteArray(ty) => HeapType::ConcreteArray(number(ty)),
            ty => ty,
        }
    }

    /// Whether it is `expected` or a subtype of it (section 3.3.3 "Heap Types"); `is_subtype` answers for two numbers.
    pub fn matches(self, expected: HeapType, is_subtype: impl FnOnce(u32, u32) -> bool) -> bool {
        use HeapType as H;
        if self == expected || self == expected.bottom() {
            return true;
        }
        match (self, expected) {
            (H::ConcreteFunc(sub), H::ConcreteFunc(sup))
            | (H::ConcreteStruct(sub), H::ConcreteStruct(sup))
            | (H::ConcreteArray(sub), H::ConcreteArray(sup)) => is_subtype(sub, sup),
            (_, H::Any | H::Func | H::Extern | H::Exn) => self.top() == expected,
            (H::I31 | H::Struct | H::Array | H::ConcreteStruct(_) | H::ConcreteArray(_), H::Eq)
            | (H::ConcreteStruct(_), H::Struct)
            | (H::ConcreteArray(_), H::Array) => true,
            _ => false,
        }
    }
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

    /// The same type with other numbers for concrete types.
    pub fn map_types(self, number: &impl Fn(u32) -> u32) -> ValType {
        match self {
            ValType::Ref(reference) => ValType::Ref(reference.map_types(number)),
            ty => ty,
        }
    }

    /// Whether it is `expected` or a subtype of it; `is_subtype` answers for two concrete types.
    pub fn matches(self, expected: ValType, is_subtype: impl FnOnce(u32, u32) -> bool) -> bool {
        match (self, expected) {
            (ValType::Ref(actual), ValType::Ref(expected)) => actual.matches(expected, is_subtype),
            (actual, expected) => actual == expected,
        }
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
    /// The same type with another number for a concrete type.
    pub fn map_types(self, number: &impl Fn(u32) -> u32) -> RefType {
        RefType { nullable: self.nullable, heap: self.heap.map_types(number) }
    }

    /// Whether it is `expected` or a subtype of it; `is_subtype` answers for two concrete types.
    pub fn matches(self, expected: RefType, is_subtype: impl FnOnce(u32, u32) -> bool) -> bool {
        (expected.nullable || !self.nullable) && self.heap.matches(expected.heap, is_subtype)
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
            HeapType::Any => "any",
            HeapType::Eq => "eq",
            HeapType::I31 => "i31",
            HeapType::Struct => "struct",
            HeapType::Array => "array",
            HeapType::None => "none",
            HeapType::Func => "func",
            HeapType::NoFunc => "nofunc",
            HeapType::Extern => "extern",
            HeapType::NoExtern => "noextern",
            HeapType::Exn => "exn",
            HeapType::NoExn => "noexn",
            HeapType::ConcreteFunc(number) | HeapType::ConcreteStruct(number) | HeapType::ConcreteArray(number) => {
                return number.fmt(formatter);
            }
        })
    }
}

/// In the text format, with the abbreviations of nullable abstract types: `funcref`, `nullref`, `(ref null 3)`.
impl fmt::Display for RefType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nullable, self.heap) {
            (false, heap) => write!(formatter, "(ref {heap})"),
            (true, HeapType::None) => formatter.write_str("nullref"),
            (true, HeapType::NoFunc) => formatter.write_str("nullfuncref"),
            (true, HeapType::NoExtern) => formatter.write_str("nullexternref"),
            (true, HeapType::NoExn) => formatter.write_str("nullexnref"),
            (true, heap) if heap.concrete().is_some() => write!(formatter, "(ref null {heap})"),
            (true, heap) => write!(formatter, "{heap}ref"),
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
