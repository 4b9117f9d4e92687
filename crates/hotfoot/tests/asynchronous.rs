//! Calls that are suspended while host functions wait: on any thread, thousands at once, dropped at any point.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use hotfoot::{
    Caller, Config, Engine, Func, FuncType, Instance, Linker, Module, PoolingAllocationConfig, Result, Store, Trap,
    UpdateDeadline, Val, ValType, WasmBacktrace,
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Is pending so many times.
async fn pending(mut times: u32) {
    poll_fn(move |context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

const TEXT: &str = r#"(module
    (import "" "wait" (func $wait (param i32) (result i32)))
    (import "" "again" (func $again (param i32) (result i32)))
    (memory 1)
    (func (export "wait") (param i32) (result i32) (i32.add (call $wait (local.get 0)) (i32.const 1)))
    (func $sum (export "sum") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (call $wait (local.get 0)) (call $sum (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))
    (func (export "again") (param i32) (result i32) (call $again (local.get 0)))
    (func (export "trap") (param i32) (result i32) (drop (call $wait (local.get 0))) (unreachable))
    (func $deep (export "deep") (param i32) (result i32)
        (drop (call $wait (i32.const 1))) (i32.add (call $deep (local.get 0)) (i32.const 1)))
    (func (export "plain") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "spin") (param i32) (result i32)
        (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0))) (i32.const 7))
    (func (export "ever") (param i32) (result i32) (loop $l (drop (call $wait (i32.const 1))) (br $l)) (unreachable)))"#;

/// The data of the tests' stores: what "again" calls, and how many waits have ended or been dropped.
#[derive(Clone, Default)]
struct Host {
    again: Option<Func>,
    waits: Arc<AtomicUsize>,
}

struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap_async("", "wait", |caller: Caller<'_, Host>, (times,): (i32,)| {
            Box::new(async move {
                let _count = Count(caller.data().waits.clone());
                pending(times as u32).await;
                times
            })
        })
        .unwrap();
    linker
        .func_wrap_async("", "again", |mut caller: Caller<'_, Host>, (value,): (i32,)| {
            Box::new(async move {
                pending(1).await;
                let again = caller.data().again.unwrap().typed::<i32, i32>(&caller)?;
                again.call_async(&mut caller, value).await
            })
        })
        .unwrap();
    linker
}

fn start(config: &Config) -> (Store<Host>, Instance) {
    let engine = Engine::new(config).unwrap();
    let module = Module::new(&engine, TEXT).unwrap();
    let mut store = Store::new(&engine, Host::default());
    if store.get_fuel().is_ok() {
        store.set_fuel(1 << 40).unwrap();
    }
    store.set_epoch_deadline(1 << 40);
    let instance = block_on(linker(&engine).instantiate_async(&mut store, &module)).unwrap();
    (store, instance)
}

async fn call(store: &mut Store<Host>, instance: Instance, name: &str, value: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call_async(store, value).await
}

#[test]
fn a_guest_waits_for_the_host() {
    let (mut store, instance) = start(&Config::new());
    for times in [0, 1, 5] {
        assert_eq!(block_on(call(&mut store, instance, "wait", times)).unwrap(), times + 1);
    }
    assert_eq!(block_on(call(&mut store, instance, "sum", 20)).unwrap(), 210);
    assert_eq!(block_on(call(&mut store, instance, "plain", 4)).unwrap(), 8);
    let mut results = [Val::I32(0)];
    let wait = instance.get_func(&mut store, "wait").unwrap();
    block_on(wait.call_async(&mut store, &[Val::I32(3)], &mut results)).unwrap();
    assert_eq!(results[0].unwrap_i32(), 4);
    assert_eq!(store.data().waits.load(Ordering::SeqCst), 3 + 20 + 1);
}

