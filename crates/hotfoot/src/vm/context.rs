//! A whole store: the VM's part and the host's data, and borrows of it.
//!
//! Handles to a borrowed store are raw pointers with a lifetime, not references, so that nothing claims exclusive use
//! of the store while compiled code, builtins and host functions reach it through their own pointer (S2).

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use anyhow::Result;
use hotfoot_abi::vmctx::VmContext;

use super::border::{Asks, Watches};
use super::fiber::{self, Asker};
use super::growth::{Growable, Growing};
use super::stock::Stock;
use super::store::VmStore;
use super::trap;
use crate::engine::Engine;
use crate::hooks::{CallHook, UpdateDeadline};
use crate::limits::{ResourceLimiter, ResourceLimiterAsync};
use crate::types::registry::TypeRegistry;

/// How the limiter is found in the data.
pub enum Limiter<T> {
    /// One that answers at once.
    Sync(Box<dyn (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync>),
    /// One that may wait.
    Async(Box<dyn (FnMut(&mut T) -> &mut dyn ResourceLimiterAsync) + Send + Sync>),
}

type EpochCallback<T> = Box<dyn FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync>;
type OnCall<T> = Box<dyn FnMut(StoreContextMut<'_, T>, CallHook) -> Result<()> + Send + Sync>;

/// What the host wants to be asked or told by a store.
struct Hooks<T> {
    limiter: Option<Limiter<T>>,
    epoch: Option<EpochCallback<T>>,
    call: Option<OnCall<T>>,
}

impl<T> Hooks<T> {
    /// None of them.
    const NONE: Hooks<T> = Hooks { limiter: None, epoch: None, call: None };
    /// How a store whose data is a `T` finds them.
    const ASKS: Asks = Asks {
        growing: growing_of::<T>,
        grow_failed: grow_failed_of::<T>,
        counts: counts_of::<T>,
        epoch: epoch_of::<T>,
        call: call_of::<T>,
    };
}

/// A whole store, on cache lines of its own.
#[repr(C, align(128))]
pub struct StoreInner<T> {
    vm: VmStore,
    hooks: Hooks<T>,
    data: T,
}

/// Asks the limiter of a store whose data is a `T` whether something may grow; `None` if there is no limiter.
///
/// # Safety
/// S1, S2, S10: the pointer is to the `VmStore` of a `StoreInner<T>` of which no Rust reference is alive. S15: the asker
/// is who it says.
unsafe fn growing_of<T>(store: NonNull<VmStore>, growing: Growing, asker: Asker) -> Option<Result<bool>> {
    let inner: *mut StoreInner<T> = store.cast().as_ptr();
    // SAFETY: S1, S10, by the caller's promise; `hooks` and `data` are disjoint from `vm`, which is all that others use
    // while the limiter waits. S15: a limiter and its future can be sent.
    unsafe {
        let data = &mut (*inner).data;
        Some(match (*inner).hooks.limiter.as_mut()? {
            Limiter::Sync(find) => growing.ask(find(data)),
            Limiter::Async(find) => {
                fiber::block_on_or_poll(store, growing.ask_async(find(data)).as_mut(), asker).flatten()
            }
        })
    }
}

/// Tells the limiter of a store whose data is a `T` that growth failed.
///
/// # Safety
/// As [`growing_of`].
unsafe fn grow_failed_of<T>(store: NonNull<VmStore>, what: Growable, error: anyhow::Error) -> Result<()> {
    let inner: *mut StoreInner<T> = store.cast().as_ptr();
    // SAFETY: S1, S10, by the caller's promise; `hooks` and `data` are disjoint from `vm`.
    unsafe {
        let data = &mut (*inner).data;
        match (&mut (*inner).hooks.limiter, what) {
            (None, _) => Ok(()),
            (Some(Limiter::Sync(find)), Growable::Memory) => find(data).memory_grow_failed(error),
            (Some(Limiter::Sync(find)), Growable::Table) => find(data).table_grow_failed(error),
            (Some(Limiter::Async(find)), Growable::Memory) => find(data).memory_grow_failed(error),
            (Some(Limiter::Async(find)), Growable::Table) => find(data).table_grow_failed(error),
        }
    }
}

/// How many instances, memories and tables the limiter of a store whose data is a `T` allows, if there is one.
///
/// # Safety
/// As [`growing_of`].
unsafe fn counts_of<T>(store: NonNull<VmStore>) -> Option<[usize; 3]> {
    let inner: *mut StoreInner<T> = store.cast().as_ptr();
    // SAFETY: S1, S10, by the caller's promise; `hooks` and `data` are disjoint from `vm`.
    unsafe {
        let data = &mut (*inner).data;
        Some(match (*inner).hooks.limiter.as_mut()? {
            Limiter::Sync(find) => {
                let limiter = find(data);
                [limiter.instances(), limiter.memories(), limiter.tables()]
            }
            Limiter::Async(find) => {
                let limiter = find(data);
                [limiter.instances(), limiter.memories(), limiter.tables()]
            }
        })
    }
}

/// Asks what to do at a store's deadline; `None` if nobody wants to be asked.
///
/// # Safety
/// S1, S2, S10: the pointer is to the `VmStore` of a `StoreInner<T>` of which no Rust reference is alive.
unsafe fn epoch_of<T>(store: NonNull<VmStore>) -> Option<Result<UpdateDeadline>> {
    let inner: NonNull<StoreInner<T>> = store.cast();
    // SAFETY: S1, S2, by the caller's promise. The callback is taken out while it runs, because it may replace itself.
    unsafe {
        let mut callback = (*inner.as_ptr()).hooks.epoch.take()?;
        let answer = callback(StoreContextMut { inner, borrow: PhantomData });
        (*inner.as_ptr()).hooks.epoch.get_or_insert(callback);
        Some(answer)
    }
}

/// Tells the host of a call between host and guest.
///
/// # Safety
/// As [`epoch_of`].
unsafe fn call_of<T>(store: NonNull<VmStore>, call: CallHook) -> Result<()> {
    let inner: NonNull<StoreInner<T>> = store.cast();
    // SAFETY: S1, S2, by the caller's promise. The hook is taken out while it runs, because it may replace itself.
    unsafe {
        let Some(mut hook) = (*inner.as_ptr()).hooks.call.take() else { return Ok(()) };
        let answer = hook(StoreContextMut { inner, borrow: PhantomData }, call);
        (*inner.as_ptr()).hooks.call.get_or_insert(hook);
        answer
    }
}

/// A store that is not in use: its VM's part, emptied, in a block that has room for data of some type.
#[derive(Debug)]
pub struct IdleStore {
    vm: NonNull<VmStore>,
    block: Layout,
}

// SAFETY: S1, an idle store belongs to whoever holds this.
unsafe impl Send for IdleStore {}

impl Drop for IdleStore {
    fn drop(&mut self) {
        // SAFETY: S1, allocated with this layout and holding a `VmStore`; nobody else has it.
        unsafe {
            self.vm.drop_in_place();
            std::alloc::dealloc(self.vm.as_ptr().cast(), self.block);
        }
    }
}

/// Most idle stores that a thread's shelf keeps.
const MAX_IDLE_STORES: usize = 64;

/// The owning pointer of a [`Store`](crate::Store).
pub struct StoreBox<T>(NonNull<StoreInner<T>>);

// SAFETY: S1, the box owns the store; sending it sends the data.
unsafe impl<T: Send> Send for StoreBox<T> {}
// SAFETY: S2, shared access only reads.
unsafe impl<T: Sync> Sync for StoreBox<T> {}

impl<T> StoreBox<T> {
    /// Pins a store: an idle one of the engine's if there is one of the right size, otherwise a new one.
    pub fn new(engine: &Engine, data: T) -> StoreBox<T> {
        let (shelf, idle) = engine.stores().take(engine.shared());
        let block = Layout::new::<StoreInner<T>>();
        let inner: NonNull<StoreInner<T>> = match idle.filter(|idle| idle.block == block) {
            Some(idle) => ManuallyDrop::new(idle).vm.cast(),
            None => {
                // SAFETY: S1, a `StoreInner` is not empty.
                let pointer = unsafe { std::alloc::alloc(block) };
                let Some(pointer) = NonNull::new(pointer.cast::<StoreInner<T>>()) else {
                    std::alloc::handle_alloc_error(block)
                };
                // SAFETY: S1, fresh memory of the right layout.
                unsafe { (&raw mut (*pointer.as_ptr()).vm).write(VmStore::new(engine, &Hooks::<T>::ASKS)) };
                pointer
            }
        };
        // SAFETY: S1, the VM's part is there; hooks and data are not yet, so they are written, not assigned.
        unsafe {
            (&raw mut (*inner.as_ptr()).hooks).write(Hooks::NONE);
            (&raw mut (*inner.as_ptr()).data).write(data);
            (*inner.as_ptr()).vm.begin(inner.cast(), engine, shelf, &Hooks::<T>::ASKS);
        }
        StoreBox(inner)
    }

    /// Borrows the store.
    pub fn context(&self) -> StoreContext<'_, T> {
        StoreContext { inner: self.0, borrow: PhantomData }
    }

    /// Borrows the store exclusively.
    pub fn context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut { inner: self.0, borrow: PhantomData }
    }

