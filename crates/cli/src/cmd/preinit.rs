//! `hotfoot preinit`: run a module's initialisation now, and write a module that starts where it ended.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use hotfoot::Config;
use hotfoot_preinit::{Preinit, PreinitError, Report};

use crate::args::{Emit, EngineArgs, PreinitArgs, ReportFormat};
use crate::{refusal, stack, ui, wasm_file};

/// Initialises the module and writes the new one.
pub fn execute(args: &PreinitArgs) -> Result<i32> {
    let options = EngineArgs::new(&args.engine)?;
    stack::with_room(options.max_wasm_stack(), || run(args, &options))
}

fn run(args: &PreinitArgs, options: &EngineArgs) -> Result<i32> {
    if args.output.is_none() && io::stdout().is_terminal() {
        bail!("a module is no text for a terminal; name a file with --output");
    }
    let source = args.source();
    let name = source.to_string();
    let wasm = wasm_file::to_module(wasm_file::read(&source)?, &name)?;
    let preinit = preinit(args, options)?;
    let done = match args.emit {
        Emit::Wasm => preinit.run_with_report(&wasm),
        Emit::Artifact => preinit.run_to_artifact_with_report(&options.engine()?, &wasm),
    };
    let (output, report) = match done {
        Ok(done) => done,
        Err(PreinitError::Module(error)) => return Err(refusal::explain(&error, &name)),
        Err(PreinitError::Failed { func, error }) => {
            ui::say(&format!("the initialisation of {name} in `{func}` did not succeed"));
            return Ok(ui::report_guest_end(&error, &name));
        }
        Err(error) => return Err(anyhow!(error).context(format!("cannot pre-initialise {name}"))),
    };
    for warning in &report.warnings {
        ui::say(&format!("warning: {warning}"));
    }
    match &args.output {
        Some(path) => write_file(path, &output)?,
        None => io::stdout().write_all(&output).context("cannot write to standard output")?,
    }
    if let Some(format) = args.report {
        print_report(&report, format, args.output.is_some())?;
    }
    Ok(0)
}

/// The library's builder with what the command line says.
fn preinit(args: &PreinitArgs, options: &EngineArgs) -> Result<Preinit> {
    let mut config = Config::new();
    options.apply(&mut config)?;
    let mut preinit = Preinit::new();
    preinit
        .config(config)
        .keep_init_func(args.keep_init_func.unwrap_or(false))
        .allow_wasi(args.allow_wasi.unwrap_or(false))
        .inherit_env(args.inherit_env.unwrap_or(false))
        .inherit_stdio(args.inherit_stdio.unwrap_or(true))
        .keep_imports(args.keep_imports)
        .strip_debug(args.strip_debug)
        .optimize(args.optimize);
    if let Some(name) = &args.init_func {
        preinit.init_func(name);
    }
    for (dst, src) in &args.renames {
        preinit.func_rename(dst, src);
    }
    for directory in args.directories.iter().chain(&args.mapped_directories) {
        preinit.preopened_dir(&directory.host, &directory.guest, directory.perms);
    }
    for preload in &args.preloads {
        preinit.preload(&preload.name, &preload.file);
    }
    if let Some(bytes) = args.max_growth {
        preinit.max_growth(bytes);
    }
    Ok(preinit)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let shown = path.display();
    std::fs::write(path, bytes).map_err(|error| anyhow!("cannot write `{shown}`: {error}; check the folder"))
}

fn print_report(report: &Report, format: ReportFormat, to_stdout: bool) -> Result<()> {
    let text = match format {
        ReportFormat::Text => report.to_text(),
        ReportFormat::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    match to_stdout {
        true => ui::print(&text),
        // A closed stderr is no reason to fail.
        false => drop(io::stderr().write_all(text.as_bytes())),
    }
    Ok(())
}
