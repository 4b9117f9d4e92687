//! Typed function references and garbage collection: what compiles, and that the quick ways are taken.

use hotfoot_abi::tunables::Tunables;
use hotfoot_compile::Options;

use crate::{TARGETS, all_options, compile_everywhere, compiler};

const EVERY_INSTRUCTION: &str = r#"(module
    (type $node (sub (struct (field $value (mut i32)) (field $next (mut (ref null $node))))))
    (type $leaf (sub final $node (struct
        (field (mut i32)) (field (mut (ref null $node))) (field $byte (mut i8)) (field $short (mut i16))
        (field $wide (mut v128)) (field $float (mut f64)) (field $call (mut funcref)))))
    (type $bytes (array (mut i8)))
    (type $vectors (array (mut v128)))
    (type $floats (array (mut f32)))
    (type $nodes (array (mut (ref null $node))))
    (type $f (func (param i32) (result i32)))
    (data $data "abcdefgh")
    (elem $items (ref null $node) (ref.null $node) (struct.new_default $leaf))
    (elem declare func $id)
    (global $g (mut (ref null $node)) (struct.new $node (i32.const 1) (ref.null none)))
    (table $t 3 (ref $f) (ref.func $id))
    (func $id (type $f) (local.get 0))
    (func (export "structs") (param (ref $leaf)) (result i32 i32 v128 f64 anyref)
        (struct.set $leaf $byte (local.get 0) (i32.const 300))
        (struct.set $leaf $wide (local.get 0) (i32x4.splat (i32.const 1)))
        (struct.set $node $next (local.get 0) (global.get $g))
        (global.set $g (local.get 0))
        (struct.get_s $leaf $byte (local.get 0))
        (struct.get_u $leaf $short (local.get 0))
        (struct.get $leaf $wide (local.get 0))
        (struct.get $leaf $float (local.get 0))
        (struct.new_default $leaf))
    (func (export "arrays") (param i32 i32 v128 (ref null $nodes)) (result i32)
        (local $b (ref null $bytes))
        (local.set $b (array.new $bytes (local.get 1) (local.get 0)))
        (array.set $bytes (local.get $b) (local.get 0) (i32.const 3))
        (array.fill $bytes (local.get $b) (local.get 0) (local.get 1) (i32.const 3))
        (array.fill $floats (array.new_default $floats (i32.const 5)) (i32.const 1) (f32.const 2) (i32.const 3))
        (array.fill $vectors (array.new $vectors (local.get 2) (i32.const 5)) (i32.const 1) (local.get 2) (i32.const 3))
        (array.copy $nodes $nodes (local.get 3) (i32.const 0) (local.get 3) (i32.const 1) (i32.const 1))
        (array.init_data $bytes $data (local.get $b) (i32.const 0) (i32.const 0) (i32.const 1))
        (array.init_elem $nodes $items (local.get 3) (i32.const 0) (i32.const 0) (i32.const 1))
        (drop (array.get $vectors (array.new_fixed $vectors 2 (local.get 2) (local.get 2)) (i32.const 1)))
        (drop (array.get $nodes (array.new_elem $nodes $items (i32.const 0) (i32.const 1)) (i32.const 0)))
        (i32.add (array.get_s $bytes (array.new_data $bytes $data (i32.const 0) (i32.const 8)) (local.get 0))
            (i32.add (array.get_u $bytes (local.get $b) (local.get 0)) (array.len (local.get $b)))))
    (func (export "casts") (param anyref externref eqref (ref $node)) (result i32)
        (drop (ref.cast (ref $leaf) (local.get 3)))
        (drop (ref.cast (ref null $node) (local.get 0)))
        (drop (ref.cast arrayref (any.convert_extern (local.get 1))))
        (drop (extern.convert_any (ref.i31 (i32.const 1))))
        (drop (block $yes (result (ref $leaf)) (br_on_cast $yes (ref $node) (ref $leaf) (local.get 3)) drop (return (i32.const 0))))
        (drop (block $no (result anyref) (br_on_cast_fail $no anyref (ref i31) (local.get 0)) i31.get_s drop (return (i32.const 0))))
        (i32.add (ref.eq (local.get 2) (local.get 3))
        (i32.add (ref.test (ref struct) (local.get 0))
        (i32.add (ref.test (ref null eq) (local.get 0))
        (i32.add (ref.test (ref none) (local.get 0))
        (i32.add (ref.test (ref extern) (local.get 1))
        (i32.add (ref.test (ref array) (local.get 0)) (i31.get_u (ref.cast (ref i31) (local.get 2))))))))))
    (func (export "functions") (param (ref null $f) funcref i32) (result i32)
        (drop (ref.test (ref $f) (local.get 1)))
        (drop (call_indirect $t (type $f) (i32.const 1) (local.get 2)))
        (block $null (drop (br_on_null $null (local.get 0))) (return_call_ref $f (i32.const 1) (ref.as_non_null (local.get 0))))
        (block $there (result (ref $f)) (br_on_non_null $there (local.get 0)) (return (i32.const 1)))
        (drop)
        (call_ref $f (i32.const 7) (local.get 0))))"#;

#[test]
fn every_instruction_on_objects() {
    compile_everywhere(EVERY_INSTRUCTION);
}

