//! Programs in hotfoot.

use std::path::Path;

use anyhow::Result;
use hotfoot::{Config, Engine, Linker, Module, Store};
use hotfoot_wasi::{MemoryOutputPipe, Perms, WasiCtx, WasiCtxBuilder};

use super::program::Program;
use super::{Compiled, Run, Setting, SharedTimer, Timer, thread_nanos};

/// Compiles a program.
pub fn compile(program: &Program, setting: Setting, _: &Path) -> Result<Option<Compiled>> {
    let mut config = Config::new();
    config.cache(None).parallel_compilation(false);
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
    let code_bytes = Some(module.text().len());
    let timer = SharedTimer::default();
    let mut linker: Linker<WasiCtx> = Linker::new(&engine);
    hotfoot_wasi::p1::add_to_linker(&mut linker, |ctx| ctx)?;
    let (at_start, at_end) = (timer.clone(), timer.clone());
    linker.func_wrap("bench", "start", move || Timer::start(&at_start))?;
    linker.func_wrap("bench", "end", move || Timer::end(&at_end))?;
    let pre = linker.instantiate_pre(&module)?;
    let dir = program.dir.clone();
    let run = move || {
        let mut builder = WasiCtxBuilder::new();
        let stdout = MemoryOutputPipe::new(1 << 24);
        builder.stdout(stdout.clone());
        if let Some(dir) = &dir {
            builder.preopened_dir(dir, ".", Perms::READ_ONLY)?;
        }
        let mut store = Store::new(&engine, builder.build());
        match setting {
            Setting::Epochs => store.set_epoch_deadline(1),
            Setting::Fuel => store.set_fuel(u64::MAX / 4)?,
            _ => {}
        }
        let instance = pre.instantiate(&mut store)?;
        let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let outcome = entry.call(&mut store, ());
        // A program may leave by `proc_exit`, after the part that is timed.
        let nanos = Timer::take(&timer).or_else(|error| outcome.and(Err(error)))?;
        Ok(Run { nanos, output: Some(stdout.contents()) })
    };
    Ok(Some(Compiled { compile_nanos, code_bytes, run: Box::new(run) }))
}
