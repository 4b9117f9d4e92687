//! Waiting for descriptors and for time, in one system call and without busy waiting.

use super::clock::{Clock, ClockId, timespec};
use super::{Errno, Result};
use rustix::event::{PollFd, poll};

/// Waits until one of `fds` is ready or `timeout_ns` has passed; says how many are ready, 0 if it was time that ended
/// the wait. Without a timeout it may wait for ever.
///
/// A virtual clock never waits: if nothing is ready the time has passed at once.
pub fn wait(fds: &mut [PollFd<'_>], timeout_ns: Option<u64>, clock: &mut Clock) -> Result<usize> {
    let Some(timeout_ns) = timeout_ns else {
        return rustix::io::retry_on_intr(|| poll(fds, None));
    };
    if clock.is_virtual() {
        let ready = rustix::io::retry_on_intr(|| poll(fds, Some(&timespec(0))))?;
        if ready == 0 {
            clock.sleep_ns(timeout_ns)?;
        }
        return Ok(ready);
    }
    if fds.is_empty() {
        clock.sleep_ns(timeout_ns)?;
        return Ok(0);
    }
    let end_ns = clock.now_ns(ClockId::Monotonic).saturating_add(timeout_ns);
    let mut left_ns = timeout_ns;
    loop {
        match poll(fds, Some(&timespec(left_ns))) {
            Err(Errno::INTR) => left_ns = end_ns.saturating_sub(clock.now_ns(ClockId::Monotonic)),
            done => return done,
        }
    }
}
