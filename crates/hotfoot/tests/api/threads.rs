//! Shared memories, and threads that wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hotfoot::{
    Config, Engine, Extern, Instance, InstanceAllocationStrategy, Linker, Memory, MemoryType, Module, SharedMemory,
    Store, StoreLimitsBuilder, Trap, WaitResult,
};

use super::{Change, call, compile, instantiate};

/// Every way of checking accesses, with everything that memories can be.
pub fn engines() -> Vec<Engine> {
    let changes: [Change; 4] = [
        |config| config,
        |config| config.signals_based_traps(false),
        |config| config.memory_reservation(0).memory_guard_size(0),
        |config| config.memory_may_move(false),
    ];
    let engine = |change: &Change| Engine::new(change(Config::new().wasm_threads(true).wasm_custom_page_sizes(true)));
    changes.iter().map(|change| engine(change).unwrap()).collect()
}

fn engine() -> Engine {
    Engine::new(Config::new().wasm_threads(true)).unwrap()
}

fn shared(engine: &Engine, minimum: u32, maximum: u32) -> SharedMemory {
    SharedMemory::new(engine, MemoryType::shared(minimum, maximum)).unwrap()
}

pub fn trap_of<T: std::fmt::Debug>(result: hotfoot::Result<T>) -> Trap {
    *result.unwrap_err().downcast_ref::<Trap>().expect("it is a trap")
}

const WAITING: &str = r#"
    (func (export "wait32") (param i32 i32 i64) (result i32)
        (memory.atomic.wait32 offset=4 (local.get 0) (local.get 1) (local.get 2)))
    (func (export "wait64") (param i32 i64 i64) (result i32)
        (memory.atomic.wait64 offset=8 (local.get 0) (local.get 1) (local.get 2)))
    (func (export "notify") (param i32 i32) (result i32)
        (memory.atomic.notify offset=4 (local.get 0) (local.get 1)))"#;

#[test]
fn waiting_is_checked_and_ends() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, &format!("(module (memory 1 1 shared) {WAITING})"), &[]);
        let mut wait32 = |params: (i32, i32, i64)| call::<_, _, i32>(&mut store, instance, "wait32", params);
        assert_eq!(wait32((0, 1, -1)).unwrap(), 1, "another value");
        assert_eq!(wait32((0, 0, 0)).unwrap(), 2, "no time");
        assert_eq!(wait32((0, 0, 1_000_000)).unwrap(), 2, "a millisecond");
        assert_eq!(trap_of(wait32((2, 0, 0))), Trap::HeapMisaligned);
        assert_eq!(trap_of(wait32((65532, 0, 0))), Trap::MemoryOutOfBounds);
        assert_eq!(trap_of(wait32((-4, 0, 0))), Trap::MemoryOutOfBounds);
        let mut wait64 = |params: (i32, i64, i64)| call::<_, _, i32>(&mut store, instance, "wait64", params);
        assert_eq!(wait64((0, 1 << 40, -1)).unwrap(), 1);
        assert_eq!(wait64((65520, 0, 5)).unwrap(), 2);
        assert_eq!(trap_of(wait64((4, 0, 0))), Trap::HeapMisaligned);
        assert_eq!(trap_of(wait64((65528, 0, 0))), Trap::MemoryOutOfBounds);
        let mut notify = |params: (i32, i32)| call::<_, _, i32>(&mut store, instance, "notify", params);
        assert_eq!(notify((0, -1)).unwrap(), 0);
        assert_eq!(trap_of(notify((1, 0))), Trap::HeapMisaligned);
        assert_eq!(trap_of(notify((65532, 0))), Trap::MemoryOutOfBounds);

        let own = instantiate(&mut store, &format!("(module (memory 1 1) {WAITING})"), &[]);
        let wait = call::<_, _, i32>(&mut store, own, "wait32", (0, 0, -1i64));
        assert_eq!(trap_of(wait), Trap::AtomicWaitNonSharedMemory);
        assert_eq!(call::<_, _, i32>(&mut store, own, "notify", (0, 1)).unwrap(), 0);
        assert_eq!(trap_of(call::<_, _, i32>(&mut store, own, "notify", (65532, 1))), Trap::MemoryOutOfBounds);
    }
}

