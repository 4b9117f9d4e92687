//! Programs in C as the system's compiler makes native code of them: processes of their own, see `guests/bench.h`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::program::{HEADER, Program};
use super::{Compiled, Run, Setting};
use crate::answering::Answering;

/// Compiles a program, if it is one in C.
pub fn compile(program: &Program, _: Setting, scratch: &Path) -> Result<Option<Compiled>> {
    let Some(path) = build(program, scratch)? else { return Ok(None) };
    let mut process = Answering::start(&mut Command::new(path))?;
    let run = move || Ok(Run { nanos: process.ask("")?, output: None });
    Ok(Some(Compiled { compile_nanos: None, code_bytes: None, run: Box::new(run) }))
}

/// The executable.
pub fn build(program: &Program, scratch: &Path) -> Result<Option<std::path::PathBuf>> {
    let Some(source) = program.source else { return Ok(None) };
    std::fs::write(scratch.join("bench.h"), HEADER)?;
    let (file, executable) = (scratch.join(&program.name).with_extension("c"), scratch.join(&program.name));
    std::fs::write(&file, source)?;
    let made = Command::new("cc").arg("-O2").arg(&file).arg("-o").arg(&executable).output();
    let made = made.context("cannot start cc")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(Some(executable))
}
