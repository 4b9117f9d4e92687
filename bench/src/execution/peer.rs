//! Programs in Wasmtime, with either of its compilers.

use std::path::Path;

use anyhow::Result;
use wasmtime::{Config, Engine, Linker, Module, Store, Strategy};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p1};

use super::program::Program;
use super::{Compiled, Run, Setting, SharedTimer, Timer, thread_nanos};

/// Compiles a program with the compiler that optimises.
pub fn compile(program: &Program, setting: Setting, _: &Path) -> Result<Option<Compiled>> {
    prepare(program, setting, Strategy::Cranelift).map(Some).map_err(failed)
}

/// Compiles a program with the one that does not.
pub fn compile_baseline(program: &Program, setting: Setting, _: &Path) -> Result<Option<Compiled>> {
    prepare(program, setting, Strategy::Winch).map(Some).map_err(failed)
}

fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

/// Bytes of machine code, without the zeros that fill the last page.
fn code_len(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn prepare(program: &Program, setting: Setting, strategy: Strategy) -> wasmtime::Result<Compiled> {
    let mut config = Config::new();
    config.strategy(strategy).parallel_compilation(false);
    match setting {
        Setting::Default => {}
        Setting::Dynamic => drop(config.memory_reservation(0).memory_guard_size(0)),
        Setting::NoSignals => drop(config.signals_based_traps(false)),
        Setting::Epochs => drop(config.epoch_interruption(true)),
        Setting::Fuel => drop(config.consume_fuel(true)),
    }
    let engine = Engine::new(&config)?;
    let start = thread_nanos();
    let module = Module::new(&engine, &program.wasm)?;
    let compile_nanos = Some(thread_nanos() - start);
    let code_bytes = Some(code_len(module.text()));
    let timer = SharedTimer::default();
    let mut linker: Linker<p1::WasiP1Ctx> = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |ctx| ctx)?;
    let (at_start, at_end) = (timer.clone(), timer.clone());
    linker.func_wrap("bench", "start", move || Timer::start(&at_start))?;
    linker.func_wrap("bench", "end", move || Timer::end(&at_end))?;
    let pre = linker.instantiate_pre(&module)?;
    let dir = program.dir.clone();
    let run = move || {
        let stdout = MemoryOutputPipe::new(1 << 24);
        let mut builder = WasiCtxBuilder::new();
        builder.stdout(stdout.clone());
        let mut prepare = || -> wasmtime::Result<wasmtime::Result<()>> {
            if let Some(dir) = &dir {
                builder.preopened_dir(dir, ".", FsPerms::ReadOnly)?;
            }
            let mut store = Store::new(&engine, builder.build_p1());
            match setting {
                Setting::Epochs => store.set_epoch_deadline(1),
                Setting::Fuel => store.set_fuel(u64::MAX / 4)?,
                _ => {}
            }
            let instance = pre.instantiate(&mut store)?;
            let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            Ok(entry.call(&mut store, ()))
        };
        let outcome = prepare().map_err(failed)?;
        let nanos = Timer::take(&timer).or_else(|error| outcome.map_err(failed).and(Err(error)))?;
        Ok(Run { nanos, output: Some(stdout.contents().to_vec()) })
    };
    Ok(Compiled { compile_nanos, code_bytes, run: Box::new(run) })
}
