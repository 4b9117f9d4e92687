//! The file that a user names as a module, before the engine sees it: read, turned from text into the binary format,
//! and checked from the outside, so that a wrong file is called by what it is.
//!
//! ```text
//!  00 61 73 6d │ 01 00 │ 00 00 │ id  size …body… │ id  size …body… │ …
//!  magic       │ version│ layer │ sections, until the end of the file
//! ```
//! Layer 0 is a core module and layer 1 a component. What is inside the sections is left to the engine's validation.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::args::{self, Source};
use crate::near;

const MAGIC: &[u8] = b"\0asm";
const HEADER_LEN: usize = 8;

/// Reads all of a file or of standard input.
///
/// # Errors
/// When it cannot be read.
pub fn read(source: &Source) -> Result<Vec<u8>> {
    match source {
        Source::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
            Ok(bytes)
        }
        Source::File(path) => read_file(path),
    }
}

/// Whether bytes begin as the binary format does.
pub fn is_binary(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// A core module in the binary format whose sections all lie inside the file, from either format.
///
/// # Errors
/// When the bytes are something else; the message says what.
pub fn to_module(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>> {
    let bytes = if bytes.starts_with(MAGIC) { bytes } else { from_text(bytes, name)? };
    check_header(&bytes, name)?;
    check_sections(&bytes, name)?;
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    if path.is_dir() {
        bail!("`{shown}` is a directory; name a .wasm or .wat file in it");
    }
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let commands = args::command_names();
            match near::nearest(&shown.to_string(), commands.iter().map(String::as_str)) {
                Some(command) => anyhow!("there is no file `{shown}`; did you mean the command `hotfoot {command}`?"),
                None => anyhow!("there is no file `{shown}`; check the path, which is relative to where you are"),
            }
        }
        _ => anyhow!("cannot read `{shown}`: {error}; check the file and its permissions"),
    })
}

/// Turns the text format into the binary format, or says what the bytes are instead of WebAssembly.
fn from_text(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        bail!("{name} is empty, so there is nothing to run; build or download the module again");
    }
    if MAGIC.starts_with(&bytes) {
        bail!("{name} ends after {} bytes, inside the header of a module; build or download it again", bytes.len());
    }
    if bytes.starts_with(b"\x7fELF") {
        bail!("{name} is a native program (ELF), not WebAssembly; compile it for a wasm target such as wasm32-wasi");
    }
    let begin = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let Ok(text) = std::str::from_utf8(&bytes) else {
        bail!("{name} is not WebAssembly: it begins with {begin} where a module has 00 61 73 6d; check the file");
    };
    if !looks_like_wat(text) {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let line: String = line.chars().filter(|letter| !letter.is_control()).take(40).collect();
        bail!(
            "{name} is a text file but not WebAssembly text, which begins with `(module`: it begins with `{line}`; \
             compile your program to WebAssembly first"
        );
    }
    wat::parse_str(text).map_err(|error| {
        let error = error.to_string().replace("<anon>", name.trim_matches('`'));
        anyhow!("{name} is not correct WebAssembly text; correct it here: {error}")
    })
}

/// Whether the first thing that is no blank and no comment is an opening parenthesis.
fn looks_like_wat(text: &str) -> bool {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix(";;") {
        rest = comment.split_once('\n').map_or("", |(_, next)| next).trim_start();
    }
    rest.starts_with('(')
}

fn check_header(bytes: &[u8], name: &str) -> Result<()> {
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        bail!("{name} ends after {} bytes, inside the header of a module; build or download it again", bytes.len());
    };
    let (version, layer) = (u16::from_le_bytes([header[4], header[5]]), u16::from_le_bytes([header[6], header[7]]));
    match (version, layer) {
        (1, 0) => Ok(()),
        (_, 1) => bail!(
            "{name} is a component, and hotfoot runs core modules only so far; build it for wasm32-wasip1, \
             or extract its core module with `wasm-tools component unbundle`"
        ),
        _ => bail!("{name} has version {version} of the binary format, and only version 1 exists; build it again"),
    }
}

/// Walks over the sections without looking into them.
fn check_sections(bytes: &[u8], name: &str) -> Result<()> {
    let mut at = HEADER_LEN;
    while let Some(&id) = bytes.get(at) {
        let truncated = |missing: String| {
            anyhow!(
                "{name} is truncated: it ends after {} bytes, and its {} section at offset {at:#x} {missing}; \
                 build or download it again",
                bytes.len(),
                section_name(id)
            )
        };
        let (size, body) = match read_u32(bytes, at + 1) {
            Length::Value(size, body) => (size, body),
            Length::Truncated => return Err(truncated("has no length".to_owned())),
            // Not a matter of length: the engine's validation says it better.
            Length::Malformed => return Ok(()),
        };
        let end = body + size as usize;
        if end > bytes.len() {
            return Err(truncated(format!("needs {} more", end - bytes.len())));
        }
        at = end;
    }
    Ok(())
}

enum Length {
    /// A value and the offset after it.
    Value(u32, usize),
    Truncated,
    Malformed,
}

/// Reads an [unsigned LEB128 number](https://webassembly.github.io/spec/core/binary/values.html#integers).
fn read_u32(bytes: &[u8], at: usize) -> Length {
    let mut value = 0;
    for count in 0..5 {
        let Some(&byte) = bytes.get(at + count) else { return Length::Truncated };
        value |= u64::from(byte & 0x7f) << (7 * count);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_or(Length::Malformed, |value| Length::Value(value, at + count + 1));
        }
    }
    Length::Malformed
}

fn section_name(id: u8) -> String {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    NAMES.get(usize::from(id)).map_or_else(|| format!("unknown ({id})"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<Vec<u8>> {
        to_module(bytes.to_vec(), "`x`")
    }

    fn complaint(bytes: &[u8]) -> String {
        check(bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_truncation_is_noticed_or_ends_between_sections() {
        let module = wat::parse_str("(module (memory 1) (func (export \"f\")) (data (i32.const 0) \"abc\"))").unwrap();
        let mut whole = 0;
        for len in 0..module.len() {
            match check(&module[..len]) {
                Ok(_) => whole += 1,
                Err(error) => assert!(error.to_string().contains("again"), "{error}"),
            }
        }
        assert_eq!(whole, 6, "the header alone and one more for each section but the last");
    }

    #[test]
    fn other_files_are_called_by_what_they_are() {
        assert!(complaint(b"").contains("is empty"));
        assert!(complaint(b"\0as").contains("ends after 3 bytes"));
        assert!(complaint(b"\0asm\x0d\0\x01\0").contains("is a component"));
        assert!(complaint(b"(component)").contains("is a component"));
        assert!(complaint(b"\0asm\x02\0\0\0").contains("version 2"));
        assert!(complaint(b"\x7fELF\x02\x01").contains("ELF"));
        assert!(complaint(b"\xff\xd8\xff\xe0").contains("begins with ff d8 ff e0"));
        assert!(complaint(b"\n#!/bin/sh\n").contains("begins with `#!/bin/sh`"));
        assert!(complaint(b"(module (funk))").contains("correct it here"));
    }

    #[test]
    fn lengths() {
        assert!(matches!(read_u32(&[0xe5, 0x8e, 0x26], 0), Length::Value(624_485, 3)));
        assert!(matches!(read_u32(&[0x80], 0), Length::Truncated));
        assert!(matches!(read_u32(&[0x80; 6], 0), Length::Malformed));
    }
}
