//! The collector: copies what is in use from one space to the other, breadth first (Cheney's algorithm).
//!
//! ```text
//!  old space   an object that was copied has, in place of its header, MOVED | new offset / 8
//!  new space   │ copied, its references followed │ copied, its references lead to the old space │ free
//!              start                             scan                                           next
//! ```
//!
//! There is no stack and no recursion: the objects between `scan` and `next` are the queue, so a list of any length
//! costs no more than its bytes. Time is that of what is in use; garbage costs nothing. Cycles need no care: what nothing
//! in use refers to is not copied.

use hotfoot_abi::gc::{ARRAY_ELEMENTS, ARRAY_LENGTH, Kind, OBJECT_ALIGN, Storage, TYPE_MASK, array_size};

use super::heap::Heap;
use super::shape::{Shape, Shapes};

/// The header's bit that says: this object was copied, and the rest says where to.
const MOVED: u32 = 1 << 31;

/// Makes the shape of a type that was not seen before.
pub type Describe<'a> = &'a dyn Fn(&mut Shapes, u32) -> Shape;

/// One collection.
pub struct Collector<'a> {
    heap: &'a mut Heap,
    shapes: &'a mut Shapes,
    describe: Describe<'a>,
    /// Old space up to the last object.
    old: std::ops::Range<u64>,
    next: u64,
    scan: u64,
}

impl<'a> Collector<'a> {
    /// Begins a collection of a heap in which `next` is the next free offset.
    pub fn new(heap: &'a mut Heap, next: u64, shapes: &'a mut Shapes, describe: Describe<'a>) -> Collector<'a> {
        let start = heap.other_start();
        let old = heap.active().start..next;
        Collector { heap, shapes, describe, old, next: start, scan: start }
    }

    /// Visits a root: the object that it refers to stays, and the root refers to its new place afterwards.
    ///
    /// # Safety
    /// S17: null, an i31, or a reference to an object of this heap that no earlier visit of this root changed.
    #[inline]
    pub unsafe fn visit(&mut self, root: &mut u32) {
        if *root != 0 && *root & 1 == 0 {
            // SAFETY: S17, by the caller's promise.
            *root = unsafe { self.copy(*root) };
        }
    }

    /// Where an object is now, if it is known to be in use. Complete after [`Collector::finish_copying`].
    pub fn forwarded(&self, object: u32) -> Option<u32> {
        let header = self.heap.word(object);
        (header & MOVED != 0).then_some(header << 3)
    }

    /// Copies all that is reachable from what was copied.
    ///
    /// # Safety
    /// S17: the objects of the heap are well formed.
    pub unsafe fn finish_copying(&mut self) {
        while self.scan < self.next {
            let object = self.scan as u32;
            // SAFETY: S17, an object that was copied lies at `scan`.
            self.scan += unsafe { self.follow(object) };
        }
    }

    /// Makes the new space the active one; the result is its next free offset. With `poison`, what the old space held
    /// is overwritten, so that using a reference that no root knew of is noticed.
    pub fn finish(self, poison: bool) -> u64 {
        if poison {
            let len = self.old.end - self.old.start;
            self.heap.bytes_mut(self.old.start as u32, len as u32).fill(0xff);
        }
        self.heap.flip();
        self.next
    }

    /// # Safety
    /// S17: the offset is inside of what is granted, and aligned.
    #[inline]
    unsafe fn word(&self, at: u32) -> *mut u32 {
        // SAFETY: S17, by the caller's promise.
        unsafe { self.heap.base().add(at as usize).cast() }
    }

    fn shape(&mut self, header: u32) -> Shape {
        let id = header & TYPE_MASK;
        match self.shapes.get(id) {
            Some(shape) => shape,
            None => (self.describe)(self.shapes, id),
        }
    }

    /// Copies an object, unless that was done, and returns its new place.
    ///
    /// # Safety
    /// S17: a reference to an object of the old space.
    #[inline]
    unsafe fn copy(&mut self, object: u32) -> u32 {
        debug_assert!(self.old.contains(&u64::from(object)), "{object} is outside of {:?}", self.old);
        // SAFETY: S17, by the caller's promise.
        let header = unsafe { *self.word(object) };
        if header & MOVED != 0 {
            return header << 3;
        }
        // SAFETY: S17, by the caller's promise; the new space is as large as the old one, and each object is copied once.
        unsafe {
            let size = self.size(object, header);
            let copied = self.next as u32;
            let (from, to) = (self.word(object).cast::<u64>(), self.word(copied).cast::<u64>());
            for index in 0..size as usize / 8 {
                *to.add(index) = *from.add(index);
            }
            self.next += size;
            *self.word(object) = MOVED | copied >> 3;
            copied
        }
    }

    /// # Safety
    /// S17: as [`Collector::copy`]; the header is the object's.
    #[inline]
    unsafe fn size(&mut self, object: u32, header: u32) -> u64 {
        if Kind::of(header) == Kind::Extern {
            return OBJECT_ALIGN.into();
        }
        match self.shape(header) {
            Shape::Fixed { size, .. } => size.into(),
            // SAFETY: S17, an array has a length.
            Shape::Array(element) => array_size(element, unsafe { *self.word(object + ARRAY_LENGTH) }),
        }
    }

    /// Copies what a copied object refers to, and returns its size.
    ///
    /// # Safety
    /// S17: an object of the new space whose references lead to the old one.
    #[inline]
    unsafe fn follow(&mut self, object: u32) -> u64 {
        // SAFETY: S17, by the caller's promise.
        let header = unsafe { *self.word(object) };
        if Kind::of(header) == Kind::Extern {
            return OBJECT_ALIGN.into();
        }
        match self.shape(header) {
            Shape::Fixed { size, references: (first, last), .. } => {
                for index in first..last {
                    let offset = self.shapes.reference(index);
                    // SAFETY: S17, a reference field of the object.
                    unsafe { self.visit(&mut *self.word(object + offset)) };
                }
                size.into()
            }
            Shape::Array(element) => {
                // SAFETY: S17, an array has a length.
                let len = unsafe { *self.word(object + ARRAY_LENGTH) };
                if element == Storage::Ref {
                    for index in 0..len {
                        // SAFETY: S17, an element of the array.
                        unsafe { self.visit(&mut *self.word(object + ARRAY_ELEMENTS + 4 * index)) };
                    }
                }
                array_size(element, len)
            }
        }
    }
}
