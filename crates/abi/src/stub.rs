//! What stands for a function that may not be compiled yet.
//!
//! A *stub* jumps to wherever its function's *slot*, a pointer beside the code, leads: to the function's code once there is
//! some, and until then to the runtime, which has it compiled. It changes nothing but a register that no call passes
//! anything in, so that what jumped to the stub might as well have jumped to the function: a call, a tail call, a trampoline. The
//! address of a function is its stub's, and stays the same.

/// Bytes of a stub. The compiler leaves room for them, and the runtime writes them: they name addresses.
pub const STUB_SIZE: u32 = 16;