/// Threads of a test; each has a store and an instance with the memory.
fn on_threads(engine: &Engine, module: &Module, memory: &SharedMemory, count: usize, name: &str) -> Vec<i32> {
    thread::scope(|scope| {
        let run = |number: i32| {
            let mut store = Store::new(engine, ());
            let instance = Instance::new(&mut store, module, &[memory.clone().into()]).unwrap();
            call::<_, i32, i32>(&mut store, instance, name, number).unwrap()
        };
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number as i32))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A counter without atomics behind a mutex: 0 free, 1 taken, 2 taken and waited for.
#[test]
fn a_mutex_by_waiting_and_notifying() {
    let text = r#"(module (import "" "m" (memory 1 1 shared))
        (func $lock (local $seen i32)
            (if (i32.eqz (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 1))) (then (return)))
            (loop $again
                (if (i32.eqz (i32.atomic.rmw.xchg (i32.const 0) (i32.const 2))) (then (return)))
                (drop (memory.atomic.wait32 (i32.const 0) (i32.const 2) (i64.const -1)))
                (br $again)))
        (func $unlock
            (if (i32.eq (i32.atomic.rmw.xchg (i32.const 0) (i32.const 0)) (i32.const 2))
                (then (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))))
        (func (export "count") (param i32) (result i32) (local $n i32)
            (loop $again
                (call $lock)
                (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
                (i64.store (i32.const 1024) (i64.sub (i64.load (i32.const 1024)) (i64.const 3)))
                (call $unlock)
                (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))
            (local.get $n)))"#;
    for engine in engines() {
        let (module, memory) = (compile(&engine, text), shared(&engine, 1, 1));
        assert_eq!(on_threads(&engine, &module, &memory, 4, "count"), [5000; 4]);
        let mut results = [[0; 4], [0; 4], [0; 4]];
        memory.read(128, &mut results[0]).unwrap();
        memory.read(1024, &mut results[1]).unwrap();
        memory.read(1028, &mut results[2]).unwrap();
        assert_eq!(u32::from_le_bytes(results[0]), 20_000);
        let low = u64::from(u32::from_le_bytes(results[1])) | u64::from(u32::from_le_bytes(results[2])) << 32;
        assert_eq!(low as i64, -60_000);
    }
}

