//! Writing an artifact, and the map of its bytes.
//!
//! ```text
//!  section          contents                                                        read
//!  .hotfoot.head    "hotfoot\0", version u32, then Header (postcard)                first
//!  .hotfoot.info    ModuleInfo (postcard)                                           when loaded
//!  .text            machine code, page-aligned, no relocations                      mapped executable
//!  .hotfoot.data    bytes of all data segments, page-aligned                        in place
//!  .hotfoot.funcs   [offset u32, len u32]          per defined function: its code   in place
//!  .hotfoot.ftypes  [type u32]                     per function, imports first      in place
//!  .hotfoot.refs    [function u32]                 per escaping function, ascending in place
//!  .hotfoot.tramps  [entry u32, host u32]          per type: trampolines            in place
//!  .hotfoot.elems   [function u32]                 items of element segments        in place
//!  .hotfoot.traps   [offset u32]                   code offsets that may trap, ascending
//!  .hotfoot.tcodes  [code u8]                      the trap code of each            in place
//!  .hotfoot.addrs   [offset u32, wasm u32]         code offset → module offset, ascending
//!  .hotfoot.calls   [return u32, frame u32, context u32, first u32, count u32]     in place
//!                   per call inside a `try_table`, ascending: its handlers
//!  .hotfoot.catches [catch u32, code u32]          handlers: what, and where        in place
//!  .hotfoot.names   [function u32, at u32, len u32] function names, by index        when asked
//!  .hotfoot.strings UTF-8 of the names                                              when asked
//! ```
//!
//! Offsets of code count from the start of `.text`; module offsets from the start of the WebAssembly binary.

use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::info::{Header, ModuleInfo};

/// Begins every artifact's head section.
pub const MAGIC: &[u8; 8] = b"hotfoot\0";
/// Changes whenever an older runtime could misread a newer file or the reverse.
pub const VERSION: u32 = 1;
/// Alignment of the sections that are mapped.
pub const PAGE: u64 = 4096;

pub(crate) mod section {
    pub const HEAD: &str = ".hotfoot.head";
    pub const INFO: &str = ".hotfoot.info";
    pub const TEXT: &str = ".text";
    pub const DATA: &str = ".hotfoot.data";
    pub const FUNCTIONS: &str = ".hotfoot.funcs";
    pub const FUNCTION_TYPES: &str = ".hotfoot.ftypes";
    pub const ESCAPING: &str = ".hotfoot.refs";
    pub const TRAMPOLINES: &str = ".hotfoot.tramps";
    pub const ELEMENTS: &str = ".hotfoot.elems";
    pub const TRAP_OFFSETS: &str = ".hotfoot.traps";
    pub const TRAP_CODES: &str = ".hotfoot.tcodes";
    pub const ADDRESSES: &str = ".hotfoot.addrs";
    pub const CALL_SITES: &str = ".hotfoot.calls";
    pub const HANDLERS: &str = ".hotfoot.catches";
    pub const NAMES: &str = ".hotfoot.names";
    pub const STRINGS: &str = ".hotfoot.strings";
}

/// Where a function's code is, from the start of `.text`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CodeRange {
    /// First byte.
    pub offset: U32,
    /// Number of bytes.
    pub len: U32,
}

/// Code offsets of the two trampolines of a type, [`NONE`](crate::NONE) where there is none.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Trampolines {
    /// Host→wasm.
    pub entry: U32,
    /// Wasm→host.
    pub host: U32,
}

/// Which module offset a stretch of code comes from; it extends to the next address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Address {
    /// Code offset.
    pub code: U32,
    /// Offset in the WebAssembly binary, [`NONE`](crate::NONE) if unknown.
    pub wasm: U32,
}

/// A call that exceptions can come back from, and where to look for its handlers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CallSite {
    /// Code offset to which the call returns.
    pub return_offset: U32,
    /// Bytes from the stack pointer during the call to the frame pointer.
    pub frame_size: U32,
    /// Bytes from the stack pointer during the call to where the function's VM context is kept.
    pub context: U32,
    /// First of its handlers, in the table of handlers.
    pub first: U32,
    /// How many handlers it has.
    pub count: U32,
}

/// A handler of exceptions. Those of one call site are tried in order.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Handler {
    /// An encoded [`Catch`](hotfoot_abi::exception::Catch).
    pub catch: U32,
    /// Code offset of the handler.
    pub code: U32,
}

