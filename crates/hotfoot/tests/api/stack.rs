//! Stack overflow: a trap like any other, whatever recursed, on whatever thread.

use std::fmt::Write;

use hotfoot::{Caller, Config, Engine, Error, Extern, Func, Instance, Linker, Result, Store, Trap};

use super::{call, compile, engines, instantiate};

fn assert_overflow(what: &str, error: &Error) {
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow), "{what}: {error:?}");
}

/// A function whose frame holds so many vectors across a call.
fn with_locals(count: usize) -> String {
    let mut text = String::from(r#"(module (memory 1) (func $f (export "f")"#);
    let _ = writeln!(text, "(local {})", "v128 ".repeat(count));
    for local in 0..count {
        let _ = writeln!(text, "(local.set {local} (v128.load offset={} (i32.const 0)))", local % 65000);
    }
    text.push_str("(call $f)\n");
    for local in 0..count {
        let _ = writeln!(text, "(v128.store offset={} (i32.const 0) (local.get {local}))", local % 65000);
    }
    text.push_str(r#") (func (export "fine") (result i32) (i32.const 1)))"#);
    text
}

const RECURSIONS: &[(&str, &str)] = &[
    ("direct", r#"(func $f (export "f") (call $f) (call $f))"#),
    ("mutual", r#"(func $f (export "f") (call $g) (call $g)) (func $g (call $f) (call $f))"#),
    ("indirect", r#"(table funcref (elem $f)) (func $f (export "f") (call_indirect (i32.const 0)) (call $f))"#),
    (
        "with arguments",
        r#"(func $g (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 v128 v128) (result i64)
            (i64.add (i64.const 1) (call $g (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 0)
                (local.get 13) (local.get 12))))
        (func (export "f") (drop (call $g (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
            (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10) (i64.const 11)
            (v128.const i64x2 1 2) (v128.const i64x2 3 4))))"#,
    ),
    (
        "through a tail call",
        r#"(func $f (export "f") (call $g) (call $g)) (func $g (return_call $h)) (func $h (call $f) (call $f))"#,
    ),
];

#[test]
fn every_recursion_ends_in_a_trap() {
    for (kind, engine) in engines() {
        for (what, body) in RECURSIONS {
            let text = format!(r#"(module {body} (func (export "fine") (result i32) (i32.const 1)))"#);
            let mut store = Store::new(&engine, ());
            let instance = instantiate(&mut store, &text, &[]);
            for _ in 0..3 {
                let error = call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err();
                assert_overflow(&format!("{kind}: {what}"), &error);
                assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 1);
            }
        }
    }
}

#[test]
fn a_tail_recursion_does_not_overflow() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (func $f (export "f") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 5))))
                (return_call $f (i32.sub (local.get 0) (i32.const 1)))))"#,
            &[],
        );
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "f", 1_000_000).unwrap(), 5, "{kind}");
    }
}

#[test]
fn frames_of_thousands_of_locals_overflow_too() {
    for count in [100, 3000] {
        let text = with_locals(count);
        for (kind, engine) in &engines()[..2] {
            let mut store = Store::new(engine, ());
            let instance = instantiate(&mut store, &text, &[]);
            for _ in 0..2 {
                let error = call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err();
                assert_overflow(&format!("{kind}: {count} locals"), &error);
                assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 1);
            }
        }
    }
}

/// What one host function adds: recursion through the host is bounded like any other.
fn through_the_host(engine: &Engine) -> Error {
    let mut linker: Linker<u32> = Linker::new(engine);
    linker
        .func_wrap("host", "again", |mut caller: Caller<'_, u32>| -> Result<()> {
            *caller.data_mut() += 1;
            let Some(Extern::Func(run)) = caller.get_export("run") else { panic!("the guest exports `run`") };
            run.call(&mut caller, &[], &mut [])
        })
        .unwrap();
    let text = r#"(module (import "host" "again" (func $again)) (func $run (export "run") (call $again) (call $again))
        (func (export "fine") (result i32) (i32.const 1)))"#;
    let mut store = Store::new(engine, 0);
    let instance = linker.instantiate(&mut store, &compile(engine, text)).unwrap();
    let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
    let first = std::mem::take(store.data_mut());
    assert!(first > 20, "{first}");
    assert!(call::<_, (), ()>(&mut store, instance, "run", ()).is_err());
    assert_eq!(*store.data(), first, "the allowance is the same each time");
    assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 1);
    error
}

#[test]
fn a_recursion_through_the_host_overflows() {
    for (kind, engine) in engines() {
        assert_overflow(kind, &through_the_host(&engine));
    }
}

/// Each store has its own limit, but they share the thread's stack.
#[test]
fn a_recursion_through_many_stores_overflows() {
    fn nest(engine: &Engine, module: &hotfoot::Module) -> Result<()> {
        let mut store = Store::new(engine, ());
        let (inner_engine, inner_module) = (engine.clone(), module.clone());
        let again = Func::wrap(&mut store, move || nest(&inner_engine, &inner_module));
        let instance = Instance::new(&mut store, module, &[again.into()])?;
        call::<_, (), ()>(&mut store, instance, "run", ())
    }
    for (kind, engine) in &engines()[..2] {
        let text = r#"(module (import "" "" (func $again)) (func (export "run") (call $again)))"#;
        assert_overflow(kind, &nest(engine, &compile(engine, text)).unwrap_err());
    }
}

#[test]
fn a_host_function_at_the_very_end_of_the_allowance_has_room() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0u32);
    let leaf = Func::wrap(&mut store, |mut caller: Caller<'_, u32>| {
        let room = [*caller.data() as u8; 64 << 10];
        *caller.data_mut() += 1 + u32::from(std::hint::black_box(&room)[99] == 77 && room[98] != 77);
    });
    let text = r#"(module (import "" "" (func $leaf)) (func $f (export "f") (call $leaf) (call $f) (call $f)))"#;
    let instance = instantiate(&mut store, text, &[leaf.into()]);
    assert_overflow("leaf", &call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err());
    assert!(*store.data() > 1000);
}

#[test]
fn threads_with_small_stacks_overflow_in_order() {
    for (kind, engine) in engines() {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let run = move || {
            assert_overflow(kind, &through_the_host(&engine));
            for (what, body) in RECURSIONS {
                let mut store = Store::new(&engine, ());
                let instance = instantiate(&mut store, &format!("(module {body})"), &[]);
                assert_overflow(what, &call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err());
            }
        };
        thread.spawn(run).unwrap().join().unwrap();
    }
}

#[test]
fn the_allowance_is_what_was_asked_for() {
    let depth = |bytes: usize| {
        let engine = Engine::new(Config::new().max_wasm_stack(bytes)).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (global $g (export "g") (mut i32) (i32.const 0))
                (func $f (export "f") (global.set $g (i32.add (global.get $g) (i32.const 1))) (call $f) (call $f)))"#,
            &[],
        );
        assert_overflow("depth", &call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err());
        instance.get_global(&mut store, "g").unwrap().get(&mut store).unwrap_i32()
    };
    let (small, large) = (depth(64 << 10), depth(512 << 10));
    assert!((6..=10).contains(&(large / small)), "{small} and {large} calls");
    assert!(depth(1) <= 1, "not even one call fits");
}
