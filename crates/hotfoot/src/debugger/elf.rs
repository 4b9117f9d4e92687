//! The ELF file: symbols of code that lies elsewhere in memory, and sections about it.
//!
//! ```text
//!  0    Elf64_Ehdr: an executable, so that addresses are what they say
//!  …    .symtab: Elf64_Sym of 24 bytes each; .strtab; the sections of DWARF; .shstrtab
//!  end  Elf64_Shdr of 64 bytes each: null, .text (no bytes), and those
//! ```
//! Source: [System V ABI, chapters 4 and 5](https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html).

use std::ops::Range;

use super::dwarf::Sections;
use crate::profiling::code::Piece;

const HEADER_LEN: u16 = 64;
const SECTION_HEADER_LEN: u16 = 64;
const SYMBOL_LEN: u64 = 24;
/// `ET_EXEC`
const EXECUTABLE: u16 = 2;
/// `STB_GLOBAL` and `STT_FUNC`
const GLOBAL_FUNCTION: u8 = 1 << 4 | 2;
/// The number of `.text`, and of `.strtab`, among the sections.
const TEXT: u16 = 1;
const STRINGS: u32 = 3;

/// Kinds of sections.
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
/// `SHF_ALLOC` and `SHF_EXECINSTR`
const ALLOCATED_CODE: u64 = 2 | 4;

/// An `Elf64_Shdr`, as far as sections differ.
#[derive(Default)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    place: Range<u64>,
    link: u32,
    info: u32,
    entry_len: u64,
}

/// The file that describes code at these addresses.
pub fn file(text: Range<usize>, pieces: &[Piece], dwarf: &Sections) -> Vec<u8> {
    let mut file = vec![0; HEADER_LEN.into()];
    let mut names = vec![0];
    let mut sections = vec![Section::default()];
    sections.push(Section {
        name: push_name(&mut names, ".text"),
        kind: NOBITS,
        flags: ALLOCATED_CODE,
        address: text.start as u64,
        place: 0..text.len() as u64,
        ..Section::default()
    });
    let (symbols, strings) = symbols(&text, pieces);
    sections.push(Section {
        name: push_name(&mut names, ".symtab"),
        kind: SYMTAB,
        place: push(&mut file, &symbols),
        link: STRINGS,
        // The first symbol that is not local.
        info: 1,
        entry_len: SYMBOL_LEN,
        ..Section::default()
    });
    sections.push(Section {
        name: push_name(&mut names, ".strtab"),
        kind: STRTAB,
        place: push(&mut file, &strings),
        ..Section::default()
    });
    for (name, bytes) in dwarf {
        let name = push_name(&mut names, name);
        sections.push(Section { name, kind: PROGBITS, place: push(&mut file, bytes), ..Section::default() });
    }
    let name = push_name(&mut names, ".shstrtab");
    sections.push(Section { name, kind: STRTAB, place: push(&mut file, &names), ..Section::default() });
    let headers: Vec<u8> = sections.iter().flat_map(section_header).collect();
    let headers_at = push(&mut file, &headers).start;
    let header = header(headers_at, sections.len() as u16);
    file[..header.len()].copy_from_slice(&header);
    file
}

/// The symbol table and its strings.
fn symbols(text: &Range<usize>, pieces: &[Piece]) -> (Vec<u8>, Vec<u8>) {
    let (mut symbols, mut strings) = (vec![0; SYMBOL_LEN as usize], vec![0]);
    for piece in pieces {
        symbols.extend(push_name(&mut strings, &piece.name).to_le_bytes());
        symbols.extend([GLOBAL_FUNCTION, 0]);
        symbols.extend(TEXT.to_le_bytes());
        symbols.extend((text.start as u64 + u64::from(piece.code_offset)).to_le_bytes());
        symbols.extend(u64::from(piece.len).to_le_bytes());
    }
    (symbols, strings)
}

/// Appends bytes at a multiple of 8 and tells where.
fn push(file: &mut Vec<u8>, bytes: &[u8]) -> Range<u64> {
    file.resize(file.len().next_multiple_of(8), 0);
    let start = file.len() as u64;
    file.extend_from_slice(bytes);
    start..file.len() as u64
}

fn push_name(names: &mut Vec<u8>, name: &str) -> u32 {
    let at = names.len() as u32;
    names.extend(name.bytes().filter(|byte| *byte != 0));
    names.push(0);
    at
}

fn section_header(section: &Section) -> Vec<u8> {
    let (place, mut out) = (&section.place, Vec::new());
    let align = if section.kind == NOBITS { 1 } else { 8 };
    out.extend(section.name.to_le_bytes());
    out.extend(section.kind.to_le_bytes());
    for word in [section.flags, section.address, place.start, place.end - place.start] {
        out.extend(word.to_le_bytes());
    }
    out.extend(section.link.to_le_bytes());
    out.extend(section.info.to_le_bytes());
    for word in [align, section.entry_len] {
        out.extend(word.to_le_bytes());
    }
    out
}

/// The `Elf64_Ehdr`.
fn header(headers_at: u64, sections: u16) -> Vec<u8> {
    // 64-bit, little endian, version 1, System V.
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    out.resize(16, 0);
    // `EM_AARCH64` or `EM_X86_64`
    let machine: u16 = if std::env::consts::ARCH == "aarch64" { 183 } else { 62 };
    out.extend(EXECUTABLE.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    for word in [0, 0, headers_at] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [HEADER_LEN, 0, 0, SECTION_HEADER_LEN, sections, sections - 1] {
        out.extend(half.to_le_bytes());
    }
    out
}
