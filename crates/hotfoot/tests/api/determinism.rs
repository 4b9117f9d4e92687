//! Settings that make results the same on every processor: the bits of NaNs, and the relaxed vector instructions.

use hotfoot::{Config, Engine, Store, V128};

use super::{call, instantiate};

/// Every way of making a NaN that the specification leaves the bits of open.
const NANS: &str = r#"(module
    (func (export "f32") (param i32 i32) (result i32 i32 i32 i32 i32)
        (local $x f32) (local $y f32)
        (local.set $x (f32.reinterpret_i32 (local.get 0)))
        (local.set $y (f32.reinterpret_i32 (local.get 1)))
        (i32.reinterpret_f32 (f32.add (local.get $x) (local.get $y)))
        (i32.reinterpret_f32 (f32.min (local.get $x) (local.get $y)))
        (i32.reinterpret_f32 (f32.sqrt (local.get $x)))
        (i32.reinterpret_f32 (f32.nearest (local.get $x)))
        (i32.reinterpret_f32 (f32.demote_f64 (f64.promote_f32 (local.get $x)))))
    (func (export "f64") (param i64 i64) (result i64 i64 i64 i64 i64)
        (local $x f64) (local $y f64)
        (local.set $x (f64.reinterpret_i64 (local.get 0)))
        (local.set $y (f64.reinterpret_i64 (local.get 1)))
        (i64.reinterpret_f64 (f64.mul (local.get $x) (local.get $y)))
        (i64.reinterpret_f64 (f64.div (local.get $x) (local.get $y)))
        (i64.reinterpret_f64 (f64.max (local.get $x) (local.get $y)))
        (i64.reinterpret_f64 (f64.floor (local.get $x)))
        (i64.reinterpret_f64 (f64.promote_f32 (f32.demote_f64 (local.get $x)))))
    (func (export "vector") (param v128 v128) (result v128 v128 v128)
        (f32x4.add (local.get 0) (local.get 1))
        (f64x2.max (local.get 0) (local.get 1))
        (f32x4.sqrt (local.get 0)))
    (func (export "kept") (param i32) (result i32 i32 i32)
        (i32.reinterpret_f32 (f32.neg (f32.reinterpret_i32 (local.get 0))))
        (i32.reinterpret_f32 (f32.abs (f32.reinterpret_i32 (local.get 0))))
        (i32.reinterpret_f32 (f32.copysign (f32.reinterpret_i32 (local.get 0)) (f32.const 1)))))"#;

#[test]
fn canonical_nans_have_one_form() {
    for signals in [true, false] {
        let mut config = Config::new();
        config.cranelift_nan_canonicalization(true).signals_based_traps(signals);
        let mut store = Store::new(&Engine::new(&config).unwrap(), ());
        let instance = instantiate(&mut store, NANS, &[]);
        const F32: u32 = 0x7fc0_0000;
        const F64: u64 = 0x7ff8_0000_0000_0000;
        for nan in [F32, F32 | 1 << 31, F32 | 0x1234, 0x7f80_0001, 0xffff_ffff] {
            for other in [nan, 0x3f80_0000, 0xffc0_1111] {
                let all: (u32, u32, u32, u32, u32) = call(&mut store, instance, "f32", (nan, other)).unwrap();
                assert_eq!(all, (F32, F32, F32, F32, F32), "{nan:x} {other:x}");
            }
        }
        for nan in [F64, F64 | 1 << 63, F64 | 0x1234, 0x7ff0_0000_0000_0001, u64::MAX] {
            for other in [nan, 1f64.to_bits(), 0xfff8_0000_0000_1111] {
                let all: (u64, u64, u64, u64, u64) = call(&mut store, instance, "f64", (nan, other)).unwrap();
                assert_eq!(all, (F64, F64, F64, F64, F64), "{nan:x} {other:x}");
            }
        }
        let quiet = |bits: u32| V128::from(u128::from(bits) * 0x1_0000_0001_0000_0001_0000_0001);
        let operands = (quiet(0xffff_1234), quiet(0x7fc0_5678));
        let (sum, max, root): (V128, V128, V128) = call(&mut store, instance, "vector", operands).unwrap();
        assert_eq!(sum.as_u128(), quiet(F32).as_u128());
        assert_eq!(max.as_u128(), u128::from(F64) << 64 | u128::from(F64));
        assert_eq!(root.as_u128(), quiet(F32).as_u128());
        // What only moves bits keeps them, canonical or not.
        let kept: (u32, u32, u32) = call(&mut store, instance, "kept", 0xffc0_1234u32).unwrap();
        assert_eq!(kept, (0x7fc0_1234, 0x7fc0_1234, 0x7fc0_1234));
    }
}

