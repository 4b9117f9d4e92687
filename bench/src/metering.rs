//! What it costs to be able to stop a guest, and how soon one stops: timeouts, epochs and fuel beside a peer's.
//!
//! Overhead is the time of a guest with the means to stop it beside the time of the same guest without, in the same
//! engine. Latency is from the moment at which one thread asks to that at which the guest's call has returned in another.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::execution::program::{Extent, Program};
use crate::execution::{self, Setting};
use crate::options::Options;
use crate::scratch::Scratch;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};

/// Guests that do what programs do: calls, loops over memory, arithmetic.
const GUESTS: [(&str, i32, &str); 4] = [
    (
        "fib",
        22,
        r#"(module (func $fib (export "run") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
            (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#,
    ),
    (
        "sieve",
        200_000,
        r#"(module (memory 4) (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $count i32)
        (memory.fill (i32.const 0) (i32.const 0) (local.get $n))
        (local.set $i (i32.const 2))
        (loop $next
            (if (i32.eqz (i32.load8_u (local.get $i)))
                (then
                    (local.set $count (i32.add (local.get $count) (i32.const 1)))
                    (local.set $j (i32.add (local.get $i) (local.get $i)))
                    (block $done (loop $mark
                        (br_if $done (i32.ge_u (local.get $j) (local.get $n)))
                        (i32.store8 (local.get $j) (i32.const 1))
                        (local.set $j (i32.add (local.get $j) (local.get $i)))
                        (br $mark)))))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
        (local.get $count)))"#,
    ),
    (
        "matrix",
        64,
        r#"(module (memory 4) (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $k i32) (local $sum f64)
        (loop $rows
            (local.set $j (i32.const 0))
            (loop $columns
                (local.set $sum (f64.const 0)) (local.set $k (i32.const 0))
                (loop $sum
                    (local.set $sum (f64.add (local.get $sum) (f64.mul
                        (f64.load (i32.shl (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get $k)) (i32.const 3)))
                        (f64.load offset=32768 (i32.shl (i32.add (i32.mul (local.get $k) (local.get $n)) (local.get $j)) (i32.const 3))))))
                    (br_if $sum (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
                (f64.store offset=65536 (i32.shl (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get $j)) (i32.const 3)) (local.get $sum))
                (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
            (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
        (i32.trunc_f64_s (local.get $sum))))"#,
    ),
    (
        "mixing",
        100_000,
        r#"(module
        (func $mix (param i32 i32) (result i32) (i32.xor (i32.rotl (i32.mul (local.get 0) (i32.const 0x9e3779b1)) (i32.const 13)) (local.get 1)))
        (func (export "run") (param $n i32) (result i32) (local $state i32)
        (loop $next
            (if (i32.and (local.get $state) (i32.const 1))
                (then (local.set $state (call $mix (local.get $state) (local.get $n))))
                (else (local.set $state (i32.add (i32.shr_u (local.get $state) (i32.const 1)) (local.get $n)))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $state)))"#,
    ),
];

/// There are fewer rounds of a program that runs long.
const ENOUGH: Duration = Duration::from_secs(20);

/// How a guest can be stopped.
#[derive(Copy, Clone, PartialEq)]
enum Means {
    None,
    Timeout,
    Epochs,
    Fuel,
}

mod ours {
    use super::*;
    use hotfoot::{Config, Engine, Instance, Module, Store, TypedFunc};

    pub fn prepare(guest: &str, means: Means) -> Result<(Engine, Store<()>, TypedFunc<i32, i32>)> {
        let engine =
            Engine::new(Config::new().epoch_interruption(means == Means::Epochs).consume_fuel(means == Means::Fuel))?;
        let mut store = Store::new(&engine, ());
        match means {
            Means::None => {}
            Means::Timeout => store.set_timeout(Duration::from_secs(100_000))?,
            Means::Epochs => store.set_epoch_deadline(1),
            Means::Fuel => store.set_fuel(u64::MAX)?,
        }
        let instance = Instance::new(&mut store, &Module::new(&engine, guest)?, &[])?;
        let func = instance.get_typed_func(&mut store, "run")?;
        Ok((engine, store, func))
    }

    pub fn run(guest: &str, means: Means, argument: i32) -> Result<Run<'static>> {
        let (_, mut store, func) = prepare(guest, means)?;
        Ok(Box::new(move |times| (0..times).try_for_each(|_| func.call(&mut store, argument).map(drop))))
    }

    /// Something that asks the guest to stop, and something that runs it until then.
    pub fn endless() -> Result<(Box<dyn Fn() + Send>, Box<dyn FnMut() + Send>)> {
        let (_, mut store, func) = prepare(ENDLESS, Means::None)?;
        let handle = store.interrupt_handle()?;
        Ok((Box::new(move || handle.interrupt()), Box::new(move || assert!(func.call(&mut store, 0).is_err()))))
    }
}

mod peer {
    use super::*;
    use wasmtime::{Config, Engine, Instance, Module, Store, TypedFunc};

    fn prepare(guest: &str, means: Means) -> wasmtime::Result<(Engine, Store<()>, TypedFunc<i32, i32>)> {
        let engine =
            Engine::new(Config::new().epoch_interruption(means == Means::Epochs).consume_fuel(means == Means::Fuel))?;
        let mut store = Store::new(&engine, ());
        match means {
            Means::None | Means::Timeout => {}
            Means::Epochs => store.set_epoch_deadline(1),
            Means::Fuel => store.set_fuel(u64::MAX)?,
        }
        let instance = Instance::new(&mut store, &Module::new(&engine, guest)?, &[])?;
        let func = instance.get_typed_func(&mut store, "run")?;
        Ok((engine, store, func))
    }

    pub fn run(guest: &str, means: Means, argument: i32) -> Result<Run<'static>> {
        let (_, mut store, func) = prepare(guest, means).map_err(failed)?;
        Ok(Box::new(move |times| {
            (0..times).try_for_each(|_| func.call(&mut store, argument).map(drop)).map_err(failed)
        }))
    }

    /// As hotfoot's, by an epoch.
    pub fn endless() -> Result<(Box<dyn Fn() + Send>, Box<dyn FnMut() + Send>)> {
        let (engine, mut store, func) = prepare(ENDLESS, Means::Epochs).map_err(failed)?;
        let run = move || {
            assert!(func.call(&mut store, 0).is_err());
            // Before the next call is announced: whoever asks may be faster than the call.
            store.set_epoch_deadline(1);
        };
        Ok((Box::new(move || engine.increment_epoch()), Box::new(run)))
    }

    fn failed(error: wasmtime::Error) -> anyhow::Error {
        anyhow::anyhow!("{error:?}")
    }
}

const ENDLESS: &str = r#"(module (func (export "run") (param i32) (result i32)
    (loop $again (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br $again)) (local.get 0)))"#;

