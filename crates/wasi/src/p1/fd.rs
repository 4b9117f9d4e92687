//! The `fd_*` functions that look at a descriptor or change it; those that move bytes are in `io`.

use super::descriptor::{Descriptor, Object};
use super::memory::GuestMemory;
use super::types::*;
use crate::ctx::WasiCtx;
use crate::host::clock::timespec;
use crate::host::fs::{Advice, FileKind, Metadata, SetTime, StatusFlags, Times};

/// Says how a range of a file will be used.
pub fn fd_advise(ctx: &mut WasiCtx, fd: u32, offset: u64, len: u64, advice: u32) -> Result<(), Errno> {
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(Errno::Inval),
    };
    Ok(ctx.file(fd, rights::FD_ADVISE)?.advise(offset, len, advice)?)
}

/// Makes sure that a range of a file has space on the device.
pub fn fd_allocate(ctx: &mut WasiCtx, fd: u32, offset: u64, len: u64) -> Result<(), Errno> {
    Ok(ctx.file(fd, rights::FD_ALLOCATE)?.allocate(offset, len)?)
}

/// Closes a descriptor; a preopened one too.
pub fn fd_close(ctx: &mut WasiCtx, fd: u32) -> Result<(), Errno> {
    ctx.descriptors.remove(fd).map(drop).ok_or(Errno::Badf)
}

/// Writes a file's contents out to the device.
pub fn fd_datasync(ctx: &mut WasiCtx, fd: u32) -> Result<(), Errno> {
    match &ctx.descriptor(fd, rights::FD_DATASYNC)?.object {
        Object::File(file) => Ok(file.sync_data()?),
        Object::Dir(open) => Ok(open.dir.sync()?),
        Object::Stdio(_) | Object::Socket(_) => Err(Errno::Inval),
    }
}

/// Writes a file's contents and metadata out to the device.
pub fn fd_sync(ctx: &mut WasiCtx, fd: u32) -> Result<(), Errno> {
    match &ctx.descriptor(fd, rights::FD_SYNC)?.object {
        Object::File(file) => Ok(file.sync()?),
        Object::Dir(open) => Ok(open.dir.sync()?),
        Object::Stdio(_) | Object::Socket(_) => Err(Errno::Inval),
    }
}

/// Writes a descriptor's kind, flags and rights.
pub fn fd_fdstat_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, fd: u32, fdstat: u32) -> Result<(), Errno> {
    let descriptor = ctx.descriptor(fd, rights::NONE)?;
    let mut base = descriptor.base;
    let (filetype, flags) = match &descriptor.object {
        Object::Stdio(stream) => {
            let filetype = filetype(stream.stdio.metadata()?.kind);
            // This is how C libraries tell a terminal: a character device that cannot seek.
            if filetype == self::filetype(FileKind::CharacterDevice) && stream.stdio.is_terminal() {
                base &= !(rights::FD_SEEK | rights::FD_TELL);
            }
            (filetype, stream.flags)
        }
        Object::File(file) => (filetype(file.kind()), fdflags(file.flags()?)),
        Object::Dir(_) => (filetype(FileKind::Directory), 0),
        Object::Socket(socket) => {
            let flags = if socket.is_nonblocking()? { FDFLAGS_NONBLOCK } else { 0 };
            (if socket.datagrams { SOCKET_DGRAM } else { SOCKET_STREAM }, flags)
        }
    };
    let layout = Layout::<24>::new()
        .set(0, [filetype])
        .set(2, flags.to_le_bytes())
        .set(8, base.to_le_bytes())
        .set(16, descriptor.inheriting.to_le_bytes());
    mem.write(fdstat, &layout.0)
}

fn fdflags(flags: StatusFlags) -> u16 {
    let mut fdflags = 0;
    for (is_set, flag) in [
        (flags.append, FDFLAGS_APPEND),
        (flags.nonblock, FDFLAGS_NONBLOCK),
        (flags.dsync, FDFLAGS_DSYNC),
        // Linux does not tell the two apart.
        (flags.sync, FDFLAGS_SYNC | FDFLAGS_RSYNC),
    ] {
        if is_set {
            fdflags |= flag;
        }
    }
    fdflags
}

/// Changes a descriptor's flags: append and non-blocking. Synchronous writing is decided when a file is opened.
pub fn fd_fdstat_set_flags(ctx: &mut WasiCtx, fd: u32, flags: u32) -> Result<(), Errno> {
    let flags = known(u16::try_from(flags).map_err(|_| Errno::Inval)?, FDFLAGS_ALL)?;
    let (append, nonblock) = (flags & FDFLAGS_APPEND != 0, flags & FDFLAGS_NONBLOCK != 0);
    match &mut ctx.descriptor_mut(fd, rights::FD_FDSTAT_SET_FLAGS)?.object {
        Object::Stdio(stream) => stream.flags = flags & (FDFLAGS_APPEND | FDFLAGS_NONBLOCK),
        Object::File(file) => {
            let synchronous = FDFLAGS_SYNC | FDFLAGS_RSYNC | FDFLAGS_DSYNC;
            if flags & synchronous & !fdflags(file.flags()?) != 0 {
                return Err(Errno::Notsup);
            }
            file.set_flags(append, nonblock)?;
        }
        Object::Dir(_) => return Err(Errno::Badf),
        Object::Socket(socket) => socket.set_nonblocking(nonblock)?,
    }
    Ok(())
}

