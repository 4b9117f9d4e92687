//! Reading an artifact where it lies.
//!
//! [`Artifact::parse`] checks the frame (ELF, magic, version, presence and shape of each section) and hands out slices
//! of the bytes that it was given. Slices are range-checked here; what their *contents* promise (an offset that lies
//! inside `.text`) is for whoever vouches for the file.

use std::ops::Range;

use hotfoot_abi::trap::TrapCode;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::info::{Header, ModuleInfo};
use crate::write::{Address, CallSite, CodeRange, Handler, MAGIC, NameEntry, PAGE, Trampolines, VERSION, section};

/// Why bytes are not a usable artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not an ELF file, or one that hotfoot did not write.
    #[error("this is not a hotfoot artifact: {0}; make one with `Engine::precompile_module`")]
    NotAnArtifact(String),
    /// Written by another version.
    #[error("the artifact has format version {found}, this hotfoot reads version {VERSION}: compile the module again")]
    Version {
        /// The file's version.
        found: u32,
    },
    /// A section is missing or malformed.
    #[error("the artifact is damaged: {0}; compile the module again")]
    Damaged(String),
}

/// A parsed artifact: slices of the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    /// What the code assumes.
    pub header: Header,
    /// Machine code, and where in the file it is.
    pub text: &'a [u8],
    /// Range of `.text` in the file; begins at a multiple of [`PAGE`](crate::write::PAGE).
    pub text_range: Range<usize>,
    /// Bytes of all data segments.
    pub data: &'a [u8],
    /// Range of the data section in the file; begins at a multiple of [`PAGE`](crate::write::PAGE).
    pub data_range: Range<usize>,
    /// Code of each defined function.
    pub functions: &'a [CodeRange],
    /// Type index of each function, imports first.
    pub function_types: &'a [U32],
    /// Function indices of escaping functions, ascending.
    pub escaping: &'a [U32],
    /// Trampolines of each type.
    pub trampolines: &'a [Trampolines],
    /// Items of element segments.
    pub elements: &'a [U32],
    /// Code offsets that may trap, ascending.
    pub trap_offsets: &'a [U32],
    /// Trap code of each.
    pub trap_codes: &'a [u8],
    /// Code offset to module offset, ascending.
    pub addresses: &'a [Address],
    /// Calls that exceptions can come back from, ascending.
    pub call_sites: &'a [CallSite],
    /// Handlers of those calls.
    pub handlers: &'a [Handler],
    info: &'a [u8],
    names: &'a [NameEntry],
    strings: &'a [u8],
}

