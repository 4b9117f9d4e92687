//! Guests that are stopped by signal, at any instruction: in functions, trampolines, the host, builtins, the handler of
//! write faults, and on the way of exceptions.
//!
//! `HOTFOOT_INTERRUPTS=1000000` makes the stress test as long as that many interrupts take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hotfoot::{
    Caller, Config, Engine, Func, GuestProfiler, Instance, InstanceAllocationStrategy, InterruptHandle, Linker,
    MemoryType, Module, SharedMemory, Store, ThrownException, Trap, Val, WasmBacktrace,
};

/// What the guests of the stress test do, each for longer than any test waits: `(export, what it crosses)`.
const ENDLESS: [&str; 9] = ["spin", "calls", "tails", "host", "nested", "throws", "traps", "writes", "fills"];

const TEXT: &str = r#"(module
    (import "" "tag" (tag $t (param i32)))
    (import "" "add" (func $add (param i32 i32) (result i32)))
    (import "" "throw" (func $host_throw (param i32)))
    (import "" "nest" (func $nest (param i32) (result i32)))
    (import "" "trap" (func $host_trap))
    (memory (export "memory") 512)
    (table funcref (elem $inc $dec))
    (type $unary (func (param i32) (result i32)))
    (global $bound i32 (i32.const 2000000000))
    (func $inc (export "inc") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func $dec (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
    (func (export "spin") (result i32) (local i32)
        (loop $l (br_if $l (i32.lt_u (local.tee 0 (call $inc (local.get 0))) (global.get $bound))))
        (local.get 0))
    (func (export "calls") (result i32) (local i32)
        (loop $l
            (local.set 0 (call_indirect (type $unary) (local.get 0) (i32.and (local.get 0) (i32.const 1))))
            (local.set 0 (i32.add (local.get 0) (i32.const 2)))
            (br_if $l (i32.lt_u (local.get 0) (global.get $bound))))
        (local.get 0))
    (func $tail (param i32 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (return_call $tail2 (i32.sub (local.get 0) (i32.const 1))))
    (func $tail2 (param i32) (result i32)
        (return_call $tail (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
            (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)))
    (func (export "tails") (result i32) (call $tail (global.get $bound) (i64.const 1) (i64.const 2) (i64.const 3)
        (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)))
    (func (export "host") (result i32) (local i32)
        (loop $l (br_if $l (i32.lt_u (local.tee 0 (call $add (local.get 0) (i32.const 1))) (global.get $bound))))
        (local.get 0))
    (func (export "nested") (result i32) (local i32)
        (loop $l (br_if $l (i32.lt_u (local.tee 0 (call $nest (local.get 0))) (global.get $bound))))
        (local.get 0))
    (func $throw (param i32) (throw $t (local.get 0)))
    (func (export "throws") (result i32) (local i32)
        (loop $l
            (local.set 0 (i32.add (i32.const 1) (block $h (result i32)
                (try_table (catch $t $h)
                    (if (i32.and (local.get 0) (i32.const 1))
                        (then (call $throw (local.get 0))) (else (call $host_throw (local.get 0)))))
                (unreachable))))
            (br_if $l (i32.lt_u (local.get 0) (global.get $bound))))
        (local.get 0))
    (func (export "trap") (param i32) (result i32) (i32.load (i32.shl (local.get 0) (i32.const 25))))
    (func (export "deep") (result i32) (call $deep))
    (func $deep (result i32) (i32.add (call $deep) (i32.const 1)))
    (func (export "traps") (result i32) (local i32)
        (loop $l (call $host_trap)
            (br_if $l (i32.lt_u (local.tee 0 (call $inc (local.get 0))) (global.get $bound))))
        (local.get 0))
    (func (export "writes") (result i32) (local i32)
        (loop $l
            (i32.store (i32.and (i32.mul (local.get 0) (i32.const 4099)) (i32.const 0x1fffff0)) (local.get 0))
            (br_if $l (i32.lt_u (local.tee 0 (call $inc (local.get 0))) (global.get $bound))))
        (local.get 0))
    (func (export "fills") (result i32) (local i32)
        (loop $l
            (memory.fill (i32.const 100) (local.get 0) (i32.const 1000000))
            (memory.copy (i32.const 50) (i32.const 100) (i32.const 1000000))
            (br_if $l (i32.lt_u (local.tee 0 (call $inc (local.get 0))) (global.get $bound))))
        (local.get 0)))"#;

/// What host functions of the stress test work with.
#[derive(Default)]
struct Host {
    inc: Option<Func>,
    trap: Option<Func>,
    deep: Option<Func>,
    count: u64,
}

fn linker(engine: &Engine, store: &mut Store<Host>) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    let ty = hotfoot::FuncType::new(engine, [hotfoot::ValType::I32], []);
    let tag = hotfoot::Tag::new(&mut *store, &hotfoot::TagType::new(ty)).unwrap();
    linker.define(&*store, "", "tag", tag).unwrap();
    linker.func_wrap("", "add", |a: i32, b: i32| a + b).unwrap();
    linker
        .func_wrap("", "throw", move |mut caller: Caller<'_, Host>, value: i32| -> hotfoot::Result<()> {
            Err(ThrownException::new(&mut caller, &tag, &[Val::I32(value)])?.into())
        })
        .unwrap();
    linker
        .func_wrap("", "nest", |mut caller: Caller<'_, Host>, value: i32| -> hotfoot::Result<i32> {
            let inc = caller.data().inc.unwrap();
            let mut results = [Val::I32(0)];
            inc.call(&mut caller, &[Val::I32(value)], &mut results)?;
            Ok(results[0].unwrap_i32())
        })
        .unwrap();
    // A guest that traps or overflows its stack below the host, which goes on unless it was the interrupt.
    linker
        .func_wrap("", "trap", |mut caller: Caller<'_, Host>| -> hotfoot::Result<()> {
            caller.data_mut().count += 1;
            let host = caller.data();
            let (func, params) = if host.count.is_multiple_of(16) {
                (host.deep.unwrap(), vec![])
            } else {
                (host.trap.unwrap(), vec![Val::I32(5 + (host.count % 7) as i32)])
            };
            let error = func.call(&mut caller, &params, &mut [Val::I32(0)]).unwrap_err();
            match error.downcast_ref::<Trap>() {
                Some(Trap::Interrupt) => Err(error),
                Some(Trap::MemoryOutOfBounds | Trap::StackOverflow) => Ok(()),
                other => panic!("{other:?}: {error:?}"),
            }
        })
        .unwrap();
    linker
}

