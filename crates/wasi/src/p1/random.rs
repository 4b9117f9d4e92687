//! `random_get`.

use super::memory::GuestMemory;
use super::types::Errno;
use crate::ctx::WasiCtx;

/// The most random bytes in one call, which makes them all or fails: some tenths of a second's work for the kernel.
const RANDOM_BYTES_MAX: u32 = 64 << 20;

/// Fills guest memory with random bytes, straight from their source.
pub fn random_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, buffer: u32, len: u32) -> Result<(), Errno> {
    mem.check(buffer, len)?;
    if len > RANDOM_BYTES_MAX {
        return Err(Errno::Inval);
    }
    Ok(ctx.random.fill(mem.slice_mut(buffer, len)?)?)
}
