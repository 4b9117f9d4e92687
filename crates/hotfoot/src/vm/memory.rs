//! A linear memory: reserved address space, of which a growing prefix is accessible.
//!
//! See [`hotfoot_abi::tunables`] for the picture. Invariant S5: between `base` and `base + byte_len` everything is
//! mapped readable and writable; from there to the end of reservation and guard nothing is.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use hotfoot_abi::tunables::{MemoryShape, Tunables};
use hotfoot_abi::vmctx::VmMemory;
use hotfoot_artifact::{MAPPED_LEN, MemoryType};

use super::code::FilePlace;
use super::image::MemoryImage;
use super::shared::SharedLinearMemory;
use super::sys::mmap::Mmap;
use super::sys::{page, pagemap};
use super::tracking::{ResetBy, Tracking};
use super::view::MemoryView;
use crate::config::PoolingAllocationConfig;

/// Address space that one linear memory owns.
#[derive(Debug)]
pub struct LinearMemory {
    mmap: Mmap,
    /// Bytes from the start that are the memory; accessible are all pages that they touch.
    byte_len: usize,
    /// Of a pooled memory: its length when it is fresh.
    fresh_len: usize,
    /// Whole pages that began as mappings of the artifact's file.
    mapped: Vec<Range<usize>>,
    /// Bytes that growth can use in place; the guard follows.
    reservation: usize,
    /// Bytes to reserve beyond what it needs when it moves, at least.
    headroom: usize,
    /// Bytes that it may have at most, where a pool says so.
    max_len: usize,
    /// Of a pooled memory that has not moved: what was written since it was fresh.
    tracking: Option<Box<Tracking>>,
}

/// The size in bytes of so many pages of the type, or `None` when that exceeds the address space.
pub fn pages_to_bytes(ty: &MemoryType, pages: u64) -> Option<usize> {
    usize::try_from(pages.checked_mul(ty.page_size())?).ok()
}

/// Bytes of the host's pages that a memory of this length touches.
fn whole_pages(byte_len: usize) -> usize {
    // A length that was accepted fits the address space with its last page.
    page::round_up(byte_len).unwrap_or(byte_len)
}

impl LinearMemory {
    /// Reserves address space for a memory of this type, and so many bytes more if it may move otherwise, and makes its
    /// initial pages accessible.
    ///
    /// # Errors
    /// When the host has not enough address space or memory.
    pub fn new(ty: &MemoryType, headroom: usize, tunables: &Tunables) -> Result<LinearMemory> {
        let byte_len = pages_to_bytes(ty, ty.minimum)
            .with_context(|| format!("a memory of {} pages does not fit the address space", ty.minimum))?;
        let may_move = tunables.base_may_move(ty.shape());
        let mut memory =
            LinearMemory::with_headroom(byte_len, if may_move { headroom } else { 0 }, ty.shape(), tunables)?;
        memory.headroom = headroom;
        Ok(memory)
    }

    /// As [`LinearMemory::with_reservation`], with room to grow further if the host has it.
    fn with_headroom(len: usize, headroom: usize, shape: MemoryShape, tunables: &Tunables) -> Result<LinearMemory> {
        let most = usize::try_from(shape.maximum_bytes()).unwrap_or(usize::MAX);
        let wanted = len.saturating_add(headroom).min(most);
        LinearMemory::with_reservation(len, wanted, tunables)
            .or_else(|_| LinearMemory::with_reservation(len, len, tunables))
    }

    /// As [`LinearMemory::new`], with room for at least so many bytes.
    ///
    /// # Errors
    /// When the host has not enough address space or memory.
    pub fn with_room(ty: &MemoryType, room: usize, tunables: &Tunables) -> Result<LinearMemory> {
        let byte_len = pages_to_bytes(ty, ty.minimum).context("its size exceeds the address space")?;
        LinearMemory::with_reservation(byte_len, room.max(byte_len), tunables)
    }

