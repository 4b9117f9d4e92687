//! Modules for the ordinary tests, with what the peer saw of them: `crates/testing/tests/differential/file.rs` draws the file.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use wasmparser::{Parser, Payload};

use crate::compare::{Engines, Outcome};
use crate::generate::Case;
use crate::ours::observe::{EXHAUSTED, REFUSED};

/// The largest module and text that are recorded: the file should stay small.
const BYTES: usize = 4000;
/// How often an instruction, or something that happens, is wanted.
const WANTED: u32 = 3;

/// Writes so many modules, from a seed on, that both engines agree on and that have something of which there is little yet.
///
/// # Errors
/// Those of writing.
pub fn write(seed: u64, count: usize, output: impl Write) -> io::Result<()> {
    let mut engines = Engines::default();
    let mut output = BufWriter::new(output);
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut left = count;
    for case in (seed..).filter_map(Case::of_seed).filter(|case| !case.damaged && !case.canonical) {
        if left == 0 {
            break;
        }
        let Some(lines) = engines.run_peer(&case.wasm, case.peer_optimised, false) else { continue };
        let text = lines.join("\n");
        let useless = lines.len() < 4 || [REFUSED, EXHAUSTED].iter().any(|mark| text.contains(mark));
        if useless || case.wasm.len() + text.len() > BYTES || engines.compare(&case) != Outcome::Same {
            continue;
        }
        let mut things = instructions(&case.wasm);
        things.extend(lines.iter().map(|line| kind(line)));
        if things.iter().all(|thing| seen.get(thing).is_some_and(|times| *times >= WANTED)) {
            continue;
        }
        things.into_iter().for_each(|thing| *seen.entry(thing).or_default() += 1);
        for part in [&case.wasm[..], text.as_bytes()] {
            output.write_all(&(part.len() as u32).to_le_bytes())?;
            output.write_all(part)?;
        }
        left -= 1;
    }
    output.flush()
}

/// What happens in a line, without the values.
fn kind(line: &str) -> String {
    let words = if line.starts_with("traps") { 2 } else { 1 };
    line.split_whitespace().take(words).collect()
}

/// The names of a module's instructions, each once.
fn instructions(wasm: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm).flatten() {
        if let Payload::CodeSectionEntry(body) = payload {
            for operator in body.get_operators_reader().into_iter().flatten().flatten() {
                let text = format!("{operator:?}");
                names.push(text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}