fn instance(engine: &Engine, module: &Module, store: &mut Store<Host>) -> Instance {
    let instance = linker(engine, store).instantiate(&mut *store, module).unwrap();
    for (name, set) in [
        ("inc", (|host: &mut Host, func| host.inc = func) as fn(&mut Host, Option<Func>)),
        ("trap", |host, func| host.trap = func),
        ("deep", |host, func| host.deep = func),
    ] {
        let func = instance.get_func(&mut *store, name);
        set(store.data_mut(), func);
    }
    instance
}

/// The next of a sequence of numbers that look random.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn is_interrupt(error: &hotfoot::Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::Interrupt)
}

/// Interrupts a thread's guests, each after a random time, and hears of each guest that has begun.
fn interrupter(handle: InterruptHandle, mut seed: u64) -> (mpsc::Sender<()>, std::thread::JoinHandle<u64>) {
    let (begun, begins) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let mut count = 0;
        while begins.recv().is_ok() {
            let until = Instant::now() + Duration::from_nanos(next(&mut seed) % 60_000);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            handle.interrupt();
            count += 1;
        }
        count
    });
    (begun, thread)
}

/// No crash, no interrupt without effect, and a store that works afterwards. Meanwhile a profiler looks where the guests
/// are, by a signal of its own, which must disturb nothing, and see stacks that lead to what was called.
#[test]
fn interrupts_at_random_moments_stop_guests_wherever_they_are() {
    let total = std::env::var("HOTFOOT_INTERRUPTS").map_or(2_000, |value| value.parse().unwrap());
    let stack = 64 << 10;
    let engine = Engine::new(Config::new().max_wasm_stack(stack)).unwrap();
    let metered = Engine::new(Config::new().max_wasm_stack(stack).consume_fuel(true)).unwrap();
    let explicit = Engine::new(Config::new().max_wasm_stack(stack).signals_based_traps(false)).unwrap();
    let lazy = Engine::new(Config::new().max_wasm_stack(stack).lazy_compilation(true)).unwrap();
    let modules = [&engine, &metered, &explicit].map(|engine| (engine, Module::new(engine, TEXT).unwrap()));
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let (rounds, per_store) = (total / 100, 100);
    let (mut seen, mut astray) = (0, 0);
    for round in 0..rounds {
        // Of the lazy engine, each round has a module of its own, so that some functions are always being compiled.
        let (engine, module) = match modules.get(round % (modules.len() + 1)) {
            Some((engine, module)) => (*engine, module),
            None => (&lazy, &Module::new(&lazy, TEXT).unwrap()),
        };
        let mut store = Store::new(engine, Host::default());
        if store.get_fuel().is_ok() {
            store.set_fuel(u64::MAX).unwrap();
        }
        let instance = instance(engine, module, &mut store);
        let modules = [("stress".to_owned(), module.clone())];
        let mut profiler = GuestProfiler::new(engine, "stress", Duration::from_micros(50), modules).unwrap();
        profiler.attach(&mut store).unwrap();
        let (begun, thread) = interrupter(store.interrupt_handle().unwrap(), next(&mut seed));
        for _ in 0..per_store {
            let name = ENDLESS[next(&mut seed) as usize % ENDLESS.len()];
            let endless = instance.get_typed_func::<(), i32>(&mut store, name).unwrap();
            begun.send(()).unwrap();
            match endless.call(&mut store, ()) {
                Ok(value) => panic!("the interrupt of `{name}` was lost: it returned {value}"),
                Err(error) => assert!(is_interrupt(&error), "{name}: {error:?}"),
            }
            let inc = instance.get_typed_func::<i32, i32>(&mut store, "inc").unwrap();
            assert_eq!(inc.call(&mut store, 4).unwrap(), 5);
        }
        drop(begun);
        assert_eq!(thread.join().unwrap(), per_store);
        for (frames, count) in profiler.stacks() {
            seen += count;
            // Functions that only others call. Not those that are tail-called: who replaces its frame by another's has
            // none for some instructions.
            astray += if ["dec", "throw"].contains(&frames[0].name()) { count } else { 0 };
        }
    }
    assert!(seen > 0 && astray * 100 <= seen, "{astray} of {seen} samples ended too early");
}

