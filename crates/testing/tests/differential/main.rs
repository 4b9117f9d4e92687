//! Random modules, run by hotfoot under each of its settings, beside what a peer did with them.
//!
//! `tests/differential/modules.bin` holds some hundred modules with all that could be seen of them in the peer: results,
//! traps, exceptions, memories, globals, tables, what the host was called with. `fuzz/` makes the file, and compares
//! without end; `HOTFOOT_DIFFERENTIAL_MODULES` names a file with more. See `docs/fuzzing.md`.
#![forbid(unsafe_code)]

mod engine;
mod file;
mod observe;
mod settings;
mod values;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use file::Record;
use libtest_mimic::{Arguments, Failed, Trial};
use settings::Settings;

fn main() -> ExitCode {
    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/differential/modules.bin");
    let path = std::env::var_os("HOTFOOT_DIFFERENTIAL_MODULES").map_or_else(|| stored.into(), PathBuf::from);
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let records = file::read(&file).unwrap_or_else(|| panic!("{} ends in the middle of a module", path.display()));
    let (path, records) = (Arc::new(path), Arc::new(records));
    let trial = |settings: Settings| {
        let (path, records) = (path.clone(), records.clone());
        Trial::test(settings.name(), move || replay(&path, &records, settings).map_err(Failed::from))
    };
    libtest_mimic::run(&Arguments::from_args(), Settings::ALL.map(trial).into()).exit_code()
}

/// Runs all modules under some settings.
fn replay(path: &Path, records: &[Record], settings: Settings) -> Result<(), String> {
    let engine = settings.engine(false).map_err(|error| format!("{error:#}"))?;
    let mut runs = 0;
    for (number, record) in records.iter().enumerate() {
        let place = || format!("module {number} of {}", path.display());
        let seen = std::panic::catch_unwind(AssertUnwindSafe(|| settings.observe(&engine, &record.wasm)));
        for lines in seen.map_err(|_| format!("{} panicked", place()))? {
            runs += 1;
            if let Some(at) = observe::difference(&lines, &record.lines) {
                let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing)".to_owned());
                let (ours, peer) = (line(&lines), line(&record.lines));
                return Err(format!("{} differs in line {at}\n  here: {ours}\n  peer: {peer}", place()));
            }
        }
    }
    // A module that imports a memory cannot be pooled; all others are run, under whatever settings.
    if runs * 3 > records.len() { Ok(()) } else { Err(format!("only {runs} of {} modules were run", records.len())) }
}
