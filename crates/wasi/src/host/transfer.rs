//! Moving bytes: one buffer by the plain system call, which is quicker, several by the vectored one.

use super::Result;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

/// Reads into `buffers` in their order.
pub fn read(fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> Result<usize> {
    match buffers {
        [one] => rustix::io::read(fd, &mut **one),
        many => rustix::io::readv(fd, many),
    }
}

/// Writes `buffers` in their order.
pub fn write(fd: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> Result<usize> {
    match buffers {
        [one] => rustix::io::write(fd, one),
        many => rustix::io::writev(fd, many),
    }
}
