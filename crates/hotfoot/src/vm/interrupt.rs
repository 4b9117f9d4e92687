//! Stopping a guest from outside, with code that does not look for it.
//!
//! ```text
//!  any thread                                    the store's thread
//!  request ─▶ causes ─▶ signal ─────────────────▶ in compiled code: leaves through the trap exit, there and then
//!               │                                 in the host: nothing; system calls that block return EINTR,
//!               │                                 and waiting in a shared memory ends
//!               │                                 back from the host: the border looks at `causes`
//!               └─▶ watchdog: the same signal again each millisecond, until the guest has stopped
//! ```
//!
//! A signal may arrive in the few instructions between a look at `causes` and compiled code, or before a system call
//! blocks. That is what the repetition is for; so nothing has to be checked in compiled code, and no request is lost.
//!
//! Invariant S14: a thread is registered while guests of the store run on it, and no longer; who signals it holds the
//! lock, so the thread exists.

use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hotfoot_abi::trap::TrapCode;

use super::activation;
use super::border::Watches;
use super::parking::Waiter;
use super::store::VmStore;
use super::sys::signal::{self, Thread};

/// How long until the signal is sent again.
const REPEAT: Duration = Duration::from_millis(1);

/// Someone asked; the guest that is stopped takes the request with it.
const REQUESTED: u32 = 1;
/// The time is up, until another timeout is set.
const EXPIRED: u32 = 2;

/// What a store shares with those who may stop its guests.
#[derive(Debug, Default)]
pub struct Interrupt {
    causes: AtomicU32,
    /// The thread that runs guests of the store.
    thread: Mutex<Option<Thread>>,
    /// What it waits with, in shared memories.
    waiter: Arc<Waiter>,
    schedule: Mutex<Schedule>,
}

/// When the watchdog looks after an interrupt.
#[derive(Debug, Default)]
struct Schedule {
    deadline: Option<Instant>,
    /// Its place in the watchdog's queue.
    entry: Option<(Instant, u64)>,
}

/// Locks what is never left in a broken state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Interrupt {
    /// Whether the guest is to stop. Async-signal-safe.
    fn is_requested(&self) -> bool {
        self.causes.load(Ordering::SeqCst) != 0
    }

    /// Stops the guest that runs, or the next one.
    pub fn request(self: &Arc<Self>) {
        self.causes.fetch_or(REQUESTED, Ordering::SeqCst);
        if !self.signal() {
            return;
        }
        if Watchdog::start().is_ok() {
            let mut schedule = lock(&self.schedule);
            self.reschedule(&mut schedule, Some(Instant::now() + REPEAT));
            return;
        }
        // There is no other thread to repeat it.
        while self.is_requested() && self.signal() {
            std::thread::sleep(REPEAT);
        }
    }

    /// Stops guests that still run after so long.
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn set_timeout(self: &Arc<Self>, timeout: Option<Duration>) -> Result<()> {
        if timeout.is_some() {
            Watchdog::start()?;
        }
        let mut schedule = lock(&self.schedule);
        self.causes.fetch_and(!EXPIRED, Ordering::SeqCst);
        // A time that cannot be represented never comes.
        schedule.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = schedule.deadline;
        self.reschedule(&mut schedule, deadline);
        Ok(())
    }

    /// Forgets requests and the timeout: the store is used for something else, or not at all.
    fn close(&self) {
        let mut schedule = lock(&self.schedule);
        schedule.deadline = None;
        if let Some(watchdog) = WATCHDOG.get() {
            watchdog.remove(&mut schedule);
        }
    }

    /// Registers another thread, or none, and returns which one was.
    #[inline(never)]
    fn replace_thread(&self, thread: Option<Thread>) -> Option<Thread> {
        std::mem::replace(&mut *lock(&self.thread), thread)
    }

    /// Signals the thread; false if no guest runs.
    fn signal(&self) -> bool {
        let thread = lock(&self.thread);
        if let Some(thread) = *thread {
            // S14: the thread cannot leave its guests while we hold the lock.
            signal::interrupt(thread);
            self.waiter.interrupt();
        }
        thread.is_some()
    }

    /// Asks the thread that runs a guest of the store where it is.
    pub fn sample(&self) {
        let thread = lock(&self.thread);
        if let Some(thread) = *thread {
            // S14: the thread cannot leave its guests while we hold the lock.
            signal::sample(thread);
        }
    }

    fn reschedule(self: &Arc<Self>, schedule: &mut Schedule, when: Option<Instant>) {
        let Some(watchdog) = WATCHDOG.get() else { return };
        watchdog.remove(schedule);
        if let Some(when) = when {
            schedule.entry = Some(watchdog.add(when, self));
        }
    }

    /// The watchdog's turn.
    fn wake(self: &Arc<Self>, entry: (Instant, u64)) {
        let mut schedule = lock(&self.schedule);
        if schedule.entry != Some(entry) {
            return;
        }
        schedule.entry = None;
        let now = Instant::now();
        if schedule.deadline.is_some_and(|deadline| deadline <= now) {
            schedule.deadline = None;
            self.causes.fetch_or(EXPIRED, Ordering::SeqCst);
        }
        let again = self.is_requested() && self.signal();
        let next = if again { Some(now + REPEAT) } else { schedule.deadline };
        self.reschedule(&mut schedule, next);
    }
}

