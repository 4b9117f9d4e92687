//! An open file: reads and writes go between the kernel and the slices given, with no copy in between.
//!
//! The access mode (read, write, append) is the descriptor's own and the kernel's to enforce; what the kernel would
//! allow on any descriptor (setting times) is checked against the permissions that the file was opened under.

use super::metadata::{FileKind, Metadata, Times};
use super::perms::{Intent, Perms};
use crate::host::poll::retry as retry_on_intr;
use crate::host::poll::{Patience, WRITABLE_BYTES, patiently};
use crate::host::{Errno, Result, transfer};
use rustix::event::PollFlags;
use rustix::fs::{FallocateFlags, OFlags, SeekFrom};
use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use rustix::fs::Advice;

/// `O_DSYNC` on every architecture of this crate. The constant of rustix has all bits of `O_SYNC`, so cannot tell them apart.
pub(super) const DSYNC: OFlags = OFlags::from_bits_retain(0o10000);

/// The status flags of an open file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusFlags {
    /// Writes go to the end.
    pub append: bool,
    /// Operations do not wait.
    pub nonblock: bool,
    /// Each write reaches the device with the metadata needed to read it.
    pub dsync: bool,
    /// Each write reaches the device with all metadata.
    pub sync: bool,
}

/// An open file that is not a directory.
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
    perms: Perms,
    kind: FileKind,
    /// Whether the guest wants operations not to wait; means nothing to a regular file.
    nonblock: bool,
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl File {
    /// Takes over a descriptor that was opened as non-blocking, so that opening did not wait for the other end of a pipe.
    pub(super) fn new(fd: OwnedFd, perms: Perms, kind: FileKind, nonblock: bool) -> Result<File> {
        let file = File { fd, perms, kind, nonblock };
        if file.may_wait() && !nonblock {
            let flags = rustix::fs::fcntl_getfl(&file.fd)?;
            rustix::fs::fcntl_setfl(&file.fd, flags - OFlags::NONBLOCK)?;
        }
        Ok(file)
    }

    /// What it is.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Whether reading or writing can depend on someone else.
    fn may_wait(&self) -> bool {
        self.kind != FileKind::Regular
    }

    /// Reads at the file's offset and advances it; 0 is the end of the file.
    pub fn read(&self, buffers: &mut [IoSliceMut<'_>], patience: Patience) -> Result<usize> {
        let fd = self.as_fd();
        match self.limited(patience) {
            true => patiently(fd, PollFlags::IN, patience, || transfer::read(fd, buffers)),
            false => retry_on_intr(|| transfer::read(fd, buffers)),
        }
    }

    /// Writes at the file's offset and advances it.
    pub fn write(&self, buffers: &[IoSlice<'_>], patience: Patience) -> Result<usize> {
        if let (true, [first, ..]) = (self.limited(patience), buffers) {
            let piece = &first[..first.len().min(WRITABLE_BYTES)];
            return patiently(self.as_fd(), PollFlags::OUT, patience, || rustix::io::write(&self.fd, piece));
        }
        retry_on_intr(|| transfer::write(self.as_fd(), buffers))
    }

    /// Whether there is a limit to keep to that the kernel does not keep by itself.
    fn limited(&self, patience: Patience) -> bool {
        patience != Patience::Forever && self.may_wait() && !self.nonblock
    }

    /// Reads at `offset`, leaving the file's own offset.
    pub fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize> {
        signed(offset)?;
        retry_on_intr(|| rustix::io::preadv(&self.fd, buffers, offset))
    }

    /// Writes at `offset`, leaving the file's own offset. With append the kernel writes at the end all the same.
    pub fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize> {
        signed(offset)?;
        retry_on_intr(|| rustix::io::pwritev(&self.fd, buffers, offset))
    }

    /// Moves the file's offset and says where it is now.
    pub fn seek(&self, to: SeekFrom) -> Result<u64> {
        rustix::fs::seek(&self.fd, to)
    }

    /// Writes everything out to the device.
    pub fn sync(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(&self.fd))
    }

    /// Writes the contents out to the device, and of the metadata only what reading them back needs.
    pub fn sync_data(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fdatasync(&self.fd))
    }

    /// Says how a range will be used; `len` 0 is up to the end.
    pub fn advise(&self, offset: u64, len: u64, advice: Advice) -> Result<()> {
        signed(offset)?;
        signed(len)?;
        rustix::fs::fadvise(&self.fd, offset, NonZeroU64::new(len), advice)
    }

    /// Makes sure that a range has space on the device, growing the file if it ends earlier.
    pub fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.perms.require(Intent::Write)?;
        signed(offset)?;
        signed(len)?;
        retry_on_intr(|| rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), offset, len))
    }

    /// Cuts the file or grows it with zeros.
    pub fn set_size(&self, size_bytes: u64) -> Result<()> {
        self.perms.require(Intent::Truncate)?;
        signed(size_bytes)?;
        retry_on_intr(|| rustix::fs::ftruncate(&self.fd, size_bytes))
    }

    /// Sets access and modification times.
    pub fn set_times(&self, times: Times) -> Result<()> {
        self.perms.require(Intent::SetTimes)?;
        rustix::fs::futimens(&self.fd, &times.timestamps())
    }

    /// What is known of the file.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(rustix::fs::fstat(&self.fd)?.into())
    }

    /// The status flags.
    pub fn flags(&self) -> Result<StatusFlags> {
        let flags = rustix::fs::fcntl_getfl(&self.fd)?;
        Ok(StatusFlags {
            append: flags.contains(OFlags::APPEND),
            nonblock: self.nonblock,
            dsync: flags.contains(DSYNC),
            sync: flags.contains(OFlags::SYNC),
        })
    }

    /// Changes the status flags that can change after opening (append and non-blocking).
    pub fn set_flags(&mut self, append: bool, nonblock: bool) -> Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(&self.fd)?;
        flags.set(OFlags::APPEND, append);
        flags.set(OFlags::NONBLOCK, nonblock);
        rustix::fs::fcntl_setfl(&self.fd, flags)?;
        self.nonblock = nonblock;
        Ok(())
    }
}

/// The kernel's offsets are signed: what does not fit is refused here, before any cast.
fn signed(value: u64) -> Result<()> {
    i64::try_from(value).map(drop).map_err(|_| Errno::INVAL)
}