    fn with_reservation(byte_len: usize, wanted: usize, tunables: &Tunables) -> Result<LinearMemory> {
        let reservation = page::round_up(wanted).map(|wanted| wanted.max(tunables.memory_reservation as usize));
        let total = reservation.and_then(|reservation| reservation.checked_add(tunables.memory_guard_size as usize));
        let (Some(reservation), Some(total)) = (reservation, total) else {
            bail!("a memory of {wanted} bytes with its guard does not fit the address space")
        };
        let mut mmap = Mmap::reserve(total).with_context(|| {
            format!("cannot reserve {total} bytes of address space for a memory; lower `Config::memory_reservation`")
        })?;
        let pages = 0..whole_pages(byte_len);
        mmap.make_writable(pages).with_context(|| format!("cannot get {byte_len} bytes for a memory"))?;
        let (fresh_len, headroom, max_len, mapped) = (0, 0, usize::MAX, Vec::new());
        Ok(LinearMemory { mmap, byte_len, fresh_len, mapped, reservation, headroom, max_len, tracking: None })
    }

    /// Makes the memory `new_len` bytes long; the new bytes are zero. May move it if its type and the settings allow.
    ///
    /// # Errors
    /// When the host refuses; the memory is then as it was.
    pub fn grow(&mut self, new_len: usize, shape: MemoryShape, tunables: &Tunables) -> Result<()> {
        ensure!(new_len >= self.byte_len, "a memory cannot shrink");
        let limit = self.max_len;
        ensure!(
            new_len <= limit,
            "a memory of a pool may have {limit} bytes: raise `PoolingAllocationConfig::max_memory_size`"
        );
        if new_len <= self.reservation {
            self.mmap.make_writable(whole_pages(self.byte_len)..whole_pages(new_len))?;
            self.byte_len = new_len;
            return Ok(());
        }
        ensure!(tunables.base_may_move(shape), "a memory outgrew its reservation and may not move");
        // As much again as it has, so that one which grows step by step is copied rarely.
        let headroom = new_len.max(self.headroom);
        let mut moved = LinearMemory::with_headroom(new_len, headroom, shape, tunables)?;
        (moved.max_len, moved.headroom) = (self.max_len, self.headroom);
        // SAFETY: S5, both ranges are accessible, ours, and distinct; the new one is longer.
        unsafe {
            std::ptr::copy_nonoverlapping(self.mmap.base().as_ptr(), moved.mmap.base().as_ptr(), self.byte_len);
        }
        *self = moved;
        Ok(())
    }

    /// A memory of `len` bytes that are those of an image, copy-on-write, whose writes are tracked.
    ///
    /// # Errors
    /// When the host has not enough address space or refuses a mapping.
    pub fn from_image(
        image: &Arc<MemoryImage>,
        len: usize,
        tunables: &Tunables,
        config: &PoolingAllocationConfig,
    ) -> Result<LinearMemory> {
        let mut memory = LinearMemory::with_reservation(0, len, tunables)?;
        let pages = whole_pages(len);
        image.map(&mut memory.mmap, pages).context("cannot map a memory's image")?;
        memory.byte_len = len;
        memory.fresh_len = len;
        memory.max_len = config.max_memory_size;
        memory.tracking = Some(Box::new(Tracking::new(image.clone(), pages, config)));
        Ok(memory)
    }

    /// Maps those pages of a new memory that part of a file fills, copy-on-write, and returns which these are: none if they
    /// are too few, or lie otherwise in the file.
    ///
    /// # Errors
    /// When the host refuses; the memory must then not be used.
    fn map_initial(&mut self, bytes: Range<usize>, (file, place): FilePlace<'_>) -> Result<Range<usize>> {
        let page = page::size();
        let pages = bytes.start.next_multiple_of(page)..bytes.end / page * page;
        let place = place + (pages.start - bytes.start) as u64;
        let is_long = pages.end.saturating_sub(pages.start) as u64 >= MAPPED_LEN / 2;
        if !is_long || !place.is_multiple_of(page as u64) || self.mapped.len() == MAX_MAPPED_RANGES {
            return Ok(bytes.start..bytes.start);
        }
        self.mmap.map_file_to_write(pages.clone(), file, place).context("cannot map what a memory begins with")?;
        self.mapped.push(pages.clone());
        Ok(pages)
    }

