//! What is in an artifact, and that it is the same every time.

use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{Artifact, ElementItems, NONE, PAGE};
use hotfoot_compile::Options;

use crate::{TARGETS, compile, compiler};

/// A module with many functions of different sizes that call each other.
fn crowd() -> Vec<u8> {
    let mut wat = String::from("(module (memory 1) (table 300 funcref)\n");
    for index in 0..300 {
        let body = "(i32.store (local.get 0) (i32.div_u (local.get 0) (i32.load offset=4 (local.get 0))))\n";
        wat += &format!(
            "(func $f{index} (param i32) {} (call $f{} (local.get 0)))\n",
            body.repeat(index % 37),
            (index * 7) % 300
        );
    }
    wat += "(export \"f\" (func 17)))";
    wat::parse_str(&wat).unwrap()
}

#[test]
fn threads_do_not_show() {
    let wasm = crowd();
    for target in TARGETS {
        let serial = compiler(target, Options { parallel: false, ..Options::default() }).compile(&wasm).unwrap();
        for _ in 0..3 {
            let parallel = compiler(target, Options::default()).compile(&wasm).unwrap();
            assert!(serial == parallel, "{target}: the artifacts differ");
        }
    }
}

#[test]
fn tables_are_in_order() {
    for target in TARGETS {
        let bytes = compiler(target, Options::default()).compile(&crowd()).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        assert_eq!(artifact.header.target, target);
        assert_eq!(artifact.info().unwrap().num_funcs, 300);
        assert_eq!(artifact.functions.len(), 300);
        let mut end = 0;
        for range in artifact.functions {
            assert_eq!(range.offset.get() % 16, 0);
            assert!(range.offset.get() >= end && range.len.get() > 0);
            end = range.offset.get() + range.len.get();
        }
        assert!(end as usize <= artifact.text.len());
        assert!(artifact.code.trap_offsets.is_sorted_by(|a, b| a.get() < b.get()));
        assert!(artifact.code.addresses.is_sorted_by(|a, b| a.code.get() < b.code.get()));
        assert!(artifact.code.addresses.windows(2).all(|pair| pair[0].wasm != pair[1].wasm));
        for offset in artifact.code.trap_offsets.iter() {
            assert!(artifact.code.trap_at(offset.get()).is_some());
        }
    }
}

#[test]
fn traps_have_their_place_and_reason() {
    let wat = r#"(module
        (func (export "f") (param i32 i32) (result i32)
            (if (local.get 0) (then unreachable))
            (i32.div_s (local.get 0) (local.get 1))))"#;
    let wasm = wat::parse_str(wat).unwrap();
    for target in TARGETS {
        let bytes = compiler(target, Options::default()).compile(&wasm).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        let mut found = Vec::new();
        for (offset, code) in artifact.code.trap_offsets.iter().zip(artifact.code.trap_codes.iter()) {
            if artifact.function_at(offset.get()) == Some(0) {
                let wasm_offset = artifact.code.wasm_offset_at(offset.get()).unwrap() as usize;
                found.push((TrapCode::from_u8(*code).unwrap(), wasm[wasm_offset]));
            }
        }
        for expected in [(TrapCode::UnreachableCodeReached, 0x00), (TrapCode::IntegerDivisionByZero, 0x6d)] {
            assert!(found.contains(&expected), "{target}: {expected:?} is not in {found:?}");
        }
    }
}

#[test]
fn a_stack_overflow_is_in_the_function_and_no_instruction() {
    let wasm = wat::parse_str("(module (func (call 0) (call 0)))").unwrap();
    for target in TARGETS {
        let bytes = compiler(target, Options::default()).compile(&wasm).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        assert_eq!(artifact.code.trap_codes[0], TrapCode::StackOverflow as u8, "{target}");
        let offset = artifact.code.trap_offsets[0].get();
        let body = artifact.code.wasm_offset_at(0).unwrap();
        assert_eq!(artifact.code.wasm_offset_at(offset), Some(body), "{target}");
        assert_eq!(wasm[body as usize..][..3], [0x00, 0x10, 0x00], "no locals, then the first call");
    }
}

