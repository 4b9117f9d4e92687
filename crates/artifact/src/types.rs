//! The types of the specification, as an artifact stores them and the runtime compares them.
//!
//! Source: WebAssembly 3.0, section 2.3 "Types".

use serde::{Deserialize, Serialize};

/// A heap type: what a reference may refer to.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeapType {
    /// Any function.
    Func,
    /// Any value of the host.
    Extern,
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

/// A memory type. Sizes are in pages of 64 KiB.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemoryType {
    /// Addressed by i64.
    pub index64: bool,
    /// Shared between threads.
    pub shared: bool,
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
