//! Guest memory that other threads use at the same time: what a call reads is copied out of it first, and what it writes
//! is copied in at its end, so that nobody looks at bytes while they change.

use super::types::Errno;
use hotfoot::SharedMemory;
use std::cell::OnceCell;
use std::ops::Range;

/// The most bytes that are copied at a time. Reads and writes of streams are cut to it, which is always right; what must
/// be whole and is longer fails.
pub(super) const RACING_BYTES_MAX: usize = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct RacingBytes {
    memory: SharedMemory,
    /// Size at the beginning of the call; memories only grow.
    len: usize,
    copies: OnceCell<Box<Copy>>,
    written: Vec<Written>,
}

/// What was copied out, in a list, so that one copy can be looked at while the next is made.
#[derive(Debug)]
struct Copy {
    bytes: Box<[u8]>,
    next: OnceCell<Box<Copy>>,
}

/// What is to be copied in.
#[derive(Debug)]
struct Written {
    start: usize,
    before: Box<[u8]>,
    bytes: Box<[u8]>,
}

impl Written {
    /// Copies in what the call has changed, from the first to the last such byte.
    fn finish(&self, memory: &SharedMemory) {
        let differs = |at: &usize| self.before[*at] != self.bytes[*at];
        let first = (0..self.bytes.len()).find(differs);
        let last = (0..self.bytes.len()).rfind(differs);
        if let (Some(first), Some(last)) = (first, last) {
            // The range was inside at the beginning of the call, and memories only grow.
            let _ = memory.write(self.start + first, &self.bytes[first..=last]);
        }
    }
}

impl RacingBytes {
    pub(super) fn new(memory: SharedMemory) -> RacingBytes {
        RacingBytes { len: memory.data_size(), memory, copies: OnceCell::new(), written: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes as they are now, with what this call has written.
    fn copy(&self, range: Range<usize>) -> Result<Box<[u8]>, Errno> {
        if range.len() > RACING_BYTES_MAX {
            return Err(Errno::Nomem);
        }
        let mut bytes = vec![0; range.len()].into_boxed_slice();
        self.memory.read(range.start, &mut bytes).map_err(|_| Errno::Fault)?;
        for written in &self.written {
            let start = range.start.max(written.start);
            let end = range.end.min(written.start + written.bytes.len());
            if start < end {
                let source = &written.bytes[start - written.start..end - written.start];
                bytes[start - range.start..end - range.start].copy_from_slice(source);
            }
        }
        Ok(bytes)
    }

    /// A copy of a range, which is inside.
    pub(super) fn read(&self, range: Range<usize>) -> Result<&[u8], Errno> {
        let copy = Copy { bytes: self.copy(range)?, next: OnceCell::new() };
        let mut place = &self.copies;
        while let Some(copy) = place.get() {
            place = &copy.next;
        }
        Ok(&place.get_or_init(|| Box::new(copy)).bytes)
    }

    /// A copy of a range, which is inside, to be copied in when the call ends.
    pub(super) fn write(&mut self, range: Range<usize>) -> Result<&mut [u8], Errno> {
        let bytes = self.copy(range.clone())?;
        self.written.push(Written { start: range.start, before: bytes.clone(), bytes });
        match self.written.last_mut() {
            Some(written) => Ok(&mut written.bytes),
            None => Err(Errno::Fault),
        }
    }
}

impl Drop for RacingBytes {
    fn drop(&mut self) {
        self.written.iter().for_each(|written| written.finish(&self.memory));
        // One by one: a long list would otherwise be dropped from the inside, on the stack.
        let mut next = self.copies.take();
        while let Some(copy) = next {
            next = copy.next.into_inner();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p1::GuestMemory;
    use hotfoot::{Config, Engine, MemoryType};

    fn memory() -> SharedMemory {
        let engine = Engine::new(Config::new().wasm_threads(true)).unwrap();
        SharedMemory::new(&engine, MemoryType::shared(64, 64)).unwrap()
    }

    #[test]
    fn a_call_sees_what_it_writes_and_others_see_it_afterwards() {
        let shared = memory();
        shared.write(10, b"hello").unwrap();
        let mut guest = GuestMemory::shared(shared.clone());
        let before = guest.slice(10, 5).unwrap().to_vec();
        guest.write(11, b"u").unwrap();
        guest.slice_mut(12, 2).unwrap()[0] = b'g';
        assert_eq!((&before[..], guest.slice(10, 5).unwrap()), (&b"hello"[..], &b"huglo"[..]));
        let mut bytes = [0; 5];
        shared.read(10, &mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        // What another thread writes meanwhile, next to what the call changes, stays.
        shared.write(13, b"Z").unwrap();
        drop(guest);
        shared.read(10, &mut bytes).unwrap();
        assert_eq!(&bytes, b"hugZo");
    }

    #[test]
    fn copies_are_bounded() {
        let max = RACING_BYTES_MAX as u32;
        let mut guest = GuestMemory::shared(memory());
        assert!(guest.slice(0, max).is_ok() && guest.slice(0, max + 1) == Err(Errno::Nomem));
        assert_eq!(guest.slice_mut(64 << 16, 1), Err(Errno::Fault));
        assert_eq!(guest.slice(u32::MAX, u32::MAX), Err(Errno::Fault));
        // Two buffers of three megabytes together: a transfer takes the first of them, cut.
        guest.write(0, &[[16, 0, 16, 0], [0, 0, 32, 0], [0, 0, 1, 0], [0, 0, 16, 0]].concat()).unwrap();
        let drained = guest.drain_buffers(0, 2, |parts| Ok(parts.iter().map(|part| part.len()).sum::<usize>()));
        assert_eq!(drained, Ok(RACING_BYTES_MAX));
        let filled = guest.fill_buffers(0, 2, |parts| Ok(parts.iter().map(|part| part.len()).sum::<usize>()));
        assert_eq!(filled, Ok(RACING_BYTES_MAX));
    }
}
