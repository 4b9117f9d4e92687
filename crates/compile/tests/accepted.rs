//! Modules that compile, for every target in every mode.

use hotfoot_compile::{Options, WasmFeatures};

use crate::{TARGETS, all_options, compile_everywhere, compiler};

#[test]
fn an_empty_module() {
    compile_everywhere("(module)");
}

#[test]
fn control_with_values_through_every_label() {
    compile_everywhere(
        r#"(module
            (type $pair (func (param i32 v128) (result i32 v128)))
            (func (export "if") (param i32 v128) (result i32 v128)
                local.get 0 local.get 1
                local.get 0
                (if (type $pair) (then) (else (drop) (drop) (i32.const 1) (v128.const i64x2 1 2))))
            (func (export "one-armed") (param i32) (result i32)
                local.get 0 local.get 0
                (if (param i32) (result i32) (then (i32.const 1) (i32.add))))
            (func (export "loop") (param i32) (result i32)
                (local $n i32)
                local.get 0 i32.const 1
                (loop (param i32 i32) (result i32)
                    i32.add
                    local.tee $n
                    local.get $n i32.const 100 i32.lt_u
                    (if (param i32) (result i32) (then i32.const 3 br 1) (else))))
            (func (export "table") (param i32) (result i32)
                (block $a (result i32) (block $b (result i32) (block $c (result i32)
                    (br_table $a $b $c $a $b 3 $c (i32.const 7) (local.get 0)))
                    (i32.const 1) i32.add) (i32.const 2) i32.add))
            (func (export "empty table") (param i32) (block (block (br_table 0 1 0 1 1 (local.get 0)))))
            (func (export "select") (param i32 v128 v128 externref) (result v128 externref)
                (select (i32x4.add (local.get 1) (local.get 2)) (local.get 2) (local.get 0))
                (select (result externref) (local.get 3) (ref.null extern) (local.get 0))))"#,
    );
}

#[test]
fn code_that_cannot_be_reached() {
    compile_everywhere(
        r#"(module
            (func (result i32) unreachable)
            (func (result i32) unreachable i32.add (if (result i32) (then i32.const 1 br 0) (else i32.const 1)))
            (func (result i32) (return (i32.const 1)) (block (loop (br 1)) (unreachable) (if (then) (else))) i64.const 1 drop)
            (func (result i32) (loop (result i32) (br 0)))
            (func (result i32) (block (result i32) (br 0 (i32.const 1)) (i32.add)))
            (func (param i32) (result i32)
                (if (result i32) (local.get 0) (then unreachable) (else (return (i32.const 2)))))
            (func (param i32) (result i32)
                (if (local.get 0) (then unreachable)) (i32.const 3))
            (func (param i32) (block (br_table 0 1 (local.get 0)) (drop) (drop)) ))"#,
    );
}

#[test]
fn deep_nesting_takes_no_stack() {
    let depth = 20_000;
    let wat = format!(
        "(module (func (param i32) {} {} (nop) {} {}))",
        "block ".repeat(depth),
        "loop ".repeat(depth),
        "end ".repeat(depth),
        "end ".repeat(depth)
    );
    crate::compile(&wat).unwrap();
}

#[test]
fn calls_of_every_kind() {
    let many = "i32 i64 f32 f64 v128 funcref externref i32 i64 i32 i64 i32 i64";
    compile_everywhere(&format!(
        r#"(module
            (type $many (func (param {many}) (result {many})))
            (type $none (func))
            (import "host" "f" (func $host (type $many)))
            (import "host" "g" (func $host2 (param i32) (result i32)))
            (import "host" "t" (table $it 1 funcref))
            (table $t 4 10 funcref)
            (table $fixed 4 4 funcref)
            (table $wide i64 4 funcref)
            (elem (table $t) (i32.const 0) func $direct $host)
            (func $direct (export "direct") (type $many)
                local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6
                local.get 7 local.get 8 local.get 9 local.get 10 local.get 11 local.get 12
                call $host
                call $direct
                i32.const 1 call_indirect $t (type $many)
                i32.const 1 call_indirect $it (type $many)
                i32.const 1 call_indirect $fixed (type $many)
                i64.const 1 call_indirect $wide (type $many))
            (func (export "tail") (type $many)
                local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6
                local.get 7 local.get 8 local.get 9 local.get 10 local.get 11 local.get 12
                local.get 0 (if (type $many) (then return_call $host)) return_call $direct)
            (func (export "tail indirect") (param i32) (result i32)
                local.get 0 local.get 0 return_call_indirect $t (param i32) (result i32))
            (func (type $none) i32.const 1 call $host2 drop))"#,
    ));
}

