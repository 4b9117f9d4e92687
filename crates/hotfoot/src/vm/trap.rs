//! What stopped compiled code, and where it stood.

use std::any::Any;
use std::ptr::NonNull;

use hotfoot_abi::trap::TrapCode;

use super::activation::{self, Stop};
use super::store::VmStore;
use crate::backtrace::WasmBacktrace;
use crate::core_dump::WasmCoreDump;
use crate::module::Module;

/// Why an activation is being left.
pub enum Pending {
    /// The guest trapped.
    Trap(TrapCode, Vec<RawFrame>),
    /// A host function returned an error.
    Error(anyhow::Error, Vec<RawFrame>),
    /// An exception that was not caught yet: the error is a [`ThrownException`](crate::ThrownException).
    Exception(anyhow::Error, Vec<RawFrame>),
    /// A host function panicked.
    Panic(Box<dyn Any + Send>),
}

/// One frame of compiled code.
#[derive(Clone, Debug)]
pub struct RawFrame {
    /// Whose code it is.
    pub module: Module,
    /// Where, from the start of its text. For all but the newest frame: inside the call instruction.
    pub code_offset: u32,
}

impl RawFrame {
    /// The address in compiled code.
    pub fn address(&self) -> usize {
        self.module.text().start + self.code_offset as usize
    }
}

/// Collects the frames of a store's guests on this thread, newest first, up to the store's limit.
///
/// `innermost` is where a guest was interrupted; otherwise the place where compiled code last called
/// the runtime is used.
///
/// # Safety
/// S1, S2: the store is alive and this thread may read it. S9: if `innermost` is given, it is of a guest of the newest
/// activation; otherwise compiled code of the newest activation is in a call of the runtime, or there is none.
pub unsafe fn capture(store: NonNull<VmStore>, innermost: Option<Stop>) -> Vec<RawFrame> {
    // SAFETY: S1.
    let (limit, exit) = unsafe {
        let store = store.as_ref();
        (store.max_backtrace_frames(), (store.ctx.last_exit_fp, store.ctx.last_exit_pc.wrapping_sub(1)))
    };
    let mut frames = Vec::new();
    let frame = |pc| {
        // SAFETY: S9, the code index is stable while this runs.
        let module = unsafe { VmStore::code_index(store) }.find(pc)?;
        let code_offset = module.code().offset_of(pc)?;
        module.code().function_at(code_offset)?;
        Some(RawFrame { module: module.clone(), code_offset })
    };
    let (mut fp, mut pc) = match innermost {
        Some(Stop { pc, fp, caller: None }) => (fp, pc),
        Some(Stop { pc, fp, caller: Some(caller) }) => {
            frames.extend(frame(pc).filter(|_| limit > 0));
            (fp, caller.wrapping_sub(1))
        }
        None => exit,
    };
    // SAFETY: S9, the references are dropped before this returns.
    for activation in unsafe { activation::chain() }.filter(|activation| activation.store() == store) {
        let end = activation.entry_frame();
        while fp != end && fp != 0 && frames.len() < limit {
            frames.extend(frame(pc));
            // SAFETY: S6, compiled code keeps frame pointers: `fp` points to the caller's and the return address.
            (fp, pc) = unsafe { (*(fp as *const usize), (*(fp as *const usize).add(1)).wrapping_sub(1)) };
        }
        let (outer_fp, outer_pc) = activation.outer_exit();
        (fp, pc) = (outer_fp, outer_pc.wrapping_sub(1));
    }
    frames
}

impl Pending {
    /// The error that the caller of the guest sees; a panic continues.
    pub fn into_error(self, store: &VmStore) -> anyhow::Error {
        match self {
            Pending::Trap(code, frames) => with_backtrace(code.into(), &frames, store),
            Pending::Error(error, frames) | Pending::Exception(error, frames) => with_backtrace(error, &frames, store),
            Pending::Panic(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn with_backtrace(error: anyhow::Error, frames: &[RawFrame], store: &VmStore) -> anyhow::Error {
    if frames.is_empty() || error.downcast_ref::<WasmBacktrace>().is_some() {
        return error;
    }
    let error = match store.engine().config().coredump_on_trap {
        true => error.context(WasmCoreDump::new(store, frames)),
        false => error,
    };
    error.context(WasmBacktrace::new(frames))
}
