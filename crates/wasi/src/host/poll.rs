//! Waiting for descriptors and for time: in one system call, without busy waiting, and no longer than allowed.

use super::clock::{Clock, ClockId, timespec};
use super::{Errno, Result};
use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How long one operation may wait for the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: `EAGAIN`.
    Never,
    /// This long, then `ETIMEDOUT`.
    UpTo(Duration),
    /// As long as it takes.
    #[default]
    Forever,
}

/// A descriptor that is ready for writing takes this many bytes without waiting, if it takes them at all.
pub const WRITABLE_BYTES: usize = 4096;

/// Makes a system call again that a signal ended, unless the guest is to stop.
pub fn retry<R>(mut call: impl FnMut() -> Result<R>) -> Result<R> {
    loop {
        match call() {
            Err(Errno::INTR) if !hotfoot::interrupted() => {}
            done => return done,
        }
    }
}

/// Does `transfer` once `fd` is ready for it. The descriptor's own mode, which others may share, is not changed.
pub fn patiently<R>(
    fd: BorrowedFd<'_>,
    event: PollFlags,
    patience: Patience,
    mut transfer: impl FnMut() -> Result<R>,
) -> Result<R> {
    let mut wait_first = patience != Patience::Forever;
    loop {
        if wait_first && !is_ready(fd, event, patience)? {
            return Err(if patience == Patience::Never { Errno::AGAIN } else { Errno::TIMEDOUT });
        }
        match transfer() {
            Err(Errno::INTR) if !hotfoot::interrupted() => {}
            Err(Errno::AGAIN) if patience != Patience::Never => wait_first = true,
            done => return done,
        }
    }
}

fn is_ready(fd: BorrowedFd<'_>, event: PollFlags, patience: Patience) -> Result<bool> {
    let timeout_ns = match patience {
        Patience::Never => Some(0),
        Patience::UpTo(duration) => Some(saturating_ns(duration)),
        Patience::Forever => None,
    };
    Ok(wait(&mut [PollFd::from_borrowed_fd(fd, event)], timeout_ns, &mut Clock::System)? > 0)
}

/// A duration in nanoseconds; one that does not fit is some centuries.
pub fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits until one of `fds` is ready or `timeout_ns` has passed; says how many are ready, 0 if it was time that ended
/// the wait. Without a timeout it may wait for ever.
///
/// A virtual clock never waits: if nothing is ready the time has passed at once.
pub fn wait(fds: &mut [PollFd<'_>], timeout_ns: Option<u64>, clock: &mut Clock) -> Result<usize> {
    let Some(timeout_ns) = timeout_ns else {
        return retry(|| poll(fds, None));
    };
    if clock.is_virtual() {
        let ready = retry(|| poll(fds, Some(&timespec(0))))?;
        if ready == 0 {
            clock.sleep_ns(timeout_ns)?;
        }
        return Ok(ready);
    }
    if fds.is_empty() {
        clock.sleep_ns(timeout_ns)?;
        return Ok(0);
    }
    if timeout_ns == 0 {
        return retry(|| poll(fds, Some(&timespec(0))));
    }
    let end_ns = clock.now_ns(ClockId::Monotonic).saturating_add(timeout_ns);
    let mut left_ns = timeout_ns;
    loop {
        match poll(fds, Some(&timespec(left_ns))) {
            Err(Errno::INTR) if !hotfoot::interrupted() => {
                left_ns = end_ns.saturating_sub(clock.now_ns(ClockId::Monotonic))
            }
            done => return done,
        }
    }
}
