//! One test for each kind of state that can be captured; `docs/preinit.md` has them in a table.
//!
//! Each guest exports `wizer.initialize` and `main`. Initialising and running it in one instance must give what running
//! the pre-initialised module gives: the whole state before `main`, its result, and the whole state after it.

use hotfoot::{Engine, Module};
use hotfoot_preinit::Preinit;

use crate::check::{call_main, check, check_and, check_with, instantiate};
use crate::dump::{Dump, assert_same};

#[test]
fn numbers_and_vectors_in_globals() {
    check(
        r#"(module
            (global $i (mut i32) (i32.const 1)) (global $l (mut i64) (i64.const 2))
            (global $f (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4))
            (global $v (mut v128) (v128.const i64x2 5 6)) (global $c i32 (i32.const 7))
            (func (export "wizer.initialize")
                (global.set $i (i32.const 0x80000000)) (global.set $l (i64.const -2))
                (global.set $f (f32.const -nan:0x200001)) (global.set $d (f64.const nan:0x4000000000001))
                (global.set $v (v128.const i64x2 -1 0x8000000000000000)))
            (func (export "main") (result i64)
                (global.set $i (i32.add (global.get $i) (global.get $c)))
                (i64.add (i64.extend_i32_u (global.get $i)) (i64x2.extract_lane 1 (global.get $v)))))"#,
    );
}

#[test]
fn references_in_globals() {
    check_with(
        &mut Preinit::new(),
        r#"(module
            (import "a" "f" (func $imported (result i64)))
            (type $t (func (result i64)))
            (table $table 1 funcref)
            (global $own (mut funcref) (ref.null func)) (global $other (mut funcref) (ref.null func))
            (global $cleared (mut funcref) (ref.func $one)) (global $nothing (mut externref) (ref.null extern))
            (elem declare func $one $two $imported)
            (func $one (result i64) (i64.const 1))
            (func $two (result i64) (i64.const 2))
            (func (export "wizer.initialize")
                (global.set $own (ref.func $two)) (global.set $other (ref.func $imported))
                (global.set $cleared (ref.null func)))
            (func (export "main") (result i64)
                (table.set (i32.const 0) (global.get $own))
                (call_indirect (type $t) (i32.const 0))))"#,
        &[PROVIDER],
    );
}

#[test]
fn typed_and_non_nullable_function_references() {
    check(
        r#"(module
            (type $t (func (result i64)))
            (table $all 3 9 (ref $t) (ref.func $one))
            (global $g (mut (ref $t)) (ref.func $one)) (global $n (mut (ref null $t)) (ref.null $t))
            (elem declare func $two)
            (func $one (result i64) (i64.const 1))
            (func $two (result i64) (i64.const 2))
            (func (export "wizer.initialize")
                (global.set $g (ref.func $two)) (global.set $n (global.get $g))
                (table.set $all (i32.const 1) (ref.func $two)) (drop (table.grow $all (ref.func $two) (i32.const 3))))
            (func (export "main") (result i64)
                (i64.add (call_ref $t (global.get $g))
                    (i64.add (call_ref $t (table.get $all (i32.const 0))) (call_ref $t (table.get $all (i32.const 5)))))))"#,
    );
}

#[test]
fn unboxed_integers_in_references() {
    check(
        r#"(module
            (table 3 anyref)
            (global $a i31ref (ref.i31 (i32.const -5))) (global $b (mut anyref) (ref.null any))
            (func (export "wizer.initialize")
                (global.set $b (global.get $a)) (table.set (i32.const 1) (global.get $a)))
            (func (export "main") (result i64) (i64.extend_i32_u (ref.is_null (table.get (i32.const 1))))))"#,
    );
}

#[test]
fn memory_bytes_growth_and_bytes_that_became_zero() {
    check(
        r#"(module
            (memory 1 5)
            (data (i32.const 100) "abc")
            (func (export "wizer.initialize")
                (drop (memory.grow (i32.const 2)))
                (i32.store8 (i32.const 101) (i32.const 0))
                (i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const 65535) (i32.const 2))
                (i32.store8 (i32.const 65536) (i32.const 3)) (i32.store8 (i32.const 196607) (i32.const 4)))
            (func (export "main") (result i64)
                (i64.add (i64.load (i32.const 100)) (i64.extend_i32_s (memory.grow (i32.const 3))))))"#,
    );
}

