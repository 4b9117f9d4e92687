//! How values cross calls.
//!
//! There are three kinds of call, and each function type has a trampoline for the two that cross the border:
//!
//! ```text
//!  kind        convention   arguments                                         results
//!  wasm→wasm   Cranelift    (callee_vmctx, caller_vmctx, [area,] params…)      in registers, or in `area`
//!              `tail`
//!  host→wasm   C            entry(callee_vmctx, caller_vmctx, code, slots)     in the same slots
//!  wasm→host   C            host(callee_vmctx, caller_vmctx, slots, count)     in the same slots; returns false
//!                                                                              when the host wants to unwind
//! ```
//!
//! Where the C convention passes what follows the contexts in the same places as `tail`, and there is one result at most,
//! the runtime enters a function, or is called as one, without a trampoline: it then does what trampolines do besides
//! passing values (`vm/sys/arch` of the runtime). Fuel crosses by trampolines only.
//!
//! A function that no reference can name has no `caller_vmctx`: only functions of its own module call it, and their context
//! is its own.
//!
//! A *slot* is 16 bytes, little endian, the value in its low bytes, the rest undefined. `slots` has room for
//! `max(params, results)` values. References cross as they are held in code: a `funcref` is a pointer to a
//! [`VmFuncRef`](crate::vmctx::VmFuncRef) or null, an `externref` or `exnref` is a
//! 32-bit index into its store or 0 for null.
//!
//! Result area: registers hold at most [`MAX_REG_RESULTS`] integer and as many float or vector results. A function
//! type with more passes `area`, a pointer to one slot per result, as a third hidden argument; then no result is
//! in a register. [`results_use_area`] decides, for both sides.

/// Bytes of one slot in the array that carries values between host and compiled code.
pub const SLOT_SIZE: u32 = 16;

/// How many results of each register class a call returns in registers.
pub const MAX_REG_RESULTS: usize = 8;

/// Whether a function with so many integer (i32, i64, reference) and float or vector results returns them all
/// through a result area.
pub const fn results_use_area(integers: usize, floats: usize) -> bool {
    integers > MAX_REG_RESULTS || floats > MAX_REG_RESULTS
}