/// The fields of one struct may be too many for the part of the heap that faults: null is checked before them.
#[test]
fn structs_with_very_many_fields() {
    let fields = "(field (mut v128))".repeat(10_000);
    let text = format!(
        "(module (type $big (struct {fields})) (func (param (ref null $big)) (result v128) (struct.get $big 9999 (local.get 0))))"
    );
    let wasm = wat::parse_str(text).unwrap();
    for target in TARGETS {
        for options in all_options() {
            compiler(target, options).compile(&wasm).unwrap();
        }
    }
}

/// The code generator's input for each function of a module.
fn clif(name: &str, wat: &str, tunables: Tunables) -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("hotfoot-objects-{name}-{}", std::process::id()));
    let options = Options { emit_clif: Some(folder.clone()), tunables, ..Options::default() };
    compiler(TARGETS[0], options).compile(&wat::parse_str(wat).unwrap()).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    std::fs::remove_dir_all(folder).unwrap();
    texts
}

fn count(text: &str, word: &str) -> usize {
    text.split_whitespace()
        .filter(|found| found.trim_end_matches(',') == word || found.starts_with(&format!("{word}.")))
        .count()
}

/// With signals, reading a field is one load, and null is found out by that load.
#[test]
fn a_field_is_read_by_one_instruction() {
    let wat = "(module (type $s (struct (field i64))) (func (param (ref null $s)) (result i64) (struct.get $s 0 (local.get 0))))";
    let [text] = &clif("field", wat, Tunables::default())[..] else { panic!("one function") };
    assert!(!text.contains("brif") && !text.contains("trapnz") && !text.contains("trapz"), "{text}");
    let [text] = &clif("check", wat, Tunables { signals_based_traps: false, ..Tunables::default() })[..] else {
        panic!("one function")
    };
    assert!(text.contains("brif"), "{text}");
}

/// Making an object calls the runtime only where there is no room.
#[test]
fn an_allocation_is_a_comparison_and_the_call_is_cold() {
    let wat = "(module (type $s (struct (field i64))) (func (result (ref $s)) (struct.new $s (i64.const 1))))";
    let [text] = &clif("new", wat, Tunables::default())[..] else { panic!("one function") };
    assert_eq!(count(text, "call"), 1, "{text}");
    assert_eq!(count(text, "brif"), 1, "{text}");
    let (cold, _) = text.split_once("call fn").unwrap();
    assert!(cold.rsplit("block").next().unwrap().contains("cold"), "the call is in a cold block: {text}");
}

/// What a table can hold decides what a call through it must check.
#[test]
fn calls_through_tables_check_what_is_open() {
    let module = |table: &str, f: &str| {
        format!("(module (type $f {f}) (table 1 {table}) (func (param i32) (call_indirect (type $f) (local.get 0))))")
    };
    let [exact] = &clif("exact", &module("funcref", "(func)"), Tunables::default())[..] else { panic!("one function") };
    let [open] = &clif("open", &module("funcref", "(sub (func))"), Tunables::default())[..] else {
        panic!("one function")
    };
    let [typed] = &clif("typed", &module("(ref null $f)", "(sub (func))"), Tunables::default())[..] else {
        panic!("one function")
    };
    let loads = |text: &str| count(text, "load");
    assert_eq!(count(exact, "trapz") + count(exact, "trapnz"), 1, "{exact}");
    assert_eq!(loads(open), loads(exact) + 2, "the displays' address and one word of them: {open}");
    assert_eq!(count(typed, "trapz") + count(typed, "trapnz"), 0, "{typed}");
}

/// A cast to what the operand is anyway looks at no header, and only then at null if null is no answer.
#[test]
fn casts_that_must_succeed_test_nothing() {
    let module = |operand: &str, instruction: &str| {
        format!(
            r#"(module
                (rec (type $a (sub (struct (field i32)))) (type $b (sub $a (struct (field i32) (field i64)))))
                (rec (type $same (sub (struct (field i32)))) (type $other (sub $same (struct (field i32) (field i64)))))
                (func (param (ref {operand})) (result i32) (local.get 0) {instruction}))"#
        )
    };
    let cost = |operand: &str, instruction: &str| {
        let [text] = &clif("known", &module(operand, instruction), Tunables::default())[..] else {
            panic!("one function")
        };
        (count(text, "load"), count(text, "brif"))
    };
    let plain = cost("$b", "(drop) (i32.const 1)");
    for instruction in [
        "(ref.cast (ref $a)) (drop) (i32.const 1)",
        "(ref.cast (ref $other)) (drop) (i32.const 1)",
        "(ref.test (ref struct))",
        "(block $there (param (ref $b)) (result (ref $a)) (br_on_cast $there (ref $a) (ref $a)) (unreachable)) (drop) (i32.const 1)",
    ] {
        assert_eq!(cost("$b", instruction), plain, "{instruction}");
    }
    let (loads, branches) = cost("null $b", "(ref.cast (ref $a)) (drop) (i32.const 1)");
    assert_eq!((loads, branches), (plain.0, plain.1 + 1), "null is all that is left to find out");
    assert!(cost("$a", "(ref.test (ref $b))") > plain, "a subtype is found out by the header");
}
