//! Structs and arrays that the initialisation made: each kind of graph begins again as it was, with what is shared shared.

use hotfoot_preinit::{Preinit, PreinitError};

use crate::check::{call_main, check, check_with, instantiate};

#[test]
fn trees_of_structs_and_arrays_in_globals() {
    let wasm = check(
        r#"(module
            (type $leaf (struct (field i8) (field (mut i16)) (field f32) (field f64) (field v128) (field i64)))
            (type $leaves (array (mut (ref null $leaf))))
            (type $tree (struct (field (ref $leaves)) (field anyref) (field funcref)))
            (global $g (mut (ref null $tree)) (ref.null $tree))
            (func $f (result i64) (i64.const 1))
            (elem declare func $f)
            (func $leaf (param i32) (result (ref $leaf))
                (struct.new $leaf (local.get 0) (i32.const -2) (f32.const -nan:0x200001) (f64.const nan:0x4000000000001)
                    (v128.const i64x2 -1 7) (i64.const -9)))
            (func (export "wizer.initialize")
                (global.set $g (struct.new $tree
                    (array.new_fixed $leaves 3 (call $leaf (i32.const -1)) (ref.null $leaf) (call $leaf (i32.const 200)))
                    (ref.i31 (i32.const -5)) (ref.func $f))))
            (func (export "main") (result i64) (local $l (ref null $leaf))
                (local.set $l (array.get $leaves (struct.get $tree 0 (global.get $g)) (i32.const 2)))
                (struct.set $leaf 1 (local.get $l) (i32.const 3))
                (i64.extend_i32_u (i32.add (struct.get_u $leaf 0 (local.get $l)) (struct.get_u $leaf 1 (local.get $l))))))"#,
    );
    let (mut store, instance) = instantiate(&wasm, &[]);
    assert_eq!(call_main(&mut store, &instance), Ok(203));
}

#[test]
fn arrays_of_every_type() {
    check(
        r#"(module
            (type $i8 (array (mut i8))) (type $i16 (array i16)) (type $i32 (array (mut i32))) (type $i64 (array i64))
            (type $f32 (array (mut f32))) (type $f64 (array f64)) (type $v (array (mut v128))) (type $any (array (mut anyref)))
            (type $func (array (mut funcref)))
            (table 9 anyref)
            (data $bytes "\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f\10\11\12\13\14\15\16\17\18\19\1a\1b\1c\1d\1e\1f\20\f0\f1\f2")
            (func $f) (elem declare func $f)
            (func (export "wizer.initialize")
                (table.set (i32.const 0) (array.new_data $i8 $bytes (i32.const 0) (i32.const 35)))
                (table.set (i32.const 1) (array.new_data $i16 $bytes (i32.const 1) (i32.const 17)))
                (table.set (i32.const 2) (array.new_data $i32 $bytes (i32.const 3) (i32.const 8)))
                (table.set (i32.const 3) (array.new_data $i64 $bytes (i32.const 0) (i32.const 4)))
                (table.set (i32.const 4) (array.new_data $f32 $bytes (i32.const 0) (i32.const 8)))
                (table.set (i32.const 5) (array.new_data $f64 $bytes (i32.const 0) (i32.const 4)))
                (table.set (i32.const 6) (array.new_data $v $bytes (i32.const 0) (i32.const 2)))
                (table.set (i32.const 7) (array.new $any (ref.i31 (i32.const 8)) (i32.const 20000)))
                (table.set (i32.const 8) (array.new $func (ref.func $f) (i32.const 3)))
                (array.set $any (ref.cast (ref $any) (table.get (i32.const 7))) (i32.const 15000) (table.get (i32.const 0)))
                (array.set $v (ref.cast (ref $v) (table.get (i32.const 6))) (i32.const 1) (v128.const i64x2 77 78)))
            (func (export "main") (result i64)
                (i64.extend_i32_u (array.get_u $i8
                    (ref.cast (ref $i8) (array.get $any (ref.cast (ref $any) (table.get (i32.const 7))) (i32.const 15000)))
                    (i32.const 34)))))"#,
    );
}

