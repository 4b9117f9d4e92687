//! One stay of a thread in compiled code, from the call that entered it to its return or unwinding.
//!
//! Activations of a thread form a chain (host → wasm → host → wasm), newest first, reachable from a thread-local
//! pointer: that is all the signal handler needs. Each lives in the stack frame of the Rust function that entered.

use std::cell::Cell;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{self, NonNull};

use anyhow::{Result, bail};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::VmContext;

use super::border;
use super::store::VmStore;
use super::sys::arch;
use super::trap::{self, Pending};

thread_local! {
    static CURRENT: Cell<*const Activation> = const { Cell::new(ptr::null()) };
}

/// See the module's documentation. `repr(C)` because `arch` reads and writes the first fields.
#[repr(C)]
pub struct Activation {
    /// Stack pointer inside `arch::enter…`, from which `arch::unwind` continues.
    entry_sp: usize,
    /// The caller's context: the host's own.
    caller: *mut VmContext,
    /// Set by `arch::unwind`.
    left: bool,
    previous: Cell<*const Activation>,
    store: NonNull<VmStore>,
    /// What the store's stack limit was before.
    outer_limit: usize,
    /// Where the store's previous stay in compiled code was left, for backtraces.
    outer_exit: (usize, usize),
    /// Set by the signal handler for the trap exit.
    fault: Cell<Option<(TrapCode, Stop)>>,
    /// It is no stay in compiled code, but where a fiber begins.
    base: bool,
}

impl Activation {
    /// For `arch`: where `enter…` puts the stack pointer.
    pub const ENTRY_SP_OFFSET: usize = offset_of!(Activation, entry_sp);
    /// For `arch`: where `enter…` finds the caller's context.
    pub const CALLER_OFFSET: usize = offset_of!(Activation, caller);
    /// For `arch`: where `unwind` says that it was here.
    pub const LEFT_OFFSET: usize = offset_of!(Activation, left);

    /// A link of this store's after another.
    fn new(store: NonNull<VmStore>, previous: *const Activation, base: bool) -> Activation {
        // SAFETY: S1, takes an address.
        let caller = unsafe { VmStore::host_context(store) };
        let (previous, fault) = (Cell::new(previous), Cell::new(None));
        let (entry_sp, left, outer_limit, outer_exit) = (0, false, 0, (0, 0));
        Activation { entry_sp, caller, left, previous, store, outer_limit, outer_exit, fault, base }
    }

    /// The oldest link of a fiber.
    pub fn base(store: NonNull<VmStore>) -> Activation {
        Activation::new(store, ptr::null(), true)
    }

    /// Whether compiled code was left before it returned.
    pub fn is_left(&self) -> bool {
        self.left
    }

    /// Makes this the next link after another.
    pub fn link(&self, previous: *const Activation) {
        self.previous.set(previous);
    }

    /// Frame pointer of the `enter` frame: where a walk over compiled frames ends.
    pub fn entry_frame(&self) -> usize {
        self.entry_sp + arch::ENTRY_FRAME_OFFSET
    }

    /// The activation that was the newest when this one began, if it is on the same stack. Async-signal-safe.
    ///
    /// # Safety
    /// S9: as [`chain`].
    pub unsafe fn next_on_stack<'a>(&self) -> Option<&'a Activation> {
        // SAFETY: S9, a non-null link points into a frame that has not returned.
        unsafe { self.previous.get().as_ref() }.filter(|previous| !previous.base)
    }

    /// The store whose code this activation runs.
    pub fn store(&self) -> NonNull<VmStore> {
        self.store
    }

    /// Frame pointer and program counter at which the store left compiled code before it was entered again.
    pub fn outer_exit(&self) -> (usize, usize) {
        self.outer_exit
    }
}

/// The newest link. Not inlined: its callers may be continued by another thread, and must not keep the address of this
/// thread's variable.
#[inline(never)]
fn newest() -> *const Activation {
    CURRENT.get()
}

/// Sets the newest link, and returns what it was. Not inlined, as `newest`.
///
/// # Safety
/// S9: the link and those before it are alive until it is replaced again.
#[inline(never)]
pub unsafe fn replace_newest(next: *const Activation) -> *const Activation {
    CURRENT.replace(next)
}

/// The thread's activations, newest first.
///
/// # Safety
/// S9: the references must not be kept past the calls that they describe.
pub unsafe fn chain<'a>() -> impl Iterator<Item = &'a Activation> {
    let mut next = newest();
    let links = std::iter::from_fn(move || {
        // SAFETY: S9, a non-null link points into a frame that has not returned.
        let activation = unsafe { next.as_ref() }?;
        next = activation.previous.get();
        Some(activation)
    });
    links.filter(|activation| !activation.base)
}

/// The newest activation, if it is on the stack that is in use. Async-signal-safe.
///
/// # Safety
/// S9: as [`chain`].
pub unsafe fn newest_on_stack<'a>() -> Option<&'a Activation> {
    // SAFETY: S9, a non-null link points into a frame that has not returned, or into the future that is being polled.
    unsafe { CURRENT.get().as_ref() }.filter(|newest| !newest.base)
}

