//! Bad input: what is cut off or damaged is refused or runs, and never takes the host down.
//!
//! Two sources: real programs cut at every 1000th byte, and small modules of each kind of construct with random bytes
//! changed. A damaged module that is still valid is instantiated, and what it exports is called, as far as that
//! is sure to end. `HOTFOOT_BAD_INPUT=10000` makes so many damaged copies (1000 otherwise); the seed is fixed.
//! `HOTFOOT_BAD_INPUT_MODULE=FILE` cuts that program as well. The damaged copy at work is written to `bad_input.wasm`
//! in the test's folder, to be found there after a crash.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use hotfoot::{Engine, Instance, Linker, Module, Store, StoreLimits, StoreLimitsBuilder, Val, ValType};
use hotfoot_testing::engines::EngineKind;
use hotfoot_testing::features::Features;
use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// Small numbers generator (xorshift64*), so that each run damages the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// One module for each kind of construct that a decoder and a compiler have to get right.
const SEEDS: &[&str] = &[
    r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#,
    r#"(module (memory (export "m") 1 4) (data (i32.const 8) "hello")
        (func (export "get") (param i32) (result i32) (i32.load offset=4 (local.get 0)))
        (func (export "put") (param i32 i64) (i64.store align=1 (local.get 0) (local.get 1)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#,
    r#"(module (type $t (func (result i32))) (table (export "t") 4 8 funcref) (elem (i32.const 1) $a $b)
        (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2))
        (func (export "call") (param i32) (result i32) (call_indirect (type $t) (local.get 0)))
        (func (export "set") (table.set (i32.const 0) (ref.func $a))))"#,
    r#"(module (global $g (export "g") (mut i64) (i64.const 7)) (global f64 (f64.const 1.5))
        (func (export "swap") (param i64) (result i64) (global.get $g) (global.set $g (local.get 0))))"#,
    r#"(module (func (export "many") (param i32) (result i32 i64 f32)
        (block (result i32) (br_table 0 0 (i32.const 3) (local.get 0))) (i64.const 2) (f32.const 3)))"#,
    r#"(module (func (export "choose") (param i32) (result f64)
        (if (result f64) (local.get 0) (then (f64.sqrt (f64.const 2))) (else (f64.const nan)))))"#,
    r#"(module (memory 1) (data $d "abcdef") (elem $e func $f) (table 3 funcref) (func $f)
        (func (export "init") (param i32)
          (memory.init $d (local.get 0) (i32.const 1) (i32.const 3)) (data.drop $d)
          (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e)
          (memory.fill (i32.const 0) (i32.const 1) (i32.const 9))
          (memory.copy (i32.const 5) (i32.const 0) (i32.const 9))))"#,
    r#"(module (memory 1) (func (export "vector") (param v128 i32) (result v128)
        (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
          (i32x4.add (local.get 0) (v128.load (local.get 1))) (f32x4.splat (f32.const 2)))))"#,
    r#"(module (memory $a 1) (memory $b i64 1) (func (export "both") (param i64) (result i32)
        (i32.add (i32.load $a (i32.const 4)) (i32.load $b offset=0x10000 (local.get 0)))))"#,
    r#"(module $named (type (func)) (import "host" "f" (func $f (type 0))) (start $s)
        (func $s) (func (export "through") (call $f) (call $s)))"#,
    r#"(module (func (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
        (func (export "sat") (param f32) (result i64) (i64.trunc_sat_f32_u (local.get 0)))
        (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))"#,
    r#"(module (func $odd (param i32) (result i32) (if (result i32) (i32.eqz (local.get 0))
          (then (i32.const 0)) (else (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "start") (result i32) (call $odd (i32.const 9)))
        (func (export "spin") (local i32) (loop (br_if 0 (i32.lt_u (local.tee 0
          (i32.add (local.get 0) (i32.const 1))) (i32.const 9))))))"#,
];

