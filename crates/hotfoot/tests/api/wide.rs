//! 128-bit arithmetic, against Rust's.

use hotfoot::{Config, Engine, Store};

use super::{call, instantiate};

const GUEST: &str = r#"(module
    (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
        (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
        (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "mul_s") (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))
    (func (export "mul_u") (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1))))"#;

fn halves(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

#[test]
fn sums_and_products_are_those_of_128_bits() {
    let mut store = Store::new(&Engine::new(Config::new().wasm_wide_arithmetic(true)).unwrap(), ());
    let instance = instantiate(&mut store, GUEST, &[]);
    let edges = [0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x1234_5678_9abc_def0];
    for low in edges {
        for high in edges {
            for other in edges {
                let (x, y) = (u128::from(low) | u128::from(high) << 64, u128::from(other) << 32 | 0xffff);
                let operands = (low, high, halves(y).0, halves(y).1);
                let mut wide = |name| call::<_, _, (u64, u64)>(&mut store, instance, name, operands).unwrap();
                assert_eq!(wide("add"), halves(x.wrapping_add(y)), "{x} + {y}");
                assert_eq!(wide("sub"), halves(x.wrapping_sub(y)), "{x} - {y}");
            }
            let mut product = |name| call::<_, _, (u64, u64)>(&mut store, instance, name, (low, high)).unwrap();
            assert_eq!(product("mul_u"), halves(u128::from(low) * u128::from(high)), "{low} * {high}");
            let signed = i128::from(low as i64) * i128::from(high as i64);
            assert_eq!(product("mul_s"), halves(signed as u128), "{low} * {high}");
        }
    }
}
