//! Pooled instances: what is kept, what is made fresh, and what it costs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hotfoot::{
    Caller, Config, Engine, Error, Func, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Result, Store, Val,
};

fn engine() -> Engine {
    Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling())).unwrap()
}

fn pre(engine: &Engine, wat: &str) -> InstancePre<()> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "fail", || -> Result<()> { Err(Error::msg("no")) }).unwrap();
    linker.func_wrap("host", "panic", || -> () { panic!("on purpose") }).unwrap();
    linker.func_wrap("host", "one", |x: i32| x + 1).unwrap();
    let module = Module::new(engine, wat).unwrap();
    linker.instantiate_pre(&module).unwrap()
}

const EVERYTHING: &str = r#"(module
  (import "host" "one" (func $one (param i32) (result i32)))
  (import "host" "fail" (func $fail))
  (import "host" "panic" (func $panic))
  (memory (export "memory") 4 10)
  (data (i32.const 16) "fresh")
  (data (i32.const 70000) "image")
  (data $passive "passive")
  (global $count (mut i32) (i32.const 7))
  (global $vector (mut v128) (v128.const i32x4 1 2 3 4))
  (table $t (export "table") 4 20 funcref)
  (elem (i32.const 1) $get)
  (elem $e func $get)
  (func $get (export "get") (result i32) (global.get $count))
  (func (export "seen") (result i32)
    ;; Sums all that can differ: memory, sizes, globals, table.
    (local $i i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.load8_u (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.mul (memory.size) (i32.const 65536)))))
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (global.get $count)))
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (table.size $t)))
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32x4.extract_lane 2 (global.get $vector))))
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (ref.is_null (table.get $t (i32.const 1)))))
    (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (ref.is_null (table.get $t (i32.const 2)))))
    (local.get $sum))
  (func (export "passive") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)) (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)))
  (func (export "spoil")
    (i32.store (i32.const 16) (call $one (i32.const 5)))
    (i64.store (i32.const 65532) (i64.const -1))
    (v128.store (i32.const 131064) (v128.const i64x2 -1 -1))
    (memory.fill (i32.const 200000) (i32.const 9) (i32.const 5000))
    (memory.copy (i32.const 100000) (i32.const 16) (i32.const 9000))
    (memory.init $passive (i32.const 250000) (i32.const 0) (i32.const 7))
    (data.drop $passive)
    (elem.drop $e)
    (drop (memory.grow (i32.const 3)))
    (i32.store (i32.const 300000) (i32.const 77))
    (global.set $count (i32.const 99))
    (global.set $vector (v128.const i32x4 9 9 9 9))
    (drop (table.grow $t (ref.func $get) (i32.const 5)))
    (table.set $t (i32.const 2) (ref.func $get))
    (table.set $t (i32.const 1) (ref.null func)))
  (func (export "fail") (call $fail))
  (func (export "panic") (call $panic))
  (func (export "trap") (i32.store (i32.const 500) (i32.const 1)) unreachable)
)"#;

fn call(store: &mut Store<()>, instance: &hotfoot::Instance, name: &str) -> Result<()> {
    instance.get_typed_func::<(), ()>(&mut *store, name)?.call(store, ())
}

fn seen(store: &mut Store<()>, instance: &hotfoot::Instance) -> i32 {
    instance.get_typed_func::<(), i32>(&mut *store, "seen").unwrap().call(store, ()).unwrap()
}

#[test]
fn a_used_instance_is_as_good_as_new() {
    let engine = engine();
    let pre = pre(&engine, EVERYTHING);
    let fresh = {
        let on_demand = Engine::default();
        let mut store = Store::new(&on_demand, ());
        let other = self::pre(&on_demand, EVERYTHING);
        let instance = other.instantiate(&mut store).unwrap();
        seen(&mut store, &instance)
    };
    for round in 0..1100 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        if round % 100 < 9 {
            assert_eq!(seen(&mut store, &instance), fresh, "round {round}");
        }
        call(&mut store, &instance, "passive").unwrap();
        match round % 9 {
            0 | 1 => call(&mut store, &instance, "spoil").unwrap(),
            2 => assert!(call(&mut store, &instance, "fail").is_err()),
            3 => {
                let panicked =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&mut store, &instance, "panic")));
                assert!(panicked.is_err());
            }
            4 => assert!(call(&mut store, &instance, "trap").is_err()),
            5 => {
                let memory = instance.get_memory(&mut store, "memory").unwrap();
                memory.write(&mut store, 65530, b"written by the host").unwrap();
            }
            6 if round > 500 => {
                let memory = instance.get_memory(&mut store, "memory").unwrap();
                memory.data_mut(&mut store)[..200_000].fill(3);
            }
            7 => {
                let memory = instance.get_memory(&mut store, "memory").unwrap();
                memory.grow(&mut store, 2).unwrap();
                let table = instance.get_table(&mut store, "table").unwrap();
                let func = Func::wrap(&mut store, || 3);
                table.set(&mut store, 3, func.into()).unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(pre.idle_instances(), 1);
}

