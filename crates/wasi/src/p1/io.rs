//! The `fd_*` functions that move bytes or the offset: straight between the kernel and the guest's memory, with no copy,
//! no lock and no allocation for files and inherited streams.

use super::descriptor::Object;
use super::memory::GuestMemory;
use super::types::*;
use crate::ctx::WasiCtx;
use crate::host::fs::DirEntry;
use crate::host::net::RecvFlags;
use rustix::fs::SeekFrom;

/// Reads at the offset.
pub fn fd_read(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    nread: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptor(fd, rights::NONE)?;
    if let Object::Dir(_) = descriptor.object {
        return Err(Errno::Isdir);
    }
    descriptor.require(rights::FD_READ)?;
    mem.check(nread, 4)?;
    let len = mem.fill_buffers(iovs, iovs_len, |buffers| match &descriptor.object {
        Object::File(file) => Ok(file.read(buffers, ctx.patience(0))?),
        Object::Stdio(stream) => Ok(stream.stdio.read(buffers, ctx.patience(stream.flags))?),
        Object::Socket(socket) => Ok(socket.receive(buffers, RecvFlags::empty(), ctx.patience(0))?.len_bytes),
        Object::Dir(_) => Err(Errno::Isdir),
    })?;
    mem.write_size(nread, len)
}

/// Writes at the offset.
pub fn fd_write(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    nwritten: u32,
) -> Result<(), Errno> {
    let (patience, impatience) = (ctx.patience(0), ctx.patience(FDFLAGS_NONBLOCK));
    let descriptor = ctx.descriptor_mut(fd, rights::FD_WRITE)?;
    mem.check(nwritten, 4)?;
    let len = mem.drain_buffers(iovs, iovs_len, |buffers| match &mut descriptor.object {
        Object::File(file) => Ok(file.write(buffers, patience)?),
        Object::Stdio(stream) => {
            let nonblock = stream.flags & FDFLAGS_NONBLOCK != 0;
            Ok(stream.write(buffers, if nonblock { impatience } else { patience })?)
        }
        Object::Socket(socket) => Ok(socket.send(buffers, patience)?),
        Object::Dir(_) => Err(Errno::Badf),
    })?;
    mem.write_size(nwritten, len)
}

/// Reads at `offset`, leaving the file's own.
pub fn fd_pread(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    offset: u64,
    nread: u32,
) -> Result<(), Errno> {
    let file = ctx.file(fd, rights::FD_READ)?;
    mem.check(nread, 4)?;
    let len = mem.fill_buffers(iovs, iovs_len, |buffers| Ok(file.read_at(buffers, offset)?))?;
    mem.write_size(nread, len)
}

/// Writes at `offset`, leaving the file's own.
pub fn fd_pwrite(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    offset: u64,
    nwritten: u32,
) -> Result<(), Errno> {
    let file = ctx.file(fd, rights::FD_WRITE)?;
    mem.check(nwritten, 4)?;
    let len = mem.drain_buffers(iovs, iovs_len, |buffers| Ok(file.write_at(buffers, offset)?))?;
    mem.write_size(nwritten, len)
}

/// Moves a file's offset and writes where it is now.
pub fn fd_seek(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    new_offset: u32,
) -> Result<(), Errno> {
    let to = match whence {
        WHENCE_SET => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
        WHENCE_CUR => SeekFrom::Current(offset),
        WHENCE_END => SeekFrom::End(offset),
        _ => return Err(Errno::Inval),
    };
    // Asking where the offset is changes nothing and needs the lesser right.
    let right = if to == SeekFrom::Current(0) { rights::FD_TELL } else { rights::FD_SEEK };
    mem.check(new_offset, 8)?;
    let at = ctx.file(fd, right)?.seek(to)?;
    mem.write_u64(new_offset, at)
}

/// Writes where a file's offset is.
pub fn fd_tell(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, fd: u32, offset: u32) -> Result<(), Errno> {
    let at = ctx.file(fd, rights::FD_TELL)?.seek(SeekFrom::Current(0))?;
    mem.write_u64(offset, at)
}

/// Writes the entries of a directory from `cookie` on. The last one is cut where the buffer ends, which tells the guest
/// that there are more: it asks again with the cookie of the last whole one.
pub fn fd_readdir(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    buf: u32,
    buf_len: u32,
    cookie: u64,
    bufused: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptor_mut(fd, rights::NONE)?;
    let right = descriptor.require(rights::FD_READDIR);
    let Object::Dir(open) = &mut descriptor.object else { return Err(Errno::Notdir) };
    right?;
    mem.check(bufused, 4)?;
    mem.check(buf, buf_len)?;
    let entries = match &mut open.entries {
        Some(entries) => entries,
        none => none.insert(Box::new(open.dir.entries()?)),
    };
    entries.seek(cookie)?;
    let mut used = 0;
    while used < buf_len {
        let Some(entry) = entries.peek()? else { break };
        let left = buf_len - used;
        let written = write_dirent(mem, buf + used, left, entry)?;
        used += written;
        if written as usize == DIRENT_BYTES + entry.name.len() {
            entries.take();
        }
    }
    mem.write_u32(bufused, used)
}

const DIRENT_BYTES: usize = 24;

/// Writes as much of an entry as `left` bytes at `at` take; says how many it took.
fn write_dirent(mem: &mut GuestMemory<'_>, at: u32, left: u32, entry: &DirEntry) -> Result<u32, Errno> {
    let head = Layout::<DIRENT_BYTES>::new()
        .set(0, entry.next.to_le_bytes())
        .set(8, entry.ino.to_le_bytes())
        .set(16, (entry.name.len() as u32).to_le_bytes())
        .set(20, [filetype(entry.kind)]);
    let len = left.min((DIRENT_BYTES + entry.name.len()) as u32);
    let (into_head, into_name) = mem.slice_mut(at, len)?.split_at_mut(DIRENT_BYTES.min(len as usize));
    into_head.copy_from_slice(&head.0[..into_head.len()]);
    into_name.copy_from_slice(&entry.name.as_bytes()[..into_name.len()]);
    Ok(len)
}
