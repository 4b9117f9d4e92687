//! Idle things kept for reuse, per thread, without sharing a cache line between threads that do not share a thing.
//!
//! A stock belongs to an owner (an engine, an `InstancePre`) that is reference-counted and must live while something
//! of its stock is in use. Counting each use in the owner's own count would make every thread write one cache line for
//! every instance. So each shelf counts for itself and holds *one* reference to the owner:
//!
//! ```text
//!  owner ◀──────────── handles of the embedder (Arc)
//!    ▲ stock ─▶ shelf 0 { lock, idle…, in_use, keep ──▶ owner }      one cache line or more each
//!    └───────── shelf 1 { lock, idle…, in_use, keep = none }
//! ```
//!
//! `keep` is set when something is first taken from a shelf, and dropped when nothing of it is in use *after* the stock
//! was closed. The embedder's last handle closes the stock: that is what breaks the circle.
//!
//! A shelf also counts what is taken and how few things it held at the least, so that what nobody needed for a while can
//! be found without noting a time for each.
//!
//! A thread normally uses its own shelf, whose lock is then never contended and on a line of its own; a thing that is
//! returned by another thread goes back to the shelf it came from.

use std::cell::{Cell, UnsafeCell};
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shelves of a stock; threads beyond this many share.
const SHELVES: usize = 32;

/// See the module's documentation. `O` is the owner, `V` what is kept.
#[derive(Debug)]
pub struct Stock<O, V> {
    shelves: Box<[Shelf<O, V>]>,
    closed: AtomicBool,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shelf<O, V> {
    locked: AtomicBool,
    contents: UnsafeCell<Contents<O, V>>,
}

#[derive(Debug)]
struct Contents<O, V> {
    idle: Vec<V>,
    /// The fewest idle things since the last [`Stock::drain_unused`]: so many were not needed.
    fewest: usize,
    in_use: usize,
    keep: Option<Arc<O>>,
    traffic: Traffic,
}

/// How often something was taken from a stock, and given to it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Times that something idle was there.
    pub warm: u64,
    /// Times that nothing was.
    pub cold: u64,
    /// Times that something came back.
    pub back: u64,
}

// SAFETY: S12, the contents are only reached while the shelf is locked.
unsafe impl<O: Send + Sync, V: Send> Sync for Shelf<O, V> {}

/// The number of this thread's shelf.
fn shelf_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHELF: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    match SHELF.get() {
        usize::MAX => {
            let shelf = NEXT.fetch_add(1, Ordering::Relaxed) % SHELVES;
            SHELF.set(shelf);
            shelf
        }
        shelf => shelf,
    }
}

impl<O, V> Shelf<O, V> {
    /// Runs `f` with the contents locked. `f` must not panic nor call back.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Contents<O, V>) -> R) -> R {
        while self.locked.swap(true, Ordering::Acquire) {
            hint::spin_loop();
        }
        // SAFETY: S12, locked.
        let result = f(unsafe { &mut *self.contents.get() });
        self.locked.store(false, Ordering::Release);
        result
    }
}

impl<O, V> Stock<O, V> {
    /// An empty stock.
    pub fn new() -> Stock<O, V> {
        let shelf = |_| Shelf {
            locked: AtomicBool::new(false),
            contents: UnsafeCell::new(Contents {
                idle: Vec::new(),
                fewest: 0,
                in_use: 0,
                keep: None,
                traffic: Traffic::default(),
            }),
        };
        Stock { shelves: (0..SHELVES).map(shelf).collect(), closed: AtomicBool::new(false) }
    }

    /// Counts one more thing in use and takes an idle one, the one used last. Returns the shelf to give it back to, or
    /// to give a new one to.
    #[inline]
    pub fn take(&self, owner: &Arc<O>) -> (usize, Option<V>) {
        let shelf = shelf_of_thread();
        let idle = self.shelves[shelf].with(|contents| {
            contents.in_use += 1;
            if contents.keep.is_none() {
                contents.keep = Some(owner.clone());
            }
            let idle = contents.idle.pop();
            match &idle {
                Some(_) => contents.traffic.warm += 1,
                None => contents.traffic.cold += 1,
            }
            contents.fewest = contents.fewest.min(contents.idle.len());
            idle
        });
        (shelf, idle)
    }

    /// Ends a use that [`Stock::take`] counted; what is given becomes idle unless the shelf has `limit` already or the
    /// stock is closed. What is left over is returned, to be dropped by the caller after the stock is let go: the owner
    /// may be gone when this returns.
    #[inline]
    pub fn give(&self, shelf: usize, value: Option<V>, limit: usize) -> (Option<V>, Option<Arc<O>>) {
        self.shelves[shelf].with(|contents| {
            contents.in_use -= 1;
            contents.traffic.back += u64::from(value.is_some());
            if self.closed.load(Ordering::Acquire) {
                let keep = if contents.in_use == 0 { contents.keep.take() } else { None };
                return (value, keep);
            }
            match value {
                Some(value) if contents.idle.len() < limit => {
                    contents.idle.push(value);
                    (None, None)
                }
                value => (value, None),
            }
        })
    }

    /// Takes everything idle from all shelves.
    pub fn drain(&self) -> Vec<V> {
        self.drain_some(usize::MAX)
    }