impl<'a> Artifact<'a> {
    /// Reads the frame of an artifact.
    ///
    /// # Errors
    /// When the bytes are no artifact, one of another version, or visibly damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Artifact<'a>, ReadError> {
        let elf =
            ElfFile64::<LittleEndian>::parse(bytes).map_err(|error| ReadError::NotAnArtifact(error.to_string()))?;
        let sections = Sections { elf: &elf };
        let head = sections
            .bytes(section::HEAD)
            .map_err(|_| ReadError::NotAnArtifact("an ELF file without a hotfoot head".into()))?;
        let header = read_header(head)?;
        let (text, text_range) = sections.mapped(section::TEXT)?;
        let (data, data_range) = sections.mapped(section::DATA)?;
        let artifact = Artifact {
            header,
            text,
            text_range,
            data,
            data_range,
            functions: sections.table(section::FUNCTIONS)?,
            function_types: sections.table(section::FUNCTION_TYPES)?,
            escaping: sections.table(section::ESCAPING)?,
            trampolines: sections.table(section::TRAMPOLINES)?,
            elements: sections.table(section::ELEMENTS)?,
            trap_offsets: sections.table(section::TRAP_OFFSETS)?,
            trap_codes: sections.table(section::TRAP_CODES)?,
            addresses: sections.table(section::ADDRESSES)?,
            call_sites: sections.table(section::CALL_SITES)?,
            handlers: sections.table(section::HANDLERS)?,
            info: sections.bytes(section::INFO)?,
            names: sections.table(section::NAMES)?,
            strings: sections.bytes(section::STRINGS)?,
        };
        if artifact.trap_offsets.len() != artifact.trap_codes.len() {
            return Err(ReadError::Damaged("trap offsets and trap codes differ in number".into()));
        }
        Ok(artifact)
    }

    /// Decodes the module's interface.
    ///
    /// # Errors
    /// When the section is damaged or disagrees with the tables.
    pub fn info(&self) -> Result<ModuleInfo, ReadError> {
        let info: ModuleInfo = postcard::from_bytes(self.info)
            .map_err(|error| ReadError::Damaged(format!("{}: {error}", section::INFO)))?;
        let counts = info.counts();
        let agrees = info.num_funcs as usize == self.function_types.len()
            && (info.num_funcs - counts.imported_funcs.min(info.num_funcs)) as usize == self.functions.len()
            && info.escaping_funcs as usize == self.escaping.len()
            && info.types.len() == self.trampolines.len();
        if agrees {
            Ok(info)
        } else {
            Err(ReadError::Damaged("its tables disagree about the number of functions".into()))
        }
    }

    /// The trap code of the instruction at this code offset, if it may trap.
    ///
    /// Takes no lock and allocates nothing, so a signal handler may call it.
    pub fn trap_at(&self, code_offset: u32) -> Option<TrapCode> {
        let index = self.trap_offsets.binary_search_by_key(&code_offset, |offset| offset.get()).ok()?;
        TrapCode::from_u8(*self.trap_codes.get(index)?)
    }

    /// The call that returns to this code offset and its handlers, if it has any.
    pub fn handlers_at(&self, return_offset: u32) -> Option<(&'a CallSite, &'a [Handler])> {
        let index = self.call_sites.binary_search_by_key(&return_offset, |site| site.return_offset.get()).ok()?;
        let site = &self.call_sites[index];
        let first = site.first.get() as usize;
        Some((site, self.handlers.get(first..first.checked_add(site.count.get() as usize)?)?))
    }

    /// The defined function (counting defined functions only) whose code contains this offset.
    pub fn function_at(&self, code_offset: u32) -> Option<u32> {
        let next = self.functions.partition_point(|range| range.offset.get() <= code_offset);
        let index = next.checked_sub(1)?;
        let range = &self.functions[index];
        (code_offset - range.offset.get() < range.len.get()).then_some(index as u32)
    }

    /// The offset in the WebAssembly binary that the code at this offset comes from.
    pub fn wasm_offset_at(&self, code_offset: u32) -> Option<u32> {
        let next = self.addresses.partition_point(|address| address.code.get() <= code_offset);
        let wasm = self.addresses.get(next.checked_sub(1)?)?.wasm.get();
        (wasm != crate::NONE).then_some(wasm)
    }

    /// The name of a function, imports counted first.
    pub fn function_name(&self, function: u32) -> Option<&'a str> {
        let index = self.names.binary_search_by_key(&function, |entry| entry.function.get()).ok()?;
        let entry = &self.names[index];
        let start = entry.at.get() as usize;
        let bytes = self.strings.get(start..start.checked_add(entry.len.get() as usize)?)?;
        std::str::from_utf8(bytes).ok()
    }

    /// The place of a function among the escaping ones.
    pub fn escaping_slot(&self, function: u32) -> Option<u32> {
        self.escaping.binary_search_by_key(&function, |index| index.get()).ok().map(|slot| slot as u32)
    }
}

fn read_header(head: &[u8]) -> Result<Header, ReadError> {
    let rest = head
        .strip_prefix(MAGIC)
        .ok_or_else(|| ReadError::NotAnArtifact("its head does not begin with the magic bytes".into()))?;
    let (version, rest) =
        U32::read_from_prefix(rest).map_err(|_| ReadError::Damaged("its head ends before the version".into()))?;
    if version.get() != VERSION {
        return Err(ReadError::Version { found: version.get() });
    }
    postcard::from_bytes(rest).map_err(|error| ReadError::Damaged(format!("{}: {error}", section::HEAD)))
}

struct Sections<'e, 'a> {
    elf: &'e ElfFile64<'a, LittleEndian>,
}

impl<'a> Sections<'_, 'a> {
    fn bytes(&self, name: &str) -> Result<&'a [u8], ReadError> {
        let section =
            self.elf.section_by_name(name).ok_or_else(|| ReadError::Damaged(format!("it has no section {name}")))?;
        section.data().map_err(|error| ReadError::Damaged(format!("{name}: {error}")))
    }

    fn mapped(&self, name: &str) -> Result<(&'a [u8], Range<usize>), ReadError> {
        let bytes = self.bytes(name)?;
        let section = self.elf.section_by_name(name).and_then(|section| section.file_range());
        let (start, len) = section.ok_or_else(|| ReadError::Damaged(format!("{name} is not in the file")))?;
        if !start.is_multiple_of(PAGE) && len != 0 {
            return Err(ReadError::Damaged(format!("{name} does not begin on a page")));
        }
        Ok((bytes, start as usize..(start + len) as usize))
    }

    fn table<T>(&self, name: &str) -> Result<&'a [T], ReadError>
    where
        T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
    {
        <[T]>::ref_from_bytes(self.bytes(name)?)
            .map_err(|_| ReadError::Damaged(format!("{name} has a size that is no multiple of its entries")))
    }
}
