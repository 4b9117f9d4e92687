//! From a guest's path to a descriptor, never leaving the directory where the path starts.
//!
//! Two ways give the same answers:
//! * the kernel's: `openat2` with `RESOLVE_BENEATH` (refuses absolute paths, `..` above the start and symbolic links
//!   that do either) and `RESOLVE_NO_MAGICLINKS` (refuses the links of `/proc` that jump anywhere);
//! * ours, where the kernel has no `openat2` or a seccomp filter hides it: one component at a time with `O_NOFOLLOW`,
//!   reading links as text and keeping a descriptor for each directory entered, so that `..` pops that stack and never
//!   asks the file system where "up" is. No link is ever followed by the kernel, hence none of `/proc` either.
//!
//! Operations that name something rather than open it (`mkdir`, `rename`, …) have no `openat2`: [`parent`] opens the
//! parent directory through the sandbox and hands back the last component, which the kernel's `*at` calls do not follow.
//!
//! Invariant: a path given by a guest reaches a system call only as one component relative to a descriptor obtained
//! here, or through `openat2` with `RESOLVE_BENEATH`. Leaving is reported as `EPERM`.

use crate::host::{Errno, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::retry_on_intr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// The longest path accepted, as in the kernel.
pub const PATH_BYTES_MAX: usize = 4096;
/// How many symbolic links one path may go through, as in the kernel.
const LINKS_MAX: usize = 40;
/// How many directories our own walk may be inside of at once: it keeps a descriptor for each.
const DEPTH_MAX: usize = 128;
/// `RESOLVE_BENEATH` answers `EAGAIN` when a rename races with `..`: after this many tries our own walk decides.
const RACES_MAX: usize = 8;

/// Who walks the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walk {
    /// `openat2` where the kernel has it, our own walk where not.
    #[default]
    Auto,
    /// Always our own walk: for tests, and for systems where `openat2` is known to misbehave.
    Manual,
}

/// Opens `path` beneath `dir`. Final symbolic links are followed unless `flags` has `NOFOLLOW`.
pub(super) fn open(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode, walk: Walk) -> Result<OwnedFd> {
    check(path)?;
    // A terminal opened by a guest must not become the host's controlling one; with `O_PATH` the flag is refused.
    let flags = flags | OFlags::CLOEXEC | if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NOCTTY };
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    if walk == Walk::Auto && kernel_has_openat2() {
        match open_beneath(dir, path, flags, mode) {
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
    Walker { root: dir, entered: Vec::new(), todo: path.to_vec(), links: 0 }.open(flags, mode)
}

/// A directory, and one name in it that is not followed: the subject of `mkdir`, `unlink`, `rename`, …
///
/// `name` keeps the trailing slashes of the path, as the kernel gives them a meaning; it is `.` when the path ended in
/// `.` or `..`, and `dir` is then the directory that the path means.
pub(super) struct Place<'a> {
    dir: Holder<'a>,
    pub name: &'a [u8],
}

enum Holder<'a> {
    Start(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.dir {
            Holder::Start(fd) => *fd,
            Holder::Opened(fd) => fd.as_fd(),
        }
    }
}

impl Place<'_> {
    /// Whether the path ended in a slash, and so insists on a directory.
    pub fn wants_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }
}

/// Opens the parent directory of `path` beneath `dir` and splits off the last component.
pub(super) fn parent<'a>(dir: BorrowedFd<'a>, path: &'a [u8], walk: Walk) -> Result<Place<'a>> {
    check(path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let start = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    if matches!(&path[start..end], b"." | b"..") {
        let opened = open(dir, path, flags, Mode::empty(), walk)?;
        return Ok(Place { dir: Holder::Opened(opened), name: b"." });
    }
    let holder = match &path[..start] {
        b"" => Holder::Start(dir),
        parents => Holder::Opened(open(dir, parents, flags, Mode::empty(), walk)?),
    };
    Ok(Place { dir: holder, name: &path[start..] })
}

/// Whether `path` is one plain component, so that a call that does not follow links cannot leave the directory by it.
pub(super) fn is_plain(path: &[u8]) -> bool {
    !path.is_empty() && path != b".." && !path.contains(&b'/') && path.len() <= PATH_BYTES_MAX
}

/// What is wrong with a path whatever the file system holds.
fn check(path: &[u8]) -> Result<()> {
    match path {
        [] => Err(Errno::NOENT),
        [b'/', ..] => Err(Errno::PERM),
        _ if path.len() > PATH_BYTES_MAX => Err(Errno::NAMETOOLONG),
        _ if path.contains(&0) => Err(Errno::INVAL),
        _ => Ok(()),
    }
}

fn open_beneath(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACES_MAX {
        match rustix::fs::openat2(dir, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::XDEV) => return Err(Errno::PERM),
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// Asked once per process: old kernels say `ENOSYS`, container filters say `EPERM`.
fn kernel_has_openat2() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let probe = rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
        !matches!(probe, Err(Errno::NOSYS | Errno::PERM))
    })
}

