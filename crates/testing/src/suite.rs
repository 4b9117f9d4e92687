//! Suites: scripts with a name and the features that they are written for; and how to run one.

use std::any::Any;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use crate::engines::EngineKind;
use crate::features::{Feature, Features};
use crate::wast::{self, Report};

/// Scripts that belong together.
#[derive(Clone, Debug)]
pub struct Suite {
    /// For example `wasm-v2` or `simd`.
    pub name: String,
    /// Whether hotfoot must pass it; the others show how far it is.
    pub required: bool,
    /// The scripts, in order of their names.
    pub scripts: Vec<Script>,
}

/// One script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Path within the suite.
    pub name: String,
    /// The script itself. Not all scripts are UTF-8; those of the specification are.
    pub text: Cow<'static, str>,
    /// What it may use.
    pub features: Features,
}

impl Script {
    /// Runs the script under an engine of this kind. A panic is a failure in the report, like any other.
    pub fn run(&self, kind: EngineKind) -> Report {
        match kind.engine(self.features) {
            Ok(engine) => wast::run(&self.text, &engine),
            Err(error) => Report::of_unread(&self.text, 1, format!("there is no such engine: {error:#}")),
        }
    }
}

/// Every script in a folder and the folders in it.
///
/// A folder `proposals/NAME` gets the features of that proposal, everything else the features that hotfoot has.
///
/// # Errors
/// When the folder or a file of it cannot be read, with a sentence saying which.
pub fn folder(name: &str, path: &Path) -> Result<Suite, String> {
    let mut paths = Vec::new();
    collect(path, &mut paths)?;
    paths.sort();
    let script = |file: &PathBuf| {
        let bytes = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let name = file.strip_prefix(path).unwrap_or(file).display().to_string();
        let text = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Script { features: features_of_path(&name), name, text })
    };
    let scripts = paths.iter().map(script).collect::<Result<Vec<Script>, String>>()?;
    Ok(Suite { name: name.into(), required: true, scripts })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error| format!("cannot read the folder {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "wast") {
            paths.push(path);
        }
    }
    Ok(())
}

fn features_of_path(path: &str) -> Features {
    match path.strip_prefix("proposals/").and_then(|rest| rest.split('/').next()) {
        Some("threads") => THREADS,
        Some("wide-arithmetic") => Features::ALL.with(&[Feature::WideArithmetic]),
        Some("custom-page-sizes") => Features::ALL.with(&[Feature::CustomPageSizes]),
        _ => Features::ALL,
    }
}

/// The scripts of the threads proposal were written against 1.0 and refuse several memories and tables.
pub(crate) const THREADS: Features = Features::V1.with(&[
    Feature::Threads,
    Feature::SignExtension,
    Feature::SaturatingFloatToInt,
    Feature::MultiValue,
    Feature::BulkMemory,
]);

/// What a caught panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