    /// Makes a memory that came from an image equal to it again.
    fn reset(&mut self) -> Result<ResetBy> {
        let tracking = self
            .tracking
            .as_mut()
            .context("the memory outgrew its reservation and moved, so it cannot be reset: make a new instance")?;
        if self.byte_len > self.fresh_len {
            tracking.reset_grown(&mut self.mmap, whole_pages(self.byte_len))?;
            self.byte_len = self.fresh_len;
        }
        Ok(tracking.reset(&mut self.mmap)?)
    }

    /// What compiled code needs to know.
    pub fn definition(&self) -> VmMemory {
        VmMemory { base: self.mmap.base().as_ptr(), byte_len: self.byte_len as u64 }
    }
}

/// Most parts of a file that a memory has mapped; others are copied. Each is a mapping of its own to the kernel, which has a limit
/// per process.
const MAX_MAPPED_RANGES: usize = 64;

/// A memory of a store: its address space, and where compiled code finds its definition.
#[derive(Debug)]
pub struct MemoryData {
    memory: Backing,
    ty: MemoryType,
    definition: NonNull<VmMemory>,
}

/// Whose address space it is.
#[derive(Debug)]
enum Backing {
    Own(LinearMemory),
    /// Other stores use it too: its bytes are only reached through [`MemoryData::shared`].
    Shared(Arc<SharedLinearMemory>),
}

impl MemoryData {
    /// Publishes a memory at `definition`.
    ///
    /// # Safety
    /// S3: `definition` is writable, aligned, and lives as long as the store that will own this.
    pub unsafe fn new(memory: LinearMemory, ty: MemoryType, definition: NonNull<VmMemory>) -> MemoryData {
        // SAFETY: S3, by the caller's promise.
        unsafe { definition.write(memory.definition()) };
        MemoryData { memory: Backing::Own(memory), ty, definition }
    }

    /// A shared memory, which publishes itself.
    pub fn from_shared(memory: Arc<SharedLinearMemory>) -> MemoryData {
        MemoryData { ty: memory.ty(), definition: memory.definition(), memory: Backing::Shared(memory) }
    }

    /// The memory, if it is a shared one.
    pub fn shared(&self) -> Option<&Arc<SharedLinearMemory>> {
        if let Backing::Shared(memory) = &self.memory { Some(memory) } else { None }
    }

    /// The memory, if it is the store's own.
    fn own(&self) -> Option<&LinearMemory> {
        if let Backing::Own(memory) = &self.memory { Some(memory) } else { None }
    }

    fn own_mut(&mut self) -> Result<&mut LinearMemory> {
        if let Backing::Own(memory) = &mut self.memory {
            Ok(memory)
        } else {
            bail!("a shared memory belongs to no store")
        }
    }

    /// Its type as declared; `minimum` is the initial size.
    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Where compiled code finds base and length.
    pub fn definition(&self) -> NonNull<VmMemory> {
        self.definition
    }

    /// Current size in bytes.
    pub fn byte_len(&self) -> usize {
        match &self.memory {
            Backing::Own(memory) => memory.byte_len,
            Backing::Shared(memory) => memory.byte_len(),
        }
    }

    /// Current size in pages.
    pub fn pages(&self) -> u64 {
        self.byte_len() as u64 >> self.ty.page_size_log2
    }

