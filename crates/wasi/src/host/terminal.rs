//! Protecting a terminal from what a guest writes to it.
//!
//! Control sequences move the cursor, rewrite what stands above, change titles and, on some terminals, answer as if
//! typed. Here every control character but tab, line feed and carriage return becomes visible: those of ASCII as their
//! pictures (`␛`), the 8-bit ones and bytes that are no UTF-8 as `�`.

use super::Result;

/// How many bytes are translated at a time.
const CHUNK_BYTES: usize = 1024;
/// The longest translation of one byte.
const PICTURE_BYTES: usize = 3;

/// The translation in progress: the first bytes of a character whose rest has not been written yet.
#[derive(Debug, Default)]
pub struct Visible {
    begun: [u8; 3],
    begun_len: usize,
}

impl Visible {
    /// Writes `bytes` through `out`, which takes a whole piece or fails.
    pub fn write(&mut self, bytes: &[u8], mut out: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let mut input = [0; CHUNK_BYTES + 3];
            let len = self.begun_len + chunk.len();
            input[..self.begun_len].copy_from_slice(&self.begun[..self.begun_len]);
            input[self.begun_len..len].copy_from_slice(chunk);
            let mut visible = [0; (CHUNK_BYTES + 3) * PICTURE_BYTES];
            let visible_len = self.translate(&input[..len], &mut visible);
            out(&visible[..visible_len])?;
        }
        Ok(())
    }

    /// Translates all but an unfinished character at the end, which is kept; says how many bytes that made.
    fn translate(&mut self, mut input: &[u8], output: &mut [u8]) -> usize {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            output[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        self.begun_len = 0;
        while !input.is_empty() {
            let (valid, bad_len) = match std::str::from_utf8(input) {
                Ok(valid) => (valid, Some(0)),
                // What is valid up to there is; the lossless default never happens.
                Err(error) => {
                    (std::str::from_utf8(&input[..error.valid_up_to()]).unwrap_or_default(), error.error_len())
                }
            };
            for character in valid.chars() {
                put(picture(character).encode_utf8(&mut [0; 4]).as_bytes());
            }
            let rest = &input[valid.len()..];
            match bad_len {
                Some(0) => return at,
                Some(len) => {
                    put("\u{fffd}".as_bytes());
                    input = &rest[len..];
                }
                None => {
                    self.begun[..rest.len()].copy_from_slice(rest);
                    self.begun_len = rest.len();
                    return at;
                }
            }
        }
        at
    }
}

fn picture(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' => character,
        '\0'..='\x1f' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(writes: &[&[u8]]) -> String {
        let mut visible = Visible::default();
        let mut all = Vec::new();
        for bytes in writes {
            let out = |piece: &[u8]| {
                all.extend_from_slice(piece);
                Ok(())
            };
            visible.write(bytes, out).unwrap();
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(shown(&[b"plain\ttext\r\n"]), "plain\ttext\r\n");
        assert_eq!(shown(&[b"\x1b[2J\x1b]0;title\x07"]), "␛[2J␛]0;title␇");
        assert_eq!(shown(&[b"\0\x08\x0b\x7f"]), "␀␈␋␡");
        assert_eq!(shown(&["\u{9b}31m é 漢 🦀".as_bytes()]), "\u{fffd}31m é 漢 🦀");
        assert_eq!(shown(&[b"\x9b31m\xff"]), "\u{fffd}31m\u{fffd}");
    }

    #[test]
    fn characters_may_come_in_pieces() {
        let text = "é 漢 🦀\x1b".as_bytes();
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(shown(&bytes), "é 漢 🦀␛");
        assert_eq!(shown(&[b"\xf0\x9f", b"x"]), "\u{fffd}x");
        // The second half of a sequence cannot be smuggled past by its first half.
        assert_eq!(shown(&[b"\xc2", b"\x9b31m"]), "\u{fffd}31m");
    }

    #[test]
    fn long_text_is_whole_and_worst_cases_fit() {
        assert_eq!(shown(&["é".repeat(5000).as_bytes()]), "é".repeat(5000));
        assert_eq!(shown(&[&[0x1b; 5000]]), "␛".repeat(5000));
        assert_eq!(shown(&[&[0xff; 5000]]), "\u{fffd}".repeat(5000));
        assert_eq!(shown(&[b"\xf0\x9f\xa6", &[0xff; 5000]]), "\u{fffd}".repeat(5001));
    }
}