/// Calls a function of two or three constants and gives the vector back.
fn relaxed(instruction: &str, operands: &[&str]) -> u128 {
    let engine = Engine::new(Config::new().relaxed_simd_deterministic(true)).unwrap();
    let mut store = Store::new(&engine, ());
    // Operands pass through parameters, so that the code generator cannot compute the result itself.
    let params = "v128 ".repeat(operands.len());
    let gets: String = (0..operands.len()).map(|index| format!("(local.get {index})")).collect();
    let constants: String = operands.iter().map(|operand| format!("(v128.const {operand})")).collect();
    let text = format!(
        r#"(module (func $f (param {params}) (result v128) ({instruction} {gets}))
            (func (export "f") (result v128) (call $f {constants})))"#
    );
    let instance = instantiate(&mut store, &text, &[]);
    call::<_, (), V128>(&mut store, instance, "f", ()).unwrap().as_u128()
}

fn bytes(lanes: [i8; 16]) -> u128 {
    u128::from_le_bytes(lanes.map(|lane| lane as u8))
}

fn words(lanes: [u32; 4]) -> u128 {
    lanes.iter().rev().fold(0, |all, lane| all << 32 | u128::from(*lane))
}

/// The expected values are those of the specification's deterministic profile, for inputs where processors differ.
#[test]
fn relaxed_instructions_follow_the_deterministic_profile() {
    let ascending = "i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
    let outside = "i8x16 16 17 31 32 64 127 -128 -1 15 14 0 -16 20 -113 99 1";
    let swizzled = [0, 0, 0, 0, 0, 0, 0, 0, 15, 14, 0, 0, 0, 0, 0, 1];
    assert_eq!(relaxed("i8x16.relaxed_swizzle", &[ascending, outside]), bytes(swizzled));

    let floats = "f32x4 nan 3e9 -3e9 1.9";
    let signed = [0, i32::MAX as u32, i32::MIN as u32, 1];
    assert_eq!(relaxed("i32x4.relaxed_trunc_f32x4_s", &[floats]), words(signed));
    assert_eq!(relaxed("i32x4.relaxed_trunc_f32x4_u", &["f32x4 nan 5e9 -1 1.9"]), words([0, u32::MAX, 0, 1]));
    assert_eq!(relaxed("i32x4.relaxed_trunc_f64x2_s_zero", &["f64x2 nan 3e9"]), words([0, i32::MAX as u32, 0, 0]));
    assert_eq!(relaxed("i32x4.relaxed_trunc_f64x2_u_zero", &["f64x2 -1 5e9"]), words([0, u32::MAX, 0, 0]));

    // Rounded twice: (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, which loses its last bit before the sum.
    let near = "f32x4 0x1.001p0 0x1.001p0 0x1.001p0 0x1.001p0";
    let less = "f32x4 -0x1.002p0 -0x1.002p0 -0x1.002p0 -0x1.002p0";
    assert_eq!(relaxed("f32x4.relaxed_madd", &[near, near, less]), 0);
    let more = "f32x4 0x1.002p0 0x1.002p0 0x1.002p0 0x1.002p0";
    assert_eq!(relaxed("f32x4.relaxed_nmadd", &[near, near, more]), 0);

    let mask = "i32x4 0x7fffffff 0x80000000 0x0f0f0f0f 0";
    let (ones, zeros) = ("i32x4 -1 -1 -1 -1", "i32x4 0 0 0 0");
    for lanes in ["i8x16", "i16x8", "i32x4", "i64x2"] {
        let selected = relaxed(&format!("{lanes}.relaxed_laneselect"), &[ones, zeros, mask]);
        assert_eq!(selected, words([0x7fff_ffff, 0x8000_0000, 0x0f0f_0f0f, 0]), "{lanes}");
    }

    let (x, y) = ("f32x4 nan 0 -0 1", "f32x4 1 -0 0 nan");
    let is_nan = |bits: u128, lane: u32| f32::from_bits((bits >> (32 * lane)) as u32).is_nan();
    let (min, max) = (relaxed("f32x4.relaxed_min", &[x, y]), relaxed("f32x4.relaxed_max", &[x, y]));
    assert!([min, max].iter().all(|bits| is_nan(*bits, 0) && is_nan(*bits, 3)));
    assert_eq!(min >> 32 & 0xffff_ffff_ffff_ffff, 0x8000_0000_8000_0000);
    assert_eq!(max >> 32 & 0xffff_ffff_ffff_ffff, 0);

    let least = "i16x8 -32768 1 2 3 4 5 6 16384";
    let product = relaxed("i16x8.relaxed_q15mulr_s", &[least, least]);
    assert_eq!(product as u16, 0x7fff);

    let minus = "i8x16 -128 -128 127 -128 1 2 3 4 5 6 7 8 9 10 11 12";
    let dot = relaxed("i16x8.relaxed_dot_i8x16_i7x16_s", &[minus, minus]);
    assert_eq!((dot as u16, (dot >> 16) as u16), (0x7fff, 127 * 127 + 128 * 128));
    let sum = relaxed("i32x4.relaxed_dot_i8x16_i7x16_add_s", &[minus, minus, "i32x4 1 1 1 1"]);
    assert_eq!(sum as u32, 0x7fff + 127 * 127 + 128 * 128 + 1);
}
