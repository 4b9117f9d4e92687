//! The engine: settings, types and whatever else modules and stores share.

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use hotfoot_abi::tunables::Tunables;

use crate::config::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};
use crate::pool::{PoolMetrics, Pools};
use crate::types::registry::TypeRegistry;
use crate::vm::allocator::{InstanceAllocator, OnDemand};
use crate::vm::context::IdleStore;
use crate::vm::gc::{MAX_RESERVATION, MIN_RESERVATION};
use crate::vm::stacks::Stacks;
use crate::vm::stock::Stock;
use crate::vm::sys::page::address_space_limit;
use crate::vm::sys::{pagemap, signal};

/// Settings and what is shared by all modules and stores that are made with it. Cheap to clone, usable from all
/// threads.
///
/// ```
/// use hotfoot::{Config, Engine};
/// let engine = Engine::new(Config::new().max_wasm_stack(1 << 20))?;
/// assert!(Engine::same(&engine, &engine.clone()));
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all handles of an engine share.
#[derive(Debug)]
pub struct Shared {
    /// Handles that embedders and their modules hold; the last one closes the stock of stores.
    handles: AtomicUsize,
    stores: Stock<Shared, IdleStore>,
    epoch: Epoch,
    stacks: Stacks,
    pools: Arc<Pools>,
    config: Config,
    types: Arc<TypeRegistry>,
    allocator: Box<dyn InstanceAllocator>,
    /// Made when something is compiled first; see `compiler`.
    compiler: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Stack that host functions, signal handlers and the runtime need at least, in bytes.
const ASYNC_HOST_STACK: usize = 128 << 10;

/// The engine's epoch, on a cache line that nothing else is written on.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Epoch(AtomicU64);

impl Clone for Engine {
    fn clone(&self) -> Engine {
        self.shared.handles.fetch_add(1, Ordering::Relaxed);
        Engine { shared: self.shared.clone() }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.stores.close();
        }
    }
}

