//! Programs in V8, if `node` is found: a process of its own that runs `v8.js`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::program::Program;
use super::{Compiled, Run, Setting};
use crate::answering::Answering;

/// The compiler that optimises, for all functions and at once, in the thread whose time is taken.
pub const FLAGS: [&str; 4] = ["--no-warnings", "--no-liftoff", "--no-wasm-lazy-compilation", "--single-threaded"];

/// Compiles a program.
pub fn compile(program: &Program, _: Setting, scratch: &Path) -> Result<Option<Compiled>> {
    let (file, written) = (scratch.join("v8.wasm"), scratch.join("v8.output"));
    std::fs::write(&file, &program.wasm)?;
    let mut command = Command::new("node");
    command.args(FLAGS).args(["-e", include_str!("v8.js"), "--"]).arg(&file);
    command.arg(program.dir.as_deref().unwrap_or(Path::new(""))).arg(&written);
    let mut process = Answering::start(&mut command)?;
    let compile_nanos = Some(process.number()?);
    let run = move || {
        let nanos = process.ask("")?;
        Ok(Run { nanos, output: Some(std::fs::read(&written)?) })
    };
    Ok(Some(Compiled { compile_nanos, code_bytes: None, run: Box::new(run) }))
}
