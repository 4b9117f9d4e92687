//! Every vector operator compiles on both instruction sets, in every mode, with the code generator's verifier on.
//!
//! What the operators compute is the official test suite's business; it needs the runtime.

use hotfoot_compile::{Compiler, OptLevel, Options, Target};

/// Operators that are alike: their parameters, their result, and what follows their name.
struct Group {
    params: &'static str,
    result: &'static str,
    immediates: &'static str,
    names: &'static str,
}

const fn group(params: &'static str, result: &'static str, immediates: &'static str, names: &'static str) -> Group {
    Group { params, result, immediates, names }
}

const GROUPS: [Group; 19] = [
    group(
        "i32",
        "v128",
        "offset=3",
        "v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u
         v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat v128.load32_zero v128.load64_zero",
    ),
    group("i32 v128", "", "offset=3", "v128.store"),
    group("i32 v128", "v128", "offset=3 1", "v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane"),
    group("i32 v128", "", "offset=3 1", "v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane"),
    group("", "v128", "i32x4 1 -2 0x7fffffff 4", "v128.const"),
    group("v128 v128", "v128", "0 31 1 30 2 29 3 28 4 27 5 26 6 25 7 24", "i8x16.shuffle"),
    group("i32", "v128", "", "i8x16.splat i16x8.splat i32x4.splat"),
    group("i64", "v128", "", "i64x2.splat"),
    group("f32", "v128", "", "f32x4.splat"),
    group("f64", "v128", "", "f64x2.splat"),
    group(
        "v128",
        "i32",
        "1",
        "i8x16.extract_lane_s i8x16.extract_lane_u i16x8.extract_lane_s i16x8.extract_lane_u i32x4.extract_lane",
    ),
    group("v128", "i64", "1", "i64x2.extract_lane"),
    group("v128", "f32", "1", "f32x4.extract_lane"),
    group("v128", "f64", "1", "f64x2.extract_lane"),
    group("v128 i32", "v128", "1", "i8x16.replace_lane i16x8.replace_lane i32x4.replace_lane"),
    group("v128 i64", "v128", "1", "i64x2.replace_lane"),
    group("v128 f32", "v128", "1", "f32x4.replace_lane"),
    group("v128 f64", "v128", "1", "f64x2.replace_lane"),
    group(
        "v128",
        "i32",
        "",
        "v128.any_true i8x16.all_true i16x8.all_true i32x4.all_true i64x2.all_true
         i8x16.bitmask i16x8.bitmask i32x4.bitmask i64x2.bitmask",
    ),
];

const SHIFTS: Group = group(
    "v128 i32",
    "v128",
    "",
    "i8x16.shl i8x16.shr_s i8x16.shr_u i16x8.shl i16x8.shr_s i16x8.shr_u
     i32x4.shl i32x4.shr_s i32x4.shr_u i64x2.shl i64x2.shr_s i64x2.shr_u",
);

const UNARY: Group = group(
    "v128",
    "v128",
    "",
    "v128.not
     i8x16.abs i8x16.neg i8x16.popcnt
     i16x8.abs i16x8.neg i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u
     i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u
     i32x4.abs i32x4.neg i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u
     i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u
     i64x2.abs i64x2.neg
     i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u
     f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest f32x4.abs f32x4.neg f32x4.sqrt
     f64x2.ceil f64x2.floor f64x2.trunc f64x2.nearest f64x2.abs f64x2.neg f64x2.sqrt
     i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u
     i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero
     f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u f32x4.demote_f64x2_zero f64x2.promote_low_f32x4
     i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u
     i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero",
);

const BINARY: Group = group(
    "v128 v128",
    "v128",
    "",
    "i8x16.swizzle v128.and v128.andnot v128.or v128.xor
     i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s i8x16.gt_u i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u
     i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s i16x8.gt_u i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u
     i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u
     i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
     f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge
     f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge
     i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u
     i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u
     i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u i8x16.avgr_u
     i16x8.q15mulr_sat_s i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
     i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u i16x8.mul
     i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u i16x8.avgr_u
     i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u
     i32x4.add i32x4.sub i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s
     i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u
     i64x2.add i64x2.sub i64x2.mul
     i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u
     f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax
     f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax
     i8x16.relaxed_swizzle f32x4.relaxed_min f32x4.relaxed_max f64x2.relaxed_min f64x2.relaxed_max
     i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s",
);

const TERNARY: Group = group(
    "v128 v128 v128",
    "v128",
    "",
    "v128.bitselect f32x4.relaxed_madd f32x4.relaxed_nmadd f64x2.relaxed_madd f64x2.relaxed_nmadd
     i8x16.relaxed_laneselect i16x8.relaxed_laneselect i32x4.relaxed_laneselect i64x2.relaxed_laneselect
     i32x4.relaxed_dot_i8x16_i7x16_add_s",
);

/// 236 operators of the SIMD proposal and 20 of the relaxed SIMD proposal.
const OPERATORS: usize = 256;

/// A module with three functions for each operator: one takes its vectors as they are, two as floats that an earlier
/// operator made, so that an operator which trusts the lanes that it is given is found out.
fn module() -> String {
    let mut text = String::from("(module (memory 1)\n");
    let mut operators = 0;
    for Group { params, result, immediates, names } in GROUPS.iter().chain([&SHIFTS, &UNARY, &BINARY, &TERNARY]) {
        let operands = |vector: &str| -> String {
            let operand = |(index, ty): (usize, &str)| match ty {
                "v128" => format!("local.get {index} {vector} "),
                _ => format!("local.get {index} "),
            };
            params.split_whitespace().enumerate().map(operand).collect()
        };
        for name in names.split_whitespace() {
            operators += 1;
            for vector in ["", "f64x2.abs", "f32x4.neg"] {
                let operands = operands(vector);
                text += &format!("(func (param {params}) (result {result}) {operands} {name} {immediates})\n");
            }
        }
    }
    assert_eq!(operators, OPERATORS);
    text + ")"
}

fn target(triple: &str, extensions: &[&str]) -> Target {
    let mut target = Target::new(triple).unwrap();
    for extension in extensions {
        target.enable(extension).unwrap();
    }
    target
}

#[test]
fn every_vector_operator_compiles() {
    let wasm = wat::parse_str(module()).unwrap();
    let targets = [
        target("x86_64-unknown-linux-gnu", &[]),
        target("x86_64-unknown-linux-gnu", &["has_avx", "has_avx2", "has_fma", "has_avx_vnni"]),
        target("aarch64-unknown-linux-gnu", &[]),
        target("aarch64-unknown-linux-gnu", &["has_dotprod"]),
        Target::host().unwrap(),
    ];
    for target in targets {
        for opt_level in [OptLevel::None, OptLevel::Speed] {
            for exact in [false, true] {
                let options = Options {
                    opt_level,
                    relaxed_simd_deterministic: exact,
                    nan_canonicalization: exact,
                    ..Options::default()
                };
                let compiler = Compiler::new(target.clone(), options).unwrap();
                compiler.compile(&wasm).unwrap_or_else(|error| panic!("{target:?}, {opt_level:?}: {error}"));
            }
        }
    }
}