#[test]
fn several_memories_of_both_address_types() {
    check(
        r#"(module
            (memory $a 1) (memory $b i64 1 10) (memory $c 0)
            (data (memory $b) (i64.const 7) "seven")
            (func (export "wizer.initialize")
                (drop (memory.grow $b (i64.const 3))) (drop (memory.grow $c (i32.const 1)))
                (i64.store $b (i64.const 262136) (i64.const -1)) (i32.store8 $c (i32.const 9) (i32.const 9)))
            (func (export "main") (result i64)
                (i64.add (i64.load $b (i64.const 262136)) (i64.extend_i32_u (i32.load $c (i32.const 9))))))"#,
    );
}

#[test]
fn tables_after_set_grow_fill_copy_and_init() {
    check(
        r#"(module
            (type $t (func (result i64)))
            (table $a 6 30 funcref) (table $b 2 funcref) (table $e 3 externref) (table $l i64 4 funcref)
            (elem $active (table $a) (i32.const 1) func $one $two)
            (elem $passive func $two $three)
            (func $one (result i64) (i64.const 1))
            (func $two (result i64) (i64.const 2))
            (func $three (result i64) (i64.const 3))
            (func (export "wizer.initialize")
                (table.set $a (i32.const 0) (ref.func $three)) (table.set $a (i32.const 1) (ref.null func))
                (drop (table.grow $a (ref.func $one) (i32.const 4)))
                (table.fill $a (i32.const 8) (ref.func $two) (i32.const 2))
                (table.init $b $passive (i32.const 0) (i32.const 0) (i32.const 2))
                (table.copy $a $b (i32.const 4) (i32.const 0) (i32.const 2))
                (drop (table.grow $e (ref.null extern) (i32.const 2)))
                (table.set $l (i64.const 3) (ref.func $one)))
            (func (export "main") (result i64)
                (i64.add
                    (call_indirect $a (type $t) (i32.const 5))
                    (i64.extend_i32_s (table.grow $a (ref.null func) (i32.const 20))))))"#,
    );
}

#[test]
fn large_sparse_tables_cost_what_they_hold() {
    let wasm = check(
        r#"(module
            (table $t 0 funcref)
            (func $f)
            (elem declare func $f)
            (func (export "wizer.initialize")
                (drop (table.grow $t (ref.null func) (i32.const 60000)))
                (table.set $t (i32.const 30000) (ref.func $f)) (table.set $t (i32.const 59999) (ref.func $f)))
            (func (export "main") (result i64) (i64.extend_i32_u (table.size $t))))"#,
    );
    assert!(wasm.len() < 300, "{} bytes", wasm.len());
}

#[test]
fn dropped_segments_stay_dropped() {
    let text = |use_it: &str| {
        format!(
            r#"(module
                (memory 1) (table 4 funcref)
                (elem $active (i32.const 0) func $f) (elem $kept funcref (ref.func $f) (ref.null func)) (elem $gone func $f)
                (data $gone_data "gone") (data $kept_data "kept") (data $active_data (i32.const 50) "active")
                (func $f)
                (func (export "wizer.initialize")
                    (elem.drop $gone) (data.drop $gone_data)
                    (i32.store (i32.const 1000) (i32.const 77)))
                (func (export "main") (result i64) {use_it} (i64.load (i32.const 8))))"#
        )
    };
    for (name, traps) in [("kept_data", false), ("gone_data", true), ("active_data", true)] {
        let wasm = check(&text(&format!("(memory.init ${name} (i32.const 8) (i32.const 0) (i32.const 4))")));
        let (mut store, instance) = instantiate(&wasm, &[]);
        assert_eq!(call_main(&mut store, &instance).is_err(), traps, "{name}");
    }
    for (name, traps) in [("kept", false), ("gone", true), ("active", true)] {
        let wasm = check(&text(&format!("(table.init ${name} (i32.const 1) (i32.const 0) (i32.const 1))")));
        let (mut store, instance) = instantiate(&wasm, &[]);
        assert_eq!(call_main(&mut store, &instance).is_err(), traps, "{name}");
        check(&text(&format!("(elem.drop ${name}) (table.init ${name} (i32.const 1) (i32.const 0) (i32.const 0))")));
    }
}

