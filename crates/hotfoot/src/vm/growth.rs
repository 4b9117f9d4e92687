//! Making memories and tables larger, and making more of them: what a store's limits may refuse.
//!
//! A limiter may wait ([`ResourceLimiterAsync`]), and then the call that asked is suspended. So it is asked before
//! anything is done, by functions that hold no reference into the store, and what they found is looked at again after.

use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;

use anyhow::{Result, ensure};
use hotfoot_artifact::{MemoryType, TableType};

use super::context::StoreContextMut;
use super::fiber::Asker;
use super::shared::Growth;
use super::store::VmStore;
use crate::limits::{ResourceLimiter, ResourceLimiterAsync};
use crate::module::Module;
use crate::value::Val;

/// What can grow.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Growable {
    /// A memory, or the heap of objects; in bytes.
    Memory,
    /// In elements.
    Table,
}

impl Growable {
    fn name(self) -> &'static str {
        match self {
            Growable::Memory => "memory",
            Growable::Table => "table",
        }
    }
}

/// What a limiter is asked.
#[derive(Copy, Clone, Debug)]
pub struct Growing {
    what: Growable,
    current: usize,
    desired: usize,
    maximum: Option<usize>,
}

impl Growing {
    /// A memory's growth, in pages.
    pub fn memory(ty: &MemoryType, current: u64, desired: u64) -> Growing {
        let bytes = |pages| super::memory::pages_to_bytes(ty, pages).unwrap_or(usize::MAX);
        let (current, desired, maximum) = (bytes(current), bytes(desired), ty.maximum.map(bytes));
        Growing { what: Growable::Memory, current, desired, maximum }
    }

    /// A table's growth, in elements.
    pub fn table(ty: &TableType, current: u64, desired: u64) -> Growing {
        let (current, desired) = (current as usize, desired as usize);
        Growing { what: Growable::Table, current, desired, maximum: ty.maximum.map(|maximum| maximum as usize) }
    }

    /// The growth of the heap of objects, in bytes.
    pub fn heap(current: u64, desired: u64, maximum: u64) -> Growing {
        let (current, desired) = (current as usize, desired as usize);
        Growing { what: Growable::Memory, current, desired, maximum: Some(maximum as usize) }
    }

    /// Asks a limiter.
    pub fn ask(self, limiter: &mut dyn ResourceLimiter) -> Result<bool> {
        match self.what {
            Growable::Memory => limiter.memory_growing(self.current, self.desired, self.maximum),
            Growable::Table => limiter.table_growing(self.current, self.desired, self.maximum),
        }
    }

    /// Asks a limiter that may wait.
    pub fn ask_async(
        self,
        limiter: &mut dyn ResourceLimiterAsync,
    ) -> Pin<Box<dyn Future<Output = Result<bool>> + Send + '_>> {
        match self.what {
            Growable::Memory => limiter.memory_growing(self.current, self.desired, self.maximum),
            Growable::Table => limiter.table_growing(self.current, self.desired, self.maximum),
        }
    }
}

impl VmStore {
    /// Asks the limiter whether something may grow. An error means: trap.
    ///
    /// # Safety
    /// S1, S2: the store is alive and no Rust reference into it is. S15: the asker is who it says.
    pub(super) unsafe fn may_grow(store: NonNull<VmStore>, growing: Growing, asker: Asker) -> Result<bool> {
        // SAFETY: S1, S2, S15, by the caller's promise; S10, `asks` was made for this store's data.
        unsafe { ((*store.as_ptr()).asks.growing)(store, growing, asker) }.unwrap_or(Ok(true))
    }

    /// As [`VmStore::may_grow`], for those who cannot wait.
    pub(super) fn may_grow_now(&mut self, growing: Growing) -> Result<bool> {
        let store = self.pointer();
        // SAFETY: S1, S10: `asks` was made for this store's data, and the store is borrowed exclusively; without waiting,
        // only the limiter and the data are used, which lie behind the `VmStore`.
        unsafe { (self.asks.growing)(store, growing, Asker::Nobody) }.unwrap_or(Ok(true))
    }

    /// Tells the limiter that what it allowed failed. An error means: trap.
    fn grow_failed(&mut self, what: Growable, error: anyhow::Error) -> Result<()> {
        let store = self.pointer();
        // SAFETY: S1, S10: as above.
        unsafe { (self.asks.grow_failed)(store, what, error) }
    }

