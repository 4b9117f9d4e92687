//! The official scripts, as tests: one for each script and kind of engine, all assertions in each.
//!
//! `HOTFOOT_SPEC_DIR=FOLDER` adds the scripts of a folder, but for those of [`OUTSIDE`]; `HOTFOOT_SPEC_METERED=1` runs
//! all with fuel and epochs instead, `HOTFOOT_SPEC_LAZY=1` all with functions compiled when they are called.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hotfoot_testing::engines::EngineKind;
use hotfoot_testing::exceptions::Exceptions;
use hotfoot_testing::official;
use hotfoot_testing::suite::{self, Script, Suite};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let exceptions = Arc::new(Exceptions::committed().unwrap_or_else(|error| panic!("{error}")));
    let mut suites: Vec<Suite> = official::suites().into_iter().filter(|suite| suite.required).collect();
    if let Some(path) = std::env::var_os("HOTFOOT_SPEC_DIR") {
        let mut folder = suite::folder("folder", Path::new(&path)).unwrap_or_else(|error| panic!("{error}"));
        folder.scripts.retain(|script| !OUTSIDE.iter().any(|outside| script.name.starts_with(outside)));
        suites.push(folder);
    }
    let mut trials = vec![exceptions_name_scripts(&suites, exceptions.clone())];
    for suite in suites {
        for script in suite.scripts {
            let script = Arc::new(script);
            for kind in kinds(&suite.name, &script.name) {
                trials.push(trial(&suite.name, script.clone(), kind, exceptions.clone()));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Folders of scripts that are no part of WebAssembly yet, and of those in an encoding that is refused as text.
const OUTSIDE: [&str; 2] = ["proposals/custom-descriptors/", "legacy/"];

/// Scripts of these suites and folders also run with a collection at every allocation.
const COLLECTED: [&str; 4] = ["gc", "exception-handling", "exceptions", "reference-types"];

fn kinds(suite: &str, script: &str) -> Vec<EngineKind> {
    if std::env::var_os("HOTFOOT_SPEC_METERED").is_some() {
        return vec![EngineKind::Metered];
    }
    if std::env::var_os("HOTFOOT_SPEC_LAZY").is_some() {
        return vec![EngineKind::Lazy];
    }
    let mut kinds = EngineKind::ALL.to_vec();
    let folder = script.split_once('/').map_or("", |(folder, _)| folder);
    if COLLECTED.contains(&suite) || COLLECTED.contains(&folder) {
        kinds.push(EngineKind::Zealous);
    }
    kinds
}

fn trial(suite: &str, script: Arc<Script>, kind: EngineKind, exceptions: Arc<Exceptions>) -> Trial {
    let suite = suite.to_owned();
    Trial::test(format!("{suite}/{}/{}", script.name, kind.name()), move || {
        let report = script.run(kind);
        let complaints = exceptions.complaints(&suite, &script.name, &report);
        if complaints.is_empty() {
            return Ok(());
        }
        let held = format!("{} of {} assertions hold", report.passed, report.assertions);
        Err(Failed::from(format!("{held}\n{}", complaints.join("\n"))))
    })
}

/// An entry for a script that does not exist would never be found out by running scripts.
fn exceptions_name_scripts(suites: &[Suite], exceptions: Arc<Exceptions>) -> Trial {
    let exists = |suite: &str, file: &str| {
        let scripts = suites.iter().filter(|candidate| candidate.name == suite).flat_map(|suite| &suite.scripts);
        suite == "folder" || scripts.clone().any(|script| script.name == file)
    };
    let strangers: Vec<String> = exceptions
        .iter()
        .filter(|entry| !exists(&entry.suite, &entry.file))
        .map(|entry| {
            format!("tests/spec-exceptions.txt names a script that does not exist: {}/{}", entry.suite, entry.file)
        })
        .collect();
    Trial::test("exceptions-name-scripts", move || {
        if strangers.is_empty() { Ok(()) } else { Err(Failed::from(strangers.join("\n"))) }
    })
}