#[test]
fn passive_segments_that_name_globals() {
    check_with(
        &mut Preinit::new(),
        r#"(module
            (import "a" "f" (global $f funcref))
            (type $t (func (result i64)))
            (table 2 funcref)
            (elem $passive funcref (ref.null func) (ref.func $own))
            (func $own (result i64) (i64.const 6))
            (func (export "wizer.initialize"))
            (func (export "main") (result i64)
                (table.init $passive (i32.const 0) (i32.const 0) (i32.const 2))
                (call_indirect (type $t) (i32.const 1))))"#,
        &[r#"(module (global (export "f") funcref (ref.null func)))"#],
    );
}

const PROVIDER: &str = r#"(module
    (memory (export "memory") 2 9) (data (i32.const 10) "provided")
    (table (export "table") 3 20 funcref)
    (global (export "base") i32 (i32.const 1024))
    (global (export "count") (mut i64) (i64.const 5))
    (func (export "f") (result i64) (i64.const 8)))"#;

const IMPORTER: &str = r#"(module
    (import "a" "memory" (memory 1)) (import "a" "table" (table 1 funcref))
    (import "a" "base" (global $base i32)) (import "a" "count" (global $count (mut i64)))
    (import "a" "f" (func $f (result i64)))
    (type $t (func (result i64)))
    (global $own (mut i32) (i32.const 0)) (global $copy i32 (global.get $base))
    (elem (offset (i32.const 1)) func $g) (elem declare func $f)
    (data (offset (global.get $base)) "here")
    (func $g (result i64) (i64.const 9))
    (func (export "wizer.initialize")
        (global.set $own (global.get $base)) (global.set $count (i64.add (global.get $count) (call $f)))
        (drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 131072) (i32.const -1)) (table.set (i32.const 0) (ref.func $f)))
    (func (export "main") (result i64)
        (i64.add
            (i64.add (global.get $count) (i64.load (i32.add (global.get $own) (i32.const 0))))
            (i64.add (call_indirect (type $t) (i32.const 0)) (i64.extend_i32_s (memory.grow (i32.const 7)))))))"#;

#[test]
fn imported_memories_tables_and_globals_become_its_own() {
    let wasm = check_with(&mut Preinit::new(), IMPORTER, &[PROVIDER]);
    let module = Module::new(&Engine::default(), wasm).unwrap();
    let imports: Vec<_> = module.imports().map(|import| import.name().to_owned()).collect();
    assert_eq!(imports, ["f"]);
}

#[test]
fn imports_can_be_kept() {
    // The host gives a memory that is large enough, as the output asks for what there is after the initialisation.
    let (provider, importer) =
        (PROVIDER.replace("2 9", "3 9"), IMPORTER.replace("(drop (memory.grow (i32.const 1)))", ""));
    let wasm = check_with(Preinit::new().keep_imports(true), &importer, &[&provider]);
    assert_eq!(Module::new(&Engine::default(), wasm).unwrap().imports().len(), 5);
}

