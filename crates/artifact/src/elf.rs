//! The ELF frame around an artifact, for tools that show object files; hotfoot itself reads none of it but the magic.
//!
//! ```text
//!  0    Elf64_Ehdr (64 bytes): a relocatable object of the target's machine, 64-bit, little endian
//!  …    the artifact
//!  end  section names, then Elf64_Shdr (64 bytes): null, one per section, the section names
//! ```
//! Source: [System V ABI, chapters 4 and 5](https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html).

use std::ops::Range;

use crate::section::Section;

/// Begins every ELF file.
pub const MAGIC: &[u8; 4] = b"\x7fELF";
/// Bytes of the ELF header, which is the first thing in the file.
pub const HEADER_LEN: usize = 64;

const SECTION_HEADER_LEN: usize = 64;
/// `ET_REL`
const RELOCATABLE: u16 = 1;
/// `EM_X86_64` and `EM_AARCH64`
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// `SHT_PROGBITS` and `SHT_STRTAB`
const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;
/// `SHF_ALLOC` and `SHF_EXECINSTR`
const ALLOC: u64 = 2;
const EXECINSTR: u64 = 4;

/// Appends the names and headers of the sections, which lie at these places, and fills in the header.
pub fn frame(file: &mut Vec<u8>, target: &str, sections: &[(Section, Range<usize>)]) {
    let mut names = vec![0];
    let mut headers = vec![0; SECTION_HEADER_LEN];
    for (section, place) in sections {
        let is_text = *section == Section::Text;
        let flags = if is_text { ALLOC | EXECINSTR } else { ALLOC };
        let align = if section.is_mapped() { crate::write::PAGE } else { 8 };
        push_header(&mut headers, names.len(), PROGBITS, flags, place.clone(), align);
        push_name(&mut names, section.name());
    }
    let names_at = file.len();
    let own_name = names.len();
    push_name(&mut names, ".shstrtab");
    push_header(&mut headers, own_name, STRTAB, 0, names_at..names_at + names.len(), 1);
    file.extend_from_slice(&names);
    file.resize(file.len().next_multiple_of(8), 0);
    let headers_at = file.len() as u64;
    file.extend_from_slice(&headers);
    let count = (headers.len() / SECTION_HEADER_LEN) as u16;
    file[..HEADER_LEN].copy_from_slice(&header(target, headers_at, count));
}

fn push_name(names: &mut Vec<u8>, name: &str) {
    names.extend_from_slice(name.as_bytes());
    names.push(0);
}

/// Appends an `Elf64_Shdr`.
fn push_header(headers: &mut Vec<u8>, name: usize, kind: u32, flags: u64, place: Range<usize>, align: u64) {
    headers.extend_from_slice(&(name as u32).to_le_bytes());
    headers.extend_from_slice(&kind.to_le_bytes());
    let address = 0;
    for word in [flags, address, place.start as u64, place.len() as u64] {
        headers.extend_from_slice(&word.to_le_bytes());
    }
    let (link, info, entry_size) = (0u32, 0u32, 0u64);
    headers.extend_from_slice(&link.to_le_bytes());
    headers.extend_from_slice(&info.to_le_bytes());
    headers.extend_from_slice(&align.to_le_bytes());
    headers.extend_from_slice(&entry_size.to_le_bytes());
}

/// An `Elf64_Ehdr`.
fn header(target: &str, section_headers_at: u64, section_headers: u16) -> [u8; HEADER_LEN] {
    let machine = if target.starts_with("aarch64") { AARCH64 } else { X86_64 };
    let mut header = [0; HEADER_LEN];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    // 64-bit, little endian, version 1.
    put(4, &[2, 1, 1]);
    put(16, &RELOCATABLE.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(40, &section_headers_at.to_le_bytes());
    put(52, &(HEADER_LEN as u16).to_le_bytes());
    put(58, &(SECTION_HEADER_LEN as u16).to_le_bytes());
    put(60, &section_headers.to_le_bytes());
    // The section names are in the last section.
    put(62, &(section_headers - 1).to_le_bytes());
    header
}
