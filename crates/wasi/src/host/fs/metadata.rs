//! What `stat` says about a file, and the times that can be set.

use rustix::fs::{FileType, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    BlockDevice,
    /// A character device: a terminal, `/dev/null`, …
    CharacterDevice,
    /// A socket.
    Socket,
    /// A pipe, named or not.
    Fifo,
    /// Something else, or not known without asking again.
    Unknown,
}

impl From<FileType> for FileKind {
    fn from(kind: FileType) -> FileKind {
        match kind {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::CharacterDevice => FileKind::CharacterDevice,
            FileType::Socket => FileKind::Socket,
            FileType::Fifo => FileKind::Fifo,
            FileType::Unknown => FileKind::Unknown,
        }
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The device that holds it.
    pub dev: u64,
    /// Its number on that device.
    pub ino: u64,
    /// What it is.
    pub kind: FileKind,
    /// How many names it has.
    pub nlink: u64,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When it was last read.
    pub accessed: Timespec,
    /// When its contents last changed.
    pub modified: Timespec,
    /// When it or what is known of it last changed.
    pub changed: Timespec,
}

impl Metadata {
    /// The metadata of something that is no file of this machine: zero but for its kind.
    pub fn virtual_file(kind: FileKind) -> Metadata {
        let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
        Metadata { dev: 0, ino: 0, kind, nlink: 1, size_bytes: 0, accessed: epoch, modified: epoch, changed: epoch }
    }
}

impl From<Stat> for Metadata {
    #[allow(clippy::unnecessary_cast, reason = "`st_nlink` is 64 bits wide on x86-64, 32 on aarch64")]
    fn from(stat: Stat) -> Metadata {
        let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
        Metadata {
            dev: stat.st_dev,
            ino: stat.st_ino,
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            nlink: stat.st_nlink as u64,
            size_bytes: stat.st_size as u64,
            accessed: time(stat.st_atime, stat.st_atime_nsec),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// What to do with one time of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it.
    #[default]
    Keep,
    /// Set it to the present.
    Now,
    /// Set it to this many seconds and nanoseconds after 1970.
    At(Timespec),
}

impl SetTime {
    fn timespec(self) -> Timespec {
        match self {
            SetTime::Keep => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            SetTime::Now => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            SetTime::At(time) => time,
        }
    }
}

/// The two times of a file that can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The time of the last access.
    pub accessed: SetTime,
    /// The time of the last modification.
    pub modified: SetTime,
}

impl Times {
    pub(super) fn timestamps(self) -> Timestamps {
        Timestamps { last_access: self.accessed.timespec(), last_modification: self.modified.timespec() }
    }
}
