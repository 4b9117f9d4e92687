//! A directory of the sandbox and the operations that take a path.
//!
//! Each operation is the same three steps: ask the permissions for the intent, resolve the path through the sandbox,
//! make one `*at` call that does not follow the last component. What is opened inherits permissions and walk.

use super::entries::Entries;
use super::file::{DSYNC, File};
use super::metadata::{FileKind, Metadata, Times};
use super::perms::{Intent, Perms};
use super::resolve::{self, Place, Walk};
use crate::host::{Errno, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// An open directory that confines the paths given to it. Clones share the descriptor.
#[derive(Clone, Debug)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    perms: Perms,
    walk: Walk,
}

/// What opening a path gave.
#[derive(Debug)]
pub enum Node {
    /// Anything that is not a directory.
    File(File),
    /// A directory.
    Dir(Dir),
}

/// How to open a path.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Open for reading (the default if `write` is not set either).
    pub read: bool,
    /// Open for writing.
    pub write: bool,
    /// Make a file if there is none.
    pub create: bool,
    /// With `create`: fail if there is something already.
    pub exclusive: bool,
    /// Cut an existing file to nothing.
    pub truncate: bool,
    /// Fail unless it is a directory.
    pub directory: bool,
    /// Follow a symbolic link in the last component.
    pub follow: bool,
    /// Write at the end, always.
    pub append: bool,
    /// Do not wait for data.
    pub nonblock: bool,
    /// Each write reaches the device with the metadata needed to read it.
    pub dsync: bool,
    /// Each write reaches the device with all metadata.
    pub sync: bool,
}

impl OpenOptions {
    fn flags(&self) -> OFlags {
        let mut flags = match (self.read, self.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        flags.set(OFlags::CREATE, self.create);
        flags.set(OFlags::EXCL, self.exclusive);
        flags.set(OFlags::TRUNC, self.truncate);
        flags.set(OFlags::DIRECTORY, self.directory);
        flags.set(OFlags::NOFOLLOW, !self.follow);
        flags.set(OFlags::APPEND, self.append);
        // Always, so that opening a pipe does not wait for its other end; `File` takes it away again.
        flags |= OFlags::NONBLOCK;
        // O_SYNC has the bit of O_DSYNC: set it last, and never clear it after.
        flags.set(DSYNC, self.dsync);
        if self.sync {
            flags |= OFlags::SYNC;
        }
        flags
    }

    fn require(&self, perms: Perms) -> Result<()> {
        if self.read || !self.write {
            perms.require(Intent::Read)?;
        }
        if self.write {
            perms.require(Intent::Write)?;
        }
        if self.create {
            perms.require(Intent::Create)?;
        }
        if self.truncate {
            perms.require(Intent::Truncate)?;
        }
        Ok(())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.fd).as_fd()
    }
}

