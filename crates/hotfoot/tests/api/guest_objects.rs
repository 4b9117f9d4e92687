//! Guests that make objects, in every kind of engine, with a collection now and then or at every allocation.

use std::num::NonZeroU32;

use hotfoot::{Config, Engine, Instance, Result, Store, Trap};

use super::{Change, call, instantiate};

/// Ways of finding null and bounds, each with ordinary collections and with one at every allocation.
fn engines() -> Vec<(String, Engine)> {
    let changes: [(&str, Change); 3] = [
        ("default", |config| config),
        ("explicit checks", |config| config.signals_based_traps(false)),
        ("unoptimised", |config| config.cranelift_opt_level(hotfoot::OptLevel::None)),
    ];
    let engine = |(name, change): (&str, Change), zeal| {
        let mut config = Config::new();
        let config = change(&mut config).gc_zeal_alloc_counter(zeal).unwrap();
        (format!("{name}, zeal {zeal:?}"), Engine::new(config).unwrap())
    };
    let zeals = [None, NonZeroU32::new(1)];
    changes.into_iter().flat_map(|change| zeals.map(|zeal| engine(change, zeal))).collect()
}

/// Runs a check with an instance of a module under each engine.
fn everywhere(text: &str, check: impl Fn(&mut Store<()>, Instance) -> Result<()>) {
    for (name, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, text, &[]);
        check(&mut store, instance).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

fn traps(store: &mut Store<()>, instance: Instance, name: &str, argument: i32) -> Option<Trap> {
    call::<_, i32, i32>(store, instance, name, argument).err().and_then(|error| error.downcast_ref::<Trap>().copied())
}

#[test]
fn lists_and_trees_survive_what_is_thrown_away_around_them() {
    let text = r#"(module
        (type $list (struct (field $head i64) (field $tail (ref null $list))))
        (type $tree (struct (field $left (ref null $tree)) (field $right (ref null $tree))))
        (func $list (param $n i64) (result (ref null $list)) (local $l (ref null $list))
            (loop $next
                (if (i64.eqz (local.get $n)) (then (return (local.get $l))))
                (drop (struct.new $list (i64.const -1) (local.get $l)))
                (local.set $l (struct.new $list (local.get $n) (local.get $l)))
                (local.set $n (i64.sub (local.get $n) (i64.const 1)))
                (br $next))
            (unreachable))
        (func (export "sum") (param $n i64) (result i64) (local $l (ref null $list)) (local $s i64)
            (local.set $l (call $list (local.get $n)))
            (loop $next (result i64)
                (block $end (br_on_null $end (local.get $l)) (drop)
                    (local.set $s (i64.add (local.get $s) (struct.get $list $head (local.get $l))))
                    (local.set $l (struct.get $list $tail (local.get $l)))
                    (br $next))
                (local.get $s)))
        (func $tree (param $depth i32) (result (ref null $tree))
            (if (i32.eqz (local.get $depth)) (then (return (ref.null $tree))))
            (struct.new $tree
                (call $tree (i32.sub (local.get $depth) (i32.const 1)))
                (call $tree (i32.sub (local.get $depth) (i32.const 1)))))
        (func $count (param (ref null $tree)) (result i32)
            (if (ref.is_null (local.get 0)) (then (return (i32.const 0))))
            (drop (struct.new_default $tree))
            (i32.add (i32.const 1) (i32.add
                (call $count (struct.get $tree $left (local.get 0)))
                (call $count (struct.get $tree $right (local.get 0))))))
        (func (export "tree") (param i32) (result i32) (call $count (call $tree (local.get 0)))))"#;
    everywhere(text, |store, instance| {
        assert_eq!(call::<_, i64, i64>(store, instance, "sum", 400)?, 400 * 401 / 2);
        assert_eq!(call::<_, i32, i32>(store, instance, "tree", 8)?, 255);
        Ok(())
    });
}

