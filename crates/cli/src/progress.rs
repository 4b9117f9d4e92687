//! How far a compilation is, painted on the last line of a terminal while it takes long; nothing otherwise.
//!
//! The compiling threads add to two counters; a thread of our own looks at them ten times a second. It is not started
//! for modules that are compiled before anyone could read it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hotfoot::CompileObserver;

/// Less code than this, in bytes of functions' bodies, is compiled in a moment.
const WORTH_SHOWING: u64 = 256 << 10;
const FIRST_AFTER: Duration = Duration::from_millis(400);
const EVERY: Duration = Duration::from_millis(100);
const BAR_LEN: u64 = 24;

/// Does the work and shows how far it is, if stderr is a terminal.
pub fn shown<T>(name: &str, work: impl FnOnce(&dyn CompileObserver) -> T) -> T {
    if !io::stderr().is_terminal() {
        return work(&());
    }
    let shared = Arc::new(Shared { name: name.to_owned(), total: AtomicU64::new(0), done: AtomicU64::new(0) });
    // Dropping it ends the painting, also when the work panics.
    let painter = Painter { shared, thread: Mutex::new(None) };
    work(&painter)
}

struct Shared {
    name: String,
    /// Bytes of all bodies; 0 when there is nothing to wait for any more.
    total: AtomicU64,
    done: AtomicU64,
}

struct Painter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl CompileObserver for Painter {
    fn begin(&self, _functions: usize, body_bytes: u64) {
        if body_bytes < WORTH_SHOWING {
            return;
        }
        self.shared.total.store(body_bytes, Ordering::Release);
        let shared = self.shared.clone();
        // Without a thread there is no bar, and nothing else is lost.
        let started = thread::Builder::new().spawn(move || paint(&shared)).ok();
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = started;
    }

    fn advance(&self, body_bytes: u64) {
        self.shared.done.fetch_add(body_bytes, Ordering::Relaxed);
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.shared.total.store(0, Ordering::Release);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn paint(shared: &Shared) {
    let start = Instant::now();
    let mut painted = false;
    loop {
        let until = if painted { start.elapsed() + EVERY } else { FIRST_AFTER };
        while start.elapsed() < until && shared.total.load(Ordering::Acquire) != 0 {
            thread::park_timeout(until.saturating_sub(start.elapsed()));
        }
        let total = shared.total.load(Ordering::Acquire);
        if total == 0 {
            break;
        }
        let text = line(&shared.name, shared.done.load(Ordering::Relaxed), total, start.elapsed());
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
        painted = true;
    }
    if painted {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// `compiling app.wasm  [######------------------]  25 %, 3 s left`
fn line(name: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let done = done.min(total);
    let filled = (done * BAR_LEN / total) as usize;
    let bar: String = (0..BAR_LEN as usize).map(|at| if at < filled { '#' } else { '-' }).collect();
    let left = match done {
        0 => String::new(),
        done => {
            let seconds = elapsed.as_secs_f64() * (total - done) as f64 / done as f64;
            format!(", {seconds:.0} s left")
        }
    };
    format!("compiling {}  [{bar}] {:>3} %{left}", short(name), done * 100 / total)
}

/// A name that leaves the bar room on its line: only one line can be painted over.
fn short(name: &str) -> String {
    const LEN_MAX: usize = 22;
    let len = name.chars().count();
    if len <= LEN_MAX {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(len - LEN_MAX + 1).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_and_how_long() {
        let second = Duration::from_secs(1);
        assert_eq!(line("`a`", 0, 4, second), "compiling `a`  [------------------------]   0 %");
        assert_eq!(line("`a`", 1, 4, second), "compiling `a`  [######------------------]  25 %, 3 s left");
        assert_eq!(line("`a`", 4, 4, second), "compiling `a`  [########################] 100 %, 0 s left");
        let long = format!("`/{}/app.wasm`", "folder/".repeat(20));
        assert!(line(&long, 4, 4, second).starts_with("compiling …") && line(&long, 1, 4, second).chars().count() < 80);
        assert_eq!(line("`a`", 9, 4, second), line("`a`", 4, 4, second), "a count that ran ahead stays on the line");
    }

    #[test]
    fn the_work_is_done_either_way() {
        let painter = Painter {
            shared: Arc::new(Shared { name: "x".to_owned(), total: AtomicU64::new(0), done: AtomicU64::new(0) }),
            thread: Mutex::new(None),
        };
        painter.begin(2, WORTH_SHOWING);
        painter.advance(WORTH_SHOWING);
        drop(painter);
        assert_eq!(
            shown("`x`", |observer| {
                observer.begin(1, 1);
                7
            }),
            7
        );
    }
}
