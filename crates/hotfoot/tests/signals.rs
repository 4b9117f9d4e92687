//! Faults that are no traps: they go to the handler that was there before ours, and the process ends as it would have
//! without us.
//!
//! A process can die only once, so each test starts this program again with the name of a scenario in the environment
//! and looks at what came of it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use hotfoot::{Caller, Config, Engine, Extern, Func, Instance, Module, Store, Trap};
use libc::{c_int, c_void, siginfo_t};

const SCENARIO: &str = "HOTFOOT_TEST_SCENARIO";

/// Exit code of the handlers below: the fault arrived.
const ARRIVED: i32 = 42;
/// Exit code when a scenario came to its end.
const SURVIVED: i32 = 43;

/// Address that the last fault was to have.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);
/// Signals that [`count`] saw.
static COUNTED: AtomicI32 = AtomicI32::new(0);

extern "C" fn exit_with_address(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: S9, the kernel's description of the signal, handed on as it came; `_exit` is async-signal-safe.
    unsafe {
        let address = (*info).si_addr() as usize;
        let right = signal == libc::SIGSEGV && address == EXPECTED.load(Ordering::Relaxed) && !context.is_null();
        libc::_exit(if right { ARRIVED } else { 1 });
    }
}

extern "C" fn exit_plainly(signal: c_int) {
    // SAFETY: S9, `_exit` is async-signal-safe.
    unsafe { libc::_exit(if signal == libc::SIGSEGV { ARRIVED } else { 1 }) }
}

extern "C" fn count(_signal: c_int) {
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

/// Gives a signal this action, before hotfoot sees it.
fn set_action(signal: c_int, handler: usize, flags: c_int) {
    // SAFETY: S9, plain data for which zero is valid; the handler has the type that the flags say.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// The action that a signal has now.
fn action(signal: c_int) -> usize {
    // SAFETY: S9, plain data for which zero is valid; the kernel writes it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal, std::ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

/// Reads an address that nothing is mapped at.
fn read(address: usize) -> u8 {
    EXPECTED.store(address, Ordering::Relaxed);
    // SAFETY: S9, not sound on purpose: the fault is what is tested, in a process that exists for it.
    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}

fn raise(signal: c_int) {
    // SAFETY: S9, sends this thread a signal; its handlers are those of this file.
    unsafe { libc::raise(signal) };
}

/// No process maps its first page.
const NOWHERE: usize = 0x123;

fn default_action(signal: c_int) {
    set_action(signal, libc::SIG_DFL, 0);
}

/// A guest that calls the host, and one that traps by a fault.
fn instance(store: &mut Store<()>, host: Func) -> Instance {
    let text = r#"(module (import "" "" (func $host)) (memory (export "m") 1)
        (func (export "host") (call $host))
        (func (export "trap") (drop (i32.load (i32.const -4))))
        (func (export "divide") (drop (i32.div_s (i32.const 1) (i32.load (i32.const 0))))))"#;
    let module = Module::new(&store.engine().clone(), text).unwrap();
    Instance::new(store, &module, &[host.into()]).unwrap()
}

fn store() -> Store<()> {
    Store::new(&Engine::default(), ())
}

fn call(store: &mut Store<()>, instance: Instance, name: &str) -> hotfoot::Result<()> {
    instance.get_typed_func::<(), ()>(&mut *store, name)?.call(store, ())
}

/// Traps still work, by every signal that they use.
fn assert_traps(store: &mut Store<()>, instance: Instance) {
    for (name, trap) in [("trap", Trap::MemoryOutOfBounds), ("divide", Trap::IntegerDivisionByZero)] {
        assert_eq!(call(store, instance, name).unwrap_err().downcast_ref(), Some(&trap));
    }
}

/// Faults, each of which ends the process.
fn fault(name: &str) -> bool {
    match name {
        "handler with information" => {
            set_action(libc::SIGSEGV, exit_with_address as *const () as usize, libc::SA_SIGINFO);
            let mut store = store();
            let host = Func::wrap(&mut store, || ());
            let instance = instance(&mut store, host);
            assert_traps(&mut store, instance);
            read(NOWHERE);
        }
        "plain handler" => {
            set_action(libc::SIGSEGV, exit_plainly as *const () as usize, 0);
            let _engine = Engine::default();
            read(NOWHERE);
        }
        "host function" => {
            set_action(libc::SIGSEGV, exit_with_address as *const () as usize, libc::SA_SIGINFO);
            let mut store = store();
            let host = Func::wrap(&mut store, || {
                read(NOWHERE);
            });
            let instance = instance(&mut store, host);
            let _ = call(&mut store, instance, "host");
        }
        "guard of a memory" => {
            set_action(libc::SIGSEGV, exit_with_address as *const () as usize, libc::SA_SIGINFO);
            let mut store = store();
            let host = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| {
                let Some(Extern::Memory(memory)) = caller.get_export("m") else { panic!("the guest exports `m`") };
                let end = memory.data_ptr(&caller) as usize + memory.data_size(&caller);
                read(end + 4096);
            });
            let instance = instance(&mut store, host);
            let _ = call(&mut store, instance, "host");
        }
        "another thread" => {
            set_action(libc::SIGSEGV, exit_with_address as *const () as usize, libc::SA_SIGINFO);
            let mut store = store();
            let host = Func::wrap(&mut store, || drop(std::thread::spawn(|| read(NOWHERE)).join()));
            let instance = instance(&mut store, host);
            let _ = call(&mut store, instance, "host");
        }
        "default action" => {
            default_action(libc::SIGSEGV);
            let mut store = store();
            let host = Func::wrap(&mut store, || {
                read(NOWHERE);
            });
            let instance = instance(&mut store, host);
            assert_traps(&mut store, instance);
            let _ = call(&mut store, instance, "host");
        }
        "ignored" => {
            set_action(libc::SIGSEGV, libc::SIG_IGN, 0);
            let _engine = Engine::default();
            read(NOWHERE);
        }
        "action of the standard library" => {
            let _engine = Engine::default();
            read(NOWHERE);
        }
        _ => return false,
    }
    true
}

/// What is no fault, and what the process may survive.
fn signal(name: &str) -> bool {
    match name {
        "sent, default action" => {
            default_action(libc::SIGSEGV);
            let _engine = Engine::default();
            raise(libc::SIGSEGV);
        }
        "sent, ignored" => {
            set_action(libc::SIGSEGV, libc::SIG_IGN, 0);
            let mut store = store();
            let host = Func::wrap(&mut store, || raise(libc::SIGSEGV));
            let instance = instance(&mut store, host);
            for _ in 0..2 {
                call(&mut store, instance, "host").unwrap();
                assert_traps(&mut store, instance);
            }
        }
        "handler that goes on" => {
            let signals = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
            signals.into_iter().for_each(|signal| set_action(signal, count as *const () as usize, 0));
            let mut store = store();
            let host = Func::wrap(&mut store, move || signals.into_iter().for_each(raise));
            let instance = instance(&mut store, host);
            for round in 1..=3 {
                call(&mut store, instance, "host").unwrap();
                assert_eq!(COUNTED.load(Ordering::Relaxed), 4 * round);
                assert_traps(&mut store, instance);
            }
            assert_eq!(COUNTED.load(Ordering::Relaxed), 12, "a trap is not the embedder's signal");
        }
        "no handler without signals" => {
            let before = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE].map(action);
            let engine = Engine::new(Config::new().signals_based_traps(false)).unwrap();
            let mut store = Store::new(&engine, ());
            let host = Func::wrap(&mut store, || ());
            let instance = instance(&mut store, host);
            assert_traps(&mut store, instance);
            assert_eq!([libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE].map(action), before);
        }
        "stack overflow of the host" => {
            fn forever(depth: usize) -> usize {
                let room = std::hint::black_box([depth; 100]);
                if room[99] == usize::MAX { 0 } else { forever(depth + 1) + room[depth % 100] }
            }
            let run = || {
                let mut store = store();
                let host = Func::wrap(&mut store, || {
                    std::hint::black_box(forever(0));
                });
                let instance = instance(&mut store, host);
                let _ = call(&mut store, instance, "host");
            };
            let _ = std::thread::spawn(run).join();
        }
        _ => return false,
    }
    true
}

