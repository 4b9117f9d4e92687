//! The official preview 1 programs, if the folder that holds them is named by `HOTFOOT_WASI_TESTSUITE`.
//!
//! Each `NAME.wasm` runs in a fresh copy of the directory that `NAME.json` names, under each of the two walks; the JSON
//! gives arguments, environment, exit code and output. Without JSON: no arguments, no directory, exit code 0.

use hotfoot::{Engine, Linker, Module, Store};
use hotfoot_wasi::{I32Exit, MemoryOutputPipe, Perms, Walk, WasiCtx, WasiCtxBuilder, p1};
use serde_json::Value;
use std::path::{Path, PathBuf};

const OUTPUT_BYTES_MAX: usize = 1 << 20;

#[test]
fn official_programs() {
    let Some(folder) = std::env::var_os("HOTFOOT_WASI_TESTSUITE") else {
        eprintln!("HOTFOOT_WASI_TESTSUITE is not set: set it to the folder of the official programs to run them");
        return;
    };
    let mut programs = Vec::new();
    find_programs(Path::new(&folder), &mut programs);
    programs.sort();
    assert!(!programs.is_empty(), "no .wasm file in {}", folder.display());
    let engine = Engine::default();
    let mut failures = Vec::new();
    for program in &programs {
        let module = Module::from_file(&engine, program).unwrap();
        for walk in [Walk::Auto, Walk::Manual] {
            if let Err(reason) = run(&engine, &module, program, walk) {
                failures.push(format!("{} ({walk:?}): {reason}", program.display()));
            }
        }
    }
    println!("{} programs under 2 walks, {} failures", programs.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn find_programs(folder: &Path, programs: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_programs(&path, programs);
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            programs.push(path);
        }
    }
}

fn run(engine: &Engine, module: &Module, program: &Path, walk: Walk) -> Result<(), String> {
    let settings = match std::fs::read(program.with_extension("json")) {
        Ok(json) => serde_json::from_slice(&json).unwrap(),
        Err(_) => Value::Null,
    };
    let scratch = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (MemoryOutputPipe::new(OUTPUT_BYTES_MAX), MemoryOutputPipe::new(OUTPUT_BYTES_MAX));
    let mut builder = WasiCtxBuilder::new();
    builder.walk(walk).stdout(stdout.clone()).stderr(stderr.clone());
    builder.arg(program.file_name().unwrap().to_str().unwrap());
    for arg in settings["args"].as_array().into_iter().flatten() {
        builder.arg(arg.as_str().unwrap());
    }
    for (name, value) in settings["env"].as_object().into_iter().flatten() {
        builder.env(name, value.as_str().unwrap());
    }
    if let Some(root) = settings["root"].as_str() {
        copy(&program.with_file_name(root), scratch.path());
        builder.preopened_dir(scratch.path(), "/", Perms::READ_WRITE).unwrap();
    }

    let mut linker = Linker::<WasiCtx>::new(engine);
    p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let mut store = Store::new(engine, builder.build());
    let instance = linker.instantiate(&mut store, module).map_err(|error| format!("{error:#}"))?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(|error| format!("{error:#}"))?;
    let code = match start.call(&mut store, ()) {
        Ok(()) => 0,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => *code,
            None => return Err(format!("{error:#}; it wrote: {}", String::from_utf8_lossy(&stderr.contents()))),
        },
    };
    let expected = settings["exit_code"].as_i64().unwrap_or(0);
    if i64::from(code) != expected {
        let written = stderr.contents();
        return Err(format!("exit code {code} instead of {expected}; it wrote: {}", String::from_utf8_lossy(&written)));
    }
    match settings["stdout"].as_str() {
        Some(expected) if stdout.contents() != expected.as_bytes() => {
            Err(format!("wrote {:?} instead of {expected:?}", String::from_utf8_lossy(&stdout.contents())))
        }
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
