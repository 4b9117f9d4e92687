//! The `path_*` functions: a directory's descriptor and a path beneath it.

use super::descriptor::{Descriptor, Object, OpenDir};
use super::fd::times;
use super::memory::GuestMemory;
use super::types::*;
use crate::ctx::WasiCtx;
use crate::host::fs::{Metadata, Node, OpenOptions};

/// The arguments of [`path_open`], named as in the specification.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathOpen {
    /// The directory where the path starts.
    pub fd: u32,
    /// `lookupflags`: whether a link in the last component is followed.
    pub dirflags: u32,
    /// Where the path is.
    pub path: u32,
    /// How long it is.
    pub path_len: u32,
    /// `oflags`: create, directory, exclusive, truncate.
    pub oflags: u32,
    /// What the guest wants to do with what it opens.
    pub rights_base: u64,
    /// What it wants to do with what it opens through that. A directory passes on all that it has, whatever this says.
    pub rights_inheriting: u64,
    /// `fdflags`: append, non-blocking, synchronous.
    pub fdflags: u32,
    /// Where the new descriptor's number is written.
    pub opened_fd: u32,
}

fn follow(lookupflags: u32) -> Result<bool, Errno> {
    Ok(known(lookupflags, LOOKUPFLAGS_SYMLINK_FOLLOW)? != 0)
}