/// A function's name, as a range of the string section.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct NameEntry {
    /// Function index, imports first.
    pub function: U32,
    /// First byte of the name.
    pub at: U32,
    /// Bytes of the name.
    pub len: U32,
}

/// An instruction that may trap.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Code offset of the instruction.
    pub offset: u32,
    /// A [`TrapCode`](hotfoot_abi::trap::TrapCode).
    pub code: u8,
}

/// A function's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionName {
    /// Function index, imports first.
    pub function: u32,
    /// Its name.
    pub name: String,
}

/// Everything whose size grows with the number of functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Code of each defined function.
    pub functions: Vec<CodeRange>,
    /// Type index of each function, imports first.
    pub function_types: Vec<u32>,
    /// Defined functions that a reference can name, as function indices, ascending.
    pub escaping: Vec<u32>,
    /// Trampolines of each type.
    pub trampolines: Vec<Trampolines>,
    /// Items of element segments that hold functions.
    pub elements: Vec<u32>,
    /// Ascending by offset.
    pub traps: Vec<Trap>,
    /// Ascending by code offset.
    pub addresses: Vec<Address>,
    /// Ascending by code offset.
    pub call_sites: Vec<CallSite>,
    /// Handlers of the call sites.
    pub handlers: Vec<Handler>,
    /// Ascending by function.
    pub names: Vec<FunctionName>,
}

/// The contents of an artifact, before it is written.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the code assumes.
    pub header: Header,
    /// The module's interface.
    pub info: ModuleInfo,
    /// Machine code.
    pub text: Vec<u8>,
    /// Bytes of all data segments.
    pub data: Vec<u8>,
    /// Per-function tables.
    pub tables: Tables,
}

impl Parts {
    /// Lays the parts out as one ELF file. The same parts always give the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let architecture = match self.header.target.split('-').next() {
            Some("aarch64") => Architecture::Aarch64,
            _ => Architecture::X86_64,
        };
        let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
        let mut add = |name: &str, kind: SectionKind, bytes: &[u8], align: u64| {
            let id = object.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
            object.append_section_data(id, bytes, align);
        };
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&encode(&self.header));
        add(section::HEAD, SectionKind::ReadOnlyData, &head, 8);
        add(section::INFO, SectionKind::ReadOnlyData, &encode(&self.info), 8);
        add(section::TEXT, SectionKind::Text, &self.text, PAGE);
        add(section::DATA, SectionKind::ReadOnlyData, &self.data, PAGE);
        let tables = &self.tables;
        let mut table = |name, bytes: &[u8]| add(name, SectionKind::ReadOnlyData, bytes, 8);
        table(section::FUNCTIONS, tables.functions.as_bytes());
        table(section::FUNCTION_TYPES, little_endian(&tables.function_types).as_bytes());
        table(section::ESCAPING, little_endian(&tables.escaping).as_bytes());
        table(section::TRAMPOLINES, tables.trampolines.as_bytes());
        table(section::ELEMENTS, little_endian(&tables.elements).as_bytes());
        let offsets: Vec<U32> = tables.traps.iter().map(|trap| U32::new(trap.offset)).collect();
        let codes: Vec<u8> = tables.traps.iter().map(|trap| trap.code).collect();
        table(section::TRAP_OFFSETS, offsets.as_bytes());
        table(section::TRAP_CODES, &codes);
        table(section::ADDRESSES, tables.addresses.as_bytes());
        table(section::CALL_SITES, tables.call_sites.as_bytes());
        table(section::HANDLERS, tables.handlers.as_bytes());
        let (names, strings) = name_table(&tables.names);
        table(section::NAMES, names.as_bytes());
        table(section::STRINGS, strings.as_bytes());
        object.write().expect("an object held in memory can be laid out")
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("metadata made of plain values can be encoded")
}

fn little_endian(values: &[u32]) -> Vec<U32> {
    values.iter().map(|value| U32::new(*value)).collect()
}

fn name_table(names: &[FunctionName]) -> (Vec<NameEntry>, String) {
    let mut strings = String::new();
    let entries = names
        .iter()
        .map(|entry| {
            let at = U32::new(strings.len() as u32);
            strings.push_str(&entry.name);
            NameEntry { function: U32::new(entry.function), at, len: U32::new(entry.name.len() as u32) }
        })
        .collect();
    (entries, strings)
}