/// Counters of all widths side by side in one word: neighbours are left alone.
#[test]
fn counters_do_not_lose_each_other() {
    let text = r#"(module (import "" "m" (memory 1 1 shared))
        (func (export "count") (param $thread i32) (result i32) (local $n i32)
            (loop $again
                (drop (i32.atomic.rmw8.add_u (local.get $thread) (i32.const 1)))
                (drop (i32.atomic.rmw16.sub_u offset=8 (i32.shl (local.get $thread) (i32.const 1)) (i32.const 1)))
                (drop (i64.atomic.rmw32.add_u offset=32 (i32.const 4) (i64.const 1)))
                (drop (i64.atomic.rmw.add (i32.const 64) (i64.const 0x100000001)))
                (drop (i32.atomic.rmw8.xor_u offset=72 (i32.const 1) (i32.shl (i32.const 1) (local.get $thread))))
                (loop $exchange (br_if $exchange (i32.ne (local.get $n)
                    (i32.atomic.rmw.cmpxchg offset=80 (i32.shl (local.get $thread) (i32.const 2)) (local.get $n)
                        (i32.add (local.get $n) (i32.const 1))))))
                (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10001))))
            (i32.atomic.load offset=80 (i32.shl (local.get $thread) (i32.const 2)))))"#;
    let engine = engine();
    let (module, memory) = (compile(&engine, text), shared(&engine, 1, 1));
    assert_eq!(on_threads(&engine, &module, &memory, 4, "count"), [10_001; 4]);
    let word = |at| {
        let mut bytes = [0; 8];
        memory.read(at, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    assert_eq!(word(0), 0x1111_1111, "10001 modulo 256 in each of four bytes");
    assert_eq!(word(8), 0xd8ef_d8ef_d8ef_d8ef, "minus 10001 in each of four words");
    assert_eq!(word(32) >> 32, 40_004);
    assert_eq!(word(64), 40_004 * 0x1_0000_0001);
    assert_eq!(word(72), 0b1111 << 8, "each thread toggled its bit an odd number of times");
}

/// One thread writes numbers to a ring of sixteen, another reads them; both wait for each other.
#[test]
fn a_ring_buffer_keeps_its_order() {
    let text = r#"(module (import "" "m" (memory i64 1 1 shared))
        (func $wait_while (param $place i64) (param $value i32)
            (loop $again
                (if (i32.eq (i32.atomic.load (local.get $place)) (local.get $value)) (then
                    (drop (memory.atomic.wait32 (local.get $place) (local.get $value) (i64.const 1000000000)))
                    (br $again)))))
        (func $send (local $n i32)
            (loop $again
                (call $wait_while (i64.const 64) (i32.sub (local.get $n) (i32.const 16)))
                (i32.store offset=128
                    (i64.extend_i32_u (i32.shl (i32.and (local.get $n) (i32.const 15)) (i32.const 2)))
                    (i32.mul (local.get $n) (i32.const 7)))
                (i32.atomic.store (i64.const 0) (local.tee $n (i32.add (local.get $n) (i32.const 1))))
                (drop (memory.atomic.notify (i64.const 0) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 20000)))))
        (func $receive (result i32) (local $n i32)
            (loop $again (result i32)
                (call $wait_while (i64.const 0) (local.get $n))
                (if (i32.ne (i32.mul (local.get $n) (i32.const 7)) (i32.load offset=128
                        (i64.extend_i32_u (i32.shl (i32.and (local.get $n) (i32.const 15)) (i32.const 2)))))
                    (then (return (i32.const -1))))
                (i32.atomic.store (i64.const 64) (local.tee $n (i32.add (local.get $n) (i32.const 1))))
                (drop (memory.atomic.notify (i64.const 64) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 20000)))
                (local.get $n)))
        (func (export "run") (param $thread i32) (result i32)
            (if (result i32) (local.get $thread) (then (call $receive)) (else (call $send) (i32.const 0)))))"#;
    for engine in engines() {
        let ty = MemoryType::builder().memory64(true).shared(true).min(1).max(Some(1)).build().unwrap();
        let (module, memory) = (compile(&engine, text), SharedMemory::new(&engine, ty).unwrap());
        // Nothing was sent when sixteen less than nothing were received: the ring begins empty.
        assert_eq!(on_threads(&engine, &module, &memory, 2, "run"), [0, 20_000]);
    }
}

/// Threads that grow one memory get each size once, and what one got, all can use.
#[test]
fn growth_is_atomic_and_seen_by_all() {
    let text = r#"(module (import "" "m" (memory 1 200 shared))
        (func (export "grow") (param i32) (result i32) (local $old i32) (local $count i32)
            (loop $again
                (local.set $old (memory.grow (i32.const 1)))
                (if (i32.eq (local.get $old) (i32.const -1)) (then (return (local.get $count))))
                (if (i32.le_u (memory.size) (local.get $old)) (then (unreachable)))
                (drop (i32.atomic.rmw.add (i32.mul (local.get $old) (i32.const 65536)) (i32.const 1)))
                (i32.store8 offset=65535 (i32.mul (local.get $old) (i32.const 65536)) (i32.const 7))
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br $again)) (unreachable)))"#;
    for engine in engines() {
        let (module, memory) = (compile(&engine, text), shared(&engine, 1, 200));
        let before = memory.data().as_ptr();
        let grown = on_threads(&engine, &module, &memory, 4, "grow");
        assert_eq!(grown.iter().sum::<i32>(), 199);
        assert_eq!((memory.size(), memory.data_size(), memory.ty().minimum()), (200, 200 << 16, 1));
        assert_eq!(memory.data().as_ptr(), before, "a shared memory never moves");
        for page in 1..200 {
            let mut byte = [0; 1];
            memory.read(page << 16, &mut byte).unwrap();
            assert_eq!(byte, [1], "page {page} was given out once");
        }
        assert!(memory.grow(1).is_err());
        assert_eq!(memory.grow(0).unwrap(), 200);
    }
}

