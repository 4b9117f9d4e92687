//! The programs of the Sightglass suite, which measure themselves between `bench.start` and `bench.end`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::fresh;
use super::program::{Expect, Program};

/// Every module in the folders of `sightglass`, in order. Their inputs lie beside them.
pub fn programs(corpus: &Path, scratch: &Path) -> Result<Vec<Program>> {
    let suite = corpus.join("sightglass");
    if !suite.exists() {
        return Ok(Vec::new());
    }
    let mut programs = Vec::new();
    for folder in entries(&suite)?.into_iter().filter(|name| suite.join(name).is_dir()) {
        let copy = fresh(scratch, &folder)?;
        let source = suite.join(&folder);
        let files = entries(&source)?;
        for file in &files {
            let (from, to) = (source.join(file), copy.join(file));
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        for file in files.iter().filter_map(|file| file.strip_suffix(".wasm")) {
            let expected = |stream: &str| {
                let text = fs::read_to_string(copy.join(format!("{file}.{stream}.expected")));
                text.map_or(Expect::Anything, Expect::Exactly)
            };
            programs.push(Program {
                name: if file == "benchmark" { folder.clone() } else { file.to_owned() },
                folder: copy.clone(),
                words: vec!["--dir".to_owned(), ".".to_owned(), format!("{file}.wasm")],
                exit_code: 0,
                stdout: expected("stdout"),
                stderr: expected("stderr"),
            });
        }
    }
    Ok(programs)
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in read {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
