//! x86-64, System V.
//!
//! The stack while compiled code runs, and what `unwind` restores:
//!
//! ```text
//!  …  Rust
//!     return address
//!     saved rbp            ◀ rbp of `enter`: the frame at which backtraces stop
//!     rbx r12 r13 r14 r15
//!     (8 bytes to align)   ◀ kept in the activation: where `unwind` sets rsp
//!     entry trampoline, or what does not fit in registers
//!     compiled code, …
//! ```
//!
//! Compiled code takes its arguments in the registers of the C convention, and returns one result where C does. So a call
//! with the right C signature needs no trampoline, in either direction: [`enter_with_registers`] and [`host_entry`] only
//! do what trampolines do besides. But compiled functions pop those arguments that are on the stack.

use std::arch::naked_asm;
use std::mem::offset_of;

use hotfoot_abi::stub::STUB_SIZE;
use hotfoot_abi::vmctx::{VmContext, VmFuncRef, VmHostContext, offsets};
use libc::ucontext_t;

use crate::vm::activation::Activation;
use crate::vm::lazy;

/// Distance from the stack pointer that `enter` saves to the frame pointer that it sets.
pub const ENTRY_FRAME_OFFSET: usize = 48;

/// A 128-bit vector in a register.
pub type Vector = std::arch::x86_64::__m128i;

/// The vector with these bits.
#[inline(always)]
pub fn vector_from_bits(bits: u128) -> Vector {
    // SAFETY: S7, both are 16 bytes of which any are valid.
    unsafe { std::mem::transmute(bits) }
}

/// The bits of a vector.
#[inline(always)]
pub fn vector_to_bits(vector: Vector) -> u128 {
    // SAFETY: S7, both are 16 bytes of which any are valid.
    unsafe { std::mem::transmute(vector) }
}

/// Integers and references that are passed in registers, after the two contexts.
pub const INTEGER_REGISTERS: usize = 4;
/// Floats and vectors that are passed in registers.
pub const FLOAT_REGISTERS: usize = 8;
/// Words that are passed on the stack at most, after those in registers.
pub const MAX_STACK_WORDS: usize = 8;

/// The first part of `enter…`, [`call_on_stack`] and [`switch_stacks`]: saves what compiled code and other stacks do not, and then the stack
/// pointer, behind the register `$base`.
macro_rules! save_registers {
    ($base:literal) => {
        concat!(
            "push rbp\nmov rbp, rsp\npush rbx\npush r12\npush r13\npush r14\npush r15\nsub rsp, 8\nmov [",
            $base,
            " + {sp}], rsp"
        )
    };
}

/// The last part of these and of [`unwind`]: restores that, and returns.
macro_rules! restore_and_return {
    () => {
        "add rsp, 8\npop r15\npop r14\npop r13\npop r12\npop rbx\npop rbp\nret"
    };
}

/// Calls the entry trampoline `entry(callee, caller, code, slots)`.
///
/// # Safety
/// The arguments are as [`hotfoot_abi::call`] says; `activation` lives until this returns and is the thread's current.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(
    entry: *const u8,
    callee: *mut VmContext,
    caller: *mut VmContext,
    code: *const u8,
    slots: *mut u8,
    activation: *mut Activation,
) {
    naked_asm!(
        save_registers!("r9"),
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov rcx, r8",
        "call rax",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
    )
}

/// Calls a function with the arguments that follow these two, which are all in registers, and returns its result. To be
/// called as `extern "C" fn(*const VmFuncRef, *mut Activation, arguments…) -> result`.
///
/// # Safety
/// S7: the arguments and the result are what the function takes and returns. `activation` lives until this returns and is
/// the thread's current.
#[unsafe(naked)]
pub unsafe extern "C" fn enter_with_registers(func: *const VmFuncRef, activation: *mut Activation) {
    naked_asm!(
        save_registers!("rsi"),
        "mov rax, [rdi + {code}]",
        "mov rdi, [rdi + {vmctx}]",
        "mov rsi, [rsi + {caller}]",
        "call rax",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        caller = const Activation::CALLER_OFFSET,
        code = const offsets::FUNCREF_CODE,
        vmctx = const offsets::FUNCREF_VMCTX,
    )
}

