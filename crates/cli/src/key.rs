//! A secret key that artifacts are signed with, in a file: 64 hexadecimal digits.

use std::path::Path;

use anyhow::{Context, Result};

/// Reads a key.
///
/// # Errors
/// When the file cannot be read, or is no key.
pub fn read(path: &Path) -> Result<[u8; 32]> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the key file `{shown}`"))?;
    parse(text.trim()).with_context(|| {
        format!("`{shown}` is no key, which is 64 hexadecimal digits; make one with `openssl rand -hex 32 > {shown}`")
    })
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 2 * key.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let key = parse("00ff0102030405060708090a0B0c0d0e0f101112131415161718191a1b1c1d1e").unwrap();
        assert_eq!((key[0], key[1], key[12], key[31]), (0, 255, 11, 30));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"+".repeat(64), &"é".repeat(32)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