/// Overhead, and latency.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut overhead =
        Table::new("metering", "time of a guest that can be stopped, beside the same that cannot", Unit::Times)
            .ours("hotfoot", "set_timeout, epoch_interruption, consume_fuel")
            .peer("Wasmtime", "epoch_interruption, consume_fuel");
    overhead.note("1.00× is no overhead. Wasmtime has no timeouts that cost nothing; epochs are its way to have them.");
    for (name, argument, guest) in GUESTS {
        for (means, what) in [(Means::Timeout, "timeout"), (Means::Epochs, "epochs"), (Means::Fuel, "fuel")] {
            let row = format!("{name}, {what}");
            if !options.wants("metering", &row) {
                continue;
            }
            let (ours, peer) = (ours::run, peer::run);
            let mut runs = [
                ours(guest, Means::None, argument)?,
                ours(guest, means, argument)?,
                peer(guest, Means::None, argument)?,
                peer(guest, means, argument)?,
            ];
            let samples = turns::samples(options.rounds(200, 40), &mut runs)?;
            let ratio = |without: usize| -> Vec<f64> {
                samples[without + 1].iter().zip(&samples[without]).map(|(with, without)| with / without).collect()
            };
            let peer = if means == Means::Timeout { Vec::new() } else { ratio(2) };
            overhead.row(row, [ratio(0), peer]);
        }
    }
    Ok(vec![overhead, programs(options)?, latency(options)?])
}

