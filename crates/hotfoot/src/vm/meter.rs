//! Fuel and epochs, the runtime's side: how code that cooperates is stopped.
//!
//! While compiled code runs its fuel is in a register; the trampolines leave it in the store's context for us. What the
//! context holds is the *tank*; more may be in *reserve*, so that the tank runs empty at a yield interval, or because a
//! tank holds 2^63 at most.
//!
//! ```text
//!  set_fuel(n) ──▶ reserve ──interval──▶ tank (ctx.fuel) ──▶ register ──▶ below zero: OutOfFuel ──▶ refill, or trap
//! ```

use std::num::NonZeroU64;
use std::ptr::NonNull;

use anyhow::{Result, ensure};
use hotfoot_abi::fuel::VariableOperatorCost;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::VmContext;

use super::border::{self, Watches};
use super::builtins;
use super::fiber::{self, Asker};
use super::store::VmStore;
use crate::hooks::UpdateDeadline;

/// Fuel that is not in the context yet.
#[derive(Debug, Default)]
pub struct Tank {
    reserve: u64,
    interval: Option<NonZeroU64>,
}

impl VmStore {
    /// Makes the meters those of a new store.
    pub(super) fn begin_metering(&mut self) {
        self.watches = Watches::default();
        self.tank = Tank::default();
        self.ctx.fuel = 0;
        self.ctx.epoch = self.engine().epoch_address();
        self.ctx.epoch_deadline = 0;
        if self.engine().tunables().consume_fuel {
            self.watches.set(Watches::FUEL);
        }
    }

    /// Whether the code of this store's engine consumes fuel.
    #[inline]
    pub(super) fn consumes_fuel(&self) -> bool {
        self.watches.has(Watches::FUEL)
    }

    /// Keeps what the fuel's register held when a guest was interrupted. Async-signal-safe.
    ///
    /// # Safety
    /// S1, S2: the store is alive and its guest was interrupted, in a function.
    pub(super) unsafe fn keep_fuel(store: NonNull<VmStore>, fuel: i64) {
        // SAFETY: S1, S2, by the caller's promise.
        unsafe {
            if (*store.as_ptr()).watches.has(Watches::FUEL) {
                (*store.as_ptr()).ctx.fuel = fuel;
            }
        }
    }

    /// Refills a tank that is overdrawn.
    pub(super) fn settle_fuel(&mut self) -> Result<(), TrapCode> {
        while self.ctx.fuel < 0 {
            if self.tank.reserve == 0 {
                return Err(TrapCode::OutOfFuel);
            }
            self.refill();
        }
        Ok(())
    }

    /// Moves as much of the reserve to the tank as an interval allows.
    fn refill(&mut self) {
        let most = self.tank.interval.map_or(i64::MAX as u64, |interval| interval.get().min(i64::MAX as u64));
        let amount = self.tank.reserve.min(most);
        self.tank.reserve -= amount;
        self.ctx.fuel += amount as i64;
    }

    /// Consumes fuel for each byte, page or element that the guest asks the runtime to work on.
    #[inline]
    pub(super) fn charge_fuel(&mut self, count: u64, cost: impl FnOnce(&VariableOperatorCost) -> u8) -> Result<()> {
        if self.watches.has(Watches::FUEL) {
            let cost = cost(&self.engine.config().operator_costs().variable);
            let amount = i64::try_from(count.saturating_mul(cost.into())).unwrap_or(i64::MAX);
            self.ctx.fuel = self.ctx.fuel.saturating_sub(amount);
            self.settle_fuel()?;
        }
        Ok(())
    }

    fn check_fuel_is_consumed(&self) -> Result<()> {
        ensure!(
            self.engine().tunables().consume_fuel,
            "this engine's code consumes no fuel: switch `Config::consume_fuel` on"
        );
        Ok(())
    }

    /// Fuel that is left.
    pub fn fuel(&self) -> Result<u64> {
        self.check_fuel_is_consumed()?;
        let total = i128::from(self.ctx.fuel) + i128::from(self.tank.reserve);
        Ok(u64::try_from(total.max(0)).unwrap_or(u64::MAX))
    }

    /// Sets the fuel that is left.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.check_fuel_is_consumed()?;
        (self.ctx.fuel, self.tank.reserve) = (0, fuel);
        self.refill();
        Ok(())
    }

    /// Sets how much fuel is consumed between yields.
    pub fn set_fuel_interval(&mut self, interval: Option<NonZeroU64>) -> Result<()> {
        let fuel = self.fuel()?;
        self.tank.interval = interval;
        if interval.is_some() {
            self.watches.set(Watches::YIELDS);
        }
        self.set_fuel(fuel)
    }

    /// Lets deadlines suspend calls.
    pub fn allow_yields(&mut self) {
        self.watches.set(Watches::YIELDS);
    }

    /// Sets the epoch at which code stops, counted from now.
    pub fn set_epoch_deadline(&mut self, delta: u64) {
        self.ctx.epoch_deadline = self.engine().epoch().saturating_add(delta);
    }
}

/// [`Builtin::OutOfFuel`](hotfoot_abi::builtin::Builtin::OutOfFuel)
pub unsafe extern "C" fn out_of_fuel(context: *mut VmContext) -> u32 {
    // SAFETY: S1, called by compiled code; S2, no reference into the store is alive during the yield.
    unsafe {
        builtins::guard_store(context, 0, |store| {
            (*store.as_ptr()).settle_fuel()?;
            if (*store.as_ptr()).tank.interval.is_some() {
                fiber::yield_now(store)?;
            }
            Ok(1)
        })
    }
}

/// [`Builtin::NewEpoch`](hotfoot_abi::builtin::Builtin::NewEpoch)
pub unsafe extern "C" fn new_epoch(context: *mut VmContext) -> u32 {
    // SAFETY: S1, called by compiled code; S2, no reference into the store is alive while the callback runs.
    unsafe {
        builtins::guard_store(context, 0, |store| {
            let answer = ((*store.as_ptr()).asks.epoch)(store).unwrap_or(Ok(UpdateDeadline::Interrupt))?;
            match answer {
                UpdateDeadline::Interrupt => return Err(border::trap(TrapCode::Interrupt)),
                UpdateDeadline::Continue(delta) => (*store.as_ptr()).set_epoch_deadline(delta),
                UpdateDeadline::Yield(delta) => {
                    fiber::yield_now(store)?;
                    (*store.as_ptr()).set_epoch_deadline(delta);
                }
                UpdateDeadline::YieldCustom(delta, mut future) => {
                    fiber::block_on(store, future.as_mut(), Asker::Guest)?;
                    (*store.as_ptr()).set_epoch_deadline(delta);
                }
            }
            Ok(1)
        })
    }
}
