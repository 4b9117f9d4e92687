//! Fibers: guests on stacks of their own, so that a call can be suspended while a host function waits.
//!
//! ```text
//!  poll ──switch──▶ fiber's stack: base · f · guest · host function ── block_on(future)
//!    ▲                                                                   │ polls the future; when it is pending:
//!    └──────────────────────────────switch───────────────────────────────┘
//! ```
//!
//! The activations of a fiber are part of the chain of the thread on which it runs right now, and of none while it is
//! suspended: [`switch`] links them, below a *base* that says on which fiber they are. A future may be polled by
//! different threads, so nothing here or below remembers a thread-local address across a switch.
//!
//! A future that is dropped before it is done resumes its fiber once more, cancelled: what waits fails, the guest is left
//! as by a trap, and host functions return through their frames. No stack is thrown away with something on it.
//!
//! Invariant S15: only host functions that were made from futures suspend, and what asks a limiter, and only if no other
//! host function is below them on the fiber ([`Asker`]); so what is on a suspended stack is ours, the guest's, or a future
//! that can be sent.

use std::cell::UnsafeCell;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};
use std::thread;

use anyhow::{Context as _, Result, bail};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use hotfoot_abi::trap::TrapCode;

use super::activation::{self, Activation};
use super::border::Watches;
use super::context::StoreContextMut;
use super::store::VmStore;

/// The oldest link of a fiber in the chain of activations, and how the fiber is suspended.
#[repr(C)]
pub struct Base {
    activation: Activation,
    yielder: *const Yielder<(), ()>,
    /// Of the poll that is going on.
    context: *mut Context<'static>,
    cancelled: bool,
    /// Host functions that the host called, on this fiber, and that have not returned.
    host_calls: usize,
}

/// Who wants to wait. What it waits below must be ours: nobody else's frames can be suspended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// What the fiber itself runs, which has called nothing yet.
    Host,
    /// A host function made from futures, that the fiber itself called, or its guest.
    HostFunction,
    /// A builtin, that a guest called which the fiber itself entered.
    Guest,
    /// Someone who cannot.
    Nobody,
}

impl Asker {
    /// How many calls the fiber must have made: of guests, and by the host of host functions.
    fn calls(self) -> Option<usize> {
        match self {
            Asker::Host => Some(0),
            Asker::HostFunction | Asker::Guest => Some(1),
            Asker::Nobody => None,
        }
    }
}

/// What a fiber runs and what comes of it. Reached by pointer from both stacks, never by both at once.
struct Task<F, R> {
    base: Base,
    function: Option<F>,
    result: Option<thread::Result<R>>,
}

/// The part of a store that belongs to a stack, while another stack runs.
#[derive(Copy, Clone)]
struct Suspended {
    newest: *const Activation,
    limit: usize,
    exit: (usize, usize),
}

/// A call on a fiber, as a future.
struct OnFiber<'a, T: 'static, F, R> {
    store: StoreContextMut<'a, T>,
    task: UnsafeCell<Task<F, R>>,
    fiber: Option<Coroutine<(), (), (), DefaultStack>>,
    suspended: Suspended,
    _pinned: PhantomPinned,
}

// SAFETY: S15, what is on a suspended stack can be sent; the raw pointers lead into this future, which is pinned, and into
// the store, which it borrows exclusively.
unsafe impl<T: Send, F: Send, R: Send> Send for OnFiber<'_, T, F, R> {}

/// Runs `function`, on a fiber if anything in this store can suspend a call.
///
/// # Errors
/// When there is no stack for the fiber.
pub async fn run<T: 'static, R>(
    mut store: StoreContextMut<'_, T>,
    function: impl FnOnce(StoreContextMut<'_, T>) -> R,
) -> Result<R> {
    if !store.vm().may_suspend() {
        return Ok(function(store));
    }
    OnFiber::new(store, function).await
}