/// A new array is filled by a loop if it is short, and by the runtime if it is long.
#[test]
fn arrays_of_every_length_begin_as_they_should() {
    for (element, constant, get, as_i32) in [
        ("i8", "(i32.const -7)", "array.get_s", ""),
        ("i16", "(i32.const -7)", "array.get_s", ""),
        ("i32", "(i32.const -7)", "array.get", ""),
        ("i64", "(i64.const -7)", "array.get", "i32.wrap_i64"),
        ("f32", "(f32.const -7)", "array.get", "i32.trunc_sat_f32_s"),
        ("f64", "(f64.const -7)", "array.get", "i32.trunc_sat_f64_s"),
        ("v128", "(v128.const i32x4 0 0 0 -7)", "array.get", "i32x4.extract_lane 3"),
        ("i31ref", "(ref.i31 (i32.const -7))", "array.get", "i31.get_s"),
    ] {
        let text = format!(
            r#"(module
                (type $a (array (mut {element})))
                (func $sum (param $a (ref $a)) (result i32) (local $i i32) (local $s i32)
                    (loop $next
                        (if (i32.lt_u (local.get $i) (array.len (local.get $a))) (then
                            ({get} $a (local.get $a) (local.get $i)) {as_i32}
                            (local.set $s (i32.add (local.get $s)))
                            (local.set $i (i32.add (local.get $i) (i32.const 1)))
                            (br $next))))
                    (local.get $s))
                (func (export "new") (param i32) (result i32) (call $sum (array.new $a {constant} (local.get 0))))
                (func (export "fill") (param i32) (result i32) (local $a (ref null $a))
                    (local.set $a (array.new $a {constant} (i32.add (local.get 0) (i32.const 2))))
                    (array.fill $a (local.get $a) (i32.const 1) {constant} (local.get 0))
                    (call $sum (ref.as_non_null (local.get $a))))
                (func (export "outside") (param i32) (result i32)
                    (array.fill $a (array.new $a {constant} (i32.const 3)) (local.get 0) {constant} (i32.const 2))
                    (i32.const 1))
                (func (export "get") (param i32) (result i32)
                    ({get} $a (array.new $a {constant} (i32.const 3)) (local.get 0)) {as_i32})
                (func (export "null") (param i32) (result i32) ({get} $a (ref.null $a) (local.get 0)) {as_i32})
                (func (export "null fill") (param i32) (result i32)
                    (array.fill $a (ref.null $a) (i32.const 0) {constant} (i32.const 0)) (i32.const 1)))"#
        );
        everywhere(&text, |store, instance| {
            for len in [0, 1, 31, 32, 33, 1000] {
                assert_eq!(call::<_, i32, i32>(store, instance, "new", len)?, -7 * len, "{element} {len}");
                assert_eq!(call::<_, i32, i32>(store, instance, "fill", len)?, -7 * (len + 2), "{element} {len}");
            }
            assert_eq!(traps(store, instance, "get", 2), None);
            assert_eq!(traps(store, instance, "outside", 1), None);
            for index in [3, -1, i32::MAX, i32::MIN] {
                assert_eq!(traps(store, instance, "get", index), Some(Trap::ArrayOutOfBounds), "{element} {index}");
            }
            for index in [2, 3, -1, i32::MAX] {
                assert_eq!(traps(store, instance, "outside", index), Some(Trap::ArrayOutOfBounds), "{element} {index}");
            }
            assert_eq!(traps(store, instance, "null", 0), Some(Trap::NullReference), "{element}");
            assert_eq!(traps(store, instance, "null fill", 0), Some(Trap::NullReference), "{element}");
            Ok(())
        });
    }
}

/// Arrays too large for any heap are refused without having been made; their size overflows 32 bits.
#[test]
fn arrays_that_cannot_be_are_errors() {
    let text = r#"(module (type $a (array (mut v128))) (type $b (array (mut i8)))
        (func (export "vectors") (param i32) (result i32) (array.len (array.new_default $a (local.get 0))))
        (func (export "bytes") (param i32) (result i32) (array.len (array.new_default $b (local.get 0)))))"#;
    everywhere(text, |store, instance| {
        assert!(call::<_, i32, i32>(store, instance, "vectors", -1).is_err());
        assert!(call::<_, i32, i32>(store, instance, "bytes", -1).is_err());
        assert_eq!(call::<_, i32, i32>(store, instance, "vectors", 40)?, 40, "the heap is as before");
        Ok(())
    });
}