#[test]
fn empty_zeroed_and_large_arrays_cost_what_they_hold() {
    let wasm = check(
        r#"(module
            (type $bytes (array (mut i8))) (type $refs (array (mut anyref)))
            (global $zero (mut (ref null $bytes)) (ref.null $bytes)) (global $large (mut (ref null $bytes)) (ref.null $bytes))
            (global $none (mut anyref) (ref.null any)) (global $nulls (mut anyref) (ref.null any))
            (global $fixed (export "fixed") (ref $bytes) (array.new $bytes (i32.const 0) (i32.const 20000)))
            (func (export "wizer.initialize")
                (global.set $zero (array.new $bytes (i32.const 0) (i32.const 1000000)))
                (global.set $large (array.new $bytes (i32.const 3) (i32.const 10001)))
                (global.set $none (array.new_fixed $refs 0)) (global.set $nulls (array.new_default $refs (i32.const 50000)))
                (array.set $bytes (global.get $fixed) (i32.const 19999) (i32.const 9)))
            (func (export "main") (result i64)
                (i64.extend_i32_u (i32.add (array.get_u $bytes (global.get $large) (i32.const 10000))
                    (array.get_u $bytes (global.get $fixed) (i32.const 19999))))))"#,
    );
    assert!(wasm.len() < 31_000, "{} bytes", wasm.len());
}

#[test]
fn circles_and_shared_objects_keep_their_identity() {
    let wasm = check(
        r#"(module
            (rec (type $node (struct (field $next (mut (ref null $node))) (field $other (mut eqref)) (field $id i32))))
            (global $ring (mut (ref null $node)) (ref.null $node)) (global $same (mut eqref) (ref.null eq))
            (global $constant (ref $node) (struct.new $node (ref.null $node) (ref.null eq) (i32.const 7)))
            (global $exported (export "e") (ref $node) (global.get $constant))
            (table 4 eqref)
            (func (export "wizer.initialize") (local $a (ref null $node)) (local $b (ref null $node))
                (local.set $a (struct.new $node (ref.null $node) (ref.null eq) (i32.const 1)))
                (local.set $b (struct.new $node (local.get $a) (local.get $a) (i32.const 2)))
                (struct.set $node $next (local.get $a) (local.get $b))
                (struct.set $node $other (local.get $a) (local.get $a))
                (struct.set $node $other (global.get $constant) (local.get $b))
                (global.set $ring (local.get $a)) (global.set $same (local.get $b))
                (table.set (i32.const 1) (local.get $b)) (table.set (i32.const 3) (global.get $constant)))
            (func (export "main") (result i64)
                (i64.extend_i32_u (i32.add (i32.add
                    (ref.eq (struct.get $node $next (global.get $ring)) (table.get (i32.const 1)))
                    (ref.eq (global.get $same) (struct.get $node $other (global.get $exported))))
                    (ref.eq (global.get $exported) (table.get (i32.const 3)))))))"#,
    );
    let (mut store, instance) = instantiate(&wasm, &[]);
    assert_eq!(call_main(&mut store, &instance), Ok(3));
}

#[test]
fn circles_of_references_that_cannot_be_null() {
    check(
        r#"(module
            (rec (type $self (sub (struct (field $any (mut (ref any))) (field $f (mut (ref $t))))))
                 (type $holder (struct (field $self (mut (ref $self))) (field i32)))
                 (type $t (func (result i64))))
            (type $list (array (mut (ref $holder))))
            (elem declare func $f)
            (func $f (type $t) (i64.const 4))
            (global $g (mut (ref $self)) (struct.new $self (ref.i31 (i32.const 0)) (ref.func $f)))
            (table $all 3 (ref any) (ref.i31 (i32.const 1)))
            (func (export "wizer.initialize") (local $h (ref $holder))
                (global.set $g (struct.new $self (ref.i31 (i32.const 9)) (ref.func $f)))
                (local.set $h (struct.new $holder (global.get $g) (i32.const 5)))
                (struct.set $self $any (global.get $g) (array.new $list (local.get $h) (i32.const 3)))
                (struct.set $holder $self (local.get $h) (global.get $g))
                (table.fill $all (i32.const 0) (local.get $h) (i32.const 3)))
            (func (export "main") (result i64)
                (call_ref $t (struct.get $self $f (struct.get $holder $self (ref.cast (ref $holder) (table.get $all (i32.const 2))))))))"#,
    );
}

