//! What several threads do beside one: instances a second of the same `InstancePre`, in turns, in one process.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::{guests, ours};

/// Prints how many times the throughput of one thread two threads have, and as many as there are processors.
pub fn report(quick: bool) -> Result<()> {
    let most = thread::available_parallelism()?.get();
    let mut counts = vec![1, 2, most];
    counts.dedup();
    println!("{:<30} {:>8} {:>16} {:>10}", "throughput", "threads", "instances/s", "of one");
    for guest in guests::all().iter().filter(|guest| ["empty", "64 KiB, 1 page written"].contains(&guest.name.as_str())) {
        let (engine, pre) = ours::prepare(guest)?;
        let mut rates = vec![Vec::new(); counts.len()];
        for _ in 0..if quick { 5 } else { 41 } {
            for (rates, count) in rates.iter_mut().zip(&counts) {
                rates.push(rate(*count, &|| ours::run(&engine, &pre))?);
            }
        }
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        };
        let rates: Vec<f64> = rates.iter_mut().map(median).collect();
        for (count, rate) in counts.iter().zip(&rates) {
            println!("{:<30} {count:>8} {rate:>16.0} {:>9.2}×", guest.name, rate / rates[0]);
        }
    }
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
