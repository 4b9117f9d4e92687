//! `clock_res_get`, `clock_time_get`.

use super::memory::GuestMemory;
use super::types::Errno;
use crate::ctx::WasiCtx;
use crate::host::clock::ClockId;

/// The clock with this number in the specification.
pub(super) fn clock_id(id: u32) -> Result<ClockId, Errno> {
    match id {
        0 => Ok(ClockId::Realtime),
        1 => Ok(ClockId::Monotonic),
        2 => Ok(ClockId::ProcessCpu),
        3 => Ok(ClockId::ThreadCpu),
        _ => Err(Errno::Inval),
    }
}

/// Writes the resolution of a clock, in nanoseconds.
pub fn clock_res_get(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, id: u32, resolution: u32) -> Result<(), Errno> {
    mem.write_u64(resolution, ctx.clock.resolution_ns(clock_id(id)?))
}

/// Writes the time of a clock, in nanoseconds. The precision that a guest asks for makes no difference: the exact time
/// costs no more than a coarse one.
pub fn clock_time_get(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    id: u32,
    _precision_ns: u64,
    time: u32,
) -> Result<(), Errno> {
    mem.write_u64(time, ctx.clock.now_ns(clock_id(id)?))
}
