//! Where a store's guests are, looked at from outside: another thread sends a signal, the handler walks the frames of the
//! guest that it interrupted, and leaves what it found in a ring that the other thread reads.
//!
//! ```text
//!  sampling thread ──signal──▶ the store's thread, in the handler
//!        ▲                        in compiled code: frames from the registers on
//!        │                        in the host: frames from where the guest called it
//!        └──────── ring ◀─────────┘
//!
//!  ring of words:  … │ frames, and whether the host runs │ nanoseconds │ address │ address │ … newest frame first
//! ```
//!
//! Compiled code is the same with and without. Invariant S20: the handler reads only memory between the stack's limit and
//! the frame of the activation's entry, and writes only to a ring that is there as long as the store points to it.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::activation::{self, Activation};
use super::store::VmStore;
use super::sys::{arch, signal};

/// Most frames of a sample; older ones are left out.
pub const MAX_FRAMES: usize = 256;
/// Words of a ring, a power of two: room for hundreds of samples.
const RING_WORDS: usize = 1 << 16;
/// Words of a sample that are no frame.
const HEAD_WORDS: usize = 2;

/// Samples on their way from the handler to the sampling thread. One of each at a time writes and reads it: a store's
/// guests run on one thread.
#[derive(Debug)]
pub struct Ring {
    words: Box<[AtomicU64]>,
    /// How many words were ever written, and read.
    written: AtomicUsize,
    read: AtomicUsize,
    lost: AtomicU64,
    /// Whether nobody reads it any more.
    is_finished: AtomicBool,
}

/// Where a guest was.
#[derive(Clone, Debug, Default)]
pub struct RawSample {
    /// On the monotonic clock.
    pub time: Duration,
    /// Whether it had called the host.
    pub in_host: bool,
    /// Addresses in compiled code, newest first: where the guest is, then inside of calls.
    pub addresses: Vec<usize>,
}

impl Ring {
    fn new() -> Ring {
        let words = (0..RING_WORDS).map(|_| AtomicU64::new(0)).collect();
        Ring {
            words,
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            is_finished: AtomicBool::new(false),
        }
    }

    fn word(&self, position: usize) -> &AtomicU64 {
        &self.words[position % RING_WORDS]
    }

    /// Adds a sample, or counts it as lost. Async-signal-safe.
    fn write(&self, in_host: bool, frames: impl Iterator<Item = usize>) {
        let start = self.written.load(Ordering::Relaxed);
        let used = start - self.read.load(Ordering::Acquire);
        if RING_WORDS - used < HEAD_WORDS + MAX_FRAMES {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut count = 0;
        for address in frames.take(MAX_FRAMES) {
            self.word(start + HEAD_WORDS + count).store(address as u64, Ordering::Relaxed);
            count += 1;
        }
        self.word(start).store((count as u64) << 1 | u64::from(in_host), Ordering::Relaxed);
        self.word(start + 1).store(now().as_nanos() as u64, Ordering::Relaxed);
        self.written.store(start + HEAD_WORDS + count, Ordering::Release);
    }

    /// Takes the oldest sample out.
    pub fn read(&self) -> Option<RawSample> {
        let start = self.read.load(Ordering::Relaxed);
        if start == self.written.load(Ordering::Acquire) {
            return None;
        }
        let head = self.word(start).load(Ordering::Relaxed);
        let (count, in_host) = ((head >> 1) as usize, head & 1 != 0);
        let time = Duration::from_nanos(self.word(start + 1).load(Ordering::Relaxed));
        let frames = (0..count).map(|frame| self.word(start + HEAD_WORDS + frame).load(Ordering::Relaxed) as usize);
        let addresses = frames.collect();
        self.read.store(start + HEAD_WORDS + count, Ordering::Release);
        Some(RawSample { time, in_host, addresses })
    }

    /// Nobody reads it any more.
    pub fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
    }

