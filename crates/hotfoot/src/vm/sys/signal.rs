//! Hardware faults as traps, and interruption: the process-wide signal handlers.
//!
//! A fault inside compiled code belongs to the thread's current activation, which decides (without a lock, without
//! allocating, reading only memory that cannot change while the guest runs) whether it is a trap. If it is, the
//! interrupted context is pointed at the trap exit and the handler returns; what happens next runs outside of the
//! handler. Every other fault goes to the handler that was installed before ours.
//!
//! Interruption uses `SIGURG`: a signal that is ignored by default, that debuggers let pass, and that programs expect to
//! get for no reason. It is only sent to threads that run a guest. While a fault is being handled it is held back, so it
//! finds the guest, or the trap exit.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t};

use super::arch;
use crate::vm::activation::{self, Claim};
use crate::vm::sampling;

/// Signals that the processor raises for what compiled code does on purpose.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Asks the thread's newest guest whether it is to stop.
const INTERRUPT: c_int = libc::SIGURG;

/// Asks the thread's newest guest where it is.
const SAMPLE: c_int = libc::SIGPROF;

static PREVIOUS_SAMPLE: OnceLock<libc::sigaction> = OnceLock::new();

static PREVIOUS_INTERRUPT: OnceLock<libc::sigaction> = OnceLock::new();

static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// Installs the handler, once per process.
pub fn install() {
    PREVIOUS.get_or_init(|| SIGNALS.map(|signal| install_one(signal, libc::SA_NODEFER, handle)));
}

/// Installs the handler of the signal that interrupts guests, once per process. System calls do not go on after it.
pub fn install_interrupt() {
    PREVIOUS_INTERRUPT.get_or_init(|| install_one(INTERRUPT, 0, handle_interrupt));
}

/// Installs the handler of the signal that samples guests, once per process. System calls go on after it.
pub fn install_sample() {
    PREVIOUS_SAMPLE.get_or_init(|| install_one(SAMPLE, libc::SA_RESTART, handle_sample));
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn install_one(signal: c_int, flags: c_int, handler: Handler) -> libc::sigaction {
    // SAFETY: S9, `sigaction` is plain data for which zero is valid; the handler has the type that SA_SIGINFO asks for
    // and is async-signal-safe; the previous action is written by the kernel before it is read.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
        action.sa_sigaction = handler as usize;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaddset(&mut action.sa_mask, INTERRUPT);
        libc::sigaddset(&mut action.sa_mask, SAMPLE);
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        let result = libc::sigaction(signal, &action, previous.as_mut_ptr());
        assert!(result == 0, "the kernel refused a signal handler: {}", std::io::Error::last_os_error());
        previous.assume_init()
    }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: S9, the kernel passes the interrupted context, which nobody else touches until we return.
    let context_ref = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let (pc, fp) = arch::program_counter_and_frame(context_ref);
    // SAFETY: S9, the kernel passes the signal's description, and these signals have an address.
    let address = unsafe { (*info).si_addr() } as usize;
    // What someone sent while a guest happened to stand at an instruction that may trap is no fault of the guest's.
    let claim =
        if was_sent(info) { None } else { activation::claim_fault(pc, fp, address, arch::fuel_register(context_ref)) };
    match claim {
        Some(Claim::Resume) => {}
        Some(Claim::Exit { function, argument }) => arch::resume_at(context_ref, function, argument),
        None => forward(signal, info, context),
    }
}

extern "C" fn handle_interrupt(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: S9, the kernel passes the interrupted context, which nobody else touches until we return.
    let context_ref = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    match activation::claim_interrupt(context_ref) {
        Some(Claim::Exit { function, argument }) => arch::resume_at(context_ref, function, argument),
        Some(Claim::Resume) => {}
        None => {
            if let Some(previous) = PREVIOUS_INTERRUPT.get() {
                call_previous(previous, signal, info, context);
            }
        }
    }
}

/// Leaves the interrupted thread as it was. A signal that somebody else's timer sent is handed on.
extern "C" fn handle_sample(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: S9, the kernel passes the interrupted context, which nobody else touches until we return; and `errno` is
    // this thread's.
    let saved = unsafe { *libc::__errno_location() };
    // SAFETY: S9, as above.
    let is_taken = sampling::take(unsafe { &*context.cast::<libc::ucontext_t>() });
    if !is_taken && let Some(previous) = PREVIOUS_SAMPLE.get() {
        call_previous(previous, signal, info, context);
    }
    // SAFETY: S9, as above.
    unsafe { *libc::__errno_location() = saved };
}

/// A thread that can be interrupted.
#[derive(Copy, Clone, Debug)]
pub struct Thread(libc::pthread_t);

impl Thread {
    /// This one.
    pub fn current() -> Thread {
        // SAFETY: S14, asks for a number.
        Thread(unsafe { libc::pthread_self() })
    }
}

/// Sends a thread the signal that interrupts guests.
pub fn interrupt(thread: Thread) {
    // SAFETY: S14, the thread exists: it is registered as running a guest, and the registration is locked. The handler was
    // installed before there was anything to register.
    unsafe { libc::pthread_kill(thread.0, INTERRUPT) };
}

/// Sends a thread the signal that samples guests.
pub fn sample(thread: Thread) {
    // SAFETY: S14, as for `interrupt`.
    unsafe { libc::pthread_kill(thread.0, SAMPLE) };
}

/// Hands a fault that is not ours to the handler that was there before.
fn forward(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|ours| *ours == signal);
    let (Some(previous), Some(index)) = (PREVIOUS.get(), index) else {
        return restore_default(signal);
    };
    let previous = &previous[index];
    match previous.sa_sigaction {
        libc::SIG_IGN if was_sent(info) => {}
        libc::SIG_DFL if was_sent(info) => {
            restore_default(signal);
            // SAFETY: S9, sending this thread a signal is async-signal-safe; nothing would fault again by itself.
            unsafe { libc::raise(signal) };
        }
        libc::SIG_DFL | libc::SIG_IGN => restore_default(signal),
        _ => call_previous(previous, signal, info, context),
    }
}

/// Calls a handler that was installed before ours, if it is one.
fn call_previous(previous: &libc::sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {}
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: S9, a handler installed with SA_SIGINFO has this type.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: S9, a handler installed without SA_SIGINFO has this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Whether someone sent the signal, and no instruction faulted.
fn was_sent(info: *const siginfo_t) -> bool {
    // SAFETY: S9, the kernel passes the signal's description; its codes for faults are positive.
    unsafe { (*info).si_code <= 0 }
}

/// Lets the fault kill the process as it would have without us: the instruction runs again with the default action.
fn restore_default(signal: c_int) {
    // SAFETY: S9, resetting a signal to its default action is async-signal-safe.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}
