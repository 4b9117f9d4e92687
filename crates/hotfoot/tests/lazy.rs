//! Functions that are compiled when they are called: nothing but the time shows it.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use hotfoot::{
    Cache, CacheConfig, Config, Engine, Extern, Func, Instance, InstanceAllocationStrategy, Linker, Module, Store,
    Trap, Val, WasmBacktrace,
};

fn lazy_engine() -> Engine {
    Engine::new(Config::new().lazy_compilation(true)).unwrap()
}

fn start(engine: &Engine, text: &str) -> (Store<()>, Instance) {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &Module::new(engine, text).unwrap(), &[]).unwrap();
    (store, instance)
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, argument: i32) -> hotfoot::Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call(store, argument)
}

/// Functions that call each other, so many that compiling them takes a while; `f` of `n` is the sum of all numbers below.
fn chain(functions: usize) -> String {
    let mut text = String::from(
        r#"(module (func $f0 (export "f") (param i32) (result i32) (return_call $f1 (local.get 0) (i32.const 0)))"#,
    );
    for function in 1..functions {
        let next = function % (functions - 1) + 1;
        text += &format!(
            "(func $f{function} (param i32 i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
                (return_call $f{next} (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 0) (local.get 1))))"
        );
    }
    text + ")"
}

/// A module with a function that is larger than can be compiled, which nobody has called yet.
fn with_a_bomb() -> String {
    let (operands, blocks) = ("(i32.const 0)".repeat(60_000), "(block)".repeat(30_000));
    format!(
        r#"(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func (export "g") (param i32) (result i32) (call $bomb) (local.get 0))
        (func $bomb {operands} {blocks} unreachable))"#
    )
}

#[test]
fn what_cannot_be_compiled_is_an_error_of_the_call_that_reaches_it() {
    let text = with_a_bomb();
    let eager = Module::new(&Engine::default(), &text).unwrap_err();
    assert!(eager.to_string().contains("function 2 (bomb) is too large"), "{eager:#}");
    let (mut store, instance) = start(&lazy_engine(), &text);
    for number in 0..3 {
        assert_eq!(call(&mut store, instance, "f", number).unwrap(), number + 1);
        let error = call(&mut store, instance, "g", number).unwrap_err();
        assert!(format!("{error:?}").contains("function 2 (bomb) is too large"), "{error:?}");
        let frames = error.downcast_ref::<WasmBacktrace>().unwrap().frames();
        assert_eq!(frames.iter().map(|frame| frame.func_index()).collect::<Vec<_>>(), [1]);
    }
    let module = Module::new(&lazy_engine(), &text).unwrap();
    let error = module.serialize().unwrap_err().to_string();
    assert!(error.contains("function 2 (bomb) is too large"), "{error}");
}

#[test]
fn what_is_invalid_is_refused_before_anything_runs_and_in_the_same_words() {
    for body in ["(i32.const 1)", "(i64.add (i32.const 1) (i64.const 2)) drop", "(local.set 9 (i32.const 1))"] {
        let text = format!("(module {} (func {body}) (func (f32.neg)))", "(func)".repeat(2000));
        let [eager, lazy] = [Engine::default(), lazy_engine()].map(|engine| Module::new(&engine, &text).unwrap_err());
        assert_eq!(eager.to_string(), lazy.to_string());
    }
}

const EVERYTHING: &str = r#"(module
    (import "" "host" (func $host (param i32 f64) (result i32)))
    (tag $t (param i32))
    (type $pair (struct (field (mut i32)) (field (ref null $pair))))
    (memory 1) (table 4 funcref) (elem (i32.const 0) $catch $simd $objects)
    (func $throw (param i32) (throw $t (local.get 0)))
    (func $catch (export "catch") (param i32) (result i32)
        (block $h (result i32) (try_table (catch $t $h) (call $throw (local.get 0))) (i32.const -1)))
    (func $objects (param i32) (result i32)
        (struct.get $pair 0 (struct.get $pair 1
            (struct.new $pair (i32.const 1) (struct.new $pair (local.get 0) (ref.null $pair))))))
    (func $simd (param i32) (result i32)
        (i32x4.extract_lane 2 (i32x4.add (i32x4.splat (local.get 0)) (v128.const i32x4 1 2 3 4))))
    (func (export "all") (param i32) (result i32)
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 100))
        (drop (memory.grow (i32.const 1)))
        (drop (call $host (i32.load (i32.const 4)) (f64.const 1.5)))
        (i32.add (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))
            (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1)))))"#;

