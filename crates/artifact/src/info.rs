//! What is decoded when an artifact is loaded: the module's interface and how to initialise an instance.
//!
//! Nothing here grows with the number of functions or exports; what does is a table in [`write`](mod@crate::write).

use std::ops::Range;

use hotfoot_abi::tunables::Tunables;
use hotfoot_abi::vmctx::Counts;
use serde::{Deserialize, Serialize};

use crate::defined::{FuncType, SubType};
use crate::types::{EntityType, GlobalType, Import, MemoryType, RefType, TableType};

/// Under which promises the code was made; compared with the engine's before anything else is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Target triple.
    pub target: String,
    /// Every code generation setting that the code depends on, as `name=value`, sorted.
    pub settings: Vec<String>,
    /// Instruction-set extensions that the code needs, as Cranelift names them, sorted.
    pub isa_flags: Vec<String>,
    /// Promises about memories.
    #[serde(with = "TunablesFields")]
    pub tunables: Tunables,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Tunables")]
struct TunablesFields {
    memory_reservation: u64,
    memory_guard_size: u64,
    memory_may_move: bool,
    signals_based_traps: bool,
    consume_fuel: bool,
    epoch_interruption: bool,
}

/// One instruction of a constant expression.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstOp {
    /// `i32.const`
    I32(i32),
    /// `i64.const`
    I64(i64),
    /// `f32.const`, as bits.
    F32(u32),
    /// `f64.const`, as bits.
    F64(u64),
    /// `v128.const`, little endian.
    V128([u8; 16]),
    /// `global.get`; the index counts imports first.
    GlobalGet(u32),
    /// `ref.null`
    RefNull,
    /// `ref.func`; the index counts imports first.
    RefFunc(u32),
    /// `i32.add`
    I32Add,
    /// `i32.sub`
    I32Sub,
    /// `i32.mul`
    I32Mul,
    /// `i64.add`
    I64Add,
    /// `i64.sub`
    I64Sub,
    /// `i64.mul`
    I64Mul,
    /// `ref.i31`
    RefI31,
    /// `struct.new`, by type.
    StructNew(u32),
    /// `struct.new_default`, by type.
    StructNewDefault(u32),
    /// `array.new`, by type.
    ArrayNew(u32),
    /// `array.new_default`, by type.
    ArrayNewDefault(u32),
    /// `array.new_fixed`
    ArrayNewFixed {
        /// Its type.
        ty: u32,
        /// How many elements it takes from the stack.
        len: u32,
    },
    /// `any.convert_extern`
    AnyConvertExtern,
    /// `extern.convert_any`
    ExternConvertAny,
}

/// A constant expression: evaluated on a stack, leaves one value. Validated by the compiler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstExpr {
    /// The instructions, without the final `end`.
    pub ops: Vec<ConstOp>,
}

/// What an element segment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementItems {
    /// A range of the artifact's element table: function indices (imports first), [`NONE`](crate::NONE) for null.
    Functions(Range<u32>),
    /// One expression per item.
    Expressions(Vec<ConstExpr>),
}

/// When an element segment is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementMode {
    /// By `table.init` only.
    Passive,
    /// Never at run time.
    Declared,
    /// At instantiation.
    Active {
        /// Which table; counts imports first.
        table: u32,
        /// Where in the table.
        offset: ConstExpr,
    },
}

/// An element segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementSegment {
    /// Type of its items.
    pub element: RefType,
    /// When it is used.
    pub mode: ElementMode,
    /// Its items.
    pub items: ElementItems,
}

/// When a data segment is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataMode {
    /// By `memory.init` only.
    Passive,
    /// At instantiation.
    Active {
        /// Which memory; counts imports first.
        memory: u32,
        /// Where in the memory.
        offset: ConstExpr,
    },
}

/// A data segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSegment {
    /// Its index in the module.
    pub index: u32,
    /// When it is used.
    pub mode: DataMode,
    /// Its bytes, as a range of the data section.
    pub bytes: Range<u64>,
}

/// An [`InitialBytes`] of so many bytes or more begins at the same place in a
/// [`PAGE`](crate::PAGE) of the file as it does in the memory.
pub const MAPPED_LEN: u64 = 64 << 10;

/// What a memory of the module's own begins with at a place that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialBytes {
    /// Which memory; counts imports first.
    pub memory: u32,
    /// Where in the memory.
    pub offset: u64,
    /// The bytes, as a range of the data section.
    pub bytes: Range<u64>,
}

impl InitialBytes {
    /// Behind the last byte in the memory.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.end.saturating_sub(self.bytes.start))
    }
}

