//! Linear memories.

use anyhow::{Context, Result};

use crate::externs::check_store;
use crate::store::{AsContext, AsContextMut};
use crate::types::MemoryType;
use crate::vm::context::{StoreContext, StoreContextMut};
use crate::vm::store::{StoreId, VmStore};
use crate::vm::view::MemoryView;
use crate::vm::{fiber, growth};

/// A linear memory in a store.
///
/// ```
/// use hotfoot::{Engine, Memory, MemoryType, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let mut store = Store::new(&Engine::default(), ());
/// let memory = Memory::new(&mut store, MemoryType::new(1, Some(2)))?;
/// memory.write(&mut store, 10, b"hello")?;
/// assert_eq!(&memory.data(&store)[10..15], b"hello");
/// assert_eq!(memory.grow(&mut store, 1)?, 1);
/// assert!(memory.grow(&mut store, 1).is_err());
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    store: StoreId,
    index: u32,
}

/// An access outside of a memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of bounds memory access")]
pub struct MemoryAccessError(());

impl MemoryAccessError {
    pub(crate) fn new() -> MemoryAccessError {
        MemoryAccessError(())
    }
}

impl Memory {
    /// A new memory, which is not shared: for that see [`SharedMemory`](crate::SharedMemory).
    ///
    /// # Errors
    /// When the type is shared, or the host or the store's limits refuse.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        let id = store.vm().id();
        Ok(Memory { store: id, index: growth::new_memory(store, ty)? })
    }

    /// As [`Memory::new`]; the store's limiter may wait.
    ///
    /// # Errors
    /// As [`Memory::new`].
    pub async fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: MemoryType,
    ) -> Result<Memory> {
        fiber::run(store.as_context_mut(), |store| Memory::new(store, ty)).await
    }

    /// Its type; the minimum is the current size.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.type_in(store.as_context().vm())
    }

    /// Copies bytes out of the memory.
    ///
    /// # Errors
    /// When some of them are outside; then nothing was copied.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let store = store.as_context();
        let end = offset.checked_add(buffer.len()).ok_or(MemoryAccessError(()))?;
        buffer.copy_from_slice(self.bytes(store.vm()).get(offset..end).ok_or(MemoryAccessError(()))?);
        Ok(())
    }

    /// Copies bytes into the memory.
    ///
    /// # Errors
    /// When some of them would be outside; then nothing was copied.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let end = offset.checked_add(buffer.len()).ok_or(MemoryAccessError(()))?;
        let bytes = store.vm().memory_mut(self.index).range_mut(offset as u64..end as u64);
        bytes.ok_or(MemoryAccessError(()))?.copy_from_slice(buffer);
        Ok(())
    }

    /// Its bytes.
    pub fn data<'a, T: 'static>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        self.bytes(store.into().vm())
    }

    /// Its bytes, writable.
    pub fn data_mut<'a, T: 'static>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        self.data_and_store_mut(store).0
    }

    /// Its bytes and the host's data, both writable.
    pub fn data_and_store_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let (store, data) = store.into().vm_and_data();
        check_store(self.store, store);
        (store.memory_mut(self.index).bytes_mut(), data)
    }

    /// Its bytes and the host's data, for a host function that can name the bytes it writes. Unlike
    /// [`Memory::data_and_store_mut`], this keeps a pooled memory's instances quick to reset.
    ///
    /// ```
    /// use hotfoot::{Engine, Memory, MemoryType, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let mut store = Store::new(&Engine::default(), String::from("host"));
    /// let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    /// let (mut view, data) = memory.view_and_store_mut(&mut store);
    /// view.range_mut(0..4).unwrap().copy_from_slice(data.as_bytes());
    /// assert_eq!(&view.data()[..5], b"host\0");
    /// # Ok(()) }
    /// ```
    pub fn view_and_store_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> (MemoryView<'a>, &'a mut T) {
        let (store, data) = store.into().vm_and_data();
        check_store(self.store, store);
        (store.memory_mut(self.index).view(), data)
    }

    /// Address of byte 0 in this process; changes when the memory moves.
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        let store = store.as_context();
        check_store(self.store, store.vm());
        store.vm().memory(self.index).untrack();
        store.vm().memory(self.index).base()
    }

    /// Current size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.bytes(store.as_context().vm()).len()
    }

    /// Current size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let store = store.as_context();
        check_store(self.store, store.vm());
        store.vm().memory(self.index).pages()
    }

    /// Bytes of a page.
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.ty(store).page_size()
    }

    /// Bytes of a page, as a power of two.
    pub fn page_size_log2(&self, store: impl AsContext) -> u8 {
        self.ty(store).page_size_log2()
    }

    /// Grows by `delta` pages and returns the old size.
    ///
    /// # Errors
    /// When the type's maximum, the store's limits or the host do not allow it.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let grown = growth::grow_memory(store, self.index, delta)?;
        grown.with_context(|| {
            format!("the memory cannot grow by {delta} pages: its maximum, a limit or the host forbids")
        })
    }

    /// As [`Memory::grow`]; the store's limiter may wait.
    ///
    /// # Errors
    /// As [`Memory::grow`].
    pub async fn grow_async<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        delta: u64,
    ) -> Result<u64> {
        fiber::run(store.as_context_mut(), |store| self.grow(store, delta)).await
    }

    fn bytes<'a>(&self, store: &'a VmStore) -> &'a [u8] {
        check_store(self.store, store);
        store.memory(self.index).bytes()
    }

    pub(crate) fn from_parts(store: StoreId, index: u32) -> Memory {
        Memory { store, index }
    }

    pub(crate) fn type_in(&self, store: &VmStore) -> MemoryType {
        check_store(self.store, store);
        let memory = store.memory(self.index);
        MemoryType { minimum: memory.pages(), ..memory.ty() }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}
