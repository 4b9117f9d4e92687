//! What the command is doing, for who waits for it: one line at the bottom of a terminal, or a line for each benchmark.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::time::Instant;

static STARTED: OnceLock<Instant> = OnceLock::new();

fn clock() -> String {
    let seconds = STARTED.get_or_init(Instant::now).elapsed().as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A benchmark begins, the `at`th of so many.
pub fn benchmark(name: &str, at: usize, count: usize) {
    clear();
    eprintln!("{:>6}  {at} of {count}: {name}", clock());
}

/// A row of a table was measured.
pub fn row(table: &str, row: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Cut to what fits, so that the line can be written over.
        let line: String = format!("{:>6}  {table} · {row}", clock()).chars().take(78).collect();
        let _ = write!(stderr, "\r\x1b[K{line}");
    }
}

/// Leaves an empty line for what comes next.
pub fn clear() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K");
    }
}
