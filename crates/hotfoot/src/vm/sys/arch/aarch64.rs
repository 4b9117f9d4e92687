//! AArch64, AAPCS64. Compiles on its targets; x86-64 is where hotfoot is tested.
//!
//! `enter` saves x19–x28, d8–d15, the frame pointer and the link register; `unwind` restores them.

use std::arch::naked_asm;
use std::mem::offset_of;

use hotfoot_abi::stub::STUB_SIZE;
use hotfoot_abi::vmctx::{VmContext, VmFuncRef, VmHostContext, offsets};
use libc::ucontext_t;

use crate::vm::activation::Activation;
use crate::vm::lazy;

/// Distance from the stack pointer that `enter` saves to the frame pointer that it sets.
pub const ENTRY_FRAME_OFFSET: usize = 0;

/// A 128-bit vector in a register.
pub type Vector = std::arch::aarch64::uint8x16_t;

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
/// Words that are passed on the stack at most, after those in registers: the conventions agree on none.
pub const MAX_STACK_WORDS: usize = 0;

/// The first part of `enter…`, [`call_on_stack`] and [`switch_stacks`]: saves what compiled code and other stacks do not, and then the stack
/// pointer, behind the register `$base`.
macro_rules! save_registers {
    ($base:literal) => {
        concat!(
            "stp x29, x30, [sp, #-160]!\nmov x29, sp\n",
            "stp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n",
            "stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\n",
            "stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n",
            "mov x9, sp\nstr x9, [",
            $base,
            ", #{sp}]"
        )
    };
}

/// The last part of these and of [`unwind`]: restores that, and returns.
macro_rules! restore_and_return {
    () => {
        concat!(
            "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\n",
            "ldp x25, x26, [sp, #64]\nldp x27, x28, [sp, #80]\n",
            "ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n",
            "ldp x29, x30, [sp], #160\nret"
        )
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
        save_registers!("x5"),
        "mov x9, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "blr x9",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
    )
}

/// Calls a function with the arguments that follow these two, which are all in registers, and returns its result. To be
/// called as `extern "C" fn(*const VmFuncRef, *mut Activation, arguments…) -> result`. Compiled code begins with `x2`, for
/// arguments and for results, where C begins with `x0`.
///
/// # Safety
/// S7: the arguments and the result are what the function takes and returns. `activation` lives until this returns and is
/// the thread's current.
#[unsafe(naked)]
unsafe extern "C" fn enter_with_registers(func: *const VmFuncRef, activation: *mut Activation) {
    naked_asm!(
        save_registers!("x1"),
        "mov x7, x5",
        "mov x6, x4",
        "mov x5, x3",
        "mov x4, x2",
        "ldr x9, [x0, #{code}]",
        "ldr x3, [x1, #{caller}]",
        "ldr x2, [x0, #{vmctx}]",
        "blr x9",
        "mov x0, x2",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        caller = const Activation::CALLER_OFFSET,
        code = const offsets::FUNCREF_CODE,
        vmctx = const offsets::FUNCREF_VMCTX,
    )
}

/// [`enter_with_registers`]; no words can be on the stack.
pub const fn enter_with_stack(_words: usize) -> unsafe extern "C" fn(*const VmFuncRef, *mut Activation) {
    enter_with_registers
}

/// As [`enter_with_registers`], on the stack whose upper end the activation is. May return when something below goes back with
/// [`switch_stacks`]; then the result means nothing, and that of the next `switch_stacks` does.
///
/// # Safety
/// As [`enter_with_registers`], and S15: nobody uses the stack below the activation.
#[unsafe(naked)]
unsafe extern "C" fn enter_on_fiber_with_registers(func: *const VmFuncRef, activation: *mut Activation) {
    naked_asm!(
        save_registers!("x1"),
        // Where a walk over frames ends.
        "mov x29, x1",
        "mov sp, x1",
        "mov x7, x5",
        "mov x6, x4",
        "mov x5, x3",
        "mov x4, x2",
        "ldr x9, [x0, #{code}]",
        "ldr x3, [x1, #{caller}]",
        "ldr x2, [x0, #{vmctx}]",
        "blr x9",
        "mov x0, x2",
        "ldr x9, [x29, #{sp}]",
        "mov sp, x9",
        restore_and_return!(),
        sp = const Activation::ENTRY_SP_OFFSET,
        caller = const Activation::CALLER_OFFSET,
        code = const offsets::FUNCREF_CODE,
        vmctx = const offsets::FUNCREF_VMCTX,
    )
}

/// How a function is entered on a fiber; no words can be on the stack.
pub const fn enter_on_fiber(_words: usize) -> unsafe extern "C" fn(*const VmFuncRef, *mut Activation) {
    enter_on_fiber_with_registers
}

