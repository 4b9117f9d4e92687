//! Guest memory: the one place where a pointer or a length that a guest gave becomes a slice.
//!
//! Every access is checked against the memory's length first and answers `EFAULT` outside it; numbers are little-endian
//! and need not be aligned. Vectors of buffers are bounded in number, and a call uses the first few that are not empty:
//! a short read or write is always a right answer.

use super::racing::{RACING_BYTES_MAX, RacingBytes};
use super::types::Errno;
use hotfoot::{MemoryView, SharedMemory};
use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;

/// The most elements a vector of buffers may have, as in the kernel.
const IOVS_MAX: u32 = 1024;
/// How many buffers one read fills. They are checked for overlaps pair by pair, so few.
const READ_BUFFERS_MAX: usize = 8;
/// How many buffers one write takes.
const WRITE_BUFFERS_MAX: usize = 16;
/// The longest path a guest may give, as in the kernel.
const PATH_BYTES_MAX: u32 = 4096;

/// The linear memory of a guest during one call.
#[derive(Debug)]
pub struct GuestMemory<'a> {
    bytes: Bytes<'a>,
}

/// Whose memory it is.
#[derive(Debug)]
enum Bytes<'a> {
    /// The guest's alone, and it waits for us.
    View(MemoryView<'a>),
    /// That of other threads, too, which run on.
    Racing(RacingBytes),
}

impl<'a> GuestMemory<'a> {
    /// The whole memory of the calling instance.
    pub fn new(view: impl Into<MemoryView<'a>>) -> GuestMemory<'a> {
        GuestMemory { bytes: Bytes::View(view.into()) }
    }

    /// The memory of the calling instance, which other threads use, too.
    pub fn shared(memory: SharedMemory) -> GuestMemory<'a> {
        GuestMemory { bytes: Bytes::Racing(RacingBytes::new(memory)) }
    }

    fn len(&self) -> usize {
        match &self.bytes {
            Bytes::View(view) => view.data().len(),
            Bytes::Racing(bytes) => bytes.len(),
        }
    }

    /// The bytes of a range that is inside.
    fn inside(&self, range: Range<usize>) -> Result<&[u8], Errno> {
        match &self.bytes {
            Bytes::View(view) => Ok(&view.data()[range]),
            Bytes::Racing(bytes) => bytes.read(range),
        }
    }

    /// The bytes of a range that is inside, to be changed.
    fn inside_mut(&mut self, range: Range<usize>) -> Result<&mut [u8], Errno> {
        match &mut self.bytes {
            Bytes::View(view) => view.range_mut(range).ok_or(Errno::Fault),
            Bytes::Racing(bytes) => bytes.write(range),
        }
    }

    /// As much of a buffer as one transfer may take.
    fn transferable(&self, range: Range<usize>, left: usize) -> Range<usize> {
        match &self.bytes {
            Bytes::View(_) => range,
            Bytes::Racing(_) => range.start..range.end.min(range.start + left),
        }
    }

    fn range(&self, pointer: u32, len: u32) -> Result<Range<usize>, Errno> {
        let start = pointer as usize;
        let end = start.checked_add(len as usize).ok_or(Errno::Fault)?;
        if end > self.len() { Err(Errno::Fault) } else { Ok(start..end) }
    }

    /// `Ok` if the guest may be written to there.
    pub fn check(&self, pointer: u32, len: u32) -> Result<(), Errno> {
        self.range(pointer, len).map(drop)
    }

    /// The bytes at `pointer`.
    pub fn slice(&self, pointer: u32, len: u32) -> Result<&[u8], Errno> {
        self.inside(self.range(pointer, len)?)
    }

    /// The bytes at `pointer`, to be changed, by the kernel too.
    pub fn slice_mut(&mut self, pointer: u32, len: u32) -> Result<&mut [u8], Errno> {
        let range = self.range(pointer, len)?;
        self.inside_mut(range)
    }

    /// `N` bytes at `pointer`, for `uN::from_le_bytes`.
    pub fn read<const N: usize>(&self, pointer: u32) -> Result<[u8; N], Errno> {
        let bytes = self.slice(pointer, N as u32)?;
        bytes.try_into().map_err(|_| Errno::Fault)
    }

