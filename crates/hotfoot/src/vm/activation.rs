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

/// What an activation is besides a stay in compiled code.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Nothing.
    Guest,
    /// Where a fiber begins, on which nothing is but this stay.
    FiberOfGuest,
    /// It is no stay in compiled code, but where a fiber begins on which the host runs.
    FiberOfHost,
}

/// See the module's documentation. `repr(C)` because `arch` reads and writes the first fields.
#[repr(C)]
pub struct Activation {
    /// Stack pointer inside `arch::enter…`, from which `arch::unwind` continues. On a fiber, where the stack goes on that does not
    /// run: that of the poll, or the fiber's while that is suspended.
    entry_sp: usize,
    /// The caller's context: the host's own.
    caller: *mut VmContext,
    /// Set by `arch::unwind`.
    left: bool,
    kind: Kind,
    previous: Cell<*const Activation>,
    store: NonNull<VmStore>,
    /// What the store's stack limit was before.
    outer_limit: usize,
    /// Where the store's previous stay in compiled code was left, for backtraces.
    outer_exit: (usize, usize),
    /// Set by the signal handler for the trap exit.
    fault: Cell<Option<(TrapCode, Stop)>>,
}

impl Activation {
    /// For `arch`: where `enter…` puts the stack pointer.
    pub const ENTRY_SP_OFFSET: usize = offset_of!(Activation, entry_sp);
    /// For `arch`: where `enter…` finds the caller's context.
    pub const CALLER_OFFSET: usize = offset_of!(Activation, caller);
    /// For `arch`: where `unwind` says that it was here.
    pub const LEFT_OFFSET: usize = offset_of!(Activation, left);

    /// Frame pointer of whoever called compiled code: where a walk over compiled frames ends.
    pub fn entry_frame(&self) -> usize {
        match self.kind {
            Kind::Guest => self.entry_sp + arch::ENTRY_FRAME_OFFSET,
            // As `arch::enter_on_fiber…` sets it.
            Kind::FiberOfGuest | Kind::FiberOfHost => ptr::from_ref(self) as usize,
        }
    }

    /// The activation that was the newest when this one began, if it is on the same stack. Async-signal-safe.
    ///
    /// # Safety
    /// S9: as [`chain`].
    pub unsafe fn next_on_stack<'a>(&self) -> Option<&'a Activation> {
        if self.kind != Kind::Guest {
            return None;
        }
        // SAFETY: S9, a non-null link points into a frame that has not returned.
        unsafe { self.previous.get().as_ref() }.filter(|previous| previous.kind != Kind::FiberOfHost)
    }

    /// Where the stack goes on that does not run, of a fiber that begins here.
    pub fn other_stack(link: *mut Activation) -> *mut usize {
        link.cast()
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
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
    links.filter(|activation| activation.kind != Kind::FiberOfHost)
}

/// The newest activation, if it is on the stack that is in use. Async-signal-safe.
///
/// # Safety
/// S9: as [`chain`].
pub unsafe fn newest_on_stack<'a>() -> Option<&'a Activation> {
    // SAFETY: S9, a non-null link points into a frame that has not returned, or into the future that is being polled.
    unsafe { CURRENT.get().as_ref() }.filter(|newest| newest.kind != Kind::FiberOfHost)
}

/// The link with which the fiber that runs begins, and how many guests it has entered, if that is none or one.
pub fn beginning_of_fiber<'a>() -> Option<(&'a Activation, usize)> {
    // SAFETY: S9, a non-null link points into a frame that has not returned, or to the upper end of a fiber that runs.
    unsafe {
        let newest = newest().as_ref()?;
        match newest.kind {
            Kind::FiberOfHost => return Some((newest, 0)),
            Kind::FiberOfGuest => return Some((newest, 1)),
            Kind::Guest => {}
        }
        let previous = newest.previous.get().as_ref()?;
        (previous.kind == Kind::FiberOfHost).then_some((previous, 1))
    }
}