    /// How many samples found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The time on the monotonic clock. Async-signal-safe.
pub fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// A store's side of it: nothing, while nobody samples.
#[derive(Debug, Default)]
pub struct Sampled {
    /// From `Arc::into_raw`, or null. The signal handler reads it.
    ring: AtomicPtr<Ring>,
}

impl Sampled {
    /// Nobody samples any more.
    pub fn end(&mut self) {
        // Most stores have none, and end without an atomic instruction.
        if !self.ring.get_mut().is_null() {
            let ring = self.ring.swap(ptr::null_mut(), Ordering::AcqRel);
            // SAFETY: S20, from `Arc::into_raw`; a handler that interrupts this thread from now on finds no ring, and on
            // other threads no guest of this store runs.
            drop(unsafe { Arc::from_raw(ring) });
        }
    }
}

impl VmStore {
    /// Lets the store's guests be sampled, from now on.
    ///
    /// # Errors
    /// When they already are.
    pub fn begin_sampling(&mut self) -> Result<Arc<Ring>> {
        // SAFETY: S20, what a store points to is there as long as it does.
        let current = unsafe { self.sampled.ring.get_mut().as_ref() };
        ensure!(
            current.is_none_or(|ring| ring.is_finished.load(Ordering::Acquire)),
            "the guests of this store are being profiled already; finish that profile first"
        );
        self.sampled.end();
        signal::install_sample();
        let ring = Arc::new(Ring::new());
        self.sampled.ring.store(Arc::into_raw(ring.clone()).cast_mut(), Ordering::Release);
        Ok(ring)
    }
}

/// Takes a sample if the interrupted thread runs a guest that is being sampled; false if it does not. Async-signal-safe.
pub fn take(context: &libc::ucontext_t) -> bool {
    // SAFETY: S9, the newest link of this thread is in a frame that has not returned, or in a future that is polled.
    let Some(newest) = (unsafe { activation::newest_on_stack() }) else { return false };
    let store = newest.store();
    // SAFETY: S20, what a store points to is there as long as it does; S1, the store outlives the activation.
    let Some(ring) = (unsafe { (*store.as_ptr()).sampled.ring.load(Ordering::Acquire).as_ref() }) else { return false };
    let stack_pointer = arch::interrupted_stack_pointer(context);
    let (pc, fp) = arch::program_counter_and_frame(context);
    // SAFETY: S9, the store outlives the activation; its code index is replaced as a whole and never edited.
    let module = unsafe { VmStore::code_index(store) }.find(pc);
    // SAFETY: S1, as above; plain numbers, which compiled code writes.
    let (limit, exit) = unsafe {
        let ctx = &raw const (*store.as_ptr()).ctx;
        ((*ctx).stack_limit, ((*ctx).last_exit_fp, (*ctx).last_exit_pc.wrapping_sub(1)))
    };
    let lowest = stack_pointer.max(limit);
    let Some(module) = module else {
        ring.write(true, Walk { at: Some(exit), lowest, activation: Some(newest), store });
        return true;
    };
    let code = module.code();
    let start = code.offset_of(pc).and_then(|offset| code.function_start(offset));
    match start.and_then(|start| arch::frameless_return_address(context, start)) {
        Some(caller) => {
            let rest = Walk { at: Some((fp, caller.wrapping_sub(1))), lowest, activation: Some(newest), store };
            ring.write(false, std::iter::once(pc).chain(rest));
        }
        None => ring.write(false, Walk { at: Some((fp, pc)), lowest, activation: Some(newest), store }),
    }
    true
}

/// The frames of a store's guests from a place on. It believes no frame pointer that leads anywhere but up the stack that
/// the guest runs on: the thread may have been interrupted where they are not what they should be.
struct Walk<'a> {
    /// Frame pointer and address of the next frame.
    at: Option<(usize, usize)>,
    /// Where the next frame pointer may be at the lowest.
    lowest: usize,
    activation: Option<&'a Activation>,
    store: NonNull<VmStore>,
}

impl Iterator for Walk<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let (fp, pc) = self.at?;
            let activation = self.activation?;
            let end = activation.entry_frame();
            if fp == end || fp == 0 {
                // The guests below the host function that entered this one.
                let (fp, pc) = activation.outer_exit();
                self.at = Some((fp, pc.wrapping_sub(1)));
                self.lowest = end;
                // SAFETY: S9, as for `newest_on_stack`.
                let outer = std::iter::successors(Some(activation), |link| unsafe { link.next_on_stack() });
                self.activation = outer.skip(1).find(|outer| outer.store() == self.store);
                continue;
            }
            if fp < self.lowest || fp > end || !fp.is_multiple_of(size_of::<usize>()) {
                return None;
            }
            // SAFETY: S20, between the lowest frame and that of the entry everything is stack of this thread in use.
            self.at = Some(unsafe { (*(fp as *const usize), (*(fp as *const usize).add(1)).wrapping_sub(1)) });
            self.lowest = fp + 1;
            return Some(pc);
        }
    }
}