/// The pages of a pooled memory are written for the first time, which faults, while interrupts arrive.
#[test]
fn interrupts_and_write_faults_do_not_disturb_each_other() {
    let pooling = InstanceAllocationStrategy::pooling();
    let engine = Engine::new(Config::new().allocation_strategy(pooling)).unwrap();
    let text = r#"(module (memory (export "memory") 64)
        (func (export "writes") (local i32)
            (loop $l
                (i32.store (i32.and (i32.mul (local.get 0) (i32.const 4099)) (i32.const 0x3ffff0)) (i32.const 1))
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br $l))))"#;
    let pre = Linker::<()>::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let mut seed = 77;
    for _ in 0..200 {
        let mut store = Store::new(&engine, ());
        let handle = store.interrupt_handle().unwrap();
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert!(memory.data(&store).iter().all(|byte| *byte == 0), "reset equals fresh, after an interrupt too");
        let writes = instance.get_typed_func::<(), ()>(&mut store, "writes").unwrap();
        let (begun, thread) = interrupter(handle, next(&mut seed));
        begun.send(()).unwrap();
        assert!(is_interrupt(&writes.call(&mut store, ()).unwrap_err()));
        drop(begun);
        thread.join().unwrap();
    }
}

fn simple(text: &str) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, text).unwrap(), &[]).unwrap();
    (store, instance)
}

