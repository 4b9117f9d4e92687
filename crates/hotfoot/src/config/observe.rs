//! Settings of what can be seen of guests: backtraces, core dumps, maps of their code.

use super::Config;
use crate::profiling::ProfilingStrategy;
use crate::symbols::WasmBacktraceDetails;

impl Config {
    /// Whether errors carry a [`WasmBacktrace`](crate::WasmBacktrace). Default: on.
    pub fn wasm_backtrace(&mut self, enable: bool) -> &mut Self {
        self.wasm_backtrace_max_frames = if enable { Config::new().wasm_backtrace_max_frames } else { 0 };
        self
    }

    /// How many frames a backtrace has at most. Default: 20.
    pub fn wasm_backtrace_max_frames(&mut self, frames: usize) -> &mut Self {
        self.wasm_backtrace_max_frames = frames;
        self
    }

    /// Whether compiled modules keep their DWARF, so that backtraces name source files and lines. Default: they do.
    pub fn wasm_backtrace_details(&mut self, details: WasmBacktraceDetails) -> &mut Self {
        self.backtrace_details = match details {
            WasmBacktraceDetails::Enable => true,
            WasmBacktraceDetails::Disable => false,
        };
        self
    }

    /// Whether errors of guests carry a [`WasmCoreDump`](crate::WasmCoreDump), beside the backtrace. Default: off.
    pub fn coredump_on_trap(&mut self, enable: bool) -> &mut Self {
        self.coredump_on_trap = enable;
        self
    }

    /// Whether someone wants to know of all code when a module is made, so that it cannot be compiled later.
    #[cfg_attr(not(feature = "compile"), allow(dead_code))]
    pub(crate) fn describes_code(&self) -> bool {
        self.profiler != ProfilingStrategy::None || self.native_debug_info
    }

    /// How profilers from outside, such as Linux `perf`, learn about compiled code; modules are then compiled whole.
    /// Default: not at all.
    pub fn profiler(&mut self, profiler: ProfilingStrategy) -> &mut Self {
        self.profiler = profiler;
        self
    }

    /// Shows guests' functions and source lines to debuggers of this process, such as gdb and lldb; modules are then
    /// compiled whole, and with [`Config::generate_address_map`]. The code is the same. Default: off.
    pub fn debug_info(&mut self, enable: bool) -> &mut Self {
        self.native_debug_info = enable;
        self
    }

    /// Says of every machine instruction where in the module it comes from, for profilers and people who read the code.
    /// Without it an artifact says so of those that may trap or call, which is what backtraces need. The code is the
    /// same either way, the artifact larger. Default: off.
    pub fn generate_address_map(&mut self, enable: bool) -> &mut Self {
        self.generate_address_map = enable;
        self
    }
}
