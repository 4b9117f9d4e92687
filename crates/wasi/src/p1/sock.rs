//! `sock_accept`, `sock_recv`, `sock_send`, `sock_shutdown`, on sockets that the embedder opened.

use super::descriptor::{Descriptor, Object};
use super::memory::GuestMemory;
use super::types::*;
use crate::ctx::WasiCtx;
use crate::host::net::{RecvFlags, Shutdown, Socket};

const RIFLAGS_PEEK: u32 = 1;
const RIFLAGS_WAITALL: u32 = 1 << 1;
const ROFLAGS_DATA_TRUNCATED: u16 = 1;
const SDFLAGS_RD: u32 = 1;
const SDFLAGS_WR: u32 = 1 << 1;

fn socket(ctx: &WasiCtx, fd: u32, right: u64) -> Result<&Socket, Errno> {
    let descriptor = ctx.descriptor(fd, rights::NONE)?;
    let Object::Socket(socket) = &descriptor.object else { return Err(Errno::Notsock) };
    descriptor.require(right)?;
    Ok(socket)
}

/// Waits for a connection and writes its descriptor's number.
pub fn sock_accept(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
    accepted: u32,
) -> Result<(), Errno> {
    let nonblock = known(flags, u32::from(FDFLAGS_NONBLOCK))? != 0;
    mem.check(accepted, 4)?;
    let connection = socket(ctx, fd, rights::SOCK_ACCEPT)?.accept(nonblock, ctx.patience(0))?;
    let number = ctx.descriptors.insert(Descriptor::socket(connection))?;
    mem.write_u32(accepted, number)
}

/// Receives; 0 bytes is the end of a stream.
#[expect(clippy::too_many_arguments, reason = "the specification's")]
pub fn sock_recv(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    ri_flags: u32,
    nread: u32,
    ro_flags: u32,
) -> Result<(), Errno> {
    let ri_flags = known(ri_flags, RIFLAGS_PEEK | RIFLAGS_WAITALL)?;
    let mut flags = RecvFlags::empty();
    flags.set(RecvFlags::PEEK, ri_flags & RIFLAGS_PEEK != 0);
    flags.set(RecvFlags::WAITALL, ri_flags & RIFLAGS_WAITALL != 0);
    let socket = socket(ctx, fd, rights::FD_READ)?;
    mem.check(nread, 4)?;
    mem.check(ro_flags, 2)?;
    let received =
        mem.fill_buffers(iovs, iovs_len, |buffers| Ok(socket.receive(buffers, flags, ctx.patience(0))?))?;
    mem.write_size(nread, received.len_bytes)?;
    let flags = if received.truncated { ROFLAGS_DATA_TRUNCATED } else { 0 };
    mem.write(ro_flags, &flags.to_le_bytes())
}

/// Sends.
pub fn sock_send(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    si_flags: u32,
    nwritten: u32,
) -> Result<(), Errno> {
    known(si_flags, 0)?;
    let socket = socket(ctx, fd, rights::FD_WRITE)?;
    mem.check(nwritten, 4)?;
    let len = mem.drain_buffers(iovs, iovs_len, |buffers| Ok(socket.send(buffers, ctx.patience(0))?))?;
    mem.write_size(nwritten, len)
}

/// Ends one direction of a connection, or both.
pub fn sock_shutdown(ctx: &mut WasiCtx, fd: u32, how: u32) -> Result<(), Errno> {
    let socket = socket(ctx, fd, rights::SOCK_SHUTDOWN)?;
    let how = match how {
        SDFLAGS_RD => Shutdown::Read,
        SDFLAGS_WR => Shutdown::Write,
        how if how == SDFLAGS_RD | SDFLAGS_WR => Shutdown::Both,
        _ => return Err(Errno::Inval),
    };
    Ok(socket.shutdown(how)?)
}
