//! The file of recorded modules: what a peer saw of them, beside them.
//!
//! ```text
//!  record*    record = wasm length (4 bytes, little endian), wasm, text length, text
//! ```
//!
//! The text is the lines of a run in the peer, joined by line feeds. `fuzz/src/record.rs` writes the file.

/// A module and the lines of its run in a peer.
#[derive(Clone, Debug)]
pub struct Record {
    /// The module's bytes.
    pub wasm: Vec<u8>,
    /// What `observe` wrote down.
    pub lines: Vec<String>,
}

/// All records of a file; `None` if it ends in the middle of one.
pub fn read(mut file: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let [wasm, text] = [part(&mut file)?, part(&mut file)?];
        let lines = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
        records.push(Record { wasm: wasm.to_vec(), lines });
    }
    Some(records)
}

fn part<'a>(file: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = file.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *file = rest;
    Some(part)
}
