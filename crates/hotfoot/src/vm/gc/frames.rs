//! The references in compiled frames.
//!
//! A call is the only place where a collection can find compiled code. Before each, the code puts references that it
//! needs afterwards into its frame, at places that the artifact lists by the call's return address, and reads them from
//! there again. So a frame's references are found from its frame pointer and the address that it will be returned to.

use std::ptr::NonNull;

use crate::vm::activation;
use crate::vm::store::VmStore;

/// Where the references of a store's frames on this thread are.
///
/// # Safety
/// S1, S9: compiled code of the store is in calls of the runtime, or not on the stack.
pub unsafe fn references(store: NonNull<VmStore>, found: &mut Vec<NonNull<u32>>) {
    // SAFETY: S1, S9: no module is added while this runs.
    let (index, ctx) = unsafe { (VmStore::code_index(store), &store.as_ref().ctx) };
    let (mut fp, mut pc) = (ctx.last_exit_fp, ctx.last_exit_pc);
    // SAFETY: S9, the references are dropped before this returns.
    for activation in unsafe { activation::chain() }.filter(|activation| activation.store() == store) {
        let end = activation.entry_frame();
        while fp != end && fp != 0 {
            if let Some(module) = index.find(pc.wrapping_sub(1)) {
                for below in module.code().stack_map(pc) {
                    // SAFETY: S6, the compiler lists places inside of the frame.
                    found.push(unsafe { NonNull::new_unchecked((fp - below as usize) as *mut u32) });
                }
            }
            // SAFETY: S6, compiled code keeps frame pointers: `fp` points to the caller's and the return address.
            (fp, pc) = unsafe { (*(fp as *const usize), *(fp as *const usize).add(1)) };
        }
        (fp, pc) = activation.outer_exit();
    }
}
