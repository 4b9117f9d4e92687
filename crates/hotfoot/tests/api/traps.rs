//! Traps: each code that a guest can cause, wherever it causes it.

use hotfoot::{Engine, Func, Instance, Module, Store, Trap, WasmBacktrace};

use super::{call, compile, engines, instantiate};

/// What to do and how it must end. Memory 0 has one page, table 0 has one function of another type and one null.
const CAUSES: &[(&str, Trap)] = &[
    ("unreachable", Trap::UnreachableCodeReached),
    ("(drop (i32.div_s (i32.const 1) (call $zero)))", Trap::IntegerDivisionByZero),
    ("(drop (i32.div_u (i32.const 1) (call $zero)))", Trap::IntegerDivisionByZero),
    ("(drop (i32.rem_s (i32.const 1) (call $zero)))", Trap::IntegerDivisionByZero),
    ("(drop (i64.rem_u (i64.const 1) (i64.extend_i32_u (call $zero))))", Trap::IntegerDivisionByZero),
    ("(drop (i32.div_s (i32.const 0x80000000) (i32.sub (call $zero) (i32.const 1))))", Trap::IntegerOverflow),
    (
        "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.extend_i32_s (i32.sub (call $zero) (i32.const 1)))))",
        Trap::IntegerOverflow,
    ),
    ("(drop (i32.trunc_f32_s (f32.const nan)))", Trap::BadConversionToInteger),
    ("(drop (i64.trunc_f64_u (f64.const nan)))", Trap::BadConversionToInteger),
    ("(drop (i32.trunc_f64_u (f64.const 4294967296)))", Trap::IntegerOverflow),
    ("(drop (i32.trunc_f32_u (f32.const -1)))", Trap::IntegerOverflow),
    ("(drop (i64.trunc_f64_s (f64.const inf)))", Trap::IntegerOverflow),
    ("(drop (i32.load8_u (i32.const 65536)))", Trap::MemoryOutOfBounds),
    ("(drop (i32.load (i32.const 65533)))", Trap::MemoryOutOfBounds),
    ("(drop (i64.load (i32.const 65529)))", Trap::MemoryOutOfBounds),
    ("(drop (i32.load offset=0xffffffff (i32.const 0xffffffff)))", Trap::MemoryOutOfBounds),
    ("(drop (i64.load offset=0x7fffffff (i32.const 0x80000000)))", Trap::MemoryOutOfBounds),
    ("(drop (v128.load offset=33554416 (i32.const -1)))", Trap::MemoryOutOfBounds),
    ("(i32.store8 (i32.const -1) (i32.const 1))", Trap::MemoryOutOfBounds),
    ("(v128.store (i32.const 65521) (v128.const i64x2 0 0))", Trap::MemoryOutOfBounds),
    ("(f64.store offset=65529 (i32.const 0) (f64.const 0))", Trap::MemoryOutOfBounds),
    ("(memory.fill (i32.const 65536) (i32.const 0) (i32.const 1))", Trap::MemoryOutOfBounds),
    ("(memory.fill (i32.const -1) (i32.const 0) (i32.const -1))", Trap::MemoryOutOfBounds),
    ("(memory.copy (i32.const 0) (i32.const 1) (i32.const 65536))", Trap::MemoryOutOfBounds),
    ("(memory.copy (i32.const 65537) (i32.const 0) (i32.const 0))", Trap::MemoryOutOfBounds),
    ("(memory.init $data (i32.const 0) (i32.const 1) (i32.const 3))", Trap::MemoryOutOfBounds),
    ("(data.drop $data) (memory.init $data (i32.const 0) (i32.const 0) (i32.const 1))", Trap::MemoryOutOfBounds),
    ("(drop (table.get (i32.const 2)))", Trap::TableOutOfBounds),
    ("(table.set (i32.const -1) (ref.null func))", Trap::TableOutOfBounds),
    ("(table.fill (i32.const 1) (ref.null func) (i32.const 2))", Trap::TableOutOfBounds),
    ("(table.copy (i32.const 0) (i32.const 2) (i32.const 1))", Trap::TableOutOfBounds),
    ("(table.init $elem (i32.const 0) (i32.const 0) (i32.const 2))", Trap::TableOutOfBounds),
    ("(elem.drop $elem) (table.init $elem (i32.const 0) (i32.const 0) (i32.const 1))", Trap::TableOutOfBounds),
    ("(call_indirect (i32.const 2))", Trap::TableOutOfBounds),
    ("(call_indirect (i32.const -1))", Trap::TableOutOfBounds),
    ("(call_indirect (i32.const 1))", Trap::IndirectCallToNull),
    ("(call_indirect (i32.const 0))", Trap::BadSignature),
    ("(return_call_indirect (i32.const 0))", Trap::BadSignature),
    ("(return_call_indirect (i32.const 1))", Trap::IndirectCallToNull),
    ("(call $f)", Trap::StackOverflow),
    ("(drop (i32.load $wide (i64.const 0xffffffffffffffff)))", Trap::MemoryOutOfBounds),
    ("(drop (i64.load $wide offset=0xfffffffffffffff8 (i64.const 8)))", Trap::MemoryOutOfBounds),
    ("(drop (i64.load $wide (i64.const 0x7fffffffffffffff)))", Trap::MemoryOutOfBounds),
    ("(i64.store $wide offset=65528 (i64.const 1) (i64.const 1))", Trap::MemoryOutOfBounds),
    ("(drop (i32.load8_u $wide (i64.const 0x100000000)))", Trap::MemoryOutOfBounds),
    ("(memory.fill $wide (i64.const -1) (i32.const 0) (i64.const 2))", Trap::MemoryOutOfBounds),
];

