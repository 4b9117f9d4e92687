//! Instantiation: create a store, instantiate, call, drop, over guests that stress one thing each.

use anyhow::Result;

use crate::options::Options;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};
use crate::{guests, others, ours, peer};

/// Something that runs one instance of a guest from nothing to dropped.
pub type Runner = Box<dyn FnMut() -> Result<()>>;

/// A row for each guest: beside Wasmtime, and beside other engines.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut table = Table::new("instantiate", "one instance: store, instantiate, call, drop", Unit::Nanoseconds)
        .ours("hotfoot", "InstanceAllocationStrategy::pooling()")
        .peer("Wasmtime best", "pooling, 4 MiB of each memory and 1 MiB of each table kept resident, pagemap_scan")
        .peer("Wasmtime default", "pooling as it comes");
    for guest in guests::all().iter().filter(|guest| options.wants("instantiate", &guest.name)) {
        let runners = [ours::runner(guest)?, peer::runner(guest, true)?, peer::runner(guest, false)?];
        let mut runs = runners.map(repeat);
        for run in &mut runs {
            run(200)?;
        }
        table.row(&guest.name, turns::samples(options.rounds(200, 20), &mut runs)?);
    }
    Ok(vec![table, others::instances(options)?])
}

/// Does what runs once so many times.
pub fn repeat(mut runner: Runner) -> Run<'static> {
    Box::new(move |times| (0..times).try_for_each(|_| runner()))
}
