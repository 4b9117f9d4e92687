//! The settings of hotfoot under which a module must do the same.

use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, OptLevel, Result};
use hotfoot_testing::engines::EngineKind;
use hotfoot_testing::features::{Feature, Features};

use super::observe::{self, REFUSED, State};

/// Everything that hotfoot has and the peer has.
const FEATURES: Features = Features::ALL.with(&[Feature::Threads, Feature::WideArithmetic, Feature::CustomPageSizes]);

/// One way to set up hotfoot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// As a kind of engine of the specification scripts.
    Kind(EngineKind),
    /// `cranelift_opt_level(None)`.
    Unoptimised,
    /// `Pooling`: the module runs twice, the second time in the instance of the first.
    Warm,
}

impl Settings {
    /// All of them.
    pub const ALL: [Settings; 8] = [
        Settings::Kind(EngineKind::Default),
        Settings::Kind(EngineKind::NoSignals),
        Settings::Kind(EngineKind::SmallReservation),
        Settings::Kind(EngineKind::Zealous),
        Settings::Kind(EngineKind::Metered),
        Settings::Kind(EngineKind::Lazy),
        Settings::Unoptimised,
        Settings::Warm,
    ];

    /// The name in tests.
    pub fn name(self) -> &'static str {
        match self {
            Settings::Kind(kind) => kind.name(),
            Settings::Unoptimised => "unoptimised",
            Settings::Warm => "warm",
        }
    }

    /// An engine with these settings; `canonical` makes all NaNs the same.
    ///
    /// # Errors
    /// None that are expected.
    pub fn engine(self, canonical: bool) -> Result<Engine> {
        let mut config: Config = match self {
            Settings::Kind(kind) => kind.config(FEATURES),
            _ => EngineKind::Default.config(FEATURES),
        };
        match self {
            Settings::Kind(_) => &mut config,
            Settings::Unoptimised => config.cranelift_opt_level(OptLevel::None),
            Settings::Warm => config.allocation_strategy(InstanceAllocationStrategy::pooling()),
        };
        config.relaxed_simd_deterministic(true).cranelift_nan_canonicalization(canonical);
        Engine::new(&config)
    }

    /// What is seen of a module: of each run of it, where there are several.
    pub fn observe(self, engine: &Engine, wasm: &[u8]) -> Vec<Vec<String>> {
        match self {
            Settings::Warm => warm(engine, wasm).unwrap_or_default(),
            _ => vec![observe::observe(engine, wasm)],
        }
    }
}

/// A module that imports nothing but functions, three times on one place of a pool.
fn warm(engine: &Engine, wasm: &[u8]) -> Option<Vec<Vec<String>>> {
    let module = match Module::new(engine, wasm) {
        Ok(module) => module,
        Err(error) => return Some(vec![vec![format!("{REFUSED}: {error:#}")]]),
    };
    let mut linker: Linker<State> = Linker::new(engine);
    for import in module.imports() {
        let ty = import.ty().func()?.clone();
        let made = ty.clone();
        // Two imports of one name: an ordinary instance can have both, a linker cannot.
        let func = move |caller: hotfoot::Caller<'_, State>, params: &[hotfoot::Val], results: &mut [hotfoot::Val]| {
            observe::host_function(caller, &made, params, results)
        };
        linker.func_new(import.module(), import.name(), ty, func).ok()?;
    }
    let pre = linker.instantiate_pre(&module).ok()?;
    let run =
        |_| observe::observe_instances(observe::store(engine, wasm), &module, |store| Some(pre.instantiate(store)));
    Some((0..3).map(run).collect())
}
