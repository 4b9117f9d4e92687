//! Settings of the pooling allocator.

use std::time::Duration;

use super::Enabled;

/// Settings of the pooling allocator. The defaults are the fast ones; what can be set are limits, and what stays in
/// memory while nothing uses it.
///
/// ```
/// use hotfoot::{Config, Engine, PoolingAllocationConfig};
/// let mut pool = PoolingAllocationConfig::new();
/// pool.total_core_instances(100).max_memory_size(64 << 20);
/// let engine = Engine::new(Config::new().allocation_strategy(pool))?;
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolingAllocationConfig {
    pub(crate) total_core_instances: u32,
    pub(crate) total_memories: u32,
    pub(crate) total_tables: u32,
    pub(crate) total_stacks: u32,
    pub(crate) max_memory_size: usize,
    pub(crate) table_elements: usize,
    pub(crate) max_memories_per_module: u32,
    pub(crate) max_tables_per_module: u32,
    pub(crate) max_core_instance_size: usize,
    pub(crate) max_unused_warm_slots: u32,
    pub(crate) linear_memory_keep_resident: usize,
    pub(crate) table_keep_resident: usize,
    pub(crate) pagemap_scan: Enabled,
    pub(crate) memory_protection_keys: Enabled,
    pub(crate) wait_for_slot: Duration,
    pub(crate) idle_timeout: Option<Duration>,
}

impl Default for PoolingAllocationConfig {
    fn default() -> PoolingAllocationConfig {
        PoolingAllocationConfig::new()
    }
}

macro_rules! pool_limits {
    ($($(#[$doc:meta])* $name:ident: $ty:ty;)*) => {
        impl PoolingAllocationConfig {$(
            $(#[$doc])*
            pub fn $name(&mut self, value: $ty) -> &mut Self {
                self.$name = value;
                self
            }
        )*}
    };
}

pool_limits! {
    /// How many pooled instances the engine may have, in use and idle. Default: 10,000.
    total_core_instances: u32;
    /// How many memories the engine's pooled instances may have, in use and idle. Default: 10,000.
    total_memories: u32;
    /// How many tables the engine's pooled instances may have, in use and idle. Default: 10,000.
    total_tables: u32;
    /// How many stacks for asynchronous calls the engine may have, in use and idle. Default: 10,000.
    total_stacks: u32;
    /// How many bytes a memory of a pooled instance may have: a module that begins with more is refused, and growing
    /// beyond it fails. Default: no limit but the memory's own.
    max_memory_size: usize;
    /// How many elements a table of a pooled instance may begin with. Default: no limit but the implementation's.
    table_elements: usize;
    /// How many memories a module may define. Default: no limit.
    max_memories_per_module: u32;
    /// How many tables a module may define. Default: no limit.
    max_tables_per_module: u32;
    /// How many bytes the part of an instance may take that is neither memory nor table: imports, globals, references to
    /// functions. Default: no limit.
    max_core_instance_size: usize;
    /// How many idle instances each thread keeps of each `InstancePre`. Default: 100.
    max_unused_warm_slots: u32;
    /// How many bytes of an idle memory stay resident and are reset by copying; a memory of which more was written is
    /// given back to the host instead. Default: 4 MiB.
    linear_memory_keep_resident: usize;
    /// How many bytes the tables of an idle instance may have (8 an element); an instance with more is not kept. Default:
    /// 4 MiB.
    table_keep_resident: usize;
    /// Whether the kernel may be asked which pages were written, where tracking does not tell (`PAGEMAP_SCAN`, Linux
    /// 6.7). Default: where it can be.
    pagemap_scan: Enabled;
    /// Whether memories share address space under protection keys. hotfoot does not: `Yes` is refused. Default: where
    /// it can be, so never.
    memory_protection_keys: Enabled;
    /// How long instantiation waits for another thread to drop a store when a limit of the pool is reached. Default: not
    /// at all.
    wait_for_slot: Duration;
    /// After how long idle instances that nobody needed are dropped; at the latest, after twice as long. A thread of the
    /// engine's sees to it. Default: never.
    idle_timeout: Option<Duration>;
}

impl PoolingAllocationConfig {
    /// The default settings.
    pub fn new() -> PoolingAllocationConfig {
        PoolingAllocationConfig {
            total_core_instances: 10_000,
            total_memories: 10_000,
            total_tables: 10_000,
            total_stacks: 10_000,
            max_memory_size: usize::MAX,
            table_elements: usize::MAX,
            max_memories_per_module: u32::MAX,
            max_tables_per_module: u32::MAX,
            max_core_instance_size: usize::MAX,
            max_unused_warm_slots: 100,
            linear_memory_keep_resident: 4 << 20,
            table_keep_resident: 4 << 20,
            pagemap_scan: Enabled::Auto,
            memory_protection_keys: Enabled::Auto,
            wait_for_slot: Duration::ZERO,
            idle_timeout: None,
        }
    }

    /// For an engine without pooling: nothing stays idle, and there are no limits.
    pub(crate) fn keep_nothing() -> Self {
        let mut config = PoolingAllocationConfig::new();
        config.total_core_instances(u32::MAX).total_memories(u32::MAX).total_tables(u32::MAX).max_unused_warm_slots(0);
        config
    }
}