/// As [`enter_with_registers`], with `PAIRS` times two words of arguments on the stack.
///
/// # Safety
/// As [`enter_with_registers`].
#[unsafe(naked)]
unsafe extern "C" fn enter_with_pairs<const PAIRS: usize>(func: *const VmFuncRef, activation: *mut Activation) {
    naked_asm!(
        save_registers!("rsi"),
        // Each push moves the stack pointer to the next word.
        ".rept {bytes} / 8",
        "push [rsp + {bytes} + 8 + {frame}]",
        ".endr",
        "mov rax, [rdi + {code}]",
        "mov rdi, [rdi + {vmctx}]",
        "mov rsi, [rsi + {caller}]",
        "call rax",
        "lea rsp, [rbp - {frame}]",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        caller = const Activation::CALLER_OFFSET,
        code = const offsets::FUNCREF_CODE,
        vmctx = const offsets::FUNCREF_VMCTX,
        frame = const ENTRY_FRAME_OFFSET,
        bytes = const PAIRS * 16,
    )
}

/// [`enter_with_registers`] for a function with so many words of arguments on the stack.
pub const fn enter_with_stack(words: usize) -> unsafe extern "C" fn(*const VmFuncRef, *mut Activation) {
    match words.div_ceil(2) {
        0 => enter_with_registers,
        1 => enter_with_pairs::<1>,
        2 => enter_with_pairs::<2>,
        3 => enter_with_pairs::<3>,
        _ => enter_with_pairs::<4>,
    }
}

/// As [`enter_with_registers`], on the stack whose upper end the activation is, with `PAIRS` times two words of arguments on it. May
/// return when something below goes back with [`switch_stacks`]; then the result means nothing, and that of the next
/// `switch_stacks` does.
///
/// # Safety
/// As [`enter_with_registers`], and S15: nobody uses the stack below the activation.
#[unsafe(naked)]
unsafe extern "C" fn enter_on_fiber_with_pairs<const PAIRS: usize>(
    func: *const VmFuncRef,
    activation: *mut Activation,
) {
    naked_asm!(
        save_registers!("rsi"),
        "lea r10, [rsp + {bytes} + {frame} + 8]",
        "mov rbx, rsp",
        // Where a walk over frames ends.
        "mov rbp, rsi",
        "mov rsp, rsi",
        ".rept {bytes} / 8",
        "push [r10]",
        "sub r10, 8",
        ".endr",
        "mov rax, [rdi + {code}]",
        "mov rdi, [rdi + {vmctx}]",
        "mov rsi, [rsi + {caller}]",
        "call rax",
        // Everything waits for the stack pointer, and most often this is still the same poll: then it need not be loaded. It is never,
        // not for one instruction, that of an older poll, as a signal may come.
        "cmp rbx, [rbp + {sp}]",
        "jne 2f",
        "mov rsp, rbx",
        restore_and_return!(),
        "2:",
        "mov rsp, [rbp + {sp}]",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        caller = const Activation::CALLER_OFFSET,
        code = const offsets::FUNCREF_CODE,
        vmctx = const offsets::FUNCREF_VMCTX,
        frame = const ENTRY_FRAME_OFFSET,
        bytes = const PAIRS * 16,
    )
}

/// How a function with so many words of arguments on the stack is entered on a fiber.
pub const fn enter_on_fiber(words: usize) -> unsafe extern "C" fn(*const VmFuncRef, *mut Activation) {
    match words.div_ceil(2) {
        0 => enter_on_fiber_with_pairs::<0>,
        1 => enter_on_fiber_with_pairs::<1>,
        2 => enter_on_fiber_with_pairs::<2>,
        3 => enter_on_fiber_with_pairs::<3>,
        _ => enter_on_fiber_with_pairs::<4>,
    }
}

/// Leaves compiled code: `enter…` of this activation returns, with a result that means nothing, and the activation says so.
///
/// # Safety
/// The activation is the thread's current, its `enter…` has not returned, and no frame between here and there owns
/// anything.
#[unsafe(naked)]
pub unsafe extern "C" fn unwind(activation: *const Activation) -> ! {
    naked_asm!(
        "mov rsp, [rdi + {sp}]",
        "mov byte ptr [rdi + {left}], 1",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        left = const Activation::LEFT_OFFSET,
    )
}