/// The same of the programs of the execution tables.
fn programs(options: &Options) -> Result<Table> {
    let mut table = Table::new("metering programs", "time of a program that can be stopped, beside itself", Unit::Times)
        .ours("hotfoot", "epoch_interruption, consume_fuel")
        .peer("Wasmtime", "epoch_interruption, consume_fuel");
    let scratch = Scratch::new("metering")?;
    let programs = Program::all(options.corpus.as_deref())?;
    let extent = if options.quick { Extent::Sample } else { Extent::Short };
    for program in programs.iter().filter(|program| program.extent() <= extent) {
        for setting in [Setting::Epochs, Setting::Fuel] {
            let row = format!("{}, {}", program.name, setting.name());
            if options.wants("metering programs", &row) {
                let ratios = overheads(program, setting, &scratch, options.rounds(5, 3)).with_context(|| row.clone())?;
                table.row(row, ratios);
            }
        }
    }
    Ok(table)
}

/// How many times as long a program runs in a setting, here and in the peer, by rounds.
fn overheads(program: &Program, setting: Setting, scratch: &Path, rounds: usize) -> Result<[Vec<f64>; 2]> {
    let compilers = [execution::ours::compile, execution::peer::compile];
    let mut sides = Vec::new();
    for compile in compilers {
        for setting in [Setting::Default, setting] {
            sides.push(compile(program, setting, scratch)?.context("it runs every program")?);
        }
    }
    let (mut ratios, start) = ([Vec::new(), Vec::new()], Instant::now());
    for round in 0..rounds {
        if round > 1 && start.elapsed() > ENOUGH {
            break;
        }
        for (ratios, side) in ratios.iter_mut().zip(sides.chunks_mut(2)) {
            let [without, with] = side else { continue };
            let without = (without.run)()?.nanos;
            ratios.push((with.run)()?.nanos / without);
        }
    }
    Ok(ratios)
}

fn latency(options: &Options) -> Result<Table> {
    let mut table = Table::new(
        "interrupt latency",
        "from the request in one thread to the return of the call in another",
        Unit::Nanoseconds,
    )
    .ours("hotfoot", "InterruptHandle::interrupt; nothing in the code")
    .peer("Wasmtime", "Engine::increment_epoch; checks in the code");
    let tries = if options.quick { 1000 } else { 10_000 };
    table.note(format!("{tries} tries; under load, a thread for each processor does arithmetic meanwhile. The 99th percentile is of each tenth of the tries."));
    for (name, load) in [("idle machine", 0), ("under load", thread::available_parallelism()?.get())] {
        if !options.wants("interrupt latency", name) {
            continue;
        }
        let all = [ours::endless()?, peer::endless()?].map(|(ask, run)| measure(tries, load, &*ask, run));
        let all: Vec<Vec<f64>> = all.into_iter().collect::<Result<_>>()?;
        let tail = |samples: &Vec<f64>| {
            samples
                .chunks(tries / 10)
                .map(|chunk| {
                    let mut chunk = chunk.to_vec();
                    chunk.sort_by(f64::total_cmp);
                    chunk[chunk.len() * 99 / 100]
                })
                .collect()
        };
        let tails: Vec<Vec<f64>> = all.iter().map(tail).collect();
        table.row(name, all);
        table.row(format!("{name}, 99th percentile"), tails);
    }
    Ok(table)
}

fn measure(tries: usize, load: usize, ask: &dyn Fn(), mut run: Box<dyn FnMut() + Send>) -> Result<Vec<f64>> {
    let (stop, ready) = (AtomicBool::new(false), Barrier::new(2));
    let (send, ended) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..load {
            scope.spawn(|| while !stop.load(Ordering::Relaxed) {});
        }
        scope.spawn(|| {
            for _ in 0..tries {
                ready.wait();
                run();
                let _ = send.send(Instant::now());
            }
        });
        let samples = (0..tries).map(|attempt| {
            ready.wait();
            // Long enough for the guest to run, different each time.
            thread::sleep(Duration::from_micros(20 + attempt as u64 % 64));
            let start = Instant::now();
            ask();
            let end: Instant = ended.recv().context("the guest's thread has ended")?;
            Ok(end.saturating_duration_since(start).as_nanos() as f64)
        });
        let samples = samples.collect();
        stop.store(true, Ordering::Relaxed);
        samples
    })
}