impl<'a, T: 'static, F, R> OnFiber<'a, T, F, R>
where
    F: FnOnce(StoreContextMut<'_, T>) -> R,
{
    /// A future that runs `function` on a fiber when it is first polled.
    fn new(store: StoreContextMut<'a, T>, function: F) -> OnFiber<'a, T, F, R> {
        let activation = Activation::base(store.pointer());
        let base = Base { activation, yielder: ptr::null(), context: ptr::null_mut(), cancelled: false, host_calls: 0 };
        let task = Task { base, function: Some(function), result: None };
        let suspended = Suspended { newest: ptr::null(), limit: 0, exit: (0, 0) };
        OnFiber { store, task: UnsafeCell::new(task), fiber: None, suspended, _pinned: PhantomPinned }
    }

    /// Gives the fiber a stack.
    fn start(&mut self) -> Result<()> {
        let stack = self.store.vm().take_fiber_stack()?;
        let task: *mut () = self.task.get().cast();
        let run: unsafe fn(*mut (), &Yielder<(), ()>) = run_task::<T, F, R>;
        // Guests that wait further out are found by way of where they left compiled code.
        let ctx = &self.store.vm().ctx;
        self.suspended.exit = (ctx.last_exit_fp, ctx.last_exit_pc);
        // SAFETY: S15, takes an address; there is no fiber yet that could use the task.
        self.suspended.newest = unsafe { &raw const (*self.task.get()).base.activation };
        let fiber = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: S15, the task lies in the future that owns this fiber and does not move; dropping it ends the fiber.
            unsafe { run(task, yielder) }
        });
        self.fiber = Some(fiber);
        Ok(())
    }

    /// Lets the fiber run until it is suspended; true if it has ended.
    fn resume(&mut self, context: *mut Context<'static>) -> bool {
        let store = self.store.pointer();
        let Some(fiber) = &mut self.fiber else { return true };
        // SAFETY: S15, the fiber is suspended, so nobody else uses the task.
        let base = unsafe {
            let base = &raw mut (*self.task.get()).base;
            (*base).context = context;
            base
        };
        // SAFETY: S2, S15: the store is borrowed by this future, and the fiber is suspended.
        let ended = unsafe { switch(store, base, &mut self.suspended, || fiber.resume(())) };
        if matches!(ended, CoroutineResult::Yield(())) {
            return false;
        }
        if let Some(fiber) = self.fiber.take() {
            self.store.vm().give_fiber_stack(fiber.into_stack());
        }
        true
    }
}

impl<T: 'static, F, R> Future for OnFiber<'_, T, F, R>
where
    F: FnOnce(StoreContextMut<'_, T>) -> R,
{
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        // SAFETY: S15, nothing is moved out of what is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if this.fiber.is_none() {
            // SAFETY: S15, there is no fiber that could use the task.
            if unsafe { (*this.task.get()).function.is_none() } {
                return Poll::Ready(Err(anyhow::anyhow!("a call was polled again after it had ended")));
            }
            if let Err(error) = this.start() {
                return Poll::Ready(Err(error));
            }
        }
        if !this.resume(ptr::from_mut(context).cast()) {
            return Poll::Pending;
        }
        // SAFETY: S15, the fiber has ended.
        match unsafe { (*this.task.get()).result.take() } {
            Some(Ok(result)) => Poll::Ready(Ok(result)),
            Some(Err(panic)) => resume_unwind(panic),
            None => Poll::Ready(Err(anyhow::anyhow!("a fiber ended without a result; this is a bug in hotfoot"))),
        }
    }
}