type Queue = BTreeMap<(Instant, u64), Weak<Interrupt>>;

/// The thread that keeps time for all stores.
#[derive(Debug, Default)]
struct Watchdog {
    /// By time, and a number that tells equal times apart.
    queue: Mutex<(Queue, u64)>,
    earlier: Condvar,
}

static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();

impl Watchdog {
    /// Starts the thread, once per process, when somebody is first to be stopped.
    fn start() -> Result<()> {
        static STARTED: Mutex<bool> = Mutex::new(false);
        let mut started = lock(&STARTED);
        if !*started {
            let watchdog = WATCHDOG.get_or_init(Watchdog::default);
            let thread = std::thread::Builder::new().name("hotfoot-watchdog".into()).stack_size(256 << 10);
            thread.spawn(|| watchdog.run()).context("cannot start the thread that keeps time for interruption")?;
            *started = true;
        }
        Ok(())
    }

    fn run(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let now = Instant::now();
            let Some((when, _)) = queue.0.keys().next().copied() else {
                queue = self.earlier.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if when > now {
                let waited = self.earlier.wait_timeout(queue, when - now);
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let (entry, interrupt) = queue.0.pop_first().expect("it was just looked at");
            // An interrupt locks its schedule first and the queue then, so we must not hold the queue.
            drop(queue);
            if let Some(interrupt) = interrupt.upgrade() {
                interrupt.wake(entry);
            }
            queue = lock(&self.queue);
        }
    }

    fn add(&self, when: Instant, interrupt: &Arc<Interrupt>) -> (Instant, u64) {
        let mut queue = lock(&self.queue);
        queue.1 += 1;
        let entry = (when, queue.1);
        queue.0.insert(entry, Arc::downgrade(interrupt));
        if queue.0.keys().next() == Some(&entry) {
            self.earlier.notify_one();
        }
        entry
    }

    fn remove(&self, schedule: &mut Schedule) {
        if let Some(entry) = schedule.entry.take() {
            lock(&self.queue).0.remove(&entry);
        }
    }
}

/// A store's side of it: nothing, until someone wants to be able to stop its guests.
#[derive(Debug, Default)]
pub struct Interruptible {
    /// From `Arc::into_raw`, or null. The signal handler reads it.
    shared: AtomicPtr<Interrupt>,
    /// Activations of the store.
    depth: usize,
}

impl Interruptible {
    /// Whether the guest is to stop. Async-signal-safe.
    #[inline]
    pub fn is_requested(&self) -> bool {
        // SAFETY: S14, what was published stays until the store ends, when no guest runs.
        unsafe { self.shared.load(Ordering::Relaxed).as_ref() }.is_some_and(Interrupt::is_requested)
    }

    #[inline]
    fn shared(&self) -> Option<&Interrupt> {
        // SAFETY: S14, as above.
        unsafe { self.shared.load(Ordering::Relaxed).as_ref() }
    }

