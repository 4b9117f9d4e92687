//! What this host takes for giving a page back and getting it again, measured once: what a reset decides by.

use std::io;
use std::sync::OnceLock;
use std::time::Instant;

use super::sys::mmap::Mmap;
use super::sys::{memfd, page};

/// Pages that are measured at once, and how often: enough for the clock, and for one undisturbed round.
const PAGES: usize = 32;
const ROUNDS: usize = 4;

/// Nanoseconds that a page of a copy-on-write mapping costs whose memory is given back and that is then written again.
pub fn refault_ns() -> u64 {
    static REFAULT_NS: OnceLock<u64> = OnceLock::new();
    // Where it cannot be measured, what was common on the machines that we know.
    *REFAULT_NS.get_or_init(|| measure().unwrap_or(2000))
}

fn measure() -> io::Result<u64> {
    let len = PAGES * page::size();
    let file = memfd::create("hotfoot-costs")?;
    file.set_len(len as u64)?;
    let mut mapping = Mmap::reserve(len)?;
    mapping.map_file(0..len, &file, 0)?;
    mapping.make_writable(0..len)?;
    let mut best = u64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for at in (0..len).step_by(page::size()) {
            // SAFETY: S5, a writable page of our own mapping, which nobody else has.
            unsafe { mapping.base().as_ptr().add(at).write_volatile(1) };
        }
        mapping.discard(0..len)?;
        best = best.min(start.elapsed().as_nanos() as u64);
    }
    Ok(best / PAGES as u64)
}
