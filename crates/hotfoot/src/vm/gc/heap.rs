//! The address space of a store's objects: reserved once, made accessible in steps, used half by half.
//!
//! ```text
//!  0           NULL_GUARD                        NULL_GUARD + space_max
//!  │ no access │ space 0: granted … │ no access  │ space 1: granted … │ no access, with a guard behind │
//! ```
//!
//! Objects are allocated in one space, the active one, from its start; a collection copies those in use to the start of
//! the other, which is active from then on. Bytes are never cleared: whoever allocates writes all fields.

use std::ops::Range;

use anyhow::{Context, Result};
use hotfoot_abi::gc::NULL_GUARD;
use hotfoot_abi::tunables::WASM_PAGE_SIZE;

use crate::vm::sys::mmap::Mmap;

/// Spaces grow by multiples of this, in bytes.
pub const GRAIN: u64 = WASM_PAGE_SIZE;

/// Address space behind the reservation: offsets of fields are smaller, so a field of no object lies beyond it.
const GUARD: u64 = 1 << 20;

/// Bytes of each space that stay accessible while a store is idle.
const KEEP: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct Heap {
    mmap: Mmap,
    /// Most bytes that one space can have.
    space_max: u64,
    /// Bytes of each space that are accessible.
    accessible: u64,
    /// Bytes of each space that limits allow to be used, at most those accessible.
    granted: u64,
    /// Which space is active.
    active: u64,
}

impl Heap {
    /// Reserves address space, none of it accessible.
    ///
    /// # Errors
    /// When the host has not enough of it.
    pub fn reserve(reservation: u64) -> Result<Heap> {
        let mmap = Mmap::reserve((reservation + GUARD) as usize).with_context(|| {
            format!(
                "cannot reserve {reservation} bytes of address space for garbage-collected objects; lower \
                 `Config::gc_heap_reservation`"
            )
        })?;
        let space_max = (reservation - u64::from(NULL_GUARD)) / 2 / GRAIN * GRAIN;
        Ok(Heap { mmap, space_max, accessible: 0, granted: 0, active: 0 })
    }

    /// Address of offset 0.
    pub fn base(&self) -> *mut u8 {
        self.mmap.base().as_ptr()
    }

    /// Most bytes that one space can have.
    pub fn space_max(&self) -> u64 {
        self.space_max
    }

    /// Bytes of one space that may be used.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Bytes of the host's that the objects may take, in use or not.
    pub fn capacity(&self) -> u64 {
        2 * self.granted
    }

    /// Offsets of the active space that may be used.
    pub fn active(&self) -> Range<u64> {
        let start = self.start(self.active);
        start..start + self.granted
    }

    /// Offset at which the space that is not active begins.
    pub fn other_start(&self) -> u64 {
        self.start(1 - self.active)
    }

    /// Makes the other space the active one.
    pub fn flip(&mut self) {
        self.active = 1 - self.active;
    }

    fn start(&self, space: u64) -> u64 {
        u64::from(NULL_GUARD) + space * self.space_max
    }

    /// Lets `len` bytes of each space be used, a multiple of [`GRAIN`] and at most [`Heap::space_max`].
    ///
    /// # Errors
    /// When the host refuses; the heap is then as it was.
    pub fn grant(&mut self, len: u64) -> Result<()> {
        if len > self.accessible {
            for space in 0..2 {
                let start = self.start(space);
                self.mmap.make_writable((start + self.accessible) as usize..(start + len) as usize)?;
            }
            self.accessible = len;
        }
        self.granted = len;
        Ok(())
    }

    /// Makes the heap what it was when it had just been reserved; some of its memory stays, to be used again.
    ///
    /// # Errors
    /// When the host has too many mappings to take memory back; the heap must then not be used again.
    pub fn empty(&mut self) -> Result<()> {
        self.granted = 0;
        self.active = 0;
        if self.accessible <= KEEP {
            return Ok(());
        }
        for space in 0..2 {
            let start = self.start(space);
            let excess = (start + KEEP) as usize..(start + self.accessible) as usize;
            self.mmap.decommit(excess)?;
        }
        self.accessible = KEEP;
        Ok(())
    }

    /// Bytes of an object.
    ///
    /// # Panics
    /// When they are not in a space: no reference of the store's leads there.
    pub fn bytes(&self, at: u32, len: u32) -> &[u8] {
        self.check(at, len);
        // SAFETY: S17, accessible; S2, nobody writes while the store is borrowed.
        unsafe { std::slice::from_raw_parts(self.base().add(at as usize), len as usize) }
    }

    /// Bytes of an object, writable.
    ///
    /// # Panics
    /// As [`Heap::bytes`].
    pub fn bytes_mut(&mut self, at: u32, len: u32) -> &mut [u8] {
        self.check(at, len);
        // SAFETY: S17, accessible; S2, the store is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base().add(at as usize), len as usize) }
    }

    /// Copies bytes of objects to objects; the ranges may overlap.
    ///
    /// # Panics
    /// As [`Heap::bytes`].
    pub fn copy_within(&mut self, source: u32, target: u32, len: u32) {
        self.check(source, len);
        self.check(target, len);
        // SAFETY: S17, both accessible; S2, the store is borrowed exclusively.
        unsafe { std::ptr::copy(self.base().add(source as usize), self.base().add(target as usize), len as usize) };
    }

    fn check(&self, at: u32, len: u32) {
        let (start, end) = (u64::from(at), u64::from(at) + u64::from(len));
        let inside = |space| self.start(space) <= start && end <= self.start(space) + self.accessible;
        assert!(inside(0) || inside(1), "{len} bytes at {at} are not in the heap; this is a bug in hotfoot");
    }

    /// The `u32` at an offset in the heap.
    pub fn word(&self, at: u32) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(self.bytes(at, 4));
        u32::from_le_bytes(word)
    }

    /// Sets the `u32` at an offset in the heap.
    pub fn set_word(&mut self, at: u32, word: u32) {
        self.bytes_mut(at, 4).copy_from_slice(&word.to_le_bytes());
    }
}
