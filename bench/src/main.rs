//! Instantiation beside a peer: create a store, instantiate, call, drop, over guests that stress one thing each.
//!
//! ```text
//!  cargo run --release -- [--threads | --density | --objects | --load | --wasi | --preinit FOLDER] [--only PATTERN] [--quick]
//! ```
//!
//! `--threads` shows instead what several threads do beside one, `--density` what instances cost while they are idle or
//! alive, `--objects` what making and collecting objects costs, `--load` how long
//! artifacts of ten to thirty thousand functions take to load, `--wasi` what calls of WASI cost.
//!
//! Each guest is run by hotfoot and by Wasmtime (pooling, at its default and at its best settings) in turns, in short
//! batches, in one process; the table shows the median time of one instance and the ratios. Times of shared machines
//! are noisy: read the ratios.

mod density;
mod guests;
mod load;
mod objects;
mod ours;
mod peer;
mod preinit;
mod threads;
mod wasi;

use std::time::Instant;

use anyhow::Result;
use guests::Guest;

/// Something that runs one instance of a guest from nothing to dropped.
pub type Runner = Box<dyn FnMut() -> Result<()>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--threads") {
        return threads::report(quick);
    }
    if has("--objects") {
        return objects::report(quick);
    }
    if has("--load") {
        return load::report(quick);
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--preinit") {
        let folder = arguments.get(at + 1).map_or("../../shared/corpus/preinit", String::as_str);
        return preinit::report(folder.as_ref(), quick);
    }
    if has("--wasi") {
        return wasi::report(quick);
    }
    if has("--density") {
        return density::report(quick);
    }
    println!("{:<30} {:>10} {:>12} {:>12} {:>9} {:>9}", "one instance, median", "hotfoot", "peer best", "peer default", "best/ours", "dflt/ours");
    for guest in guests::all() {
        if only.is_some_and(|pattern| !guest.name.contains(pattern.as_str())) {
            continue;
        }
        report(&guest, quick)?;
    }
    Ok(())
}

fn report(guest: &Guest, quick: bool) -> Result<()> {
    let mut runners = [ours::runner(guest)?, peer::runner(guest, true)?, peer::runner(guest, false)?];
    let mut times = [const { Vec::new() }; 3];
    // Batches are long enough for the clock and short enough that all three see the same noise.
    let rounds = if quick { 20 } else { 200 };
    let mut batch = [1u32; 3];
    for (runner, batch) in runners.iter_mut().zip(&mut batch) {
        for _ in 0..200 {
            runner()?;
        }
        let start = Instant::now();
        for _ in 0..20 {
            runner()?;
        }
        *batch = (200_000 * 20 / start.elapsed().as_nanos().max(1)).clamp(1, 2000) as u32;
    }
    for _ in 0..rounds {
        for ((runner, times), batch) in runners.iter_mut().zip(&mut times).zip(batch) {
            let start = Instant::now();
            for _ in 0..batch {
                runner()?;
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(batch));
        }
    }
    let [ours, best, default] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let micros = |nanos: f64| format!("{:.3} µs", nanos / 1000.0);
    println!(
        "{:<30} {:>10} {:>12} {:>12} {:>8.2}× {:>8.2}×",
        guest.name,
        micros(ours),
        micros(best),
        micros(default),
        best / ours,
        default / ours
    );
    Ok(())
}
