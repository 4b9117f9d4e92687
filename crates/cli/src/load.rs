//! An input to a module that can run: compiled here, or an artifact that the user trusts.

use anyhow::{Error, Result, anyhow, bail};
use hotfoot::{Engine, IncompatibleArtifact, Module};

use crate::args::{RunArgs, Source};
use crate::input::Input;
use crate::{progress, refusal, trust, wasm_file};

/// Compiles a module, or loads an artifact.
///
/// # Errors
/// When the module is refused, or the artifact is not trusted or cannot be used by this engine.
pub fn module(engine: &Engine, args: &RunArgs, input: &Input, source: &Source) -> Result<Module> {
    let name = source.to_string();
    let loaded = match input {
        Input::Module(bytes) => {
            return progress::shown(&name, |observer| Module::new_observed(engine, bytes, observer))
                .map_err(|error| refusal::explain(&error, &name));
        }
        Input::ModuleFile(path) => {
            return progress::shown(&name, |observer| Module::from_file_observed(engine, path, observer)).or_else(
                |error| {
                    // What is wrong with the file as a whole is said first.
                    wasm_file::to_module(wasm_file::read(source)?, &name)?;
                    Err(refusal::explain(&error, &name))
                },
            );
        }
        // With a key, the engine itself refuses what was not signed with it.
        _ if !args.allow_precompiled && args.verify_key.is_none() => bail!(
            "{name} is an artifact, which is machine code and can do anything; if you trust where it comes from, run \
             it with --allow-precompiled"
        ),
        Input::Artifact(bytes) => trust::deserialize(engine, bytes),
        Input::ArtifactFile(path) => trust::deserialize_file(engine, path),
    };
    loaded.map_err(|error| explain(&error, &name))
}

fn explain(error: &Error, name: &str) -> Error {
    match error.downcast_ref::<IncompatibleArtifact>() {
        Some(reason) => anyhow!("{name} cannot run here: {reason}"),
        None => anyhow!("{name} cannot be loaded: {error:#}"),
    }
}