/// The base of the fiber that runs, and how many guests it has entered, if that is none or one.
pub fn base_of_newest<'a>() -> Option<(&'a Activation, usize)> {
    // SAFETY: S9, a non-null link points into a frame that has not returned, or into the future that is being polled.
    unsafe {
        let newest = newest().as_ref()?;
        if newest.base {
            return Some((newest, 0));
        }
        newest.previous.get().as_ref().filter(|previous| previous.base).map(|base| (base, 1))
    }
}

/// Enters compiled code with what `run` makes of a new activation: a call of one of `arch::enter…`, from the conversion of
/// its arguments to that of its results; or nothing, if the guest was left or never entered, for a reason that is pending.
///
/// # Safety
/// S1, S2: `store` is pinned and no Rust reference into it is alive. S7, S8: `run` enters a function of that store with
/// the arguments that it takes, at most once, and owns nothing meanwhile.
///
/// # Errors
/// The pending reason.
#[inline]
pub unsafe fn enter<R>(store: NonNull<VmStore>, run: impl FnOnce(*mut Activation) -> Option<R>) -> Result<R> {
    // SAFETY: S1, S2, by the caller's promise.
    if unsafe { (*store.as_ptr()).watches.any() } {
        // SAFETY: S1, S2, by the caller's promise.
        unsafe { border::before_guest(store).map_err(|pending| pending.into_error(store.as_ref()))? };
    }
    let mut activation = MaybeUninit::uninit();
    let link = activation.as_mut_ptr();
    // SAFETY: S9, it is unlinked by `end`; what came after it was unlinked before. S1, S2: when that is asked to be settled,
    // compiled code has been left.
    unsafe {
        begin(link, store);
        let result = run(link);
        match (end(link), result) {
            (true, Some(result)) => Ok(result),
            (_, None) => {
                settle(store, true).and_then(|()| bail!("a guest was left without a reason; this is a bug in hotfoot"))
            }
            (false, Some(result)) => settle(store, false).map(|()| result),
        }
    }
}

/// Makes and links an activation, and sets the stack limit. Not inlined, so that nothing keeps the address of this thread's
/// variable: when the guest is left, this may be another thread.
///
/// # Safety
/// S1, S2: nobody else uses the store. S9: the activation stays where it is until [`end`].
#[inline(never)]
unsafe fn begin(link: *mut Activation, store: NonNull<VmStore>) {
    // SAFETY: S1, S2, by the caller's promise; S9, a non-null link is alive.
    unsafe {
        let previous = CURRENT.get();
        link.write(Activation::new(store, previous, false));
        let store = store.as_ptr();
        let ctx = &raw mut (*store).ctx;
        if previous.is_null() {
            // Nobody further out needs what the context says of the last stay in compiled code; samples must not take it
            // for one of this.
            (*ctx).last_exit_fp = 0;
            (*ctx).stack_limit = arch::stack_pointer().saturating_sub((*store).max_wasm_stack());
        } else {
            (*link).outer_limit = (*ctx).stack_limit;
            (*link).outer_exit = ((*ctx).last_exit_fp, (*ctx).last_exit_pc);
            (*ctx).stack_limit = if (*previous).base {
                arch::stack_pointer().saturating_sub((*store).max_wasm_stack())
            } else {
                // One allowance serves the whole thread, whatever stores it goes through, so that recursion through the
                // host is bounded too.
                (*(*previous).store.as_ptr()).ctx.stack_limit
            };
        }
        CURRENT.set(link);
    }
}

/// Unlinks an activation; true if nobody watches the border. Not inlined, as [`begin`].
///
/// # Safety
/// S9: the activation is the thread's newest.
#[inline(never)]
unsafe fn end(link: *const Activation) -> bool {
    // SAFETY: S1, the store is alive and nobody else uses it; S9, by the caller's promise.
    unsafe {
        let previous = (*link).previous.get();
        CURRENT.set(previous);
        let store = (*link).store.as_ptr();
        if !previous.is_null() {
            (*store).ctx.stack_limit = (*link).outer_limit;
            ((*store).ctx.last_exit_fp, (*store).ctx.last_exit_pc) = (*link).outer_exit;
        }
        // A host function may have asked to watch.
        !(*store).watches.any()
    }
}

/// What is left to do after a guest that was left, or that is watched.
///
/// # Safety
/// S1, S2: the store is alive and no Rust reference into it is.
#[cold]
#[inline(never)]
unsafe fn settle(store: NonNull<VmStore>, left: bool) -> Result<()> {
    // SAFETY: S1, compiled code has been left, so a short borrow of the store is exclusive.
    let mut outcome = if left { Err(unsafe { (*store.as_ptr()).take_pending() }) } else { Ok(()) };
    // SAFETY: S1, as above.
    if unsafe { (*store.as_ptr()).watches.any() } {
        // SAFETY: S1, S2, as above.
        outcome = unsafe { border::after_guest(store, outcome) };
    }
    // SAFETY: S1, S2, as above.
    outcome.map_err(|pending| unsafe { pending.into_error(store.as_ref()) })
}

