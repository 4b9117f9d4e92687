//! Calls that may wait, beside a peer and beside calls that may not; and many guests that wait at once.

use std::time::Instant;

use anyhow::Result;

use super::{ours, peer};
use crate::density::resident;
use crate::options::Options;
use crate::table::{Table, Unit};
use crate::turns;

/// A guest that cannot wait.
pub const PLAIN: &str = r#"(module (func (export "same") (param i32) (result i32) (local.get 0)))"#;

/// A guest that can: `ready` and `once` call the host so many times.
pub const WAITING: &str = r#"(module
    (import "" "ready" (func $ready (param i32) (result i32)))
    (import "" "once" (func $once (param i32) (result i32)))
    (func (export "same") (param i32) (result i32) (local.get 0))
    (func (export "ready") (param i32) (result i32)
        (loop $next
            (drop (call $ready (local.get 0)))
            (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 0))
    (func (export "once") (param i32) (result i32)
        (loop $next
            (drop (call $once (local.get 0)))
            (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 0)))"#;

/// Calls; the same beside synchronous ones; and suspended guests.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let columns = |table: Table| {
        table.ours("hotfoot", "func_wrap_async, call_async").peer("Wasmtime", "func_wrap_async, call_async")
    };
    let mut calls = columns(Table::new("async", "calls that may wait, in a store of their own", Unit::Nanoseconds));
    let mut beside =
        columns(Table::new("async beside sync", "call_async beside call, of the same engine", Unit::Times));
    let mut synchronous = None;
    for ((row, ours), (_, peer)) in ours::waiting::rows()?.into_iter().zip(peer::waiting::rows()?) {
        if !options.wants("async", row) {
            continue;
        }
        let samples = turns::samples(options.rounds(200, 40), &mut [ours, peer])?;
        if synchronous.is_none() {
            synchronous = Some(samples.clone());
        } else if let Some(base) = synchronous.as_ref().filter(|_| row.starts_with("call_async")) {
            let medians = base.iter().map(|of| crate::table::Spread::of(of).map_or(1.0, |spread| spread.median));
            let ratios = samples.iter().zip(medians).map(|(of, base)| of.iter().map(|sample| sample / base).collect());
            beside.row(row, ratios.collect::<Vec<Vec<f64>>>());
        }
        calls.row(row, samples);
    }
    let mut tables = vec![calls, beside];
    if options.wants("async", "suspended") {
        tables.extend(suspended(options, columns)?);
    }
    Ok(tables)
}

fn suspended(options: &Options, columns: impl Fn(Table) -> Table) -> Result<[Table; 2]> {
    let count = 10_000;
    let mut time = columns(Table::new(
        "suspended",
        "a guest in a store of its own, suspended beside 9,999 others",
        Unit::Nanoseconds,
    ));
    let mut memory = columns(Table::new("suspended memory", "memory of a suspended guest and its store", Unit::Bytes));
    let mut samples = [const { Vec::new() }; 6];
    for _ in 0..options.rounds(10, 2) {
        for (at, suspend) in
            [ours::waiting::suspend as fn(usize, &mut dyn FnMut()) -> Result<()>, peer::waiting::suspend]
                .into_iter()
                .enumerate()
        {
            let (start, before) = (Instant::now(), resident()?);
            let mut between = (start, Ok(before));
            suspend(count, &mut || between = (Instant::now(), resident()))?;
            let each = |nanos: u128| nanos as f64 / count as f64;
            samples[at].push(each((between.0 - start).as_nanos()));
            samples[at + 2].push(each(between.0.elapsed().as_nanos()));
            samples[at + 4].push((between.1? - before).max(0.0) / count as f64);
        }
    }
    let [start_ours, start_peer, end_ours, end_peer, memory_ours, memory_peer] = samples;
    time.row("instantiate, call, suspend", [start_ours, start_peer]);
    time.row("resume, end, drop", [end_ours, end_peer]);
    memory.row("one of 10,000", [memory_ours, memory_peer]);
    Ok([time, memory])
}
