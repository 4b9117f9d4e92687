//! An iteration over a directory that can be resumed at a cookie.
//!
//! A cookie is the kernel's own position (`d_off`), so it stays right while names are added and removed around it, which
//! an index would not: a guest that deletes what it lists would skip names. Cookie 0 starts again and sees what is new.

use super::metadata::FileKind;
use crate::host::{Errno, Result};
use std::os::fd::BorrowedFd;

/// One name in a directory.
#[derive(Debug)]
pub struct DirEntry {
    /// Where the iteration goes on after this entry.
    pub next: u64,
    /// The file's number. For `..` it is the directory's own: what is above a preopen is not the guest's to see.
    pub ino: u64,
    /// The file's kind.
    pub kind: FileKind,
    /// The name.
    pub name: String,
}

/// The state of an iteration: the kernel's buffer and one entry looked at but not yet taken.
#[derive(Debug)]
pub struct Entries {
    dir: rustix::fs::Dir,
    own_ino: u64,
    /// The cookie after the last entry taken.
    at: u64,
    peeked: Option<DirEntry>,
}

impl Entries {
    pub(super) fn new(dir: BorrowedFd<'_>) -> Result<Entries> {
        let own_ino = rustix::fs::fstat(dir)?.st_ino;
        Ok(Entries { dir: rustix::fs::Dir::read_from(dir)?, own_ino, at: 0, peeked: None })
    }

    /// Goes to `cookie`: 0, or the `next` of an entry. Nothing is read again if the iteration is already there.
    pub fn seek(&mut self, cookie: u64) -> Result<()> {
        if cookie != 0 && cookie == self.at {
            return Ok(());
        }
        let offset = i64::try_from(cookie).map_err(|_| Errno::INVAL)?;
        self.peeked = None;
        self.dir.seek(offset)?;
        self.at = cookie;
        Ok(())
    }

    /// The next entry, which stays next until [`Entries::take`]; `None` at the end.
    ///
    /// Names that are not UTF-8 are left out: a guest could not say them back.
    pub fn peek(&mut self) -> Result<Option<&DirEntry>> {
        while self.peeked.is_none() {
            let Some(entry) = self.dir.read() else { return Ok(None) };
            let entry = entry?;
            let next = entry.offset() as u64;
            let Ok(name) = entry.file_name().to_str() else {
                self.at = next;
                continue;
            };
            let ino = if name == ".." { self.own_ino } else { entry.ino() };
            let name = name.to_owned();
            self.peeked = Some(DirEntry { next, ino, kind: entry.file_type().into(), name });
        }
        Ok(self.peeked.as_ref())
    }

    /// Takes the entry that was looked at.
    pub fn take(&mut self) {
        if let Some(entry) = self.peeked.take() {
            self.at = entry.next;
        }
    }
}
