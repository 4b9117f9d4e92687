//! Stopping guests from outside.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::vm::context::StoreContextMut;
use crate::vm::hostcall::Caller;
use crate::vm::interrupt::{self, Interrupt};

/// Stops the guests of a store, from any thread; made by [`Store::interrupt_handle`](crate::Store::interrupt_handle).
///
/// ```
/// use std::time::Duration;
/// use hotfoot::{Engine, Instance, Module, Store, Trap};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
/// let mut store = Store::new(&engine, ());
/// let handle = store.interrupt_handle()?;
/// std::thread::spawn(move || {
///     std::thread::sleep(Duration::from_millis(10));
///     handle.interrupt();
/// });
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
/// let error = spin.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct InterruptHandle {
    shared: Arc<Interrupt>,
}

impl InterruptHandle {
    /// Stops the guest of the store that runs, with [`Trap::Interrupt`](crate::Trap::Interrupt); if none runs, the next
    /// one stops as soon as it begins. One request stops one call. When the store is gone, nothing happens.
    ///
    /// A guest that waits for a host function stops when the function returns. System calls in which the function
    /// blocks return `EINTR`; it can ask [`interrupted`] whether to give up.
    pub fn interrupt(&self) {
        self.shared.request();
    }
}

impl<T: 'static> StoreContextMut<'_, T> {
    /// What stops the store's guests from other threads; see
    /// [`Store::interrupt_handle`](crate::Store::interrupt_handle).
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle> {
        Ok(InterruptHandle { shared: self.vm().interrupt()? })
    }

    /// Stops guests that still run after so long; see [`Store::set_timeout`](crate::Store::set_timeout).
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn set_timeout(&mut self, timeout: impl Into<Option<Duration>>) -> Result<()> {
        self.vm().interrupt()?.set_timeout(timeout.into())
    }
}

impl<T: 'static> Caller<'_, T> {
    /// What stops the store's guests from other threads; see
    /// [`Store::interrupt_handle`](crate::Store::interrupt_handle).
    ///
    /// # Errors
    /// When the thread that keeps time cannot be started.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle> {
        self.store.interrupt_handle()
    }
}

/// Whether the guest is being stopped that called the host function from which this is called: by an
/// [`InterruptHandle`] or a timeout. A host function that waits for something should return then, and soon. What it
/// returns does not matter, unless it is an error: that is what the guest ends with.
///
/// ```
/// # fn read() -> std::io::Result<()> { Ok(()) }
/// let outcome = loop {
///     match read() {
///         Err(error) if error.kind() == std::io::ErrorKind::Interrupted && !hotfoot::interrupted() => {}
///         outcome => break outcome,
///     }
/// };
/// # outcome.unwrap();
/// ```
pub fn interrupted() -> bool {
    interrupt::interrupted()
}
