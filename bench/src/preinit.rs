//! Guests beside their pre-initialised selves: `--preinit FOLDER`, where FOLDER has `regex_guest.wasm` and
//! `uap_guest.wasm`, which export `alloc(len) -> ptr`, `run(ptr, len) -> i32` and `memory`.
//!
//! One time is: create a store, instantiate, allocate, write the text, run, drop. hotfoot and Wasmtime (pooling, best
//! settings) run both forms in turns, in one process; the pre-initialised one is ours for both.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hotfoot_preinit::Preinit;

use crate::Runner;

const GUESTS: [(&str, &str, bool); 2] = [
    ("regex_guest", "1234567", true),
    ("uap_guest", "Mozilla/5.0 (X11; Linux x86_64; rv:85.0) Gecko/20100101 Firefox/85.0", false),
];

/// Prints the table.
pub fn report(folder: &Path, quick: bool) -> Result<()> {
    for (name, text, cheap) in GUESTS {
        let path = folder.join(format!("{name}.wasm"));
        let wasm = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let start = Instant::now();
        let (output, _) = Preinit::new().allow_wasi(true).run_with_report(&wasm)?;
        println!("{name}: {} bytes became {} in {:.2} s", wasm.len(), output.len(), start.elapsed().as_secs_f64());
        let rounds = if quick { 5 } else { 30 };
        for (form, wasm, batch) in [("original", &wasm, if cheap { 20 } else { 1 }), ("pre-initialised", &output, 10)] {
            let mut runners = [
                ("hotfoot, pooled", ours(wasm, text, true)?),
                ("hotfoot, on demand", ours(wasm, text, false)?),
                ("Wasmtime, best", peer(wasm, text).map_err(|error| anyhow::anyhow!("{error:?}"))?),
            ];
            let mut times = [const { Vec::new() }; 3];
            for (_, runner) in &mut runners {
                runner()?;
            }
            for _ in 0..rounds {
                for ((_, runner), times) in runners.iter_mut().zip(&mut times) {
                    let start = Instant::now();
                    for _ in 0..batch {
                        runner()?;
                    }
                    times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(batch));
                }
            }
            for ((who, _), times) in runners.iter().zip(&mut times) {
                times.sort_by(f64::total_cmp);
                println!("  {form:<16} {who:<20} {:>12.1} µs", times[times.len() / 2]);
            }
        }
    }
    Ok(())
}

fn ours(wasm: &[u8], text: &'static str, pooled: bool) -> Result<Runner> {
    use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, Store};
    let mut config = Config::new();
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
    }
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, wasm)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("wasi_snapshot_preview1", "random_get", |_: i32, _: i32| 0)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let pre = linker.instantiate_pre(&module)?;
    Ok(Box::new(move || {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store)?;
        let memory = instance.get_memory(&mut store, "memory").context("memory")?;
        let alloc = instance.get_typed_func::<i32, i32>(&mut store, "alloc")?;
        let place = alloc.call(&mut store, text.len() as i32)?;
        memory.write(&mut store, place as usize, text.as_bytes())?;
        let run = instance.get_typed_func::<(i32, i32), i32>(&mut store, "run")?;
        anyhow::ensure!(run.call(&mut store, (place, text.len() as i32))? > 0, "the text does not match");
        Ok(())
    }))
}

fn peer(wasm: &[u8], text: &'static str) -> wasmtime::Result<Runner> {
    use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig, Store};
    let mut pool = PoolingAllocationConfig::default();
    pool.max_memory_size(1 << 32).total_memories(100).total_tables(100);
    pool.linear_memory_keep_resident(4 << 20).table_keep_resident(1 << 20).pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).memory_init_cow(true);
    // Otherwise an image of this size is not mapped, but copied.
    config.memory_guaranteed_dense_image_size(1 << 30);
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, wasm)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("wasi_snapshot_preview1", "random_get", |_: i32, _: i32| 0)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let pre = linker.instantiate_pre(&module)?;
    let mut run = move || -> wasmtime::Result<()> {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store)?;
        let Some(memory) = instance.get_memory(&mut store, "memory") else { wasmtime::bail!("no memory") };
        let alloc = instance.get_typed_func::<i32, i32>(&mut store, "alloc")?;
        let place = alloc.call(&mut store, text.len() as i32)?;
        memory.write(&mut store, place as usize, text.as_bytes())?;
        let run = instance.get_typed_func::<(i32, i32), i32>(&mut store, "run")?;
        run.call(&mut store, (place, text.len() as i32))?;
        Ok(())
    };
    Ok(Box::new(move || run().map_err(|error| anyhow::anyhow!("{error:?}"))))
}
