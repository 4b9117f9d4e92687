//! Panics of host functions: carried across compiled frames with their payload, and no harm to the store.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hotfoot::{Caller, Engine, Func, FuncType, Linker, Module, Store, Val};

use super::{call, compile, engines, instantiate};

/// What the panics of these tests carry: no string, so that it is clear that it is the same value.
#[derive(Debug, PartialEq)]
struct Payload(u64);

const RUN: &str = r#"(module (import "host" "f" (func $f)) (func (export "run") (call $f)))"#;

fn caught<R>(f: impl FnOnce() -> R) -> Payload {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("nothing panicked"),
        Err(payload) => *payload.downcast::<Payload>().expect("the payload is what was thrown"),
    }
}

#[test]
fn a_panic_crosses_compiled_frames_and_the_store_stays_usable() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, 0u64);
        let f = Func::wrap(&mut store, |mut caller: Caller<'_, u64>| {
            *caller.data_mut() += 1;
            if *caller.data() % 2 == 1 {
                panic_any(Payload(*caller.data()));
            }
        });
        let instance = instantiate(&mut store, RUN, &[f.into()]);
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        for turn in [1, 3, 5] {
            assert_eq!(caught(|| run.call(&mut store, ())), Payload(turn), "{kind}");
            run.call(&mut store, ()).unwrap();
        }
    }
}

#[test]
fn a_panic_crosses_several_stays_and_drops_what_the_host_holds() {
    let engine = Engine::default();
    let drops = Arc::new(AtomicU32::new(0));
    /// Counts when it goes.
    struct Guard(Arc<AtomicU32>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut linker: Linker<()> = Linker::new(&engine);
    let counter = drops.clone();
    linker
        .func_wrap("host", "down", move |mut caller: Caller<'_, ()>, depth: i32| {
            let _guard = Guard(counter.clone());
            if depth == 0 {
                panic_any(Payload(100));
            }
            let run = caller.get_export("run").and_then(|export| export.into_func()).unwrap();
            run.call(&mut caller, &[Val::I32(depth - 1)], &mut []).unwrap();
        })
        .unwrap();
    let module = compile(
        &engine,
        r#"(module (import "host" "down" (func $down (param i32)))
            (func $step (param i32) (call $down (local.get 0)))
            (func (export "run") (param i32) (call $step (local.get 0)))
            (func (export "fine") (result i32) (i32.const 3)))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    for round in 1..=3 {
        assert_eq!(caught(|| call::<_, i32, ()>(&mut store, instance, "run", 9)), Payload(100));
        assert_eq!(drops.load(Ordering::Relaxed), 10 * round);
        assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 3);
    }
}

#[test]
fn a_panic_can_be_caught_by_the_host_function_in_between() {
    let mut store = Store::new(&Engine::default(), ());
    let bad = Func::wrap(&mut store, || -> () { panic_any(Payload(5)) });
    let inner = instantiate(&mut store, RUN, &[bad.into()]).get_func(&mut store, "run").unwrap();
    let outer = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>| {
        assert_eq!(caught(|| inner.call(&mut caller, &[], &mut [])), Payload(5));
    });
    let instance = instantiate(&mut store, RUN, &[outer.into()]);
    call::<_, (), ()>(&mut store, instance, "run", ()).unwrap();
    call::<_, (), ()>(&mut store, instance, "run", ()).unwrap();
}

#[test]
fn a_panic_in_an_untyped_function_and_without_a_guest() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = FuncType::new(&engine, [], []);
    let f = Func::new(&mut store, ty, |_, _, _| panic_any(Payload(6)));
    assert_eq!(caught(|| f.call(&mut store, &[], &mut [])), Payload(6));
    let instance = instantiate(&mut store, RUN, &[f.into()]);
    assert_eq!(caught(|| call::<_, (), ()>(&mut store, instance, "run", ())), Payload(6));
}

#[test]
fn a_panic_in_a_start_function_leaves_a_usable_store() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let f = Func::wrap(&mut store, || -> () { panic_any(Payload(7)) });
    let module = Module::new(&engine, r#"(module (import "" "" (func $f)) (start $f) (memory 1))"#).unwrap();
    assert_eq!(caught(|| hotfoot::Instance::new(&mut store, &module, &[f.into()])), Payload(7));
    let g = Func::wrap(&mut store, || ());
    hotfoot::Instance::new(&mut store, &module, &[g.into()]).unwrap();
}

#[test]
fn a_panic_on_another_thread_stays_there() {
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("host", "f", || -> () { panic_any(Payload(8)) }).unwrap();
    let pre = linker.instantiate_pre(&compile(&engine, RUN)).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut store = Store::new(&engine, ());
                    let instance = pre.instantiate(&mut store).unwrap();
                    caught(|| call::<_, (), ()>(&mut store, instance, "run", ()))
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Payload(8));
        }
    });
}

#[test]
fn a_panic_with_words_keeps_them() {
    let mut store = Store::new(&Engine::default(), 1);
    let f = Func::wrap(&mut store, |mut caller: Caller<'_, u32>| -> () {
        *caller.data_mut() += 11;
        panic!("number {}", caller.data());
    });
    let instance = instantiate(&mut store, RUN, &[f.into()]);
    let payload = catch_unwind(AssertUnwindSafe(|| call::<_, (), ()>(&mut store, instance, "run", ()))).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "number 12");
}
