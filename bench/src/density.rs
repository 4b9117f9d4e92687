//! What an instance costs in memory while it is alive and while it is idle: resident bytes of the process.

use anyhow::{Context, Result};
use hotfoot::Store;

use crate::options::Options;
use crate::table::{Table, Unit};
use crate::{guests, ours};

/// Resident bytes of this process that are not of files.
pub fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse::<f64>()? * 1024.0)
    };
    field("Private_Dirty:")
}

/// One table: bytes an instance, alive and idle, and after [`hotfoot::Engine::trim`].
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let count = if options.quick { 50 } else { 90 };
    let mut table = Table::new("density", "memory of one instance, of many", Unit::Bytes)
        .ours("alive", "has run")
        .ours("idle", "dropped, kept warm in the pool")
        .ours("trimmed", "idle, after Engine::trim");
    table.note(format!("Private dirty memory of the process with {count} instances more, divided by their number."));
    for guest in guests::all().iter().filter(|guest| options.wants("density", &guest.name)) {
        let (engine, pre) = ours::prepare(guest)?;
        // One to make what all share.
        ours::run(&engine, &pre)?;
        let before = resident()?;
        let mut alive = Vec::new();
        for _ in 0..count {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store)?;
            instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
            alive.push(store);
        }
        let used = resident()?;
        drop(alive);
        let idle = resident()?;
        engine.trim();
        let trimmed = resident()?;
        let each = |bytes: f64| vec![(bytes - before).max(0.0) / f64::from(count)];
        table.row(&guest.name, [each(used), each(idle), each(trimmed)]);
    }
    Ok(vec![table])
}
