//! What several threads do beside one: instances a second of the same `InstancePre`, in turns, in one process.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::{guests, ours};

/// Prints what two threads do beside one, and as many as there are processors: for each guest, and for arithmetic that
/// shares nothing, which shows what the machine has to give at that time.
pub fn report(quick: bool) -> Result<()> {
    let most = thread::available_parallelism()?.get();
    let mut counts = vec![1, 2, most];
    counts.dedup();
    println!("{:<30} {:>8} {:>16} {:>10} {:>12}", "throughput, a second", "threads", "median", "of one", "best of one");
    let shown = ["empty", "64 KiB, 1 page written", "2000-entry table"];
    let mut works: Vec<(String, Box<dyn Fn() -> Result<()> + Sync>)> = Vec::new();
    for guest in guests::all().into_iter().filter(|guest| shown.contains(&guest.name.as_str())) {
        let (engine, pre) = ours::prepare(&guest)?;
        works.push((guest.name, Box::new(move || ours::run(&engine, &pre))));
    }
    works.push(("(arithmetic)".into(), Box::new(arithmetic)));
    for (name, work) in &works {
        let mut rates = vec![Vec::new(); counts.len()];
        for _ in 0..if quick { 5 } else { 41 } {
            for (rates, count) in rates.iter_mut().zip(&counts) {
                rates.push(rate(*count, work)?);
            }
        }
        rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
        let median = |rates: &Vec<f64>| rates[rates.len() / 2];
        let best = |rates: &Vec<f64>| rates[rates.len() - 1];
        for (count, of) in counts.iter().zip(&rates) {
            let (usual, most) = (median(of) / median(&rates[0]), best(of) / best(&rates[0]));
            println!("{name:<30} {count:>8} {:>16.0} {usual:>9.2}× {most:>11.2}×", median(of));
        }
    }
    Ok(())
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
