//! What the pools of an engine share: counts, limits, waiting, and giving memory back.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::PoolingAllocationConfig;
use crate::vm::pre::Pool;

/// All pools of an engine.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    used: [AtomicU32; 3],
    all: Mutex<Vec<Weak<Pool>>>,
    /// How many threads wait for something to be given back. Read by every thread that gives back, written rarely.
    waiting: AtomicUsize,
    gate: Mutex<()>,
    given_back: Condvar,
}

/// What a pool counts, by its index in an array of counts.
const KINDS: [&str; 3] = ["core instances", "memories", "tables"];
/// The settings that limit them.
const SETTINGS: [&str; 3] = ["total_core_instances", "total_memories", "total_tables"];

/// How long a waiting thread sleeps at most before it looks again: instances may become idle without telling it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Instances, memories and tables.
pub(crate) type Counts = [u32; 3];

/// A part of the engine's counts, in use until dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    pools: Arc<Pools>,
    counts: Counts,
}

impl Drop for Counted {
    fn drop(&mut self) {
        for (used, count) in self.pools.used.iter().zip(self.counts) {
            used.fetch_sub(count, Ordering::Relaxed);
        }
        self.pools.notify();
    }
}

/// A limit of the pooling allocator is reached: everything that it may hand out is in use.
///
/// ```
/// use hotfoot::{Config, Engine, Linker, Module, PoolConcurrencyLimitError, PoolingAllocationConfig, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let mut pool = PoolingAllocationConfig::new();
/// pool.total_core_instances(1);
/// let engine = Engine::new(Config::new().allocation_strategy(pool))?;
/// let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, "(module)")?)?;
/// let mut store = Store::new(&engine, ());
/// pre.instantiate(&mut store)?;
/// let error = pre.instantiate(&mut store).unwrap_err();
/// assert_eq!(error.downcast_ref::<PoolConcurrencyLimitError>().unwrap().limit(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "all {limit} {kind} of the pool are in use: raise `PoolingAllocationConfig::{setting}`, drop stores, or let \
     `PoolingAllocationConfig::wait_for_slot` wait until others do"
)]
pub struct PoolConcurrencyLimitError {
    limit: u32,
    kind: &'static str,
    setting: &'static str,
}

impl PoolConcurrencyLimitError {
    /// How many there may be.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The method of [`PoolingAllocationConfig`] that sets the limit.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

/// What the pools of an engine hold and have done; see [`Engine::pool_metrics`](crate::Engine::pool_metrics).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Instances, in use and idle.
    pub core_instances: u32,
    /// Memories of these instances.
    pub memories: u32,
    /// Tables of these instances.
    pub tables: u32,
    /// Instances that wait to be used again.
    pub idle_instances: usize,
    /// Bytes of memory that stay resident for idle instances: hot pages, tables, contexts.
    pub idle_bytes_resident: usize,
    /// Idle memories whose writes are not tracked, so that their reset takes system calls.
    pub untracked_memories: usize,
    /// Instances that began warm: without a system call.
    pub warm_starts: u64,
    /// Instances that had to be made.
    pub cold_starts: u64,
    /// Instances that were reset by copying the pages that they are known to write.
    pub resets_by_copying: u64,
    /// Instances that were reset by asking the kernel what they wrote.
    pub resets_by_scanning: u64,
    /// Instances that were reset by giving their memory back.
    pub resets_by_discarding: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pools {
    /// Makes a pool known.
    pub(crate) fn add(&self, pool: &Arc<Pool>) {
        let mut all = lock(&self.all);
        all.retain(|pool| pool.strong_count() > 0);
        all.push(Arc::downgrade(pool));
    }

    fn alive(&self) -> Vec<Arc<Pool>> {
        lock(&self.all).iter().filter_map(Weak::upgrade).collect()
    }

    /// Counts parts of an instance; if there are no more, drops idle instances, and waits as long as the settings say.
    ///
    /// # Errors
    /// When a limit is reached.
    pub(crate) fn count(
        self: &Arc<Self>,
        counts: Counts,
        config: &PoolingAllocationConfig,
    ) -> Result<Counted, PoolConcurrencyLimitError> {
        let mut deadline = None;
        loop {
            let reached = match self.try_count(counts, config) {
                Ok(()) => return Ok(Counted { pools: self.clone(), counts }),
                Err(reached) => reached,
            };
            if self.reclaim(counts[0] as usize) > 0 {
                continue;
            }
            let now = Instant::now();
            let deadline = *deadline.get_or_insert_with(|| now.checked_add(config.wait_for_slot));
            let left = deadline.map_or(LOOK_AGAIN, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Err(reached);
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let gate = lock(&self.gate);
            drop(self.given_back.wait_timeout(gate, left.min(LOOK_AGAIN)));
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn try_count(&self, counts: Counts, config: &PoolingAllocationConfig) -> Result<(), PoolConcurrencyLimitError> {
        let limits = [config.total_core_instances, config.total_memories, config.total_tables];
        for (at, (count, limit)) in counts.into_iter().zip(limits).enumerate() {
            let add = |used: u32| used.checked_add(count).filter(|sum| *sum <= limit);
            if self.used[at].fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
                for (used, count) in self.used[..at].iter().zip(counts) {
                    used.fetch_sub(count, Ordering::Relaxed);
                }
                return Err(PoolConcurrencyLimitError { limit, kind: KINDS[at], setting: SETTINGS[at] });
            }
        }
        Ok(())
    }

    /// Whether a thread waits for something to be given back.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    fn notify(&self) {
        if self.is_awaited() {
            self.given_back.notify_one();
        }
    }

    /// Drops at most so many idle instances of whichever pool, and says how many.
    pub(crate) fn reclaim(&self, count: usize) -> usize {
        let mut reclaimed = 0;
        for pool in self.alive() {
            if reclaimed < count {
                reclaimed += pool.drop_idle(count - reclaimed);
            }
        }
        reclaimed
    }

    /// Drops what nobody needed since this was last asked.
    fn drop_unused(&self) {
        self.alive().iter().for_each(|pool| pool.drop_unused());
    }

    /// What there is.
    pub(crate) fn metrics(&self) -> PoolMetrics {
        let [core_instances, memories, tables] = [0, 1, 2].map(|at: usize| self.used[at].load(Ordering::Relaxed));
        let mut metrics = PoolMetrics { core_instances, memories, tables, ..PoolMetrics::default() };
        self.alive().iter().for_each(|pool| pool.add_metrics(&mut metrics));
        metrics
    }

    /// Starts the thread that drops what nobody needs; it ends with the engine.
    pub(crate) fn watch(self: &Arc<Self>, idle_timeout: Duration) -> std::io::Result<()> {
        let pools = Arc::downgrade(self);
        let watch = move || {
            loop {
                thread::sleep(idle_timeout);
                let Some(pools) = pools.upgrade() else { return };
                pools.drop_unused();
            }
        };
        thread::Builder::new().name("hotfoot-idle".into()).stack_size(128 << 10).spawn(watch).map(drop)
    }
}