#[test]
fn numbers() {
    let mut functions = String::new();
    for ty in ["i32", "i64"] {
        for name in ["clz", "ctz", "popcnt", "extend8_s", "extend16_s"] {
            functions += &format!("(func (param {ty}) (result {ty}) ({ty}.{name} (local.get 0)))");
        }
        for name in "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr".split(' ') {
            functions += &format!("(func (param {ty} {ty}) (result {ty}) ({ty}.{name} (local.get 0) (local.get 1)))");
        }
        for name in "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u".split(' ') {
            functions += &format!("(func (param {ty} {ty}) (result i32) ({ty}.{name} (local.get 0) (local.get 1)))");
        }
        for float in ["f32", "f64"] {
            for name in ["trunc", "trunc_sat"] {
                for sign in ["s", "u"] {
                    let name = format!("{ty}.{name}_{float}_{sign}");
                    functions += &format!("(func (param {float}) (result {ty}) ({name} (local.get 0)))");
                }
            }
            for sign in ["s", "u"] {
                let name = format!("{float}.convert_{ty}_{sign}");
                functions += &format!("(func (param {ty}) (result {float}) ({name} (local.get 0)))");
            }
        }
    }
    for ty in ["f32", "f64"] {
        for name in "abs neg ceil floor trunc nearest sqrt".split(' ') {
            functions += &format!("(func (param {ty}) (result {ty}) ({ty}.{name} (local.get 0)))");
        }
        for name in "add sub mul div min max copysign".split(' ') {
            functions += &format!("(func (param {ty} {ty}) (result {ty}) ({ty}.{name} (local.get 0) (local.get 1)))");
        }
        for name in "eq ne lt gt le ge".split(' ') {
            functions += &format!("(func (param {ty} {ty}) (result i32) ({ty}.{name} (local.get 0) (local.get 1)))");
        }
    }
    functions += "(func (param i64) (result i32) (i32.wrap_i64 (local.get 0)))
        (func (param i32) (result i64) (i64.extend_i32_s (local.get 0)))
        (func (param i32) (result i64) (i64.extend_i32_u (local.get 0)))
        (func (param i64) (result i64) (i64.extend32_s (local.get 0)))
        (func (param i32) (result i32) (i32.eqz (local.get 0)))
        (func (param i64) (result i32) (i64.eqz (local.get 0)))
        (func (param f64) (result f32) (f32.demote_f64 (local.get 0)))
        (func (param f32) (result f64) (f64.promote_f32 (local.get 0)))
        (func (param f32) (result i32) (i32.reinterpret_f32 (local.get 0)))
        (func (param f64) (result i64) (i64.reinterpret_f64 (local.get 0)))
        (func (param i32) (result f32) (f32.reinterpret_i32 (local.get 0)))
        (func (param i64) (result f64) (f64.reinterpret_i64 (local.get 0)))
        (func (result i32 i64 f32 f64) i32.const -1 i64.const -1 f32.const nan f64.const -0)";
    compile_everywhere(&format!("(module {functions})"));
}

#[test]
fn memories() {
    let memories = [
        ("i32", "(memory 1)"),
        ("i32", "(memory 2 2)"),
        ("i32", "(memory 0)"),
        ("i32", r#"(memory (import "m" "m") 1 65536)"#),
        ("i64", "(memory i64 1)"),
        ("i64", "(memory i64 0 3)"),
        ("i64", r#"(memory (import "m" "m") i64 1 1)"#),
    ];
    for (index, memory) in memories {
        let mut body = String::new();
        let offsets: &[&str] = match index {
            "i32" => &["0", "8", "65535", "0x7fffffff", "0xffffffff"],
            _ => &["0", "65536", "0x100000000", "0xffffffffffffffff"],
        };
        for offset in offsets {
            for load in "i32.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load i64.load8_s i64.load8_u
                i64.load16_s i64.load16_u i64.load32_s i64.load32_u f32.load f64.load v128.load"
                .split_whitespace()
            {
                body += &format!("({load} offset={offset} (local.get 0)) drop\n");
            }
            for (store, value) in [
                ("i32.store", "i32.const 1"),
                ("i32.store8", "i32.const 1"),
                ("i32.store16", "i32.const 1"),
                ("i64.store", "i64.const 1"),
                ("i64.store8", "i64.const 1"),
                ("i64.store16", "i64.const 1"),
                ("i64.store32", "i64.const 1"),
                ("f32.store", "f32.const 1"),
                ("f64.store", "f64.const 1"),
            ] {
                body += &format!("({store} offset={offset} (local.get 0) ({value}))\n");
            }
        }
        compile_everywhere(&format!(
            r#"(module {memory} (data $d "abc") (data (offset ({index}.const 0)) "def")
                (func (export "f") (param {index}) (result {index})
                    {body}
                    (memory.fill (local.get 0) (i32.const 1) (local.get 0))
                    (memory.copy (local.get 0) (local.get 0) (local.get 0))
                    (memory.init $d (local.get 0) (i32.const 0) (i32.const 1))
                    (data.drop $d)
                    (drop (memory.size))
                    (memory.grow (local.get 0))))"#
        ));
    }
}

#[test]
fn memories_of_both_kinds_together() {
    compile_everywhere(
        r#"(module
            (import "m" "m" (memory $c 1)) (memory $a 1) (memory $b i64 1)
            (func (param i32 i64)
                (memory.copy $a $b (local.get 0) (local.get 1) (local.get 0))
                (memory.copy $b $a (local.get 1) (local.get 0) (local.get 0))
                (memory.copy $b $b (local.get 1) (local.get 1) (local.get 1))
                (i32.store $c (local.get 0) (i32.load $b (local.get 1)))
                (drop (memory.grow $b (memory.size $b)))))"#,
    );
}