/// Enters compiled code by `run`, which is given a new activation: a call of one of `arch::enter…`, from the conversion of its
/// arguments on; `None` says that they have none, for a reason that is pending. `finish` converts its result.
///
/// # Safety
/// S1, S2: `store` is pinned and no Rust reference into it is alive. S7, S8: `run` enters a function of that store with
/// the arguments that it takes, at most once, and owns nothing meanwhile. `finish` may use the store.
///
/// # Errors
/// The pending reason.
#[inline]
pub unsafe fn enter<N: Copy, R>(
    store: NonNull<VmStore>,
    run: impl FnOnce(*mut Activation) -> Option<N>,
    finish: impl FnOnce(N) -> R,
) -> Result<R> {
    let mut activation = MaybeUninit::<Activation>::uninit();
    let link = activation.as_mut_ptr();
    // SAFETY: S9, it is unlinked by `end`; what came after it was unlinked before. S1, S2: by the caller's promise.
    unsafe {
        prepare(store)?;
        begin(link, store, Kind::Guest);
        let native = run(link);
        conclude(store, end(link), native, finish)
    }
}

/// Tells those who watch the border that a guest will be entered.
///
/// # Safety
/// S1, S2: nobody else uses the store.
///
/// # Errors
/// When it must not be.
#[inline]
pub unsafe fn prepare(store: NonNull<VmStore>) -> Result<()> {
    // SAFETY: S1, S2, by the caller's promise.
    unsafe {
        if (*store.as_ptr()).watches.any() {
            border::before_guest(store).map_err(|pending| pending.into_error(store.as_ref()))?;
        }
    }
    Ok(())
}

/// Makes and links an activation, and sets the stack limit.
///
/// # Safety
/// S1, S2: nobody else uses the store. S9: the activation is on the stack that the guest will run on, and stays there until
/// [`end`].
#[inline]
pub unsafe fn begin(link: *mut Activation, store: NonNull<VmStore>, kind: Kind) {
    // SAFETY: S9, by the caller's promise.
    unsafe {
        (&raw mut (*link).store).write(store);
        (&raw mut (*link).kind).write(kind);
        make(link);
    }
}

/// What comes of a stay in compiled code that has ended so, with this result; without one, it did not begin, for a reason that
/// is pending.
///
/// # Safety
/// S1, S2: compiled code of the store has been left, and nobody else uses the store.
///
/// # Errors
/// The pending reason.
#[inline]
pub unsafe fn conclude<N, R>(
    store: NonNull<VmStore>,
    end: End,
    native: Option<N>,
    finish: impl FnOnce(N) -> R,
) -> Result<R> {
    // SAFETY: S1, S2: by the caller's promise.
    unsafe {
        match (end, native) {
            (End::Quiet, Some(native)) => Ok(finish(native)),
            // What it returned is an object's reference perhaps, which has to be known when others are told.
            (End::Watched, Some(native)) => {
                let result = finish(native);
                settle(store, false).map(|()| result)
            }
            _ => {
                settle(store, true).and_then(|()| bail!("a guest was left without a reason; this is a bug in hotfoot"))
            }
        }
    }
}

/// How a stay in compiled code ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// It returned, and nobody watches the border.
    Quiet,
    /// It returned.
    Watched,
    /// It was left.
    Left,
}