#[test]
fn element_segments_of_functions_are_a_table() {
    let bytes = compile(
        r#"(module (import "m" "f" (func)) (import "m" "g" (global funcref)) (table 9 funcref)
            (func) (func) (func)
            (elem (i32.const 0) func 1 0 1)
            (elem funcref (ref.func 3) (ref.null func))
            (elem funcref (global.get 0)))"#,
    )
    .unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let info = artifact.info().unwrap();
    let items: Vec<_> = info.elements.iter().map(|segment| &segment.items).collect();
    assert_eq!(items[0], &ElementItems::Functions(0..3));
    assert_eq!(items[1], &ElementItems::Functions(3..5));
    assert!(matches!(items[2], ElementItems::Expressions(items) if items.len() == 1));
    let elements: Vec<u32> = artifact.elements.iter().map(|element| element.get()).collect();
    assert_eq!(elements, [1, 0, 1, 2, NONE], "the imported one by its number, the others by their place behind it");
    let escaping: Vec<u32> = artifact.escaping.iter().map(|function| function.get()).collect();
    assert_eq!(escaping, [1, 3], "imports have references of their own, and nothing names function 2");
}

#[test]
fn equal_types_share_trampolines() {
    let bytes =
        compile("(module (type (func (param i32))) (type (func (param i32))) (type (func (param i64))))").unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    assert_eq!(artifact.trampolines[0], artifact.trampolines[1]);
    assert_ne!(artifact.trampolines[0], artifact.trampolines[2]);
}

#[test]
fn names_are_kept() {
    let bytes = compile("(module $m (func $first) (func) (func $third))").unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    assert_eq!(artifact.info().unwrap().name.as_deref(), Some("m"));
    assert_eq!(artifact.function_name(0), Some("first"));
    assert_eq!(artifact.function_name(1), None);
    assert_eq!(artifact.function_name(2), Some("third"));
}

#[test]
fn calls_with_handlers_are_in_order_and_share_them() {
    let throws = "(call $throw (i32.const 1))".repeat(20);
    let wat = format!(
        r#"(module (tag $t (param i32)) (tag $u)
            (func $throw (param i32) (throw $t (local.get 0)))
            (func (result i32) (block $h (result i32) (try_table (catch $t $h) {throws}) (unreachable)))
            (func (block $h (try_table (catch $u $h) (catch_all $h) {throws})))
            (func {throws}))"#
    );
    let wasm = wat::parse_str(&wat).unwrap();
    for target in TARGETS {
        let options = Options { inlining: false, ..Options::default() };
        let bytes = compiler(target, options).compile(&wasm).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        assert_eq!(artifact.code.call_sites.len(), 40, "calls outside of every `try_table` are not listed");
        assert_eq!(artifact.code.handlers.len(), 3);
        assert!(artifact.code.call_sites.is_sorted_by(|a, b| a.return_offset.get() < b.return_offset.get()));
        for site in artifact.code.call_sites.iter() {
            let (_, handlers) = artifact.code.handlers_at(site.return_offset.get()).unwrap();
            let function = artifact.function_at(site.return_offset.get() - 1);
            assert!(handlers.iter().all(|handler| artifact.function_at(handler.code.get()) == function));
            assert!(site.context.get() < site.frame_size.get());
        }
    }
}

/// References that are kept across each call of a module, in the order of the calls.
fn roots_across_calls(wat: &str, target: &str) -> Vec<usize> {
    let bytes = compiler(target, Options::default()).compile(&wat::parse_str(wat).unwrap()).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    assert!(artifact.code.stack_maps.is_sorted_by(|a, b| a.return_offset.get() < b.return_offset.get()));
    for map in artifact.code.stack_maps.iter() {
        let roots = artifact.code.roots_at(map.return_offset.get());
        assert!(roots.iter().all(|below| below.get() >= 4 && below.get() % 4 == 0), "{roots:?}");
        assert!(artifact.code.roots_at(map.return_offset.get() + 1).is_empty());
    }
    artifact.code.stack_maps.iter().map(|map| map.count.get() as usize).collect()
}

#[test]
fn references_that_are_used_after_a_call_are_in_its_stack_map() {
    let wat = r#"(module
        (import "" "give" (func $give (result externref)))
        (import "" "take" (func $take (param externref)))
        (import "" "two" (func $two (result externref i32 externref)))
        (func (export "local") (param externref i32)
            (drop (call $give))
            (call $take (local.get 0)))
        (func (export "operands") (local i32 externref)
            (call $two)
            (call $take)
            (local.set 0)
            (call $take))
        (func (export "block") (param externref)
            (block (result externref) (local.get 0) (br_if 0 (i32.const 1)))
            (drop (call $give))
            (call $take))
        (func (export "loop") (param externref)
            (local.get 0)
            (loop (param externref) (drop (call $give)) (call $take)))
        (func (export "catch") (param externref) (result exnref)
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) (drop (call $give)))
                (ref.null exn))
            (call $take (local.get 0))))"#;
    for target in TARGETS {
        assert_eq!(roots_across_calls(wat, target), [1, 1, 1, 1, 1, 1], "{target}");
    }
}

