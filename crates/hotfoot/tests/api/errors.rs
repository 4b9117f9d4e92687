//! Errors of host functions: they come back with their type and everything that was known about them.

use std::fmt;

use hotfoot::{Caller, Engine, Error, Func, Linker, Result, Store, Trap, WasmBacktrace};

use super::{call, compile, engines, instantiate};

/// An error type of an embedder's.
#[derive(Debug, PartialEq)]
struct Refused(u32);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "refused with {}", self.0)
    }
}

impl std::error::Error for Refused {}

const CALLS_HOST: &str = r#"(module $caller
    (import "host" "f" (func $f))
    (func $middle (call $f))
    (func $run (export "run") (call $middle)))"#;

fn names(error: &Error) -> Vec<String> {
    let frames = error.downcast_ref::<WasmBacktrace>().expect("the error has a backtrace").frames();
    frames.iter().map(|frame| frame.func_name().unwrap_or("?").to_string()).collect()
}

#[test]
fn an_errors_type_survives_compiled_frames() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let f = Func::wrap(&mut store, || -> Result<()> { Err(Refused(7).into()) });
        let instance = instantiate(&mut store, CALLS_HOST, &[f.into()]);
        for _ in 0..3 {
            let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
            assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(7)), "{kind}");
            assert_eq!(names(&error), ["middle", "run"], "{kind}");
            assert_eq!(error.root_cause().to_string(), "refused with 7");
            assert_eq!(error.downcast::<Refused>().unwrap(), Refused(7), "{kind}");
        }
    }
}

#[test]
fn an_errors_type_survives_two_stays_in_compiled_code() {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("host", "fail", || -> Result<()> { Err(Error::new(Refused(9)).context("the inner host")) })
        .unwrap();
    linker
        .func_wrap("host", "again", |mut caller: Caller<'_, ()>| -> Result<()> {
            let inner = caller.get_export("inner").and_then(|export| export.into_func()).unwrap();
            let error = inner.call(&mut caller, &[], &mut []).unwrap_err();
            assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(9)));
            Err(error.context("the outer host"))
        })
        .unwrap();
    let module = compile(
        &engine,
        r#"(module
            (import "host" "fail" (func $fail)) (import "host" "again" (func $again))
            (func $inner (export "inner") (call $fail))
            (func $outer (export "outer") (call $again)))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let error = call::<_, (), ()>(&mut store, instance, "outer", ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(9)));
    assert_eq!(names(&error), ["inner", "outer"], "the backtrace is that of the place where it began");
    let text = format!("{error:#}");
    assert!(text.starts_with("the outer host: "), "{text}");
    assert!(text.ends_with(": the inner host: refused with 9"), "{text}");
}

const TRAPS_INSIDE: &str = r#"(module
    (import "host" "again" (func $again))
    (func $divide (export "divide") (drop (i32.div_s (i32.const 1) (i32.const 0))))
    (func $outer (export "outer") (call $again)))"#;

/// Instantiates [`TRAPS_INSIDE`] with a host function that calls `divide` and hands on its error after `change`.
fn error_of_trap(change: fn(Error) -> Error) -> Error {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("host", "again", move |mut caller: Caller<'_, ()>| -> Result<()> {
            let divide = caller.get_export("divide").and_then(|export| export.into_func()).unwrap();
            divide.call(&mut caller, &[], &mut []).map_err(change)
        })
        .unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &compile(&engine, TRAPS_INSIDE)).unwrap();
    call::<_, (), ()>(&mut store, instance, "outer", ()).unwrap_err()
}

/// A trap that passes through a host function once lost the frames below it: the runtime took the code out of the
/// error and gave it a new backtrace, which could only begin at the host function.
#[test]
fn a_trap_through_a_host_function_keeps_its_backtrace() {
    let error = error_of_trap(|error| error);
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerDivisionByZero));
    assert_eq!(names(&error), ["divide", "outer"]);
}

/// As above: what a host function says about a trap was lost with the backtrace.
#[test]
fn what_a_host_function_adds_to_a_trap_is_kept() {
    let error = error_of_trap(|error| error.context("while dividing"));
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerDivisionByZero));
    assert_eq!(names(&error), ["divide", "outer"]);
    assert!(error.to_string().contains("while dividing"), "{error:?}");
}

#[test]
fn a_host_function_may_trap_with_words_of_its_own() {
    let mut store = Store::new(&Engine::default(), ());
    let f =
        Func::wrap(&mut store, || -> Result<()> { Err(Error::new(Trap::AllocationTooLarge).context("too greedy")) });
    let instance = instantiate(&mut store, CALLS_HOST, &[f.into()]);
    let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::AllocationTooLarge));
    assert!(format!("{error:?}").contains("too greedy"), "{error:?}");
    assert_eq!(names(&error), ["middle", "run"]);
}

#[test]
fn a_plain_trap_of_a_host_function_gets_a_backtrace() {
    let mut store = Store::new(&Engine::default(), ());
    let f = Func::wrap(&mut store, || -> Result<()> { Err(Trap::Interrupt.into()) });
    let instance = instantiate(&mut store, CALLS_HOST, &[f.into()]);
    let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
    assert_eq!(names(&error), ["middle", "run"]);
}

#[test]
fn an_error_of_a_host_function_that_the_host_calls_is_plain() {
    let mut store = Store::new(&Engine::default(), ());
    let f = Func::wrap(&mut store, || -> Result<i32> { Err(Refused(1).into()) });
    let error = f.typed::<(), i32>(&store).unwrap().call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(1)));
    assert!(error.downcast_ref::<WasmBacktrace>().is_none(), "no guest was running");
}

#[test]
fn an_error_that_a_host_function_handles_leaves_no_trace() {
    let mut store = Store::new(&Engine::default(), 0);
    let fail = Func::wrap(&mut store, || -> Result<()> { Err(Refused(2).into()) });
    let inner = instantiate(&mut store, CALLS_HOST, &[fail.into()]).get_func(&mut store, "run").unwrap();
    let f = Func::wrap(&mut store, move |mut caller: Caller<'_, i32>| {
        assert!(inner.call(&mut caller, &[], &mut []).is_err());
        *caller.data_mut() += 1;
    });
    let outer = instantiate(&mut store, CALLS_HOST, &[f.into()]);
    for _ in 0..2 {
        call::<_, (), ()>(&mut store, outer, "run", ()).unwrap();
    }
    assert_eq!(*store.data(), 2);
}

#[test]
fn backtraces_can_be_switched_off() {
    let engine = Engine::new(hotfoot::Config::new().wasm_backtrace(false)).unwrap();
    let mut store = Store::new(&engine, ());
    let f = Func::wrap(&mut store, || -> Result<()> { Err(Refused(3).into()) });
    let instance = instantiate(&mut store, CALLS_HOST, &[f.into()]);
    let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
    assert!(error.downcast_ref::<WasmBacktrace>().is_none());
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(3)));
}

#[test]
fn a_tail_called_host_function_fails_in_its_callers_caller() {
    let mut store = Store::new(&Engine::default(), ());
    let f = Func::wrap(&mut store, || -> Result<()> { Err(Refused(4).into()) });
    let text = r#"(module (import "" "" (func $f))
        (func $gone (return_call $f))
        (func $stays (export "run") (call $gone) (call $gone)))"#;
    let instance = instantiate(&mut store, text, &[f.into()]);
    let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
    assert_eq!(names(&error), ["stays"]);
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused(4)));
}