/// Calls a function on another stack, whose `top` is a multiple of 16. Returns when that function does, or when something that it
/// calls goes back with [`switch_stacks`]; meanwhile `other` says where this stack goes on.
///
/// # Safety
/// S15: the stack below `top` is in use by nobody, and has room for what the function does; `other` lives until the function
/// has returned, and goes with the stack. The function does not unwind.
#[unsafe(naked)]
pub unsafe extern "C" fn call_on_stack(
    other: *mut usize,
    top: *mut u8,
    function: unsafe extern "C" fn(*mut u8),
    argument: *mut u8,
) {
    naked_asm!(
        save_registers!("rdi"),
        "mov rbx, rdi",
        "mov rsp, rsi",
        "mov rdi, rcx",
        // Whoever walks up frames stops here.
        "xor ebp, ebp",
        "call rdx",
        "mov rsp, [rbx]",
        restore_and_return!(),
        sp = const 0,
    )
}

/// Goes on with the stack that does not run, of the two that share `other`: returns from what it called last, of this,
/// [`call_on_stack`] and what [`enter_on_fiber`] gives.
///
/// # Safety
/// S15: `other` is that of a call of the latter two that has not ended; the other stack may run on this thread.
#[unsafe(naked)]
pub unsafe extern "C" fn switch_stacks(other: *mut usize) {
    naked_asm!("mov rax, [rdi]", save_registers!("rdi"), "mov rsp, rax", restore_and_return!(), sp = const 0)
}

/// Records where the guest stands that called: what a trampoline out of compiled code does first.
macro_rules! record_exit {
    () => {
        "mov rax, [rsi + {store}]\nmov [rax + {fp}], rbp\nmov r10, [rsp]\nmov [rax + {pc}], r10"
    };
}

/// A host function as compiled code calls it: goes to [`VmHostContext::native`](hotfoot_abi::vmctx::VmHostContext) of
/// the callee with arguments and result as they are, all of them in registers.
///
/// # Safety
/// Only compiled code calls this; S7: the function takes and returns what the guest passes and expects.
#[unsafe(naked)]
pub unsafe extern "C" fn host_entry() {
    naked_asm!(
        record_exit!(),
        "jmp [rdi + {native}]",
        store = const offsets::VMCTX_STORE,
        fp = const offsets::STORE_LAST_EXIT_FP,
        pc = const offsets::STORE_LAST_EXIT_PC,
        native = const offset_of!(VmHostContext, native),
    )
}

/// What lies between the arguments on the stack and the C function that [`host_entry_with_stack`] leads to: two words to align,
/// the guest's frame pointer, and its return address. To C it is the first argument on the stack.
#[repr(C)]
pub struct HostEntryFrame([usize; 4]);

/// As [`host_entry`], with `PAIRS` times two words of arguments on the stack; they stay where they are, below [`HostEntryFrame`].
///
/// # Safety
/// As [`host_entry`].
#[unsafe(naked)]
unsafe extern "C" fn host_entry_with_pairs<const PAIRS: usize>() {
    naked_asm!(
        record_exit!(),
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 16",
        "call [rdi + {native}]",
        "leave",
        "ret {bytes}",
        store = const offsets::VMCTX_STORE,
        fp = const offsets::STORE_LAST_EXIT_FP,
        pc = const offsets::STORE_LAST_EXIT_PC,
        native = const offset_of!(VmHostContext, native),
        bytes = const PAIRS * 16,
    )
}

/// [`host_entry`] for a function with so many words of arguments on the stack.
pub fn host_entry_with_stack(words: usize) -> *const u8 {
    match words.div_ceil(2) {
        0 => host_entry as *const u8,
        1 => host_entry_with_pairs::<1> as *const u8,
        2 => host_entry_with_pairs::<2> as *const u8,
        3 => host_entry_with_pairs::<3> as *const u8,
        _ => host_entry_with_pairs::<4> as *const u8,
    }
}