#[test]
fn casts_see_every_depth() {
    let types: String = (1..64).map(|at| format!("(type $t{at} (sub $t{} (struct)))", at - 1)).collect();
    let make: String = (0..64)
        .map(|at| format!("(if (i32.eq (local.get 0) (i32.const {at})) (then (return (struct.new $t{at}))))"))
        .collect();
    let count = |ask: &str| -> String {
        (0..64)
            .map(|at| format!("(local.set $n (i32.add (local.get $n) ({ask} (ref $t{at}) (local.get $o))))"))
            .collect()
    };
    let text = format!(
        r#"(module (type $t0 (sub (struct))) {types} (type $stranger (sub (struct (field i32))))
            (func $make (param i32) (result (ref any)) {make} (struct.new_default $stranger))
            (func (export "levels") (param i32) (result i32) (local $o anyref) (local $n i32)
                (local.set $o (call $make (local.get 0))) {} (local.get $n))
            (func (export "cast") (param i32) (result i32)
                (ref.is_null (ref.cast (ref $t40) (call $make (local.get 0))))))"#,
        count("ref.test")
    );
    everywhere(&text, |store, instance| {
        for depth in 0..64 {
            assert_eq!(call::<_, i32, i32>(store, instance, "levels", depth)?, depth + 1);
            let expected = (depth < 40).then_some(Trap::CastFailure);
            assert_eq!(traps(store, instance, "cast", depth), expected, "{depth}");
        }
        assert_eq!(call::<_, i32, i32>(store, instance, "levels", 64)?, 0);
        Ok(())
    });
}

/// What lies behind the part of the heap that faults needs a check of its own.
#[test]
fn fields_far_into_an_object() {
    let fields = "(field (mut i64))".repeat(9_000);
    let text = format!(
        r#"(module (type $big (struct {fields}))
            (global $g (mut (ref null $big)) (ref.null $big))
            (func (export "make") (param i32) (result i32) (global.set $g (struct.new_default $big)) (local.get 0))
            (func (export "set") (param i32) (result i32)
                (struct.set $big 8999 (global.get $g) (i64.extend_i32_s (local.get 0)))
                (struct.set $big 8998 (global.get $g) (i64.const 1))
                (i32.wrap_i64 (struct.get $big 8999 (global.get $g)))))"#
    );
    everywhere(&text, |store, instance| {
        assert_eq!(traps(store, instance, "set", 5), Some(Trap::NullReference));
        call::<_, i32, i32>(store, instance, "make", 0)?;
        assert_eq!(call::<_, i32, i32>(store, instance, "set", -5)?, -5);
        Ok(())
    });
}

/// References in exceptions, across tail calls, in results that do not fit registers, and in tables.
#[test]
fn references_go_everywhere_that_values_go() {
    let text = r#"(module
        (type $box (struct (field (mut i32))))
        (type $many (func (result (ref $box) (ref $box) (ref $box) (ref $box) (ref $box) (ref $box) (ref $box)
            (ref $box) (ref $box) i64)))
        (tag $t (param (ref $box) i32 (ref null $box)))
        (table $table 4 (ref null $box))
        (func $box (param i32) (result (ref $box)) (struct.new $box (local.get 0)))
        (func $get (param (ref null $box)) (result i32) (drop (call $box (i32.const 0))) (struct.get $box 0 (local.get 0)))
        (func $throw (param i32) (throw $t (call $box (local.get 0)) (i32.const 1) (call $box (i32.const 100))))
        (func (export "exceptions") (param i32) (result i32) (local $b (ref null $box)) (local $n i32) (local $e exnref)
            (local.set $b (call $box (i32.const 1000)))
            (block $caught (result (ref $box) i32 (ref null $box) exnref)
                (try_table (catch_ref $t $caught) (call $throw (local.get 0)))
                (unreachable))
            (local.set $e)
            (call $get) (local.set $n)
            (drop)
            (call $get) (local.set $n (i32.add (local.get $n)))
            (block $again (result (ref $box) i32 (ref null $box))
                (try_table (catch $t $again) (drop (call $box (i32.const 1))) (throw_ref (local.get $e)))
                (unreachable))
            (call $get) (local.set $n (i32.add (local.get $n)))
            (drop) (drop)
            (i32.add (local.get $n) (call $get (local.get $b))))
        (func $loop (param $n i32) (param $b (ref $box)) (result i32)
            (if (i32.eqz (local.get $n)) (then (return (call $get (local.get $b)))))
            (return_call $loop (i32.sub (local.get $n) (i32.const 1))
                (call $box (i32.add (call $get (local.get $b)) (i32.const 1)))))
        (func (export "tail calls") (param i32) (result i32) (return_call $loop (local.get 0) (call $box (i32.const 0))))
        (func $many (type $many)
            (call $box (i32.const 1)) (call $box (i32.const 2)) (call $box (i32.const 3)) (call $box (i32.const 4))
            (call $box (i32.const 5)) (call $box (i32.const 6)) (call $box (i32.const 7)) (call $box (i32.const 8))
            (call $box (i32.const 9)) (i64.const 10))
        (func (export "results") (param i32) (result i32) (local $s i32) (local $i i32)
            (call $many) (drop)
            (local.set $s (call $get)) (local.set $s (i32.add (call $get) (local.get $s)))
            (local.set $s (i32.add (call $get) (local.get $s))) (local.set $s (i32.add (call $get) (local.get $s)))
            (local.set $s (i32.add (call $get) (local.get $s))) (local.set $s (i32.add (call $get) (local.get $s)))
            (local.set $s (i32.add (call $get) (local.get $s))) (local.set $s (i32.add (call $get) (local.get $s)))
            (i32.add (call $get) (local.get $s)))
        (func (export "tables") (param i32) (result i32)
            (table.set $table (i32.const 1) (call $box (local.get 0)))
            (table.fill $table (i32.const 2) (call $box (i32.const 7)) (i32.const 2))
            (drop (table.grow $table (call $box (i32.const 9)) (i32.const 3)))
            (table.copy $table $table (i32.const 0) (i32.const 1) (i32.const 3))
            (i32.add (call $get (table.get $table (i32.const 0)))
                (i32.add (call $get (table.get $table (i32.const 3))) (call $get (table.get $table (i32.const 4)))))))"#;
    everywhere(text, |store, instance| {
        assert_eq!(call::<_, i32, i32>(store, instance, "exceptions", 10)?, 100 + 10 + 100 + 1000);
        assert_eq!(call::<_, i32, i32>(store, instance, "tail calls", 300)?, 300);
        assert_eq!(call::<_, i32, i32>(store, instance, "results", 0)?, 45);
        assert_eq!(call::<_, i32, i32>(store, instance, "tables", 5)?, 5 + 7 + 9);
        Ok(())
    });
}

