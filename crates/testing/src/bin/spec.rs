//! Runs every official suite under every kind of engine and prints the table; `cargo xtask spec` calls it.
//!
//! The table goes to standard output, what failed to standard error. `--dir FOLDER` adds the scripts of a folder,
//! `--only NAME` keeps one suite. The exit code says whether everything that hotfoot must pass did.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, panic};

use hotfoot_testing::engines::EngineKind;
use hotfoot_testing::exceptions::Exceptions;
use hotfoot_testing::official;
use hotfoot_testing::suite::{self, Suite};
use hotfoot_testing::table::{Table, tally};

/// So many failures of a suite are shown; the table has the count.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    match suites().and_then(|suites| run(&suites)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("spec: {error}");
            ExitCode::from(2)
        }
    }
}

fn suites() -> Result<Vec<Suite>, String> {
    let mut suites = official::suites();
    let mut words = env::args().skip(1);
    let mut only = None;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--dir" => {
                let mut folder = suite::folder("folder", &PathBuf::from(value()?))?;
                folder.required = false;
                suites.push(folder);
            }
            "--only" => only = Some(value()?),
            _ => return Err(format!("there is no option `{word}`; there are --dir FOLDER and --only SUITE")),
        }
    }
    suites.retain(|suite| only.as_ref().is_none_or(|only| *only == suite.name));
    if suites.is_empty() {
        return Err("there is no suite of this name".into());
    }
    Ok(suites)
}

fn run(suites: &[Suite]) -> Result<bool, String> {
    let exceptions = Exceptions::committed()?;
    // Panics of the engine are failures in the table; their messages come with them.
    panic::set_hook(Box::new(|_| {}));
    let mut table = Table::default();
    let mut passed = true;
    for suite in suites {
        let tallies: Vec<_> = EngineKind::ALL.iter().map(|kind| tally(suite, *kind, &exceptions)).collect();
        for (kind, tally) in EngineKind::ALL.iter().zip(&tallies) {
            passed &= !suite.required || tally.complaints.is_empty();
            for complaint in tally.complaints.iter().take(SHOWN) {
                eprintln!("{} ({}): {complaint}", suite.name, kind.name());
            }
            if tally.complaints.len() > SHOWN {
                eprintln!("{} ({}): and {} more", suite.name, kind.name(), tally.complaints.len() - SHOWN);
            }
        }
        table.push(suite, tallies);
    }
    print!("{}", table.markdown());
    Ok(passed)
}