/// Leaves the newest activation with the store's pending error.
///
/// # Safety
/// S8: called below compiled code of that activation, and no frame on the way owns anything.
pub unsafe fn unwind() -> ! {
    // SAFETY: S8, by the caller's promise.
    unsafe { arch::unwind(CURRENT.get()) }
}

/// Where a guest was interrupted.
#[derive(Copy, Clone, Debug)]
pub struct Stop {
    /// Program counter.
    pub pc: usize,
    /// Frame pointer: of the function, or of its caller if `caller` is given.
    pub fp: usize,
    /// Where the function returns to, if it has no frame.
    pub caller: Option<usize>,
}

/// What a signal means for a guest.
pub enum Claim {
    /// Nothing, or the first write to a page of a tracked memory, which is writable now: the instruction runs again.
    Resume,
    /// A trap: the thread continues in `function(argument)`.
    Exit {
        /// Address of the function.
        function: usize,
        /// Its only argument.
        argument: usize,
    },
}

/// Decides whether a hardware fault is one of this thread's guest, and what it means. Async-signal-safe: reads memory that does not
/// change while compiled code runs, takes no lock, allocates nothing.
///
/// `fuel` is what the register held in which code that consumes fuel keeps it.
pub fn claim_fault(pc: usize, fp: usize, address: usize, fuel: i64) -> Option<Claim> {
    let current = CURRENT.get();
    // SAFETY: S9, the newest activation of this thread is in a frame that has not returned.
    let activation = unsafe { current.as_ref() }?;
    // SAFETY: S9, nobody changes the store's memories: a guest was interrupted, or S22, the runtime copies for one.
    let claim_write = || unsafe { &(*activation.store.as_ptr()).memories }.iter().any(|it| it.claim_write(address));
    // SAFETY: S9, the store outlives the activation; its code index is replaced as a whole and never edited.
    let Some(module) = (unsafe { VmStore::code_index(activation.store) }).find(pc) else {
        // SAFETY: S9, as above; the field is atomic.
        let copying = unsafe { &(*activation.store.as_ptr()).copying };
        return (copying.is_on() && claim_write()).then_some(Claim::Resume);
    };
    let (code, owed) = module.code().trap_and_fuel_at(pc)?;
    if code == TrapCode::MemoryOutOfBounds && claim_write() {
        return Some(Claim::Resume);
    }
    // SAFETY: S2, a guest was interrupted, so nobody else uses the store.
    unsafe { VmStore::keep_fuel(activation.store, fuel.wrapping_sub(owed.into())) };
    activation.fault.set(Some((code, Stop { pc, fp, caller: None })));
    Some(Claim::Exit { function: exit_by_trap as *const () as usize, argument: current as usize })
}

/// Decides whether the guest that a signal interrupted is to stop. In the host, or in another store's guest, nothing
/// happens: the border asks again. Async-signal-safe.
pub fn claim_interrupt(context: &libc::ucontext_t) -> Option<Claim> {
    let (pc, fp) = arch::program_counter_and_frame(context);
    let current = CURRENT.get();
    // SAFETY: S9, the newest activation of this thread is in a frame that has not returned.
    let activation = unsafe { current.as_ref() }?;
    // SAFETY: S1, the store outlives the activation.
    if !unsafe { VmStore::is_interrupted(activation.store) } {
        return None;
    }
    // SAFETY: S1, as above. What a host function ended with is not lost: the guest is being left already.
    if unsafe { (*activation.store.as_ptr()).pending().is_some() } {
        return Some(Claim::Resume);
    }
    // SAFETY: S9, the store outlives the activation; its code index is replaced as a whole and never edited.
    let Some(module) = (unsafe { VmStore::code_index(activation.store) }).find(pc) else { return Some(Claim::Resume) };
    let code = module.code();
    let start = code.offset_of(pc).and_then(|offset| code.function_start(offset));
    if start.is_some() {
        // SAFETY: S2, a guest was interrupted in a function, so nobody else uses the store.
        unsafe { VmStore::keep_fuel(activation.store, arch::fuel_register(context)) };
    }
    let caller = start.and_then(|start| arch::frameless_return_address(context, start));
    activation.fault.set(Some((TrapCode::Interrupt, Stop { pc, fp, caller })));
    Some(Claim::Exit { function: exit_by_trap as *const () as usize, argument: current as usize })
}

/// Continues after the signal handler, on the guest's stack: records what happened and leaves compiled code.
extern "C" fn exit_by_trap(activation: *const Activation) -> ! {
    // SAFETY: S9, `claim_fault` passed the thread's newest activation; S2: the guest was interrupted, so the store is
    // in the state in which compiled code calls the runtime.
    unsafe {
        let activation = &*activation;
        if let Some((code, stop)) = activation.fault.take() {
            let store = activation.store;
            if code == TrapCode::Interrupt {
                (*store.as_ptr()).interruptible.fulfil();
            }
            let backtrace = trap::capture(store, Some(stop));
            (*store.as_ptr()).set_pending(Pending::Trap(code, backtrace));
        }
        arch::unwind(activation)
    }
}

/// The caller's context when the host calls a host function: no instance.
pub fn is_host_context(context: &VmContext) -> bool {
    context.instance == u32::MAX
}
