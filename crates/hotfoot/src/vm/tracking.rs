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
//! What an instance grew its memory by is not tracked. At reset the kernel is asked which of these pages were written; they
//! are filled with zeroes and become inaccessible, but stay resident for the next instance, which most likely grows, too.
//!
//! Everything that the signal handler touches is atomic and allocated in advance (S9, S13).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::costs;
use super::image::MemoryImage;
use super::sys::mmap::Mmap;
use super::sys::{page, pagemap};
use crate::config::{Enabled, PoolingAllocationConfig};

/// Most hot pages of a memory; one more and it is untracked.
const MAX_HOT_PAGES: usize = 4096;
/// Most separate ranges of hot pages: each is a mapping of its own to the kernel, which has a limit per process.
const MAX_HOT_RANGES: usize = 256;
/// Every so many resets, hot pages that the last instance did not change become cold again.
const DECAY_PERIOD: u32 = 512;

/// So many resets of an untracked memory are done without asking the kernel once that has turned out to cost more.
const SCAN_PAUSE: u32 = 64;

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
    /// How to restore the first `planned` hot pages: neighbours in one go.
    plan: Vec<Range<usize>>,
    planned: usize,
    resets: u32,
    /// How many pages may stay resident after a reset.
    keep_pages: usize,
    /// Whether to ask the kernel about untracked memory, and after how many resets again.
    scan: bool,
    scan_pause: u32,
    /// Up to where pages behind the fresh length may be resident, and how many are.
    grown_end: usize,
    grown_pages: usize,
    grown_resets: u32,
}

/// How a memory was made equal to its image.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResetBy {
    /// The hot pages were copied.
    Copying,
    /// The kernel was asked which pages were private, and these were copied.
    Scanning,
    /// Everything was given back to the kernel.
    Discarding,
}

