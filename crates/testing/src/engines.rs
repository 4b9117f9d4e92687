//! The settings under which every script must hold.
//!
//! They differ in how a memory access out of bounds is found: by the processor and a guard region, or by comparisons
//! in the code, which are two translations of each load and store.

use std::num::NonZeroU32;

use hotfoot::{Config, Engine, Result};

use crate::features::Features;

/// One way to set up an engine.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Default settings: reservation and guard region in place of most checks.
    Default,
    /// `signals_based_traps(false)`: every trap is an explicit check.
    NoSignals,
    /// A reservation of one page and the smallest guard: traps come as signals, but each access to memory is checked, and a
    /// memory that grows moves.
    SmallReservation,
    /// `gc_zeal_alloc_counter(1)`: every allocation moves every object.
    Zealous,
    /// `consume_fuel` and `epoch_interruption`, with plenty of both: code that is metered does the same.
    Metered,
    /// `lazy_compilation`: functions are compiled when they are called, by other threads.
    Lazy,
}

impl EngineKind {
    /// Those whose memory accesses differ.
    pub const ALL: [EngineKind; 3] = [EngineKind::Default, EngineKind::NoSignals, EngineKind::SmallReservation];

    /// The name in tests and tables.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Default => "default",
            EngineKind::NoSignals => "no-signals",
            EngineKind::SmallReservation => "small-reservation",
            EngineKind::Zealous => "zealous",
            EngineKind::Metered => "metered",
            EngineKind::Lazy => "lazy",
        }
    }

    /// Settings for this kind of engine with these features.
    pub fn config(self, features: Features) -> Config {
        let mut config = Config::new();
        features.apply(&mut config);
        match self {
            EngineKind::Default => &mut config,
            EngineKind::NoSignals => config.signals_based_traps(false),
            EngineKind::SmallReservation => config
                .memory_reservation(64 << 10)
                .memory_guard_size(0)
                .memory_reservation_for_growth(0)
                .compiler_inlining(hotfoot::Inlining::No),
            EngineKind::Zealous => config.gc_zeal_alloc_counter(NonZeroU32::new(1)).expect("any number is a setting"),
            EngineKind::Metered => config.consume_fuel(true).epoch_interruption(true),
            EngineKind::Lazy => config.lazy_compilation(true),
        };
        config
    }

    /// An engine of this kind with these features.
    ///
    /// # Errors
    /// When hotfoot does not have one of the features.
    pub fn engine(self, features: Features) -> Result<Engine> {
        Engine::new(&self.config(features))
    }
}
