//! Reading an artifact where it lies.
//!
//! [`Artifact::parse`] checks the head and what loading reads, and hands out slices of the bytes that it was given. They
//! are range-checked here; that their *contents* are what was written is known after [`Artifact::check_body`], and that
//! hotfoot wrote them is for whoever vouches for the file, or for [`Artifact::check_signature`].

use std::ops::Range;

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::debug::DebugSections;
use crate::head::{DIRECTORY_START, Head, Key, Place, VERSION};
use crate::info::{Header, ModuleInfo};
use crate::section::Section;
use crate::tables::CodeTables;
use crate::types::EntityIndex;
use crate::write::{CodeRange, ExportEntry, NameEntry, PAGE, Trampolines};

/// Why bytes are not a usable artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not an ELF file, or one that hotfoot did not write.
    #[error("this is not a hotfoot artifact: {0}; make one with `Engine::precompile_module`")]
    NotAnArtifact(String),
    /// Not signed with the key that was asked for.
    #[error("the artifact cannot be trusted: {0}; sign it with the key that is expected, or compile the module again")]
    Signature(&'static str),
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
    /// Items of element segments: an imported function, or the count of these and a place among
    /// the escaping ones, or [`NONE`](crate::NONE) for null.
    pub elements: &'a [U32],
    /// What is known of the code by its addresses.
    pub code: CodeTables<'a>,
    file: &'a [u8],
    head: Head,
    info: &'a [u8],
    exports: &'a [ExportEntry],
    exports_by_name: &'a [U32],
    names: &'a [NameEntry],
    strings: &'a [u8],
    debug: &'a [u8],
}

impl<'a> Artifact<'a> {
    /// Reads the head of an artifact, and what it says about the code.
    ///
    /// # Errors
    /// When the bytes are no artifact, one of another version, not whole, or damaged in what was read.
    pub fn parse(bytes: &'a [u8]) -> Result<Artifact<'a>, ReadError> {
        let head = Head::read(bytes)?;
        let sections = Sections::new(bytes, &head)?;
        let header = postcard::from_bytes(sections.bytes(Section::Header)?)
            .map_err(|error| ReadError::Damaged(format!("{}: {error}", Section::Header.name())))?;
        let (text, text_range) = sections.mapped(Section::Text)?;
        let (data, data_range) = sections.mapped(Section::Data)?;
        let code = CodeTables {
            trap_offsets: sections.table(Section::TrapOffsets)?.into(),
            trap_codes: sections.table(Section::TrapCodes)?.into(),
            addresses: sections.table(Section::Addresses)?.into(),
            inlined: sections.table(Section::Inlined)?.into(),
            call_sites: sections.table(Section::CallSites)?.into(),
            handlers: sections.table(Section::Handlers)?.into(),
            stack_maps: sections.table(Section::StackMaps)?.into(),
            roots: sections.table(Section::Roots)?.into(),
        };
        if code.trap_offsets.len() != code.trap_codes.len() {
            return Err(ReadError::Damaged("trap offsets and trap codes differ in number".into()));
        }
        Ok(Artifact {
            header,
            text,
            text_range,
            data,
            data_range,
            functions: sections.table(Section::Functions)?,
            function_types: sections.table(Section::FunctionTypes)?,
            escaping: sections.table(Section::Escaping)?,
            trampolines: sections.table(Section::Trampolines)?,
            elements: sections.table(Section::Elements)?,
            code,
            file: bytes,
            head,
            info: sections.bytes(Section::Info)?,
            exports: sections.table(Section::Exports)?,
            exports_by_name: sections.table(Section::ExportsByName)?,
            names: sections.table(Section::Names)?,
            strings: sections.bytes(Section::Strings)?,
            debug: sections.bytes(Section::Debug)?,
        })
    }

    /// Reads all of the file and checks that it is what was written.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_body(&self) -> Result<(), ReadError> {
        self.head.check_body(self.file)
    }

    /// Checks that someone with this key signed the artifact. Says nothing about the body; see [`Artifact::check_body`].
    ///
    /// # Errors
    /// When nobody did.
    pub fn check_signature(&self, key: &Key) -> Result<(), ReadError> {
        self.head.check_signature(key)
    }

