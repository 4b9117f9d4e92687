//! The artifact: what the compiler makes of a module and what the runtime maps.
//!
//! An artifact is one ELF file. Code and data sections are page-aligned and position independent, so they are used
//! where the file is mapped; tables are arrays of little-endian integers read in place; only what describes the
//! module's interface ([`ModuleInfo`]) is decoded when it is loaded. See [`write`](mod@write) for the sections, byte by byte.
//!
//! Invariants: the same [`Parts`] give the same bytes; reading does no work per function; no bytes, however damaged,
//! make [`Artifact::parse`] panic.
#![forbid(unsafe_code)]

mod debug;
mod defined;
mod elf;
mod head;
mod info;
mod read;
mod section;
mod tables;
mod types;
pub mod write;

pub use blake3::Hasher;
pub use debug::{DebugSections, EXTERNAL_DEBUG_INFO};
pub use defined::{ArrayType, CompositeType, FieldType, FuncType, StorageType, StructType, SubType};
pub use head::{Key, RECOGNISABLE_LEN, is_artifact, sign};
pub use info::{
    ConstExpr, ConstOp, DataMode, DataSegment, ElementItems, ElementMode, ElementSegment, Header, InitialBytes,
    MAPPED_LEN, ModuleInfo,
};
pub use read::{Artifact, ReadError};
pub use section::Section;
pub use tables::{CodeTables, Origin};
pub use types::{
    EntityIndex, EntityType, Export, GlobalType, HeapType, Import, MemoryType, MemoryTypeBuilder, MemoryTypeError,
    Mutability, RefType, TableType, ValType,
};
pub use write::{
    Address, CallSite, CodeRange, ExportEntry, FunctionName, Handler, INLINED, Inlined, PAGE, Parts, StackMap, Tables,
    Trampolines,
};

/// Marks "no function", "no trampoline" or "null" in a table of indices or offsets.
pub const NONE: u32 = u32::MAX;