    /// Address of byte 0.
    pub fn base(&self) -> *mut u8 {
        match &self.memory {
            Backing::Own(memory) => memory.mmap.base().as_ptr(),
            Backing::Shared(memory) => memory.base(),
        }
    }

    /// Its bytes; none of a shared memory, which nobody may borrow.
    pub fn bytes(&self) -> &[u8] {
        let len = self.own().map_or(0, |memory| memory.byte_len);
        // SAFETY: S5, accessible; S2, no guest runs while the store is borrowed; S16, not shared.
        unsafe { std::slice::from_raw_parts(self.base(), len) }
    }

    /// Its bytes and what follows up to the end of a page of the host, which is zero; nothing of a shared memory.
    pub fn whole_pages(&self) -> &[u8] {
        let len = whole_pages(self.bytes().len());
        // SAFETY: S5, the pages that the memory touches are accessible; S2, no guest runs while the store is borrowed.
        unsafe { std::slice::from_raw_parts(self.base(), len) }
    }

    /// Whole pages outside of which every byte is zero, ascending: what was written since the memory was mapped, as far
    /// as the kernel tells, its image, and what was mapped from the artifact.
    pub fn written_pages(&self) -> Vec<Range<usize>> {
        let image = self.tracking().map_or(&[][..], |(tracking, _)| tracking.image().runs());
        let base = self.base() as usize;
        let mut pages = image.to_vec();
        pages.extend(self.own().iter().flat_map(|memory| memory.mapped.iter().cloned()));
        let end = whole_pages(self.byte_len());
        let found = pagemap::for_each_private(base..base + end, |range| {
            pages.push(range.start - base..range.end - base);
        });
        if found.is_err() {
            pages = Vec::new();
            pages.push(0..end);
            return pages;
        }
        pages.sort_by_key(|range| range.start);
        pages.dedup_by(|next, range| {
            let joined = next.start <= range.end;
            if joined {
                range.end = range.end.max(next.end);
            }
            joined
        });
        pages
    }

    /// Copies bytes to a place; false when some of it is outside.
    pub fn write(&mut self, start: u64, bytes: &[u8]) -> bool {
        if let Some(memory) = self.shared() {
            return memory.write(start, bytes);
        }
        let end = start.checked_add(bytes.len() as u64);
        let target = end.and_then(|end| self.range_mut(start..end));
        target.map(|target| target.copy_from_slice(bytes)).is_some()
    }

    /// Gives a new memory what it begins with at a place; false when some of it is outside. Maps what it can if the bytes are in
    /// this file.
    ///
    /// # Errors
    /// When the host refuses a mapping; the memory must then not be used.
    pub fn begin_with(&mut self, start: u64, bytes: &[u8], file: Option<FilePlace<'_>>) -> Result<bool> {
        let (Backing::Own(memory), Some(file)) = (&mut self.memory, file) else { return Ok(self.write(start, bytes)) };
        let place = usize::try_from(start).ok().and_then(|start| Some(start..start.checked_add(bytes.len())?));
        let Some(place) = place.filter(|place| place.end <= memory.byte_len) else { return Ok(false) };
        let pages = memory.map_initial(place.clone(), file)?;
        let (before, after) = (pages.start - place.start, pages.end - place.start);
        Ok(self.write(start, &bytes[..before]) && self.write(pages.end as u64, &bytes[after..]))
    }

    /// Fills a place; false when some of it is outside.
    pub fn fill(&mut self, start: u64, byte: u8, len: u64) -> bool {
        if let Some(memory) = self.shared() {
            return memory.fill(start, byte, len);
        }
        let end = start.checked_add(len);
        end.and_then(|end| self.range_mut(start..end)).map(|target| target.fill(byte)).is_some()
    }