/// A waiting guest and the host wake each other.
#[test]
fn the_host_waits_and_notifies_too() {
    let engine = engine();
    let memory = shared(&engine, 1, 1);
    let module = compile(&engine, &format!(r#"(module (import "" "m" (memory 1 1 shared)) {WAITING})"#));
    thread::scope(|scope| {
        let guest = scope.spawn(|| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
            call::<_, _, i32>(&mut store, instance, "wait64", (8, 0i64, -1i64)).unwrap()
        });
        while memory.atomic_notify(16, 1).unwrap() == 0 {
            thread::yield_now();
        }
        assert_eq!(guest.join().unwrap(), 0);
        let host = scope.spawn(|| memory.atomic_wait32(4, 0, Some(Duration::from_secs(600))).unwrap());
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
        while call::<_, _, i32>(&mut store, instance, "notify", (0, 5)).unwrap() == 0 {
            thread::yield_now();
        }
        assert_eq!(host.join().unwrap(), WaitResult::Ok);
    });
    assert_eq!(memory.atomic_wait64(8, 1, None), Ok(WaitResult::Mismatch));
    assert_eq!(memory.atomic_wait32(8, 0, Some(Duration::ZERO)), Ok(WaitResult::TimedOut));
    assert_eq!(memory.atomic_wait32(3, 0, None), Err(Trap::HeapMisaligned));
    assert_eq!(memory.atomic_wait64(65536, 0, None), Err(Trap::MemoryOutOfBounds));
    assert_eq!(memory.atomic_notify(u64::MAX - 3, 1), Err(Trap::MemoryOutOfBounds));
}

/// A guest that waits for ever ends when it is interrupted, and the store goes on.
#[test]
fn waiting_is_interrupted() {
    let engine = engine();
    let memory = shared(&engine, 1, 1);
    let module = compile(&engine, &format!(r#"(module (import "" "m" (memory 1 1 shared)) {WAITING})"#));
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
    let handle = store.interrupt_handle().unwrap();
    for _ in 0..3 {
        let waited = thread::scope(|scope| {
            let guest = scope.spawn(|| call::<_, _, i32>(&mut store, instance, "wait32", (0, 0, -1i64)));
            handle.interrupt();
            guest.join().unwrap()
        });
        assert_eq!(trap_of(waited), Trap::Interrupt);
        assert_eq!(call::<_, _, i32>(&mut store, instance, "wait32", (0, 0, 1000i64)).unwrap(), 2);
    }
}

#[test]
fn bulk_operations_on_shared_memories() {
    let text = r#"(module (memory $s (export "s") 1 2 shared) (memory $o (export "o") 1)
        (data $d "0123456789") (data (memory $s) (i32.const 100) "active")
        (func (export "init") (param i32 i32 i32) (memory.init $s $d (local.get 0) (local.get 1) (local.get 2)))
        (func (export "fill") (param i32 i32 i32) (memory.fill $s (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy") (param i32 i32 i32) (memory.copy $s $s (local.get 0) (local.get 1) (local.get 2)))
        (func (export "out") (param i32 i32 i32) (memory.copy $o $s (local.get 0) (local.get 1) (local.get 2)))
        (func (export "in") (param i32 i32 i32) (memory.copy $s $o (local.get 0) (local.get 1) (local.get 2))))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, text, &[]);
        let memory = instance.get_shared_memory(&mut store, "s").unwrap();
        let own = instance.get_memory(&mut store, "o").unwrap();
        assert!(
            instance.get_memory(&mut store, "s").is_none() && instance.get_shared_memory(&mut store, "o").is_none()
        );
        let mut run = |name, params: (i32, i32, i32)| call::<_, _, ()>(&mut store, instance, name, params);
        run("init", (0, 2, 8)).unwrap();
        run("copy", (3, 0, 8)).unwrap();
        run("fill", (65530, i32::from(b'x'), 6)).unwrap();
        run("out", (65526, 65526, 10)).unwrap();
        run("in", (200, 65529, 5)).unwrap();
        for (name, params) in [
            ("init", (65530, 0, 7)),
            ("init", (0, 5, 6)),
            ("fill", (65530, 0, 7)),
            ("copy", (65530, 0, 7)),
            ("copy", (0, 65530, 7)),
            ("out", (0, 65530, 7)),
            ("in", (65530, 0, 7)),
        ] {
            assert_eq!(trap_of(run(name, params)), Trap::MemoryOutOfBounds, "{name}");
        }
        let mut bytes = [0; 11];
        memory.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"23423456789");
        memory.read(98, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0active\0\0\0");
        memory.read(199, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0xxxx\0\0\0\0\0");
        assert_eq!(&own.data(&store)[65526..], b"\0\0\0\0xxxxxx");
        assert!(memory.write(65530, &bytes).is_err() && memory.read(65530, &mut bytes).is_err());
    }
}

#[test]
fn imports_must_be_shared_as_they_say() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let (ours, theirs) = (shared(&engine, 1, 2), Memory::new(&mut store, MemoryType::new(1, Some(2))).unwrap());
    let mut import = |text: &str, value: Extern| {
        let module = compile(&engine, &format!(r#"(module (import "" "" (memory {text})))"#));
        Instance::new(&mut store, &module, &[value]).map(drop).map_err(|error| format!("{error:#}"))
    };
    import("1 2 shared", ours.clone().into()).unwrap();
    import("0 3 shared", ours.clone().into()).unwrap();
    let error = import("1 2", ours.clone().into()).unwrap_err();
    assert!(error.contains("expected (memory 1 2), found (memory 1 2 shared)"), "{error}");
    import("1 2 shared", theirs.into()).unwrap_err();
    import("2 2 shared", ours.clone().into()).unwrap_err();
    import("1 1 shared", ours.clone().into()).unwrap_err();
    ours.grow(1).unwrap();
    import("2 2 shared", ours.into()).unwrap();
}

/// A linker hands a shared memory to any number of stores, also of other engines, if their code can use it.
#[test]
fn linkers_share_memories_between_stores() {
    let engine = engine();
    let memory = shared(&engine, 1, 1);
    let module = compile(
        &engine,
        r#"(module (import "env" "memory" (memory 1 1 shared)) (export "memory" (memory 0))
            (func (export "add") (param i32) (result i32) (i32.atomic.rmw.add (i32.const 0) (local.get 0))))"#,
    );
    let mut linker = Linker::new(&engine);
    let first = Store::new(&engine, ());
    linker.define(&first, "env", "memory", memory.clone()).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    for number in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "add", 10).unwrap(), number * 10);
        let again = instance.get_export(&mut store, "memory").unwrap();
        assert_eq!(again.ty(&store).memory().unwrap().to_string(), "(memory 1 1 shared)");
        let again = again.into_shared_memory().unwrap();
        again.write(64, &[number as u8]).unwrap();
        let mut byte = [9; 1];
        memory.read(64, &mut byte).unwrap();
        assert_eq!(byte, [number as u8], "it is the same memory");
    }
    let twin = Engine::new(Config::new().wasm_threads(true)).unwrap();
    let text =
        r#"(module (import "" "" (memory 1 1 shared)) (func (export "get") (result i32) (i32.load (i32.const 0))))"#;
    let mut store = Store::new(&twin, ());
    let instance = instantiate(&mut store, text, &[memory.clone().into()]);
    assert_eq!(call::<_, (), i32>(&mut store, instance, "get", ()).unwrap(), 30);
    let other = Engine::new(Config::new().wasm_threads(true).memory_reservation(1 << 20)).unwrap();
    let refused = Instance::new(&mut Store::new(&other, ()), &compile(&other, text), &[memory.into()]).unwrap_err();
    assert!(format!("{refused:#}").contains("other memory settings"), "{refused:#}");
}

#[test]
fn what_cannot_be_is_refused() {
    let engine = engine();
    let refused = |ty| format!("{:#}", SharedMemory::new(&engine, ty).unwrap_err());
    assert!(refused(MemoryType::new(1, Some(2))).contains("not shared"));
    assert!(refused(MemoryType::shared(2, 1)).contains("lower its limits"));
    assert!(refused(MemoryType::shared(1, 65537)).contains("lower its limits"));
    let endless = MemoryType::builder().memory64(true).shared(true).max(Some(1 << 40)).build().unwrap();
    assert!(refused(endless).contains("address space"));
    let mut store = Store::new(&engine, ());
    let error = format!("{:#}", Memory::new(&mut store, MemoryType::shared(1, 1)).unwrap_err());
    assert!(error.contains("SharedMemory::new"), "{error}");

    let without = Engine::default();
    let error = format!("{:#}", SharedMemory::new(&without, MemoryType::shared(1, 1)).unwrap_err());
    assert!(error.contains("wasm_threads"), "{error}");
    for text in ["(module (memory 1 1 shared))", "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"] {
        let error = format!("{:#}", Module::new(&without, text).unwrap_err());
        assert!(error.contains("threads"), "{error}");
    }
}

/// The limits of the store whose guest grows a shared memory apply to it.
#[test]
fn a_guest_grows_within_its_stores_limits() {
    let engine = engine();
    let memory = shared(&engine, 1, 10);
    let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(3 << 16).build());
    store.limiter(|limits| limits);
    let text = r#"(module (import "" "" (memory 1 10 shared))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let instance = instantiate(&mut store, text, &[memory.clone().into()]);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 2).unwrap(), 1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1);
    assert_eq!(memory.grow(7).unwrap(), 3, "the host is its own limit");
    let text = "(module (memory 4 10 shared))";
    assert!(Instance::new(&mut store, &compile(&engine, text), &[]).is_err());
}

