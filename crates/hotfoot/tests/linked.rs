//! Programs of several modules, pooled together: linked once, reset together, the same as fresh ones.

use hotfoot::{
    Caller, Config, Engine, Instance, InstanceAllocationStrategy, InstancePre, Linker, Module, Result, Store,
    StoreLimits, StoreLimitsBuilder, Val,
};

fn pooling() -> Engine {
    Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling())).unwrap()
}

const LIBRARY: &str = r#"(module
  (memory (export "memory") 2 4)
  (table (export "table") 16 32 funcref)
  (global (export "base") i32 (i32.const 4))
  (global $count (export "count") (mut i32) (i32.const 10))
  (tag (export "tag") (param i32))
  (data (i32.const 100) "library")
  (elem (i32.const 0) $one)
  (func $one (result i32) (i32.const 1))
  (func (export "bump") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count)))"#;

/// Fills the library's table and memory at an imported base, and changes everything of it.
const PROGRAM: &str = r#"(module
  (import "env" "memory" (memory 2))
  (import "env" "table" (table $t 16 funcref))
  (import "env" "base" (global $base i32))
  (import "env" "count" (global $count (mut i32)))
  (import "env" "bump" (func $bump (result i32)))
  (import "env" "tag" (tag $tag (param i32)))
  (import "host" "add" (func $add (param i32 i32) (result i32)))
  (type $get (func (result i32)))
  (memory $own 1)
  (table $u 2 funcref)
  (elem declare func $bump)
  (elem (table $t) (offset (global.get $base)) func $two $three)
  (data (offset (global.get $base)) "program")
  (func $two (result i32) (i32.const 2))
  (func $three (result i32) (i32.const 3))
  (func (export "work") (result i32)
    (local $sum i32)
    (local.set $sum (call_indirect $t (type $get) (i32.const 0)))
    (local.set $sum (call $add (local.get $sum) (call_indirect $t (type $get) (i32.const 5))))
    (local.set $sum (call $add (local.get $sum) (call $bump)))
    (local.set $sum (call $add (local.get $sum) (i32.load8_u (i32.const 4))))
    (local.set $sum (call $add (local.get $sum) (i32.load8_u (i32.const 100))))
    (local.set $sum (call $add (local.get $sum) (i32.load $own (i32.const 8))))
    (local.set $sum (call $add (local.get $sum) (memory.size)))
    (local.set $sum (call $add (local.get $sum) (table.size $t)))
    ;; And now spoil it.
    (i32.store (i32.const 4) (i32.const -1))
    (i32.store (i32.const 70000) (i32.const -1))
    (i32.store (i32.const 100) (i32.const -1))
    (i32.store $own (i32.const 8) (i32.const 77))
    (drop (memory.grow (i32.const 1)))
    (drop (table.grow $t (ref.func $two) (i32.const 3)))
    (table.set $t (i32.const 5) (ref.func $two))
    (table.set $u (i32.const 0) (ref.func $bump))
    (global.set $count (i32.add (global.get $count) (i32.const 100)))
    (local.get $sum))
  (func (export "throw") (throw $tag (i32.const 5))))"#;

fn program(engine: &Engine) -> InstancePre<()> {
    let mut linker: Linker<()> = Linker::new(engine);
    linker.func_wrap("host", "add", |a: i32, b: i32| a + b).unwrap();
    let library = linker.instantiate_pre(&Module::new(engine, LIBRARY).unwrap()).unwrap();
    linker.instance_pre("env", &library).unwrap();
    linker.instantiate_pre(&Module::new(engine, PROGRAM).unwrap()).unwrap()
}

fn work(store: &mut Store<()>, instance: &Instance) -> i32 {
    instance.get_typed_func::<(), i32>(&mut *store, "work").unwrap().call(store, ()).unwrap()
}

