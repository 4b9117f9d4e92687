//! Chores of this repository, as `cargo xtask CHORE`, so that nobody needs a tool besides cargo.
#![forbid(unsafe_code)]

mod corpus;
mod dist;
mod spec;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const HELP: &str = "\
Usage: cargo xtask CHORE

  ci          run everything that must hold before a change lands (.ci/run)
  tidy        check the house rules that no compiler checks: what a file may hold, what documents name, …
  dist        build the command as it is shipped: target/release/hotfoot, which needs no shared library
  spec        run the official specification tests and print the table of docs/spec.md; --update-docs keeps it there
  corpus DIR  run real programs and compare what they print; --hotfoot PATH names the command,
              --only NAME a program, and options of the command may follow after --";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match chore(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(words: &[&str]) -> Result<()> {
    match words {
        ["ci"] => ci(),
        ["tidy"] => tidy::run(&root()),
        ["dist"] => dist::run(&root()),
        ["spec", words @ ..] => spec::run(&root(), words),
        ["corpus", words @ ..] => corpus::run(&root(), words),
        [] | ["help" | "-h" | "--help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("there is no chore `{}`; see cargo xtask --help", words.join(" ")),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

fn ci() -> Result<()> {
    let status = Command::new(root().join(".ci/run")).status().context("cannot start .ci/run")?;
    if !status.success() {
        bail!("a step failed; its messages are above");
    }
    Ok(())
}