#[test]
fn tables_and_references() {
    for (index, table) in [
        ("i32", "(table $t 4 funcref) (table $e 4 externref)"),
        ("i32", "(table $t 4 4 funcref) (table $e 0 0 externref)"),
        ("i64", "(table $t i64 4 funcref) (table $e i64 4 9 externref)"),
        ("i32", r#"(import "m" "t" (table $t 4 funcref)) (import "m" "e" (table $e 4 4 externref))"#),
    ] {
        let (import, define) = if table.starts_with("(import") { (table, "") } else { ("", table) };
        compile_everywhere(&format!(
            r#"(module {import} (import "m" "f" (func $imported)) (import "m" "g" (global $g i32)) {define}
                (global funcref (ref.func 1))
                (elem $s func 0 1) (elem declare func $imported)
                (elem $x externref (ref.null extern))
                (elem $mixed funcref (ref.func 0) (ref.null func))
                (func $f (export "f") (param {index} externref) (result funcref externref i32 {index})
                    (table.set $t (local.get 0) (ref.func $f))
                    (table.set $e (local.get 0) (local.get 1))
                    (table.fill $t (local.get 0) (ref.func $imported) (local.get 0))
                    (table.fill $e (local.get 0) (local.get 1) (local.get 0))
                    (table.copy $t $t (local.get 0) (local.get 0) (local.get 0))
                    (table.init $t $s (local.get 0) (i32.const 0) (i32.const 1))
                    (elem.drop $s)
                    (drop (table.grow $t (ref.null func) (local.get 0)))
                    (drop (table.grow $e (local.get 1) (local.get 0)))
                    (table.get $t (local.get 0))
                    (table.get $e (local.get 0))
                    (i32.or (ref.is_null (ref.null func)) (ref.is_null (local.get 1)))
                    (table.size $e)))"#
        ));
    }
}

#[test]
fn globals() {
    compile_everywhere(
        r#"(module
            (import "m" "a" (global $a i32)) (import "m" "b" (global $b (mut v128)))
            (global $c i64 (i64.const -1)) (global $d (mut f32) (f32.const 1)) (global $e f64 (f64.const 2))
            (global $f i32 (i32.add (global.get $a) (i32.mul (i32.const 3) (i32.const 4))))
            (global $g v128 (v128.const i64x2 1 2)) (global $h (mut externref) (ref.null extern))
            (func (export "f") (result i32 v128 i64 f32 f64 i32 v128 externref)
                (global.set $b (i32x4.add (global.get $b) (global.get $g)))
                (global.set $d (f32.const 3))
                (global.set $h (global.get $h))
                global.get $a global.get $b global.get $c global.get $d global.get $e global.get $f
                global.get $g global.get $h))"#,
    );
}

#[test]
fn locals_of_every_type() {
    compile_everywhere(
        r#"(module
            (func (export "f") (param v128) (result i32 i64 f32 f64 v128 funcref externref)
                (local $a i32) (local $b i64) (local $c f32) (local $d f64) (local $e v128)
                (local $f funcref) (local $g externref)
                (local.set $e (f64x2.add (local.get 0) (local.get $e)))
                local.get $a local.get $b local.get $c local.get $d local.get $e local.get $f local.get $g))"#,
    );
}

