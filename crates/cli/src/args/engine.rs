//! Engine options as an engine configuration.

use anyhow::{Context, Result};
use hotfoot::{Config, Engine, OptLevel};

use super::features::FeatureSwitch;
use super::low::{LowEngineArgs, OptLevelArg};

/// How the user wants the engine; what is not named stays at the library's default.
#[derive(Clone)]
pub struct EngineArgs(LowEngineArgs);

impl EngineArgs {
    /// Wraps what clap read.
    pub fn new(low: LowEngineArgs) -> EngineArgs {
        EngineArgs(low)
    }

    /// Makes the engine.
    pub fn engine(&self) -> Result<Engine> {
        let mut config = Config::new();
        self.apply(&mut config)?;
        Engine::new(&config).context("these engine options do not work")
    }

    /// The stack that guests may use, if the user named a size.
    pub fn max_wasm_stack(&self) -> Option<u64> {
        self.0.max_wasm_stack
    }

    /// Sets what was asked for and leaves everything else alone.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        let low = &self.0;
        FeatureSwitch::apply(&low.features, config);
        if let Some(level) = low.opt_level {
            config.cranelift_opt_level(match level {
                OptLevelArg::None => OptLevel::None,
                OptLevelArg::SomeSpeed | OptLevelArg::Speed => OptLevel::Speed,
                OptLevelArg::SpeedAndSize => OptLevel::SpeedAndSize,
            });
        }
        if let Some(enabled) = low.signals_based_traps {
            config.signals_based_traps(enabled);
        }
        if let Some(bytes) = low.memory_reservation {
            config.memory_reservation(bytes);
        }
        if let Some(bytes) = low.memory_guard_size {
            config.memory_guard_size(bytes);
        }
        if let Some(bytes) = low.max_wasm_stack {
            config.max_wasm_stack(usize::try_from(bytes).context("--max-wasm-stack is larger than the address space")?);
        }
        Ok(())
    }
}
