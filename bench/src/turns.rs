//! Measuring contenders in turns, in one process, so that the noise of the machine meets all of them alike.

use std::time::Instant;

use anyhow::Result;

/// Does an operation so many times.
pub type Run<'a> = Box<dyn FnMut(u32) -> Result<()> + 'a>;

/// Takes a sample: nanoseconds of one operation.
pub type Sampler<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

/// How long one turn takes, about: long enough for the clock, short enough that all contenders see the same noise.
const TURN_NANOS: f64 = 200_000.0;

/// Nanoseconds of one operation: a list of samples for each contender, one from each of so many rounds. How many
/// operations a turn has is found out by running each for a while, which also warms it up.
pub fn samples(count: usize, runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    let batches = runs.iter_mut().map(calibrate).collect::<Result<Vec<u32>>>()?;
    of_batches(count, &batches, runs)
}

/// As [`samples`], with one number of operations a turn for all.
pub fn samples_of(count: usize, batch: u32, runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    of_batches(count, &vec![batch; runs.len()], runs)
}

fn of_batches(count: usize, batches: &[u32], runs: &mut [Run<'_>]) -> Result<Vec<Vec<f64>>> {
    let samplers = runs
        .iter_mut()
        .zip(batches)
        .map(|(run, batch)| -> Option<Sampler<'_>> { Some(Box::new(|| time(run, *batch))) });
    rounds(count, &mut samplers.collect::<Vec<_>>())
}

/// What takes samples of an operation by turns of the same length.
pub fn sampler<'a>(mut run: Run<'a>) -> Result<Sampler<'a>> {
    let batch = calibrate(&mut run)?;
    Ok(Box::new(move || time(&mut run, batch)))
}

/// Samples from each of so many rounds; none of who is absent.
pub fn rounds(count: usize, samplers: &mut [Option<Sampler<'_>>]) -> Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::with_capacity(count); samplers.len()];
    for _ in 0..count {
        for (sampler, samples) in samplers.iter_mut().zip(&mut samples) {
            if let Some(sampler) = sampler {
                samples.push(sampler()?);
            }
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