    /// The 32-bit number at `pointer`.
    pub fn read_u32(&self, pointer: u32) -> Result<u32, Errno> {
        self.read(pointer).map(u32::from_le_bytes)
    }

    /// Writes bytes at `pointer`.
    pub fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.slice_mut(pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes a 32-bit number at `pointer`.
    pub fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Writes a size, which is 32 bits for a guest; one that does not fit is `EOVERFLOW`.
    pub fn write_size(&mut self, pointer: u32, size: usize) -> Result<(), Errno> {
        self.write_u32(pointer, u32::try_from(size).map_err(|_| Errno::Overflow)?)
    }

    /// Writes a 64-bit number at `pointer`.
    pub fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// The path at `pointer`; `EILSEQ` if it is not UTF-8.
    pub fn path(&self, pointer: u32, len: u32) -> Result<&str, Errno> {
        let bytes = self.slice(pointer, len)?;
        if len > PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)
    }

    /// Hands the buffers of the vector at `iovs` to `transfer`, to be filled. If they overlap only the first is.
    pub fn fill_buffers<R>(
        &mut self,
        iovs: u32,
        count: u32,
        transfer: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        if count == 1 {
            let range = self.transferable(self.buffer(iovs)?, RACING_BYTES_MAX);
            return transfer(&mut [IoSliceMut::new(self.inside_mut(range)?)]);
        }
        let mut ranges: [Range<usize>; READ_BUFFERS_MAX] = Default::default();
        let used = self.buffers(iovs, count, &mut ranges)?;
        if used > 1
            && let Bytes::View(view) = &mut self.bytes
            && let Some(parts) = view.ranges_mut(ranges.clone())
        {
            return transfer(&mut parts.map(IoSliceMut::new)[..used]);
        }
        let [first, ..] = ranges;
        let buffer = self.inside_mut(self.transferable(first, RACING_BYTES_MAX))?;
        transfer(&mut [IoSliceMut::new(buffer)][..used.min(1)])
    }

