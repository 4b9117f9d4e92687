//! Making all threads of the process see code that one of them wrote.
//!
//! A processor may have fetched what was at an address before it was written there, under another address for the same
//! memory, and both x86-64 and AArch64 ask that each of them discards that before it runs the new code. The kernel has
//! it done, to all threads that run.

use std::io;
use std::sync::OnceLock;

use rustix::thread::{MembarrierCommand, membarrier};

/// Tells the kernel that this process will ask, once.
pub fn prepare() -> io::Result<()> {
    static PREPARED: OnceLock<Result<(), rustix::io::Errno>> = OnceLock::new();
    let register = || membarrier(MembarrierCommand::RegisterPrivateExpeditedSyncCore);
    Ok((*PREPARED.get_or_init(register))?)
}

/// Returns when no thread will run what was there before. `prepare` succeeded before.
pub fn all_threads_see_new_code() {
    let asked = membarrier(MembarrierCommand::PrivateExpeditedSyncCore);
    debug_assert!(asked.is_ok(), "the kernel refused a barrier that it had agreed to: {asked:?}");
}