/// A module in which `$f` does it; `end` says who calls `$f`.
fn module(what: &str, end: &str) -> String {
    format!(
        r#"(module
            (memory 1 1) (memory $wide i64 1)
            (table 2 funcref) (elem (i32.const 0) $zero)
            (elem $elem func $zero) (data $data "abc")
            (func $zero (result i32) (i32.const 0))
            (func $f {what})
            (func (export "fine") (result i32) (i32.load (i32.const 65532)))
            {end})"#
    )
}

#[test]
fn every_cause_has_its_code_and_the_store_goes_on() {
    for (kind, engine) in engines() {
        for (what, trap) in CAUSES {
            let mut store = Store::new(&engine, ());
            let instance = instantiate(&mut store, &module(what, r#"(export "f" (func $f))"#), &[]);
            for _ in 0..2 {
                let error = call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err();
                assert_eq!(error.downcast_ref::<Trap>(), Some(trap), "{kind}: {what}: {error:?}");
                let frames = error.downcast_ref::<WasmBacktrace>().unwrap().frames();
                assert_eq!(frames[0].func_name(), Some("f"), "{kind}: {what}");
                assert!(frames[0].module_offset().is_some(), "{kind}: {what}");
                assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 0, "{kind}: {what}");
            }
        }
    }
}

#[test]
fn every_cause_in_a_start_function_leaves_a_usable_store() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        for (what, trap) in CAUSES {
            let error = Instance::new(&mut store, &compile(&engine, &module(what, "(start $f)")), &[]).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(trap), "{kind}: {what}");
        }
        let instance = instantiate(&mut store, &module("nop", ""), &[]);
        assert_eq!(call::<_, (), i32>(&mut store, instance, "fine", ()).unwrap(), 0, "{kind}");
    }
}

#[test]
fn every_cause_on_several_threads_at_once() {
    for (kind, engine) in engines() {
        let modules: Vec<(Module, Trap)> = CAUSES
            .iter()
            .map(|(what, trap)| (compile(&engine, &module(what, r#"(export "f" (func $f))"#)), *trap))
            .collect();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (modules, engine) = (&modules, &engine);
                scope.spawn(move || {
                    for at in 0..modules.len() {
                        let (module, trap) = &modules[(at + thread * 7) % modules.len()];
                        let mut store = Store::new(engine, ());
                        let instance = Instance::new(&mut store, module, &[]).unwrap();
                        let error = call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err();
                        assert_eq!(error.downcast_ref::<Trap>(), Some(trap), "{kind}");
                    }
                });
            }
        });
    }
}

/// A store may be sent to another thread between calls, and a trap there is that thread's.
#[test]
fn a_store_traps_on_whatever_thread_uses_it() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance =
            instantiate(&mut store, &module("(drop (i32.load (i32.const -4)))", r#"(export "f" (func $f))"#), &[]);
        for _ in 0..3 {
            store = std::thread::spawn(move || {
                let error = call::<_, (), ()>(&mut store, instance, "f", ()).unwrap_err();
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
                store
            })
            .join()
            .unwrap();
            assert!(call::<_, (), ()>(&mut store, instance, "f", ()).is_err(), "{kind}");
        }
    }
}

/// What was done before a trap stays done: no instruction of a failed bulk operation was.
#[test]
fn a_trap_undoes_nothing_and_does_nothing_by_halves() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (memory (export "m") 1) (global $g (export "g") (mut i32) (i32.const 0))
                (func (export "f")
                    (global.set $g (i32.const 7))
                    (i32.store (i32.const 0) (i32.const 1))
                    (memory.fill (i32.const 65530) (i32.const 255) (i32.const 7)))
                (func (export "store") (i64.store (i32.const 65529) (i64.const -1))))"#,
            &[],
        );
        assert!(call::<_, (), ()>(&mut store, instance, "f", ()).is_err());
        assert!(call::<_, (), ()>(&mut store, instance, "store", ()).is_err());
        let global = instance.get_global(&mut store, "g").unwrap();
        assert_eq!(global.get(&mut store).unwrap_i32(), 7, "{kind}");
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!(memory.data(&store)[0], 1, "{kind}");
        assert!(memory.data(&store)[65528..].iter().all(|byte| *byte == 0), "{kind}");
    }
}

#[test]
fn a_backtrace_has_as_many_frames_as_asked_for() {
    for limit in [1, 5, 1000] {
        let engine = Engine::new(hotfoot::Config::new().wasm_backtrace_max_frames(limit)).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (func $down (export "down") (param i32)
                (if (i32.eqz (local.get 0)) (then unreachable))
                (call $down (i32.sub (local.get 0) (i32.const 1)))))"#,
            &[],
        );
        let error = call::<_, i32, ()>(&mut store, instance, "down", 99).unwrap_err();
        assert_eq!(error.downcast_ref::<WasmBacktrace>().unwrap().frames().len(), limit.min(100));
    }
}

#[test]
fn a_trap_between_two_instances_names_both() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let inner = instantiate(&mut store, r#"(module $a (func $bad (export "f") unreachable))"#, &[]);
    let bad: Func = inner.get_func(&mut store, "f").unwrap();
    let text = r#"(module $b (import "" "" (func $bad)) (func $go (export "f") (call $bad)))"#;
    let outer = instantiate(&mut store, text, &[bad.into()]);
    let error = call::<_, (), ()>(&mut store, outer, "f", ()).unwrap_err();
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    let frames: Vec<_> =
        backtrace.frames().iter().map(|frame| (frame.module().name().unwrap(), frame.func_name().unwrap())).collect();
    assert_eq!(frames, [("a", "bad"), ("b", "go")]);
    assert!(backtrace.to_string().contains("a!bad"), "{backtrace}");
}