impl Dir {
    /// Opens a directory of the host by any path, with the host's own authority: how a preopen begins.
    pub fn open_ambient(path: &Path, perms: Perms, walk: Walk) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
        Ok(Dir { fd: Arc::new(fd), perms, walk })
    }

    /// Opens `path`.
    pub fn open_at(&self, path: &str, options: &OpenOptions) -> Result<Node> {
        options.require(self.perms)?;
        if options.directory && options.create {
            return Err(Errno::INVAL);
        }
        let mode = Mode::from_raw_mode(0o666);
        let fd = resolve::open(self.as_fd(), path.as_bytes(), options.flags(), mode, self.walk)?;
        let kind = match options.directory {
            true => FileKind::Directory,
            false => FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode).into(),
        };
        Ok(match kind {
            FileKind::Directory => Node::Dir(Dir { fd: Arc::new(fd), perms: self.perms, walk: self.walk }),
            kind => Node::File(File::new(fd, self.perms, kind, options.nonblock)?),
        })
    }

    /// Makes a directory.
    pub fn create_directory(&self, path: &str) -> Result<()> {
        let place = self.place(path, Intent::Create)?;
        rustix::fs::mkdirat(&place, place.name, Mode::from_raw_mode(0o777))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &str) -> Result<()> {
        let place = self.place(path, Intent::Remove)?;
        rustix::fs::unlinkat(&place, place.name, AtFlags::REMOVEDIR)
    }

    /// Removes a name that is not a directory's.
    pub fn unlink_file(&self, path: &str) -> Result<()> {
        let place = self.place(path, Intent::Remove)?;
        rustix::fs::unlinkat(&place, place.name, AtFlags::empty())
    }

    /// Moves the name `from` to the name `to` in the directory `target`.
    pub fn rename(&self, from: &str, target: &Dir, to: &str) -> Result<()> {
        let from = self.place(from, Intent::Rename)?;
        let to = target.place(to, Intent::Rename)?;
        rustix::fs::renameat(&from, from.name, &to, to.name)
    }

    /// Gives the file `from` another name `to` in the directory `target`. A symbolic link is itself linked, not what it
    /// points to.
    pub fn link(&self, from: &str, target: &Dir, to: &str) -> Result<()> {
        let old = self.place(from, Intent::Link)?;
        if old.wants_directory() {
            // Only a directory may carry the slash, and directories have one name; the kernel would follow a link here.
            self.open_path(from, OFlags::DIRECTORY)?;
            return Err(Errno::PERM);
        }
        let new = target.place(to, Intent::Link)?;
        rustix::fs::linkat(&old, old.name, &new, new.name, AtFlags::empty())
    }

    /// Makes the symbolic link `path` with the text `target`, which must be relative.
    pub fn symlink(&self, target: &str, path: &str) -> Result<()> {
        if target.starts_with('/') {
            return Err(Errno::PERM);
        }
        let place = self.place(path, Intent::Create)?;
        rustix::fs::symlinkat(target, &place, place.name)
    }

    /// The text of the symbolic link `path`.
    pub fn read_link(&self, path: &str) -> Result<Vec<u8>> {
        let place = self.place(path, Intent::Read)?;
        if place.wants_directory() {
            self.open_path(path, OFlags::DIRECTORY)?;
            return Err(Errno::INVAL);
        }
        Ok(rustix::fs::readlinkat(&place, place.name, Vec::new())?.into_bytes())
    }

    /// What is known of the file `path`.
    pub fn metadata_at(&self, path: &str, follow: bool) -> Result<Metadata> {
        self.perms.require(Intent::Read)?;
        if resolve::is_plain(path.as_bytes()) {
            // The common case in one call: one component, not followed. Only a link to follow needs more.
            let stat = rustix::fs::statat(self.as_fd(), path, AtFlags::SYMLINK_NOFOLLOW)?;
            if !follow || FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                return Ok(stat.into());
            }
        }
        let opened = self.open_path(path, nofollow_unless(follow))?;
        Ok(rustix::fs::fstat(opened)?.into())
    }

    /// Sets the times of the file `path`.
    pub fn set_times_at(&self, path: &str, follow: bool, times: Times) -> Result<()> {
        self.perms.require(Intent::SetTimes)?;
        let opened = self.open_path(path, nofollow_unless(follow))?;
        match rustix::fs::utimensat(&opened, "", &times.timestamps(), AtFlags::EMPTY_PATH) {
            // Before Linux 5.8 the times of an O_PATH descriptor are reached by its name in /proc only.
            Err(Errno::INVAL) => {
                let name = format!("/proc/self/fd/{}", opened.as_raw_fd());
                rustix::fs::utimensat(CWD, name, &times.timestamps(), AtFlags::empty())
            }
            done => done,
        }
    }

    /// What is known of this directory.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(rustix::fs::fstat(self)?.into())
    }

    /// Sets the times of this directory.
    pub fn set_times(&self, times: Times) -> Result<()> {
        self.perms.require(Intent::SetTimes)?;
        rustix::fs::futimens(self, &times.timestamps())
    }

    /// Writes this directory out to the device.
    pub fn sync(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(self))
    }

    /// Begins an iteration over the names in this directory.
    pub fn entries(&self) -> Result<Entries> {
        self.perms.require(Intent::Read)?;
        Entries::new(self.as_fd())
    }

    fn place<'a>(&'a self, path: &'a str, intent: Intent) -> Result<Place<'a>> {
        self.perms.require(intent)?;
        resolve::parent(self.as_fd(), path.as_bytes(), self.walk)
    }

    /// A descriptor that only stands for the file: for asking about it, whatever its own permissions are.
    fn open_path(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        resolve::open(self.as_fd(), path.as_bytes(), OFlags::PATH | flags, Mode::empty(), self.walk)
    }
}

fn nofollow_unless(follow: bool) -> OFlags {
    if follow { OFlags::empty() } else { OFlags::NOFOLLOW }
}
