//! Settings of how guests are stopped and suspended.

use super::Config;

impl Config {
    /// Lets code consume fuel, so that a guest can be stopped after an exactly known amount of work; see
    /// [`Store::set_fuel`](crate::Store::set_fuel). Code is a little slower with it. Default: off.
    pub fn consume_fuel(&mut self, enable: bool) -> &mut Self {
        self.tunables.consume_fuel = enable;
        self
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
