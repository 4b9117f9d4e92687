//! `args_get`, `args_sizes_get`, `environ_get`, `environ_sizes_get`: lists of strings, each ended by a zero byte.

use super::memory::GuestMemory;
use super::types::Errno;
use crate::ctx::WasiCtx;

/// Writes pointers to the arguments at `argv` and the arguments themselves at `argv_buf`.
pub fn args_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, argv: u32, argv_buf: u32) -> Result<(), Errno> {
    write_strings(&ctx.args, mem, argv, argv_buf)
}

/// Says how many arguments there are and how many bytes they take.
pub fn args_sizes_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, count: u32, bytes: u32) -> Result<(), Errno> {
    write_sizes(&ctx.args, mem, count, bytes)
}

/// Writes pointers to the environment variables at `environ` and the variables, `NAME=VALUE`, at `environ_buf`.
pub fn environ_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, environ: u32, environ_buf: u32) -> Result<(), Errno> {
    write_strings(&ctx.env, mem, environ, environ_buf)
}

/// Says how many environment variables there are and how many bytes they take.
pub fn environ_sizes_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, count: u32, bytes: u32) -> Result<(), Errno> {
    write_sizes(&ctx.env, mem, count, bytes)
}

fn write_strings(strings: &[Vec<u8>], mem: &mut GuestMemory<'_>, pointers: u32, buffer: u32) -> Result<(), Errno> {
    let (mut pointer, mut at) = (pointers, buffer);
    for string in strings {
        mem.write_u32(pointer, at)?;
        mem.write(at, string)?;
        // Both stay inside the memory, which was just written to; only the very last byte of 4 GiB can overflow.
        at = at.checked_add(string.len() as u32).ok_or(Errno::Fault)?;
        mem.write(at, &[0])?;
        at = at.checked_add(1).ok_or(Errno::Fault)?;
        pointer = pointer.checked_add(4).ok_or(Errno::Fault)?;
    }
    Ok(())
}

fn write_sizes(strings: &[Vec<u8>], mem: &mut GuestMemory<'_>, count: u32, bytes: u32) -> Result<(), Errno> {
    mem.write_size(count, strings.len())?;
    mem.write_size(bytes, strings.iter().map(|string| string.len() + 1).sum())
}
