//! The numbers of preview 1: error codes, rights, flags, kinds, and the layout of its structures.
//!
//! ```text
//! filestat (64): dev 0 u64 | ino 8 u64 | filetype 16 u8 | nlink 24 u64 | size 32 u64 | atim 40 | mtim 48 | ctim 56 u64
//! fdstat   (24): filetype 0 u8 | flags 2 u16 | rights_base 8 u64 | rights_inheriting 16 u64
//! prestat   (8): tag 0 u8 | name_len 4 u32
//! dirent   (24): next 0 u64 | ino 8 u64 | namlen 16 u32 | filetype 20 u8, then the name
//! ```
//!
//! Bytes between the fields are written as zero, so that a guest never sees what its memory did not hold before.

use crate::host;
use crate::host::clock::saturating_ns;
use crate::host::fs::{FileKind, Metadata};

/// An error code of preview 1; 0, success, is not among them.
///
/// Source: `errno` in `wasi_snapshot_preview1.witx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are those of errno(3)")]
pub enum Errno {
    TooBig = 1,
    Acces = 2,
    Addrinuse = 3,
    Addrnotavail = 4,
    Afnosupport = 5,
    Again = 6,
    Already = 7,
    Badf = 8,
    Badmsg = 9,
    Busy = 10,
    Canceled = 11,
    Child = 12,
    Connaborted = 13,
    Connrefused = 14,
    Connreset = 15,
    Deadlk = 16,
    Destaddrreq = 17,
    Dom = 18,
    Dquot = 19,
    Exist = 20,
    Fault = 21,
    Fbig = 22,
    Hostunreach = 23,
    Idrm = 24,
    Ilseq = 25,
    Inprogress = 26,
    Intr = 27,
    Inval = 28,
    Io = 29,
    Isconn = 30,
    Isdir = 31,
    Loop = 32,
    Mfile = 33,
    Mlink = 34,
    Msgsize = 35,
    Multihop = 36,
    Nametoolong = 37,
    Netdown = 38,
    Netreset = 39,
    Netunreach = 40,
    Nfile = 41,
    Nobufs = 42,
    Nodev = 43,
    Noent = 44,
    Noexec = 45,
    Nolck = 46,
    Nolink = 47,
    Nomem = 48,
    Nomsg = 49,
    Noprotoopt = 50,
    Nospc = 51,
    Nosys = 52,
    Notconn = 53,
    Notdir = 54,
    Notempty = 55,
    Notrecoverable = 56,
    Notsock = 57,
    Notsup = 58,
    Notty = 59,
    Nxio = 60,
    Overflow = 61,
    Ownerdead = 62,
    Perm = 63,
    Pipe = 64,
    Proto = 65,
    Protonosupport = 66,
    Prototype = 67,
    Range = 68,
    Rofs = 69,
    Spipe = 70,
    Srch = 71,
    Stale = 72,
    Timedout = 73,
    Txtbsy = 74,
    Xdev = 75,
    Notcapable = 76,
}

