//! What several threads do beside one: instances a second of the same `InstancePre`, in turns, in one process.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::options::Options;
use crate::table::{Table, Unit};
use crate::{guests, ours};

/// Two tables: instances a second of one thread, of two, and of as many as there are processors; and what several do
/// beside one. Arithmetic that shares nothing shows what the machine has to give at that time.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let most = thread::available_parallelism()?.get();
    let mut counts = vec![1, 2, most];
    counts.dedup();
    let mut rates = Table::new("threads", "instances a second of all threads together", Unit::PerSecond);
    let mut scaling = Table::new("scaling", "threads beside one thread", Unit::Times);
    for count in &counts {
        let name = format!("{count} threads");
        rates = rates.ours(&name, "one InstancePre for all");
        if *count > 1 {
            scaling =
                scaling.ours(&name, "throughput beside that of one thread; as many as there are threads is perfect");
        }
    }
    let shown = ["empty", "64 KiB, 1 page written", "2000-entry table"];
    let mut works: Vec<(String, Box<dyn Fn() -> Result<()> + Sync>)> = Vec::new();
    for guest in guests::all().into_iter().filter(|guest| shown.contains(&guest.name.as_str())) {
        let (engine, pre) = ours::prepare(&guest)?;
        works.push((guest.name, Box::new(move || ours::run(&engine, &pre))));
    }
    works.push(("(arithmetic)".into(), Box::new(arithmetic)));
    for (name, work) in works.iter().filter(|(name, _)| options.wants("threads", name)) {
        let mut samples = vec![Vec::new(); counts.len()];
        for _ in 0..options.rounds(41, 5) {
            for (samples, count) in samples.iter_mut().zip(&counts) {
                samples.push(rate(*count, work)?);
            }
        }
        let beside = |several: &Vec<f64>| several.iter().zip(&samples[0]).map(|(all, one)| all / one).collect();
        scaling.row(name, samples[1..].iter().map(beside).collect::<Vec<_>>());
        rates.row(name, samples);
    }
    Ok(vec![rates, scaling])
}

/// As long as an instance takes, more or less, and as many instructions at once as a processor can: two processors that
/// are two halves of one show it.
fn arithmetic() -> Result<()> {
    let mut sums = [1u64, 2, 3, 4, 5, 6, 7, 8];
    for step in 0..80 {
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(step ^ at as u64).rotate_left(3);
        }
    }
    black_box(sums);
    Ok(())
}

/// Instances a second of so many threads.
fn rate(threads: usize, run: &(dyn Fn() -> Result<()> + Sync)) -> Result<f64> {
    const EACH: u32 = 20_000;
    let barrier = Barrier::new(threads);
    let work = || -> Result<f64> {
        (0..100).try_for_each(|_| run())?;
        barrier.wait();
        let start = Instant::now();
        (0..EACH).try_for_each(|_| run())?;
        Ok(start.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut rate = 0.0;
        for worker in workers {
            rate += f64::from(EACH) / worker.join().expect("a worker panicked")?;
        }
        Ok(rate)
    })
}