#[test]
fn thousands_wait_at_once() {
    const GUESTS: usize = 10_000;
    let engine = Engine::default();
    let pre = linker(&engine).instantiate_pre(&Module::new(&engine, TEXT).unwrap()).unwrap();
    let guests = (0..GUESTS).map(|number| {
        let (engine, pre) = (engine.clone(), pre.clone());
        let future = async move {
            let mut store = Store::new(&engine, Host::default());
            let instance = pre.instantiate_async(&mut store).await?;
            let plain = call(&mut store, instance, "plain", number as i32).await?;
            Ok::<i32, hotfoot::Error>(plain + call(&mut store, instance, "wait", 2).await?)
        };
        Box::pin(future) as Pin<Box<dyn Future<Output = Result<i32>> + Send>>
    });
    let mut guests: Vec<_> = guests.collect();
    for _ in 0..2 {
        for guest in &mut guests {
            assert!(poll_once(guest.as_mut()).is_pending());
        }
    }
    // Half of them are dropped where they are.
    let mut rest = guests.split_off(GUESTS / 2);
    drop(guests);
    for (number, guest) in rest.iter_mut().enumerate().rev() {
        let Poll::Ready(result) = poll_once(guest.as_mut()) else { panic!("{number} still waits") };
        assert_eq!(result.unwrap(), (number + GUESTS / 2) as i32 * 2 + 3);
    }
}

/// Each poll is made by another thread, while the guest is deep in calls of its own and of the host.
#[test]
fn a_call_moves_between_threads() {
    let (mut store, instance) = start(&Config::new());
    store.data_mut().again = instance.get_func(&mut store, "sum");
    let mut future: Pin<Box<dyn Future<Output = Result<i32>> + Send>> =
        Box::pin(async move { call(&mut store, instance, "again", 30).await });
    let mut polls = 0;
    let result = loop {
        polls += 1;
        let thread = std::thread::spawn(move || {
            let result = poll_once(future.as_mut());
            (future, result)
        });
        let (back, result) = thread.join().unwrap();
        future = back;
        if let Poll::Ready(result) = result {
            break result;
        }
    };
    assert_eq!(result.unwrap(), 465);
    assert_eq!(polls, 1 + 1 + 465);
}

#[test]
fn a_dropped_call_is_left_and_its_store_goes_on() {
    let (mut store, instance) = start(&Config::new());
    store.data_mut().again = instance.get_func(&mut store, "wait");
    for (name, polls) in [("wait", 1), ("sum", 7), ("again", 1), ("again", 3), ("ever", 50)] {
        let before = store.data().waits.load(Ordering::SeqCst);
        {
            let mut future = Box::pin(call(&mut store, instance, name, 10));
            for _ in 0..polls {
                assert!(poll_once(future.as_mut()).is_pending());
            }
        }
        let ended = store.data().waits.load(Ordering::SeqCst) - before;
        assert!(ended > 0 || (name, polls) == ("again", 1), "{name}: the host's future was dropped");
        assert_eq!(block_on(call(&mut store, instance, "plain", 4)).unwrap(), 8);
        assert_eq!(block_on(call(&mut store, instance, "wait", 2)).unwrap(), 3);
    }
    drop(call(&mut store, instance, "wait", 1));
}

#[test]
fn calls_nest() {
    let (mut store, instance) = start(&Config::new());
    store.data_mut().again = instance.get_func(&mut store, "sum");
    assert_eq!(block_on(call(&mut store, instance, "again", 10)).unwrap(), 55);
    store.data_mut().again = instance.get_func(&mut store, "trap");
    let error = block_on(call(&mut store, instance, "again", 3)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::UnreachableCodeReached));
    assert!(
        error.downcast_ref::<WasmBacktrace>().unwrap().frames().len() >= 2,
        "both guests are on the stack: {error:?}"
    );
    // Without end: each level has a stack of its own, and the pool's limit ends it.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(20);
    let (mut store, instance) = start(Config::new().allocation_strategy(pool));
    store.data_mut().again = instance.get_func(&mut store, "again");
    let error = block_on(call(&mut store, instance, "again", 3)).unwrap_err();
    assert!(error.root_cause().to_string().contains("total_stacks"), "{error:?}");
    assert_eq!(block_on(call(&mut store, instance, "wait", 3)).unwrap(), 4);
}

#[test]
fn a_synchronous_call_cannot_wait() {
    let (mut store, instance) = start(&Config::new());
    let wait = instance.get_typed_func::<i32, i32>(&mut store, "wait").unwrap();
    let error = wait.call(&mut store, 1).unwrap_err();
    assert!(error.root_cause().to_string().contains("_async"), "{error:?}");
    // Nor can one that a host function makes, even below an asynchronous one: the function's frame cannot be suspended.
    let engine = store.engine().clone();
    let mut linker = linker(&engine);
    linker.allow_shadowing(true);
    linker
        .func_wrap("", "again", |mut caller: Caller<'_, Host>, value: i32| -> Result<i32> {
            let again = caller.data().again.unwrap().typed::<i32, i32>(&caller)?;
            again.call(&mut caller, value)
        })
        .unwrap();
    let module = instance.module(&store).clone();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    store.data_mut().again = instance.get_func(&mut store, "wait");
    let error = block_on(call(&mut store, instance, "again", 3)).unwrap_err();
    assert!(error.root_cause().to_string().contains("_async"), "{error:?}");
    store.data_mut().again = instance.get_func(&mut store, "plain");
    assert_eq!(block_on(call(&mut store, instance, "again", 3)).unwrap(), 6);
}

