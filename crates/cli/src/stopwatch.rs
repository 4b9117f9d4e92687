//! `--time`: how long each step of a run took.

use std::fmt;
use std::time::{Duration, Instant};

/// Measures steps that follow each other.
pub struct Stopwatch {
    step_start: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    /// Starts the first step.
    pub fn start() -> Stopwatch {
        Stopwatch { step_start: Instant::now(), steps: Vec::new() }
    }

    /// Ends a step; the next one begins.
    pub fn lap(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((step, now - self.step_start));
        self.step_start = now;
    }
}

impl fmt::Display for Stopwatch {
    /// `read took 0.1 ms, compile took 12.3 ms, …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (step, duration)) in self.steps.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{step} took {:.3} ms", duration.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_in_order() {
        let mut watch = Stopwatch::start();
        watch.lap("read");
        watch.lap("run");
        let text = watch.to_string();
        assert!(text.starts_with("read took ") && text.contains(" ms, run took ") && text.ends_with(" ms"), "{text}");
    }
}
