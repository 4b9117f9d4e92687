//! Fibers: guests on stacks of their own, so that a call can be suspended while a host function waits.
//!
//! ```text
//!  poll ──enter──▶ fiber's stack: task · guest · host function ── block_on(future)
//!    ▲                                                              │ polls the future; when it is pending:
//!    └────────────────────────────switch────────────────────────────┘
//! ```
//!
//! The activations of a fiber are part of the chain of the thread on which it runs right now, and of none while it is
//! suspended. The first lies in the *base*, at the upper end of the stack, and says on which fiber they are. A future may be
//! polled by different threads, so nothing here or below remembers a thread-local address across a switch.
//!
//! Most calls are never suspended, so what suspending takes is done when it happens. A fiber of a *guest* has no Rust frame
//! below it: [`Run::start`] enters it as if it were on the caller's stack. A fiber of the *host* runs a function of ours.
//!
//! A future that is dropped before it is done resumes its fiber once more, cancelled: what waits fails, the guest is left
//! as by a trap, and host functions return through their frames. No stack is thrown away with something on it.
//!
//! Invariant S15: only host functions that were made from futures suspend, and what asks a limiter, and only if no other
//! host function is below them on the fiber ([`Asker`]); so what is on a suspended stack is ours, the guest's, or a future
//! that can be sent.

use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};
use std::thread;

use anyhow::{Context as _, Result, bail};
use hotfoot_abi::trap::TrapCode;

use super::activation::{self, Activation, Aside, End, Kind};
use super::border::Watches;
use super::context::StoreContextMut;
use super::stacks::Stack;
use super::store::VmStore;
use super::sys::arch;
use super::sys::signal::Thread;
use crate::store::AsContextMut;

/// The first link of a fiber in the chain of activations, and how the fiber is suspended.
#[repr(C)]
pub struct Base {
    activation: Activation,
    /// Of the poll that is going on.
    context: *mut Context<'static>,
    /// The thread on which guests of the store ran before that.
    thread: Option<Thread>,
    /// Whether it was, and not continued since.
    suspended: bool,
    cancelled: bool,
    /// Host functions that the host called, on this fiber, and that have not returned.
    host_calls: usize,
    /// What is the fiber's, while it is suspended.
    aside: Aside,
}

/// What lies at the upper end of a fiber's stack. Reached by pointer from both stacks, never by both at once.
#[repr(C)]
struct Task<R> {
    base: Base,
    /// What comes of the host's function.
    result: Option<thread::Result<Result<R>>>,
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

/// What may run on a fiber of a store whose data is a `T`.
pub trait Run<T: 'static>: Sized {
    /// What comes of it.
    type Output;

    /// Runs on the caller's stack.
    fn run(self, store: StoreContextMut<'_, T>) -> Result<Self::Output>;

    /// Starts on a fiber, which is kept as long as it is suspended: then this is pending.
    ///
    /// # Safety
    /// S15: nobody uses the fiber; its base is written, but for the activation. S2: the store is that of the fiber.
    unsafe fn start(
        self,
        store: StoreContextMut<'_, T>,
        fiber: &mut Option<Fiber<Self::Output>>,
    ) -> Poll<Result<Self::Output>>;

    /// Continues; pending if the fiber is suspended again.
    ///
    /// # Safety
    /// S15: the fiber is one that this started, which is suspended, and whose activations were put back.
    unsafe fn go_on(fiber: &mut Option<Fiber<Self::Output>>) -> Poll<Result<Self::Output>>;
}

/// A stack with what runs on it.
pub struct Fiber<R> {
    /// Only taken when this is dropped.
    stack: Option<Stack>,
    task: *mut Task<R>,
    store: NonNull<VmStore>,
}

// SAFETY: S15, what is on a suspended stack can be sent.
unsafe impl<R: Send> Send for Fiber<R> {}

impl<R> Drop for Fiber<R> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: S2, the store is borrowed by the future that this belongs to.
        unsafe { (*self.store.as_ptr()).give_fiber_stack(self.stack.take()) };
    }
}

/// A call that may run on a fiber, as a future.
struct Call<S: AsContextMut, F: Run<S::Data>> {
    store: S,
    /// Until the first poll.
    function: Option<F>,
    /// From the first poll on, if it did not end.
    fiber: Option<Fiber<F::Output>>,
    /// The store is borrowed, from the first poll on.
    _pinned: PhantomPinned,
}

/// Runs a function of ours, on a fiber if anything in this store can suspend a call. Fails also when there is no stack for it.
pub fn run<T: 'static, R>(
    store: StoreContextMut<'_, T>,
    function: impl FnOnce(StoreContextMut<'_, T>) -> Result<R>,
) -> impl Future<Output = Result<R>> {
    call(store, Hosted(function))
}

/// As [`run`], for what knows how.
#[inline]
pub fn call<S: AsContextMut, F: Run<S::Data>>(store: S, function: F) -> impl Future<Output = Result<F::Output>> {
    Call { store, function: Some(function), fiber: None, _pinned: PhantomPinned }
}