#[test]
fn numbers_and_functions_are_in_no_stack_map() {
    let wat = r#"(module
        (import "" "f" (func $f (param i32 funcref)))
        (func (export "g") (param i32 funcref i64)
            (call $f (local.get 0) (local.get 1))
            (call $f (local.get 0) (local.get 1))))"#;
    assert_eq!(roots_across_calls(wat, TARGETS[0]), [0usize; 0]);
}

/// What a memory begins with: its index, where, and the bytes.
type Stretch = (u32, u64, Vec<u8>);

/// What memories begin with, and the segments that are left.
fn begins_with(wat: &str) -> (Vec<Stretch>, Vec<u32>) {
    let bytes = compile(wat).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let info = artifact.info().unwrap();
    let stretch = |initial: &hotfoot_artifact::InitialBytes| {
        let bytes = &artifact.data[initial.bytes.start as usize..initial.bytes.end as usize];
        (initial.memory, initial.offset, bytes.to_vec())
    };
    (info.initial.iter().map(stretch).collect(), info.data.iter().map(|segment| segment.index).collect())
}

#[test]
fn data_segments_at_known_places_become_long_stretches() {
    let near = r#"(module (memory 1) (memory i64 1)
        (data (i32.const 12) "c") (data "passive") (data (memory 1) (i64.const 5) "x") (data (i32.const 10) "ab")
        (data (i32.const 70) "d") (data (i32.const 200) "far") (data (i32.const 300) ""))"#;
    let first = [&b"abc"[..], &[0; 57], b"d"].concat();
    assert_eq!(begins_with(near), (vec![(0, 10, first), (0, 200, b"far".to_vec()), (1, 5, b"x".to_vec())], vec![1]));
    let overlapping =
        r#"(module (memory 1) (data (i32.const 10) "aaaa") (data (i32.const 8) "bbbb") (data (i32.const 12) "c"))"#;
    let stretches = vec![(0, 10, b"aaaa".to_vec()), (0, 8, b"bbbbc".to_vec())];
    assert_eq!(begins_with(overlapping), (stretches, vec![]));
    let unknown = r#"(module (import "" "g" (global $g i32)) (memory 1)
        (data (i32.const 1) "a") (data (global.get $g) "b") (data (i32.const 1) "c") (data (i32.const 65536) "d"))"#;
    assert_eq!(begins_with(unknown), (vec![(0, 1, b"a".to_vec())], vec![1, 2, 3]));
    let outside = r#"(module (import "" "m" (memory 1)) (memory 1) (data (i32.const 65536) "d") (data (memory 1) (i32.const 0) "e"))"#;
    assert_eq!(begins_with(outside), (vec![], vec![0, 1]));
}

/// So that they can be mapped, and no less when others come before.
#[test]
fn long_stretches_lie_in_the_file_as_in_the_pages_of_memory() {
    let (long, short) = ("x".repeat(70_000), "y".repeat(30_000));
    let wat = format!(
        r#"(module (memory 10) (data (i32.const 5) "{short}") (data (i32.const 100001) "{long}") (data (i32.const 173000) "z")
            (data (i32.const 300002) "{long}") (data "passive"))"#
    );
    let bytes = compile(&wat).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let info = artifact.info().unwrap();
    let stretches: Vec<(u64, u64)> =
        info.initial.iter().map(|initial| (initial.offset, initial.bytes.end - initial.bytes.start)).collect();
    // Less than a page of zeroes does not divide a long stretch.
    assert_eq!(stretches, [(5, 30_000), (100_001, 73_000), (300_002, 70_000)]);
    for initial in &info.initial[1..] {
        let place = artifact.data_range.start as u64 + initial.bytes.start;
        assert_eq!(place % PAGE, initial.offset % PAGE, "{initial:?}");
    }
    let data = &info.data[0].bytes;
    assert_eq!(&artifact.data[data.start as usize..data.end as usize], b"passive");
}
