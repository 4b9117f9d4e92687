//! Clocks: the machine's, or a virtual one for runs that must come out the same each time.

use crate::host::{Errno, Result};
use rustix::thread::NanosleepRelativeResult;
use rustix::time::Timespec;

const NS_PER_S: u64 = 1_000_000_000;

/// Which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockId {
    /// The time of day, since 1970.
    Realtime,
    /// Never goes back; its start means nothing.
    Monotonic,
    /// Processor time of the whole host process.
    ProcessCpu,
    /// Processor time of the thread that runs the guest.
    ThreadCpu,
}

impl ClockId {
    fn system(self) -> rustix::time::ClockId {
        match self {
            ClockId::Realtime => rustix::time::ClockId::Realtime,
            ClockId::Monotonic => rustix::time::ClockId::Monotonic,
            ClockId::ProcessCpu => rustix::time::ClockId::ProcessCPUTime,
            ClockId::ThreadCpu => rustix::time::ClockId::ThreadCPUTime,
        }
    }
}

/// A clock that moves only when it is looked at or waited for: each reading adds `step_ns`, a sleep adds its length
/// and takes no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualClock {
    /// What the realtime clock says first.
    pub realtime_ns: u64,
    /// How far each reading moves the clock.
    pub step_ns: u64,
    elapsed_ns: u64,
}

impl VirtualClock {
    /// A virtual clock that begins at `realtime_ns` after 1970.
    pub fn new(realtime_ns: u64, step_ns: u64) -> VirtualClock {
        VirtualClock { realtime_ns, step_ns, elapsed_ns: 0 }
    }
}

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// A clock of our own.
    Virtual(VirtualClock),
}

impl From<VirtualClock> for Clock {
    fn from(clock: VirtualClock) -> Clock {
        Clock::Virtual(clock)
    }
}

impl Clock {
    /// What the clock says, in nanoseconds.
    pub fn now_ns(&mut self, id: ClockId) -> u64 {
        match self {
            Clock::System => saturating_ns(rustix::time::clock_gettime(id.system())),
            Clock::Virtual(clock) => {
                clock.elapsed_ns = clock.elapsed_ns.saturating_add(clock.step_ns);
                match id {
                    ClockId::Realtime => clock.realtime_ns.saturating_add(clock.elapsed_ns),
                    ClockId::Monotonic | ClockId::ProcessCpu | ClockId::ThreadCpu => clock.elapsed_ns,
                }
            }
        }
    }

    /// The smallest difference that the clock can show, in nanoseconds; at least 1.
    pub fn resolution_ns(&self, id: ClockId) -> u64 {
        match self {
            Clock::System => saturating_ns(rustix::time::clock_getres(id.system())).max(1),
            Clock::Virtual(clock) => clock.step_ns.max(1),
        }
    }

    /// Waits; the longest wait is some centuries.
    pub fn sleep_ns(&mut self, duration_ns: u64) -> Result<()> {
        let mut left = timespec(duration_ns);
        if let Clock::Virtual(clock) = self {
            clock.elapsed_ns = clock.elapsed_ns.saturating_add(duration_ns);
            return Ok(());
        }
        loop {
            match rustix::thread::nanosleep(&left) {
                NanosleepRelativeResult::Ok => return Ok(()),
                NanosleepRelativeResult::Interrupted(_) if hotfoot::interrupted() => return Err(Errno::INTR),
                NanosleepRelativeResult::Interrupted(rest) => left = rest,
                NanosleepRelativeResult::Err(error) => return Err(error),
            }
        }
    }

    /// Whether waiting for a time takes time.
    pub fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }
}

/// Nanoseconds as seconds and nanoseconds.
pub fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / NS_PER_S) as i64, tv_nsec: (ns % NS_PER_S) as i64 }
}

/// Seconds and nanoseconds as nanoseconds; what lies before 1970 is 0 and what does not fit is the last instant.
pub fn saturating_ns(time: Timespec) -> u64 {
    let Ok(seconds) = u64::try_from(time.tv_sec) else { return 0 };
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(nanoseconds)
}

/// The error of a wait on a clock that cannot be waited on.
pub const NOT_WAITABLE: Errno = Errno::NOTSUP;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_the_ends_of_their_range_saturate() {
        assert_eq!(saturating_ns(Timespec { tv_sec: -1, tv_nsec: 999_999_999 }), 0);
        assert_eq!(saturating_ns(Timespec { tv_sec: i64::MIN, tv_nsec: 0 }), 0);
        assert_eq!(saturating_ns(Timespec { tv_sec: i64::MAX, tv_nsec: 999_999_999 }), u64::MAX);
        for ns in [0, 1, NS_PER_S - 1, NS_PER_S, u64::MAX] {
            assert_eq!(saturating_ns(timespec(ns)), ns);
        }
    }

    #[test]
    fn a_virtual_clock_moves_only_by_its_own_rules() {
        let mut clock = Clock::from(VirtualClock::new(1_000, 5));
        assert_eq!(clock.now_ns(ClockId::Realtime), 1_005);
        assert_eq!(clock.now_ns(ClockId::Monotonic), 10);
        clock.sleep_ns(u64::MAX).unwrap();
        assert_eq!(clock.now_ns(ClockId::Realtime), u64::MAX);
    }
}