    /// Drops everything but the data.
    pub fn into_data(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: S1, the data is moved out exactly once, because `this` is not dropped.
        unsafe {
            let data = (&raw const (*this.0.as_ptr()).data).read();
            release(this.0);
            data
        }
    }
}

impl<T> Drop for StoreBox<T> {
    fn drop(&mut self) {
        // SAFETY: S1, this is the store's only owner; the data is dropped exactly once.
        unsafe {
            (&raw mut (*self.0.as_ptr()).data).drop_in_place();
            release(self.0);
        }
    }
}

/// Ends a store and gives it back to its engine.
///
/// # Safety
/// S1: the caller owns the store, does not use it again, and has dropped or moved the data.
unsafe fn release<T>(inner: NonNull<StoreInner<T>>) {
    // SAFETY: S1, by the caller's promise; S12, the engine is alive until the store is given back.
    unsafe {
        (&raw mut (*inner.as_ptr()).hooks).drop_in_place();
        let vm: NonNull<VmStore> = inner.cast();
        (*vm.as_ptr()).end();
        let shelf = vm.as_ref().shelf;
        let idle = IdleStore { vm, block: Layout::new::<StoreInner<T>>() };
        let stores: *const Stock<_, IdleStore> = vm.as_ref().engine.stores();
        let (left, keep) = (*stores).give(shelf, Some(idle), MAX_IDLE_STORES);
        drop(left);
        drop(keep);
    }
}