/// Gives rights up. None can be won back.
pub fn fd_fdstat_set_rights(ctx: &mut WasiCtx, fd: u32, base: u64, inheriting: u64) -> Result<(), Errno> {
    let descriptor = ctx.descriptor_mut(fd, rights::NONE)?;
    if base & !descriptor.base != 0 || inheriting & !descriptor.inheriting != 0 {
        return Err(Errno::Notcapable);
    }
    (descriptor.base, descriptor.inheriting) = (base, inheriting);
    Ok(())
}

/// Writes what is known of an open file.
pub fn fd_filestat_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, fd: u32, stat: u32) -> Result<(), Errno> {
    let (metadata, filetype) = metadata(ctx, fd)?;
    mem.write(stat, &filestat(&metadata, filetype))
}

/// What is known of an open file, and its `filetype`.
pub(crate) fn metadata(ctx: &WasiCtx, fd: u32) -> Result<(Metadata, u8), Errno> {
    Ok(match &ctx.descriptor(fd, rights::FD_FILESTAT_GET)?.object {
        Object::Stdio(stream) => of_kind(stream.stdio.metadata()?),
        Object::File(file) => of_kind(file.metadata()?),
        Object::Dir(open) => of_kind(open.dir.metadata()?),
        Object::Socket(socket) => (socket.metadata()?, if socket.datagrams { SOCKET_DGRAM } else { SOCKET_STREAM }),
    })
}

fn of_kind(metadata: Metadata) -> (Metadata, u8) {
    (metadata, filetype(metadata.kind))
}

/// Cuts a file or grows it with zeros.
pub fn fd_filestat_set_size(ctx: &mut WasiCtx, fd: u32, size_bytes: u64) -> Result<(), Errno> {
    Ok(ctx.file(fd, rights::FD_FILESTAT_SET_SIZE)?.set_size(size_bytes)?)
}

/// Sets the times of an open file.
pub fn fd_filestat_set_times(ctx: &mut WasiCtx, fd: u32, atim: u64, mtim: u64, fst_flags: u32) -> Result<(), Errno> {
    let times = times(atim, mtim, fst_flags)?;
    match &ctx.descriptor(fd, rights::FD_FILESTAT_SET_TIMES)?.object {
        Object::File(file) => Ok(file.set_times(times)?),
        Object::Dir(open) => Ok(open.dir.set_times(times)?),
        Object::Stdio(_) | Object::Socket(_) => Err(Errno::Inval),
    }
}

/// The times that `fstflags` select; setting one both to a value and to the present is refused.
pub(super) fn times(atim: u64, mtim: u64, fst_flags: u32) -> Result<Times, Errno> {
    let flags = known(u16::try_from(fst_flags).map_err(|_| Errno::Inval)?, FSTFLAGS_ALL)?;
    let one = |value: u64, at: u16, now: u16| match (flags & at != 0, flags & now != 0) {
        (true, true) => Err(Errno::Inval),
        (true, false) => Ok(SetTime::At(timespec(value))),
        (false, true) => Ok(SetTime::Now),
        (false, false) => Ok(SetTime::Keep),
    };
    Ok(Times {
        accessed: one(atim, FSTFLAGS_ATIM, FSTFLAGS_ATIM_NOW)?,
        modified: one(mtim, FSTFLAGS_MTIM, FSTFLAGS_MTIM_NOW)?,
    })
}

/// The name of the preopened directory `fd`. Programs count up from 3 until this is `EBADF`.
fn preopen_name(ctx: &WasiCtx, fd: u32) -> Result<&str, Errno> {
    match ctx.descriptors.get(fd) {
        Some(Descriptor { object: Object::Dir(open), .. }) => open.preopen.as_deref().ok_or(Errno::Badf),
        _ => Err(Errno::Badf),
    }
}

/// Writes the kind of a preopened descriptor (a directory, 0) and the length of its name.
pub fn fd_prestat_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, fd: u32, prestat: u32) -> Result<(), Errno> {
    let name = preopen_name(ctx, fd)?;
    let len = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
    mem.write(prestat, &Layout::<8>::new().set(4, len.to_le_bytes()).0)
}

/// Writes the name of a preopened directory, without a zero byte at its end.
pub fn fd_prestat_dir_name(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<(), Errno> {
    let name = preopen_name(ctx, fd)?;
    if name.len() > path_len as usize {
        return Err(Errno::Nametoolong);
    }
    mem.write(path, name.as_bytes())
}

/// Moves a descriptor over another, which is closed.
pub fn fd_renumber(ctx: &mut WasiCtx, from: u32, to: u32) -> Result<(), Errno> {
    ctx.descriptors.renumber(from, to).map(drop).ok_or(Errno::Badf)
}
