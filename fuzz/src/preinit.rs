//! Random modules for the property test of the pre-initialiser (`crates/preinit/tests/random.rs`).

use arbitrary::Unstructured;
use wasm_smith::Config;

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
        max_memory32_bytes: 10 << 16,
        max_memory64_bytes: 10 << 16,
        max_tables: 4,
        max_table_elements: 500,
        min_globals: 2,
        min_funcs: 3,
        max_imports: 6,
        max_instructions: 150,
        gc_enabled: false,
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