/// A borrow of a [`Store`](crate::Store).
pub struct StoreContext<'a, T> {
    inner: NonNull<StoreInner<T>>,
    borrow: PhantomData<&'a T>,
}

impl<T> Copy for StoreContext<'_, T> {}

impl<T> Clone for StoreContext<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, T> StoreContext<'a, T> {
    /// The store's data.
    pub fn data(&self) -> &'a T {
        // SAFETY: S2, the lifetime is that of a shared borrow of the store.
        unsafe { &(*self.inner.as_ptr()).data }
    }

    /// The store's engine.
    pub fn engine(&self) -> &'a Engine {
        self.vm().engine()
    }

    pub(crate) fn vm(&self) -> &'a VmStore {
        // SAFETY: S2, the lifetime is that of a shared borrow of the store.
        unsafe { &(*self.inner.as_ptr()).vm }
    }
}

/// An exclusive borrow of a [`Store`](crate::Store).
pub struct StoreContextMut<'a, T> {
    inner: NonNull<StoreInner<T>>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: S2, an exclusive borrow of a store that can be sent.
unsafe impl<T: Send> Send for StoreContextMut<'_, T> {}
// SAFETY: S2, shared access only reads.
unsafe impl<T: Sync> Sync for StoreContextMut<'_, T> {}
// SAFETY: S2, shared access only reads.
unsafe impl<T: Sync> Send for StoreContext<'_, T> {}
// SAFETY: S2, shared access only reads.
unsafe impl<T: Sync> Sync for StoreContext<'_, T> {}

impl<'a, T> StoreContextMut<'a, T> {
    /// The store's data.
    pub fn data(&self) -> &T {
        // SAFETY: S2, borrowed as long as `self` is.
        unsafe { &(*self.inner.as_ptr()).data }
    }

