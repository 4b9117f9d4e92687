//! Where threads wait for a place in a shared memory to be notified.
//!
//! Each shared memory has a lot of its own: a queue of waiters for each address that somebody waits at. One lock guards
//! them all; the value at the address is compared while it is held, so no notification is lost between looking and
//! waiting. A thread that waits holds no lock.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How a wait ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Another thread notified the address.
    Notified,
    /// The value was another; nobody waited.
    Mismatch,
    /// The time was up.
    TimedOut,
    /// [`Waiter::interrupt`] was called.
    Interrupted,
}

/// A thread that waits now and then, one place at a time.
#[derive(Debug, Default)]
pub struct Waiter {
    /// The thread while it waits.
    thread: Mutex<Option<Thread>>,
    notified: AtomicU32,
    interrupted: AtomicBool,
}

impl Waiter {
    /// Ends the wait that the thread is in, or else its next one. Any thread may call this; a signal handler may not.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        if let Some(thread) = &*unpoisoned(&self.thread) {
            thread.unpark();
        }
    }

    fn is_notified(&self) -> bool {
        self.notified.load(Ordering::Acquire) != 0
    }

    fn notify(&self) {
        self.notified.store(1, Ordering::Release);
        if let Some(thread) = &*unpoisoned(&self.thread) {
            thread.unpark();
        }
    }

    /// Waits until notified, interrupted or late.
    fn park(&self, deadline: Option<Instant>) {
        while !self.is_notified() && !self.interrupted.load(Ordering::SeqCst) {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return,
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct ParkingLot {
    queues: Mutex<HashMap<u64, VecDeque<Arc<Waiter>>>>,
}

/// What a lock guards here is never left half changed.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ParkingLot {
    /// Waits at an address if `matches` holds, in order of arrival.
    pub fn wait(
        &self,
        address: u64,
        timeout: Option<Duration>,
        waiter: &Arc<Waiter>,
        matches: impl FnOnce() -> bool,
    ) -> Wake {
        // A time beyond what the clock can say never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        waiter.notified.store(0, Ordering::Relaxed);
        *unpoisoned(&waiter.thread) = Some(thread::current());
        {
            let mut queues = unpoisoned(&self.queues);
            if !matches() {
                return Wake::Mismatch;
            }
            queues.entry(address).or_default().push_back(waiter.clone());
        }
        waiter.park(deadline);
        if waiter.is_notified() || !self.leave(address, waiter) {
            return Wake::Notified;
        }
        if waiter.interrupted.swap(false, Ordering::SeqCst) { Wake::Interrupted } else { Wake::TimedOut }
    }

    /// Takes a waiter out of its queue; false when a notification was quicker.
    fn leave(&self, address: u64, waiter: &Arc<Waiter>) -> bool {
        let mut queues = unpoisoned(&self.queues);
        let Some(queue) = queues.get_mut(&address) else { return false };
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        let left = queue.len() < before;
        if queue.is_empty() {
            queues.remove(&address);
        }
        left
    }

    /// Wakes up to `count` waiters at an address, those that have waited longest, and says how many there were.
    pub fn notify(&self, address: u64, count: u32) -> u32 {
        let mut queues = unpoisoned(&self.queues);
        let Some(queue) = queues.get_mut(&address) else { return 0 };
        let woken = queue.len().min(count as usize);
        queue.drain(..woken).for_each(|waiter| waiter.notify());
        if queue.is_empty() {
            queues.remove(&address);
        }
        woken as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(600));

    fn waiting(lot: &ParkingLot, address: u64) -> usize {
        unpoisoned(&lot.queues).get(&address).map_or(0, VecDeque::len)
    }

    #[test]
    fn those_who_wait_longest_wake_first() {
        let (lot, order) = (ParkingLot::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in 0..4 {
                let (lot, order) = (&lot, &order);
                scope.spawn(move || {
                    assert_eq!(lot.wait(8, LONG, &Arc::default(), || true), Wake::Notified);
                    order.lock().unwrap().push(number);
                });
                while waiting(lot, 8) <= number {
                    thread::yield_now();
                }
            }
            assert_eq!((lot.notify(16, 9), lot.notify(8, 0)), (0, 0));
            for woken in 0..2 {
                assert_eq!(lot.notify(8, 1), 1);
                while order.lock().unwrap().len() <= woken {
                    thread::yield_now();
                }
            }
            assert_eq!(*order.lock().unwrap(), [0, 1]);
            assert_eq!(lot.notify(8, u32::MAX), 2);
        });
        assert!(unpoisoned(&lot.queues).is_empty());
    }

    #[test]
    fn a_wait_ends_by_mismatch_by_time_or_by_interruption() {
        let lot = ParkingLot::default();
        let waiter = Arc::new(Waiter::default());
        assert_eq!(lot.wait(0, None, &waiter, || false), Wake::Mismatch);
        assert_eq!(lot.wait(0, Some(Duration::ZERO), &waiter, || true), Wake::TimedOut);
        assert_eq!(lot.wait(0, Some(Duration::from_millis(1)), &waiter, || true), Wake::TimedOut);
        waiter.interrupt();
        assert_eq!(lot.wait(0, Some(Duration::MAX), &waiter, || true), Wake::Interrupted);
        thread::scope(|scope| {
            let wait = scope.spawn(|| lot.wait(0, None, &waiter, || true));
            while waiting(&lot, 0) == 0 {
                thread::yield_now();
            }
            waiter.interrupt();
            assert_eq!(wait.join().unwrap(), Wake::Interrupted);
        });
        assert!(unpoisoned(&lot.queues).is_empty(), "whoever leaves leaves nothing behind");
    }
}
