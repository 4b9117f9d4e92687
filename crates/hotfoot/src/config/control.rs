//! Settings of how guests are stopped and suspended.

use std::sync::Arc;

use hotfoot_abi::fuel::OperatorCost;

use super::Config;

impl Config {
    /// Lets code consume fuel, so that a guest can be stopped after an exactly known amount of work; see
    /// [`Store::set_fuel`](crate::Store::set_fuel). Code is a little slower with it. Default: off.
    pub fn consume_fuel(&mut self, enable: bool) -> &mut Self {
        self.tunables.consume_fuel = enable;
        self
    }

    /// What each operator costs, where code consumes fuel. An artifact that was made with other costs is refused.
    ///
    /// ```
    /// use hotfoot::{Config, Engine, Instance, Module, OperatorCost, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let costs = OperatorCost { I32Mul: 5, LocalGet: 0, ..OperatorCost::new() };
    /// let engine = Engine::new(Config::new().consume_fuel(true).operator_cost(costs))?;
    /// let module = Module::new(&engine, r#"(module (func (export "square") (param i32) (result i32)
    ///     (i32.mul (local.get 0) (local.get 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_fuel(100)?;
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// instance.get_typed_func::<i32, i32>(&mut store, "square")?.call(&mut store, 4)?;
    /// assert_eq!(store.get_fuel()?, 95);
    /// # Ok(()) }
    /// ```
    pub fn operator_cost(&mut self, cost: OperatorCost) -> &mut Self {
        self.operator_cost = Some(Arc::new(cost));
        self
    }

    /// What operators cost.
    pub(crate) fn operator_costs(&self) -> &OperatorCost {
        static DEFAULT: OperatorCost = OperatorCost::new();
        self.operator_cost.as_deref().unwrap_or(&DEFAULT)
    }

    /// Lets code look at the engine's epoch, so that it can be stopped or yield at loops and calls; see
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline). Code is a little slower with it. Default: off.
    pub fn epoch_interruption(&mut self, enable: bool) -> &mut Self {
        self.tunables.epoch_interruption = enable;
        self
    }

    /// Says that calls will be asynchronous, so that [`Engine::new`](crate::Engine::new) refuses stacks that are too small
    /// for that. Asynchronous functions and calls can be used without. Default: off.
    pub fn async_support(&mut self, enable: bool) -> &mut Self {
        self.async_support = enable;
        self
    }

    /// Stack of an asynchronous call, in bytes: what [`Config::max_wasm_stack`] gives the guest, and the rest for the host
    /// functions that it calls. Default: 2 MiB.
    pub fn async_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.async_stack_size = bytes;
        self
    }
}
