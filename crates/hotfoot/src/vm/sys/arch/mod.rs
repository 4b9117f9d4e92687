//! What depends on the instruction set: entering and leaving compiled code, and a thread's interrupted registers.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{
    CALL_REACH, ENTRY_FRAME_OFFSET, compile_and_jump, copy_racing, enter, fill_racing, frameless_return_address,
    fuel_register, has_isa_flag, isa_flags, program_counter_and_frame, resume, resume_at, stack_pointer, stub,
    synchronize_instructions, unwind,
};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    CALL_REACH, ENTRY_FRAME_OFFSET, compile_and_jump, copy_racing, enter, fill_racing, frameless_return_address,
    fuel_register, has_isa_flag, isa_flags, program_counter_and_frame, resume, resume_at, stack_pointer, stub,
    synchronize_instructions, unwind,
};