impl<T: 'static, F, R> Drop for OnFiber<'_, T, F, R> {
    fn drop(&mut self) {
        let Some(fiber) = &mut self.fiber else { return };
        let store = self.store.pointer();
        // SAFETY: S15, the fiber is suspended, so nobody else uses the task.
        let base = unsafe {
            let base = &raw mut (*self.task.get()).base;
            (*base).cancelled = true;
            (*base).context = ptr::null_mut();
            base
        };
        let watches = self.store.vm().watches;
        self.store.vm().watches.set(Watches::CANCELLED);
        // A host function that waits again is told again, so this ends.
        // SAFETY: S2, S15: the store is borrowed by this future, and the fiber is suspended.
        while unsafe { switch(store, base, &mut self.suspended, || fiber.resume(())) } == CoroutineResult::Yield(()) {}
        self.store.vm().watches.restore(Watches::CANCELLED, watches);
        if let Some(fiber) = self.fiber.take() {
            self.store.vm().give_fiber_stack(fiber.into_stack());
        }
    }
}

/// The first function on a fiber.
///
/// # Safety
/// S15: the task is one of these types, lies where it is until the fiber has ended, and is used by nobody else while the
/// fiber runs. S2: the store is borrowed exclusively by the future that the task belongs to.
unsafe fn run_task<T: 'static, F, R>(task: *mut (), yielder: &Yielder<(), ()>)
where
    F: FnOnce(StoreContextMut<'_, T>) -> R,
{
    let task: *mut Task<F, R> = task.cast();
    // SAFETY: S15, S2, S10: by the caller's promise.
    unsafe {
        (*task).base.yielder = yielder;
        let store = StoreContextMut::<T>::from_pointer((*task).base.activation.store());
        if let Some(function) = (*task).function.take() {
            (*task).result = Some(catch_unwind(AssertUnwindSafe(|| function(store))));
        }
    }
}

/// Runs what continues a fiber, with the fiber's activations in this thread's chain and its part of the store in place.
///
/// # Safety
/// S2, S15: nobody else uses the store; `base` and `suspended` are of a fiber of its that is suspended, which
/// `resume` continues.
#[inline(never)]
unsafe fn switch<R>(
    store: NonNull<VmStore>,
    base: *mut Base,
    suspended: &mut Suspended,
    resume: impl FnOnce() -> R,
) -> R {
    // SAFETY: S9, S15: by the caller's promise; short borrows, none while the fiber runs.
    unsafe {
        let outer = exchange(store, *suspended);
        (*base).activation.link(outer.newest);
        let thread = (*store.as_ptr()).interruptible.begin_on_thread();
        let result = resume();
        (*store.as_ptr()).interruptible.end_on_thread(thread);
        *suspended = exchange(store, outer);
        result
    }
}

/// Puts one stack's part of a store in place, and returns the other's.
///
/// # Safety
/// S9: the activations are alive and will be until they are replaced again.
unsafe fn exchange(store: NonNull<VmStore>, next: Suspended) -> Suspended {
    // SAFETY: S1, S2: by the callers of `switch`.
    unsafe {
        let ctx = &raw mut (*store.as_ptr()).ctx;
        let newest = activation::replace_newest(next.newest);
        let last = Suspended { newest, limit: (*ctx).stack_limit, exit: ((*ctx).last_exit_fp, (*ctx).last_exit_pc) };
        (*ctx).stack_limit = next.limit;
        ((*ctx).last_exit_fp, (*ctx).last_exit_pc) = next.exit;
        last
    }
}

/// The base of the fiber that runs, with how many guests it has entered, if that is not several.
fn newest_base() -> Option<(*mut Base, usize)> {
    let (base, guests) = activation::base_of_newest()?;
    Some((ptr::from_ref(base).cast_mut().cast(), guests))
}

/// The fiber on which someone may wait.
fn current(store: NonNull<VmStore>, asker: Asker) -> Result<*mut Base> {
    let base = newest_base().filter(|(base, guests)| {
        // SAFETY: S15, the base lies in a future that is being polled.
        unsafe { (**base).activation.store() == store && Some(guests + (**base).host_calls) == asker.calls() }
    });
    let (base, _) = base.context(
        "an asynchronous host function was called, or a yield is due, within a synchronous call: use the `_async` form of \
         the call, and of those in between",
    )?;
    Ok(base)
}

/// Runs a host function that the host calls: it may wait only if it was called by the fiber itself, and what it calls
/// may not wait.
#[inline]
pub fn host_call<R>(function: impl FnOnce() -> R) -> R {
    let Some((base, _)) = newest_base() else { return function() };
    // SAFETY: S15, the base lies in a future that is polled until the fiber has ended; short borrows.
    unsafe {
        (*base).host_calls += 1;
        let result = function();
        (*base).host_calls -= 1;
        result
    }
}

/// Waits on the current fiber until a future is done.
///
/// # Safety
/// S2: nobody borrows the store. S15: the asker is who it says; what the caller and its callers keep on the stack can be
/// sent.
pub unsafe fn block_on<F: Future + ?Sized>(
    store: NonNull<VmStore>,
    mut future: Pin<&mut F>,
    asker: Asker,
) -> Result<F::Output> {
    let base = current(store, asker)?;
    loop {
        // SAFETY: S15, the base lies in a future that is being polled, with this context.
        unsafe {
            if !(*base).cancelled
                && let Poll::Ready(output) = future.as_mut().poll(&mut *(*base).context)
            {
                if asker == Asker::Guest {
                    // Nobody else looks: the guest goes on where it was.
                    (*store.as_ptr()).check_interrupt()?;
                }
                return Ok(output);
            }
            suspend(base)?;
        }
    }
}

/// As [`block_on`]; where nobody can wait, the future must be ready.
///
/// # Safety
/// As [`block_on`].
pub unsafe fn block_on_or_poll<F: Future + ?Sized>(
    store: NonNull<VmStore>,
    future: Pin<&mut F>,
    asker: Asker,
) -> Result<F::Output> {
    if current(store, asker).is_ok() {
        // SAFETY: S2, S15: by the caller's promise.
        return unsafe { block_on(store, future, asker) };
    }
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => bail!(
            "the store's limiter has to wait, within a synchronous call: use the `_async` form of the call, and of those \
             in between"
        ),
    }
}

