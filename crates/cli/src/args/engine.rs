//! Engine options as an engine configuration: first what the configuration file says, then what the options do.

use anyhow::{Context, Result, anyhow};
use hotfoot::{Config, Engine, OptLevel};
use hotfoot_compile::{LEVELS, Target};

use super::features::FeatureSwitch;
use super::low::{LowEngineArgs, OptLevelArg};
use super::tools::TargetArgs;
use crate::config_file::ConfigFile;
use crate::near;

/// How the user wants the engine; what is not named stays at the library's default.
#[derive(Clone)]
pub struct EngineArgs {
    low: LowEngineArgs,
    target: Option<String>,
    threads: bool,
    file: ConfigFile,
}

impl EngineArgs {
    /// Reads the configuration file, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or says what cannot be.
    pub fn new(low: &LowEngineArgs) -> Result<EngineArgs> {
        let file = low.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        Ok(EngineArgs { low: low.clone(), target: None, threads: false, file })
    }

    /// As [`EngineArgs::new`], for a command that can compile for another machine.
    ///
    /// # Errors
    /// As [`EngineArgs::new`].
    pub fn for_target(low: &LowEngineArgs, target: &TargetArgs) -> Result<EngineArgs> {
        Ok(EngineArgs { target: target.target.clone(), ..EngineArgs::new(low)? })
    }

    /// Makes the engine for code that people are to read: it says of every instruction where it comes from.
    ///
    /// # Errors
    /// As [`EngineArgs::engine`].
    pub fn engine_to_read(&self) -> Result<Engine> {
        let mut config = Config::new();
        self.apply(&mut config)?;
        config.generate_address_map(true);
        Engine::new(&config).context("these engine options do not work")
    }

    /// The same with shared memories and atomic operations, unless they are switched off by name.
    pub fn with_threads(self) -> EngineArgs {
        EngineArgs { threads: true, ..self }
    }

    /// Makes the engine.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn engine(&self) -> Result<Engine> {
        self.engine_with(|_| ())
    }

    /// Makes the engine, with settings that only one command has.
    ///
    /// # Errors
    /// As [`EngineArgs::engine`].
    pub fn engine_with(&self, set: impl FnOnce(&mut Config)) -> Result<Engine> {
        let mut config = Config::new();
        set(&mut config);
        self.apply(&mut config)?;
        Engine::new(&config).context("these engine options do not work")
    }

    /// The stack that guests may use, if the user named a size.
    pub fn max_wasm_stack(&self) -> Option<u64> {
        self.low.max_wasm_stack.or(self.file.max_wasm_stack())
    }

    /// Sets what was asked for and leaves everything else alone.
    ///
    /// # Errors
    /// When there is no such target or setting.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        self.file.apply(config)?;
        let low = &self.low;
        if self.threads {
            config.wasm_threads(true);
        }
        FeatureSwitch::apply(&low.features, config);
        if let Some(level) = low.opt_level {
            config.cranelift_opt_level(match level {
                OptLevelArg::None => OptLevel::None,
                OptLevelArg::SomeSpeed | OptLevelArg::Speed => OptLevel::Speed,
                OptLevelArg::SpeedAndSize => OptLevel::SpeedAndSize,
            });
        }
        self.apply_target(config)?;
        if let Some(folder) = &low.emit_clif {
            config.emit_clif(folder);
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

    /// The target and its settings, tried here so that a slip is noticed before anything is read or compiled.
    fn apply_target(&self, config: &mut Config) -> Result<()> {
        if let Some(target) = &self.target {
            config.target(target)?;
        }
        if self.target.is_none() && self.low.cranelift_settings.is_empty() {
            return Ok(());
        }
        let name = self.target.as_deref().or(self.file.target()).unwrap_or("native");
        let mut target = known_target(name)?;
        for setting in &self.low.cranelift_settings {
            target
                .set(&setting.name, &setting.value)
                .map_err(|error| explain_setting(&target, &setting.name, error))?;
            config.cranelift_flag_set(&setting.name, &setting.value);
        }
        Ok(())
    }
}

/// A target by its name, or what could have been meant.
pub fn known_target(name: &str) -> Result<Target> {
    Target::new(name).map_err(|error| {
        let names = LEVELS.iter().map(|(level, _)| *level).chain(["x86_64", "aarch64", "native"]);
        match near::nearest(name, names) {
            Some(near) => anyhow!("there is no target `{name}`; did you mean `{near}`?"),
            None => error.into(),
        }
    })
}

fn explain_setting(target: &Target, name: &str, error: hotfoot_compile::Error) -> anyhow::Error {
    let settings = target.settings().unwrap_or_default();
    let names = || settings.iter().map(|setting| setting.name).chain(LEVELS.iter().map(|(level, _)| *level));
    if names().any(|known| known == name) {
        return anyhow!("{error}; `hotfoot settings` lists what each setting takes");
    }
    match near::nearest(name, names()) {
        Some(near) => anyhow!("there is no setting `{name}` for this target; did you mean `{near}`?"),
        None => anyhow!("there is no setting `{name}` for this target; `hotfoot settings` lists them"),
    }
}
