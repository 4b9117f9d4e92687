//! Measuring contenders in turns, in one process, so that the noise of the machine meets all of them alike.

use std::time::Instant;

use anyhow::Result;

/// Does an operation so many times.
pub type Run<'a> = Box<dyn FnMut(u32) -> Result<()> + 'a>;

/// How long one turn takes, about: long enough for the clock, short enough that all contenders see the same noise.
const TURN_NANOS: f64 = 200_000.0;

/// Nanoseconds of one operation: a list of samples for each contender, one from each of so many rounds. How many
/// operations a turn has is found out by running each for a while, which also warms it up.
pub fn samples(rounds: usize, runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    let batches = runs.iter_mut().map(calibrate).collect::<Result<Vec<u32>>>()?;
    rounds_of(rounds, &batches, runs)
}

/// As [`samples`], with one number of operations a turn for all.
pub fn samples_of(rounds: usize, batch: u32, runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    rounds_of(rounds, &vec![batch; runs.len()], runs)
}

fn rounds_of(rounds: usize, batches: &[u32], runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::with_capacity(rounds); runs.len()];
    for _ in 0..rounds {
        for ((run, samples), batch) in runs.iter_mut().zip(&mut samples).zip(batches) {
            samples.push(time(run, *batch)?);
        }
    }
    Ok(samples)
}

fn time(run: &mut Run<'_>, batch: u32) -> Result<f64> {
    let start = Instant::now();
    run(batch)?;
    Ok(start.elapsed().as_nanos() as f64 / f64::from(batch))
}

/// Operations that take about as long as a turn.
fn calibrate(run: &mut Run<'_>) -> Result<u32> {
    let mut batch = 1;
    loop {
        let nanos = time(run, batch)?.max(0.01);
        if nanos * f64::from(batch) >= TURN_NANOS / 2.0 {
            return Ok((TURN_NANOS / nanos).ceil().max(1.0) as u32);
        }
        batch = batch.saturating_mul(4);
    }
}