    /// Asks the limiter whether so many more instances, memories and tables may exist.
    pub fn check_counts(&mut self, instances: usize, memories: usize, tables: usize) -> Result<()> {
        let counts = [self.instances.len() + instances, self.memories.len() + memories, self.tables.len() + tables];
        let store = self.pointer();
        // SAFETY: S1, S10: as above.
        let Some(limits) = (unsafe { (self.asks.counts)(store) }) else { return Ok(()) };
        for ((what, count), max) in ["instances", "memories", "tables"].into_iter().zip(counts).zip(limits) {
            ensure!(
                count <= max,
                "the store's limit of {max} {what} would be exceeded: {count}; raise it in its ResourceLimiter"
            );
        }
        Ok(())
    }

    /// Grows a memory by `delta` pages: the old size, or `None` when limits or the host refuse.
    ///
    /// # Safety
    /// As [`VmStore::may_grow`].
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub(super) unsafe fn grow_memory(
        store: NonNull<VmStore>,
        index: u32,
        delta: u64,
        asker: Asker,
    ) -> Result<Option<u64>> {
        // Another thread may grow a shared memory meanwhile; then the question is asked again.
        loop {
            // SAFETY: S2, by the caller's promise; the borrow ends here.
            let memory = unsafe { store.as_ref() }.memory(index);
            let (current, ty) = (memory.pages(), memory.ty());
            let limit = ty.maximum.unwrap_or(u64::MAX).min(ty.reach());
            let desired = current.saturating_add(delta);
            if desired > limit {
                return Ok(None);
            }
            // SAFETY: S1, S2, S15: by the caller's promise.
            let allowed = unsafe { VmStore::may_grow(store, Growing::memory(&ty, current, desired), asker)? };
            // SAFETY: S2, by the caller's promise, and nobody waits any more.
            match unsafe { &mut *store.as_ptr() }.grow_memory_to(index, allowed.then_some(desired), current)? {
                Some(Growth::Done) => return Ok(Some(current)),
                Some(Growth::Outrun) => {}
                None => return Ok(None),
            }
        }
    }

    /// Grows a memory to so many pages, if it is allowed to and still has `current`; `None` if it cannot.
    fn grow_memory_to(&mut self, index: u32, allowed: Option<u64>, current: u64) -> Result<Option<Growth>> {
        let Some(desired) = allowed else {
            self.host_was_seen = true;
            return Ok(None);
        };
        let tunables = *self.engine.tunables();
        let grown = match self.memory(index).shared() {
            Some(memory) => memory.grow(current, desired),
            None => self.memory_mut(index).grow(desired, &tunables).map(|()| Growth::Done),
        };
        match grown {
            Ok(growth) => Ok(Some(growth)),
            Err(error) => {
                self.host_was_seen = true;
                self.grow_failed(Growable::Memory, error).map(|()| None)
            }
        }
    }

    /// Grows a table by `delta` elements: the old size, or `None` when limits or the host refuse.
    ///
    /// # Safety
    /// As [`VmStore::may_grow`]. S7: the element is of the table's type and this store.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub(super) unsafe fn grow_table(
        store: NonNull<VmStore>,
        index: u32,
        delta: u64,
        element: u64,
        asker: Asker,
    ) -> Result<Option<u64>> {
        // SAFETY: S2, by the caller's promise; the borrow ends here.
        let table = unsafe { store.as_ref() }.table(index);
        let (current, ty) = (table.len(), table.ty());
        let desired = current.saturating_add(delta);
        if !table.allows_len(desired) {
            return Ok(None);
        }
        // SAFETY: S1, S2, S15: by the caller's promise.
        let allowed = unsafe { VmStore::may_grow(store, Growing::table(&ty, current, desired), asker)? };
        // SAFETY: S2, by the caller's promise, and nobody waits any more.
        let store = unsafe { &mut *store.as_ptr() };
        // SAFETY: S7, by the caller's promise.
        let grown = allowed && unsafe { store.tables[index as usize].grow(desired, element) };
        if !grown {
            store.host_was_seen = true;
        }
        if allowed && !grown {
            let error = anyhow::anyhow!("the host has no memory for a table of {desired} elements");
            store.grow_failed(Growable::Table, error)?;
        }
        Ok(grown.then_some(current))
    }
}

