//! What the command was asked for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// See the help text in `main.rs`.
#[derive(Debug)]
pub struct Options {
    /// Fewer rounds: minutes instead of half an hour, with wider spreads.
    pub quick: bool,
    /// Only benchmarks, or rows, whose name contains this.
    pub only: Option<String>,
    /// A folder of programs that are not in the repository.
    pub corpus: Option<PathBuf>,
    /// Where the results are written.
    pub out: PathBuf,
    /// Benchmarks that were named; none means all.
    pub named: Vec<String>,
}

impl Options {
    /// From the command's arguments; `benches` are the names that may be given as `--NAME`.
    pub fn parse(mut arguments: impl Iterator<Item = String>, benches: &[&str]) -> Result<Options> {
        let mut options =
            Options { quick: false, only: None, corpus: None, out: "target/bench".into(), named: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = Some(value()?),
                "--corpus" => options.corpus = Some(value()?.into()),
                "--out" => options.out = value()?.into(),
                other => match other.strip_prefix("--").filter(|name| benches.contains(name)) {
                    Some(name) => options.named.push(name.into()),
                    None => bail!("unknown argument: {other}; benchmarks are --{}", benches.join(", --")),
                },
            }
        }
        Ok(options)
    }

    /// So many rounds, or fewer if it is to be quick.
    pub fn rounds(&self, usual: usize, quick: usize) -> usize {
        if self.quick { quick } else { usual }
    }

    /// Whether a benchmark runs at all; some do only if they are named.
    pub fn runs(&self, bench: &str, unasked: bool) -> bool {
        if self.named.is_empty() { unasked } else { self.named.iter().any(|name| name == bench) }
    }

    /// Whether a benchmark's row is wanted.
    pub fn wants(&self, bench: &str, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| bench.contains(only) || row.contains(only))
    }
}
