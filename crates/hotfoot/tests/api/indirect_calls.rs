//! Indirect calls, where the module itself puts few functions of their type into tables: whatever else is in the
//! table when the call is made, it does the same as without looking for them.

use hotfoot::{Engine, Func, Instance, Ref, Store, Trap};

use super::inlining::pairs;
use super::{call, instantiate};

/// Calls through a table whose elements are, from 1 on: a function of the type that is inlined, a larger one, one of another
/// type, the first again, and from 5 on what the host puts there.
const CALLS: &str = r#"(module
    (type $unary (func (param i32) (result i32)))
    (global $last (export "last") (mut i32) (i32.const 0))
    (memory 1)
    (table (export "table") 8 funcref)
    (elem (i32.const 1) $double $collatz $other $double)
    (func $double (export "double") (type $unary)
        (global.set $last (i32.load (i32.mul (local.get 0) (i32.const 4096))))
        (global.set $last (local.get 0))
        (i32.add (local.get 0) (local.get 0)))
    (func $collatz (type $unary) (local $steps i32)
        (loop $again (result i32)
            (if (i32.eq (local.get 0) (i32.const 1)) (then (return (local.get $steps))))
            (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
            (local.set 0 (select
                (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.const 1))
                (i32.shr_u (local.get 0) (i32.const 1))
                (i32.and (local.get 0) (i32.const 1))))
            (br $again)))
    (func $other (param i64))
    (func (export "call") (param i32 i32) (result i32)
        (i32.add (i32.const 1000) (call_indirect (type $unary) (local.get 0) (local.get 1))))
    (func (export "return call") (param i32 i32) (result i32)
        (return_call_indirect (type $unary) (local.get 0) (local.get 1)))
    (func (export "count") (param i32 i32) (result i32) (local $sum i32)
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call_indirect (type $unary) (local.get 0) (local.get 1))))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get $sum)))"#;

/// What a call of an export with an argument, through an element, gives or traps with; the global afterwards, there and in
/// another instance whose function is element 6; and the fuel that is left.
fn outcome(engine: &Engine, name: &str, argument: i32, element: i32) -> (Result<i32, Trap>, [i32; 2], Option<u64>) {
    let mut store = Store::new(engine, ());
    let _ = store.set_fuel(100_000);
    store.set_epoch_deadline(1);
    let [instance, another] = [(); 2].map(|()| instantiate(&mut store, CALLS, &[]));
    let table = instance.get_table(&mut store, "table").unwrap();
    let host = Func::wrap(&mut store, |argument: i32| argument - 1);
    let theirs = another.get_func(&mut store, "double").unwrap();
    table.set(&mut store, 5, host.into()).unwrap();
    table.set(&mut store, 6, theirs.into()).unwrap();
    // Elements 0 and 4 are null, and 2 and 1 changed places.
    table.set(&mut store, 4, Ref::Func(None)).unwrap();
    let [first, second] = [1, 2].map(|element| table.get(&mut store, element).unwrap());
    table.set(&mut store, 1, second).unwrap();
    table.set(&mut store, 2, first).unwrap();
    let result = call::<_, _, i32>(&mut store, instance, name, (argument, element));
    let result = result.map_err(|error| *error.downcast_ref::<Trap>().unwrap());
    let last = |store: &mut Store<()>, instance: Instance| {
        let global = instance.get_global(&mut *store, "last").unwrap();
        global.get(store).i32().unwrap()
    };
    let globals = [last(&mut store, instance), last(&mut store, another)];
    (result, globals, store.get_fuel().ok())
}

#[test]
fn each_element_is_what_is_called() {
    use Trap::{BadSignature, IndirectCallToNull, MemoryOutOfBounds, TableOutOfBounds};
    let expected = [
        (2, Ok(14), [7, 0]),
        (1, Ok(16), [0, 0]),
        (5, Ok(6), [0, 0]),
        (6, Ok(14), [0, 7]),
        (3, Err(BadSignature), [0, 0]),
        (4, Err(IndirectCallToNull), [0, 0]),
        (0, Err(IndirectCallToNull), [0, 0]),
        (8, Err(TableOutOfBounds), [0, 0]),
        (-1, Err(TableOutOfBounds), [0, 0]),
    ];
    for engines in pairs() {
        for (element, result, globals) in expected {
            for (name, more) in [("call", 1000), ("return call", 0)] {
                let [with, without] = engines.each_ref().map(|engine| outcome(engine, name, 7, element));
                assert_eq!((with.0, with.1), (result.map(|value| value + more), globals), "{name} {element}");
                assert_eq!(with, without, "{name} {element}");
            }
        }
        let [with, without] = engines.each_ref().map(|engine| outcome(engine, "count", 10, 2));
        assert_eq!(with.0, Ok(110));
        assert_eq!(with, without);
        let [with, without] = engines.each_ref().map(|engine| outcome(engine, "call", 16, 2));
        assert_eq!(with.0, Err(MemoryOutOfBounds), "the inlined function traps");
        assert_eq!(with, without);
    }
}

/// A function that replaces itself a million times takes no stack, and each round begins with its locals at zero.
#[test]
fn a_function_that_replaces_itself_begins_anew() {
    let text = r#"(module
        (func $sum (export "sum") (param $n i64) (param $sum i64) (param $other i64) (result i64) (local $seen i64)
            (if (i64.eqz (local.get $n))
                (then (return (i64.add (local.get $seen) (i64.sub (local.get $sum) (local.get $other))))))
            (local.set $seen (local.get $n))
            ;; The parameters change places, so that none may be set before all are read.
            (return_call $sum
                (i64.sub (local.get $n) (i64.const 1))
                (local.get $other)
                (i64.add (local.get $sum) (local.get $n)))))"#;
    for engine in pairs().into_iter().flatten() {
        let mut store = Store::new(&engine, ());
        let _ = store.set_fuel(u64::MAX / 4);
        store.set_epoch_deadline(1);
        let instance = instantiate(&mut store, text, &[]);
        let sum: i64 = call(&mut store, instance, "sum", (1_000_000i64, 0i64, 0i64)).unwrap();
        // Every other number goes to each of the two sums.
        assert_eq!(sum, 500_000);
    }
}

/// What compiled code fills by itself was charged even if nothing consumes fuel, and paid at the next such call: the module
/// could not be compiled.
#[test]
fn fills_before_a_call_are_not_paid_where_nothing_consumes_fuel() {
    let mut store = Store::<()>::default();
    let text = r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) $increment)
        (func $increment (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func (export "run") (param i32) (result i32)
            (memory.fill (i32.const 8) (i32.const 3) (i32.const 100))
            (memory.copy (i32.const 200) (i32.const 8) (i32.const 50))
            (call_indirect (param i32) (result i32) (i32.load8_u (i32.const 249)) (local.get 0))))"#;
    let instance = instantiate(&mut store, text, &[]);
    assert_eq!(call::<_, _, i32>(&mut store, instance, "run", 0).unwrap(), 4);
}