/// As [`VmStore::grow_memory`], for the host.
///
/// # Errors
/// When the limiter wants it.
pub fn grow_memory<T>(store: StoreContextMut<'_, T>, index: u32, delta: u64) -> Result<Option<u64>> {
    // SAFETY: S1, S2: the store is borrowed by a raw pointer; S15, what the host runs on a fiber is ours.
    unsafe { VmStore::grow_memory(store.pointer(), index, delta, Asker::Host) }
}

/// As [`VmStore::grow_table`], for the host.
///
/// # Errors
/// When the value is not of the element type, or the limiter wants it.
pub fn grow_table<T>(mut store: StoreContextMut<'_, T>, index: u32, delta: u64, value: &Val) -> Result<Option<u64>> {
    let ty = store.vm().table(index).ty().element;
    let element = store.vm().checked_element(ty, value)?;
    // SAFETY: S1, S2, S15: as above; S7, compared just now.
    unsafe { VmStore::grow_table(store.pointer(), index, delta, element, Asker::Host) }
}

/// Adds a memory of the host's.
///
/// # Errors
/// When there can be no such memory, or limits or the host refuse.
pub fn new_memory<T>(mut store: StoreContextMut<'_, T>, ty: MemoryType) -> Result<u32> {
    check_limits("memory", ty.minimum, ty.maximum, ty.reach())?;
    ensure!(!ty.shared, "a memory of this type belongs to no store: {ty}; use `SharedMemory::new`");
    check(store.reborrow(), Growing::memory(&ty, 0, ty.minimum), "of this size")?;
    store.vm().new_memory(ty)
}

/// Adds a table of the host's, filled with a value.
///
/// # Errors
/// When there can be no such table, the value is not of the element type, or limits or the host refuse.
pub fn new_table<T>(mut store: StoreContextMut<'_, T>, ty: TableType, value: &Val) -> Result<u32> {
    check_limits("table", ty.minimum, ty.maximum, if ty.index64 { u64::MAX } else { u32::MAX.into() })?;
    let element = store.vm().checked_element(ty.element, value)?;
    check(store.reborrow(), Growing::table(&ty, 0, ty.minimum), "of this size")?;
    // SAFETY: S7, compared above.
    unsafe { store.vm().new_table(ty, element) }
}

/// Asks the limiter for everything that a new instance of a module takes.
///
/// # Errors
/// When it refuses.
pub fn check_module<T>(mut store: StoreContextMut<'_, T>, module: &Module) -> Result<()> {
    if !store.has_limiter() {
        return Ok(());
    }
    let (info, counts) = (module.info(), module.counts());
    store.vm().check_counts(1, counts.defined_memories as usize, counts.defined_tables as usize)?;
    for ty in &info.memories[counts.imported_memories as usize..] {
        check_first(store.reborrow(), Growing::memory(ty, 0, ty.minimum))?;
    }
    for ty in &info.tables[counts.imported_tables as usize..] {
        check_first(store.reborrow(), Growing::table(ty, 0, ty.minimum))?;
    }
    Ok(())
}

/// Asks the limiter for what a new instance starts with.
///
/// # Errors
/// When it refuses.
pub fn check_first<T>(store: StoreContextMut<'_, T>, growing: Growing) -> Result<()> {
    check(store, growing, "that the module starts with")
}

fn check<T>(store: StoreContextMut<'_, T>, growing: Growing, which: &str) -> Result<()> {
    // SAFETY: S1, S2: the store is borrowed by a raw pointer; S15, what the host runs on a fiber is ours.
    let allowed = unsafe { VmStore::may_grow(store.pointer(), growing, Asker::Host)? };
    let what = growing.what.name();
    ensure!(allowed, "the store's limits do not allow the {what} {which}; raise them in its ResourceLimiter");
    Ok(())
}

/// Validity of limits (section 3.2.1), which a module's types have and the host's may not.
fn check_limits(what: &str, minimum: u64, maximum: Option<u64>, range: u64) -> Result<()> {
    let most = maximum.unwrap_or(minimum);
    ensure!(
        minimum <= most && most <= range,
        "there cannot be a {what} with the limits {minimum} and {most}: the first must not exceed the second, nor that {range}"
    );
    Ok(())
}