/// Makes a directory.
pub fn path_create_directory(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Errno> {
    Ok(ctx.dir(fd, rights::PATH_CREATE_DIRECTORY)?.create_directory(mem.path(path, len)?)?)
}

/// Writes what is known of a file.
pub fn path_filestat_get(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
    stat: u32,
) -> Result<(), Errno> {
    let metadata = metadata(ctx, mem, fd, flags, path, len)?;
    mem.write(stat, &filestat(&metadata, filetype(metadata.kind)))
}

/// What is known of a file.
pub(crate) fn metadata(
    ctx: &WasiCtx,
    mem: &GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
) -> Result<Metadata, Errno> {
    let follow = follow(flags)?;
    Ok(ctx.dir(fd, rights::PATH_FILESTAT_GET)?.metadata_at(mem.path(path, len)?, follow)?)
}

/// Sets the times of a file.
#[expect(clippy::too_many_arguments, reason = "the specification's")]
pub fn path_filestat_set_times(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
    atim: u64,
    mtim: u64,
    fst_flags: u32,
) -> Result<(), Errno> {
    let (follow, times) = (follow(flags)?, times(atim, mtim, fst_flags)?);
    Ok(ctx.dir(fd, rights::PATH_FILESTAT_SET_TIMES)?.set_times_at(mem.path(path, len)?, follow, times)?)
}

/// Gives a file another name. Following a link first is refused: a link is linked itself.
#[expect(clippy::too_many_arguments, reason = "the specification's")]
pub fn path_link(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    old_fd: u32,
    old_flags: u32,
    old_path: u32,
    old_len: u32,
    new_fd: u32,
    new_path: u32,
    new_len: u32,
) -> Result<(), Errno> {
    if follow(old_flags)? {
        return Err(Errno::Inval);
    }
    let old = ctx.dir(old_fd, rights::PATH_LINK_SOURCE)?;
    let new = ctx.dir(new_fd, rights::PATH_LINK_TARGET)?;
    Ok(old.link(mem.path(old_path, old_len)?, new, mem.path(new_path, new_len)?)?)
}

/// Opens or creates a file, or opens a directory.
pub fn path_open(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, args: PathOpen) -> Result<(), Errno> {
    let oflags = known(u16::try_from(args.oflags).map_err(|_| Errno::Inval)?, OFLAGS_ALL)?;
    let fdflags = known(u16::try_from(args.fdflags).map_err(|_| Errno::Inval)?, FDFLAGS_ALL)?;
    let options = OpenOptions {
        read: args.rights_base & (rights::FD_READ | rights::FD_READDIR) != 0,
        write: args.rights_base & (rights::FD_WRITE | rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE) != 0,
        create: oflags & OFLAGS_CREAT != 0,
        exclusive: oflags & OFLAGS_EXCL != 0,
        truncate: oflags & OFLAGS_TRUNC != 0,
        directory: oflags & OFLAGS_DIRECTORY != 0,
        follow: follow(args.dirflags)?,
        append: fdflags & FDFLAGS_APPEND != 0,
        nonblock: fdflags & FDFLAGS_NONBLOCK != 0,
        dsync: fdflags & FDFLAGS_DSYNC != 0,
        sync: fdflags & (FDFLAGS_SYNC | FDFLAGS_RSYNC) != 0,
    };
    let mut needed = rights::PATH_OPEN;
    if options.create {
        needed |= rights::PATH_CREATE_FILE;
    }
    if options.truncate {
        needed |= rights::PATH_FILESTAT_SET_SIZE;
    }
    let dir = ctx.dir(args.fd, needed)?;
    let inheriting = ctx.descriptor(args.fd, rights::NONE)?.inheriting;
    mem.check(args.opened_fd, 4)?;
    let opened = match dir.open_at(mem.path(args.path, args.path_len)?, &options)? {
        Node::Dir(dir) => Descriptor {
            object: Object::Dir(OpenDir { dir, entries: None, preopen: None }),
            base: rights::DIRECTORY & inheriting,
            inheriting,
        },
        Node::File(file) => {
            let mut base = rights::FILE & inheriting;
            if !options.read {
                base &= !rights::FD_READ;
            }
            if !options.write {
                base &= !(rights::FD_WRITE | rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE);
            }
            Descriptor { object: Object::File(file), base, inheriting: 0 }
        }
    };
    let number = ctx.descriptors.insert(opened)?;
    mem.write_u32(args.opened_fd, number)
}

/// Writes the text of a symbolic link, cut where the buffer ends.
#[expect(clippy::too_many_arguments, reason = "the specification's")]
pub fn path_readlink(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    len: u32,
    buf: u32,
    buf_len: u32,
    bufused: u32,
) -> Result<(), Errno> {
    let target = ctx.dir(fd, rights::PATH_READLINK)?.read_link(mem.path(path, len)?)?;
    mem.check(buf, buf_len)?;
    let used = target.len().min(buf_len as usize);
    mem.write(buf, &target[..used])?;
    mem.write_size(bufused, used)
}

/// Removes an empty directory.
pub fn path_remove_directory(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Errno> {
    Ok(ctx.dir(fd, rights::PATH_REMOVE_DIRECTORY)?.remove_directory(mem.path(path, len)?)?)
}

/// Moves a name, also from one directory's descriptor to another's.
#[expect(clippy::too_many_arguments, reason = "the specification's")]
pub fn path_rename(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    old_path: u32,
    old_len: u32,
    new_fd: u32,
    new_path: u32,
    new_len: u32,
) -> Result<(), Errno> {
    let old = ctx.dir(fd, rights::PATH_RENAME_SOURCE)?;
    let new = ctx.dir(new_fd, rights::PATH_RENAME_TARGET)?;
    Ok(old.rename(mem.path(old_path, old_len)?, new, mem.path(new_path, new_len)?)?)
}

/// Makes a symbolic link with the text at `old_path`.
pub fn path_symlink(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    old_path: u32,
    old_len: u32,
    fd: u32,
    new_path: u32,
    new_len: u32,
) -> Result<(), Errno> {
    let dir = ctx.dir(fd, rights::PATH_SYMLINK)?;
    Ok(dir.symlink(mem.path(old_path, old_len)?, mem.path(new_path, new_len)?)?)
}

/// Removes a file's name.
pub fn path_unlink_file(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Errno> {
    Ok(ctx.dir(fd, rights::PATH_UNLINK_FILE)?.unlink_file(mem.path(path, len)?)?)
}
