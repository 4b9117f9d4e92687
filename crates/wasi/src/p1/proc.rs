//! `proc_exit`, `proc_raise`, `sched_yield`.
//!
//! A guest ends by an error that unwinds to whoever called it: [`I32Exit`], found by `Error::downcast_ref`.

use super::types::Errno;
use crate::ctx::WasiCtx;

/// The guest ended itself with this exit code. 0 is success; it is an error all the same, as it ends the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest exited with code {0}; read the code with `downcast_ref::<I32Exit>()` to end as it did")]
pub struct I32Exit(pub i32);

/// Ends the guest.
pub fn proc_exit(code: u32) -> I32Exit {
    I32Exit(code as i32)
}

/// Raises a signal in the guest, which has no handlers: what ends a process by default ends the guest with the code that
/// a shell reports for it (128 + the number), what is ignored by default is ignored, stopping is not supported.
pub fn proc_raise(signal: u32) -> Result<Result<(), I32Exit>, Errno> {
    match signal {
        // 0 asks only whether the process is there; 13 PIPE, 16 CHLD, 17 CONT, 22 URG, 27 WINCH.
        0 | 13 | 16 | 17 | 22 | 27 => Ok(Ok(())),
        // 18 STOP, 19 TSTP, 20 TTIN, 21 TTOU.
        18..=21 => Err(Errno::Notsup),
        1..=30 => Ok(Err(I32Exit(128 + signal as i32))),
        _ => Err(Errno::Inval),
    }
}

/// Lets another thread of the host run.
pub fn sched_yield(_ctx: &mut WasiCtx) -> Result<(), Errno> {
    rustix::thread::sched_yield();
    Ok(())
}