#[test]
fn lists_of_any_length() {
    let text = |mutability: &str, links: u32| {
        format!(
            r#"(module
                (rec (type $link (struct (field $next {mutability}) (field $id i64))))
                (global $list (mut (ref null $link)) (ref.null $link))
                (func (export "wizer.initialize") (local $id i64)
                    (loop $more
                        (global.set $list (struct.new $link (global.get $list) (local.get $id)))
                        (local.set $id (i64.add (local.get $id) (i64.const 1)))
                        (br_if $more (i64.lt_u (local.get $id) (i64.const {links})))))
                (func (export "main") (result i64) (local $at (ref null $link)) (local $sum i64)
                    (local.set $at (global.get $list))
                    (loop $more
                        (local.set $sum (i64.add (local.get $sum) (struct.get $link $id (local.get $at))))
                        (local.set $at (struct.get $link $next (local.get $at)))
                        (br_if $more (i32.eqz (ref.is_null (local.get $at)))))
                    (local.get $sum)))"#
        )
    };
    for mutability in ["(ref null $link)", "(mut (ref null $link))"] {
        for links in [1, 64, 65, 300, 5_000] {
            let wasm = check(&text(mutability, links));
            let (mut store, instance) = instantiate(&wasm, &[]);
            let sum = i64::from(links) * i64::from(links - 1) / 2;
            assert_eq!(call_main(&mut store, &instance), Ok(sum), "{links} links");
        }
    }
}

#[test]
fn wide_trees_become_several_functions() {
    check(
        r#"(module
            (type $pair (struct (field (mut (ref null $pair))) (field (ref null $pair)) (field i32)))
            (global $root (mut (ref null $pair)) (ref.null $pair)) (table 40 anyref)
            (func $tree (param $depth i32) (result (ref null $pair))
                (if (result (ref null $pair)) (local.get $depth)
                    (then (struct.new $pair
                        (call $tree (i32.sub (local.get $depth) (i32.const 1)))
                        (call $tree (i32.sub (local.get $depth) (i32.const 1))) (local.get $depth)))
                    (else (ref.null $pair))))
            (func (export "wizer.initialize") (local $i i32)
                (global.set $root (call $tree (i32.const 10)))
                (loop $more
                    (table.set (local.get $i) (call $tree (i32.const 6)))
                    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40)))))
            (func $sum (param (ref null $pair)) (result i64)
                (if (result i64) (ref.is_null (local.get 0))
                    (then (i64.const 0))
                    (else (i64.add (i64.extend_i32_u (struct.get $pair 2 (local.get 0)))
                        (i64.add (call $sum (struct.get $pair 0 (local.get 0))) (call $sum (struct.get $pair 1 (local.get 0))))))))
            (func (export "main") (result i64) (call $sum (global.get $root))))"#,
    );
}

