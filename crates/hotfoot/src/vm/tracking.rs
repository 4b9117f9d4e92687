//! Knowing which pages of a memory an instance wrote, without asking the kernel.
//!
//! The pages of a tracked memory are read-only until they are written for the first time. That write faults, the page
//! becomes *hot*: writable, and noted. Hot pages stay hot when the next instance gets the memory; at reset they are
//! copied back from the image, and nothing else needs to be. So after a few instances of the same program there are no
//! faults and no system calls: reset is copying a handful of pages.
//!
//! Where that does not work (the host took a `&mut [u8]` of all of it, or too many pages are written), the memory becomes
//! *untracked* for good: writable throughout, and reset asks the kernel which pages are private, or, if the kernel cannot
//! tell, gives them all back.
//!
//! Everything that the signal handler touches is atomic and allocated in advance (S9, S13).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::image::MemoryImage;
use super::sys::mmap::Mmap;
use super::sys::{page, pagemap};

/// Most hot pages of a memory; one more and it is untracked.
const MAX_HOT_PAGES: usize = 4096;
/// Most separate ranges of hot pages: each is a mapping of its own to the kernel, which has a limit per process.
const MAX_HOT_RANGES: usize = 256;
/// Every so many resets, hot pages that the last instance did not change become cold again.
const DECAY_PERIOD: u32 = 512;

/// See the module's documentation.
#[derive(Debug)]
pub struct Tracking {
    image: Arc<MemoryImage>,
    /// Bytes that the memory has when it is fresh.
    len: usize,
    /// One bit a page.
    hot: Box<[AtomicU64]>,
    /// The hot pages in the order in which they became hot.
    list: Box<[AtomicU32]>,
    hot_pages: AtomicUsize,
    hot_ranges: AtomicUsize,
    untracked: AtomicBool,
    resets: u32,
    /// How many pages may stay resident after a reset.
    keep_pages: usize,
}