#[test]
fn guests_trap_and_overflow_on_their_fibers() {
    for signals in [true, false] {
        let (mut store, instance) = start(Config::new().signals_based_traps(signals));
        let error = block_on(call(&mut store, instance, "trap", 2)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::UnreachableCodeReached));
        let error = block_on(call(&mut store, instance, "deep", 2)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::StackOverflow));
        assert_eq!(block_on(call(&mut store, instance, "wait", 2)).unwrap(), 3);
    }
}

fn on_purpose() -> Result<()> {
    panic!("on purpose")
}

#[test]
fn a_panic_comes_out_of_the_poll() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let panics = Func::wrap_async(&mut store, |_: Caller<'_, ()>, (): ()| {
        Box::new(async {
            pending(1).await;
            on_purpose()
        }) as Box<dyn Future<Output = Result<()>> + Send>
    });
    let text = r#"(module (import "" "" (func $f)) (func (export "f") (call $f)))"#;
    let instance = Instance::new(&mut store, &Module::new(&engine, text).unwrap(), &[panics.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    for _ in 0..3 {
        let panic = catch_unwind(AssertUnwindSafe(|| block_on(f.call_async(&mut store, ())))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }
}

#[test]
fn functions_over_values_wait_too() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let double = Func::new_async(&mut store, ty, |_, params, results| {
        Box::new(async move {
            pending(3).await;
            results[0] = Val::I32(params[0].unwrap_i32() * 2);
            Ok(())
        })
    });
    let mut results = [Val::I32(0)];
    block_on(double.call_async(&mut store, &[Val::I32(4)], &mut results)).unwrap();
    assert_eq!(results[0].unwrap_i32(), 8);
    let text = r#"(module (import "" "" (func $f (param i32) (result i32))) (global $g (mut i32) (i32.const 0))
        (func $start (global.set $g (call $f (i32.const 21)))) (start $start)
        (func (export "get") (result i32) (global.get $g)))"#;
    let module = Module::new(&engine, text).unwrap();
    let instance = block_on(Instance::new_async(&mut store, &module, &[double.into()])).unwrap();
    let get = instance.get_typed_func::<(), i32>(&mut store, "get").unwrap();
    assert_eq!(get.call(&mut store, ()).unwrap(), 42);
}

/// How often a call is pending.
fn polls(store: &mut Store<Host>, instance: Instance, value: i32) -> (usize, Result<i32>) {
    let mut future = Box::pin(call(store, instance, "spin", value));
    let mut polls = 1;
    loop {
        match poll_once(future.as_mut()) {
            Poll::Ready(result) => return (polls, result),
            Poll::Pending => polls += 1,
        }
    }
}

#[test]
fn fuel_yields_at_its_interval() {
    let (mut store, instance) = start(Config::new().consume_fuel(true));
    store.fuel_async_yield_interval(Some(600)).unwrap();
    store.set_fuel(100_000).unwrap();
    let (yields, result) = polls(&mut store, instance, 1_000);
    assert_eq!(result.unwrap(), 7);
    assert!((9..=12).contains(&yields), "6,000 units of fuel: {yields}");
    assert_eq!(store.get_fuel().unwrap(), 100_000 - 6_000 - 1);
    let (_, result) = polls(&mut store, instance, 0);
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&Trap::OutOfFuel));
    assert!(store.fuel_async_yield_interval(Some(0)).is_err());
}

#[test]
fn epochs_yield_and_go_on() {
    let (mut store, instance) = start(Config::new().epoch_interruption(true));
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let engine = store.engine().clone();
    let mut future = Box::pin(call(&mut store, instance, "spin", 50));
    engine.increment_epoch();
    assert!(poll_once(future.as_mut()).is_pending());
    assert!(matches!(poll_once(future.as_mut()), Poll::Ready(Ok(7))), "no deadline until the next epoch");
    drop(future);
    let spin = instance.get_typed_func::<i32, i32>(&mut store, "spin").unwrap();
    engine.increment_epoch();
    let error = spin.call(&mut store, 5).unwrap_err();
    assert!(error.root_cause().to_string().contains("_async"), "a synchronous call cannot yield: {error:?}");
    engine.increment_epoch();
    {
        let mut future = Box::pin(call(&mut store, instance, "spin", 0));
        assert!(poll_once(future.as_mut()).is_pending());
    }
}