/// What each kind of value is taken for, with and without what the static type says about it.
#[test]
fn tests_of_types_agree_with_what_values_are() {
    let kinds = ["any", "eq", "i31", "struct", "array", "none", "$s", "$sub", "$a", "$other"];
    let tests: String = kinds
        .iter()
        .enumerate()
        .map(|(bit, kind)| {
            format!(
                "(local.set $bits (i32.or (local.get $bits) (i32.shl (ref.test (ref {kind}) (local.get $v)) (i32.const {bit}))))"
            )
        })
        .collect();
    let text = format!(
        r#"(module
            (type $s (sub (struct (field i32)))) (type $sub (sub $s (struct (field i32) (field i64))))
            (type $a (array i8)) (type $other (array i16))
            (func $bits (param $v anyref) (result i32) (local $bits i32) {tests} (local.get $bits))
            (func (export "null") (param i32) (result i32) (call $bits (ref.null any)))
            (func (export "i31") (param i32) (result i32) (call $bits (ref.i31 (local.get 0))))
            (func (export "struct") (param i32) (result i32) (call $bits (struct.new_default $s)))
            (func (export "sub") (param i32) (result i32) (call $bits (struct.new_default $sub)))
            (func (export "array") (param i32) (result i32) (call $bits (array.new_default $a (i32.const 3))))
            (func (export "host") (param externref) (result i32) (call $bits (any.convert_extern (local.get 0))))
            (func (export "back") (param i32) (result i32)
                (call $bits (any.convert_extern (extern.convert_any (array.new_default $other (i32.const 3))))))
            (func (export "known") (param i32) (result i32)
                (i32.add (ref.test (ref $sub) (struct.new_default $s)) (ref.test (ref null $s) (ref.null none)))))"#
    );
    everywhere(&text, |store, instance| {
        let expected = [
            ("null", 0),
            ("i31", 0b111),
            ("struct", 0b1001011),
            ("sub", 0b11001011),
            ("array", 0b100010011),
            ("back", 0b1000010011),
            ("known", 1),
        ];
        for (name, bits) in expected {
            assert_eq!(call::<_, i32, i32>(store, instance, name, 3)?, bits, "{name}");
        }
        let host = hotfoot::ExternRef::new(&mut *store, 1u8)?;
        assert_eq!(
            call::<_, Option<hotfoot::Rooted<hotfoot::ExternRef>>, i32>(store, instance, "host", Some(host))?,
            1
        );
        Ok(())
    });
}