impl Tracking {
    /// Tracks a memory that is `len` bytes long, equal to the image, and read-only.
    pub fn new(image: Arc<MemoryImage>, len: usize, keep_bytes: usize) -> Tracking {
        let pages = len / page::size();
        Tracking {
            image,
            len,
            hot: (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            list: (0..pages.min(MAX_HOT_PAGES)).map(|_| AtomicU32::new(0)).collect(),
            hot_pages: AtomicUsize::new(0),
            hot_ranges: AtomicUsize::new(0),
            untracked: AtomicBool::new(false),
            resets: 0,
            keep_pages: keep_bytes / page::size(),
        }
    }

    /// Bytes that the memory has when it is fresh.
    pub fn fresh_len(&self) -> usize {
        self.len
    }

    fn is_hot(&self, page: usize) -> bool {
        self.hot.get(page / 64).is_none_or(|word| word.load(Ordering::Relaxed) & (1 << (page % 64)) != 0)
    }

    /// Notes that a page is about to become writable; false when our limits are reached.
    fn mark(&self, page: usize) -> bool {
        let at = self.hot_pages.load(Ordering::Relaxed);
        let alone =
            !(page > 0 && self.is_hot(page - 1)) && (page + 1 >= self.len / page::size() || !self.is_hot(page + 1));
        let ranges = self.hot_ranges.load(Ordering::Relaxed) + usize::from(alone);
        if at >= self.list.len() || ranges > MAX_HOT_RANGES {
            return false;
        }
        self.hot_ranges.store(ranges, Ordering::Relaxed);
        self.list[at].store(page as u32, Ordering::Relaxed);
        self.hot[page / 64].fetch_or(1 << (page % 64), Ordering::Relaxed);
        self.hot_pages.store(at + 1, Ordering::Relaxed);
        true
    }

    /// Makes the page of a write fault writable; false if the fault has another cause. Async-signal-safe.
    pub fn claim_write(&self, mapping: &Mmap, address: usize) -> bool {
        let base = mapping.base().as_ptr() as usize;
        let Some(offset) = address.checked_sub(base).filter(|offset| *offset < self.len) else { return false };
        let page = offset / page::size();
        if self.untracked.load(Ordering::Relaxed) || self.is_hot(page) {
            return false;
        }
        self.make_writable(mapping, page).is_ok()
    }

    /// Makes a cold page hot. Where limits, ours or the kernel's, do not allow another hot page, everything becomes
    /// writable: one mapping instead of many.
    fn make_writable(&self, mapping: &Mmap, page: usize) -> std::io::Result<()> {
        let start = page * page::size();
        if self.mark(page) && mapping.unprotect(start..start + page::size()).is_ok() {
            return Ok(());
        }
        self.untracked.store(true, Ordering::Relaxed);
        mapping.unprotect(0..self.len)
    }

    /// Makes a range writable before the host writes it.
    pub fn prepare(&self, mapping: &Mmap, range: Range<usize>) -> std::io::Result<()> {
        if self.untracked.load(Ordering::Relaxed) || range.start >= self.len || range.is_empty() {
            return Ok(());
        }
        let pages = range.start / page::size()..range.end.min(self.len).div_ceil(page::size());
        for page in pages {
            if self.is_hot(page) {
                continue;
            }
            self.make_writable(mapping, page)?;
            if self.untracked.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    /// Makes everything writable, and stops knowing what was written.
    pub fn untrack(&self, mapping: &Mmap) -> std::io::Result<()> {
        if !self.untracked.swap(true, Ordering::Relaxed) {
            mapping.unprotect(0..self.len)?;
        }
        Ok(())
    }

    /// Makes the memory equal to the image again.
    ///
    /// # Errors
    /// When the kernel refuses what is needed; the memory must then not be used again.
    pub fn reset(&mut self, mapping: &mut Mmap) -> std::io::Result<()> {
        if *self.untracked.get_mut() {
            return self.reset_untracked(mapping);
        }
        let count = *self.hot_pages.get_mut();
        if count > self.keep_pages {
            return self.cool_all(mapping);
        }
        self.resets = self.resets.wrapping_add(1);
        if self.resets.is_multiple_of(DECAY_PERIOD) {
            return self.decay(mapping);
        }
        for at in 0..count {
            let start = self.list[at].load(Ordering::Relaxed) as usize * page::size();
            self.restore(mapping, start);
        }
        Ok(())
    }

    /// Copies one writable page back from the image.
    fn restore(&self, mapping: &Mmap, start: usize) {
        // SAFETY: S5, S13: a hot (or, if untracked, any) page of our own mapping is writable, and `&mut` of the memory
        // is held by whoever resets it.
        let target = unsafe { std::slice::from_raw_parts_mut(mapping.base().as_ptr().add(start), page::size()) };
        match self.image.page(start) {
            Some(bytes) => target.copy_from_slice(bytes),
            None => target.fill(0),
        }
    }

    /// Whether a page has the image's bytes.
    fn is_fresh(&self, mapping: &Mmap, start: usize) -> bool {
        // SAFETY: S5, the page is readable and nobody writes it now.
        let bytes = unsafe { std::slice::from_raw_parts(mapping.base().as_ptr().add(start), page::size()) };
        match self.image.page(start) {
            Some(expected) => bytes == expected,
            None => bytes.iter().all(|byte| *byte == 0),
        }
    }

    fn cool_all(&mut self, mapping: &mut Mmap) -> std::io::Result<()> {
        mapping.discard(0..self.len)?;
        mapping.make_readable(0..self.len)?;
        self.hot.iter_mut().for_each(|word| *word.get_mut() = 0);
        *self.hot_pages.get_mut() = 0;
        *self.hot_ranges.get_mut() = 0;
        Ok(())
    }

    /// Restores hot pages, and makes those cold that did not need it.
    fn decay(&mut self, mapping: &mut Mmap) -> std::io::Result<()> {
        let (count, size) = (*self.hot_pages.get_mut(), page::size());
        let mut kept = 0;
        for at in 0..count {
            let page = *self.list[at].get_mut();
            let start = page as usize * size;
            if self.is_fresh(mapping, start) {
                mapping.make_readable(start..start + size)?;
                *self.hot[page as usize / 64].get_mut() &= !(1 << (page % 64));
            } else {
                self.restore(mapping, start);
                *self.list[kept].get_mut() = page;
                kept += 1;
            }
        }
        *self.hot_pages.get_mut() = kept;
        let starts = |page: &AtomicU32| {
            let page = page.load(Ordering::Relaxed) as usize;
            page == 0 || !self.is_hot(page - 1)
        };
        let ranges = self.list[..kept].iter().filter(|page| starts(page)).count();
        *self.hot_ranges.get_mut() = ranges;
        Ok(())
    }

    fn reset_untracked(&mut self, mapping: &mut Mmap) -> std::io::Result<()> {
        let base = mapping.base().as_ptr() as usize;
        let mut pages = 0;
        if pagemap::is_supported() {
            let mut dirty = Vec::new();
            let scanned = pagemap::for_each_private(base..base + self.len, |range| {
                pages += range.len() / page::size();
                dirty.push(range);
            });
            if scanned.is_ok() && pages <= self.keep_pages {
                for start in dirty.into_iter().flat_map(|range| range.step_by(page::size())) {
                    self.restore(mapping, start - base);
                }
                return Ok(());
            }
        }
        mapping.discard(0..self.len)
    }
}