/// Instances with shared memories are never kept warm: other threads may still use the memory of the last one.
#[test]
fn shared_memories_are_not_pooled() {
    let mut config = Config::new();
    config.wasm_threads(true).allocation_strategy(InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config).unwrap();
    let module = compile(&engine, r#"(module (memory (export "m") 1 1 shared) (data (i32.const 0) "data"))"#);
    let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
    let mut kept = Vec::new();
    for number in 0..3u8 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.get_shared_memory(&mut store, "m").unwrap();
        let mut bytes = [0; 5];
        memory.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"data\0");
        memory.write(0, &[number; 5]).unwrap();
        let refused = format!("{:#}", instance.snapshot(&mut store).unwrap_err());
        assert!(refused.contains(r#"memory 0 "m" is shared"#), "{refused}");
        kept.push(memory);
    }
    assert_eq!(pre.idle_instances(), 0);
    for (number, memory) in kept.iter().enumerate() {
        let mut bytes = [9; 5];
        memory.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [number as u8; 5], "a memory outlives its store");
    }
}

/// Guests that share nothing but an engine use atomics without a shared memory, and see only their own.
#[test]
fn a_trap_in_one_thread_leaves_the_others_alone() {
    let engine = engine();
    let (module, memory) = (
        compile(
            &engine,
            r#"(module (import "" "m" (memory 1 1 shared))
                (func (export "run") (param i32) (result i32) (local $n i32)
                    (loop $again
                        (drop (i64.atomic.rmw.add (i32.const 0) (i64.const 1)))
                        (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
                    (i32.atomic.load (i32.mul (local.get 0) (i32.const 65536)))))"#,
        ),
        shared(&engine, 1, 1),
    );
    let traps = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let (engine, module, memory, traps) = (&engine, &module, &memory, &traps);
            scope.spawn(move || {
                let mut store = Store::new(engine, ());
                let instance = Instance::new(&mut store, module, &[memory.clone().into()]).unwrap();
                match call::<_, i32, i32>(&mut store, instance, "run", number) {
                    Ok(_) => assert_eq!(number, 0),
                    Err(error) => {
                        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
                        traps.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut count = [0; 8];
    memory.read(0, &mut count).unwrap();
    assert_eq!((u64::from_le_bytes(count), traps.into_inner()), (4000, 3));
}