#[test]
fn real_modules_cut_off_are_refused() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut modules: Vec<PathBuf> = fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).collect();
    modules.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    assert!(!modules.is_empty(), "examples/ holds compiled guests");
    modules.extend(std::env::var_os("HOTFOOT_BAD_INPUT_MODULE").map(PathBuf::from));
    let engine = Engine::default();
    for path in modules {
        let bytes = fs::read(&path).unwrap();
        for end in (0..bytes.len()).step_by(1000) {
            // A cut between two sections can leave a valid module, but not when code or data are still promised.
            let cut = Module::from_binary(&engine, &bytes[..end]);
            assert!(cut.is_err(), "{} is accepted when cut at byte {end}", path.display());
        }
        assert!(Module::from_binary(&engine, &bytes).is_ok(), "{} is refused", path.display());
    }
}

#[test]
fn damaged_modules_are_refused_or_run() {
    let copies = std::env::var("HOTFOOT_BAD_INPUT").map_or(1000, |text| text.parse().expect("a number of copies"));
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| wat::parse_str(text).unwrap()).collect();
    let engines = EngineKind::ALL.map(|kind| kind.engine(Features::ALL).unwrap());
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad_input.wasm");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut valid, mut called) = (0, 0);
    for copy in 0..copies {
        let mut bytes = seeds[copy % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            // The first eight bytes only say that this is a module.
            let at = 8 + random.below(bytes.len() - 8);
            bytes[at] = if random.below(2) == 0 { bytes[at] ^ (1 << random.below(8)) } else { random.next() as u8 };
        }
        fs::write(&log, &bytes).unwrap();
        if let Some(calls) = survive(&engines[copy % engines.len()], &bytes) {
            valid += 1;
            called += calls;
        }
    }
    // Were this low, the test would not reach what it is about.
    assert!(valid > copies / 20 && called > valid / 4, "{valid} of {copies} are valid, with {called} calls");
}

/// Compiles and, if that works, runs a module; says how many calls were made, whatever came of them.
fn survive(engine: &Engine, bytes: &[u8]) -> Option<usize> {
    let module = Module::from_binary(engine, bytes).ok()?;
    let limits = StoreLimitsBuilder::new().memory_size(16 << 20).table_elements(10_000).build();
    let mut store: Store<StoreLimits> = Store::new(engine, limits);
    store.limiter(|limits| limits);
    if !ends(bytes) {
        return Some(0);
    }
    let mut linker = Linker::new(engine);
    linker.define_unknown_imports_as_traps(&module).ok()?;
    let instance = linker.instantiate(&mut store, &module).ok();
    Some(instance.map_or(0, |instance| call_all(&mut store, &module, instance)))
}

/// Calls each exported function with plain arguments. A trap is as good as a result.
fn call_all(store: &mut Store<StoreLimits>, module: &Module, instance: Instance) -> usize {
    let mut calls = 0;
    for export in module.exports() {
        let Some(func) = instance.get_func(&mut *store, export.name()) else { continue };
        let ty = func.ty(&*store);
        let arguments: Vec<Val> = ty.params().map(plain).collect();
        let mut results: Vec<Val> = ty.results().map(plain).collect();
        let _ = func.call(&mut *store, &arguments, &mut results);
        calls += 1;
    }
    calls
}

fn plain(ty: ValType) -> Val {
    match ty {
        ValType::I32 => Val::I32(3),
        ValType::I64 => Val::I64(3),
        ValType::F32 => Val::F32(3f32.to_bits()),
        ValType::F64 => Val::F64(3f64.to_bits()),
        ValType::V128 => Val::V128(3.into()),
        ty if ty == ValType::EXTERNREF => Val::ExternRef(None),
        _ => Val::FuncRef(None),
    }
}

/// Whether all code of a module is sure to end: without loops and tail calls, what does not end overflows the stack.
fn ends(bytes: &[u8]) -> bool {
    Parser::new(0).parse_all(bytes).all(|payload| match payload {
        Ok(Payload::CodeSectionEntry(body)) => body_ends(&body),
        other => other.is_ok(),
    })
}

fn body_ends(body: &FunctionBody<'_>) -> bool {
    body.get_operators_reader().is_ok_and(|operators| {
        operators.into_iter().all(|operator| {
            !matches!(
                operator,
                Err(_) | Ok(Operator::Loop { .. } | Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. })
            )
        })
    })
}
