//! Inlining: what can be seen of a program is the same with and without.

use hotfoot::{Caller, Config, Engine, Func, Inlining, Instance, Store, Trap, WasmBacktrace};

use super::{call, compile, instantiate};

/// Functions that call each other and are all small enough to be inlined. What traps, throws or calls the host is three
/// calls deep, before and after calls that return.
const CHAIN: &str = r#"(module
    (import "h" "host" (func $host))
    (memory 1)
    (tag $tag (param i32))
    (global $depth (mut i32) (i32.const 0))
    (func $load (param i32) (result i32) (i32.load (i32.mul (local.get 0) (i32.const 65536))))
    (func $twice (param i32) (result i32) (i32.add (call $load (i32.const 0)) (call $load (local.get 0))))
    (func (export "trap") (param i32) (result i32) (i32.add (call $twice (i32.const 0)) (call $twice (local.get 0))))
    (func $report (param i32) (if (local.get 0) (then (call $host))))
    (func $pass (param i32) (call $report (i32.const 0)) (call $report (local.get 0)))
    (func (export "host") (param i32) (result i32) (call $pass (i32.const 0)) (call $pass (local.get 0)) (i32.const 7))
    (func $throw (param i32) (if (local.get 0) (then (throw $tag (local.get 0)))))
    (func $between (param i32) (call $throw (i32.const 0)) (call $throw (local.get 0)))
    (func (export "catch") (param i32) (result i32)
        (block $caught (result i32)
            (try_table (catch $tag $caught) (call $between (local.get 0)))
            (i32.const -1)))
    (func (export "uncaught") (param i32) (result i32) (call $between (local.get 0)) (i32.const 1))
    (func $down (export "down") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
            (then (i32.const 0))
            (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))
    (func $early (param i32) (result i32 i64)
        (local $zero i32)
        (if (local.get 0) (then (return (i32.const 5) (i64.const 6))))
        (local.set $zero (i32.add (local.get $zero) (i32.const 1)))
        (local.get $zero) (i64.const 8))
    (func (export "early") (param i32) (result i32)
        (local $sum i32)
        (loop $again
            (call $early (i32.and (local.get 0) (i32.const 1)))
            i32.wrap_i64
            i32.add
            (local.set $sum (i32.add (local.get $sum)))
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get $sum))
    (func $never (param i32) (result i32) (if (local.get 0) (then unreachable)) (unreachable))
    (func (export "never") (param i32) (result i32) (i32.add (i32.const 1) (call $never (local.get 0))))
    (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                           (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
)"#;

/// Pairs of engines that differ in inlining only.
pub fn pairs() -> Vec<[Engine; 2]> {
    let changes: [super::Change; 4] = [
        |config| config,
        |config| config.signals_based_traps(false),
        |config| config.consume_fuel(true),
        |config| config.epoch_interruption(true),
    ];
    let engine =
        |change: super::Change, inlining| Engine::new(change(&mut Config::new()).compiler_inlining(inlining)).unwrap();
    changes.iter().map(|change| [engine(*change, Inlining::Yes), engine(*change, Inlining::No)]).collect()
}

/// What the host sees: backtraces from inside of host functions.
type Seen = Vec<Vec<(u32, Option<usize>)>>;

fn frames(backtrace: &WasmBacktrace) -> Vec<(u32, Option<usize>)> {
    backtrace.frames().iter().map(|frame| (frame.func_index(), frame.module_offset())).collect()
}

/// A call's outcome, what the host saw meanwhile, and the fuel that is left.
fn outcome(engine: &Engine, name: &str, argument: i32) -> String {
    let mut store: Store<Seen> = Store::new(engine, Vec::new());
    // Enough for some calls, and not for all.
    let _ = store.set_fuel(100_000);
    store.set_epoch_deadline(1);
    let host = Func::wrap(&mut store, |mut caller: Caller<'_, Seen>| {
        let seen = frames(&WasmBacktrace::capture(&mut caller));
        caller.data_mut().push(seen);
    });
    let instance = instantiate(&mut store, CHAIN, &[host.into()]);
    let result = call::<_, _, i32>(&mut store, instance, name, argument);
    let result = result
        .map_err(|error| (error.downcast_ref::<Trap>().copied(), error.downcast_ref::<WasmBacktrace>().map(frames)));
    format!("{result:?} {:?} {:?}", store.data(), store.get_fuel().ok())
}

#[test]
fn programs_do_the_same_either_way() {
    let calls = [
        ("trap", 0),
        ("trap", 1),
        ("host", 0),
        ("host", 1),
        ("catch", 0),
        ("catch", 3),
        ("uncaught", 0),
        ("uncaught", 3),
        ("down", 100),
        ("early", 9),
        ("never", 0),
        ("never", 1),
        ("fib", 10),
        ("fib", 25),
    ];
    for [with, without] in pairs() {
        for (name, argument) in calls {
            assert_eq!(outcome(&with, name, argument), outcome(&without, name, argument), "{name}({argument})");
        }
    }
}

/// The frames of inlined functions are not forgotten.
#[test]
fn a_backtrace_names_functions_that_were_inlined() {
    let [with, _] = &pairs()[0];
    assert!(outcome(with, "trap", 1).contains("Some([(1, "), "the trap is in function 1");
    let mut store = Store::new(with, ());
    let host = Func::wrap(&mut store, || {});
    let instance = instantiate(&mut store, CHAIN, &[host.into()]);
    let error = call::<_, _, i32>(&mut store, instance, "trap", 1).unwrap_err();
    let functions: Vec<u32> =
        error.downcast_ref::<WasmBacktrace>().unwrap().frames().iter().map(|f| f.func_index()).collect();
    assert_eq!(functions, [1, 2, 3]);
    let text_len = |engine: &Engine| compile(engine, CHAIN).text().len();
    let [with, without] = &pairs()[0];
    assert_ne!(text_len(with), text_len(without), "something was inlined");
}

#[test]
fn endless_recursion_still_ends() {
    for engine in pairs().into_iter().flatten() {
        let mut store: Store<Seen> = Store::new(&engine, Vec::new());
        let _ = store.set_fuel(u64::MAX / 4);
        store.set_epoch_deadline(1);
        let host = Func::wrap(&mut store, || {});
        let instance: Instance = instantiate(&mut store, CHAIN, &[host.into()]);
        let error = call::<_, _, i32>(&mut store, instance, "down", i32::MAX).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
    }
}