#[test]
fn a_linked_program_is_reset_as_a_whole() {
    let (pooled, on_demand) = (pooling(), Engine::default());
    let (pre, other) = (program(&pooled), program(&on_demand));
    let expected = {
        let mut store = Store::new(&on_demand, ());
        let instance = other.instantiate(&mut store).unwrap();
        work(&mut store, &instance)
    };
    assert_eq!(expected, 1 + 3 + 11 + i32::from(b'p') + i32::from(b'l') + 2 + 16);
    for round in 0..1100 {
        let mut store = Store::new(&pooled, ());
        // Other things of the store's, before and after.
        if round % 3 == 0 {
            hotfoot::Memory::new(&mut store, hotfoot::MemoryType::new(1, None)).unwrap();
        }
        let instances = [pre.instantiate(&mut store).unwrap(), pre.instantiate(&mut store).unwrap()];
        if round % 5 == 0 {
            let ty = hotfoot::TableType::new(hotfoot::RefType::FUNCREF, 3, None);
            hotfoot::Table::new(&mut store, ty, hotfoot::Ref::Func(None)).unwrap();
        }
        let count = if round % 2 == 0 { 2 } else { 1 };
        for instance in &instances[..count] {
            assert_eq!(work(&mut store, instance), expected, "round {round}");
        }
        if round % 7 == 0 {
            instances[0].reset(&mut store).unwrap();
            assert_eq!(work(&mut store, &instances[0]), expected, "reset in round {round}");
        }
        if round % 11 == 0 {
            let throw = instances[1].get_typed_func::<(), ()>(&mut store, "throw").unwrap();
            assert!(throw.call(&mut store, ()).is_err());
        }
    }
    assert_eq!(pre.idle_instances(), 2);
    let metrics = pooled.pool_metrics().unwrap();
    assert_eq!((metrics.core_instances, metrics.memories, metrics.tables), (4, 4, 4), "two programs of two modules");
    assert_eq!(metrics.idle_instances, 4);
    drop(pre);
    assert_eq!(pooled.pool_metrics().unwrap().core_instances, 0);
}

#[test]
fn a_snapshot_of_a_linked_program_takes_all_of_it() {
    let engine = pooling();
    let pre = program(&engine);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    work(&mut store, &instance);
    let second = work(&mut store, &instance);
    instance.reset(&mut store).unwrap();
    work(&mut store, &instance);
    let snapshot = instance.snapshot(&mut store).unwrap();
    drop((store, pre));
    for _ in 0..10 {
        let mut store = Store::new(&engine, ());
        let instance = snapshot.instantiate(&mut store).unwrap();
        assert_eq!(work(&mut store, &instance), second);
    }
    let error = Linker::new(&engine).instance_pre("x", &snapshot).unwrap_err().to_string();
    assert!(error.contains("snapshot"), "{error}");
}