/// Continues compiled code at a handler of exceptions, with the two words that it gets and the store's fuel.
///
/// # Safety
/// S8: `pc` is a handler of the call that the frame at `fp` is in, `sp` was the stack pointer during that call, the frame
/// belongs to the newest activation, and no frame between here and there owns anything.
#[unsafe(naked)]
pub unsafe extern "C" fn resume(pc: usize, sp: usize, fp: usize, first: u64, second: u64, fuel: i64) -> ! {
    naked_asm!("mov rsp, rsi", "mov rbp, rdx", "mov rax, rcx", "mov rdx, r8", "mov r15, r9", "jmp rdi",)
}

/// How far apart a call and what it calls may be.
pub const CALL_REACH: usize = i32::MAX as usize;

/// A function's stub for this address. `rax` is where no call passes anything.
///
/// ```text
///  lea rax, [rip + slot]
///  jmp [rax]
/// ```
pub fn stub(address: usize, slot: usize) -> [u8; STUB_SIZE as usize] {
    /// Instructions count from behind themselves.
    const LEA_LEN: usize = 7;
    let mut code = [0xcc; STUB_SIZE as usize];
    code[..3].copy_from_slice(&[0x48, 0x8d, 0x05]);
    code[3..LEA_LEN].copy_from_slice(&((slot - (address + LEA_LEN)) as i32).to_le_bytes());
    code[LEA_LEN..LEA_LEN + 2].copy_from_slice(&[0xff, 0x20]);
    code
}

/// Where the stub of a function without code jumps to, with the function's slot in `rax` and all else as the function was
/// called: has it compiled, and jumps there.
///
/// ```text
///     arguments on the stack
///     return address       ◀ frame[1] of `resolve`
///     saved rbp            ◀ rbp, frame[0]
///     rdi rsi rdx rcx r8 r9
///     xmm0 … xmm7          ◀ rsp
/// ```
///
/// # Safety
/// S19: only stubs jump here.
#[unsafe(naked)]
pub unsafe extern "C" fn compile_and_jump() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push r8",
        "push r9",
        "sub rsp, 128",
        "movups [rsp], xmm0",
        "movups [rsp + 16], xmm1",
        "movups [rsp + 32], xmm2",
        "movups [rsp + 48], xmm3",
        "movups [rsp + 64], xmm4",
        "movups [rsp + 80], xmm5",
        "movups [rsp + 96], xmm6",
        "movups [rsp + 112], xmm7",
        "mov rsi, rax",
        "mov rdx, rbp",
        "mov rcx, r15",
        "call {resolve}",
        "movups xmm0, [rsp]",
        "movups xmm1, [rsp + 16]",
        "movups xmm2, [rsp + 32]",
        "movups xmm3, [rsp + 48]",
        "movups xmm4, [rsp + 64]",
        "movups xmm5, [rsp + 80]",
        "movups xmm6, [rsp + 96]",
        "movups xmm7, [rsp + 112]",
        "add rsp, 128",
        "pop r9",
        "pop r8",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "jmp rax",
        resolve = sym lazy::resolve,
    )
}

/// Where the interrupted thread was: its program counter and frame pointer.
pub fn program_counter_and_frame(context: &ucontext_t) -> (usize, usize) {
    let registers = &context.uc_mcontext.gregs;
    (registers[libc::REG_RIP as usize] as usize, registers[libc::REG_RBP as usize] as usize)
}

/// The stack pointer of the interrupted thread.
pub fn interrupted_stack_pointer(context: &ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
}

/// The address to which a function returns that was interrupted before it made its frame, or after it took it down;
/// `start` is the function's first instruction. Its frame pointer is then still, or again, its caller's.
pub fn frameless_return_address(context: &ucontext_t, start: usize) -> Option<usize> {
    let registers = &context.uc_mcontext.gregs;
    let (pc, sp) = (registers[libc::REG_RIP as usize] as usize, registers[libc::REG_RSP as usize] as usize);
    /// `push rbp` is one byte long.
    const PUSHED: usize = 1;
    const RET: u8 = 0xc3;
    // SAFETY: S6, `pc` is at an instruction of a function; at these places the return address is on top of the stack, or
    // below the caller's frame pointer that was just pushed.
    unsafe {
        if pc == start || *(pc as *const u8) == RET {
            return Some(*(sp as *const usize));
        }
        (pc == start + PUSHED).then(|| *(sp as *const usize).add(1))
    }
}

