//! `hotfoot wast PATH…`: run specification scripts and say which assertions fail.

use std::borrow::Cow;
use std::panic;
use std::path::Path;

use anyhow::{Error, Result, anyhow, bail};
use hotfoot::{Config, Engine};
use hotfoot_testing::features::{Features, SpecVersion};
use hotfoot_testing::suite::{self, Script};
use hotfoot_testing::wast;

use crate::args::{EngineArgs, WastArgs};
use crate::{stack, ui};

/// Runs the scripts. The exit code is 1 if an assertion of one of them fails.
pub fn execute(args: &WastArgs) -> Result<i32> {
    let mut scripts = Vec::new();
    for path in &args.paths {
        scripts.extend(scripts_at(path)?);
    }
    // A panic of the engine fails the assertion that caused it, and is reported there.
    panic::set_hook(Box::new(|_| {}));
    let options = EngineArgs::new(&args.engine)?;
    stack::with_room(options.max_wasm_stack(), || run(&scripts, args.spec, &options))
}

fn run(scripts: &[Script], spec: Option<SpecVersion>, options: &EngineArgs) -> Result<i32> {
    let (mut assertions, mut passed, mut clean) = (0, 0, 0);
    for script in scripts {
        let report = wast::run(&script.text, &engine(script, spec, options)?);
        for failure in &report.failures {
            ui::print(&format!("{}:{}: {}\n", script.name, failure.line, failure.reason));
        }
        assertions += report.assertions;
        passed += report.passed;
        clean += usize::from(report.is_clean());
    }
    let of = |part: usize, all: usize, what: &str| format!("{part} of {all} {what}{}", if all == 1 { "" } else { "s" });
    ui::print(&format!("{} passed, {}\n", of(clean, scripts.len(), "script"), of(passed, assertions, "assertion")));
    Ok(i32::from(clean < scripts.len()))
}

/// The script in a file, or all scripts in a folder, with names that can be opened from here.
fn scripts_at(path: &Path) -> Result<Vec<Script>> {
    let shown = path.display();
    if path.is_dir() {
        let mut scripts = suite::folder("", path).map_err(Error::msg)?.scripts;
        if scripts.is_empty() {
            bail!("there is no script in `{shown}`; name a folder with .wast files in it");
        }
        scripts.iter_mut().for_each(|script| script.name = path.join(&script.name).display().to_string());
        return Ok(scripts);
    }
    let bytes = std::fs::read(path).map_err(|error| {
        anyhow!("cannot read `{shown}`: {error}; name a script of the specification or a folder of them")
    })?;
    let text = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
    Ok(vec![Script { name: shown.to_string(), text, features: Features::ALL }])
}

/// An engine with the features of the version that was asked for, or else with those that the script is written for.
fn engine(script: &Script, spec: Option<SpecVersion>, options: &EngineArgs) -> Result<Engine> {
    let mut config = Config::new();
    spec.map_or(script.features, SpecVersion::features).apply(&mut config);
    options.apply(&mut config)?;
    Engine::new(&config)
}