#[test]
fn several_instances_of_one_store_go_home() {
    let engine = engine();
    let (a, b) = (pre(&engine, EVERYTHING), pre(&engine, EVERYTHING));
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        hotfoot::Memory::new(&mut store, hotfoot::MemoryType::new(1, None)).unwrap();
        let instances = [&a, &b, &a].map(|pre| pre.instantiate(&mut store).unwrap());
        hotfoot::Memory::new(&mut store, hotfoot::MemoryType::new(1, None)).unwrap();
        let values = instances.map(|instance| seen(&mut store, &instance));
        assert!(values.iter().all(|value| *value == values[0]));
        instances.iter().for_each(|instance| call(&mut store, instance, "spoil").unwrap());
    }
    assert_eq!((a.idle_instances(), b.idle_instances()), (2, 1));
    a.trim();
    assert_eq!(a.idle_instances(), 0);
}

#[test]
fn a_store_outlives_its_pre_and_its_engine() {
    let engine = engine();
    let pre = pre(&engine, EVERYTHING);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    drop(pre);
    drop(engine);
    call(&mut store, &instance, "spoil").unwrap();
    assert_eq!(instance.get_func(&mut store, "get").unwrap().ty(&store).results().len(), 1);
}

#[test]
fn stores_may_be_dropped_by_another_thread() {
    let engine = engine();
    let pre = pre(&engine, EVERYTHING);
    for _ in 0..50 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        call(&mut store, &instance, "spoil").unwrap();
        std::thread::spawn(move || drop(store)).join().unwrap();
    }
    assert_eq!(pre.idle_instances(), 1, "each went back to where it came from");
}

#[test]
fn the_pool_says_which_limit_is_reached() {
    let mut config = PoolingAllocationConfig::new();
    config.total_core_instances(2);
    let engine = Engine::new(Config::new().allocation_strategy(config)).unwrap();
    let pre = pre(&engine, "(module)");
    let mut store = Store::new(&engine, ());
    pre.instantiate(&mut store).unwrap();
    pre.instantiate(&mut store).unwrap();
    let error = pre.instantiate(&mut store).unwrap_err().to_string();
    assert!(error.contains("total_core_instances"), "{error}");
    drop(store);
    let mut store = Store::new(&engine, ());
    pre.instantiate(&mut store).unwrap();
    pre.instantiate(&mut store).unwrap();
}

#[test]
fn a_start_function_runs_for_each_instance() {
    let engine = engine();
    let module = Module::new(
        &engine,
        r#"(module (import "host" "count" (func $count)) (global $g (export "g") (mut i32) (i32.const 0))
             (func $start (global.set $g (i32.add (global.get $g) (i32.const 1))) (call $count)) (start $start))"#,
    )
    .unwrap();
    let mut linker: Linker<u32> = Linker::new(&engine);
    linker.func_wrap("host", "count", |mut caller: Caller<'_, u32>| *caller.data_mut() += 1).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    for _ in 0..5 {
        let mut store = Store::new(&engine, 0);
        let instance = pre.instantiate(&mut store).unwrap();
        assert_eq!(*store.data(), 1);
        let global = instance.get_global(&mut store, "g").unwrap();
        assert!(matches!(global.get(&mut store), Val::I32(1)));
    }
}

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: S11, everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: S11, by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: S11, by the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_instance_allocates_nothing_on_the_heap() {
    let engine = engine();
    let pre = pre(&engine, EVERYTHING);
    let run = || {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let get = instance.get_typed_func::<(), i32>(&mut store, "get").unwrap();
        assert_eq!(get.call(&mut store, ()).unwrap(), 7);
    };
    (0..10).for_each(|_| run());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| run());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

