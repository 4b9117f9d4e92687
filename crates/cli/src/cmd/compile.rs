//! `hotfoot compile FILE`: a module to an artifact.

use anyhow::{Result, bail};

use crate::args::{CompileArgs, EngineArgs};
use crate::input::Input;
use crate::output::Output;
use crate::{key, progress, refusal};

/// Compiles and writes.
pub fn execute(args: &CompileArgs) -> Result<i32> {
    let options = EngineArgs::for_target(&args.engine, &args.target)?;
    let key = args.sign_key.as_deref().map(key::read).transpose()?;
    let engine = options.engine_with(|config| {
        if let Some(key) = key {
            config.artifact_key(key);
        }
    })?;
    let output = Output::new(args.output.as_ref(), &args.file, "hotfoot")?;
    let name = args.file.to_string();
    let Input::Module(wasm) = Input::open(&args.file)? else {
        bail!("{name} is an artifact already; to compile it otherwise, give the module that it was made from")
    };
    let artifact = progress::shown(&name, |observer| engine.precompile_module_observed(&wasm, observer))
        .map_err(|error| refusal::explain(&error, &name))?;
    output.write(&artifact, false)?;
    output.announce(args.output.as_ref());
    Ok(0)
}
