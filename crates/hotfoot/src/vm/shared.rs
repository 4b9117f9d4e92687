//! A shared memory: one that instances of several stores, on several threads, use at once.
//!
//! It belongs to no store: everyone who uses it holds a reference to it. Its address space is reserved up to its maximum
//! when it is made, so it never moves; growing makes more of it accessible and then publishes the new size.
//!
//! ```text
//!  VmContext (of any store) ──▶ definition: base, byte_len (atomic) ──▶ the bytes
//! ```
//!
//! Nothing here makes a reference to the bytes, because other threads change them at any time (S16). Single values are
//! read and written as atomics; ranges by `sys::arch`, in assembly, whose races are the processor's business and not
//! undefined to the compiler.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::tunables::Tunables;
use hotfoot_abi::vmctx::VmMemory;
use hotfoot_artifact::MemoryType;

use super::memory::{LinearMemory, pages_to_bytes};
use super::parking::{ParkingLot, Waiter, Wake};
use super::sys::arch;

/// See the module's documentation.
#[derive(Debug)]
pub struct SharedLinearMemory {
    definition: UnsafeCell<VmMemory>,
    ty: MemoryType,
    tunables: Tunables,
    /// The lock is held while it grows.
    memory: Mutex<LinearMemory>,
    parking: ParkingLot,
}

// SAFETY: S16, what `definition` points to belongs to `memory`, and is used as S16 says.
unsafe impl Send for SharedLinearMemory {}
// SAFETY: S16, as above; `byte_len` is the only part of `definition` that changes, and is used as an atomic.
unsafe impl Sync for SharedLinearMemory {}

/// What became of an attempt to grow from a known size.
pub enum Growth {
    /// It has the new size.
    Done,
    /// It no longer had the size that was known.
    Outrun,
}

impl SharedLinearMemory {
    /// Reserves address space for all that the memory may ever be.
    ///
    /// # Errors
    /// When the type is not shared or has no maximum, or the host has not enough address space or memory.
    pub fn new(ty: &MemoryType, tunables: &Tunables) -> Result<SharedLinearMemory> {
        ensure!(ty.shared, "a memory of this type is not shared: {ty}; use `Memory::new`");
        let maximum = ty.maximum.context("a shared memory must have a maximum: it is reserved at once")?;
        let reserved = pages_to_bytes(ty, maximum);
        let reserved =
            reserved.with_context(|| format!("a memory of {maximum} pages does not fit the address space"))?;
        let memory = LinearMemory::with_room(ty, reserved, tunables)?;
        Ok(SharedLinearMemory {
            definition: UnsafeCell::new(memory.definition()),
            ty: *ty,
            tunables: *tunables,
            memory: Mutex::new(memory),
            parking: ParkingLot::default(),
        })
    }

    /// Where compiled code finds base and length.
    pub fn definition(&self) -> NonNull<VmMemory> {
        NonNull::from(&self.definition).cast()
    }

    /// Its type as declared; `minimum` is the initial size.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Whether code that relies on these promises may use it.
    pub fn keeps(&self, tunables: &Tunables) -> bool {
        self.tunables == *tunables
    }

    fn len_cell(&self) -> &AtomicU64 {
        // SAFETY: S16, the field is only used as an atomic after the memory was made.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.definition.get()).byte_len) }
    }

    /// Address of byte 0.
    pub fn base(&self) -> *mut u8 {
        // SAFETY: S16, the field never changes.
        unsafe { (*self.definition.get()).base }
    }

    /// Size in bytes; it may be larger a moment later.
    pub fn byte_len(&self) -> usize {
        self.len_cell().load(Ordering::SeqCst) as usize
    }

    /// Size in pages; it may be larger a moment later.
    pub fn pages(&self) -> u64 {
        self.byte_len() as u64 >> self.ty.page_size_log2
    }

    /// The bytes as cells, which any thread may change at any time.
    pub fn cells(&self) -> &[UnsafeCell<u8>] {
        // SAFETY: S5, accessible as long as this memory is; S16, cells claim nothing about their contents.
        unsafe { std::slice::from_raw_parts(self.base().cast(), self.byte_len()) }
    }