/// The kernel's errors beside ours; what is not here (a driver's own, say) becomes `EIO`.
const ERRNOS: &[(host::Errno, Errno)] = &[
    (host::Errno::NOENT, Errno::Noent),
    (host::Errno::EXIST, Errno::Exist),
    (host::Errno::NOTDIR, Errno::Notdir),
    (host::Errno::ISDIR, Errno::Isdir),
    (host::Errno::BADF, Errno::Badf),
    (host::Errno::INVAL, Errno::Inval),
    (host::Errno::PERM, Errno::Perm),
    (host::Errno::ACCESS, Errno::Acces),
    (host::Errno::AGAIN, Errno::Again),
    (host::Errno::NOTEMPTY, Errno::Notempty),
    (host::Errno::LOOP, Errno::Loop),
    (host::Errno::SPIPE, Errno::Spipe),
    (host::Errno::PIPE, Errno::Pipe),
    (host::Errno::ROFS, Errno::Rofs),
    (host::Errno::NOSPC, Errno::Nospc),
    (host::Errno::XDEV, Errno::Xdev),
    (host::Errno::NAMETOOLONG, Errno::Nametoolong),
    (host::Errno::TOOBIG, Errno::TooBig),
    (host::Errno::ADDRINUSE, Errno::Addrinuse),
    (host::Errno::ADDRNOTAVAIL, Errno::Addrnotavail),
    (host::Errno::AFNOSUPPORT, Errno::Afnosupport),
    (host::Errno::ALREADY, Errno::Already),
    (host::Errno::BADMSG, Errno::Badmsg),
    (host::Errno::BUSY, Errno::Busy),
    (host::Errno::CANCELED, Errno::Canceled),
    (host::Errno::CHILD, Errno::Child),
    (host::Errno::CONNABORTED, Errno::Connaborted),
    (host::Errno::CONNREFUSED, Errno::Connrefused),
    (host::Errno::CONNRESET, Errno::Connreset),
    (host::Errno::DEADLK, Errno::Deadlk),
    (host::Errno::DESTADDRREQ, Errno::Destaddrreq),
    (host::Errno::DOM, Errno::Dom),
    (host::Errno::DQUOT, Errno::Dquot),
    (host::Errno::FAULT, Errno::Fault),
    (host::Errno::FBIG, Errno::Fbig),
    (host::Errno::HOSTUNREACH, Errno::Hostunreach),
    (host::Errno::IDRM, Errno::Idrm),
    (host::Errno::ILSEQ, Errno::Ilseq),
    (host::Errno::INPROGRESS, Errno::Inprogress),
    (host::Errno::INTR, Errno::Intr),
    (host::Errno::IO, Errno::Io),
    (host::Errno::ISCONN, Errno::Isconn),
    (host::Errno::MFILE, Errno::Mfile),
    (host::Errno::MLINK, Errno::Mlink),
    (host::Errno::MSGSIZE, Errno::Msgsize),
    (host::Errno::MULTIHOP, Errno::Multihop),
    (host::Errno::NETDOWN, Errno::Netdown),
    (host::Errno::NETRESET, Errno::Netreset),
    (host::Errno::NETUNREACH, Errno::Netunreach),
    (host::Errno::NFILE, Errno::Nfile),
    (host::Errno::NOBUFS, Errno::Nobufs),
    (host::Errno::NODEV, Errno::Nodev),
    (host::Errno::NOEXEC, Errno::Noexec),
    (host::Errno::NOLCK, Errno::Nolck),
    (host::Errno::NOLINK, Errno::Nolink),
    (host::Errno::NOMEM, Errno::Nomem),
    (host::Errno::NOMSG, Errno::Nomsg),
    (host::Errno::NOPROTOOPT, Errno::Noprotoopt),
    (host::Errno::NOSYS, Errno::Nosys),
    (host::Errno::NOTCONN, Errno::Notconn),
    (host::Errno::NOTRECOVERABLE, Errno::Notrecoverable),
    (host::Errno::NOTSOCK, Errno::Notsock),
    (host::Errno::OPNOTSUPP, Errno::Notsup),
    (host::Errno::NOTTY, Errno::Notty),
    (host::Errno::NXIO, Errno::Nxio),
    (host::Errno::OVERFLOW, Errno::Overflow),
    (host::Errno::OWNERDEAD, Errno::Ownerdead),
    (host::Errno::PROTO, Errno::Proto),
    (host::Errno::PROTONOSUPPORT, Errno::Protonosupport),
    (host::Errno::PROTOTYPE, Errno::Prototype),
    (host::Errno::RANGE, Errno::Range),
    (host::Errno::SRCH, Errno::Srch),
    (host::Errno::STALE, Errno::Stale),
    (host::Errno::TIMEDOUT, Errno::Timedout),
    (host::Errno::TXTBSY, Errno::Txtbsy),
];

