//! The programs: our own, which are in the repository, and those of a corpus.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A program that imports `bench.start` and `bench.end` beside WASI.
pub struct Program {
    pub name: String,
    pub wasm: Vec<u8>,
    /// The directory that it sees as `.`.
    pub dir: Option<PathBuf>,
    /// What it was made from, if that is C and in the repository.
    pub source: Option<&'static str>,
}

/// What all sources in C include.
pub const HEADER: &str = include_str!("../../guests/bench.h");

/// Guests of our own that are text.
const TEXTS: [(&str, &str); 3] = [
    ("fib", include_str!("../../guests/fib.wat")),
    ("ackermann", include_str!("../../guests/ackermann.wat")),
    ("interpreter", include_str!("../../guests/interpreter.wat")),
];

/// Guests of our own in C, with what clang made of them; `bench.h` says how.
const COMPILED: [(&str, &str, &[u8]); 6] = [
    ("bytecode", include_str!("../../guests/bytecode.c"), include_bytes!("../../guests/bytecode.wasm")),
    ("keccak", include_str!("../../guests/keccak.c"), include_bytes!("../../guests/keccak.wasm")),
    ("matrix", include_str!("../../guests/matrix.c"), include_bytes!("../../guests/matrix.wasm")),
    ("queens", include_str!("../../guests/queens.c"), include_bytes!("../../guests/queens.wasm")),
    ("sieve", include_str!("../../guests/sieve.c"), include_bytes!("../../guests/sieve.wasm")),
    ("words", include_str!("../../guests/words.c"), include_bytes!("../../guests/words.wasm")),
];

/// How many of the programs: each has those of the ones before it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Our own, and those that stand for the corpus.
    Sample,
    /// All but those that run long.
    Short,
    All,
}

/// Programs of the corpus that stand for all where there is no time for all: of each kind one, none that runs long.
const SAMPLE: [&str; 9] = [
    "blake3-scalar",
    "bz2",
    "pulldown-cmark",
    "quicksort",
    "richards",
    "rust-json",
    "shootout-keccak",
    "shootout-switch",
    "shootout-xchacha20",
];

/// Programs of the corpus that run for ten seconds each.
const LONG: [&str; 2] = ["shootout-ed25519", "shootout-seqhash"];

impl Program {
    /// Our own, and those of a corpus.
    pub fn all(corpus: Option<&Path>) -> Result<Vec<Program>> {
        let mut programs = Program::guests()?;
        if let Some(corpus) = corpus {
            find(&corpus.join("sightglass"), &mut programs)?;
        }
        Ok(programs)
    }

    /// Our own.
    pub fn guests() -> Result<Vec<Program>> {
        let guest = |name: &str, wasm: Cow<'_, [u8]>, source| Program {
            name: name.to_owned(),
            wasm: wasm.into_owned(),
            dir: None,
            source,
        };
        let texts = TEXTS.iter().map(|(name, text)| Ok(guest(name, wat::parse_str(text)?.into(), None)));
        let compiled = COMPILED.iter().map(|(name, source, wasm)| Ok(guest(name, (*wasm).into(), Some(*source))));
        texts.chain(compiled).collect()
    }

    /// The least that has it.
    pub fn extent(&self) -> Extent {
        match self.name.as_str() {
            name if LONG.contains(&name) => Extent::All,
            name if self.dir.is_none() || SAMPLE.contains(&name) => Extent::Sample,
            _ => Extent::Short,
        }
    }
}

/// All programs below a directory, in order of their paths.
fn find(dir: &Path, programs: &mut Vec<Program>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, programs)?;
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let folder = dir.file_name().unwrap_or_default().to_string_lossy();
            let name = if stem == "benchmark" { folder.into_owned() } else { stem.into_owned() };
            programs.push(Program { name, wasm: std::fs::read(&path)?, dir: Some(dir.to_owned()), source: None });
        }
    }
    Ok(())
}