/// What [`begin`] does where store and kind are known. Not inlined, so that nothing keeps the address of this thread's variable:
/// when the guest is left, this may be another thread.
///
/// # Safety
/// As [`begin`].
#[inline(never)]
unsafe fn make(link: *mut Activation) {
    // SAFETY: S1, S2, by the caller's promise; S9, a non-null link is alive.
    CURRENT.with(|newest| unsafe {
        let (store, kind) = ((*link).store, (*link).kind);
        let previous = newest.get();
        let ctx = &raw mut (*store.as_ptr()).ctx;
        let mut outer = (0, (0, 0));
        let mut limit = None;
        if previous.is_null() {
            // Nobody further out needs what the context says of the last stay in compiled code; samples must not take it
            // for one of this.
            (*ctx).last_exit_fp = 0;
        } else {
            outer = ((*ctx).stack_limit, ((*ctx).last_exit_fp, (*ctx).last_exit_pc));
            if kind == Kind::Guest && (*previous).kind != Kind::FiberOfHost {
                // One allowance serves the whole thread, whatever stores it goes through, so that recursion through the
                // host is bounded too.
                limit = Some((*(*previous).store.as_ptr()).ctx.stack_limit);
            }
        }
        (*ctx).stack_limit = match limit {
            Some(limit) => limit,
            None => (link as usize).saturating_sub((*store.as_ptr()).max_wasm_stack()),
        };
        link.write(Activation {
            entry_sp: 0,
            caller: VmStore::host_context(store),
            left: false,
            kind,
            previous: Cell::new(previous),
            store,
            outer_limit: outer.0,
            outer_exit: outer.1,
            fault: Cell::new(None),
        });
        newest.set(link);
    });
}

/// Unlinks an activation. Not inlined, as [`make`].
///
/// # Safety
/// S9: the activation is the thread's newest.
#[inline(never)]
pub unsafe fn end(link: *const Activation) -> End {
    // SAFETY: S1, the store is alive and nobody else uses it; S9, by the caller's promise.
    CURRENT.with(|newest| unsafe {
        let previous = (*link).previous.get();
        newest.set(previous);
        let store = (*link).store.as_ptr();
        if !previous.is_null() {
            (*store).ctx.stack_limit = (*link).outer_limit;
            ((*store).ctx.last_exit_fp, (*store).ctx.last_exit_pc) = (*link).outer_exit;
        }
        if (*link).left {
            return End::Left;
        }
        // A host function may have asked to watch.
        if (*store).watches.any() { End::Watched } else { End::Quiet }
    })
}

/// What is a fiber's, while it is suspended.
#[derive(Copy, Clone)]
pub struct Aside {
    newest: *const Activation,
    limit: usize,
    exit: (usize, usize),
}

/// Takes the activations of a fiber that was suspended, of which this is the first, out of the thread's chain.
///
/// # Safety
/// S9, S15: the fiber was suspended on this thread, since it was begun or [`put_back`]. S1: its store is not borrowed.
#[inline(never)]
pub unsafe fn set_aside(first: *const Activation) -> Aside {
    // SAFETY: S1, S9: by the caller's promise.
    unsafe {
        let newest = CURRENT.replace((*first).previous.get());
        let ctx = &raw mut (*(*first).store.as_ptr()).ctx;
        let aside = Aside { newest, limit: (*ctx).stack_limit, exit: ((*ctx).last_exit_fp, (*ctx).last_exit_pc) };
        (*ctx).stack_limit = (*first).outer_limit;
        ((*ctx).last_exit_fp, (*ctx).last_exit_pc) = (*first).outer_exit;
        aside
    }
}

/// Puts the activations of a suspended fiber into this thread's chain, before it goes on.
///
/// # Safety
/// S9, S15: the fiber is suspended, and its activations were [`set_aside`]. S1: its store is not borrowed.
#[inline(never)]
pub unsafe fn put_back(first: *mut Activation, aside: Aside) {
    // SAFETY: S1, S9: by the caller's promise.
    unsafe {
        (*first).previous.set(CURRENT.replace(aside.newest));
        let ctx = &raw mut (*(*first).store.as_ptr()).ctx;
        (*first).outer_limit = (*ctx).stack_limit;
        (*first).outer_exit = ((*ctx).last_exit_fp, (*ctx).last_exit_pc);
        (*ctx).stack_limit = aside.limit;
        ((*ctx).last_exit_fp, (*ctx).last_exit_pc) = aside.exit;
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
