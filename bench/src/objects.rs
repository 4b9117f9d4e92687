//! Garbage collection beside a peer: guests that make 100 million short-lived objects in a heap of 16 MiB.
//!
//! hotfoot and Wasmtime with each of its collectors run each guest in turns, in one process. A heap that collects
//! nothing is the peer's fastest, but is full at once: it is given all the memory it asks for.

use std::time::Instant;

use anyhow::Result;

use crate::options::Options;
use crate::table::{Table, Unit};

/// Most bytes of the heap.
const HEAP: usize = 16 << 20;

/// Lists of 1000 nodes, each summed up and dropped.
const LISTS: &str = r#"(module
    (type $node (struct (field $value i32) (field $next (ref null $node))))
    (func $sum (param $node (ref null $node)) (result i32)
        (local $sum i32)
        (block $done
            (loop $next
                (br_if $done (ref.is_null (local.get $node)))
                (local.set $sum (i32.add (local.get $sum) (struct.get $node $value (local.get $node))))
                (local.set $node (struct.get $node $next (local.get $node)))
                (br $next)))
        (local.get $sum))
    (func (export "run") (param $objects i32) (result i32)
        (local $list (ref null $node)) (local $sum i32) (local $left i32)
        (loop $again
            (local.set $list (ref.null $node))
            (local.set $left (i32.const 1000))
            (loop $push
                (local.set $list (struct.new $node (local.get $left) (local.get $list)))
                (br_if $push (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (local.set $sum (i32.add (local.get $sum) (call $sum (local.get $list))))
            (br_if $again (i32.gt_s (local.tee $objects (i32.sub (local.get $objects) (i32.const 1000))) (i32.const 0))))
        (local.get $sum)))"#;

/// Complete binary trees of 32,767 nodes, each counted and dropped, beside one that stays.
const TREES: &str = r#"(module
    (type $tree (struct (field $left (ref null $tree)) (field $right (ref null $tree))))
    (func $grow (param $depth i32) (result (ref null $tree))
        (if (result (ref null $tree)) (local.get $depth)
            (then (struct.new $tree
                (call $grow (i32.sub (local.get $depth) (i32.const 1)))
                (call $grow (i32.sub (local.get $depth) (i32.const 1)))))
            (else (struct.new $tree (ref.null $tree) (ref.null $tree)))))
    (func $count (param $tree (ref null $tree)) (result i32)
        (if (result i32) (ref.is_null (local.get $tree))
            (then (i32.const 0))
            (else (i32.add (i32.const 1) (i32.add
                (call $count (struct.get $tree $left (local.get $tree)))
                (call $count (struct.get $tree $right (local.get $tree))))))))
    (func (export "run") (param $objects i32) (result i32)
        (local $stays (ref null $tree)) (local $sum i32)
        (local.set $stays (call $grow (i32.const 14)))
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call $count (call $grow (i32.const 14)))))
            (br_if $again (i32.gt_s (local.tee $objects (i32.sub (local.get $objects) (i32.const 32767))) (i32.const 0))))
        (i32.add (local.get $sum) (call $count (local.get $stays)))))"#;

type Run = Box<dyn FnMut(i32) -> Result<i32>>;

fn ours(guest: &str) -> Result<Run> {
    use hotfoot::{Config, Engine, Instance, Module, Store, StoreLimitsBuilder};
    let engine = Engine::new(&Config::new())?;
    let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(HEAP).build());
    store.limiter(|limits| limits);
    let instance = Instance::new(&mut store, &Module::new(&engine, guest)?, &[])?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    Ok(Box::new(move |objects| run.call(&mut store, objects)))
}

fn peer(guest: &str, collector: wasmtime::Collector) -> wasmtime::Result<Run> {
    use wasmtime::{Collector, Config, Engine, Instance, Module, Store, StoreLimitsBuilder};
    let mut config = Config::new();
    config.wasm_gc(true).wasm_function_references(true).collector(collector);
    let engine = Engine::new(&config)?;
    let limit = if collector == Collector::Null { 4 << 30 } else { HEAP };
    let module = Module::new(&engine, guest)?;
    Ok(Box::new(move |objects| {
        // A new store for each run: the collector that collects nothing would be full otherwise.
        let run = || {
            let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(limit).build());
            store.limiter(|limits| limits);
            let instance = Instance::new(&mut store, &module, &[])?;
            instance.get_typed_func::<i32, i32>(&mut store, "run")?.call(&mut store, objects)
        };
        run().map_err(|error: wasmtime::Error| anyhow::anyhow!("{error:?}"))
    }))
}

/// One table: the time of an object, from its making to its end.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    use wasmtime::Collector;
    let (objects, rounds) = if options.quick { (4_000_000, 3) } else { (100_000_000, 3) };
    let mut table = Table::new("objects", "one garbage-collected object, made, used and forgotten", Unit::Nanoseconds)
        .ours("hotfoot", "a heap of 16 MiB")
        .peer("Wasmtime copying", "a heap of 16 MiB, Collector::Copying")
        .peer("Wasmtime DRC", "a heap of 16 MiB, Collector::DeferredReferenceCounting")
        .peer("Wasmtime null", "Collector::Null, which frees nothing, and all the memory it asks for");
    table.note(format!("{objects} objects a run; where nothing is collected, as many as fit."));
    for (name, guest) in [("lists", LISTS), ("trees", TREES)] {
        if !options.wants("objects", name) {
            continue;
        }
        let collector = |collector| peer(guest, collector).map_err(|error| anyhow::anyhow!("{error:?}"));
        let mut runs = [
            ours(guest)?,
            collector(Collector::Copying)?,
            collector(Collector::DeferredReferenceCounting)?,
            collector(Collector::Null)?,
        ];
        let mut samples = vec![Vec::new(); 4];
        let mut results = Vec::new();
        for _ in 0..rounds {
            for (at, (run, samples)) in runs.iter_mut().zip(&mut samples).enumerate() {
                if name == "trees" && at == 2 {
                    table.note("trees, Wasmtime DRC: left out, a run takes minutes");
                    continue;
                }
                // What collects nothing has room for some millions of objects.
                let part = if at == 3 { objects / 2.max(objects / 50_000_000) } else { objects };
                let start = Instant::now();
                match run(part) {
                    Ok(result) => {
                        samples.push(start.elapsed().as_nanos() as f64 / f64::from(part));
                        results.extend((part == objects).then_some(result));
                    }
                    Err(error) => table.note(format!("{name}, {}: {:#}", table.columns[at].name, error.root_cause())),
                }
            }
        }
        anyhow::ensure!(results.windows(2).all(|pair| pair[0] == pair[1]), "the results differ: {results:?}");
        table.row(name, samples);
    }
    table.notes.dedup();
    Ok(vec![table])
}
