//! Writing an artifact, and the map of its bytes.
//!
//! ```text
//!  part             contents                                                        read
//!                   ELF header, see `elf.rs`; head with the places of all parts, see `head.rs`
//!  .hotfoot.header  Header (postcard)                                               when loaded
//!  .hotfoot.info    ModuleInfo (postcard)                                           when loaded
//!  .hotfoot.tramps  [entry u32, host u32]          per type: trampolines            when loaded
//!  .text            machine code, page-aligned, no relocations                      mapped executable
//!  .hotfoot.data    what memories begin with, bytes of other data segments          in place
//!  .hotfoot.funcs   [offset u32, len u32]          per defined function: its code   in place
//!  .hotfoot.ftypes  [type u32]                     per function, imports first      in place
//!  .hotfoot.refs    [function u32]                 per escaping function, ascending in place
//!  .hotfoot.elems   [reference u32]                items of element segments: imported function, or the count of these
//!                                                  and a place in .hotfoot.refs     in place
//!  .hotfoot.exports [at u32, len u32, kind u32, index u32]   per export, in order   in place
//!  .hotfoot.byname  [export u32]                   exports, ascending by name       in place
//!  .hotfoot.traps   [offset u32]                   code offsets that may trap, ascending
//!  .hotfoot.tcodes  [number u8]                    why each traps, abi/src/trap.rs  in place
//!  .hotfoot.calls   [return u32, frame u32, context u32, first u32, count u32]     in place
//!                   per call inside a `try_table`, ascending: its handlers
//!  .hotfoot.catches [catch u32, code u32]          handlers: what, and where        in place
//!  .hotfoot.maps    [return u32, first u32, count u32]  in place
//!                   per call across which references are kept, ascending: which
//!  .hotfoot.roots   [below u32]                    those: bytes below the frame pointer
//!  .hotfoot.addrs   [offset u32, wasm u32]         code offset → place in the module, ascending
//!  .hotfoot.inlined [function u32, wasm u32, caller u32]   places in inlined functions
//!  .hotfoot.names   [function u32, at u32, len u32] function names, by index        when asked
//!  .hotfoot.strings UTF-8 of the names of exports and functions                     when asked
//!  .hotfoot.debug   the module's DWARF, see `debug.rs`                              when asked
//!                   ELF section names and headers
//! ```
//!
//! A place in the module is a module offset or, with the highest bit, the number of a place in an inlined function, whose
//! `caller` is the place of its call. Offsets of code count from the start of `.text`; module offsets from the start of the WebAssembly binary. Parts begin
//! at multiples of 8, those that are mapped on a page; what lies between is zero.

use std::ops::Range;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::debug::DebugSections;
use crate::elf;
use crate::head::{self, Place};
use crate::info::{Header, ModuleInfo};
use crate::section::Section;
use crate::tables::CodeTables;
use crate::types::{EntityIndex, Export};

/// Alignment of the parts that are mapped.
pub const PAGE: u64 = 4096;

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

/// A place with this bit is not an offset in the WebAssembly binary but the number of an [`Inlined`].
pub const INLINED: u32 = 1 << 31;

/// Which place in the module a stretch of code comes from; it extends to the next address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Address {
    /// Code offset.
    pub code: U32,
    /// Offset in the WebAssembly binary, or a place in an inlined function ([`INLINED`]); [`NONE`](crate::NONE) if
    /// unknown.
    pub wasm: U32,
}

/// A place in a function that was inlined.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Inlined {
    /// The function, imports counted first.
    pub function: U32,
    /// Offset in the WebAssembly binary.
    pub wasm: U32,
    /// The place of the function's call, as in an [`Address`]; it comes before this one.
    pub caller: U32,
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

/// A call across which a frame keeps references that the collector may change, and where to look for them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StackMap {
    /// Code offset to which the call returns.
    pub return_offset: U32,
    /// First of its references, in the table of roots.
    pub first: U32,
    /// How many references there are.
    pub count: U32,
}

/// An export.
#[derive(Copy, Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ExportEntry {
    /// First byte of its name among the strings.
    pub at: U32,
    /// Bytes of its name.
    pub len: U32,
    /// What it is: 0 function, 1 table, 2 memory, 3 global, 4 tag.
    pub kind: U32,
    /// Its index among those, imports first.
    pub index: U32,
}

impl ExportEntry {
    fn new(name: Range<u32>, entity: EntityIndex) -> ExportEntry {
        let (kind, index) = match entity {
            EntityIndex::Func(index) => (0u32, index),
            EntityIndex::Table(index) => (1, index),
            EntityIndex::Memory(index) => (2, index),
            EntityIndex::Global(index) => (3, index),
            EntityIndex::Tag(index) => (4, index),
        };
        ExportEntry {
            at: name.start.into(),
            len: (name.end - name.start).into(),
            kind: kind.into(),
            index: index.into(),
        }
    }

    /// What is exported.
    pub fn entity(&self) -> EntityIndex {
        let index = self.index.get();
        match self.kind.get() {
            0 => EntityIndex::Func(index),
            1 => EntityIndex::Table(index),
            2 => EntityIndex::Memory(index),
            3 => EntityIndex::Global(index),
            _ => EntityIndex::Tag(index),
        }
    }
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
pub struct Tables<'a> {
    /// Code of each defined function.
    pub functions: Vec<CodeRange>,
    /// Type index of each function, imports first.
    pub function_types: &'a [u32],
    /// Defined functions that a reference can name, as function indices, ascending.
    pub escaping: &'a [u32],
    /// Trampolines of each type.
    pub trampolines: Vec<Trampolines>,
    /// Items of element segments that hold functions: function indices, or [`NONE`](crate::NONE) for null.
    pub elements: &'a [u32],
    /// In the order of the module.
    pub exports: &'a [Export],
    /// What is known of the code by its addresses.
    pub code: CodeTables<'a>,
    /// Ascending by function.
    pub names: &'a [FunctionName],
}

