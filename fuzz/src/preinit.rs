//! Random modules for the property test of the pre-initialiser (`crates/preinit/tests/random.rs`).

use std::panic::catch_unwind;

use arbitrary::Unstructured;
use wasm_smith::Config;

use crate::compare::{Engines, Outcome};
use crate::generate::Case;
use crate::ours::settings::Settings;
use crate::same;

/// How much a module may do.
const FUEL: u32 = 10_000;

/// The module of a seed.
pub fn module(seed: u64) -> Option<Vec<u8>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let bytes: Vec<u8> = (0..4096 + seed % 8192)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let exports = r#"(module (func (export "wizer.initialize")) (func (export "main") (result i64 f64 v128 funcref)
        i64.const 0 f64.const 0 v128.const i64x2 0 0 ref.null func))"#;
    let config = Config {
        exports: Some(wat::parse_str(exports).ok()?),
        disallow_traps: seed % 4 != 0,
        max_memories: 3,
        // With a maximum in the type, a module that grows without end does not take gigabytes to compare.
        max_memory32_bytes: 10 << 16,
        max_memory64_bytes: 10 << 16,
        memory_max_size_required: true,
        max_tables: 4,
        max_table_elements: 500,
        table_max_size_required: true,
        min_globals: 2,
        min_funcs: 3,
        max_imports: 6,
        max_instructions: 150,
        gc_enabled: seed % 2 == 0,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        compact_imports_enabled: false,
        custom_page_sizes_enabled: false,
        ..Config::default()
    };
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    module.ensure_termination(FUEL).ok()?;
    Some(module.to_bytes())
}

/// Initialises and runs the module of a seed in one instance, and pre-initialised in another, and compares everything; then
/// runs the new module in the peer. Says how it went; an error is a difference.
pub fn check(engines: &mut Engines, wasm: &[u8]) -> Result<String, String> {
    let ours = catch_unwind(|| same::check(wasm)).map_err(|_| "pre-initialised, it is another".to_owned())?;
    let output = match ours {
        same::Outcome::Same(output) => output,
        same::Outcome::None(why) => return Ok(why),
    };
    let case = Case { wasm: output, settings: Settings::ALL[0], canonical: true, peer_optimised: false, damaged: false };
    match engines.compare(&case) {
        Outcome::Different(ours, peer) => Err(format!("the new module differs\n--- hotfoot\n{ours}\n--- peer\n{peer}")),
        Outcome::Panicked => Err("hotfoot panics".to_owned()),
        outcome => Ok(format!("same, and in the peer: {outcome:?}")),
    }
}