impl From<host::Errno> for Errno {
    fn from(error: host::Errno) -> Errno {
        ERRNOS.iter().find(|(theirs, _)| *theirs == error).map_or(Errno::Io, |(_, ours)| *ours)
    }
}

impl From<host::table::Full> for Errno {
    fn from(_: host::table::Full) -> Errno {
        Errno::Mfile
    }
}

/// Rights: bits of a 64-bit set.
///
/// A descriptor opened by a guest has every right that its kind can have and its directory passes on, except reading or
/// writing where it was not opened for that: programs ask for fewer than they use, as no host has taken them at their
/// word for years. What a guest gives up by `fd_fdstat_set_rights` is gone, and checked.
///
/// Source: `rights` in `wasi_snapshot_preview1.witx`.
#[expect(missing_docs, reason = "each name is the function that it allows")]
pub mod rights {
    pub const FD_DATASYNC: u64 = 1;
    pub const FD_READ: u64 = 1 << 1;
    pub const FD_SEEK: u64 = 1 << 2;
    pub const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub const FD_SYNC: u64 = 1 << 4;
    pub const FD_TELL: u64 = 1 << 5;
    pub const FD_WRITE: u64 = 1 << 6;
    pub const FD_ADVISE: u64 = 1 << 7;
    pub const FD_ALLOCATE: u64 = 1 << 8;
    pub const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub const PATH_CREATE_FILE: u64 = 1 << 10;
    pub const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub const PATH_LINK_TARGET: u64 = 1 << 12;
    pub const PATH_OPEN: u64 = 1 << 13;
    pub const FD_READDIR: u64 = 1 << 14;
    pub const PATH_READLINK: u64 = 1 << 15;
    pub const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub const FD_FILESTAT_GET: u64 = 1 << 21;
    pub const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub const PATH_SYMLINK: u64 = 1 << 24;
    pub const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub const POLL_FD_READWRITE: u64 = 1 << 27;
    pub const SOCK_SHUTDOWN: u64 = 1 << 28;
    pub const SOCK_ACCEPT: u64 = 1 << 29;

    /// No right is needed.
    pub const NONE: u64 = 0;
    /// What an open file can have.
    pub const FILE: u64 = FD_DATASYNC
        | FD_READ
        | FD_SEEK
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_TELL
        | FD_WRITE
        | FD_ADVISE
        | FD_ALLOCATE
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_SIZE
        | FD_FILESTAT_SET_TIMES
        | POLL_FD_READWRITE;
    /// What an open directory can have.
    pub const DIRECTORY: u64 = FD_DATASYNC
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_SIZE
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE;
    /// What a standard stream can have. Seeking never works on one; the right says "this is no terminal" to programs.
    pub const STREAM: u64 = FD_READ
        | FD_WRITE
        | FD_SEEK
        | FD_TELL
        | FD_DATASYNC
        | FD_SYNC
        | FD_FDSTAT_SET_FLAGS
        | FD_FILESTAT_GET
        | POLL_FD_READWRITE;
    /// What a socket can have.
    pub const SOCKET: u64 =
        FD_READ | FD_WRITE | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_SHUTDOWN | SOCK_ACCEPT;
}

/// Kinds of files, `filetype` in the specification. Pipes have none of their own.
pub fn filetype(kind: FileKind) -> u8 {
    match kind {
        FileKind::Unknown | FileKind::Fifo => 0,
        FileKind::BlockDevice => 1,
        FileKind::CharacterDevice => 2,
        FileKind::Directory => 3,
        FileKind::Regular => 4,
        FileKind::Socket => SOCKET_STREAM,
        FileKind::Symlink => 7,
    }
}

pub const SOCKET_DGRAM: u8 = 5;
pub const SOCKET_STREAM: u8 = 6;