impl<S: AsContextMut, F: Run<S::Data>> Future for Call<S, F> {
    type Output = Result<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<F::Output>> {
        // SAFETY: S15, nothing is moved out of what is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(function) = this.function.take() else {
            // SAFETY: S15, the fiber was started by an `F`; S2, the store is borrowed.
            return unsafe { go_on::<S::Data, F>(&mut this.fiber, ptr::from_mut(context).cast()) };
        };
        let mut store = this.store.as_context_mut();
        if !store.vm().may_suspend() {
            return Poll::Ready(function.run(store));
        }
        match store.vm().take_fiber_stack() {
            Ok(stack) => start(store, function, stack, context, &mut this.fiber),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsContextMut, F: Run<S::Data>> Drop for Call<S, F> {
    #[inline]
    fn drop(&mut self) {
        if self.fiber.is_some() {
            // SAFETY: S15, the fiber is suspended, and was started by an `F`; S2, the store is borrowed.
            unsafe { cancel::<S::Data, F>(&mut self.fiber) };
        }
    }
}

/// Starts a fiber, and keeps it if it is suspended.
#[inline]
fn start<T: 'static, F: Run<T>>(
    mut store: StoreContextMut<'_, T>,
    function: F,
    stack: Stack,
    context: &mut Context<'_>,
    kept: &mut Option<Fiber<F::Output>>,
) -> Poll<Result<F::Output>> {
    let task: *mut Task<F::Output> = stack.place().as_ptr();
    let mut fiber = Some(Fiber { stack: Some(stack), task, store: store.pointer() });
    // SAFETY: S15, nobody uses the stack; the activation is written by who starts.
    unsafe {
        let base = &raw mut (*task).base;
        (&raw mut (*base).context).write(ptr::from_mut(context).cast());
        (&raw mut (*base).thread).write(store.vm().interruptible.begin_on_thread());
        (&raw mut (*base).suspended).write(false);
        (&raw mut (*base).cancelled).write(false);
        (&raw mut (*base).host_calls).write(0);
    }
    // SAFETY: S2, S15: as above.
    let outcome = unsafe { function.start(store, &mut fiber) };
    if outcome.is_pending() {
        *kept = fiber;
    }
    outcome
}

/// Continues what an `F` started, if it did not end.
///
/// # Safety
/// S15: the fiber was started so, and is suspended and set aside. S2: its future has borrowed the store.
#[cold]
unsafe fn go_on<T: 'static, F: Run<T>>(
    kept: &mut Option<Fiber<F::Output>>,
    context: *mut Context<'static>,
) -> Poll<Result<F::Output>> {
    let Some(fiber) = kept else {
        return Poll::Ready(Err(anyhow::anyhow!("a call was polled again after it had ended")));
    };
    // SAFETY: S2, S9, S15: by the caller's promise.
    unsafe {
        let base: *mut Base = fiber.task.cast();
        (*base).context = context;
        (*base).thread = (*fiber.store.as_ptr()).interruptible.begin_on_thread();
        (*base).suspended = false;
        activation::put_back(base.cast(), (*base).aside);
        F::go_on(kept)
    }
}

/// Lets what an `F` started end, because its future is dropped.
///
/// # Safety
/// As [`go_on`].
#[cold]
unsafe fn cancel<T: 'static, F: Run<T>>(kept: &mut Option<Fiber<F::Output>>) {
    let Some(fiber) = kept else { return };
    // SAFETY: S2, S9, S15: by the caller's promise; short borrows, none while the fiber runs.
    unsafe {
        let store = fiber.store.as_ptr();
        let watches = (*store).watches;
        (*store).watches.set(Watches::CANCELLED);
        (*fiber.task).base.cancelled = true;
        // What comes of it, or a panic of a host function, is nobody's.
        drop(catch_unwind(AssertUnwindSafe(|| {
            // A host function that waits again is told again, so this ends.
            while go_on::<T, F>(kept, ptr::null_mut()).is_pending() {}
        })));
        (*store).watches.restore(Watches::CANCELLED, watches);
    }
}

/// The first link of a fiber.
#[inline]
pub fn first_link<R>(fiber: &Option<Fiber<R>>) -> *mut Activation {
    fiber.as_ref().map_or(ptr::null_mut(), |fiber| fiber.task.cast())
}

/// What a fiber that ran until now leaves to be done for it: how it ended, or nothing if it was suspended.
///
/// # Safety
/// S9, S15: there is one, it was started or continued just now on this thread. S2: nobody has borrowed the store.
#[inline]
pub unsafe fn stop<R>(fiber: &Option<Fiber<R>>) -> Option<End> {
    // SAFETY: S2, S9, S15: by the caller's promise.
    unsafe {
        let base: *mut Base = first_link(fiber).cast();
        let store = (*base).activation.store();
        (*store.as_ptr()).interruptible.end_on_thread((*base).thread);
        if (*base).suspended {
            (*base).aside = activation::set_aside(base.cast());
            return None;
        }
        Some(activation::end(base.cast()))
    }
}