/// Runs a scenario in a process of its own.
fn process(scenario: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "scenario", "--nocapture"]).env(SCENARIO, scenario).stdin(Stdio::null());
    command.output().unwrap()
}

fn assert_exits(scenario: &str, code: i32) {
    let output = process(scenario);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{scenario}: {:?} {words}", output.status);
}

fn assert_killed(scenario: &str, signal: c_int) -> String {
    let output = process(scenario);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(signal), "{scenario}: {:?} {words}", output.status);
    words
}

/// Not a test by itself: what the other tests start.
#[test]
fn scenario() {
    if let Ok(name) = std::env::var(SCENARIO) {
        assert!(fault(&name) || signal(&name), "there is no scenario of this name: {name}");
        std::process::exit(SURVIVED);
    }
}

#[test]
fn a_fault_reaches_the_handler_that_was_there_before() {
    assert_exits("handler with information", ARRIVED);
    assert_exits("plain handler", ARRIVED);
}

#[test]
fn a_fault_of_a_host_function_is_no_trap() {
    assert_exits("host function", ARRIVED);
    assert_exits("guard of a memory", ARRIVED);
    assert_exits("another thread", ARRIVED);
}

#[test]
fn a_fault_kills_where_it_would_have_killed() {
    assert_killed("default action", libc::SIGSEGV);
    assert_killed("ignored", libc::SIGSEGV);
    assert_killed("action of the standard library", libc::SIGSEGV);
}

/// A signal that someone sends has no instruction that would run again and fault again: it was lost.
#[test]
fn a_signal_that_is_sent_does_what_it_would_have_done() {
    assert_killed("sent, default action", libc::SIGSEGV);
    assert_exits("sent, ignored", SURVIVED);
}

#[test]
fn handlers_that_return_go_on_and_so_do_traps() {
    assert_exits("handler that goes on", SURVIVED);
}

#[test]
fn without_signals_no_handler_is_installed() {
    assert_exits("no handler without signals", SURVIVED);
}

#[test]
fn a_stack_overflow_of_the_host_is_told_as_ever() {
    let words = assert_killed("stack overflow of the host", libc::SIGABRT);
    assert!(words.contains("overflowed its stack"), "{words}");
}
