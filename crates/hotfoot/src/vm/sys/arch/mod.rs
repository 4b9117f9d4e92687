//! What depends on the instruction set: entering and leaving compiled code, and a thread's interrupted registers.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::{
    CALL_REACH, ENTRY_FRAME_OFFSET, FLOAT_REGISTERS, HostEntryFrame, INTEGER_REGISTERS, MAX_STACK_WORDS, Vector,
    call_on_stack, compile_and_jump, copy_racing, enter, enter_on_fiber, enter_with_stack, fill_racing,
    frameless_return_address, fuel_register, has_isa_flag, host_entry_with_stack, interrupted_stack_pointer, isa_flags,
    program_counter_and_frame, resume, resume_at, stub, switch_stacks, synchronize_instructions, unwind,
    vector_from_bits, vector_to_bits,
};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    CALL_REACH, ENTRY_FRAME_OFFSET, FLOAT_REGISTERS, HostEntryFrame, INTEGER_REGISTERS, MAX_STACK_WORDS, Vector,
    call_on_stack, compile_and_jump, copy_racing, enter, enter_on_fiber, enter_with_stack, fill_racing,
    frameless_return_address, fuel_register, has_isa_flag, host_entry_with_stack, interrupted_stack_pointer, isa_flags,
    program_counter_and_frame, resume, resume_at, stub, switch_stacks, synchronize_instructions, unwind,
    vector_from_bits, vector_to_bits,
};