#[test]
fn the_artifact_is_the_same_byte_for_byte() {
    for text in
        [&chain(3), &chain(300), EVERYTHING, "(module)", r#"(module (func $f (import "" "")) (export "f" (func $f)))"#]
    {
        for parallel in [true, false] {
            let artifacts = [false, true].map(|lazy| {
                let mut config = Config::new();
                config.parallel_compilation(parallel).lazy_compilation(lazy).artifact_key([7; 32]);
                Module::new(&Engine::new(&config).unwrap(), text).unwrap().serialize().unwrap()
            });
            assert!(artifacts[0] == artifacts[1], "{text:.100}");
        }
    }
}

#[test]
fn all_is_compiled_in_the_end_and_put_into_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(CacheConfig::new().with_directory(directory.path()).clone()).unwrap();
    let config = |lazy| Config::new().cache(Some(cache.clone())).lazy_compilation(lazy).clone();
    let engine = Engine::new(&config(true)).unwrap();
    let text = chain(500);
    let module = Module::new(&engine, &text).unwrap();
    assert!(!module.is_fully_compiled(), "nobody compiles 500 functions while a module is returned");
    let serialized = module.serialize().unwrap();
    assert!(module.is_fully_compiled());
    let given_up = Instant::now() + Duration::from_secs(20);
    while cache.usage().unwrap().files == 0 {
        assert!(Instant::now() < given_up, "nothing was put into the cache");
        thread::yield_now();
    }
    for lazy in [true, false] {
        let found = Module::new(&Engine::new(&config(lazy)).unwrap(), &text).unwrap();
        assert!(found.is_fully_compiled());
        assert!(found.serialize().unwrap() == serialized);
    }
    assert_eq!((cache.cache_hits(), cache.cache_misses()), (2, 1));
}

#[test]
fn a_module_can_be_dropped_while_it_is_compiled() {
    let engine = lazy_engine();
    let text = chain(400);
    for round in 0..20 {
        let module = Module::new(&engine, &text).unwrap();
        if round % 2 == 1 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            drop(module);
            assert_eq!(call(&mut store, instance, "f", round).unwrap(), round * (round + 1) / 2);
        }
    }
}

