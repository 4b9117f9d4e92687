//! Guests that make garbage: how much room they need, and that nothing that they hold is lost.

use std::num::NonZeroU32;

use hotfoot::{
    AnyRef, Caller, Config, Engine, GcHeapOutOfMemory, InstanceAllocationStrategy, Linker, Module, Rooted, Store,
    StoreLimits, StoreLimitsBuilder, ThrownException, Val,
};

use super::{call, compile, instantiate};

/// Engines that collect when they must and at every third allocation, with and without signals.
fn engines() -> Vec<Engine> {
    let mut engines = Vec::new();
    for zeal in [None, NonZeroU32::new(3)] {
        for signals in [true, false] {
            let mut config = Config::new();
            config.gc_zeal_alloc_counter(zeal).unwrap().signals_based_traps(signals);
            config.wasm_gc(true).wasm_function_references(true);
            engines.push(Engine::new(&config).unwrap());
        }
    }
    engines
}

fn engine() -> Engine {
    Engine::new(Config::new().wasm_gc(true).wasm_function_references(true)).unwrap()
}

/// A store whose heap may take so many bytes.
fn limited(engine: &Engine, bytes: usize) -> Store<StoreLimits> {
    let mut store = Store::new(engine, StoreLimitsBuilder::new().memory_size(bytes).build());
    store.limiter(|limits| limits);
    store
}