impl Tracking {
    /// Tracks a memory that is `len` bytes long, equal to the image, and read-only.
    pub fn new(image: Arc<MemoryImage>, len: usize, config: &PoolingAllocationConfig) -> Tracking {
        let pages = len / page::size();
        Tracking {
            image,
            len,
            hot: (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            list: (0..pages.min(MAX_HOT_PAGES)).map(|_| AtomicU32::new(0)).collect(),
            hot_pages: AtomicUsize::new(0),
            hot_ranges: AtomicUsize::new(0),
            untracked: AtomicBool::new(false),
            plan: Vec::new(),
            planned: 0,
            resets: 0,
            keep_pages: config.linear_memory_keep_resident / page::size(),
            scan: match config.pagemap_scan {
                Enabled::No => false,
                Enabled::Auto | Enabled::Yes => pagemap::is_supported(),
            },
            scan_pause: 0,
            grown_end: len,
            grown_pages: 0,
            grown_resets: 0,
        }
    }

    /// What the memory starts with.
    pub fn image(&self) -> &MemoryImage {
        &self.image
    }

    /// Whether writes are not tracked.
    pub fn is_untracked(&self) -> bool {
        self.untracked.load(Ordering::Relaxed)
    }

    /// Bytes that stay resident between uses: those of hot pages and of grown ones; of an untracked memory, at most this.
    pub fn resident_len(&self) -> usize {
        let pages = if self.is_untracked() { self.keep_pages } else { self.hot_pages.load(Ordering::Relaxed) };
        (pages * page::size()).min(self.len) + self.grown_pages * page::size()
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
    pub fn reset(&mut self, mapping: &mut Mmap) -> std::io::Result<ResetBy> {
        if *self.untracked.get_mut() {
            return self.reset_untracked(mapping);
        }
        let count = *self.hot_pages.get_mut();
        if count > self.keep_pages {
            self.cool_all(mapping)?;
            return Ok(ResetBy::Discarding);
        }
        self.resets = self.resets.wrapping_add(1);
        if self.resets.is_multiple_of(DECAY_PERIOD) {
            self.decay(mapping)?;
            return Ok(ResetBy::Copying);
        }
        if count != self.planned {
            self.make_plan(count);
        }
        for range in &self.plan {
            self.restore(mapping, range.clone());
        }
        Ok(ResetBy::Copying)
    }

    /// Makes what the memory grew by, up to `end`, inaccessible and zero.
    ///
    /// # Errors
    /// As [`Tracking::reset`].
    pub fn reset_grown(&mut self, mapping: &mut Mmap, end: usize) -> std::io::Result<()> {
        self.grown_end = self.grown_end.max(end);
        // Like hot pages, those that are not needed any more are given back now and then.
        self.grown_resets = self.grown_resets.wrapping_add(1);
        let is_due = self.grown_resets.is_multiple_of(DECAY_PERIOD);
        let room = self.keep_pages.saturating_sub(*self.hot_pages.get_mut());
        let cleared = if self.scan && !is_due { self.clear_private(mapping, end, room) } else { None };
        if let Some(pages) = cleared {
            self.grown_pages = pages;
            return mapping.make_inaccessible(self.len..end);
        }
        mapping.decommit(self.len..self.grown_end)?;
        (self.grown_end, self.grown_pages) = (self.len, 0);
        Ok(())
    }

    /// Fills the private pages between the fresh length and `end` with zeroes, and counts those up to where there may be
    /// some; `None` if the kernel does not tell, or there are more than `room`.
    fn clear_private(&self, mapping: &Mmap, end: usize, room: usize) -> Option<usize> {
        let base = mapping.base().as_ptr() as usize;
        let (mut dirty, mut pages) = (Vec::new(), 0);
        let scanned = pagemap::for_each_private(base + self.len..base + self.grown_end, |range| {
            pages += range.len() / page::size();
            dirty.push(range.start - base..range.end.min(base + end) - base);
        });
        if scanned.is_err() || pages > room {
            return None;
        }
        // What lies behind `end` was cleared before.
        for range in dirty.into_iter().filter(|range| range.start < range.end) {
            // SAFETY: S5, pages of our own mapping, writable up to `end`; whoever resets the memory holds `&mut` of it.
            unsafe { mapping.base().as_ptr().add(range.start).write_bytes(0, range.len()) };
        }
        Some(pages)
    }

    /// Sorts the hot pages and joins neighbours: one long copy is faster than many of a page.
    fn make_plan(&mut self, count: usize) {
        let size = page::size();
        let mut pages: Vec<u32> = self.list[..count].iter_mut().map(|page| *page.get_mut()).collect();
        pages.sort_unstable();
        self.plan.clear();
        for start in pages.into_iter().map(|page| page as usize * size) {
            match self.plan.last_mut() {
                Some(range) if range.end == start => range.end += size,
                _ => self.plan.push(start..start + size),
            }
        }
        self.planned = count;
    }

    /// Copies writable pages back from the image.
    fn restore(&self, mapping: &Mmap, mut range: Range<usize>) {
        while !range.is_empty() {
            let (end, bytes) = self.image.part(range.clone());
            // SAFETY: S5, S13: hot (or, if untracked, any) pages of our own mapping are writable, and `&mut` of the
            // memory is held by whoever resets it.
            let target =
                unsafe { std::slice::from_raw_parts_mut(mapping.base().as_ptr().add(range.start), end - range.start) };
            match bytes {
                Some(bytes) => target.copy_from_slice(bytes),
                None => target.fill(0),
            }
            range.start = end;
        }
    }

    /// Whether a page has the image's bytes.
    fn is_fresh(&self, mapping: &Mmap, start: usize) -> bool {
        // SAFETY: S5, the page is readable and nobody writes it now.
        let bytes = unsafe { std::slice::from_raw_parts(mapping.base().as_ptr().add(start), page::size()) };
        match self.image.part(start..start + page::size()) {
            (_, Some(expected)) => bytes == expected,
            (_, None) => bytes.iter().all(|byte| *byte == 0),
        }
    }

    fn cool_all(&mut self, mapping: &mut Mmap) -> std::io::Result<()> {
        mapping.discard(0..self.len)?;
        mapping.make_readable(0..self.len)?;
        self.hot.iter_mut().for_each(|word| *word.get_mut() = 0);
        *self.hot_pages.get_mut() = 0;
        *self.hot_ranges.get_mut() = 0;
        self.make_plan(0);
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
                self.restore(mapping, start..start + size);
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
        self.make_plan(kept);
        Ok(())
    }

    /// Copies back what the kernel says is private, where that costs less than giving everything back, which it does not
    /// where much is mapped and little was written.
    fn reset_untracked(&mut self, mapping: &mut Mmap) -> std::io::Result<ResetBy> {
        if self.scan && self.scan_pause == 0 {
            let start = Instant::now();
            if let Some(pages) = self.restore_private(mapping) {
                let elapsed_ns = start.elapsed().as_nanos() as u64;
                if elapsed_ns > costs::refault_ns() * pages.max(1) as u64 {
                    self.scan_pause = SCAN_PAUSE;
                }
                return Ok(ResetBy::Scanning);
            }
        }
        self.scan_pause = self.scan_pause.saturating_sub(1);
        mapping.discard(0..self.len)?;
        Ok(ResetBy::Discarding)
    }

    /// Restores the pages that are private to this process, and says how many; `None` if nothing was done, because the
    /// kernel does not tell or they are too many.
    fn restore_private(&self, mapping: &Mmap) -> Option<usize> {
        let base = mapping.base().as_ptr() as usize;
        let (mut dirty, mut pages) = (Vec::new(), 0);
        let scanned = pagemap::for_each_private(base..base + self.len, |range| {
            pages += range.len() / page::size();
            dirty.push(range.start - base..range.end - base);
        });
        if scanned.is_err() || pages > self.keep_pages {
            return None;
        }
        dirty.into_iter().for_each(|range| self.restore(mapping, range));
        Some(pages)
    }
}