const SPIN: &str = r#"(module
    (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func $middle (param i32) (result i32) (call $leaf (local.get 0)))
    (func (export "spin") (local i32) (loop $l (local.set 0 (call $middle (local.get 0))) (br $l)))
    (func (export "short") (result i32) (call $middle (i32.const 1))))"#;

#[test]
fn a_request_stops_the_next_guest_if_none_runs_and_only_that() {
    let (mut store, instance) = simple(SPIN);
    let handle = store.interrupt_handle().unwrap();
    let short = instance.get_typed_func::<(), i32>(&mut store, "short").unwrap();
    for _ in 0..3 {
        handle.interrupt();
        handle.interrupt();
        assert!(is_interrupt(&short.call(&mut store, ()).unwrap_err()));
        assert_eq!(short.call(&mut store, ()).unwrap(), 2);
    }
}

#[test]
fn a_timeout_stops_all_guests_until_there_is_another() {
    let (mut store, instance) = simple(SPIN);
    let spin = instance.get_typed_func::<(), ()>(&mut store, "spin").unwrap();
    let short = instance.get_typed_func::<(), i32>(&mut store, "short").unwrap();
    for _ in 0..3 {
        store.set_timeout(Duration::from_millis(5)).unwrap();
        assert!(is_interrupt(&spin.call(&mut store, ()).unwrap_err()));
        assert!(is_interrupt(&short.call(&mut store, ()).unwrap_err()));
        store.set_timeout(Duration::MAX).unwrap();
        assert_eq!(short.call(&mut store, ()).unwrap(), 2);
        store.set_timeout(Duration::ZERO).unwrap();
        assert!(is_interrupt(&spin.call(&mut store, ()).unwrap_err()));
        store.set_timeout(None).unwrap();
        assert_eq!(short.call(&mut store, ()).unwrap(), 2);
    }
}

/// The memory of a dropped store is used again, and its handle must not reach whoever uses it.
#[test]
fn a_handle_outlives_its_store_without_effect() {
    let engine = Engine::default();
    let module = Module::new(&engine, SPIN).unwrap();
    let mut handles = Vec::new();
    for _ in 0..100 {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        handles.iter().for_each(InterruptHandle::interrupt);
        let short = instance.get_typed_func::<(), i32>(&mut store, "short").unwrap();
        assert_eq!(short.call(&mut store, ()).unwrap(), 2);
        store.set_timeout(Duration::from_micros(1)).unwrap();
        handles.push(store.interrupt_handle().unwrap());
    }
}

/// A guest that does hardly anything but long operations of the runtime stops at the end of one: it was looked for only within
/// operations on more than a mebibyte, or never, and signals hardly ever found the guest between two.
#[test]
fn long_operations_end_with_a_look_at_requests() {
    let operations = [
        "(memory.fill $m (i32.const 100) (i32.const 7) (i32.const 1000000))",
        "(memory.copy $m $m (i32.const 50) (i32.const 100) (i32.const 1000000))",
        "(memory.init $m $d (i32.const 0) (i32.const 0) (i32.const 500000))",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 1000000))",
        "(table.copy (i32.const 0) (i32.const 100) (i32.const 900000))",
        "(table.init $e (i32.const 0) (i32.const 0) (i32.const 20000))",
        "(array.fill $a (local.get $array) (i32.const 0) (i32.const 7) (i32.const 1000000))",
        "(array.copy $a $a (local.get $array) (i32.const 0) (local.get $array) (i32.const 9) (i32.const 900000))",
        "(array.init_data $a $d (local.get $array) (i32.const 0) (i32.const 0) (i32.const 500000))",
    ];
    let engine = Engine::new(Config::new().wasm_threads(true)).unwrap();
    let counter = SharedMemory::new(&engine, MemoryType::shared(1, 1)).unwrap();
    let count = || {
        let mut bytes = [0; 4];
        counter.read(0, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    };
    for operation in operations {
        let (data, elements) = ("x".repeat(500_000), "$run ".repeat(20_000));
        let text = format!(
            r#"(module (type $a (array (mut i8)))
                (import "" "counter" (memory $counter 1 1 shared)) (memory $m 32) (table 1000000 funcref)
                (data $d "{data}") (elem $e func {elements})
                (func $run (export "run") (local $array (ref null $a))
                    (local.set $array (array.new_default $a (i32.const 1000000)))
                    (loop $l {operation} (drop (i32.atomic.rmw.add $counter (i32.const 0) (i32.const 1))) (br $l))))"#
        );
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, text).unwrap();
        let instance = Instance::new(&mut store, &module, &[counter.clone().into()]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let handle = store.interrupt_handle().unwrap();
        let begun = count();
        let requested = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                while count() == begun {
                    std::thread::yield_now();
                }
                handle.interrupt();
                count()
            });
            assert!(is_interrupt(&run.call(&mut store, ()).unwrap_err()), "{operation}");
            thread.join().unwrap()
        });
        let more = count() - requested;
        assert!(more <= 2, "{operation}: done {more} times more");
    }
}