/// The module without its functions' bodies. Vectors of entities hold imports first, as index spaces do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Name of the module, from its name section.
    pub name: Option<String>,
    /// Defined types, by type index.
    pub types: Vec<SubType>,
    /// How many types each group of recursive types has, in order.
    pub rec_groups: Vec<u32>,
    /// Imports in order.
    pub imports: Vec<Import>,
    /// Every function's type is in a table; this is only how many there are, with imports.
    pub num_funcs: u32,
    /// Every table.
    pub tables: Vec<TableType>,
    /// The initial value of each defined table's elements; `None` is null.
    pub table_inits: Vec<Option<ConstExpr>>,
    /// Every memory.
    pub memories: Vec<MemoryType>,
    /// Every global.
    pub globals: Vec<GlobalType>,
    /// The initial value of each defined global.
    pub global_inits: Vec<ConstExpr>,
    /// Every tag, by index of the function type whose parameters are the payload.
    pub tags: Vec<u32>,
    /// Element segments in order.
    pub elements: Vec<ElementSegment>,
    /// How many data segments the module has.
    pub data_segments: u32,
    /// Data segments in order, without active ones that `initial` stands for.
    pub data: Vec<DataSegment>,
    /// What is written to memories before active data segments are.
    pub initial: Vec<InitialBytes>,
    /// The start function.
    pub start: Option<u32>,
    /// How many defined functions a reference can name (exported, in an element segment, in `ref.func`, or started).
    pub escaping_funcs: u32,
    /// Whether a function has a `table.set`, the one change to a table that the runtime does not see.
    pub sets_tables: bool,
    /// Whether its code makes or reads garbage-collected objects of its own.
    pub needs_gc_heap: bool,
}

impl ModuleInfo {
    /// The function type with this index; validation and the format promise that it is one.
    ///
    /// # Panics
    /// When it is not.
    pub fn func_type(&self, index: u32) -> &FuncType {
        self.types[index as usize].func().expect("the index of a function's type names a function type")
    }

    /// How many supertypes a type has, their supertypes included.
    pub fn type_depth(&self, index: u32) -> u32 {
        let supertype = |index: &u32| self.types[*index as usize].supertype;
        std::iter::successors(Some(index), supertype).count() as u32 - 1
    }

    /// Whether one type is the other or a subtype of it, by what the module declares. Equal types of different groups
    /// count as different here: only an engine knows that they are equal.
    pub fn declares_subtype(&self, sub: u32, sup: u32) -> bool {
        let supertype = |index: &u32| self.types[*index as usize].supertype;
        std::iter::successors(Some(sub), supertype).any(|index| index == sup)
    }

    /// Whether each type names only types of its own group and earlier ones, and a supertype stands before its subtypes:
    /// what makes walks along them end.
    pub fn types_are_ordered(&self) -> bool {
        let mut start = 0u64;
        self.rec_groups.iter().all(|len| {
            let end = start + u64::from(*len);
            let Some(group) = self.types.get(start as usize..end as usize) else { return false };
            let ordered = group.iter().zip(start..).all(|(ty, index)| {
                let mut named = true;
                ty.for_each_type(|other| named &= u64::from(other) < end);
                named && ty.supertype.is_none_or(|supertype| u64::from(supertype) < index)
            });
            start = end;
            ordered
        }) && start == self.types.len() as u64
    }

    /// Gives the types that entities name other numbers. Defined types and constant expressions keep theirs.
    pub fn rename_types(&mut self, number: &impl Fn(u32) -> u32) {
        for import in &mut self.imports {
            match &mut import.ty {
                EntityType::Func(ty) | EntityType::Tag(ty) => *ty = number(*ty),
                EntityType::Table(ty) => ty.element = ty.element.map_types(number),
                EntityType::Global(ty) => ty.content = ty.content.map_types(number),
                EntityType::Memory(_) => {}
            }
        }
        self.tables.iter_mut().for_each(|ty| ty.element = ty.element.map_types(number));
        self.globals.iter_mut().for_each(|ty| ty.content = ty.content.map_types(number));
        self.tags.iter_mut().for_each(|ty| *ty = number(*ty));
        self.elements.iter_mut().for_each(|segment| segment.element = segment.element.map_types(number));
    }

    /// The counts that decide the layout of the VM context.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { escaping_funcs: self.escaping_funcs, ..Counts::default() };
        for import in &self.imports {
            match import.ty {
                EntityType::Func(_) => counts.imported_funcs += 1,
                EntityType::Table(_) => counts.imported_tables += 1,
                EntityType::Memory(_) => counts.imported_memories += 1,
                EntityType::Global(_) => counts.imported_globals += 1,
                EntityType::Tag(_) => counts.imported_tags += 1,
            }
        }
        counts.defined_tables = self.tables.len() as u32 - counts.imported_tables;
        counts.defined_memories = self.memories.len() as u32 - counts.imported_memories;
        counts.defined_globals = self.globals.len() as u32 - counts.imported_globals;
        counts.defined_tags = self.tags.len() as u32 - counts.imported_tags;
        counts
    }
}