/// # Panics
/// When the host has no address space for one more engine; [`Engine::new`] says so instead.
impl Default for Engine {
    fn default() -> Engine {
        Engine::new(&Config::new()).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Engine {
    /// An engine with these settings.
    ///
    /// # Errors
    /// When settings contradict each other or the host.
    pub fn new(config: &Config) -> Result<Engine> {
        let address_bits = 47;
        let tunables = &config.tunables;
        let span = tunables.memory_reservation.checked_add(tunables.memory_guard_size);
        ensure!(
            span.is_some_and(|span| span < 1 << address_bits),
            "a memory's reservation and guard exceed the address space: {} and {} bytes; lower `memory_reservation`",
            tunables.memory_reservation,
            tunables.memory_guard_size
        );
        ensure!(
            config.max_wasm_stack > 0,
            "`max_wasm_stack` is 0, so that no guest could run; give it 64 KiB at least"
        );
        ensure!(
            (MIN_RESERVATION..=MAX_RESERVATION).contains(&config.gc_heap_reservation),
            "`gc_heap_reservation` must be between {MIN_RESERVATION} and {MAX_RESERVATION} bytes, but is {}",
            config.gc_heap_reservation
        );
        let (guest, all) = (config.max_wasm_stack, config.async_stack_size);
        ensure!(
            !config.async_support || guest.saturating_add(ASYNC_HOST_STACK) <= all,
            "a guest may use {guest} of the {all} bytes of stack that an asynchronous call has, which leaves the host less \
             than {ASYNC_HOST_STACK}: raise `async_stack_size` or lower `max_wasm_stack`"
        );
        if let InstanceAllocationStrategy::Pooling(pool) = &config.allocation_strategy {
            check_pool(pool)?;
        }
        let engine = Engine::with(config.clone())?;
        if let InstanceAllocationStrategy::Pooling(pool) = &config.allocation_strategy
            && let Some(idle_timeout) = pool.idle_timeout
        {
            engine.pools().watch(idle_timeout).context("cannot start the thread that `idle_timeout` asks for")?;
        }
        Ok(engine)
    }

    fn with(mut config: Config) -> Result<Engine> {
        config.fit_address_space(address_space_limit());
        if config.tunables.signals_based_traps {
            signal::install();
        }
        let allocator: Box<dyn InstanceAllocator> = match config.allocation_strategy {
            InstanceAllocationStrategy::OnDemand | InstanceAllocationStrategy::Pooling(_) => {
                Box::new(OnDemand { headroom: usize::try_from(config.reservation_for_growth).unwrap_or(usize::MAX) })
            }
        };
        let shared = Shared {
            handles: AtomicUsize::new(1),
            stores: Stock::new(),
            epoch: Epoch::default(),
            stacks: Stacks::default(),
            pools: Arc::default(),
            config,
            types: Arc::new(TypeRegistry::new().context("cannot reserve address space for the engine's types")?),
            allocator,
            compiler: OnceLock::new(),
        };
        Ok(Engine { shared: Arc::new(shared) })
    }

    /// Whether both are the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.shared, &b.shared)
    }

    /// Begins a new epoch: guests whose stores' deadline it is stop at the next loop or call; see
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline). May be called by any thread, and by signal
    /// handlers.
    pub fn increment_epoch(&self) {
        self.shared.epoch.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Stacks for asynchronous calls.
    #[inline]
    pub(crate) fn stacks(&self) -> &Stacks {
        &self.shared.stacks
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch.0.load(Ordering::Relaxed)
    }

    /// Where compiled code finds the current epoch; it is there as long as the engine.
    pub(crate) fn epoch_address(&self) -> *const u64 {
        self.shared.epoch.0.as_ptr()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Gives memory back: drops all idle instances and stores. What is in use is not touched, and becomes idle again
    /// when it is dropped.
    ///
    /// ```
    /// use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()))?;
    /// let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, "(module (memory 1))")?)?;
    /// for _ in 0..10 {
    ///     pre.instantiate(&mut Store::new(&engine, ()))?;
    /// }
    /// let metrics = engine.pool_metrics().unwrap();
    /// assert_eq!((metrics.warm_starts, metrics.cold_starts, metrics.idle_instances), (9, 1, 1));
    /// engine.trim();
    /// assert_eq!(engine.pool_metrics().unwrap().memories, 0);
    /// # Ok(()) }
    /// ```
    pub fn trim(&self) {
        self.pools().reclaim(usize::MAX);
        drop(self.stores().drain());
    }

    /// What the pooling allocator holds and has done; `None` without pooling.
    pub fn pool_metrics(&self) -> Option<PoolMetrics> {
        let pooling = matches!(self.config().allocation_strategy, InstanceAllocationStrategy::Pooling(_));
        pooling.then(|| self.pools().metrics())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn stores(&self) -> &Stock<Shared, IdleStore> {
        &self.shared.stores
    }

    pub(crate) fn pools(&self) -> &Arc<Pools> {
        &self.shared.pools
    }

    pub(crate) fn tunables(&self) -> &Tunables {
        &self.shared.config.tunables
    }

    pub(crate) fn types(&self) -> &Arc<TypeRegistry> {
        &self.shared.types
    }

    pub(crate) fn allocator(&self) -> &dyn InstanceAllocator {
        &*self.shared.allocator
    }

    #[cfg_attr(not(feature = "compile"), allow(dead_code))]
    pub(crate) fn compiler_cell(&self) -> &OnceLock<Arc<dyn Any + Send + Sync>> {
        &self.shared.compiler
    }
}

/// Whether the host can do what the settings insist on.
fn check_pool(pool: &PoolingAllocationConfig) -> Result<()> {
    ensure!(
        pool.pagemap_scan != Enabled::Yes || pagemap::is_supported(),
        "this kernel cannot say which pages were written (PAGEMAP_SCAN, Linux 6.7): set `pagemap_scan` to `Enabled::Auto`"
    );
    ensure!(
        pool.memory_protection_keys != Enabled::Yes,
        "hotfoot does not put memories under protection keys: set `memory_protection_keys` to `Enabled::Auto`"
    );
    ensure!(
        pool.idle_timeout.is_none_or(|timeout| timeout.as_millis() > 0),
        "an `idle_timeout` of less than a millisecond would only drop what is about to be used: give it a second or more"
    );
    Ok(())
}