/// A backtrace names every frame even where the signal found a function without a frame of its own.
#[test]
fn a_backtrace_misses_no_caller() {
    for lazy in [false, true] {
        let engine = Engine::new(Config::new().lazy_compilation(lazy)).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &Module::new(&engine, SPIN).unwrap(), &[]).unwrap();
        let handle = store.interrupt_handle().unwrap();
        let spin = instance.get_typed_func::<(), ()>(&mut store, "spin").unwrap();
        let (begun, thread) = interrupter(handle, 5);
        for _ in 0..500 {
            begun.send(()).unwrap();
            let error = spin.call(&mut store, ()).unwrap_err();
            // An interrupt that comes before the guest has begun finds no frame.
            let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { continue };
            let frames: Vec<u32> = backtrace.frames().iter().map(|frame| frame.func_index()).collect();
            assert!([&[0, 1, 2][..], &[1, 2], &[2]].contains(&&frames[..]), "{frames:?}");
        }
        drop(begun);
        thread.join().unwrap();
    }
}

/// A host function that asks can give up waiting, and one that does not is followed by the trap.
#[test]
fn a_host_function_hears_of_the_interrupt() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0);
    let (begun, thread) = interrupter(store.interrupt_handle().unwrap(), 6);
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("", "wait", move |mut caller: Caller<'_, u32>| {
            begun.send(()).unwrap();
            while !hotfoot::interrupted() {
                std::thread::yield_now();
            }
            *caller.data_mut() += 1;
        })
        .unwrap();
    linker.func_wrap("", "after", |mut caller: Caller<'_, u32>| *caller.data_mut() += 100).unwrap();
    let text = r#"(module (import "" "wait" (func $wait)) (import "" "after" (func $after))
        (func (export "f") (call $wait) (call $after)))"#;
    let instance = linker.instantiate(&mut store, &Module::new(&engine, text).unwrap()).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    assert!(is_interrupt(&f.call(&mut store, ()).unwrap_err()));
    assert_eq!(*store.data(), 1, "the host function came to its end, and the guest did not go on");
    drop((store, linker));
    thread.join().unwrap();
}