    /// Grows from one size in pages to another, within the maximum.
    ///
    /// # Errors
    /// When the host refuses; the memory is then as it was.
    pub fn grow(&self, from_pages: u64, to_pages: u64) -> Result<Growth> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if self.pages() != from_pages {
            return Ok(Growth::Outrun);
        }
        ensure!(to_pages <= self.ty.maximum.unwrap_or(0), "a memory cannot grow past its maximum");
        let new_len = pages_to_bytes(&self.ty, to_pages).context("the size exceeds the address space")?;
        memory.grow(new_len, self.ty.shape(), &self.tunables)?;
        self.len_cell().store(new_len as u64, Ordering::SeqCst);
        Ok(Growth::Done)
    }

    /// Address of a range, if it is inside.
    pub fn place(&self, range: Range<u64>) -> Option<*mut u8> {
        let inside = range.start <= range.end && range.end <= self.byte_len() as u64;
        // SAFETY: S5, inside the memory, which never shrinks.
        inside.then(|| unsafe { self.base().add(range.start as usize) })
    }

    /// Copies bytes out; false when some are outside.
    pub fn read(&self, start: u64, buffer: &mut [u8]) -> bool {
        let place = start.checked_add(buffer.len() as u64).and_then(|end| self.place(start..end));
        // SAFETY: S5, S16: inside the memory; the buffer is not part of it.
        place.map(|place| unsafe { arch::copy_racing(place, buffer.as_mut_ptr(), buffer.len()) }).is_some()
    }

    /// Copies bytes in; false when some would be outside.
    pub fn write(&self, start: u64, buffer: &[u8]) -> bool {
        let place = start.checked_add(buffer.len() as u64).and_then(|end| self.place(start..end));
        // SAFETY: S5, S16: inside the memory; the buffer is not part of it.
        place.map(|place| unsafe { arch::copy_racing(buffer.as_ptr(), place, buffer.len()) }).is_some()
    }

    /// Fills a range; false when some of it is outside.
    pub fn fill(&self, start: u64, byte: u8, len: u64) -> bool {
        let place = start.checked_add(len).and_then(|end| self.place(start..end));
        // SAFETY: S5, S16: inside the memory.
        place.map(|place| unsafe { arch::fill_racing(place, byte, len as usize) }).is_some()
    }

    /// Address of a naturally aligned value of so many bytes.
    fn aligned(&self, address: u64, size: u64) -> Result<*mut u8, TrapCode> {
        if !address.is_multiple_of(size) {
            return Err(TrapCode::HeapMisaligned);
        }
        let end = address.checked_add(size);
        end.and_then(|end| self.place(address..end)).ok_or(TrapCode::MemoryOutOfBounds)
    }

    /// Wakes up to `count` threads that wait at an address.
    ///
    /// # Errors
    /// When the address is not aligned to 4 bytes or outside.
    pub fn notify(&self, address: u64, count: u32) -> Result<u32, TrapCode> {
        self.aligned(address, 4)?;
        Ok(self.parking.notify(address, count))
    }

    /// Waits at an address that holds the expected 32 bits.
    ///
    /// # Errors
    /// When the address is not aligned or outside.
    pub fn wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
        waiter: &Arc<Waiter>,
    ) -> Result<Wake, TrapCode> {
        // SAFETY: S16, an aligned place inside the memory, used as an atomic.
        let cell = unsafe { AtomicU32::from_ptr(self.aligned(address, 4)?.cast()) };
        let matches = || u32::from_le(cell.load(Ordering::SeqCst)) == expected;
        Ok(self.parking.wait(address, timeout, waiter, matches))
    }

    /// Waits at an address that holds the expected 64 bits.
    ///
    /// # Errors
    /// When the address is not aligned or outside.
    pub fn wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
        waiter: &Arc<Waiter>,
    ) -> Result<Wake, TrapCode> {
        // SAFETY: S16, an aligned place inside the memory, used as an atomic.
        let cell = unsafe { AtomicU64::from_ptr(self.aligned(address, 8)?.cast()) };
        let matches = || u64::from_le(cell.load(Ordering::SeqCst)) == expected;
        Ok(self.parking.wait(address, timeout, waiter, matches))
    }
}

/// Bytes that are moved at a time when ranges overlap.
const CHUNK: usize = 4096;

/// Copies between ranges that may overlap and that other threads may change meanwhile.
///
/// # Safety
/// S5: both ranges are accessible.
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    let distance = (to as usize).wrapping_sub(from as usize);
    if distance >= len {
        // SAFETY: S5, by the caller's promise; forwards, nothing is overwritten before it is read.
        return unsafe { arch::copy_racing(from, to, len) };
    }
    let (mut end, mut buffer) = (len, [0; CHUNK]);
    while end > 0 {
        let size = end.min(CHUNK);
        end -= size;
        // SAFETY: S5, by the caller's promise; the buffer is our own and at least as long.
        unsafe {
            arch::copy_racing(from.add(end), buffer.as_mut_ptr(), size);
            arch::copy_racing(buffer.as_ptr(), to.add(end), size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_those_of_memmove() {
        let fresh: Vec<u8> = (0..20_000u32).map(|at| (at * 7 % 251) as u8).collect();
        for len in [0, 1, 7, 8, 9, 4095, 4096, 4097, 9000] {
            for (from, to) in [(0, 10_000), (10_000, 0), (5, 6), (6, 5), (5, 13), (100, 100), (0, 4096), (3000, 2999)] {
                let (mut expected, mut actual) = (fresh.clone(), fresh.clone());
                expected.copy_within(from..from + len, to);
                let base = actual.as_mut_ptr();
                // SAFETY: S5, both ranges are inside the vector.
                unsafe { copy(base.add(from), base.add(to), len) };
                assert!(expected == actual, "{len} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn ranges_are_checked_to_the_last_byte() {
        let memory = SharedLinearMemory::new(&MemoryType::shared(1, 2), &Tunables::default()).unwrap();
        assert!(memory.write(65530, b"abcdef") && !memory.write(65531, b"abcdef"));
        assert!(memory.fill(65535, 7, 1) && !memory.fill(65535, 7, 2) && !memory.fill(u64::MAX, 7, 2));
        let mut bytes = [0; 6];
        assert!(memory.read(65530, &mut bytes) && !memory.read(65531, &mut bytes));
        assert_eq!(&bytes, b"abcde\x07");
        assert!(matches!(memory.grow(0, 2), Ok(Growth::Outrun)));
        assert!(matches!(memory.grow(1, 2), Ok(Growth::Done)) && memory.grow(2, 3).is_err());
        assert!(memory.write(65531, b"abcdef"));
        assert_eq!(memory.notify(131_072, 1), Err(TrapCode::MemoryOutOfBounds));
        assert_eq!(memory.notify(2, 1), Err(TrapCode::HeapMisaligned));
        assert_eq!(memory.notify(131_068, 1), Ok(0));
    }
}
