//! Memories that several threads use at once.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::engine::Engine;
use crate::memory::MemoryAccessError;
use crate::trap::Trap;
use crate::types::MemoryType;
use crate::vm::parking::Wake;
use crate::vm::shared::{Growth, SharedLinearMemory};
use crate::vm::store::VmStore;

/// A linear memory that instances of any number of stores share, on any number of threads. Clones are the same memory.
///
/// ```
/// use hotfoot::{Config, Engine, Instance, MemoryType, Module, SharedMemory, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::new(Config::new().wasm_threads(true))?;
/// let module = Module::new(&engine, r#"(module (memory (import "" "m") 1 1 shared)
///     (func (export "count") (loop $again
///         (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
///         (br_if $again (i32.rem_u (i32.atomic.rmw.add (i32.const 64) (i32.const 1)) (i32.const 1000))))))"#)?;
/// let memory = SharedMemory::new(&engine, MemoryType::shared(1, 1))?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| -> hotfoot::Result<()> {
///             let mut store = Store::new(&engine, ());
///             let instance = Instance::new(&mut store, &module, &[memory.clone().into()])?;
///             instance.get_typed_func::<(), ()>(&mut store, "count")?.call(&mut store, ())
///         });
///     }
/// });
/// let mut counts = [[0; 4]; 2];
/// memory.read(0, &mut counts[0])?;
/// memory.read(64, &mut counts[1])?;
/// assert_eq!(counts[0], counts[1]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory(Arc<SharedLinearMemory>);

/// How a wait ended, with the number that a guest sees.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// Another thread notified the address.
    Ok = 0,
    /// The value there was another.
    Mismatch = 1,
    /// The time was up.
    TimedOut = 2,
}

impl SharedMemory {
    /// A new memory. Address space is reserved for all of its maximum, which its type must have.
    ///
    /// # Errors
    /// When the engine's settings do not have threads, the type is not shared, or the host refuses.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        ensure!(engine.config().features.threads, "shared memories are off: switch on `Config::wasm_threads`");
        let valid = ty.minimum <= ty.maximum.unwrap_or(ty.minimum) && ty.maximum.unwrap_or(0) <= ty.reach();
        ensure!(valid, "there cannot be a memory of this type: {ty}; lower its limits");
        Ok(SharedMemory(Arc::new(SharedLinearMemory::new(&ty, engine.tunables())?)))
    }

    pub(crate) fn from_parts(memory: Arc<SharedLinearMemory>) -> SharedMemory {
        SharedMemory(memory)
    }

    /// The memory, when code of the store's engine can use it.
    pub(crate) fn usable_in(&self, store: &VmStore) -> Result<Arc<SharedLinearMemory>> {
        ensure!(
            self.0.keeps(store.engine().tunables()),
            "the shared memory was made with other memory settings than the store's: give both engines the same"
        );
        Ok(self.0.clone())
    }

    pub(crate) fn current_type(&self) -> MemoryType {
        MemoryType { minimum: self.0.pages(), ..self.0.ty() }
    }

    /// Its type; the minimum is the size with which it was made.
    pub fn ty(&self) -> MemoryType {
        self.0.ty()
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u64 {
        self.ty().page_size()
    }

    /// Bytes of a page, as a power of two.
    pub fn page_size_log2(&self) -> u8 {
        self.ty().page_size_log2()
    }

    /// Size in pages. Another thread may grow the memory at any time.
    pub fn size(&self) -> u64 {
        self.0.pages()
    }

    /// Size in bytes. Another thread may grow the memory at any time.
    pub fn data_size(&self) -> usize {
        self.0.byte_len()
    }

    /// Its bytes as they are now, as cells: other threads, in compiled code, change them at any time. Use atomics on
    /// them; [`SharedMemory::read`] and [`SharedMemory::write`] need no `unsafe`.
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        self.0.cells()
    }

    /// Copies bytes out of the memory. What another thread writes meanwhile may be seen in part.
    ///
    /// # Errors
    /// When some of them are outside; then nothing was copied.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        if self.0.read(offset as u64, buffer) { Ok(()) } else { Err(MemoryAccessError::new()) }
    }

    /// Copies bytes into the memory. Another thread may see a part of them before the rest.
    ///
    /// # Errors
    /// When some of them would be outside; then nothing was copied.
    pub fn write(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        if self.0.write(offset as u64, buffer) { Ok(()) } else { Err(MemoryAccessError::new()) }
    }

    /// Grows by `delta` pages and returns the old size. No store's limits apply.
    ///
    /// # Errors
    /// When the type's maximum or the host do not allow it.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        loop {
            let (current, maximum) = (self.size(), self.ty().maximum().unwrap_or(0));
            let Some(desired) = current.checked_add(delta).filter(|desired| *desired <= maximum) else {
                bail!("the memory cannot grow by {delta} pages: it has {current}, and its maximum is {maximum}")
            };
            if let Growth::Done = self.0.grow(current, desired)? {
                return Ok(current);
            }
        }
    }

    /// Wakes up to `count` threads that wait at an address, those that have waited longest, and says how many.
    ///
    /// # Errors
    /// [`Trap::HeapMisaligned`] when the address is no multiple of 4, [`Trap::MemoryOutOfBounds`] when it is outside.
    pub fn atomic_notify(&self, addr: u64, count: u32) -> Result<u32, Trap> {
        self.0.notify(addr, count)
    }

    /// Waits until another thread notifies the address, if it holds these 32 bits, or until the time is up. Without a
    /// timeout that may be for ever.
    ///
    /// # Errors
    /// [`Trap::HeapMisaligned`] when the address is no multiple of 4, [`Trap::MemoryOutOfBounds`] when it is outside.
    pub fn atomic_wait32(&self, addr: u64, expected: u32, timeout: Option<Duration>) -> Result<WaitResult, Trap> {
        self.0.wait32(addr, expected, timeout, &Arc::default()).map(WaitResult::new)
    }

    /// Waits as [`SharedMemory::atomic_wait32`], for 64 bits.
    ///
    /// # Errors
    /// [`Trap::HeapMisaligned`] when the address is no multiple of 8, [`Trap::MemoryOutOfBounds`] when it is outside.
    pub fn atomic_wait64(&self, addr: u64, expected: u64, timeout: Option<Duration>) -> Result<WaitResult, Trap> {
        self.0.wait64(addr, expected, timeout, &Arc::default()).map(WaitResult::new)
    }
}

impl WaitResult {
    fn new(wake: Wake) -> WaitResult {
        match wake {
            // Nobody else knows the waiter of a call of the host's, so nobody interrupts it.
            Wake::Notified | Wake::Interrupted => WaitResult::Ok,
            Wake::Mismatch => WaitResult::Mismatch,
            Wake::TimedOut => WaitResult::TimedOut,
        }
    }
}