/// Our own walk: where it is, and what is left to do.
struct Walker<'a> {
    root: BorrowedFd<'a>,
    /// The directories entered beneath `root`, innermost last.
    entered: Vec<OwnedFd>,
    /// The rest of the path; the text of a link is put in front of it.
    todo: Vec<u8>,
    links: usize,
}

impl Walker<'_> {
    fn open(mut self, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        if flags.contains(OFlags::CREATE) && self.todo.ends_with(b"/") {
            return Err(Errno::ISDIR);
        }
        loop {
            let start = self.todo.iter().position(|&byte| byte != b'/').unwrap_or(self.todo.len());
            let end = self.todo[start..].iter().position(|&byte| byte == b'/').map_or(self.todo.len(), |at| start + at);
            let rest = self.todo.split_off(end);
            let component = self.todo.split_off(start);
            self.todo = rest;
            match component.as_slice() {
                // Nothing is left: the path means the directory that we are in.
                b"" => return retry_on_intr(|| rustix::fs::openat(self.here(), ".", flags, mode)),
                b"." => {}
                b".." => drop(self.entered.pop().ok_or(Errno::PERM)?),
                name if self.todo.is_empty() => {
                    if let Some(opened) = self.last(name, flags, mode)? {
                        return Ok(opened);
                    }
                }
                name => self.enter(name)?,
            }
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(self.root, AsFd::as_fd)
    }

    /// Goes into the directory `name`, or expands it if it is a link.
    fn enter(&mut self, name: &[u8]) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::openat(self.here(), name, flags, Mode::empty())) {
            Ok(_) if self.entered.len() >= DEPTH_MAX => return Err(Errno::NAMETOOLONG),
            Ok(opened) => self.entered.push(opened),
            Err(error @ (Errno::NOTDIR | Errno::LOOP)) => self.expand(name, error)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the last component; `None` if it was a link to follow, which is then expanded.
    fn last(&mut self, name: &[u8], flags: OFlags, mode: Mode) -> Result<Option<OwnedFd>> {
        let opened = retry_on_intr(|| rustix::fs::openat(self.here(), name, flags | OFlags::NOFOLLOW, mode));
        if flags.contains(OFlags::NOFOLLOW) {
            return opened.map(Some);
        }
        match opened {
            // With `O_PATH | O_NOFOLLOW` a link is opened itself instead of being refused.
            Ok(opened) if flags.contains(OFlags::PATH) && is_link(&opened)? => self.expand(name, Errno::LOOP)?,
            Ok(opened) => return Ok(Some(opened)),
            // A link is refused as `ELOOP`, or as `ENOTDIR` where a directory is wanted.
            Err(error @ (Errno::NOTDIR | Errno::LOOP)) => self.expand(name, error)?,
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Puts the text of the link `name` in front of the rest of the path; `otherwise` is the answer if it is no link.
    fn expand(&mut self, name: &[u8], otherwise: Errno) -> Result<()> {
        let target = match rustix::fs::readlinkat(self.here(), name, Vec::new()) {
            Ok(target) => target.into_bytes(),
            Err(Errno::INVAL) => return Err(otherwise),
            Err(error) => return Err(error),
        };
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        match target.first() {
            None => return Err(Errno::NOENT),
            Some(b'/') => return Err(Errno::PERM),
            Some(_) => {}
        }
        if target.len() + self.todo.len() > 2 * PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let rest = std::mem::replace(&mut self.todo, target);
        self.todo.extend_from_slice(&rest);
        Ok(())
    }
}

fn is_link(fd: &OwnedFd) -> Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Symlink)
}
