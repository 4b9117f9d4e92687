//! Guests beside their pre-initialised selves: `--corpus FOLDER`, where `FOLDER/preinit` has `regex_guest.wasm` and
//! `uap_guest.wasm`, which export `alloc(len) -> ptr`, `run(ptr, len) -> i32` and `memory`.
//!
//! One time is: create a store, instantiate, allocate, write the text, run, drop. hotfoot and Wasmtime run both forms in
//! turns, in one process; Wasmtime runs what Wizer made, and what we made, too.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::{Context as _, Result};
use hotfoot::Engine;
use hotfoot_preinit::Preinit;
use wasmtime::Val;
use wasmtime_wizer::{InstanceState, SnapshotVal, Wizer};

use crate::instantiate::{Runner, repeat};
use crate::options::Options;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};

const GUESTS: [(&str, &str, bool); 2] = [
    ("regex_guest", "1234567", true),
    ("uap_guest", "Mozilla/5.0 (X11; Linux x86_64; rv:85.0) Gecko/20100101 Firefox/85.0", false),
];

/// The time of a request with each guest as it was and pre-initialised, and what pre-initialising itself takes.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut requests = Table::new("preinit", "a request: instantiate, write a text, match it, drop", Unit::Nanoseconds)
        .ours("hotfoot artifact", "Preinit::run_to_artifact, InstanceAllocationStrategy::pooling()")
        .ours("hotfoot", "Preinit::run, InstanceAllocationStrategy::pooling()")
        .peer("Wasmtime best", "pooling, memory and tables kept resident, pagemap_scan, images of any size mapped; pre-initialised by Wizer")
        .peer("Wasmtime, our output", "the same settings; pre-initialised by hotfoot");
    let mut on_demand = Table::new("preinit on demand", "the same request without a pool", Unit::Nanoseconds)
        .ours("hotfoot", "InstanceAllocationStrategy::OnDemand")
        .peer("Wasmtime", "InstanceAllocationStrategy::OnDemand, images of any size mapped; pre-initialised by Wizer");
    let mut making = Table::new("preinit time", "pre-initialising the module", Unit::Nanoseconds)
        .ours("hotfoot", "")
        .peer("Wizer", "");
    let mut sizes = Table::new("preinit size", "bytes of the module", Unit::Bytes)
        .ours("pre-initialised", "")
        .ours("original", "")
        .peer("Wizer", "");
    let Some(folder) = options.corpus.as_ref().map(|corpus| corpus.join("preinit")) else { return Ok(Vec::new()) };
    for (name, text, cheap) in GUESTS.into_iter().filter(|(name, ..)| options.wants("preinit", name)) {
        let path = folder.join(format!("{name}.wasm"));
        let wasm = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let make = || Ok(Preinit::new().allow_wasi(true).run_with_report(&wasm)?.0);
        let output = make()?;
        let theirs = wizer(&wasm).map_err(failed)?;
        let again: Run<'_> = Box::new(|times| (0..times).try_for_each(|_| make().map(drop)));
        let wizer: Run<'_> = Box::new(|times| (0..times).try_for_each(|_| wizer(&wasm).map(drop)).map_err(failed));
        making.row(name, turns::samples_of(options.rounds(5, 1), 1, &mut [again, wizer])?);
        sizes.row(name, [&output, &wasm, &theirs].map(|module| vec![module.len() as f64]));
        let artifact = |wasm: &[u8]| Engine::default().precompile_module(wasm);
        let made = (output.clone(), Preinit::new().allow_wasi(true).run_to_artifact(&Engine::default(), &wasm)?);
        // What is too short a turn runs in caches that the others left behind.
        let forms = [
            ("original", &wasm, (wasm.clone(), artifact(&wasm)?), if cheap { 100 } else { 1 }),
            ("pre-initialised", &theirs, made, if cheap { 500 } else { 10 }),
        ];
        for (form, peers, (module, artifact), batch) in forms {
            let row = format!("{name}, {form}");
            let pooled = [
                ours(&artifact, text, true)?,
                ours(&module, text, true)?,
                peer(peers, text, true).map_err(failed)?,
                peer(&module, text, true).map_err(failed)?,
            ];
            requests.row(&row, samples(options, batch, pooled)?);
            let unpooled = [ours(&module, text, false)?, peer(peers, text, false).map_err(failed)?];
            on_demand.row(row, samples(options, batch.min(20), unpooled)?);
        }
    }
    Ok(vec![requests, on_demand, making, sizes])
}

fn samples<const N: usize>(options: &Options, batch: u32, runners: [Runner; N]) -> Result<Vec<Vec<f64>>> {
    let mut runs = runners.map(repeat);
    for run in &mut runs {
        run(1)?;
    }
    turns::samples_of(options.rounds(30, 5), batch, &mut runs)
}

/// A request of ours, of a module or an artifact.
fn ours(wasm: &[u8], text: &'static str, pooled: bool) -> Result<Runner> {
    use hotfoot::{Config, InstanceAllocationStrategy, Linker, Module, Store};
    let mut config = Config::new();
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
    }
    let engine = Engine::new(&config)?;
    let module = match Engine::detect_precompiled(wasm) {
        // SAFETY: this process made it.
        Some(_) => unsafe { Module::deserialize(&engine, wasm)? },
        None => Module::new(&engine, wasm)?,
    };
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

fn peer(wasm: &[u8], text: &'static str, pooled: bool) -> wasmtime::Result<Runner> {
    use wasmtime::{
        Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig, Store,
    };
    let mut pool = PoolingAllocationConfig::default();
    pool.max_memory_size(1 << 32).total_memories(100).total_tables(100);
    pool.linear_memory_keep_resident(4 << 20).table_keep_resident(1 << 20).pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.memory_init_cow(true);
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    // Otherwise an image of this size is not mapped, but copied.
    config.memory_guaranteed_dense_image_size(1 << 30);
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, wasm)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("wasi_snapshot_preview1", "random_get", |_: i32, _: i32| 0)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let pre = linker.instantiate_pre(&module)?;
    let run = move || -> wasmtime::Result<()> {
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
    Ok(Box::new(move || run().map_err(failed)))
}

/// What Wizer makes of a module, run by Wasmtime.
fn wizer(wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    use wasmtime::{Engine, Linker, Module, Store};
    let mut wizer = Wizer::new();
    wizer.init_func("wizer.initialize");
    let (context, instrumented) = wizer.instrument(wasm)?;
    let engine = Engine::default();
    let module = Module::new(&engine, &instrumented)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("wasi_snapshot_preview1", "random_get", |_: i32, _: i32| 0)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, "wizer.initialize")?.call(&mut store, ())?;
    let mut state = State { store, instance };
    let future = pin!(wizer.snapshot(&context, &mut state));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => wasmtime::bail!("reading a state waits for nothing"),
    }
}

/// What Wizer reads.
struct State {
    store: wasmtime::Store<()>,
    instance: wasmtime::Instance,
}

impl InstanceState for State {
    async fn global_get(&mut self, name: &str, _: wasmparser::ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).expect("Wizer exports it");
        match global.get(&mut self.store) {
            Val::I32(value) => SnapshotVal::I32(value),
            Val::I64(value) => SnapshotVal::I64(value),
            Val::F32(value) => SnapshotVal::F32(value),
            Val::F64(value) => SnapshotVal::F64(value),
            Val::V128(value) => SnapshotVal::V128(value.as_u128()),
            other => panic!("Wizer exports no such globals: {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).expect("Wizer exports it");
        contents(memory.data(&self.store));
    }
}

fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