/// What the host wants to run, with Rust frames on the fiber's stack.
pub struct Hosted<F>(pub F);

/// What starts a [`Hosted`], as long as it is started.
struct Start<F, R> {
    function: Option<F>,
    task: *mut Task<R>,
}

impl<T: 'static, R, F> Run<T> for Hosted<F>
where
    F: FnOnce(StoreContextMut<'_, T>) -> Result<R>,
{
    type Output = R;

    #[inline]
    fn run(self, store: StoreContextMut<'_, T>) -> Result<R> {
        (self.0)(store)
    }

    unsafe fn start(self, store: StoreContextMut<'_, T>, fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
        let task: *mut Task<R> = first_link(fiber).cast();
        let mut start = Start { function: Some(self.0), task };
        // SAFETY: S9, S15: by the caller's promise; what is started is taken before anything is suspended.
        unsafe {
            (&raw mut (*task).result).write(None);
            activation::begin(task.cast(), store.pointer(), Kind::FiberOfHost);
            let other = Activation::other_stack(task.cast());
            arch::call_on_stack(other, task.cast(), run_hosted::<T, F, R>, (&raw mut start).cast());
            end_of_poll(fiber)
        }
    }

    unsafe fn go_on(fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
        // SAFETY: S15, by the caller's promise.
        unsafe { go_on_hosted(fiber) }
    }
}

/// The first function on a fiber of the host's.
///
/// # Safety
/// S15: given a [`Start`] of these types, whose task is at the upper end of the stack, and is used by nobody else while the fiber
/// runs. S2: the store is borrowed exclusively by the future that the task belongs to.
unsafe extern "C" fn run_hosted<T: 'static, F, R>(start: *mut u8)
where
    F: FnOnce(StoreContextMut<'_, T>) -> Result<R>,
{
    // SAFETY: S15, S2, S10: by the caller's promise.
    unsafe {
        let start: *mut Start<F, R> = start.cast();
        let task = (*start).task;
        let store = StoreContextMut::<T>::from_pointer((*task).base.activation.store());
        if let Some(function) = (*start).function.take() {
            (*task).result = Some(catch_unwind(AssertUnwindSafe(|| function(store))));
        }
    }
}

/// Continues a fiber of the host's.
///
/// # Safety
/// As [`Run::go_on`]; a [`Hosted`] was started.
pub unsafe fn go_on_hosted<R>(fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
    // SAFETY: S15, by the caller's promise.
    unsafe {
        arch::switch_stacks(Activation::other_stack(first_link(fiber)));
        end_of_poll(fiber)
    }
}

/// What comes of a fiber of the host's, that has ended or was suspended.
///
/// # Safety
/// S15: it was started or continued just now.
unsafe fn end_of_poll<R>(fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
    // SAFETY: S9, S15: by the caller's promise.
    let result = unsafe {
        if stop(fiber).is_none() {
            return Poll::Pending;
        }
        let task: *mut Task<R> = first_link(fiber).cast();
        (*task).result.take()
    };
    *fiber = None;
    Poll::Ready(match result {
        Some(Ok(result)) => result,
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(anyhow::anyhow!("a fiber ended without a result; this is a bug in hotfoot")),
    })
}

/// The base of the fiber that runs, with how many guests it has entered, if that is not several.
fn newest_base() -> Option<(*mut Base, usize)> {
    let (base, guests) = activation::beginning_of_fiber()?;
    Some((ptr::from_ref(base).cast_mut().cast(), guests))
}

/// The fiber on which someone may wait.
fn current(store: NonNull<VmStore>, asker: Asker) -> Result<*mut Base> {
    let base = newest_base().filter(|(base, guests)| {
        // SAFETY: S15, the base is that of the fiber that runs.
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
    // SAFETY: S15, the base is there until the fiber has ended; short borrows.
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
        // SAFETY: S15, the base is that of the fiber that runs, in a poll with this context.
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
    // SAFETY: S15, by the caller's promise; the other stack is that of the poll.
    unsafe {
        if !(*base).cancelled {
            (*base).suspended = true;
            arch::switch_stacks(Activation::other_stack(base.cast()));
        }
        if (*base).cancelled {
            bail!("the future of the call was dropped before the call had ended");
        }
    }
    Ok(())
}

impl VmStore {
    /// Whether anything in this store can suspend a call.
    #[inline]
    fn may_suspend(&self) -> bool {
        self.engine().stacks().are_wanted() || self.watches.has(Watches::YIELDS)
    }

    #[inline]
    fn take_fiber_stack(&mut self) -> Result<Stack> {
        match self.idle_stack.take() {
            Some(stack) => Ok(stack),
            None => self.engine().stacks().take(self.engine().config()),
        }
    }

    #[inline]
    fn give_fiber_stack(&mut self, stack: Option<Stack>) {
        if let Some(other) = std::mem::replace(&mut self.idle_stack, stack) {
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
