//! Long runs of `memory.copy` and `memory.fill`: those that compiled code does not do itself.
//!
//! Compiled code has compared bounds and passes addresses. What is left is the processor's work, and to let it be as it
//! would be in compiled code: the first write to a page of a tracked memory faults, and the signal handler makes the page
//! writable, because it sees that the store is *copying*. Nothing is looked up, so a copy of some hundred bytes costs
//! little more than one of C.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use hotfoot_abi::fuel::VariableOperatorCost;
use hotfoot_abi::vmctx::VmContext;

use super::builtins::guard_store;
use super::shared;
use super::sys::arch;

/// Bytes between two looks at whether the guest is to stop.
const CHUNK: u64 = 1 << 20;

/// Whether the store's thread is copying, for the signal handler.
#[derive(Debug, Default)]
pub struct Copying(AtomicBool);

impl Copying {
    /// Whether a fault may be a write of a copy. Async-signal-safe.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `Builtin::MemoryFill`.
pub unsafe extern "C" fn memory_fill(context: *mut VmContext, to: *mut u8, byte: u32, len: u64, races: u32) -> u32 {
    // SAFETY: S1, S22, called by compiled code, which has compared the bounds.
    unsafe {
        in_chunks(
            context,
            len,
            |cost| cost.memory_fill_per_byte,
            false,
            |start, len| {
                let to = to.add(start);
                if races == 0 { to.write_bytes(byte as u8, len) } else { arch::fill_racing(to, byte as u8, len) }
            },
        )
    }
}

/// `Builtin::MemoryCopy`.
pub unsafe extern "C" fn memory_copy(
    context: *mut VmContext,
    to: *mut u8,
    from: *const u8,
    len: u64,
    races: u32,
) -> u32 {
    // Where the target begins inside of the source, what is still to be copied must not be written first.
    let downwards = (to as u64).wrapping_sub(from as u64) < len;
    // SAFETY: S1, S22, called by compiled code, which has compared the bounds.
    unsafe {
        in_chunks(
            context,
            len,
            |cost| cost.memory_copy_per_byte,
            downwards,
            |start, len| {
                let copy = if races == 0 { std::ptr::copy } else { shared::copy };
                copy(from.add(start), to.add(start), len);
            },
        )
    }
}

/// Pays for a run, and does it in pieces, each with where it starts and how long it is.
///
/// # Safety
/// S1, S22: `context` is the instance's whose code called, and `write` only writes where that code might have.
unsafe fn in_chunks(
    context: *mut VmContext,
    len: u64,
    cost_per_byte: impl FnOnce(&VariableOperatorCost) -> u8,
    downwards: bool,
    write: impl Fn(usize, usize),
) -> u32 {
    // SAFETY: S1, by the caller's promise; S2, the guest waits, and borrows of the store end before it is written to.
    unsafe {
        guard_store(context, 0, |store| {
            (*store.as_ptr()).charge_fuel(len, cost_per_byte)?;
            let chunks = len.div_ceil(CHUNK);
            for chunk in 0..chunks {
                store.as_ref().check_interrupt()?;
                let start = CHUNK * if downwards { chunks - 1 - chunk } else { chunk };
                let copying = &raw const (*store.as_ptr()).copying;
                while_copying(&*copying, || write(start as usize, CHUNK.min(len - start) as usize));
            }
            Ok(1)
        })
    }
}

/// Lets the signal handler take faults for those of a guest. The compiler may not move what is done out of it.
fn while_copying(copying: &Copying, write: impl FnOnce()) {
    copying.0.store(true, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    write();
    compiler_fence(Ordering::SeqCst);
    copying.0.store(false, Ordering::Relaxed);
}