#[test]
fn objects_of_converted_external_references() {
    check(
        r#"(module
            (type $s (struct (field (mut externref)) (field i32)))
            (global $g (mut externref) (ref.null extern)) (global $i (mut externref) (ref.null extern))
            (table 3 externref)
            (func (export "wizer.initialize") (local $s (ref $s))
                (local.set $s (struct.new $s (ref.null extern) (i32.const 4)))
                (struct.set $s 0 (local.get $s) (extern.convert_any (local.get $s)))
                (global.set $g (extern.convert_any (local.get $s)))
                (global.set $i (extern.convert_any (ref.i31 (i32.const 6))))
                (table.set (i32.const 0) (global.get $g)) (table.set (i32.const 2) (global.get $i)))
            (func (export "main") (result i64)
                (i64.extend_i32_u (struct.get $s 1 (ref.cast (ref $s) (any.convert_extern
                    (struct.get $s 0 (ref.cast (ref $s) (any.convert_extern (table.get (i32.const 0)))))))))))"#,
    );
}

#[test]
fn immutable_globals_keep_what_they_hold() {
    let text = |export: &str| {
        format!(
            r#"(module
                (type $inner (struct (field (mut i32)))) (type $outer (struct (field (ref $inner)) (field (mut anyref))))
                (global $o {export} (ref $outer) (struct.new $outer (struct.new $inner (i32.const 1)) (ref.null any)))
                (global $again anyref (global.get $o))
                (global $taken (mut (ref null $inner)) (ref.null $inner))
                (func (export "wizer.initialize")
                    (global.set $taken (struct.get $outer 0 (global.get $o)))
                    (struct.set $inner 0 (global.get $taken) (i32.const 30))
                    (struct.set $outer 1 (global.get $o) (global.get $o)))
                (func (export "main") (result i64)
                    (struct.set $inner 0 (struct.get $outer 0 (global.get $o)) (i32.const 50))
                    (i64.extend_i32_u (i32.add (struct.get $inner 0 (global.get $taken))
                        (ref.eq (ref.cast eqref (struct.get $outer 1 (global.get $o))) (ref.cast eqref (global.get $again)))))))"#
        )
    };
    for export in ["", r#"(export "o")"#] {
        let wasm = check(&text(export));
        let (mut store, instance) = instantiate(&wasm, &[]);
        assert_eq!(call_main(&mut store, &instance), Ok(51));
    }
}

#[test]
fn an_immutable_global_that_only_code_can_make_becomes_mutable() {
    // What the imported global holds is inside of what another one holds, which no constant expression can say.
    let provider = r#"(module
        (type $s (struct (field (mut i32)))) (type $pair (struct (field (ref $s)) (field (ref $s))))
        (global $s (export "s") (ref $s) (struct.new $s (i32.const 3)))
        (global (export "pair") (ref $pair) (struct.new $pair (global.get $s) (global.get $s))))"#;
    let text = |export: &str| {
        format!(
            r#"(module
                (type $s (struct (field (mut i32)))) (type $pair (struct (field (ref $s)) (field (ref $s))))
                (import "a" "pair" (global $pair (ref $pair))) (import "a" "s" (global $s (ref $s)))
                {export}
                (func (export "wizer.initialize"))
                (func (export "main") (result i64)
                    (struct.set $s 0 (global.get $s) (i32.const 8))
                    (i64.extend_i32_u (struct.get $s 0 (struct.get $pair 1 (global.get $pair))))))"#
        )
    };
    check_with(&mut Preinit::new(), &text(""), &[provider]);
    check_with(&mut Preinit::new(), &text(r#"(export "s" (global $s))"#), &[provider]);
    let both = text(r#"(export "s" (global $s)) (export "pair" (global $pair))"#);
    let error = Preinit::new().preload_bytes("a", provider).run(both.as_bytes()).unwrap_err();
    assert!(matches!(error, PreinitError::Uncapturable { .. }));
    assert!(error.to_string().starts_with("global 0 \"pair\" holds an object that cannot be made before"), "{error}");
}

#[test]
fn items_of_passive_segments_keep_their_identity() {
    check(
        r#"(module
            (type $s (struct (field (mut i32))))
            (elem $items anyref (item (struct.new $s (i32.const 1))) (item (ref.null any)) (item (ref.i31 (i32.const 4))))
            (table 6 anyref)
            (func (export "wizer.initialize")
                (table.init $items (i32.const 0) (i32.const 0) (i32.const 2))
                (struct.set $s 0 (ref.cast (ref $s) (table.get (i32.const 0))) (i32.const 20)))
            (func (export "main") (result i64)
                (table.init $items (i32.const 3) (i32.const 0) (i32.const 3))
                (struct.set $s 0 (ref.cast (ref $s) (table.get (i32.const 0))) (i32.const 30))
                (i64.extend_i32_u (struct.get $s 0 (ref.cast (ref $s) (table.get (i32.const 3)))))))"#,
    );
}

#[test]
fn tables_of_objects_functions_and_integers() {
    check(
        r#"(module
            (type $s (struct (field i32))) (type $n (array (ref $s)))
            (table $mixed i64 20 eqref) (table $typed 2 9 (ref null $s)) (table $never 2 9 (ref $s) (struct.new $s (i32.const 3)))
            (func (export "wizer.initialize") (local $s (ref $s))
                (local.set $s (struct.new $s (i32.const 77)))
                (table.set $mixed (i64.const 3) (ref.i31 (i32.const 5))) (table.set $mixed (i64.const 4) (local.get $s))
                (table.set $mixed (i64.const 5) (ref.i31 (i32.const 6)))
                (table.set $mixed (i64.const 19) (array.new_fixed $n 2 (local.get $s) (struct.new $s (i32.const 1))))
                (table.set $typed (i32.const 1) (local.get $s))
                (drop (table.grow $never (local.get $s) (i32.const 4))))
            (func (export "main") (result i64)
                (drop (table.grow $typed (struct.new $s (i32.const 2)) (i32.const 2)))
                (i64.extend_i32_u (struct.get $s 0 (table.get $never (i32.const 0))))))"#,
    );
}

