//! Files with debug information beside a module's.
//!
//! ```text
//!  app.wasm   section external_debug_info: "app.debug.wasm"     all of it is in that file
//!  app.wasm   its own sections, without what was split off      the rest is in the package app.dwp
//! ```
//!
//! All of them are WebAssembly, of which only the custom sections are looked at. The guest names a file, so it can only be
//! one of the same folder.

use std::fs;
use std::ops::Range;
use std::path::Path;

use hotfoot_artifact::{DebugSections, EXTERNAL_DEBUG_INFO};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// The files there are.
#[derive(Debug, Default)]
pub struct Beside {
    /// Has what the module itself could have.
    pub main: Option<DebugFile>,
    /// Has what was split off.
    pub package: Option<DebugFile>,
}

impl Beside {
    /// Looks for what belongs to a module that comes from a file.
    pub fn find(origin: &Path, info: &DebugSections<'_>) -> Beside {
        let named = name_of(section(info, EXTERNAL_DEBUG_INFO)).filter(|_| section(info, ".debug_info").is_empty());
        let main = named.and_then(|name| DebugFile::read(&origin.with_file_name(name)));
        Beside { main, package: DebugFile::read(&origin.with_extension("dwp")) }
    }
}

/// A section of the module itself; nothing if there is none of this name.
pub fn section<'a>(info: &DebugSections<'a>, name: &str) -> &'a [u8] {
    info.sections.iter().find(|(own, _)| *own == name).map_or(&[], |(_, bytes)| bytes)
}

/// A file's name in the contents of a section; `None` if it is a path or a URL.
fn name_of(mut section: &[u8]) -> Option<&str> {
    let len = number(&mut section)?;
    let name = std::str::from_utf8(section.get(..len)?).ok()?;
    (Path::new(name).file_name()? == name).then_some(name)
}

/// A WebAssembly file, and where its custom sections are.
#[derive(Debug)]
pub struct DebugFile {
    bytes: Vec<u8>,
    sections: Vec<(String, Range<usize>)>,
}

impl DebugFile {
    /// Reads a file; `None` if there is none, or it is something else.
    fn read(path: &Path) -> Option<DebugFile> {
        let metadata = fs::metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return None;
        }
        let bytes = fs::read(path).ok()?;
        let sections = sections(&bytes)?;
        Some(DebugFile { bytes, sections })
    }

    /// The contents of a section; nothing if there is none of this name.
    pub fn section(&self, name: &str) -> &[u8] {
        let found = self.sections.iter().find(|(own, _)| own == name);
        found.map_or(&[], |(_, range)| &self.bytes[range.clone()])
    }
}

/// Names and contents of the custom sections, up to where the file is damaged.
fn sections(bytes: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    let mut rest = bytes.strip_prefix(b"\0asm\x01\0\0\0")?;
    let mut sections = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        rest = after;
        let Some(section) = take(&mut rest) else { break };
        let mut contents = section;
        if *id == 0
            && let Some(Ok(name)) = take(&mut contents).map(std::str::from_utf8)
        {
            let end = bytes.len() - rest.len();
            sections.push((name.to_owned(), end - contents.len()..end));
        }
    }
    Some(sections)
}

/// Bytes that follow their number.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = number(bytes)?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// A number in LEB128.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{name_of, sections};

    #[test]
    fn only_a_file_of_the_same_folder_is_named() {
        assert_eq!(name_of(b"\x05a.wasm"), Some("a.was"));
        assert_eq!(name_of(b"\x06a.wasm"), Some("a.wasm"));
        for refused in
            [&b""[..], b"\x00", b"\x07a.wasm", b"\x02..", b"\x04/etc", b"\x04../a", b"\x03a/b", b"\x02a/", b"\x01\xff"]
        {
            assert_eq!(name_of(refused), None, "{refused:?}");
        }
        assert_eq!(name_of(b"\x80\x80\x80\x80\x80\x80"), None);
    }

    #[test]
    fn sections_are_found_up_to_the_damage() {
        let file = b"\0asm\x01\0\0\0\x01\x01\x00\x00\x05\x02.dxy\x00\x02\x01z\x00\x7f";
        let found = sections(file).unwrap();
        assert_eq!(found, [(".d".to_owned(), 16..18), ("z".to_owned(), 22..22)]);
        assert_eq!(sections(b"\x7fELF"), None);
        assert_eq!(sections(b"\0asm\x01\0\0\0").unwrap(), []);
    }
}