#[test]
fn one_thing_imported_twice_stays_one() {
    // The output has one entity for both names.
    let same = |expected: &Dump, found: &Dump, what: &str| {
        let mut expected = expected.clone();
        expected.globals.remove(1);
        expected.tables.remove(1);
        expected.memories.remove(1);
        assert_same(&expected, found, what);
    };
    check_and(
        &mut Preinit::new(),
        r#"(module
            (import "a" "memory" (memory $m 1)) (import "b" "memory" (memory $same 1))
            (import "a" "count" (global $c (mut i64))) (import "b" "count" (global $same_c (mut i64)))
            (import "a" "table" (table $t 1 funcref)) (import "b" "table" (table $same_t 1 funcref))
            (memory $own 1) (table $own_t 1 externref) (global $own_c (mut i64) (i64.const 3))
            (func (export "wizer.initialize")
                (i32.store $m (i32.const 8) (i32.const 1)) (i32.store $own (i32.const 8) (i32.const 2))
                (global.set $c (i64.const 7)))
            (func (export "main") (result i64)
                (i64.store $same (i32.const 8) (i64.const 40)) (global.set $same_c (i64.const 100))
                (i64.add (i64.add (i64.load $m (i32.const 8)) (global.get $c))
                    (i64.add (i64.load $own (i32.const 8)) (global.get $own_c)))))"#,
        &[
            PROVIDER,
            r#"(module
                (import "a" "memory" (memory 1)) (export "memory" (memory 0))
                (import "a" "count" (global (mut i64))) (export "count" (global 0))
                (import "a" "table" (table 1 funcref)) (export "table" (table 0)))"#,
        ],
        same,
    );
}

#[test]
fn the_start_function_runs_once_and_before() {
    let wasm = check(
        r#"(module
            (global $order (mut i64) (i64.const 0))
            (func $then (param i64) (global.set $order (i64.add (i64.mul (global.get $order) (i64.const 10)) (local.get 0))))
            (func $start (call $then (i64.const 1)))
            (start $start)
            (func (export "wizer.initialize") (call $then (i64.const 2)))
            (func (export "main") (result i64) (global.get $order)))"#,
    );
    let (mut store, instance) = instantiate(&wasm, &[]);
    assert_eq!(call_main(&mut store, &instance), Ok(12));
}

#[test]
fn functions_that_only_code_names_stay_nameable() {
    check(
        r#"(module
            (type $t (func (result i64)))
            (table 1 funcref)
            (elem $segment func $f)
            (global $g (mut funcref) (ref.func $h))
            (func $f (result i64) (i64.const 1))
            (func $h (result i64) (i64.const 2))
            (func (export "wizer.initialize") (global.set $g (ref.null func)) (elem.drop $segment))
            (func (export "main") (result i64)
                (table.set (i32.const 0) (ref.func $f)) (table.set (i32.const 0) (ref.func $h))
                (call_indirect (type $t) (i32.const 0))))"#,
    );
}

#[test]
fn freed_stack_below_the_stack_pointer_is_left_out() {
    let text = r#"(module
        (memory 2)
        (global $__stack_pointer (mut i32) (i32.const 65536))
        (data (i32.const 65536) "data")
        (func (export "wizer.initialize")
            (i32.store (i32.const 65000) (i32.const 1)) (i32.store (i32.const 65540) (i32.const 2)))
        (func (export "main") (result i64) (i64.load (i32.const 65536))))"#;
    let (wasm, report) = Preinit::new().run_with_report(text.as_bytes()).unwrap();
    assert_eq!((report.memories[0].stack_bytes, report.memories[0].data_bytes), (1, 5));
    let (mut store, instance) = instantiate(&wasm, &[]);
    let dump = Dump::of(&mut store, &instance);
    assert_eq!(dump.memories[0][65000..65544], [vec![0; 536], b"data\x02\0\0\0".to_vec()].concat());
    // With data below the stack, nobody knows where the stack ends.
    let below = text.replace("(data (i32.const 65536)", "(data (i32.const 64000)");
    let (_, report) = Preinit::new().run_with_report(below.as_bytes()).unwrap();
    assert_eq!(report.memories[0].stack_bytes, 0);
}

#[test]
fn many_small_islands_stay_under_the_engines_limits() {
    let wasm = check(
        r#"(module
            (memory 200)
            (func (export "wizer.initialize") (local $at i32)
                (loop $next
                    (i32.store8 (local.get $at) (i32.const 1))
                    (local.set $at (i32.add (local.get $at) (i32.const 100)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const 13000000)))))
            (func (export "main") (result i64) (i64.load (i32.const 12999900))))"#,
    );
    let mut parser = wasmparser::Parser::new(0).parse_all(&wasm);
    let data = parser.find_map(|payload| match payload.unwrap() {
        wasmparser::Payload::DataSection(section) => Some(section.count()),
        _ => None,
    });
    assert_eq!(data, Some(90_000));
}
