//! Making memories and tables larger, and making more of them: what a store's limits may refuse.

use anyhow::{Result, ensure};
use hotfoot_artifact::{MemoryType, TableType};

use super::shared::Growth;
use super::store::VmStore;
use crate::limits::ResourceLimiter;

impl VmStore {
    /// The store's limiter, if it has one.
    fn with_limiter<R>(&mut self, f: impl FnOnce(&mut dyn ResourceLimiter) -> R) -> Option<R> {
        let (mut f, mut result) = (Some(f), None);
        let store = self.pointer();
        // SAFETY: S1, S10: `limiter` was made for the type of this store's data, and the store is borrowed exclusively.
        // The limiter lies in the data or behind it, never in `VmStore`.
        unsafe { (self.asks.limiter)(store, &mut |limiter| result = f.take().map(|f| f(limiter))) };
        result
    }

    /// Whether the store has a limiter.
    pub(super) fn has_limiter(&mut self) -> bool {
        self.with_limiter(|_| ()).is_some()
    }

    /// Asks the limiter whether a memory may have `desired` pages. An error means: trap.
    pub fn check_memory_growth(&mut self, current: u64, ty: &MemoryType, desired: u64) -> Result<bool> {
        let bytes = |pages| super::memory::pages_to_bytes(ty, pages).unwrap_or(usize::MAX);
        let maximum = ty.maximum.map(bytes);
        let allowed = self.with_limiter(|limiter| limiter.memory_growing(bytes(current), bytes(desired), maximum));
        allowed.unwrap_or(Ok(true))
    }

    /// Asks the limiter whether the heap of objects may take `desired` bytes. An error means: trap.
    pub(super) fn check_heap_growth(&mut self, current: u64, desired: u64) -> Result<bool> {
        let maximum = self.engine.config().gc_heap_reservation as usize;
        let ask = |limiter: &mut dyn ResourceLimiter| {
            limiter.memory_growing(current as usize, desired as usize, Some(maximum))
        };
        self.with_limiter(ask).unwrap_or(Ok(true))
    }

    /// Asks the limiter whether a table may have `desired` elements. An error means: trap.
    pub fn check_table_growth(&mut self, current: u64, ty: &TableType, desired: u64) -> Result<bool> {
        let maximum = ty.maximum.map(|maximum| maximum as usize);
        let allowed = self.with_limiter(|limiter| limiter.table_growing(current as usize, desired as usize, maximum));
        allowed.unwrap_or(Ok(true))
    }

    /// Asks the limiter whether so many more instances, memories and tables may exist.
    pub fn check_counts(&mut self, instances: usize, memories: usize, tables: usize) -> Result<()> {
        let counts = (self.instances.len() + instances, self.memories.len() + memories, self.tables.len() + tables);
        let limits = self.with_limiter(|limiter| (limiter.instances(), limiter.memories(), limiter.tables()));
        let Some((max_instances, max_memories, max_tables)) = limits else { return Ok(()) };
        let check = |what, count, max| {
            ensure!(
                count <= max,
                "the store's limit of {max} {what} would be exceeded: {count}; raise it in its ResourceLimiter"
            );
            Ok(())
        };
        check("instances", counts.0, max_instances)?;
        check("memories", counts.1, max_memories)?;
        check("tables", counts.2, max_tables)
    }

    /// Grows a memory by `delta` pages: the old size, or `None` when limits or the host refuse.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub fn grow_memory(&mut self, index: u32, delta: u64) -> Result<Option<u64>> {
        let tunables = *self.engine.tunables();
        // Another thread may grow a shared memory meanwhile; then the question is asked again.
        loop {
            let (current, ty) = (self.memory(index).pages(), self.memory(index).ty());
            let limit = ty.maximum.unwrap_or(u64::MAX).min(ty.reach());
            let desired = current.saturating_add(delta);
            if desired > limit {
                return Ok(None);
            }
            if !self.check_memory_growth(current, &ty, desired)? {
                self.host_was_seen = true;
                return Ok(None);
            }
            let grown = match self.memory(index).shared() {
                Some(memory) => memory.grow(current, desired),
                None => self.memory_mut(index).grow(desired, &tunables).map(|()| Growth::Done),
            };
            match grown {
                Ok(Growth::Done) => return Ok(Some(current)),
                Ok(Growth::Outrun) => {}
                Err(error) => {
                    self.host_was_seen = true;
                    self.with_limiter(|limiter| limiter.memory_grow_failed(error)).unwrap_or(Ok(()))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Grows a table by `delta` elements: the old size, or `None` when limits or the host refuse.
    ///
    /// # Safety
    /// S7: the element is of the table's type and this store.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub(super) unsafe fn grow_table(&mut self, index: u32, delta: u64, element: u64) -> Result<Option<u64>> {
        let (current, ty) = (self.table(index).len(), self.table(index).ty());
        let desired = current.saturating_add(delta);
        if !self.table(index).allows_len(desired) {
            return Ok(None);
        }
        if !self.check_table_growth(current, &ty, desired)? {
            self.host_was_seen = true;
            return Ok(None);
        }
        // SAFETY: S7, by the caller's promise.
        let grown = unsafe { self.tables[index as usize].grow(desired, element) };
        if !grown {
            self.host_was_seen = true;
            let error = anyhow::anyhow!("the host has no memory for a table of {desired} elements");
            self.with_limiter(|limiter| limiter.table_grow_failed(error)).unwrap_or(Ok(()))?;
        }
        Ok(grown.then_some(current))
    }
}

/// Validity of limits (section 3.2.1), which a module's types have and the host's may not.
pub(super) fn check_limits(what: &str, minimum: u64, maximum: Option<u64>, range: u64) -> Result<()> {
    let most = maximum.unwrap_or(minimum);
    ensure!(
        minimum <= most && most <= range,
        "there cannot be a {what} with the limits {minimum} and {most}: the first must not exceed the second, nor that {range}"
    );
    Ok(())
}

pub(super) fn limit_error(what: &str) -> anyhow::Error {
    anyhow::anyhow!("the store's limits do not allow a {what} of this size; raise them in its ResourceLimiter")
}