#[test]
fn imported_globals_and_tables_of_objects() {
    let provider = r#"(module
        (type $s (struct (field (mut i32))))
        (global (export "g") (mut (ref null $s)) (ref.null $s)) (table (export "t") 3 anyref))"#;
    let text = r#"(module
        (type $s (struct (field (mut i32))))
        (import "a" "g" (global $g (mut (ref null $s)))) (import "a" "t" (table 3 anyref))
        (func (export "wizer.initialize")
            (global.set $g (struct.new $s (i32.const 11))) (table.set (i32.const 2) (global.get $g)))
        (func (export "main") (result i64)
            (struct.set $s 0 (global.get $g) (i32.const 12))
            (i64.extend_i32_u (struct.get $s 0 (ref.cast (ref $s) (table.get (i32.const 2)))))))"#;
    check_with(&mut Preinit::new(), text, &[provider]);
    check_with(Preinit::new().keep_imports(true), text, &[provider]);
}

#[test]
fn what_leads_to_the_host_is_refused() {
    let refusal = |text: &str| Preinit::new().run(text.as_bytes()).unwrap_err().to_string();
    let message = refusal(
        r#"(module (tag $t) (type $s (struct (field exnref))) (global $g (export "cache") (mut anyref) (ref.null any))
            (func (export "wizer.initialize")
                (global.set $g (struct.new $s
                    (block $caught (result exnref) (try_table (catch_all_ref $caught) (throw $t)) unreachable)))))"#,
    );
    assert!(message.starts_with("global 0 \"g\" holds an object that leads to an exnref, "), "{message}");
    let foreign = Preinit::new()
        .preload_bytes(
            "a",
            r#"(module (type (struct (field i32))) (func (export "new") (result anyref) (struct.new_default 0)))"#,
        )
        .run(
            br#"(module (import "a" "new" (func $new (result anyref))) (table 5 anyref)
                (func (export "wizer.initialize") (table.set (i32.const 4) (call $new))))"#,
        );
    let message = foreign.unwrap_err().to_string();
    assert!(
        message.starts_with("element 4 of table 0 holds a struct or array of a type that the module does not"),
        "{message}"
    );
}
