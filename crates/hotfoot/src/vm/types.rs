//! The displays of an engine's types, where compiled code reads them: see [`hotfoot_abi::types`].

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hotfoot_abi::types::{MAX_TYPE_DEPTH, MAX_TYPE_NUMBER};

use super::sys::mmap::Mmap;

/// Bytes that are made accessible at once.
const STEP: usize = 64 << 10;

/// One array of numbers that never moves: address space for all of it, memory for what is used.
///
/// Invariant S18: every word below `accessible` can be read, and behind the display of each type lie at least as many
/// such words as a display can have; a word that is not 0 never changes.
#[derive(Debug)]
pub struct TypeDisplays {
    map: Mmap,
    accessible: AtomicUsize,
}

impl TypeDisplays {
    /// An empty array.
    pub fn new() -> io::Result<TypeDisplays> {
        let len = (MAX_TYPE_NUMBER + MAX_TYPE_DEPTH + 1) as usize * size_of::<u32>();
        Ok(TypeDisplays { map: Mmap::reserve(len.next_multiple_of(STEP))?, accessible: AtomicUsize::new(0) })
    }

    /// Address of the first word.
    pub fn base(&self) -> *const u32 {
        self.map.base().as_ptr().cast()
    }

    /// Writes the display of the type with this number; to be called for one type after the other.
    ///
    /// # Panics
    /// When the display does not fit the array, which the caller compares with [`MAX_TYPE_NUMBER`].
    pub fn write(&self, number: u32, display: &[u32]) -> io::Result<()> {
        assert!(number < MAX_TYPE_NUMBER && display.len() <= MAX_TYPE_DEPTH as usize + 1, "no place for a display");
        let end = (number as usize + display.len() + MAX_TYPE_DEPTH as usize) * size_of::<u32>();
        let accessible = self.accessible.load(Ordering::Relaxed);
        if end > accessible {
            let more = end.next_multiple_of(STEP);
            self.map.unprotect(accessible..more)?;
            self.accessible.store(more, Ordering::Relaxed);
        }
        for (at, supertype) in (number as usize..).zip(display) {
            // SAFETY: S18, accessible since just now at the latest. Code may read it meanwhile, so it is written as a whole.
            unsafe { AtomicU32::from_ptr(self.map.base().cast::<u32>().as_ptr().add(at)) }
                .store(*supertype, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(displays: &TypeDisplays, at: u32) -> u32 {
        // SAFETY: S18, in or just behind a display that was written.
        unsafe { *displays.base().add(at as usize) }
    }

    #[test]
    fn displays_are_followed_by_words_that_can_be_read() {
        let displays = TypeDisplays::new().unwrap();
        for number in [1, 2, 40_000, MAX_TYPE_NUMBER - 1] {
            displays.write(number, &[number]).unwrap();
            assert_eq!(word(&displays, number), number);
            assert_eq!(word(&displays, number + MAX_TYPE_DEPTH), 0);
        }
    }
}
