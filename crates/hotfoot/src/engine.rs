//! The engine: settings, types and whatever else modules and stores share.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use hotfoot_abi::tunables::Tunables;

use crate::config::{Config, InstanceAllocationStrategy};
use crate::types::TypeRegistry;
use crate::vm::allocator::{InstanceAllocator, OnDemand};
use crate::vm::sys::signal;

/// Settings and what is shared by all modules and stores that are made with it. Cheap to clone, usable from all
/// threads.
///
/// ```
/// use hotfoot::{Config, Engine};
/// let engine = Engine::new(Config::new().max_wasm_stack(1 << 20))?;
/// assert!(Engine::same(&engine, &engine.clone()));
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    types: TypeRegistry,
    allocator: Box<dyn InstanceAllocator>,
    /// Made when something is compiled first; see `compiler`.
    compiler: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::with(Config::new())
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
        Ok(Engine::with(config.clone()))
    }

    fn with(config: Config) -> Engine {
        if config.tunables.signals_based_traps {
            signal::install();
        }
        let allocator: Box<dyn InstanceAllocator> = match config.allocation_strategy {
            InstanceAllocationStrategy::OnDemand => Box::new(OnDemand),
        };
        let types = TypeRegistry::default();
        Engine { shared: Arc::new(Shared { config, types, allocator, compiler: OnceLock::new() }) }
    }

    /// Whether both are the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.shared, &b.shared)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn tunables(&self) -> &Tunables {
        &self.shared.config.tunables
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
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
