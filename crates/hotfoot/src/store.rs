//! The store, as the API shows it: who owns instances, and how everything that needs a store takes one.

use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::hooks::{CallHook, UpdateDeadline};
use crate::interrupt::InterruptHandle;
use crate::limits::{ResourceLimiter, ResourceLimiterAsync};
use crate::out_of_memory::GcHeapOutOfMemory;
use crate::vm::context::{Limiter, StoreBox, StoreContext, StoreContextMut};
use crate::vm::hostcall::Caller;

/// Owns instances and everything that they refer to, together with the host's data `T`.
///
/// Nothing in a store is freed before the store is dropped, but garbage-collected objects ([`Store::gc`]). A store is used by one thread at a time.
///
/// ```
/// use hotfoot::{Engine, Store};
/// let mut store = Store::new(&Engine::default(), 5);
/// *store.data_mut() += 1;
/// assert_eq!(store.into_data(), 6);
/// ```
pub struct Store<T: 'static> {
    inner: StoreBox<T>,
}

impl<T: 'static> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        Store { inner: StoreBox::new(engine, data) }
    }

    /// The host's data.
    pub fn data(&self) -> &T {
        self.inner.context().data()
    }

    /// The host's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.inner.context_mut().vm_and_data().1
    }

    /// Drops the instances and keeps the data.
    pub fn into_data(self) -> T {
        self.inner.into_data()
    }

    /// The engine it was made with.
    pub fn engine(&self) -> &Engine {
        self.inner.context().engine()
    }

    /// Frees the garbage-collected objects that nothing refers to. Allocating does so by itself when there is no more room;
    /// `why` says for what there was none, which changes nothing here.
    ///
    /// ```
    /// use hotfoot::{Engine, ExternRef, RootScope, Store};
    /// use std::sync::Arc;
    /// # fn main() -> hotfoot::Result<()> {
    /// let mut store = Store::new(&Engine::default(), ());
    /// let value = Arc::new(5);
    /// ExternRef::new(RootScope::new(&mut store), value.clone())?;
    /// store.gc(None)?;
    /// assert_eq!(Arc::strong_count(&value), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// None.
    pub fn gc(&mut self, why: Option<&GcHeapOutOfMemory<()>>) -> Result<()> {
        self.inner.context_mut().gc(why)
    }

    /// Bytes that garbage-collected objects may take before their heap has to grow.
    pub fn gc_heap_capacity(&self) -> usize {
        self.inner.context().vm().heap_capacity() as usize
    }

    /// Asks this limiter, found in the data, before memories and tables are made or grow.
    ///
    /// ```
    /// use hotfoot::{Engine, Memory, MemoryType, Store, StoreLimits, StoreLimitsBuilder};
    /// let limits = StoreLimitsBuilder::new().memory_size(1 << 20).build();
    /// let mut store = Store::new(&Engine::default(), limits);
    /// store.limiter(|limits| limits);
    /// assert!(Memory::new(&mut store, MemoryType::new(17, None)).is_err());
    /// ```
    pub fn limiter(&mut self, limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static) {
        self.inner.context_mut().set_limiter(Limiter::Sync(Box::new(limiter)));
    }

    /// As [`Store::limiter`], for a limiter that may wait: the call that asked is suspended meanwhile, so it must be one
    /// of the asynchronous forms, from the first: `instantiate_async`, `call_async`, [`Memory::grow_async`],
    /// [`Table::grow_async`], [`StructRef::new_async`](crate::StructRef::new_async) and its like. In others, the limiter has to
    /// answer at once. So it has where a guest throws an exception that becomes an object.
    ///
    /// [`Memory::grow_async`]: crate::Memory::grow_async
    /// [`Table::grow_async`]: crate::Table::grow_async
    pub fn limiter_async(
        &mut self,
        limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiterAsync) + Send + Sync + 'static,
    ) {
        self.inner.context_mut().set_limiter(Limiter::Async(Box::new(limiter)));
    }

    /// Fuel that is left: operators that may still run. Code consumes it where
    /// [`Config::consume_fuel`](crate::Config::consume_fuel) is on.
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.inner.context().vm().fuel()
    }

    /// Sets the fuel that is left; a new store has none. A guest that has used it up is stopped with
    /// [`Trap::OutOfFuel`](crate::Trap::OutOfFuel). Most operators cost one unit, bulk operations one more for each byte
    /// or element; what a program costs does not depend on the machine.
    ///
    /// ```
    /// use hotfoot::{Config, Engine, Instance, Module, Store, Trap};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::new(Config::new().consume_fuel(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_fuel(1_000)?;
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref(), Some(&Trap::OutOfFuel));
    /// assert_eq!(store.get_fuel()?, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.inner.context_mut().vm().set_fuel(fuel)
    }

    /// Stops guests in so many epochs from now; a new store's deadline has passed. An epoch ends when someone calls
    /// [`Engine::increment_epoch`], for example a thread every ten milliseconds. Matters where
    /// [`Config::epoch_interruption`](crate::Config::epoch_interruption) is on.
    ///
    /// ```
    /// use hotfoot::{Config, Engine, Instance, Module, Store, Trap};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::new(Config::new().epoch_interruption(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_epoch_deadline(1);
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// engine.increment_epoch();
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
    /// # Ok(()) }
    /// ```
    pub fn set_epoch_deadline(&mut self, ticks_beyond_current: u64) {
        self.inner.context_mut().vm().set_epoch_deadline(ticks_beyond_current);
    }

    /// At the epoch deadline, stops the guest with [`Trap::Interrupt`](crate::Trap::Interrupt). This is the default.
    pub fn epoch_deadline_trap(&mut self) {
        self.inner.context_mut().set_epoch_callback(None);
    }

    /// At the epoch deadline, lets other futures run, and then the guest for so many epochs. Calls must be asynchronous.
    pub fn epoch_deadline_async_yield_and_update(&mut self, delta: u64) {
        self.epoch_deadline_callback(move |_| Ok(UpdateDeadline::Yield(delta)));
    }

    /// Lets other futures run whenever so much fuel was consumed; `None` does not. Calls must be asynchronous.
    ///
    /// # Errors
    /// When the engine's code consumes no fuel, or the interval is 0.
    pub fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<()> {
        let interval = interval.map(|fuel| NonZeroU64::new(fuel).context("the interval must not be 0")).transpose()?;
        self.inner.context_mut().vm().set_fuel_interval(interval)
    }

    /// At the epoch deadline, asks what to do. An error stops the guest and comes back to whoever called it.
    pub fn epoch_deadline_callback(
        &mut self,
        callback: impl FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync + 'static,
    ) {
        // It may answer with a yield.
        self.inner.context_mut().vm().allow_yields();
        self.inner.context_mut().set_epoch_callback(Some(Box::new(callback)));
    }

    /// What stops this store's guests from other threads, at once and at no cost to the code that runs; see
    /// [`InterruptHandle`].
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle> {
        self.inner.context_mut().interrupt_handle()
    }

    /// Stops guests with [`Trap::Interrupt`](crate::Trap::Interrupt) that still run, or are called, when so much time has
    /// passed from now; `None` lets them run. The code that runs is the same as without.
    ///
    /// ```
    /// use std::time::Duration;
    /// use hotfoot::{Engine, Instance, Module, Store, Trap};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_timeout(Duration::from_millis(10))?;
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn set_timeout(&mut self, timeout: impl Into<Option<Duration>>) -> Result<()> {
        self.inner.context_mut().set_timeout(timeout)
    }

    /// Tells of each call between host and guest and of its end. An error stops the guest and comes back to whoever
    /// called it.
    ///
    /// ```
    /// use hotfoot::{CallHook, Engine, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (func (export "f")))"#)?;
    /// let mut store = Store::new(&engine, Vec::new());
    /// store.call_hook(|mut store, call| {
    ///     store.data_mut().push(call);
    ///     Ok(())
    /// });
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// instance.get_typed_func::<(), ()>(&mut store, "f")?.call(&mut store, ())?;
    /// assert_eq!(*store.data(), [CallHook::CallingWasm, CallHook::ReturningFromWasm]);
    /// # Ok(()) }
    /// ```
    pub fn call_hook(
        &mut self,
        hook: impl FnMut(StoreContextMut<'_, T>, CallHook) -> Result<()> + Send + Sync + 'static,
    ) {
        self.inner.context_mut().set_call_hook(Box::new(hook));
    }
}