/// The contents of an artifact, before it is written.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// What the code assumes.
    pub header: Header,
    /// The module's interface.
    pub info: ModuleInfo,
    /// Machine code.
    pub text: Vec<u8>,
    /// Bytes of all data segments.
    pub data: &'a [u8],
    /// Per-function tables.
    pub tables: Tables<'a>,
    /// What source the code comes from.
    pub debug: DebugSections<'a>,
}

impl Parts<'_> {
    /// Lays the parts out as one file. The same parts always give the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut layout = Layout::new(self.text.len() + self.data.len());
        layout.add(Section::Header, &encode(&self.header));
        layout.add(Section::Info, &encode(&self.info));
        layout.add(Section::Trampolines, self.tables.trampolines.as_bytes());
        let front_len = layout.file.len();
        layout.add(Section::Text, &self.text);
        layout.add(Section::Data, self.data);
        self.tables.add(&mut layout);
        layout.add(Section::Debug, &self.debug.encode());
        layout.finish(&self.header.target, front_len)
    }
}

impl Tables<'_> {
    /// The items of element segments as the places where an instance has references to them, which it need not look for.
    fn references(&self) -> Vec<u32> {
        let imported = (self.function_types.len() - self.functions.len()) as u32;
        let of = |function: &u32| match self.escaping.binary_search(function) {
            Ok(slot) => imported + slot as u32,
            Err(_) if *function < imported => *function,
            // Null, or a function of another list, which an instance then does not have.
            Err(_) => crate::NONE,
        };
        self.elements.iter().map(of).collect()
    }

    /// Adds what is not read when an artifact is loaded.
    fn add(&self, layout: &mut Layout) {
        let mut strings = String::new();
        let mut place = |name: &str| {
            let start = strings.len() as u32;
            strings.push_str(name);
            start..strings.len() as u32
        };
        let exports: Vec<ExportEntry> =
            self.exports.iter().map(|export| ExportEntry::new(place(&export.name), export.entity)).collect();
        let mut by_name: Vec<u32> = (0..exports.len() as u32).collect();
        by_name.sort_unstable_by_key(|export| &self.exports[*export as usize].name);
        let name = |entry: &FunctionName| {
            let name = place(&entry.name);
            NameEntry { function: entry.function.into(), at: name.start.into(), len: (name.end - name.start).into() }
        };
        let names: Vec<NameEntry> = self.names.iter().map(name).collect();
        layout.add(Section::Functions, self.functions.as_bytes());
        layout.add(Section::FunctionTypes, little_endian(self.function_types).as_bytes());
        layout.add(Section::Escaping, little_endian(self.escaping).as_bytes());
        layout.add(Section::Elements, little_endian(&self.references()).as_bytes());
        layout.add(Section::Exports, exports.as_bytes());
        layout.add(Section::ExportsByName, little_endian(&by_name).as_bytes());
        layout.add(Section::TrapOffsets, self.code.trap_offsets.as_bytes());
        layout.add(Section::TrapCodes, &self.code.trap_codes);
        layout.add(Section::CallSites, self.code.call_sites.as_bytes());
        layout.add(Section::Handlers, self.code.handlers.as_bytes());
        layout.add(Section::StackMaps, self.code.stack_maps.as_bytes());
        layout.add(Section::Roots, self.code.roots.as_bytes());
        layout.add(Section::Addresses, self.code.addresses.as_bytes());
        layout.add(Section::Inlined, self.code.inlined.as_bytes());
        layout.add(Section::Names, names.as_bytes());
        layout.add(Section::Strings, strings.as_bytes());
    }
}

/// A file that grows section by section.
struct Layout {
    file: Vec<u8>,
    sections: Vec<(Section, Range<usize>)>,
}

impl Layout {
    fn new(expected_len: usize) -> Layout {
        let mut file = Vec::with_capacity(expected_len + expected_len / 2);
        file.resize(head::END, 0);
        Layout { file, sections: Vec::with_capacity(Section::COUNT) }
    }

    fn add(&mut self, section: Section, bytes: &[u8]) {
        let align = if section.is_mapped() { PAGE as usize } else { 8 };
        let start = self.file.len().next_multiple_of(align);
        self.file.resize(start, 0);
        self.file.extend_from_slice(bytes);
        self.sections.push((section, start..self.file.len()));
    }

    fn finish(mut self, target: &str, front_len: usize) -> Vec<u8> {
        elf::frame(&mut self.file, target, &self.sections);
        let mut directory = [Place::default(); Section::COUNT];
        for (section, place) in &self.sections {
            directory[*section as usize] =
                Place { offset: (place.start as u64).into(), len: (place.len() as u64).into() };
        }
        head::seal(&mut self.file, front_len, &directory);
        self.file
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("metadata made of plain values can be encoded")
}

fn little_endian(values: &[u32]) -> Vec<U32> {
    values.iter().map(|value| U32::new(*value)).collect()
}
