//! The border between host and guest, for stores that want to know who crosses it.
//!
//! Most stores want nothing: then crossing costs one test of [`Watches`]. What they can want: fuel that is compared when
//! a guest is entered and left, a hook that is told of every crossing, and guests that can be stopped from outside.

use std::ptr::NonNull;

use anyhow::Result;
use hotfoot_abi::trap::TrapCode;

use super::fiber::Asker;
use super::growth::{Growable, Growing};
use super::store::VmStore;
use super::trap::Pending;
use crate::hooks::{CallHook, UpdateDeadline};

/// How the part of a store that does not know its data's type reaches what does. All take the store's pointer.
pub struct Asks {
    /// Asks the limiter, if there is one, whether something may grow; that may wait.
    pub growing: unsafe fn(NonNull<VmStore>, Growing, Asker) -> Option<Result<bool>>,
    /// Tells the limiter, if there is one, that it did not.
    pub grow_failed: unsafe fn(NonNull<VmStore>, Growable, anyhow::Error) -> Result<()>,
    /// How many instances, memories and tables the limiter allows, if there is one.
    pub counts: unsafe fn(NonNull<VmStore>) -> Option<[usize; 3]>,
    /// Asks what to do at the epoch's deadline, if someone wants to be asked.
    pub epoch: unsafe fn(NonNull<VmStore>) -> Option<Result<UpdateDeadline>>,
    /// Tells of a crossing.
    pub call: unsafe fn(NonNull<VmStore>, CallHook) -> Result<()>,
}

/// What a store wants to be done at crossings.
#[derive(Copy, Clone, Debug, Default)]
pub struct Watches(u32);

impl Watches {
    /// Compare the fuel.
    pub const FUEL: Watches = Watches(1);
    /// Tell the call hook.
    pub const CALLS: Watches = Watches(2);

    /// Register the thread, and look for requests to stop.
    pub const INTERRUPTS: Watches = Watches(4);

    /// Calls may be suspended at deadlines.
    pub const YIELDS: Watches = Watches(8);
    /// The future of a call was dropped, and its guests are being left.
    pub const CANCELLED: Watches = Watches(16);

    /// Whether anything is wanted.
    #[inline]
    pub fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether this is wanted.
    #[inline]
    pub fn has(self, watch: Watches) -> bool {
        self.0 & watch.0 != 0
    }

    /// Wants this again if it was wanted then, and no more otherwise.
    pub fn restore(&mut self, watch: Watches, then: Watches) {
        self.0 = self.0 & !watch.0 | then.0 & watch.0;
    }

    /// Wants this from now on.
    pub fn set(&mut self, watch: Watches) {
        self.0 |= watch.0;
    }
}

/// The host is about to enter a guest.
///
/// # Safety
/// S1, S2: the store is alive and no Rust reference into it is.
#[cold]
pub unsafe fn before_guest(store: NonNull<VmStore>) -> Result<(), Pending> {
    // SAFETY: S1, S2, by the caller's promise; short borrows, none during the hook.
    unsafe {
        let watches = (*store.as_ptr()).watches;
        if watches.has(Watches::FUEL) {
            (*store.as_ptr()).settle_fuel().map_err(|code| Pending::Trap(code, Vec::new()))?;
        }
        if watches.has(Watches::CALLS) {
            tell(store, CallHook::CallingWasm).map_err(|error| Pending::Error(error, Vec::new()))?;
        }
        (*store.as_ptr()).interruptible.enter();
        if let Err(code) = (*store.as_ptr()).check_interrupt() {
            (*store.as_ptr()).interruptible.leave();
            return Err(Pending::Trap(code, Vec::new()));
        }
    }
    Ok(())
}

/// A guest that the host entered has returned, or was left.
///
/// # Safety
/// As [`before_guest`].
#[cold]
pub unsafe fn after_guest(store: NonNull<VmStore>, outcome: Result<(), Pending>) -> Result<(), Pending> {
    // SAFETY: S1, S2, by the caller's promise; short borrows, none during the hook.
    unsafe {
        let watches = (*store.as_ptr()).watches;
        let mut outcome = outcome;
        (*store.as_ptr()).interruptible.leave();
        if watches.has(Watches::CALLS) {
            let told = tell(store, CallHook::ReturningFromWasm);
            outcome = outcome.and_then(|()| told.map_err(|error| Pending::Error(error, Vec::new())));
        }
        if watches.has(Watches::FUEL) && outcome.is_ok() {
            // Code without loops and calls does not look at the fuel, so the last of it may have been overdrawn.
            outcome = (*store.as_ptr()).settle_fuel().map_err(|code| Pending::Trap(code, Vec::new()));
        }
        outcome
    }
}

/// A guest has called the host.
///
/// # Safety
/// As [`before_guest`].
#[cold]
pub unsafe fn before_host(store: NonNull<VmStore>) -> Result<()> {
    // SAFETY: S1, S2, by the caller's promise.
    unsafe {
        if (*store.as_ptr()).watches.has(Watches::CALLS) {
            tell(store, CallHook::CallingHost)?;
        }
    }
    Ok(())
}

/// The host is about to return to the guest that called it, with success or without.
///
/// # Safety
/// As [`before_guest`].
#[cold]
pub unsafe fn after_host(store: NonNull<VmStore>, mut outcome: Result<()>) -> Result<()> {
    // SAFETY: S1, S2, by the caller's promise.
    unsafe {
        if (*store.as_ptr()).watches.has(Watches::CALLS) {
            let told = tell(store, CallHook::ReturningFromHost);
            outcome = outcome.and(told);
        }
        outcome?;
        Ok((*store.as_ptr()).check_interrupt()?)
    }
}

/// # Safety
/// As [`before_guest`].
unsafe fn tell(store: NonNull<VmStore>, call: CallHook) -> Result<()> {
    // SAFETY: S1, S2, S10: by the caller's promise; made for this store's data.
    unsafe { ((*store.as_ptr()).asks.call)(store, call) }
}

/// The trap as the error that a builtin or host function returns.
pub fn trap(code: TrapCode) -> anyhow::Error {
    code.into()
}