    /// Hands the buffers of the vector at `iovs` to `transfer`, to be read.
    pub fn drain_buffers<R>(
        &self,
        iovs: u32,
        count: u32,
        transfer: impl FnOnce(&[IoSlice<'_>]) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        if count == 1 {
            let range = self.transferable(self.buffer(iovs)?, RACING_BYTES_MAX);
            return transfer(&[IoSlice::new(self.inside(range)?)]);
        }
        let mut ranges: [Range<usize>; WRITE_BUFFERS_MAX] = Default::default();
        let used = self.buffers(iovs, count, &mut ranges)?;
        let mut parts = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
        let mut left = RACING_BYTES_MAX;
        for (part, range) in parts.iter_mut().zip(ranges).take(used) {
            let range = self.transferable(range, left);
            left -= left.min(range.len());
            *part = IoSlice::new(self.inside(range)?);
        }
        transfer(&parts[..used])
    }

    /// The range of the buffer at `iov`: most vectors have just one.
    fn buffer(&self, iov: u32) -> Result<Range<usize>, Errno> {
        let [p0, p1, p2, p3, l0, l1, l2, l3] = self.read(iov)?;
        self.range(u32::from_le_bytes([p0, p1, p2, p3]), u32::from_le_bytes([l0, l1, l2, l3]))
    }

    /// The ranges of the first buffers that are not empty, and how many there are.
    fn buffers(&self, iovs: u32, count: u32, ranges: &mut [Range<usize>]) -> Result<usize, Errno> {
        if count > IOVS_MAX {
            return Err(Errno::Inval);
        }
        let vector = self.slice(iovs, count * 8)?;
        let mut used = 0;
        for element in vector.chunks_exact(8) {
            let [p0, p1, p2, p3, l0, l1, l2, l3] = *element else { break };
            let range = self.range(u32::from_le_bytes([p0, p1, p2, p3]), u32::from_le_bytes([l0, l1, l2, l3]))?;
            if range.is_empty() {
                continue;
            }
            let Some(slot) = ranges.get_mut(used) else { break };
            *slot = range;
            used += 1;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_iovs(memory: &mut [u8], iovs: &[(u32, u32)]) {
        for (at, (pointer, len)) in iovs.iter().enumerate() {
            memory[at * 8..at * 8 + 4].copy_from_slice(&pointer.to_le_bytes());
            memory[at * 8 + 4..at * 8 + 8].copy_from_slice(&len.to_le_bytes());
        }
    }

    #[test]
    fn what_lies_outside_is_a_fault() {
        let mut bytes = [0; 16];
        let mut memory = GuestMemory::new(&mut bytes[..]);
        for (pointer, len) in [(0, 17), (17, 0), (16, 1), (u32::MAX, u32::MAX), (u32::MAX, 0), (1, u32::MAX)] {
            assert_eq!(memory.slice(pointer, len), Err(Errno::Fault), "{pointer} {len}");
            assert_eq!(memory.slice_mut(pointer, len), Err(Errno::Fault), "{pointer} {len}");
            assert_eq!(memory.path(pointer, len), Err(Errno::Fault), "{pointer} {len}");
        }
        assert_eq!(memory.slice(16, 0), Ok(&[][..]));
        assert_eq!(memory.write_u32(13, 0), Err(Errno::Fault));
        assert_eq!(memory.write_u64(8, u64::MAX), Ok(()));
    }

    #[test]
    fn buffers_are_handed_over_in_their_order() {
        let mut bytes = [0; 64];
        with_iovs(&mut bytes, &[(40, 2), (0, 0), (32, 3)]);
        bytes[32..42].copy_from_slice(b"0123456789");
        let mut memory = GuestMemory::new(&mut bytes[..]);
        let written =
            memory.drain_buffers(0, 3, |parts| Ok(parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>()));
        assert_eq!(written, Ok(vec![b"89".to_vec(), b"012".to_vec()]));
        let filled = memory.fill_buffers(0, 3, |parts| {
            parts[0].copy_from_slice(b"ab");
            parts[1].copy_from_slice(b"cde");
            Ok(parts.len())
        });
        assert_eq!(filled, Ok(2));
        assert_eq!(&bytes[32..42], b"cde34567ab");
    }

    #[test]
    fn overlapping_buffers_give_a_short_read() {
        let mut bytes = [0; 64];
        with_iovs(&mut bytes, &[(32, 8), (36, 8)]);
        let mut memory = GuestMemory::new(&mut bytes[..]);
        assert_eq!(memory.fill_buffers(0, 2, |parts| Ok((parts.len(), parts[0].len()))), Ok((1, 8)));
    }

    #[test]
    fn vectors_are_bounded_and_checked() {
        let mut bytes = [0; 4096 * 4];
        let many: Vec<_> = (0..1024).map(|at| (8192 + at, 1)).collect();
        with_iovs(&mut bytes, &many);
        let mut memory = GuestMemory::new(&mut bytes[..]);
        assert_eq!(memory.drain_buffers(0, 1024, |parts| Ok(parts.len())), Ok(WRITE_BUFFERS_MAX));
        assert_eq!(memory.fill_buffers(0, 1024, |parts| Ok(parts.len())), Ok(READ_BUFFERS_MAX));
        assert_eq!(memory.drain_buffers(0, 1025, |_| Ok(())), Err(Errno::Inval));
        assert_eq!(memory.drain_buffers(0, u32::MAX, |_| Ok(())), Err(Errno::Inval));
        assert_eq!(memory.drain_buffers(4096 * 4 - 8, 2, |_| Ok(())), Err(Errno::Fault));
        assert_eq!(memory.fill_buffers(0, 0, |parts| Ok(parts.len())), Ok(0));
        with_iovs(&mut bytes, &[(0, 1), (4096 * 4, 1)]);
        assert_eq!(GuestMemory::new(&mut bytes[..]).drain_buffers(0, 2, |_| Ok(())), Err(Errno::Fault));
    }
}