    /// Takes at most so many idle things, of each shelf those that wait longest.
    pub fn drain_some(&self, mut limit: usize) -> Vec<V> {
        let mut drained = Vec::new();
        for shelf in &self.shelves {
            shelf.with(|contents| {
                let count = limit.min(contents.idle.len());
                drained.extend(contents.idle.drain(..count));
                contents.fewest = contents.fewest.min(contents.idle.len());
                limit -= count;
            });
        }
        drained
    }

    /// Takes what was idle all the time since this was last asked.
    pub fn drain_unused(&self) -> Vec<V> {
        let mut drained = Vec::new();
        for shelf in &self.shelves {
            shelf.with(|contents| {
                drained.extend(contents.idle.drain(..contents.fewest));
                contents.fewest = contents.idle.len();
            });
        }
        drained
    }

    /// Calls `f` with each idle thing, which must not call back.
    pub fn for_each_idle(&self, mut f: impl FnMut(&V)) {
        self.shelves.iter().for_each(|shelf| shelf.with(|contents| contents.idle.iter().for_each(&mut f)));
    }

    /// What happened on all shelves, in sum.
    pub fn traffic(&self) -> Traffic {
        let add = |sum: Traffic, shelf: &Shelf<O, V>| {
            let Traffic { warm, cold, back } = shelf.with(|contents| contents.traffic);
            Traffic { warm: sum.warm + warm, cold: sum.cold + cold, back: sum.back + back }
        };
        self.shelves.iter().fold(Traffic::default(), add)
    }

    /// How many things are idle.
    pub fn idle(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.with(|contents| contents.idle.len())).sum()
    }

    /// Keeps nothing any more: drops what is idle, and the owner's references to itself as soon as nothing is in use.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for shelf in &self.shelves {
            let dropped = shelf.with(|contents| {
                let keep = if contents.in_use == 0 { contents.keep.take() } else { None };
                (std::mem::take(&mut contents.idle), keep)
            });
            drop(dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Owner {
        stock: Stock<Owner, Box<u32>>,
        dropped: Arc<AtomicBool>,
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            self.dropped.store(true, Ordering::Relaxed);
        }
    }

    fn owner() -> (Arc<Owner>, Arc<AtomicBool>) {
        let dropped = Arc::new(AtomicBool::new(false));
        (Arc::new(Owner { stock: Stock::new(), dropped: dropped.clone() }), dropped)
    }

    #[test]
    fn what_was_given_is_taken_again() {
        let (owner, _) = owner();
        let (shelf, nothing) = owner.stock.take(&owner);
        assert_eq!(nothing, None);
        owner.stock.give(shelf, Some(Box::new(5)), 1);
        assert_eq!(owner.stock.idle(), 1);
        assert_eq!(owner.stock.take(&owner), (shelf, Some(Box::new(5))));
        owner.stock.give(shelf, Some(Box::new(5)), 1);
        owner.stock.close();
    }

    #[test]
    fn what_nobody_needed_is_found() {
        let (owner, _) = owner();
        let taken: Vec<_> = (0..5).map(|_| owner.stock.take(&owner)).collect();
        let (shelf, _) = taken[0];
        (0..5).for_each(|number| drop(owner.stock.give(shelf, Some(Box::new(number)), 9)));
        assert_eq!(owner.stock.drain_unused().len(), 0, "none was idle all the time");
        let (_, two) = (owner.stock.take(&owner), owner.stock.take(&owner));
        owner.stock.give(shelf, two.1, 9);
        assert_eq!(owner.stock.drain_unused().len(), 3, "the third and later were never needed");
        assert_eq!(owner.stock.drain_some(1).len(), 1);
        assert_eq!((owner.stock.idle(), owner.stock.traffic()), (0, Traffic { warm: 2, cold: 5, back: 6 }));
        owner.stock.give(shelf, None, 9);
        owner.stock.close();
    }

    #[test]
    fn a_full_shelf_returns_what_it_is_given() {
        let (owner, _) = owner();
        let (shelf, _) = owner.stock.take(&owner);
        let (_, _) = owner.stock.take(&owner);
        assert!(owner.stock.give(shelf, Some(Box::new(1)), 1).0.is_none());
        assert_eq!(owner.stock.give(shelf, Some(Box::new(2)), 1).0, Some(Box::new(2)));
        owner.stock.close();
    }

    #[test]
    fn the_owner_lives_until_the_last_use_ends() {
        let (owner, dropped) = owner();
        let pointer = Arc::as_ptr(&owner);
        let (shelf, _) = owner.stock.take(&owner);
        owner.stock.close();
        drop(owner);
        assert!(!dropped.load(Ordering::Relaxed), "something is in use");
        // SAFETY: S12, in use, so the shelf keeps the owner.
        let left = unsafe { (*pointer).stock.give(shelf, Some(Box::new(1)), 9) };
        assert!(left.0.is_some() && left.1.is_some());
        drop(left);
        assert!(dropped.load(Ordering::Relaxed));
    }

    #[test]
    fn threads_give_back_to_the_shelf_they_took_from() {
        let (owner, dropped) = owner();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let owner = owner.clone();
                std::thread::spawn(move || {
                    for round in 0..1000 {
                        let (shelf, idle) = owner.stock.take(&owner);
                        let other = owner.clone();
                        let value = idle.unwrap_or_default();
                        if round % 100 == 0 {
                            std::thread::spawn(move || other.stock.give(shelf, Some(value), 4)).join().unwrap();
                        } else {
                            other.stock.give(shelf, Some(value), 4);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        owner.stock.close();
        drop(owner);
        assert!(dropped.load(Ordering::Relaxed));
    }
}
