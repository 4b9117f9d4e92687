//! `random_get`.

use super::memory::GuestMemory;
use super::types::Errno;
use crate::ctx::WasiCtx;

/// Fills guest memory with random bytes, straight from their source.
pub fn random_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, buffer: u32, len: u32) -> Result<(), Errno> {
    Ok(ctx.random.fill(mem.slice_mut(buffer, len)?)?)
}
