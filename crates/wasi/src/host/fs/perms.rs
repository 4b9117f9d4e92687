//! What a preopened directory allows, by intent.
//!
//! A call is checked for what it *wants to do* (create, truncate, rename, …), not for which function it is, so that a
//! read-only directory stays read-only whatever call is used: opening with truncation, linking a file out of it into a
//! writable directory, and setting times through an open file all meet the same question here.
//!
//! Invariant: every operation of [`Dir`](super::Dir) and every modifying operation of [`File`](super::File) begins with
//! [`Perms::require`].

use crate::host::{Errno, Result};

/// What a call wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Intent {
    /// See contents: read a file, list a directory, ask for metadata, read a link.
    Read = 1,
    /// Change the bytes of a file.
    Write = 1 << 1,
    /// Make a new file, directory or symbolic link.
    Create = 1 << 2,
    /// Change the length of a file.
    Truncate = 1 << 3,
    /// Give a file another name: both ends need it, as a link carries a file out of its directory.
    Link = 1 << 4,
    /// Move a name: both ends need it.
    Rename = 1 << 5,
    /// Change access and modification times.
    SetTimes = 1 << 6,
    /// Remove a file or a directory.
    Remove = 1 << 7,
}

/// The set of intents that a preopened directory, and everything opened through it, allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perms(u8);

impl Perms {
    /// Contents may be seen and nothing may change.
    pub const READ_ONLY: Perms = Perms(Intent::Read as u8);
    /// Everything.
    pub const READ_WRITE: Perms = Perms(u8::MAX);

    /// The same set without `intent`.
    pub const fn without(self, intent: Intent) -> Perms {
        Perms(self.0 & !(intent as u8))
    }

    /// The same set with `intent`.
    pub const fn with(self, intent: Intent) -> Perms {
        Perms(self.0 | intent as u8)
    }

    /// Whether the set has `intent`.
    pub const fn allows(self, intent: Intent) -> bool {
        self.0 & intent as u8 != 0
    }

    /// `Ok` if the set has `intent`; otherwise what a read-only mount would answer (`EROFS`), or `EACCES` for reading.
    pub(super) fn require(self, intent: Intent) -> Result<()> {
        match (self.allows(intent), intent) {
            (true, _) => Ok(()),
            (false, Intent::Read) => Err(Errno::ACCESS),
            (false, _) => Err(Errno::ROFS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_allows_nothing_but_reading() {
        assert!(Perms::READ_ONLY.require(Intent::Read).is_ok());
        let others = [
            Intent::Write,
            Intent::Create,
            Intent::Truncate,
            Intent::Link,
            Intent::Rename,
            Intent::SetTimes,
            Intent::Remove,
        ];
        for intent in others {
            assert_eq!(Perms::READ_ONLY.require(intent), Err(Errno::ROFS), "{intent:?}");
            assert!(Perms::READ_WRITE.require(intent).is_ok(), "{intent:?}");
            assert!(Perms::READ_ONLY.with(intent).allows(intent));
            assert!(!Perms::READ_WRITE.without(intent).allows(intent));
        }
    }
}
