//! WASI preview 0: the names of `wasi_unstable`, which programs built before 2020 import.
//!
//! It has the functions of preview 1 without `sock_accept`, and four of them lay their arguments out otherwise:
//!
//! ```text
//! filestat (56):     dev 0 u64 | ino 8 u64 | filetype 16 u8 | nlink 20 u32 | size 24 u64 | atim 32 | mtim 40 | ctim 48 u64
//! whence:            0 from where it is, 1 from the end, 2 from the start
//! subscription (56): userdata 0 u64 | tag 8 u8 | clock: identifier 16 u64, id 24 u32, timeout 32, precision 40 u64, flags 48 u16
//!                                              | fd_read, fd_write: fd 16 u32
//! ```
//!
//! Source: `legacy/preview0` of the WASI repository.

use crate::ctx::WasiCtx;
use crate::host::clock::saturating_ns;
use crate::host::fs::Metadata;
use crate::p1::poll::SubscriptionLayout;
use crate::p1::types::{Errno, Layout, WHENCE_CUR, WHENCE_END, WHENCE_SET, filetype};
use crate::p1::{self, GuestMemory, link};
use hotfoot::{Caller, Linker, Result};

/// The name under which programs import these functions.
pub const MODULE: &str = "wasi_unstable";

const SUBSCRIPTION: SubscriptionLayout = SubscriptionLayout { len_bytes: 56, clock: 24 };

/// Writes what is known of an open file.
pub fn fd_filestat_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, fd: u32, stat: u32) -> Result<(), Errno> {
    let (metadata, filetype) = p1::fd::metadata(ctx, fd)?;
    mem.write(stat, &filestat(&metadata, filetype))
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
    let whence = match whence {
        0 => WHENCE_CUR,
        1 => WHENCE_END,
        2 => WHENCE_SET,
        _ => return Err(Errno::Inval),
    };
    p1::fd_seek(ctx, mem, fd, offset, whence, new_offset)
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
    let metadata = p1::path::metadata(ctx, mem, fd, flags, path, len)?;
    mem.write(stat, &filestat(&metadata, filetype(metadata.kind)))
}

/// Waits until at least one of the subscriptions at `input` has happened, and writes the events that have to `output`.
pub fn poll_oneoff(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    input: u32,
    output: u32,
    count: u32,
    nevents: u32,
) -> Result<(), Errno> {
    p1::poll::poll(ctx, mem, SUBSCRIPTION, input, output, count, nevents)
}

fn filestat(metadata: &Metadata, filetype: u8) -> [u8; 56] {
    let nlink = u32::try_from(metadata.nlink).unwrap_or(u32::MAX);
    Layout::new()
        .set(0, metadata.dev.to_le_bytes())
        .set(8, metadata.ino.to_le_bytes())
        .set(16, [filetype])
        .set(20, nlink.to_le_bytes())
        .set(24, metadata.size_bytes.to_le_bytes())
        .set(32, saturating_ns(metadata.accessed).to_le_bytes())
        .set(40, saturating_ns(metadata.modified).to_le_bytes())
        .set(48, saturating_ns(metadata.changed).to_le_bytes())
        .0
}

/// Defines all functions of preview 0 in `linker`; `get` finds the context in the store's data.
///
/// # Errors
///
/// If the linker has one of them already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    link::shared_with_preview0(linker, MODULE, get)?;
    linker.func_wrap(MODULE, "fd_filestat_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        link::call(&mut caller, get, |ctx, mem| fd_filestat_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(MODULE, "fd_seek", move |mut caller: Caller<'_, T>, a: u32, b: i64, c: u32, d: u32| {
        link::call(&mut caller, get, |ctx, mem| fd_seek(ctx, mem, a, b, c, d))
    })?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32| {
            link::call(&mut caller, get, |ctx, mem| path_filestat_get(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(MODULE, "poll_oneoff", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32| {
        link::call(&mut caller, get, |ctx, mem| poll_oneoff(ctx, mem, a, b, c, d))
    })?;
    Ok(())
}