    /// Part of its bytes, writable; `None` when some are outside, or others share them. The way to write for whoever
    /// knows where.
    pub fn range_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        let memory = self.own()?;
        if range.start > range.end || range.end > memory.byte_len {
            return None;
        }
        if let Some(tracking) = &memory.tracking {
            tracking.prepare(&memory.mmap, range.clone()).ok()?;
        }
        // SAFETY: S5, S13: accessible and now writable; S2, the store is borrowed exclusively and no guest runs.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base().add(range.start), range.len()) })
    }

    /// Its bytes, for whoever names the ranges to write; a pooled memory stays tracked.
    pub fn view(&mut self) -> MemoryView<'_> {
        let Some(LinearMemory { mmap, byte_len, tracking, .. }) = self.own() else {
            // SAFETY: S16, nothing of a shared memory.
            return unsafe { MemoryView::new(NonNull::dangling(), 0, None) };
        };
        // SAFETY: S5, S13: accessible, and writable once prepared; S2, the store is borrowed exclusively and no guest runs.
        unsafe { MemoryView::new(mmap.base(), *byte_len, tracking.as_deref().map(|tracking| (tracking, mmap))) }
    }

    /// What tracks a pooled memory, and where it is.
    fn tracking(&self) -> Option<(&Tracking, &Mmap)> {
        let memory = self.own()?;
        Some((memory.tracking.as_deref()?, &memory.mmap))
    }

    /// Makes all of it writable; a pooled memory stops being tracked.
    pub fn untrack(&self) {
        if let Some((tracking, mmap)) = self.tracking() {
            tracking.untrack(mmap).expect("the kernel refused to make our own pages writable");
        }
    }

    /// Makes the page of a write fault writable; false if the fault has another cause. Async-signal-safe.
    pub fn claim_write(&self, address: usize) -> bool {
        self.tracking().is_some_and(|(tracking, mmap)| tracking.claim_write(mmap, address))
    }

    /// Makes a memory that came from an image equal to it again.
    ///
    /// # Errors
    /// When it came from none, or the host refuses; then it must not be used again.
    pub fn reset(&mut self) -> Result<ResetBy> {
        let memory = self.own_mut()?;
        let by = memory.reset()?;
        let definition = memory.definition();
        // SAFETY: S3, the definition lives as long as the instance; S2, nobody else writes it.
        unsafe { self.definition.write(definition) };
        Ok(by)
    }

    /// Bytes that stay resident while the memory waits to be used again.
    pub fn resident_len(&self) -> usize {
        self.tracking().map_or(self.byte_len(), |(tracking, _)| tracking.resident_len())
    }

    /// Whether its writes are not tracked.
    pub fn is_untracked(&self) -> bool {
        self.tracking().is_none_or(|(tracking, _)| tracking.is_untracked())
    }

    /// Replaces the memory by an equal one at another place.
    pub fn replace(&mut self, memory: LinearMemory) {
        // SAFETY: S3, the definition lives as long as the instance; S2, nobody else writes it.
        unsafe { self.definition.write(memory.definition()) };
        self.memory = Backing::Own(memory);
    }

    /// Its bytes, writable, and none of a shared memory: a pooled memory stops being tracked.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.untrack();
        let len = self.bytes().len();
        // SAFETY: S5, accessible; S2, the store is borrowed exclusively and no guest runs; S16, not shared.
        unsafe { std::slice::from_raw_parts_mut(self.base(), len) }
    }

    /// Grows to `new_pages`, which the caller has compared with the type's maximum and the store's limits.
    ///
    /// # Errors
    /// When the host refuses; the memory is then as it was.
    pub fn grow(&mut self, new_pages: u64, tunables: &Tunables) -> Result<()> {
        let new_len = pages_to_bytes(&self.ty, new_pages).context("the size exceeds the address space")?;
        let shape = self.ty.shape();
        let memory = self.own_mut()?;
        memory.grow(new_len, shape, tunables)?;
        let definition = memory.definition();
        // SAFETY: S3, the definition lives as long as the store; S2, nobody else writes it.
        unsafe { self.definition.write(definition) };
        Ok(())
    }
}