    /// Where in the file each section is, in the order of the file.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn sections(&self) -> Result<Vec<(Section, Range<usize>)>, ReadError> {
        let sections = Sections::new(self.file, &self.head)?;
        Section::ALL.into_iter().map(|section| Ok((section, sections.range(section)?))).collect()
    }

    /// Decodes the module's interface.
    ///
    /// # Errors
    /// When the section is damaged or disagrees with the tables.
    pub fn info(&self) -> Result<ModuleInfo, ReadError> {
        let info: ModuleInfo = postcard::from_bytes(self.info)
            .map_err(|error| ReadError::Damaged(format!("{}: {error}", Section::Info.name())))?;
        let counts = info.counts();
        let agrees = info.num_funcs as usize == self.function_types.len()
            && (info.num_funcs - counts.imported_funcs.min(info.num_funcs)) as usize == self.functions.len()
            && info.escaping_funcs as usize == self.escaping.len()
            && info.types.len() == self.trampolines.len()
            && info.data.iter().all(|data| data.index < info.data_segments);
        if !agrees || !info.types_are_ordered() {
            return Err(ReadError::Damaged("its tables disagree about its functions and types".into()));
        }
        if info.memories.iter().any(|memory| memory.page_size_log2 > 16) {
            return Err(ReadError::Damaged("a memory has larger pages than there are".into()));
        }
        Ok(info)
    }

    /// The defined function (counting defined functions only) whose code contains this offset.
    pub fn function_at(&self, code_offset: u32) -> Option<u32> {
        let next = self.functions.partition_point(|range| range.offset.get() <= code_offset);
        let index = next.checked_sub(1)?;
        let range = &self.functions[index];
        (code_offset - range.offset.get() < range.len.get()).then_some(index as u32)
    }

    /// What source the code comes from, if the module said so.
    pub fn debug_info(&self) -> Option<DebugSections<'a>> {
        DebugSections::decode(self.debug)
    }

    /// The name of a function, imports counted first.
    pub fn function_name(&self, function: u32) -> Option<&'a str> {
        let index = self.names.binary_search_by_key(&function, |entry| entry.function.get()).ok()?;
        let entry = &self.names[index];
        self.string(entry.at, entry.len)
    }

    fn bytes(&self, at: U32, len: U32) -> Option<&'a [u8]> {
        let start = at.get() as usize;
        self.strings.get(start..start.checked_add(len.get() as usize)?)
    }

    fn string(&self, at: U32, len: U32) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(at, len)?).ok()
    }

    /// The exports in the order of the module.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = (&'a str, EntityIndex)> + use<'_, 'a> {
        self.exports.iter().map(|export| (self.export_name(export), export.entity()))
    }

    /// The export with this name.
    pub fn export(&self, name: &str) -> Option<EntityIndex> {
        let at = |number: &U32| self.exports.get(number.get() as usize);
        let name_at =
            |number: &U32| at(number).and_then(|export| self.bytes(export.at, export.len)).unwrap_or_default();
        let found = self.exports_by_name.binary_search_by_key(&name.as_bytes(), name_at).ok()?;
        at(&self.exports_by_name[found]).map(ExportEntry::entity)
    }

    fn export_name(&self, export: &ExportEntry) -> &'a str {
        self.string(export.at, export.len).unwrap_or_default()
    }

    /// The place of a function among the escaping ones.
    pub fn escaping_slot(&self, function: u32) -> Option<u32> {
        self.escaping.binary_search_by_key(&function, |index| index.get()).ok().map(|slot| slot as u32)
    }
}

/// The places of the sections in a file.
struct Sections<'a> {
    file: &'a [u8],
    directory: &'a [Place],
}

impl<'a> Sections<'a> {
    fn new(file: &'a [u8], head: &Head) -> Result<Sections<'a>, ReadError> {
        let directory = file.get(DIRECTORY_START..).unwrap_or_default();
        match <[Place]>::ref_from_prefix_with_elems(directory, head.sections.get() as usize) {
            Ok((directory, _)) => Ok(Sections { file, directory }),
            Err(_) => Err(ReadError::Damaged("it has no room for its sections".to_owned())),
        }
    }

    fn range(&self, section: Section) -> Result<Range<usize>, ReadError> {
        let inside = |place: &Place| {
            let start = usize::try_from(place.offset.get()).ok()?;
            let end = start.checked_add(usize::try_from(place.len.get()).ok()?)?;
            (end <= self.file.len()).then_some(start..end)
        };
        let range = self.directory.get(section as usize).and_then(inside);
        range.ok_or_else(|| ReadError::Damaged(format!("{} is not in the file", section.name())))
    }

    fn bytes(&self, section: Section) -> Result<&'a [u8], ReadError> {
        Ok(&self.file[self.range(section)?])
    }

    fn mapped(&self, section: Section) -> Result<(&'a [u8], Range<usize>), ReadError> {
        let range = self.range(section)?;
        if !(range.start as u64).is_multiple_of(PAGE) {
            return Err(ReadError::Damaged(format!("{} does not begin on a page", section.name())));
        }
        Ok((&self.file[range.clone()], range))
    }

    fn table<T>(&self, section: Section) -> Result<&'a [T], ReadError>
    where
        T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
    {
        <[T]>::ref_from_bytes(self.bytes(section)?).map_err(|_| {
            ReadError::Damaged(format!("{} has a size that is no multiple of its entries", section.name()))
        })
    }
}