/// Leaves compiled code: `enter…` of this activation returns, with a result that means nothing, and the activation says so.
///
/// # Safety
/// The activation is the thread's current, its `enter…` has not returned, and no frame between here and there owns
/// anything.
#[unsafe(naked)]
pub unsafe extern "C" fn unwind(activation: *const Activation) -> ! {
    naked_asm!(
        "ldr x9, [x0, #{sp}]",
        "mov sp, x9",
        "mov w9, #1",
        "strb w9, [x0, #{left}]",
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
        save_registers!("x0"),
        "mov x19, x0",
        "mov sp, x1",
        "mov x0, x3",
        // Whoever walks up frames stops here.
        "mov x29, xzr",
        "blr x2",
        "ldr x9, [x19]",
        "mov sp, x9",
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
    naked_asm!("ldr x10, [x0]", save_registers!("x0"), "mov sp, x10", restore_and_return!(), sp = const 0)
}

/// A host function as compiled code calls it: records where the guest stands, as a trampoline does, and calls
/// [`VmHostContext::native`](hotfoot_abi::vmctx::VmHostContext) of the callee with the arguments in C's registers.
///
/// # Safety
/// Only compiled code calls this; S7: the function takes and returns what the guest passes and expects.
#[unsafe(naked)]
unsafe extern "C" fn host_entry() {
    naked_asm!(
        "ldr x9, [x3, #{store}]",
        "str x29, [x9, #{fp}]",
        "str x30, [x9, #{pc}]",
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "mov x0, x2",
        "mov x1, x3",
        "mov x2, x4",
        "mov x3, x5",
        "mov x4, x6",
        "mov x5, x7",
        "ldr x9, [x0, #{native}]",
        "blr x9",
        "mov x2, x0",
        "ldp x29, x30, [sp], #16",
        "ret",
        store = const offsets::VMCTX_STORE,
        fp = const offsets::STORE_LAST_EXIT_FP,
        pc = const offsets::STORE_LAST_EXIT_PC,
        native = const offset_of!(VmHostContext, native),
    )
}

/// As on x86-64; here no words can be on the stack.
#[repr(C)]
pub struct HostEntryFrame([usize; 4]);

/// [`host_entry`]; no words can be on the stack.
pub fn host_entry_with_stack(_words: usize) -> *const u8 {
    host_entry as *const u8
}

/// Continues compiled code at a handler of exceptions, with the two words that it gets and the store's fuel.
///
/// # Safety
/// S8: `pc` is a handler of the call that the frame at `fp` is in, `sp` was the stack pointer during that call, the frame
/// belongs to the newest activation, and no frame between here and there owns anything.
#[unsafe(naked)]
pub unsafe extern "C" fn resume(pc: usize, sp: usize, fp: usize, first: u64, second: u64, fuel: i64) -> ! {
    naked_asm!("mov x9, x0", "mov sp, x1", "mov x29, x2", "mov x0, x3", "mov x1, x4", "mov x21, x5", "br x9",)
}

/// How far apart a call and what it calls may be.
pub const CALL_REACH: usize = 127 << 20;

/// A function's stub for this address. `x16` and `x17` are for such code.
///
/// ```text
///  adrp x16, slot
///  add  x16, x16, #slot
///  ldr  x17, [x16]
///  br   x17
/// ```
pub fn stub(address: usize, slot: usize) -> [u8; STUB_SIZE as usize] {
    let pages = ((slot >> 12).wrapping_sub(address >> 12)) as u32;
    let adrp = 0x9000_0010 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5;
    let add = 0x9100_0210 | (slot as u32 & 0xfff) << 10;
    let mut code = [0; STUB_SIZE as usize];
    for (bytes, instruction) in code.chunks_exact_mut(4).zip([adrp, add, 0xf940_0211, 0xd61f_0220]) {
        bytes.copy_from_slice(&u32::to_le_bytes(instruction));
    }
    code
}

/// Where the stub of a function without code jumps to, with the function's slot in `x16` and all else as the function was
/// called: has it compiled, and jumps there.
///
/// # Safety
/// S19: only stubs jump here.
#[unsafe(naked)]
pub unsafe extern "C" fn compile_and_jump() {
    naked_asm!(
        "stp x29, x30, [sp, #-208]!",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "stp x6, x7, [sp, #64]",
        "stp q0, q1, [sp, #80]",
        "stp q2, q3, [sp, #112]",
        "stp q4, q5, [sp, #144]",
        "stp q6, q7, [sp, #176]",
        "mov x1, x16",
        "mov x2, x29",
        "mov x3, x21",
        "bl {resolve}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldp x6, x7, [sp, #64]",
        "ldp q0, q1, [sp, #80]",
        "ldp q2, q3, [sp, #112]",
        "ldp q4, q5, [sp, #144]",
        "ldp q6, q7, [sp, #176]",
        "ldp x29, x30, [sp], #208",
        "br x16",
        resolve = sym lazy::resolve,
    )
}

/// Where the interrupted thread was: its program counter and frame pointer.
pub fn program_counter_and_frame(context: &ucontext_t) -> (usize, usize) {
    (context.uc_mcontext.pc as usize, context.uc_mcontext.regs[29] as usize)
}

/// The stack pointer of the interrupted thread.
pub fn interrupted_stack_pointer(context: &ucontext_t) -> usize {
    context.uc_mcontext.sp as usize
}

/// The address to which a function returns that was interrupted before it made its frame, or after it took it down;
/// `start` is the function's first instruction. Its frame pointer is then still, or again, its caller's.
pub fn frameless_return_address(context: &ucontext_t, start: usize) -> Option<usize> {
    let pc = context.uc_mcontext.pc as usize;
    /// `stp x29, x30, [sp, #-16]!` is four bytes long, and the link register is as it was.
    const PUSHED: usize = 4;
    const RET: u32 = 0xd65f_03c0;
    // SAFETY: S6, `pc` is at an instruction of a function.
    let frameless = pc <= start + PUSHED || unsafe { *(pc as *const u32) } == RET;
    frameless.then_some(context.uc_mcontext.regs[30] as usize)
}

/// The register in which the interrupted thread kept fuel, if its code consumes any.
pub fn fuel_register(context: &ucontext_t) -> i64 {
    context.uc_mcontext.regs[21] as i64
}

/// Makes the interrupted thread continue in `function(argument)`, on its own stack, as if it had called it.
pub fn resume_at(context: &mut ucontext_t, function: usize, argument: usize) {
    let registers = &mut context.uc_mcontext;
    registers.sp = (registers.sp - 128) & !15;
    registers.pc = function as u64;
    registers.regs[0] = argument as u64;
}

/// Copies bytes, lowest first, that other threads may be writing or reading.
///
/// # Safety
/// S5, S16: both ranges are accessible; if they overlap, the target begins below the source.
pub unsafe fn copy_racing(from: *const u8, to: *mut u8, len: usize) {
    // Eight bytes at a time are right for overlapping ranges, too, when the target is at least so far below.
    let wide = (from as usize).wrapping_sub(to as usize) >= 8;
    // SAFETY: S5, S16, by the caller's promise.
    unsafe {
        std::arch::asm!(
            "cbz {wide}, 3f",
            "2: cmp {len}, #8", "b.lo 3f",
            "ldr {word}, [{from}], #8", "str {word}, [{to}], #8", "sub {len}, {len}, #8", "b 2b",
            "3: cbz {len}, 4f",
            "ldrb {word:w}, [{from}], #1", "strb {word:w}, [{to}], #1", "sub {len}, {len}, #1", "b 3b",
            "4:",
            wide = in(reg) u64::from(wide), len = inout(reg) len => _, from = inout(reg) from => _,
            to = inout(reg) to => _, word = out(reg) _, options(nostack),
        );
    }
}

/// Fills bytes that other threads may be writing or reading.
///
/// # Safety
/// S5, S16: the range is accessible.
pub unsafe fn fill_racing(to: *mut u8, byte: u8, len: usize) {
    let word = u64::from_ne_bytes([byte; 8]);
    // SAFETY: S5, S16, by the caller's promise.
    unsafe {
        std::arch::asm!(
            "2: cmp {len}, #8", "b.lo 3f",
            "str {word}, [{to}], #8", "sub {len}, {len}, #8", "b 2b",
            "3: cbz {len}, 4f",
            "strb {word:w}, [{to}], #1", "sub {len}, {len}, #1", "b 3b",
            "4:",
            word = in(reg) word, len = inout(reg) len => _, to = inout(reg) to => _, options(nostack),
        );
    }
}

/// Makes freshly written code visible to instruction fetch.
pub fn synchronize_instructions(start: *const u8, len: usize) {
    // Cache lines are at least 16 bytes on every implementation; stepping finer than needed is only slower.
    const LINE: usize = 16;
    let mut line = start as usize & !(LINE - 1);
    let end = start as usize + len;
    while line < end {
        // SAFETY: S6, cache maintenance on addresses of our own mapping changes no memory.
        unsafe { std::arch::asm!("dc cvau, {0}", "ic ivau, {0}", in(reg) line, options(nostack)) };
        line += LINE;
    }
    // SAFETY: S6, barriers only.
    unsafe { std::arch::asm!("dsb ish", "isb", options(nostack)) };
}

/// An extension of the processor: the code generator's name for it, and how to ask for it.
type IsaFlag = (&'static str, fn() -> bool);

const ISA_FLAGS: [IsaFlag; 9] = [
    ("has_lse", || std::arch::is_aarch64_feature_detected!("lse")),
    ("has_pauth", || std::arch::is_aarch64_feature_detected!("paca")),
    ("has_dotprod", || std::arch::is_aarch64_feature_detected!("dotprod")),
    ("has_i8mm", || std::arch::is_aarch64_feature_detected!("i8mm")),
    ("has_fp16", || std::arch::is_aarch64_feature_detected!("fp16")),
    ("use_csdb", || true),
    ("sign_return_address", || true),
    ("sign_return_address_all", || true),
    ("sign_return_address_with_bkey", || true),
];

/// The extensions that this processor has, by the code generator's names.
pub fn isa_flags() -> impl Iterator<Item = &'static str> {
    ISA_FLAGS.iter().filter(|(_, has)| has()).map(|(name, _)| *name)
}

/// Whether this processor has an extension. Unknown names are refused.
pub fn has_isa_flag(flag: &str) -> bool {
    ISA_FLAGS.iter().any(|(name, has)| *name == flag && has())
}
