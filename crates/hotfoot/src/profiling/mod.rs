//! Telling profilers what runs: which function is where in memory, for those that sample addresses from outside, and a
//! profiler of our own that samples guests from inside the process.

pub mod code;
mod firefox;
pub mod guest;
mod jit_dump;
mod perf_map;
mod stacks;

use anyhow::{Context, Result};

use crate::module::Module;

/// How profilers from outside learn about compiled code; see [`Config::profiler`](crate::Config::profiler).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProfilingStrategy {
    /// They do not.
    #[default]
    None,
    /// By `/tmp/perf-PID.map`, which Linux `perf` reads.
    PerfMap,
    /// By `jit-PID.dump` in the current directory, which `perf inject --jit` reads: names, code, and source lines.
    JitDump,
}

/// Makes a module's code known.
///
/// # Errors
/// When the file cannot be written.
pub fn announce(module: &Module) -> Result<()> {
    match module.engine().config().profiler {
        ProfilingStrategy::None => Ok(()),
        ProfilingStrategy::PerfMap => perf_map::add(module).context("cannot write the map for `perf`"),
        ProfilingStrategy::JitDump => jit_dump::add(module).context("cannot write the dump for `perf inject`"),
    }
}