/// Lets others run once, for a guest.
///
/// # Safety
/// As [`block_on`].
pub unsafe fn yield_now(store: NonNull<VmStore>) -> Result<()> {
    let mut yielded = false;
    let others = std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    // SAFETY: S2, S15: by the caller's promise.
    unsafe { block_on(store, pin!(others), Asker::Guest) }
}

/// Goes back to the poll; an error says that the future was dropped meanwhile.
///
/// # Safety
/// S15: the base of the fiber that runs.
#[inline(never)]
unsafe fn suspend(base: *mut Base) -> Result<()> {
    // SAFETY: S15, by the caller's promise; the yielder is of the fiber's own stack.
    unsafe {
        if !(*base).cancelled {
            (*(*base).yielder).suspend(());
        }
        if (*base).cancelled {
            bail!("the future of the call was dropped before the call had ended");
        }
    }
    Ok(())
}

impl VmStore {
    /// Whether anything in this store can suspend a call.
    fn may_suspend(&self) -> bool {
        self.engine().stacks().are_wanted() || self.watches.has(Watches::YIELDS)
    }

    fn take_fiber_stack(&mut self) -> Result<DefaultStack> {
        if let Some(stack) = self.idle_stack.take() {
            return Ok(stack);
        }
        self.engine().stacks().take(self.engine().config())
    }

    fn give_fiber_stack(&mut self, stack: DefaultStack) {
        if let Some(other) = self.idle_stack.replace(stack) {
            self.engine().stacks().give(other);
        }
    }

    /// Gives the store's stack back to the engine.
    pub(super) fn end_fibers(&mut self) {
        if let Some(stack) = self.idle_stack.take() {
            self.engine().stacks().give(stack);
        }
    }

    /// The trap, if the future of the call was dropped.
    pub(super) fn check_cancelled(&self) -> Result<(), TrapCode> {
        if self.watches.has(Watches::CANCELLED) { Err(TrapCode::Interrupt) } else { Ok(()) }
    }
}
