//! `cargo xtask corpus DIR`: real programs with the `hotfoot` command, as a user would run them.
//!
//! DIR holds programs that are not part of the repository, as their makers published them:
//!
//! ```text
//! apps/        python-3.12.wasm, lua-5.4.4.wasm, sqlite-speedtest1.wasm, go-hello.wasm
//! sightglass/  NAME/*.wasm with *.stdout.expected and *.stderr.expected beside them
//! ```
//! What a program prints is compared, and a table says how long it took to compile and to run. Each program runs in a
//! copy of its folder under `target/corpus`, so nothing writes into DIR.

mod apps;
mod program;
mod sightglass;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use program::{Measured, Program};

/// Runs the programs and prints the table. `--hotfoot PATH` names the command, `--only NAME` keeps the programs whose
/// name contains it, and words after `--` are options for the command.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let mut hotfoot = root.join("target/release/hotfoot");
    let (mut corpus, mut only, mut options) = (None, "", Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value after it"));
        match *word {
            "--hotfoot" => hotfoot = PathBuf::from(value()?),
            "--only" => only = value()?,
            "--" => options = words.by_ref().copied().collect(),
            option if option.starts_with('-') => bail!("there is no option {option}; there are --hotfoot and --only"),
            path => corpus = Some(PathBuf::from(path)),
        }
    }
    let Some(corpus) = corpus else { bail!("name the folder: cargo xtask corpus DIR [--hotfoot PATH] [--only NAME]") };
    let hotfoot = hotfoot.canonicalize().with_context(|| {
        format!("there is no command {}; build it with cargo build --release -p hotfoot-cli", hotfoot.display())
    })?;
    let scratch = root.join("target/corpus");
    let mut programs = apps::programs(&corpus, &scratch)?;
    programs.extend(sightglass::programs(&corpus, &scratch)?);
    programs.retain(|program| program.name.contains(only));
    if programs.is_empty() {
        bail!(
            "no program is left to run; {} needs the folder apps or sightglass, and --only a name there",
            corpus.display()
        );
    }
    report(&hotfoot, &options, &programs)
}

fn report(hotfoot: &Path, options: &[&str], programs: &[Program]) -> Result<()> {
    println!("| program | ok | compile ms | run ms | hot part ms |\n|---|---|---:|---:|---:|");
    let mut complaints = Vec::new();
    for program in programs {
        let Measured { times, complaint } = program.run(hotfoot, options)?;
        let ok = if complaint.is_none() { "yes" } else { "NO" };
        let ms = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"));
        println!("| {} | {ok} | {} | {} | {} |", program.name, ms(times.compile), ms(times.run), ms(times.hot));
        complaints.extend(complaint.map(|text| format!("{}: {text}", program.name)));
    }
    if !complaints.is_empty() {
        bail!("{} of {} programs are wrong:\n{}", complaints.len(), programs.len(), complaints.join("\n"));
    }
    Ok(())
}

/// An empty folder for one program.
fn fresh(scratch: &Path, name: &str) -> Result<PathBuf> {
    let folder = scratch.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