/// The register in which the interrupted thread kept fuel, if its code consumes any.
pub fn fuel_register(context: &ucontext_t) -> i64 {
    context.uc_mcontext.gregs[libc::REG_R15 as usize]
}

/// Makes the interrupted thread continue in `function(argument)`, on its own stack, as if it had called it.
pub fn resume_at(context: &mut ucontext_t, function: usize, argument: usize) {
    let registers = &mut context.uc_mcontext.gregs;
    let sp = registers[libc::REG_RSP as usize] as usize;
    // A call leaves the stack pointer 8 below a multiple of 16; 128 bytes are skipped for a red zone.
    registers[libc::REG_RSP as usize] = (((sp - 128) & !15) - 8) as i64;
    registers[libc::REG_RIP as usize] = function as i64;
    registers[libc::REG_RDI as usize] = argument as i64;
}

/// Copies bytes, lowest first, that other threads may be writing or reading.
///
/// # Safety
/// S5, S16: both ranges are accessible; if they overlap, the target begins below the source.
pub unsafe fn copy_racing(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: S5, S16, by the caller's promise; the direction flag is clear, as the calling convention says.
    unsafe {
        std::arch::asm!("rep movsb", inout("rcx") len => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags));
    }
}

/// Fills bytes that other threads may be writing or reading.
///
/// # Safety
/// S5, S16: the range is accessible.
pub unsafe fn fill_racing(to: *mut u8, byte: u8, len: usize) {
    // SAFETY: S5, S16, by the caller's promise; the direction flag is clear, as the calling convention says.
    unsafe {
        std::arch::asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte,
            options(nostack, preserves_flags));
    }
}

/// Makes freshly written code visible to instruction fetch; this processor does so by itself.
pub fn synchronize_instructions(_start: *const u8, _len: usize) {}

/// An extension of the processor: the code generator's name for it, and how to ask for it.
type IsaFlag = (&'static str, fn() -> bool);

const ISA_FLAGS: [IsaFlag; 19] = [
    ("has_cmpxchg16b", || is_x86_feature_detected!("cmpxchg16b")),
    ("has_sse3", || is_x86_feature_detected!("sse3")),
    ("has_ssse3", || is_x86_feature_detected!("ssse3")),
    ("has_sse41", || is_x86_feature_detected!("sse4.1")),
    ("has_sse42", || is_x86_feature_detected!("sse4.2")),
    ("has_avx", || is_x86_feature_detected!("avx")),
    ("has_avx2", || is_x86_feature_detected!("avx2")),
    ("has_fma", || is_x86_feature_detected!("fma")),
    ("has_popcnt", || is_x86_feature_detected!("popcnt")),
    ("has_bmi1", || is_x86_feature_detected!("bmi1")),
    ("has_bmi2", || is_x86_feature_detected!("bmi2")),
    ("has_lzcnt", || is_x86_feature_detected!("lzcnt")),
    ("has_avx_vnni", || is_x86_feature_detected!("avxvnni")),
    ("has_avx512vnni", || is_x86_feature_detected!("avx512vnni")),
    ("has_avx512f", || is_x86_feature_detected!("avx512f")),
    ("has_avx512dq", || is_x86_feature_detected!("avx512dq")),
    ("has_avx512vl", || is_x86_feature_detected!("avx512vl")),
    ("has_avx512vbmi", || is_x86_feature_detected!("avx512vbmi")),
    ("has_avx512bitalg", || is_x86_feature_detected!("avx512bitalg")),
];

/// The extensions that this processor has, by the code generator's names.
pub fn isa_flags() -> impl Iterator<Item = &'static str> {
    ISA_FLAGS.iter().filter(|(_, has)| has()).map(|(name, _)| *name)
}

/// Whether this processor has an extension. Unknown names are refused.
pub fn has_isa_flag(flag: &str) -> bool {
    ISA_FLAGS.iter().any(|(name, has)| *name == flag && has())
}
