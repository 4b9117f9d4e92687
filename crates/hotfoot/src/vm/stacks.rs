//! An engine's stacks for fibers: idle ones are used again, and pooling limits how many there are.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use corosensei::stack::DefaultStack;

use crate::config::{Config, InstanceAllocationStrategy};

/// Idle stacks that an engine keeps.
const MAX_IDLE_STACKS: usize = 256;

/// See the module's documentation.
#[derive(Default)]
pub struct Stacks {
    /// Whether a host function was made that may wait; without, nobody needs a stack.
    wanted: AtomicBool,
    idle: Mutex<Vec<DefaultStack>>,
    /// How many there are, in use and idle.
    count: AtomicU32,
}

impl std::fmt::Debug for Stacks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stacks").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Stacks {
    /// From now on asynchronous calls run on fibers.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether asynchronous calls run on fibers.
    pub fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// A stack for a fiber, with a guard page below it.
    ///
    /// # Errors
    /// When the pool has no more, or the host.
    pub fn take(&self, config: &Config) -> Result<DefaultStack> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(stack) = idle {
            return Ok(stack);
        }
        let limit = match &config.allocation_strategy {
            InstanceAllocationStrategy::Pooling(pool) => pool.total_stacks,
            InstanceAllocationStrategy::OnDemand => u32::MAX,
        };
        let one_more = |count| (count < limit).then_some(count + 1);
        let counted = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        ensure!(
            counted.is_ok(),
            "all stacks of the pool are in use by asynchronous calls: {limit}; raise \
             `PoolingAllocationConfig::total_stacks`"
        );
        let bytes = config.async_stack_size;
        DefaultStack::new(bytes).with_context(|| {
            self.count.fetch_sub(1, Ordering::Relaxed);
            format!("cannot get a stack of {bytes} bytes for an asynchronous call; lower `Config::async_stack_size`")
        })
    }

    /// Keeps a stack for the next fiber.
    pub fn give(&self, stack: DefaultStack) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE_STACKS {
            idle.push(stack);
        } else {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
