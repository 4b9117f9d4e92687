//! Room for guests that may go deeper than the stack that the system gave us.
//!
//! Guests run on the stack of the thread that calls them. What they may use of it is a promise of the engine's
//! configuration, so a larger promise needs a larger stack; an overflow of the real one would end the whole process.

use std::panic;
use std::thread;

use anyhow::{Result, anyhow};

/// The host's own part: what calls the guest, and the functions that it calls in turn.
const HOST_STACK_SIZE: usize = 2 << 20;
/// What a guest may use when nothing is said, see `Config::max_wasm_stack`.
const DEFAULT_GUEST_SIZE: u64 = 512 << 10;

/// The stack of a thread for a guest that uses so many bytes, or as many as there are by default.
pub fn size(guest_size: Option<u64>) -> usize {
    let guest_size = guest_size.unwrap_or(DEFAULT_GUEST_SIZE);
    usize::try_from(guest_size).ok().and_then(|size| size.checked_add(HOST_STACK_SIZE)).unwrap_or(usize::MAX)
}

/// Does the work with room for a guest that uses so many bytes; none asks for no more than there is by default.
pub fn with_room(guest_size: Option<u64>, work: impl FnOnce() -> Result<i32> + Send) -> Result<i32> {
    let Some(guest_size) = guest_size else { return work() };
    thread::scope(|scope| {
        let size = usize::try_from(guest_size).ok().and_then(|size| size.checked_add(HOST_STACK_SIZE));
        let thread = size.and_then(|size| thread::Builder::new().stack_size(size).spawn_scoped(scope, work).ok());
        let thread = thread
            .ok_or_else(|| anyhow!("there is no room for a stack of {guest_size} bytes; lower --max-wasm-stack"))?;
        thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}