impl<T: 'static> std::fmt::Debug for Store<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("id", &self.inner.context().vm().id()).finish_non_exhaustive()
    }
}

impl<T: Default + 'static> Default for Store<T> {
    fn default() -> Store<T> {
        Store::new(&Engine::default(), T::default())
    }
}

/// What a store can be read through: a store, a borrow of one, or the [`Caller`] of a host function.
pub trait AsContext {
    /// The host's data in the store.
    type Data: 'static;

    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What a store can be used through: a store, a borrow of one, or the [`Caller`] of a host function.
pub trait AsContextMut: AsContext {
    /// Borrows the store exclusively.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<T: 'static> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.inner.context()
    }
}

impl<T: 'static> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.inner.context_mut()
    }
}

impl<T: 'static> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        *self
    }
}

impl<T: 'static> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.shared()
    }
}

impl<T: 'static> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.reborrow()
    }
}

impl<T: 'static> StoreContextMut<'_, T> {
    /// As [`Store::gc`].
    ///
    /// # Errors
    /// None.
    pub fn gc(&mut self, _why: Option<&GcHeapOutOfMemory<()>>) -> Result<()> {
        self.vm().collect_garbage();
        Ok(())
    }
}

impl<T: 'static> Caller<'_, T> {
    /// As [`Store::gc`].
    ///
    /// # Errors
    /// None.
    pub fn gc(&mut self, why: Option<&GcHeapOutOfMemory<()>>) -> Result<()> {
        self.store.gc(why)
    }
}

impl<T: 'static> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.shared()
    }
}

impl<T: 'static> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.reborrow()
    }
}

impl<C: AsContext> AsContext for &'_ C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &'_ mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &'_ mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

impl<'a, T: 'static, C: AsContext<Data = T>> From<&'a C> for StoreContext<'a, T> {
    fn from(store: &'a C) -> StoreContext<'a, T> {
        store.as_context()
    }
}

impl<'a, T: 'static, C: AsContext<Data = T>> From<&'a mut C> for StoreContext<'a, T> {
    fn from(store: &'a mut C) -> StoreContext<'a, T> {
        C::as_context(store)
    }
}

impl<'a, T: 'static, C: AsContextMut<Data = T>> From<&'a mut C> for StoreContextMut<'a, T> {
    fn from(store: &'a mut C) -> StoreContextMut<'a, T> {
        store.as_context_mut()
    }
}