#[test]
fn threads_that_call_the_same_functions_at_once_all_go_on() {
    let text = chain(200);
    for _ in 0..5 {
        let engine = lazy_engine();
        let module = Module::new(&engine, &text).unwrap();
        let barrier = Arc::new(Barrier::new(6));
        let threads = (0..6).map(|number| {
            let (engine, module, barrier) = (engine.clone(), module.clone(), barrier.clone());
            thread::spawn(move || {
                let mut store = Store::new(&engine, ());
                let instance = Instance::new(&mut store, &module, &[]).unwrap();
                barrier.wait();
                assert_eq!(
                    call(&mut store, instance, "f", 1000 + number).unwrap(),
                    (1000 + number) * (1001 + number) / 2
                );
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Ten integers, ten floats and ten vectors: some in registers, some on the stack, by calls and by tail calls.
#[test]
fn all_arguments_and_results_pass_through_a_stub() {
    let types = "i64 f64 v128 ".repeat(10);
    let values: String =
        (0..10).map(|n| format!("(i64.const {n}) (f64.const {n}.5) (v128.const i64x2 {n} {})", 100 + n)).collect();
    let locals: String = (0..30).map(|local| format!("(local.get {local})")).collect();
    let text = format!(
        r#"(module (type $t (func (param {types}) (result {types})))
        (func (export "call") (result {types}) {values} (call $through))
        (func $through (type $t) {locals} (return_call $other))
        (func $other (type $t) {locals} (i32.const 0) (return_call_indirect (type $t)))
        (func $last (type $t) {locals})
        (func (export "few") (param i64 f64 v128) (result v128 f64 i64) (local.get 2) (local.get 1) (local.get 0))
        (table funcref (elem $last)))"#
    );
    let results = [Engine::default(), lazy_engine()].map(|engine| {
        let (mut store, instance) = start(&engine, &text);
        let mut results = vec![Val::I32(0); 33];
        let (many, few) = results.split_at_mut(30);
        instance.get_func(&mut store, "call").unwrap().call(&mut store, &[], many).unwrap();
        let given = [Val::I64(-3), Val::F64(2.5f64.to_bits()), Val::V128((7u128 << 64 | 9).into())];
        instance.get_func(&mut store, "few").unwrap().call(&mut store, &given, few).unwrap();
        format!("{results:?}")
    });
    assert_eq!(results[0], results[1]);
}

/// What is below, above and inside of a stub when something ends there.
#[test]
fn traps_exceptions_and_overflows_are_found_as_ever() {
    let text = r#"(module (memory 1) (tag $t (param i32))
        (func (export "trap") (param i32) (result i32) (call $trap2 (local.get 0)))
        (func $trap2 (param i32) (result i32) (call $trap3 (local.get 0)))
        (func $trap3 (param i32) (result i32) (return_call $trap4 (local.get 0)))
        (func $trap4 (param i32) (result i32) (i32.load (i32.shl (local.get 0) (i32.const 25))))
        (func (export "caught") (param i32) (result i32)
            (block $h (result i32) (try_table (catch $t $h) (drop (call $throw1 (local.get 0)))) (i32.const -1)))
        (func $throw1 (param i32) (result i32) (return_call $throw2 (local.get 0)))
        (func $throw2 (param i32) (result i32) (throw $t (i32.add (local.get 0) (i32.const 10))))
        (func (export "uncaught") (param i32) (result i32) (call $throw1 (local.get 0)))
        (func $deep (export "deep") (param i32) (result i32) (i32.add (call $deep2 (local.get 0)) (i32.const 1)))
        (func $deep2 (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1))))"#;
    let outcomes = [Engine::default(), lazy_engine()].map(|engine| {
        let (mut store, instance) = start(&engine, text);
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            assert_eq!(call(&mut store, instance, "caught", 5).unwrap(), 15);
            outcomes.extend(["trap", "uncaught", "deep"].map(|name| {
                let error = call(&mut store, instance, name, 5).unwrap_err();
                format!("{error:?}")
            }));
        }
        outcomes
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(outcomes[0][2].contains(&Trap::StackOverflow.to_string()), "{}", outcomes[0][2]);
}

#[test]
fn fuel_is_the_same() {
    let left = [false, true].map(|lazy| {
        let engine = Engine::new(Config::new().consume_fuel(true).lazy_compilation(lazy)).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(100_000).unwrap();
        let instance = Instance::new(&mut store, &Module::new(&engine, chain(50)).unwrap(), &[]).unwrap();
        call(&mut store, instance, "f", 500).unwrap();
        let left = store.get_fuel().unwrap();
        if lazy {
            let bomb = Instance::new(&mut store, &Module::new(&engine, with_a_bomb()).unwrap(), &[]).unwrap();
            call(&mut store, bomb, "g", 1).unwrap_err();
            assert!(store.get_fuel().unwrap() < left, "what was run before the error is paid for");
        }
        left
    });
    assert_eq!(left[0], left[1]);
}

/// A host function and a function of another module are called through stubs of the module that knows them.
#[test]
fn modules_and_the_host_call_each_other() {
    let engine = lazy_engine();
    let mut store = Store::new(&engine, ());
    let double = Func::wrap(&mut store, |value: i32| value * 2);
    let inner = r#"(module (import "" "host" (func $host (param i32) (result i32)))
        (func (export "f") (param i32) (result i32) (return_call $host (i32.add (local.get 0) (i32.const 1)))))"#;
    let inner = Instance::new(&mut store, &Module::new(&engine, inner).unwrap(), &[double.into()]).unwrap();
    let f = inner.get_func(&mut store, "f").unwrap();
    let outer = r#"(module (import "" "f" (func $f (param i32) (result i32))) (table (export "t") 2 funcref)
        (elem (i32.const 0) $f $g)
        (func $g (param i32) (result i32) (call $f (call $f (local.get 0))))
        (func (export "f") (param i32) (result i32)
            (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1))))"#;
    let outer = Instance::new(&mut store, &Module::new(&engine, outer).unwrap(), &[Extern::Func(f)]).unwrap();
    assert_eq!(call(&mut store, outer, "f", 3).unwrap(), 18);
    let table = outer.get_table(&mut store, "t").unwrap();
    assert!(table.get(&mut store, 1).is_some());
}

/// Warm instances keep the addresses of functions, which are those of stubs, whether there is code or not.
#[test]
fn pooled_instances_and_snapshots_of_lazy_modules() {
    let mut config = Config::new();
    config.lazy_compilation(true).allocation_strategy(InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, chain(100)).unwrap()).unwrap();
    for number in 0..100 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        assert_eq!(call(&mut store, instance, "f", number).unwrap(), number * (number + 1) / 2);
    }
}