    /// What the thread waits with, in shared memories, if somebody can stop it.
    pub fn waiter(&self) -> Option<&Arc<Waiter>> {
        self.shared().map(|shared| &shared.waiter)
    }

    /// The guest is being stopped, so the request is fulfilled.
    pub fn fulfil(&self) {
        if let Some(shared) = self.shared() {
            shared.causes.fetch_and(!REQUESTED, Ordering::SeqCst);
        }
    }

    /// A guest is about to be entered.
    pub fn enter(&mut self) {
        if self.depth == 0
            && let Some(shared) = self.shared()
        {
            *lock(&shared.thread) = Some(Thread::current());
        }
        self.depth += 1;
    }

    /// A guest was left.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(shared) = self.shared()
        {
            *lock(&shared.thread) = None;
        }
    }

    /// A fiber continues on this thread: its guests are signalled here. Returns which thread was registered before.
    #[inline]
    pub fn begin_on_thread(&self) -> Option<Thread> {
        let shared = self.shared().filter(|_| self.depth > 0)?;
        shared.replace_thread(Some(Thread::current()))
    }

    /// The fiber is suspended, or has ended.
    #[inline]
    pub fn end_on_thread(&self, before: Option<Thread>) {
        if let Some(shared) = self.shared() {
            shared.replace_thread(before);
        }
    }

    /// The store ends; nobody can stop the next one that uses its memory.
    pub fn end(&mut self) {
        self.depth = 0;
        let shared = std::mem::replace(self.shared.get_mut(), ptr::null_mut());
        if !shared.is_null() {
            // SAFETY: S14, from `Arc::into_raw`, and no guest runs whose interruption would read it.
            let shared = unsafe { Arc::from_raw(shared) };
            shared.close();
        }
    }
}

/// Whether the guest that called the host function which runs on this thread is to stop.
pub fn interrupted() -> bool {
    // SAFETY: S9, the reference is dropped here; S1, a store outlives its activations.
    unsafe { activation::chain().next().is_some_and(|newest| VmStore::is_interrupted(newest.store())) }
}

impl VmStore {
    /// What stops this store's guests; from now on its calls are watched.
    pub fn interrupt(&mut self) -> Result<Arc<Interrupt>> {
        if self.interruptible.shared().is_none() {
            signal::install_interrupt();
            let shared = Arc::new(Interrupt::default());
            // SAFETY: S9, the references are dropped by the end of the expression.
            let chain = unsafe { activation::chain() };
            let depth = chain.filter(|activation| activation.store() == self.pointer()).count();
            if depth > 0 {
                *lock(&shared.thread) = Some(Thread::current());
            }
            self.interruptible.depth = depth;
            self.interruptible.shared.store(Arc::into_raw(shared).cast_mut(), Ordering::Release);
            self.watches.set(Watches::INTERRUPTS);
        }
        let shared = self.interruptible.shared.load(Ordering::Relaxed);
        // SAFETY: S14, from `Arc::into_raw`; the store keeps its own count.
        unsafe {
            Arc::increment_strong_count(shared);
            Ok(Arc::from_raw(shared))
        }
    }

    /// What the store's thread waits with in shared memories: that of the interrupt handles, if there are any.
    pub(super) fn waiter(&mut self) -> Arc<Waiter> {
        let own = &mut self.waiter;
        self.interruptible.waiter().unwrap_or_else(|| own.get_or_insert_default()).clone()
    }

    /// Whether a guest of this store is to stop. Async-signal-safe.
    ///
    /// # Safety
    /// S1: the store is alive.
    pub(super) unsafe fn is_interrupted(store: NonNull<VmStore>) -> bool {
        // SAFETY: S1, by the caller's promise.
        unsafe { (*store.as_ptr()).interruptible.is_requested() }
    }

    /// The trap, if the guest is to stop.
    pub(super) fn check_interrupt(&self) -> Result<(), TrapCode> {
        self.check_cancelled()?;
        if self.interruptible.is_requested() {
            self.interruptible.fulfil();
            return Err(TrapCode::Interrupt);
        }
        Ok(())
    }
}