const COUNTER: &str = r#"(module
  (import "host" "one" (func $one (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (global $count (export "count") (mut i32) (i32.const 0))
  (global $func (export "func") (mut funcref) (ref.null func))
  (global $value (export "value") (mut externref) (ref.null extern))
  (table $t (export "table") 2 8 funcref)
  (data $d "passive")
  (elem declare func $one)
  (func $get (export "get") (result i32) (global.get $count))
  (func (export "work")
    (global.set $count (call $one (global.get $count)))
    (global.set $func (ref.func $get))
    (table.set $t (i32.const 0) (ref.func $get))
    (table.set $t (i32.const 1) (ref.func $one))
    (drop (table.grow $t (ref.func $get) (i32.const 3)))
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 70000) (i32.const 1234))
    (data.drop $d))
  (func (export "check") (result i32)
    (i32.add (i32.load (i32.const 70000))
      (i32.add (call_indirect $t (result i32) (i32.const 4))
        (call_indirect $t (param i32) (result i32) (i32.const 100) (i32.const 1)))))
  (func (export "init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))))"#;

fn value(store: &mut Store<()>, instance: &hotfoot::Instance, name: &str) -> i32 {
    instance.get_typed_func::<(), i32>(&mut *store, name).unwrap().call(store, ()).unwrap()
}

#[test]
fn a_snapshot_starts_where_the_instance_stood() {
    for engine in [engine(), Engine::default()] {
        let pre = pre(&engine, COUNTER);
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        call(&mut store, &instance, "work").unwrap();
        let snapshot = instance.snapshot(&mut store).unwrap();
        call(&mut store, &instance, "work").unwrap();
        drop(pre);
        for _ in 0..20 {
            let mut other = Store::new(&engine, ());
            let copy = snapshot.instantiate(&mut other).unwrap();
            assert_eq!(value(&mut other, &copy, "check"), 1234 + 1 + 101);
            assert_eq!(copy.get_memory(&mut other, "memory").unwrap().size(&other), 2);
            assert!(call(&mut other, &copy, "init").is_err(), "the segment was dropped");
            call(&mut other, &copy, "work").unwrap();
            assert_eq!(value(&mut other, &copy, "get"), 2, "its own functions, its own globals");
            copy.reset(&mut other).unwrap();
            assert_eq!(value(&mut other, &copy, "check"), 1234 + 1 + 101);
            let again = copy.snapshot(&mut other).unwrap();
            drop(other);
            let mut third = Store::new(&engine, ());
            let copy = again.instantiate(&mut third).unwrap();
            assert_eq!(value(&mut third, &copy, "check"), 1234 + 1 + 101);
        }
        assert_eq!(value(&mut store, &instance, "get"), 2);
    }
}

#[test]
fn what_a_snapshot_cannot_keep_is_named() {
    let engine = engine();
    let pre = pre(&engine, COUNTER);
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let refused = |store: &mut Store<()>| instance.snapshot(store).unwrap_err().to_string();

    let global = instance.get_global(&mut store, "value").unwrap();
    let host = hotfoot::ExternRef::new(&mut store, 5).unwrap();
    global.set(&mut store, Val::ExternRef(Some(host))).unwrap();
    let error = refused(&mut store);
    assert!(error.contains("global 2 \"value\" holds an externref"), "{error}");
    global.set(&mut store, Val::ExternRef(None)).unwrap();

    let table = instance.get_table(&mut store, "table").unwrap();
    let func = Func::wrap(&mut store, || 3);
    table.set(&mut store, 1, func.into()).unwrap();
    let error = refused(&mut store);
    assert!(
        error.contains("element 1 of table 0 \"table\" holds a function of another instance or of the host"),
        "{error}"
    );

    let module = Module::new(&engine, r#"(module (import "a" "m" (memory 1)))"#).unwrap();
    let memory = hotfoot::Memory::new(&mut store, hotfoot::MemoryType::new(1, None)).unwrap();
    let other = hotfoot::Instance::new(&mut store, &module, &[memory.into()]).unwrap();
    let error = other.snapshot(&mut store).unwrap_err().to_string();
    assert!(error.contains("`a::m`"), "{error}");
}

#[test]
fn a_running_guest_is_neither_captured_nor_reset() {
    let engine = engine();
    let mut linker: Linker<Option<hotfoot::Instance>> = Linker::new(&engine);
    linker
        .func_wrap("host", "look", |mut caller: Caller<'_, Option<hotfoot::Instance>>| -> Result<i32> {
            let instance = caller.data().unwrap();
            let snapshot = instance.snapshot(&mut caller).unwrap_err().to_string();
            let reset = instance.reset(&mut caller).unwrap_err().to_string();
            Ok(i32::from(snapshot.contains("on the stack") && reset.contains("on the stack")))
        })
        .unwrap();
    let text =
        r#"(module (import "host" "look" (func $look (result i32))) (func (export "run") (result i32) (call $look)))"#;
    let pre = linker.instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let mut store = Store::new(&engine, None);
    let instance = pre.instantiate(&mut store).unwrap();
    *store.data_mut() = Some(instance);
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 1);
    instance.reset(&mut store).unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 1);
}

/// A table that its own module cannot change is not copied at reset, unless someone else changed it: the host, or an
/// instance that imports it.
#[test]
fn a_table_that_others_change_is_reset_too() {
    let engine = engine();
    let pre = pre(
        &engine,
        r#"(module (table (export "table") 3 5 funcref) (elem (i32.const 0) $f) (func $f (export "f"))
             (func (export "grow") (drop (table.grow (ref.null func) (i32.const 1))))
             (func (export "fill") (table.fill (i32.const 0) (ref.null func) (i32.const 2))))"#,
    );
    let setter = r#"(module (import "a" "table" (table 3 funcref)) (func (export "set") (table.set (i32.const 2) (table.get (i32.const 0)))))"#;
    let setter = Module::new(&engine, setter).unwrap();
    for round in 0..20 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let table = instance.get_table(&mut store, "table").unwrap();
        let nulls: Vec<bool> = (0..table.size(&store)).map(|at| table.get(&mut store, at).unwrap().is_null()).collect();
        assert_eq!(nulls, [false, true, true], "round {round}");
        match round % 5 {
            0 => call(&mut store, &instance, "grow").unwrap(),
            1 => call(&mut store, &instance, "fill").unwrap(),
            2 => {
                let other = hotfoot::Instance::new(&mut store, &setter, &[table.into()]).unwrap();
                call(&mut store, &other, "set").unwrap();
            }
            3 => {
                let func = instance.get_func(&mut store, "f").unwrap();
                table.set(&mut store, 1, func.into()).unwrap();
            }
            _ => {}
        }
    }
}