/// Three modules in a diamond share what they both import, and are made in an order that works.
#[test]
fn what_several_modules_import_is_one_instance() {
    for engine in [pooling(), Engine::default()] {
        let mut linker: Linker<()> = Linker::new(&engine);
        let compile = |text: &str| Module::new(&engine, text).unwrap();
        let base = r#"(module (global $n (export "n") (mut i32) (i32.const 0))
            (func (export "next") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"#;
        let base = linker.instantiate_pre(&compile(base)).unwrap();
        linker.instance_pre("base", &base).unwrap();
        let side = r#"(module (import "base" "next" (func $next (result i32))) (export "next" (func $next)))"#;
        for name in ["left", "right"] {
            let side = linker.instantiate_pre(&compile(side)).unwrap();
            linker.instance_pre(name, &side).unwrap();
        }
        let top = r#"(module (import "left" "next" (func $left (result i32))) (import "right" "next" (func $right (result i32)))
            (func (export "run") (result i32) (i32.add (i32.mul (call $left) (i32.const 10)) (call $right))))"#;
        let pre = linker.instantiate_pre(&compile(top)).unwrap();
        for _ in 0..5 {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
            assert_eq!(run.call(&mut store, ()).unwrap(), 12);
        }
        assert_eq!(linker.iter(&mut Store::new(&engine, ())).count(), 0, "nothing of it is in a store");
        let wrong = compile(r#"(module (import "base" "next" (func (param i32))))"#);
        let error = linker.instantiate_pre(&wrong).unwrap_err().to_string();
        assert!(error.contains("incompatible import type for `base::next`"), "{error}");
        // A linker that has such definitions can also instantiate at once.
        let mut store = Store::new(&engine, ());
        linker.instantiate(&mut store, &compile(top)).unwrap();
    }
}

fn with_start(engine: &Engine, text: &str) -> (InstancePre<u32>, Module) {
    let mut linker: Linker<u32> = Linker::new(engine);
    linker.func_wrap("host", "count", |mut caller: Caller<'_, u32>| *caller.data_mut() += 1).unwrap();
    let module = Module::new(engine, text).unwrap();
    (linker.instantiate_pre(&module).unwrap(), module)
}

/// What a start function leaves is remembered if it called nobody: the loop would take seconds if it ran each time, but
/// what is asserted is the state.
#[test]
fn a_start_function_that_calls_no_host_is_remembered() {
    let engine = pooling();
    let (pre, _) = with_start(
        &engine,
        r#"(module (import "host" "count" (func $count)) (memory (export "m") 1 4) (global $g (export "g") (mut i32) (i32.const 0))
             (table $t (export "t") 1 8 funcref) (elem declare func $start)
             (func $start
               (loop $next (global.set $g (i32.add (global.get $g) (i32.const 1))) (br_if $next (i32.lt_u (global.get $g) (i32.const 2000000))))
               (i32.store (i32.const 5000) (global.get $g)) (drop (memory.grow (i32.const 1))) (i32.store (i32.const 70000) (i32.const 8))
               (table.set $t (i32.const 0) (ref.func $start)) (drop (table.grow $t (ref.func $start) (i32.const 2))))
             (start $start) (func (export "count") (call $count) (global.set $g (i32.const 3)) (i32.store (i32.const 70000) (i32.const 1))))"#,
    );
    for _ in 0..600 {
        let mut store = Store::new(&engine, 0);
        let instance = pre.instantiate(&mut store).unwrap();
        let global = instance.get_global(&mut store, "g").unwrap();
        assert!(matches!(global.get(&mut store), Val::I32(2_000_000)));
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!((memory.size(&store), memory.data(&store)[70000]), (2, 8));
        let table = instance.get_table(&mut store, "t").unwrap();
        assert!((0..3).all(|at| !table.get(&mut store, at).unwrap().is_null()));
        instance.get_typed_func::<(), ()>(&mut store, "count").unwrap().call(&mut store, ()).unwrap();
        assert_eq!(*store.data(), 1);
        instance.reset(&mut store).unwrap();
        assert!(matches!(global.get(&mut store), Val::I32(2_000_000)));
    }
}

/// A start function whose growth the limiter of its store refused saw something that other stores need not have.
#[test]
fn a_start_function_that_saw_a_limit_is_not_remembered() {
    let engine = pooling();
    let text = r#"(module (memory (export "m") 1 4) (func $start (drop (memory.grow (i32.const 1)))) (start $start))"#;
    let pre = Linker::<StoreLimits>::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let pages = |limits: StoreLimits| {
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let instance = pre.instantiate(&mut store).unwrap();
        instance.get_memory(&mut store, "m").unwrap().size(&store)
    };
    let small = || StoreLimitsBuilder::new().memory_size(1 << 16).build();
    for _ in 0..3 {
        assert_eq!(pages(small()), 1, "the first instance of all was limited");
        assert_eq!(pages(StoreLimits::default()), 2);
    }
    // And the other way round: what others remember does not make a limited store fail, which can do without.
    let engine = pooling();
    let pre = Linker::<StoreLimits>::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let pages = |limits: StoreLimits| {
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let instance = pre.instantiate(&mut store).unwrap();
        instance.get_memory(&mut store, "m").unwrap().size(&store)
    };
    for _ in 0..3 {
        assert_eq!(pages(StoreLimits::default()), 2);
        assert_eq!(pages(small()), 1);
    }
}

/// A start function that traps, or whose host function fails or panics, leaves nothing behind.
#[test]
fn a_start_function_that_fails_leaves_a_clean_slot() {
    let engine = pooling();
    let mut linker: Linker<u32> = Linker::new(&engine);
    linker
        .func_wrap("host", "maybe", |mut caller: Caller<'_, u32>| -> Result<()> {
            *caller.data_mut() += 1;
            match *caller.data() {
                11 => Err(hotfoot::Error::msg("not this time")),
                21 => panic!("on purpose"),
                _ => Ok(()),
            }
        })
        .unwrap();
    let text = r#"(module (import "host" "maybe" (func $maybe)) (memory (export "m") 1) (global $g (export "g") (mut i32) (i32.const 0))
        (func $start (global.set $g (i32.add (global.get $g) (i32.const 1))) (i32.store (i32.const 9) (i32.const 9))
          (call $maybe) (if (i32.load (i32.const 100)) (then unreachable))) (start $start))"#;
    let pre = linker.instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    for round in 0..60 {
        let mut store = Store::new(&engine, [0, 10, 20][round % 3]);
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pre.instantiate(&mut store)));
        match round % 3 {
            0 => {
                let instance = made.unwrap().unwrap();
                let global = instance.get_global(&mut store, "g").unwrap();
                assert!(matches!(global.get(&mut store), Val::I32(1)), "round {round}");
            }
            1 => assert!(made.unwrap().is_err()),
            _ => assert!(made.is_err()),
        }
    }
    assert!(pre.idle_instances() >= 1);
    drop((pre, linker));
    assert_eq!(engine.pool_metrics().unwrap().core_instances, 0);
}
