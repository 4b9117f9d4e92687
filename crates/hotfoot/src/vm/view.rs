//! A memory's bytes for a host function that can say which of them it will write.
//!
//! A `&mut [u8]` of a whole memory could be written anywhere, so a pooled memory would have to stop tracking its writes.
//! A view hands out a range at a time instead, and makes that range writable first: a system call may then write into
//! it, and the next instance on the same place still starts fresh.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use super::sys::mmap::Mmap;
use super::tracking::Tracking;

/// The bytes of a memory, all to be read and any range of them to be written; see
/// [`Memory::view_and_store_mut`](crate::Memory::view_and_store_mut).
///
/// ```
/// let mut bytes = *b"hello";
/// let mut view = hotfoot::MemoryView::from(&mut bytes[..]);
/// view.range_mut(0..1).unwrap()[0] = b'j';
/// assert_eq!(view.data(), b"jello");
/// assert!(view.range_mut(4..6).is_none());
/// ```
pub struct MemoryView<'a> {
    base: NonNull<u8>,
    len: usize,
    /// Of a pooled memory: what has to know of a write before it happens.
    tracked: Option<(&'a Tracking, &'a Mmap)>,
    borrow: PhantomData<&'a mut [u8]>,
}

// SAFETY: S2, a view is an exclusive borrow of bytes; what tracks them is atomic.
unsafe impl Send for MemoryView<'_> {}
// SAFETY: S2, a shared view only reads.
unsafe impl Sync for MemoryView<'_> {}

impl fmt::Debug for MemoryView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryView").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<'a> From<&'a mut [u8]> for MemoryView<'a> {
    fn from(bytes: &'a mut [u8]) -> MemoryView<'a> {
        MemoryView { len: bytes.len(), base: NonNull::from(bytes).cast(), tracked: None, borrow: PhantomData }
    }
}

impl<'a> MemoryView<'a> {
    /// A view of `len` bytes at `base`.
    ///
    /// # Safety
    /// S5, S13: the bytes are accessible during `'a`, and writable once `tracked`, if there is one, has prepared them.
    /// S2: they are borrowed exclusively.
    pub(super) unsafe fn new(base: NonNull<u8>, len: usize, tracked: Option<(&'a Tracking, &'a Mmap)>) -> Self {
        MemoryView { base, len, tracked, borrow: PhantomData }
    }

    /// All bytes.
    pub fn data(&self) -> &[u8] {
        // SAFETY: S5, accessible; S2, shared as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// Some bytes, writable; `None` when some are outside. System calls may write into them.
    pub fn range_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        let [part] = self.ranges_mut([range])?;
        Some(part)
    }

    /// The bytes of several ranges, writable; `None` when some are outside or two ranges overlap. Empty ranges overlap
    /// with nothing.
    pub fn ranges_mut<const N: usize>(&mut self, ranges: [Range<usize>; N]) -> Option<[&mut [u8]; N]> {
        for (at, range) in ranges.iter().enumerate() {
            if range.start > range.end || range.end > self.len {
                return None;
            }
            let overlaps = |other: &Range<usize>| range.start.max(other.start) < range.end.min(other.end);
            if ranges[..at].iter().any(overlaps) {
                return None;
            }
        }
        if let Some((tracking, mapping)) = self.tracked {
            for range in &ranges {
                tracking.prepare(mapping, range.clone()).ok()?;
            }
        }
        // SAFETY: S5, S13: inside, and writable now; S2: exclusive as long as `self` is, and distinct, as checked.
        Some(
            ranges.map(|range| unsafe {
                std::slice::from_raw_parts_mut(self.base.as_ptr().add(range.start), range.len())
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inside_and_do_not_overlap() {
        let mut bytes = [0u8; 16];
        let mut view = MemoryView::from(&mut bytes[..]);
        assert!(view.range_mut(0..16).is_some_and(|all| all.len() == 16));
        assert!(view.ranges_mut([4..8, 0..4, 8..16, 5..5]).is_some());
        for overlap in [[0..4, 3..5], [3..5, 0..4], [0..16, 7..8], [7..8, 7..8]] {
            assert!(view.ranges_mut(overlap.clone()).is_none(), "{overlap:?}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "what a careless caller may pass")]
        let outside = [16..17, 0..17, 17..17, usize::MAX..usize::MAX, 5..4];
        for range in outside {
            assert!(view.range_mut(range.clone()).is_none(), "{range:?}");
        }
        assert!(view.range_mut(16..16).is_some());
    }
}
