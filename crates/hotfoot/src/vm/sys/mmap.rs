//! Address space from the operating system: reserved first, made accessible in steps, returned on drop.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::page;

/// A range of address space that belongs to this value alone.
///
/// Invariant: `[base, base + len)` was mapped by us, nobody else unmaps it, and `len` is a multiple of the page size.
#[derive(Debug)]
pub struct Mmap {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: S5, the range belongs to this value alone; accesses go through methods that borrow it.
unsafe impl Send for Mmap {}
// SAFETY: S5, as above: shared access through `&Mmap` only reads.
unsafe impl Sync for Mmap {}

impl Mmap {
    /// Reserves address space that nothing can access yet. `len` is rounded up to pages; 0 reserves nothing.
    pub fn reserve(len: usize) -> io::Result<Mmap> {
        let len = page::round_up(len).ok_or(io::ErrorKind::OutOfMemory)?;
        if len == 0 {
            return Ok(Mmap { base: NonNull::dangling(), len });
        }
        // SAFETY: S11, an anonymous mapping at an address that the kernel chooses overlaps nothing of ours.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        Ok(Mmap { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Maps a stack of at least so many bytes, with a page below it that nothing can access.
    pub fn stack(len: usize) -> io::Result<Mmap> {
        let guard = page::size();
        let len = len.checked_add(guard).and_then(page::round_up).ok_or(io::ErrorKind::OutOfMemory)?;
        // Of a stack little is used, so the kernel is to give it small pages.
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: S11, an anonymous mapping at an address that the kernel chooses overlaps nothing of ours.
        let base = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::empty(), flags)? };
        let mut stack = Mmap { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len };
        stack.make_writable(guard..len)?;
        Ok(stack)
    }

    /// Maps a whole file, read-only and private; and how many bytes it has.
    pub fn file(file: &File) -> io::Result<(Mmap, usize)> {
        let size = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let len = page::round_up(size).ok_or(io::ErrorKind::OutOfMemory)?;
        if len == 0 {
            return Ok((Mmap::reserve(0)?, 0));
        }
        // SAFETY: S11, a private mapping at an address that the kernel chooses overlaps nothing of ours.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        Ok((Mmap { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len }, size))
    }

    /// Maps the first page of a file as if it were code, for profilers, which are told of such mappings.
    pub fn marker(file: &File) -> io::Result<Mmap> {
        let len = page::size();
        let access = ProtFlags::READ | ProtFlags::EXEC;
        // SAFETY: S11, a private mapping at an address that the kernel chooses overlaps nothing of ours.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::PRIVATE, file, 0)? };
        Ok(Mmap { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Address of the first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Makes whole pages readable and writable; new ones are zero.
    pub fn make_writable(&mut self, range: Range<usize>) -> io::Result<()> {
        self.protect(range, MprotectFlags::READ | MprotectFlags::WRITE)
    }

    /// Makes whole pages writable that are readable, through a shared borrow: nothing that was readable changes.
    /// Async-signal-safe.
    pub fn unprotect(&self, range: Range<usize>) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a protection change outside of the mapping");
        // SAFETY: S11, the range lies inside this mapping (asserted above).
        unsafe {
            let start = self.base.as_ptr().add(range.start).cast();
            rustix::mm::mprotect(start, range.len(), MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(())
    }

    /// Makes whole pages readable and no longer writable.
    pub fn make_readable(&mut self, range: Range<usize>) -> io::Result<()> {
        self.protect(range, MprotectFlags::READ)
    }

    /// Makes whole pages inaccessible; made accessible again, they hold what they held.
    pub fn make_inaccessible(&mut self, range: Range<usize>) -> io::Result<()> {
        self.protect(range, MprotectFlags::empty())
    }

    /// Makes whole pages inaccessible and gives their memory back; made accessible again, they are zero.
    pub fn decommit(&mut self, range: Range<usize>) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a change outside of the mapping");
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: S11, the range lies inside this mapping (asserted above), which the new one replaces.
        unsafe {
            rustix::mm::mmap_anonymous(
                self.base.as_ptr().add(range.start).cast(),
                range.len(),
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED,
            )?;
        }
        Ok(())
    }

    /// Gives the memory of whole pages back: anonymous ones become zero, those of a file what the file has.
    pub fn discard(&mut self, range: Range<usize>) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a change outside of the mapping");
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: S11, the range lies inside this mapping (asserted above).
        unsafe {
            let start = self.base.as_ptr().add(range.start).cast();
            rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed)?;
        }
        Ok(())
    }

    /// Puts a private, read-only mapping of a file's bytes in place of whole pages.
    pub fn map_file(&mut self, range: Range<usize>, file: &File, offset: u64) -> io::Result<()> {
        self.map_private(range, file, offset, ProtFlags::READ)
    }

    /// Puts a private mapping of a file's bytes that can be written, which changes no file, in place of whole pages.
    pub fn map_file_to_write(&mut self, range: Range<usize>, file: &File, offset: u64) -> io::Result<()> {
        self.map_private(range, file, offset, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn map_private(&mut self, range: Range<usize>, file: &File, offset: u64, access: ProtFlags) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a change outside of the mapping");
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: S11, the range lies inside this mapping (asserted above), which the new one replaces.
        unsafe {
            let start = self.base.as_ptr().add(range.start).cast();
            let flags = MapFlags::PRIVATE | MapFlags::FIXED;
            rustix::mm::mmap(start, range.len(), access, flags, file, offset)?;
        }
        Ok(())
    }

    /// Puts a shared mapping of a file in place of whole pages: what is written to the file can be executed there. Beyond the
    /// end of the file, nothing can be accessed.
    pub fn map_code(&mut self, range: Range<usize>, file: &File) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a change outside of the mapping");
        // SAFETY: S11, the range lies inside this mapping (asserted above), which the new one replaces.
        unsafe {
            let start = self.base.as_ptr().add(range.start).cast();
            let flags = MapFlags::SHARED | MapFlags::FIXED;
            rustix::mm::mmap(start, range.len(), ProtFlags::READ | ProtFlags::EXEC, flags, file, 0)?;
        }
        Ok(())
    }

    /// Maps a file so that writing to the mapping writes to the file. Beyond the end of the file, nothing can be accessed.
    pub fn shared_file(file: &File, len: usize) -> io::Result<Mmap> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: S11, a mapping at an address that the kernel chooses overlaps nothing of ours.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0)? };
        Ok(Mmap { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Makes whole pages readable and executable. Code that this process wrote there must be synchronised afterwards;
    /// the pages of a file are by the kernel.
    pub fn make_executable(&mut self, range: Range<usize>) -> io::Result<()> {
        self.protect(range, MprotectFlags::READ | MprotectFlags::EXEC)
    }

    fn protect(&mut self, range: Range<usize>, flags: MprotectFlags) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "a protection change outside of the mapping");
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: S11, the range lies inside this mapping (asserted above).
        unsafe { rustix::mm::mprotect(self.base.as_ptr().add(range.start).cast(), range.len(), flags)? };
        Ok(())
    }
}

impl Drop for Mmap {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: S11, exactly the range that `reserve` or `file` mapped, and nobody can use it after this.
            let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok(), "the kernel refused to unmap our own range: {unmapped:?}");
        }
    }
}