#[test]
fn exceptions_with_every_clause() {
    compile_everywhere(
        r#"(module
            (import "a" "t" (tag $imported (param i32 v128 f64)))
            (import "a" "f" (func $import (param i32) (result i32)))
            (tag $own) (tag $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 f32 externref exnref funcref))
            (table funcref (elem $throw))
            (table exnref (elem))
            (global (mut exnref) (ref.null exn))
            (export "t" (tag $imported))
            (func $throw (param i32) (result i32)
                (throw $imported (local.get 0) (i32x4.splat (local.get 0)) (f64.const 1)))
            (func (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 f32 externref exnref funcref)
                (block $h (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 f32 externref exnref funcref)
                    (try_table (catch $many $h) (drop (call $throw (i32.const 1))))
                    (unreachable)))
            (func $area (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
                (block $h (return (try_table (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (catch_all $h)
                    (call $area))))
                (unreachable))
            (func (param i32) (result i32)
                (block $all (result exnref)
                    (block $one (result i32 v128 f64 exnref)
                        (block $plain
                            (return (try_table (result i32) (catch_ref $imported $one) (catch $own $plain)
                                (catch_all_ref $all) (catch $own $plain) (catch_all $plain)
                                (block $b (try_table (catch_all $b) (throw $own)))
                                (i32.add (call $import (local.get 0))
                                    (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))))))
                        (return_call $throw (i32.const 1)))
                    (throw_ref))
                (throw_ref))
            (func (loop $again (try_table (catch_all $again) (br 0) (throw $own))))
            (func (try_table (catch_all 0) (unreachable)))
            (func (try_table (nop))))"#,
    );
}

#[test]
fn wide_arithmetic_and_pages_of_a_byte() {
    let wat = r#"(module (memory 100 (pagesize 1)) (memory i64 5000 (pagesize 1))
        (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
            (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
            (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "mul") (param i64 i64) (result i64 i64 i64 i64)
            (i64.mul_wide_s (local.get 0) (local.get 1)) (i64.mul_wide_u (local.get 0) (local.get 1)))
        (func (export "access") (param i32 i64) (result i64 i32)
            (i64.store offset=90 (local.get 0) (local.get 1))
            (i64.add (i64.load (local.get 0)) (i64.load 1 offset=4990 (local.get 1))) (memory.size)))"#;
    let wasm = wat::parse_str(wat).unwrap();
    let features = WasmFeatures::default() | WasmFeatures::WIDE_ARITHMETIC | WasmFeatures::CUSTOM_PAGE_SIZES;
    for target in TARGETS {
        for options in all_options() {
            compiler(target, Options { features, ..options }).compile(&wasm).unwrap();
        }
    }
}

#[test]
fn every_atomic_operation() {
    let mut text = String::from("(module (memory 1 2 shared) (memory 1) (memory i64 1 9 shared)");
    for (ty, widths) in [("i32", ["", "8", "16"].as_slice()), ("i64", ["", "8", "16", "32"].as_slice())] {
        for (memory, index) in [(0, "i32"), (1, "i32"), (2, "i64")] {
            for width in widths {
                let suffix = if width.is_empty() { "" } else { "_u" };
                let mut func = |instruction: String, operands: usize| {
                    let params = format!("{ty} ").repeat(operands);
                    let gets: String = (1..=operands).map(|operand| format!("(local.get {operand})")).collect();
                    let code = format!("({instruction} {memory} offset=5000000000 (local.get 0) {gets})");
                    let code = if index == "i32" { code.replace("5000000000", "4000000001") } else { code };
                    let code = if instruction.contains("store") { code } else { format!("(drop {code})") };
                    text += &format!("(func (param {index} {params}) {code})");
                };
                func(format!("{ty}.atomic.load{width}{suffix}"), 0);
                func(format!("{ty}.atomic.store{width}"), 1);
                for operation in ["add", "sub", "and", "or", "xor", "xchg"] {
                    func(format!("{ty}.atomic.rmw{width}.{operation}{suffix}"), 1);
                }
                func(format!("{ty}.atomic.rmw{width}.cmpxchg{suffix}"), 2);
            }
        }
    }
    text += "(func (param i32 i64) (result i32 i32 i32 i32 i64) atomic.fence
        (memory.atomic.notify (local.get 0) (i32.const 1))
        (memory.atomic.wait32 1 (local.get 0) (i32.const 1) (local.get 1))
        (memory.atomic.wait64 2 offset=8 (local.get 1) (i64.const 1) (i64.const -1))
        (memory.size 0) (memory.size 2)))";
    compile_everywhere(&text);
}