    /// The store's data.
    pub fn data_mut(&mut self) -> &mut T {
        // SAFETY: S2, borrowed exclusively as long as `self` is.
        unsafe { &mut (*self.inner.as_ptr()).data }
    }

    /// The types of the store's engine.
    pub(super) fn types(&self) -> &'a TypeRegistry {
        // SAFETY: S1, S2: the store keeps its engine as long as it is borrowed, and never changes it meanwhile.
        unsafe { (*self.inner.as_ptr()).vm.engine().types() }
    }

    /// The store's engine.
    pub fn engine(&self) -> &Engine {
        // SAFETY: S2, borrowed as long as `self` is.
        unsafe { (*self.inner.as_ptr()).vm.engine() }
    }

    pub(crate) fn vm(&mut self) -> &mut VmStore {
        // SAFETY: S2, borrowed exclusively as long as `self` is.
        unsafe { &mut (*self.inner.as_ptr()).vm }
    }

    /// The store and its data, apart.
    pub(crate) fn vm_and_data(self) -> (&'a mut VmStore, &'a mut T) {
        // SAFETY: S2, the two fields are disjoint and the lifetime is that of an exclusive borrow of the store.
        unsafe {
            let inner = self.inner.as_ptr();
            (&mut (*inner).vm, &mut (*inner).data)
        }
    }

    pub(crate) fn set_limiter(&mut self, limiter: Limiter<T>) {
        if let Limiter::Async(_) = limiter {
            // Calls need stacks of their own from now on.
            self.engine().stacks().want();
        }
        // SAFETY: S2, borrowed exclusively as long as `self` is.
        unsafe { (*self.inner.as_ptr()).hooks.limiter = Some(limiter) };
    }

    pub(crate) fn set_epoch_callback(&mut self, callback: Option<EpochCallback<T>>) {
        // SAFETY: S2, borrowed exclusively as long as `self` is.
        unsafe { (*self.inner.as_ptr()).hooks.epoch = callback };
    }

    pub(crate) fn set_call_hook(&mut self, hook: OnCall<T>) {
        // SAFETY: S2, borrowed exclusively as long as `self` is.
        unsafe { (*self.inner.as_ptr()).hooks.call = Some(hook) };
        self.vm().watches.set(Watches::CALLS);
    }

    pub(super) fn has_limiter(&self) -> bool {
        // SAFETY: S2, borrowed as long as `self` is.
        unsafe { (*self.inner.as_ptr()).hooks.limiter.is_some() }
    }

    /// The same borrow for a shorter time.
    pub(crate) fn reborrow(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut { inner: self.inner, borrow: PhantomData }
    }

    /// The same borrow, shared.
    pub(crate) fn shared(&self) -> StoreContext<'_, T> {
        StoreContext { inner: self.inner, borrow: PhantomData }
    }

    /// The frames of this store's guests on this thread.
    pub(crate) fn frames(&self) -> Vec<trap::RawFrame> {
        // SAFETY: S1, S9: the store is borrowed, so its newest guest, if any, is in a call of the runtime.
        unsafe { trap::capture(self.pointer(), None) }
    }

    /// The pointer that compiled code is entered with.
    pub(super) fn pointer(&self) -> NonNull<VmStore> {
        self.inner.cast()
    }

    /// The store at this address.
    ///
    /// # Safety
    /// S1, S10: the store is alive and its data is a `T`. S2: nobody else uses the store during `'a`.
    pub(super) unsafe fn from_pointer(store: NonNull<VmStore>) -> StoreContextMut<'a, T> {
        StoreContextMut { inner: store.cast(), borrow: PhantomData }
    }

    /// The store that a host function was called from.
    ///
    /// # Safety
    /// S1, S10: `context` belongs to a store whose data is a `T`. S2: nobody else uses the store during `'a`.
    pub(super) unsafe fn from_caller(context: NonNull<VmContext>) -> StoreContextMut<'a, T> {
        // SAFETY: S1, by the caller's promise.
        let store = unsafe { NonNull::new_unchecked(context.as_ref().store) };
        StoreContextMut { inner: store.cast(), borrow: PhantomData }
    }
}