/// A snapshot of an instance that grew once began in stores whose limits were below that size: the limiter was asked
/// about the sizes that the module declares.
#[test]
fn a_snapshot_obeys_the_limits_of_its_store() {
    let engine = engine();
    let text = r#"(module (memory 1) (table 1 funcref)
        (func (export "grow") (param i32 i32) (drop (memory.grow (local.get 0)))
          (drop (table.grow (ref.null func) (local.get 1)))))"#;
    let pre =
        Linker::<hotfoot::StoreLimits>::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let limits = || hotfoot::StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(5);
    let start = |pre: &InstancePre<hotfoot::StoreLimits>| {
        let mut store = Store::new(&engine, limits().build());
        store.limiter(|limits| limits);
        pre.instantiate(&mut store).map(drop)
    };
    for (pages, elements, fits) in [(2, 4, true), (3, 0, false), (0, 5, false)] {
        let mut store = Store::new(&engine, hotfoot::StoreLimits::default());
        let instance = pre.instantiate(&mut store).unwrap();
        let grow = instance.get_typed_func::<(i32, i32), ()>(&mut store, "grow").unwrap();
        grow.call(&mut store, (pages, elements)).unwrap();
        let snapshot = instance.snapshot(&mut store).unwrap();
        assert_eq!(start(&snapshot).is_ok(), fits, "before one is warm: {pages} {elements}");
        let mut unlimited = Store::new(&engine, hotfoot::StoreLimits::default());
        snapshot.instantiate(&mut unlimited).unwrap();
        drop(unlimited);
        assert_eq!(start(&snapshot).is_ok(), fits, "when one is warm: {pages} {elements}");
    }
}

const GROWS: &str = r#"(module
  (memory 1 9)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 255) (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "any") (result i64) (local $at i32) (local $any i64)
    (loop $next
      (local.set $any (i64.or (local.get $any) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (local.get $any)))"#;

/// What one instance grew its memory by is outside of the next one's, and zero if that grows, too; whether its pages stay
/// resident (and are cleared), are too many, or are given back as now and then.
#[test]
fn what_a_memory_grew_by_is_gone_and_zero_when_it_grows_again() {
    for keep_pages in [1000, 20, 0] {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(keep_pages << 12);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let pre = pre(&engine, GROWS);
        for round in 0..600u32 {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
            let fill = instance.get_typed_func::<(i32, i32), ()>(&mut store, "fill").unwrap();
            let load = instance.get_typed_func::<i32, i32>(&mut store, "load").unwrap();
            let any = instance.get_typed_func::<(), i64>(&mut store, "any").unwrap();
            assert!(load.call(&mut store, 65536).is_err(), "round {round}: nothing is there before it grows");
            let pages = round as i32 * 7 % 5;
            assert_eq!(grow.call(&mut store, pages).unwrap(), 1);
            let len = (1 + pages) << 16;
            assert!(load.call(&mut store, len).is_err(), "round {round}");
            assert_eq!(any.call(&mut store, ()).unwrap(), 0, "round {round}");
            let start = round as i32 * 7919 % len;
            fill.call(&mut store, (start, (len - start).min(60_000))).unwrap();
        }
        let resident = engine.pool_metrics().unwrap().idle_bytes_resident;
        assert!(resident <= (keep_pages << 12) + 8192, "{resident} bytes of {keep_pages} pages");
        assert!(keep_pages < 1000 || resident > 200_000, "{resident} bytes: grown pages stay");
    }
}