/// Lists and trees, as `bench/src/objects.rs` times them.
const WORKLOADS: &str = r#"(module
    (type $node (struct (field $value i32) (field $next (ref null $node))))
    (type $tree (struct (field $left (ref null $tree)) (field $right (ref null $tree))))
    (func $sum (param $node (ref null $node)) (result i32)
        (local $sum i32)
        (block $done
            (loop $next
                (br_if $done (ref.is_null (local.get $node)))
                (local.set $sum (i32.add (local.get $sum) (struct.get $node $value (local.get $node))))
                (local.set $node (struct.get $node $next (local.get $node)))
                (br $next)))
        (local.get $sum))
    (func (export "lists") (param $count i32) (param $len i32) (result i32)
        (local $list (ref null $node)) (local $sum i32) (local $left i32)
        (loop $again
            (local.set $list (ref.null $node))
            (local.set $left (local.get $len))
            (loop $push
                (local.set $list (struct.new $node (local.get $left) (local.get $list)))
                (br_if $push (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (local.set $sum (i32.add (local.get $sum) (call $sum (local.get $list))))
            (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
        (local.get $sum))
    (func $grow (param $depth i32) (result (ref null $tree))
        (if (result (ref null $tree)) (local.get $depth)
            (then (struct.new $tree
                (call $grow (i32.sub (local.get $depth) (i32.const 1)))
                (call $grow (i32.sub (local.get $depth) (i32.const 1)))))
            (else (struct.new $tree (ref.null $tree) (ref.null $tree)))))
    (func $count (param $tree (ref null $tree)) (result i32)
        (if (result i32) (ref.is_null (local.get $tree))
            (then (i32.const 0))
            (else (i32.add (i32.const 1) (i32.add
                (call $count (struct.get $tree $left (local.get $tree)))
                (call $count (struct.get $tree $right (local.get $tree))))))))
    (func (export "trees") (param $count i32) (param $depth i32) (result i32)
        (local $stays (ref null $tree)) (local $sum i32)
        (local.set $stays (call $grow (local.get $depth)))
        (loop $again
            (local.set $sum (i32.add (local.get $sum) (call $count (call $grow (local.get $depth)))))
            (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
        (i32.add (local.get $sum) (call $count (local.get $stays)))))"#;

#[test]
fn millions_of_objects_pass_through_a_small_heap() {
    let mut store = limited(&engine(), 1 << 20);
    let instance = instantiate(&mut store, WORKLOADS, &[]);
    let sum = 1000 * 1001 / 2 * 3000;
    assert_eq!(call::<_, _, i32>(&mut store, instance, "lists", (3000, 1000)).unwrap(), sum);
    assert_eq!(call::<_, _, i32>(&mut store, instance, "trees", (300, 12)).unwrap(), 301 * 8191);
    assert!(store.gc_heap_capacity() <= 1 << 20);
}

#[test]
fn guests_see_what_they_made_wherever_it_is() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, WORKLOADS, &[]);
        assert_eq!(call::<_, _, i32>(&mut store, instance, "lists", (3, 200)).unwrap(), 3 * 200 * 201 / 2);
        assert_eq!(call::<_, _, i32>(&mut store, instance, "trees", (2, 8)).unwrap(), 3 * 511);
    }
}

#[test]
fn a_guest_that_fills_its_heap_gets_an_error_and_the_store_goes_on() {
    let mut store = limited(&engine(), 1 << 20);
    let instance = instantiate(&mut store, WORKLOADS, &[]);
    let fits = (1 << 19) / 16;
    for _ in 0..3 {
        assert!(call::<_, _, i32>(&mut store, instance, "lists", (1, fits)).is_ok());
        let error = call::<_, _, i32>(&mut store, instance, "lists", (1, fits + 1)).unwrap_err();
        assert!(error.is::<GcHeapOutOfMemory<()>>(), "{error:#}");
        assert!(call::<_, _, i32>(&mut store, instance, "lists", (9, 10)).is_ok());
    }
}

/// Structs in exceptions, arrays, tables, globals, results and host functions, with collections in between.
const HOLDERS: &str = r#"(module
    (type $box (struct (field $value (mut i32))))
    (type $boxes (array (mut (ref null $box))))
    (import "" "collect" (func $collect))
    (import "" "pass" (func $pass (param anyref externref) (result anyref externref)))
    (tag $t (param (ref null $box) i64))
    (global $global (mut (ref null $box)) (ref.null $box))
    (global $fixed (ref $box) (struct.new $box (i32.const 1000)))
    (table $table 4 (ref null $box))
    (table $filled 3 (ref $box) (struct.new $box (i32.const 3)))
    (elem $segment (ref null $box) (item (struct.new $box (i32.const 2000))) (item (global.get $fixed)))
    (func $new (param i32) (result (ref $box))
        (call $collect)
        (struct.new $box (local.get 0)))
    (func $get (param (ref null $box)) (result i32)
        (call $collect)
        (struct.get $box $value (local.get 0)))
    (func $two (param i32) (result (ref $box) i32 (ref $box) f64 (ref null $box))
        (call $new (local.get 0)) (local.get 0) (call $new (i32.add (local.get 0) (i32.const 1))) (f64.const 1)
        (ref.null $box))
    (func (export "exception") (param i32) (result i32)
        (local $kept (ref null $box))
        (local.set $kept (call $new (i32.const 5)))
        (block $h (result (ref null $box) i64 exnref)
            (try_table (catch_ref $t $h) (throw $t (call $new (local.get 0)) (i64.const 1)))
            (unreachable))
        (call $collect) (drop) (drop)
        (i32.add (call $get) (call $get (local.get $kept))))
    (func (export "throw") (param i32) (result i32) (throw $t (call $new (local.get 0)) (i64.const 2)))
    (func (export "array") (param $len i32) (result i32)
        (local $array (ref $boxes)) (local $copy (ref $boxes)) (local $sum i32)
        (local.set $array (array.new $boxes (ref.null $box) (local.get $len)))
        (loop $fill
            (local.set $len (i32.sub (local.get $len) (i32.const 1)))
            (array.set $boxes (local.get $array) (local.get $len) (call $new (local.get $len)))
            (br_if $fill (local.get $len)))
        (local.set $copy (array.new_default $boxes (array.len (local.get $array))))
        (array.copy $boxes $boxes (local.get $copy) (i32.const 0) (local.get $array) (i32.const 0) (array.len (local.get $array)))
        (call $collect)
        (loop $add
            (local.set $sum (i32.add (local.get $sum) (call $get (array.get $boxes (local.get $copy) (local.get $len)))))
            (local.set $len (i32.add (local.get $len) (i32.const 1)))
            (br_if $add (i32.lt_u (local.get $len) (array.len (local.get $array)))))
        (i32.add (local.get $sum)
            (call $get (array.get $boxes (array.new_fixed $boxes 3 (ref.null $box) (call $new (i32.const 7)) (ref.null $box)) (i32.const 1)))))
    (func (export "places") (param i32) (result i32)
        (global.set $global (call $new (local.get 0)))
        (table.set $table (i32.const 1) (global.get $global))
        (table.fill $table (i32.const 2) (call $new (i32.const 1)) (i32.const 2))
        (drop (table.grow $table (call $new (i32.const 2)) (i32.const 3)))
        (call $collect)
        (table.copy $table $table (i32.const 0) (i32.const 5) (i32.const 1))
        (struct.set $box $value (global.get $global) (i32.const 50))
        (i32.add (i32.add (call $get (table.get $table (i32.const 1))) (call $get (table.get $table (i32.const 3))))
            (call $get (table.get $table (i32.const 0)))))
    (func (export "constants") (result i32)
        (call $collect)
        (table.init $table $segment (i32.const 0) (i32.const 0) (i32.const 2))
        (call $collect)
        (if (i32.eqz (ref.eq (table.get $table (i32.const 1)) (global.get $fixed))) (then (unreachable)))
        (if (i32.eqz (ref.eq (table.get $filled (i32.const 0)) (table.get $filled (i32.const 2)))) (then (unreachable)))
        (if (i32.eqz (ref.eq (table.get $table (i32.const 0)) (array.get $boxes
            (array.new_elem $boxes $segment (i32.const 0) (i32.const 1)) (i32.const 0)))) (then (unreachable)))
        (i32.add (call $get (table.get $table (i32.const 0))) (call $get (global.get $fixed))))
    (func (export "results") (param i32) (result i32)
        (local $a (ref null $box)) (local $b (ref null $box))
        (call $two (local.get 0))
        (drop) (drop) (local.set $a) (drop) (local.set $b)
        (i32.sub (call $get (local.get $a)) (call $get (local.get $b))))
    (func (export "host") (param i32) (result i32)
        (local $box (ref $box))
        (local.set $box (call $new (local.get 0)))
        (call $pass (local.get $box) (extern.convert_any (call $new (i32.const 3))))
        (any.convert_extern) (ref.cast (ref $box)) (call $get)
        (call $collect) (drop)
        (ref.cast (ref $box)) (ref.eq (local.get $box))
        (i32.add (call $get (local.get $box))))
    (func (export "make") (param i32) (result anyref) (call $new (local.get 0))))"#;

/// A store with an instance of [`HOLDERS`] whose host collects whenever it is called.
fn holders(engine: &Engine) -> (Store<()>, hotfoot::Instance) {
    let mut linker = Linker::<()>::new(engine);
    linker.func_wrap("", "collect", |mut caller: Caller<'_, ()>| caller.gc(None)).unwrap();
    type Pair = (Option<Rooted<AnyRef>>, Option<Rooted<hotfoot::ExternRef>>);
    let pass = |mut caller: Caller<'_, ()>, a: Option<Rooted<AnyRef>>, b: Option<Rooted<hotfoot::ExternRef>>| {
        caller.gc(None)?;
        Ok::<Pair, hotfoot::Error>((a, b))
    };
    linker.func_wrap("", "pass", pass).unwrap();
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &compile(engine, HOLDERS)).unwrap();
    (store, instance)
}

#[test]
fn whatever_holds_an_object_keeps_it() {
    for engine in engines() {
        let (mut store, instance) = holders(&engine);
        let mut run = |name: &str, argument: i32| call::<_, _, i32>(&mut store, instance, name, argument).unwrap();
        assert_eq!(run("exception", 30), 35);
        assert_eq!(run("array", 20), 190 + 7);
        assert_eq!(run("places", 9), 50 + 1 + 2);
        assert_eq!(run("results", 9), 1);
        assert_eq!(run("host", 8), 9);
        assert_eq!(call::<_, (), i32>(&mut store, instance, "constants", ()).unwrap(), 3000);
        let made = call::<_, _, Option<Rooted<AnyRef>>>(&mut store, instance, "make", 77).unwrap().unwrap();
        store.gc(None).unwrap();
        assert_eq!(made.unwrap_struct(&store).unwrap().field(&mut store, 0).unwrap().i32(), Some(77));
    }
}

#[test]
fn exceptions_leave_the_guest_with_their_objects() {
    for engine in engines() {
        let (mut store, instance) = holders(&engine);
        let error = call::<_, _, i32>(&mut store, instance, "throw", 41).unwrap_err();
        for _ in 0..3 {
            store.gc(None).unwrap();
        }
        let exception = error.downcast_ref::<ThrownException>().unwrap();
        let fields: Vec<Val> = exception.fields(&mut store).unwrap().collect();
        let [Val::AnyRef(Some(held)), Val::I64(2)] = fields[..] else { panic!("{fields:?}") };
        assert_eq!(held.unwrap_struct(&store).unwrap().field(&mut store, 0).unwrap().i32(), Some(41));
    }
}

#[test]
fn pooled_stores_begin_without_objects() {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::pooling()).wasm_gc(true).wasm_function_references(true);
    let engine = Engine::new(&config).unwrap();
    let text = r#"(module
        (type $box (struct (field $value (mut i32))))
        (global $made (mut (ref null $box)) (ref.null $box))
        (global $small (mut anyref) (ref.i31 (i32.const 5)))
        (table $table 2 anyref)
        (func (export "run") (result i32)
            (local $small i32)
            (if (i32.eqz (ref.is_null (global.get $made))) (then (unreachable)))
            (if (i32.eqz (ref.is_null (table.get $table (i32.const 1)))) (then (unreachable)))
            (local.set $small (i31.get_s (ref.cast i31ref (global.get $small))))
            (global.set $small (ref.i31 (i32.const 6)))
            (global.set $made (struct.new $box (i32.const 7)))
            (table.set $table (i32.const 1) (global.get $made))
            (i32.add (local.get $small) (struct.get $box $value (global.get $made)))))"#;
    let with_constant = text
        .replace("(ref.null $box))", "(struct.new $box (i32.const 9)))")
        .replace("(i32.eqz (ref.is_null (global.get $made)))", "(i32.const 0)");
    for text in [text, &with_constant] {
        let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
        for _ in 0..20 {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            assert_eq!(call::<_, (), i32>(&mut store, instance, "run", ()).unwrap(), 12);
            store.gc(None).unwrap();
        }
    }
}

#[test]
fn snapshots_refuse_objects_by_name() {
    let (mut store, instance) = {
        let engine = engine();
        let mut store = Store::new(&engine, ());
        let text = r#"(module (type $box (struct (field i32)))
            (global (export "kept") (mut (ref null $box)) (ref.null $box))
            (func (export "set") (global.set 0 (struct.new $box (i32.const 1))))
            (func (export "clear") (global.set 0 (ref.null $box))))"#;
        let instance = instantiate(&mut store, text, &[]);
        (store, instance)
    };
    call::<_, (), ()>(&mut store, instance, "set", ()).unwrap();
    let error = instance.snapshot(&mut store).unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("\"kept\"") && message.contains("garbage-collected"), "{message}");
    call::<_, (), ()>(&mut store, instance, "clear", ()).unwrap();
    instance.snapshot(&mut store).unwrap();
}