/// The handle is made in a host function, below guests that were entered unwatched.
#[test]
fn a_handle_made_while_the_guest_runs_stops_it() {
    let engine = Engine::default();
    let (sender, handles) = mpsc::channel::<InterruptHandle>();
    let mut store = Store::new(&engine, ());
    let give = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>| -> hotfoot::Result<()> {
        sender.send(caller.interrupt_handle()?)?;
        Ok(())
    });
    let text = r#"(module (import "" "" (func $give)) (func (export "f") (call $give) (loop (br 0))))"#;
    let module = Module::new(&engine, text).unwrap();
    let instance = Instance::new(&mut store, &module, &[give.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let thread = std::thread::spawn(move || {
        let handle = handles.recv().unwrap();
        std::thread::sleep(Duration::from_millis(2));
        handle.interrupt();
    });
    assert!(is_interrupt(&f.call(&mut store, ()).unwrap_err()));
    thread.join().unwrap();
}

/// A system call that blocks returns, and the guest stops.
#[test]
fn a_blocking_system_call_is_interrupted() {
    let engine = Engine::default();
    let (reader, _writer) = std::io::pipe().unwrap();
    let reader = Arc::new(std::sync::Mutex::new(reader));
    let mut store = Store::new(&engine, ());
    let read = Func::wrap(&mut store, move || {
        let outcome = std::io::Read::read(&mut *reader.lock().unwrap(), &mut [0]);
        assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    });
    let text = r#"(module (import "" "" (func $read)) (func (export "f") (loop (call $read) (br 0))))"#;
    let module = Module::new(&engine, text).unwrap();
    let instance = Instance::new(&mut store, &module, &[read.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    store.set_timeout(Duration::from_millis(5)).unwrap();
    assert!(is_interrupt(&f.call(&mut store, ()).unwrap_err()));
}

/// Filling 3 GiB takes a second or more; it must not have to end first. Pages that were not reached stay untouched.
#[test]
fn a_huge_fill_is_stopped_on_its_way() {
    let text = r#"(module (memory (export "memory") 49152)
        (func (export "fill") (loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x800000)) (br $l))))"#;
    let (mut store, instance) = simple(text);
    let fill = instance.get_typed_func::<(), ()>(&mut store, "fill").unwrap();
    store.set_timeout(Duration::from_millis(5)).unwrap();
    assert!(is_interrupt(&fill.call(&mut store, ()).unwrap_err()));
}

/// Two stores on one thread, one inside the other: each is stopped by its own handle, the outer one when it is its turn.
#[test]
fn an_interrupt_reaches_its_own_store_only() {
    let engine = Engine::default();
    let inner_calls = Arc::new(AtomicU64::new(0));
    let mut outer = Store::new(&engine, ());
    let outer_handle = outer.interrupt_handle().unwrap();
    let (calls, for_guest) = (inner_calls.clone(), engine.clone());
    let call_inner = Func::wrap(&mut outer, move || {
        let mut inner = Store::new(&for_guest, ());
        let module = Module::new(&for_guest, SPIN).unwrap();
        let instance = Instance::new(&mut inner, &module, &[]).unwrap();
        outer_handle.interrupt();
        let short = instance.get_typed_func::<(), i32>(&mut inner, "short").unwrap();
        assert_eq!(short.call(&mut inner, ()).unwrap(), 2);
        inner.set_timeout(Duration::from_millis(2)).unwrap();
        let spin = instance.get_typed_func::<(), ()>(&mut inner, "spin").unwrap();
        assert!(is_interrupt(&spin.call(&mut inner, ()).unwrap_err()));
        calls.fetch_add(1, Ordering::Relaxed);
    });
    let text = r#"(module (import "" "" (func $inner)) (func (export "f") (loop (call $inner) (br 0))))"#;
    let module = Module::new(&engine, text).unwrap();
    let instance = Instance::new(&mut outer, &module, &[call_inner.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut outer, "f").unwrap();
    assert!(is_interrupt(&f.call(&mut outer, ()).unwrap_err()));
    assert_eq!(inner_calls.load(Ordering::Relaxed), 1);
}

/// What can be interrupted is the same code as what cannot.
#[test]
fn code_does_not_change() {
    let engine = Engine::default();
    let module = Module::new(&engine, TEXT).unwrap();
    let before = module.serialize().unwrap();
    let mut store = Store::new(&engine, Host::default());
    store.set_timeout(Duration::from_secs(100)).unwrap();
    let instance = instance(&engine, &module, &mut store);
    let inc = instance.get_typed_func::<i32, i32>(&mut store, "inc").unwrap();
    assert_eq!(inc.call(&mut store, 1).unwrap(), 2);
    assert!(before == module.serialize().unwrap());
    assert!(before == engine.precompile_module(TEXT.as_bytes()).unwrap());
}