#[test]
fn a_deadline_can_wait_for_any_future() {
    let (mut store, instance) = start(Config::new().epoch_interruption(true));
    store.set_epoch_deadline(1);
    let waits = store.data().waits.clone();
    store.epoch_deadline_callback(move |_| {
        let count = Count(waits.clone());
        let future = async move {
            let _count = count;
            pending(3).await;
        };
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(future)))
    });
    let engine = store.engine().clone();
    {
        let mut future = Box::pin(call(&mut store, instance, "spin", 50));
        engine.increment_epoch();
        for _ in 0..3 {
            assert!(poll_once(future.as_mut()).is_pending());
        }
        assert!(matches!(poll_once(future.as_mut()), Poll::Ready(Ok(7))));
    }
    assert_eq!(store.data().waits.load(Ordering::SeqCst), 1);
    // A call that is dropped drops what it waits for.
    engine.increment_epoch();
    {
        let mut future = Box::pin(call(&mut store, instance, "spin", 50));
        assert!(poll_once(future.as_mut()).is_pending());
    }
    assert_eq!(store.data().waits.load(Ordering::SeqCst), 2);
    engine.increment_epoch();
    let spin = instance.get_typed_func::<i32, i32>(&mut store, "spin").unwrap();
    assert!(spin.call(&mut store, 5).unwrap_err().root_cause().to_string().contains("_async"));
}

/// A request may come before the guest was entered: then its fiber, which has run nothing, is only given back. It was kept once,
/// and continued when the future was dropped.
#[test]
fn a_guest_that_is_not_even_entered_leaves_its_fiber() {
    let (mut store, instance) = start(&Config::new());
    let handle = store.interrupt_handle().unwrap();
    for _ in 0..3 {
        handle.interrupt();
        let error = block_on(call(&mut store, instance, "plain", 1)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
        assert_eq!(block_on(call(&mut store, instance, "plain", 1)).unwrap(), 2);
    }
}

/// An interrupt finds the thread that polls, and a guest that is suspended when it is continued.
#[test]
fn interrupts_reach_fibers() {
    let (mut store, instance) = start(&Config::new());
    let handle = store.interrupt_handle().unwrap();
    {
        let mut future = Box::pin(call(&mut store, instance, "wait", 3));
        assert!(poll_once(future.as_mut()).is_pending());
        handle.interrupt();
        let error = block_on(future).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
    }
    for _ in 0..20 {
        store.set_timeout(Duration::from_micros(500)).unwrap();
        let mut future: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async {
            pending(1).await;
            call(&mut store, instance, "ever", 0).await
        });
        assert!(poll_once(future.as_mut()).is_pending());
        let error = std::thread::scope(|scope| scope.spawn(|| block_on(future)).join().unwrap()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
        store.set_timeout(Duration::from_micros(500)).unwrap();
        let error = block_on(call(&mut store, instance, "spin", 0)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
        store.set_timeout(None).unwrap();
        assert_eq!(block_on(call(&mut store, instance, "wait", 1)).unwrap(), 2);
    }
}

/// Where nothing can wait, no stack is needed: the pool has none to give.
#[test]
fn a_call_that_cannot_wait_needs_no_fiber() {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(0);
    let engine = Engine::new(Config::new().allocation_strategy(pool)).unwrap();
    let text = r#"(module (func (export "f") (result i32) (i32.const 6)))"#;
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, text).unwrap();
    let instance = block_on(Instance::new_async(&mut store, &module, &[])).unwrap();
    let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
    assert!(matches!(poll_once(pin!(f.call_async(&mut store, ()))), Poll::Ready(Ok(6))));
}

#[test]
fn stacks_must_have_room_for_the_host() {
    let error = Engine::new(Config::new().async_support(true).max_wasm_stack(2 << 20)).unwrap_err();
    assert!(error.to_string().contains("async_stack_size"), "{error}");
    Engine::new(Config::new().async_support(true).max_wasm_stack(2 << 20).async_stack_size(3 << 20)).unwrap();
}