pub const FDFLAGS_APPEND: u16 = 1;
pub const FDFLAGS_DSYNC: u16 = 1 << 1;
pub const FDFLAGS_NONBLOCK: u16 = 1 << 2;
pub const FDFLAGS_RSYNC: u16 = 1 << 3;
pub const FDFLAGS_SYNC: u16 = 1 << 4;
pub const FDFLAGS_ALL: u16 = (1 << 5) - 1;

pub const WHENCE_SET: u32 = 0;
pub const WHENCE_CUR: u32 = 1;
pub const WHENCE_END: u32 = 2;

pub const LOOKUPFLAGS_SYMLINK_FOLLOW: u32 = 1;

pub const OFLAGS_CREAT: u16 = 1;
pub const OFLAGS_DIRECTORY: u16 = 1 << 1;
pub const OFLAGS_EXCL: u16 = 1 << 2;
pub const OFLAGS_TRUNC: u16 = 1 << 3;
pub const OFLAGS_ALL: u16 = (1 << 4) - 1;

pub const FSTFLAGS_ATIM: u16 = 1;
pub const FSTFLAGS_ATIM_NOW: u16 = 1 << 1;
pub const FSTFLAGS_MTIM: u16 = 1 << 2;
pub const FSTFLAGS_MTIM_NOW: u16 = 1 << 3;
pub const FSTFLAGS_ALL: u16 = (1 << 4) - 1;

pub const EVENTTYPE_CLOCK: u8 = 0;
pub const EVENTTYPE_FD_READ: u8 = 1;
pub const EVENTTYPE_FD_WRITE: u8 = 2;
pub const SUBCLOCKFLAGS_ABSTIME: u16 = 1;
pub const EVENTRWFLAGS_HANGUP: u16 = 1;

/// `flags` if no bit is unknown.
pub fn known<T: Copy + std::ops::BitAnd<Output = T> + PartialEq>(flags: T, all: T) -> Result<T, Errno> {
    if flags & all == flags { Ok(flags) } else { Err(Errno::Inval) }
}

/// A structure of the specification as bytes, filled field by field over zeros.
pub struct Layout<const SIZE: usize>(pub [u8; SIZE]);

impl<const SIZE: usize> Layout<SIZE> {
    pub fn new() -> Layout<SIZE> {
        Layout([0; SIZE])
    }

    pub fn set<const LEN: usize>(mut self, offset: usize, field: [u8; LEN]) -> Layout<SIZE> {
        self.0[offset..offset + LEN].copy_from_slice(&field);
        self
    }
}

/// `filestat` of a file.
pub fn filestat(metadata: &Metadata, filetype: u8) -> [u8; 64] {
    Layout::new()
        .set(0, metadata.dev.to_le_bytes())
        .set(8, metadata.ino.to_le_bytes())
        .set(16, [filetype])
        .set(24, metadata.nlink.to_le_bytes())
        .set(32, metadata.size_bytes.to_le_bytes())
        .set(40, saturating_ns(metadata.accessed).to_le_bytes())
        .set(48, saturating_ns(metadata.modified).to_le_bytes())
        .set(56, saturating_ns(metadata.changed).to_le_bytes())
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_one_number_and_unknown_ones_are_io() {
        for (at, (theirs, ours)) in ERRNOS.iter().enumerate() {
            assert_eq!(Errno::from(*theirs), *ours);
            assert!(!ERRNOS[..at].iter().any(|(_, other)| other == ours), "{ours:?} twice");
        }
        assert_eq!(Errno::from(host::Errno::NOTBLK), Errno::Io);
        assert_eq!(Errno::Notcapable as u16, 76);
    }

    #[test]
    fn kinds_do_not_have_rights_that_make_no_sense() {
        assert_eq!(rights::DIRECTORY & (rights::FD_READ | rights::FD_WRITE | rights::FD_FILESTAT_SET_SIZE), 0);
        assert_eq!(rights::FILE & rights::PATH_OPEN, 0);
    }
}
