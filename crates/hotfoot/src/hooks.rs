//! What an embedder is asked or told while a store runs: calls between host and guest, and deadlines; and what a host
//! function can do about its store's.

use std::fmt;
use std::pin::Pin;

use anyhow::Result;

use crate::vm::context::{StoreContext, StoreContextMut};
use crate::vm::hostcall::Caller;

/// A call between host and guest, or its end; see [`Store::call_hook`](crate::Store::call_hook).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallHook {
    /// The host calls a guest.
    CallingWasm,
    /// A guest returns to the host that called it, or is left by a trap.
    ReturningFromWasm,
    /// A guest calls the host.
    CallingHost,
    /// The host returns to the guest that called it.
    ReturningFromHost,
}

impl CallHook {
    /// Whether the host runs from here on.
    pub fn entering_host(&self) -> bool {
        matches!(self, CallHook::ReturningFromWasm | CallHook::CallingHost)
    }

    /// Whether a guest runs from here on.
    pub fn exiting_host(&self) -> bool {
        matches!(self, CallHook::ReturningFromHost | CallHook::CallingWasm)
    }
}

/// What to do with a guest whose epoch deadline has passed; see
/// [`Store::epoch_deadline_callback`](crate::Store::epoch_deadline_callback).
#[non_exhaustive]
pub enum UpdateDeadline {
    /// Stop it with [`Trap::Interrupt`](crate::Trap::Interrupt).
    Interrupt,
    /// Let it run on for so many epochs.
    Continue(u64),
    /// Let other futures run, then let it run on for so many epochs. An error in a call that is not asynchronous.
    Yield(u64),
    /// Wait for this future, then let the guest run on for so many epochs. An error in a call that is not asynchronous.
    YieldCustom(u64, Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl fmt::Debug for UpdateDeadline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateDeadline::Interrupt => formatter.write_str("Interrupt"),
            UpdateDeadline::Continue(delta) => formatter.debug_tuple("Continue").field(delta).finish(),
            UpdateDeadline::Yield(delta) => formatter.debug_tuple("Yield").field(delta).finish(),
            UpdateDeadline::YieldCustom(delta, _) => formatter.debug_tuple("YieldCustom").field(delta).finish(),
        }
    }
}

impl<T: 'static> StoreContext<'_, T> {
    /// Fuel that is left; see [`Store::get_fuel`](crate::Store::get_fuel).
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.vm().fuel()
    }
}

impl<T: 'static> StoreContextMut<'_, T> {
    /// Fuel that is left; see [`Store::get_fuel`](crate::Store::get_fuel).
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.shared().vm().fuel()
    }

    /// Sets the fuel that is left; see [`Store::set_fuel`](crate::Store::set_fuel).
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.vm().set_fuel(fuel)
    }

    /// Stops guests in so many epochs from now; see
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline).
    pub fn set_epoch_deadline(&mut self, ticks_beyond_current: u64) {
        self.vm().set_epoch_deadline(ticks_beyond_current);
    }
}

impl<T: 'static> Caller<'_, T> {
    /// Fuel that is left; see [`Store::get_fuel`](crate::Store::get_fuel).
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn get_fuel(&self) -> Result<u64> {
        self.store.get_fuel()
    }

    /// Sets the fuel that is left; see [`Store::set_fuel`](crate::Store::set_fuel).
    ///
    /// # Errors
    /// When the engine's code consumes no fuel.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.store.set_fuel(fuel)
    }

    /// Stops guests in so many epochs from now; see
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline).
    pub fn set_epoch_deadline(&mut self, ticks_beyond_current: u64) {
        self.store.set_epoch_deadline(ticks_beyond_current);
    }
}
