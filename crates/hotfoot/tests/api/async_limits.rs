//! Limiters that wait: the guest or host that wants to grow something is suspended meanwhile.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use hotfoot::{
    ArrayRef, ArrayRefPre, ArrayType, Caller, Config, Engine, ExnRef, ExternRef, FieldType, Func, FuncType,
    GcHeapOutOfMemory, Instance, InstanceAllocationStrategy, Linker, Memory, MemoryType, Module, Mutability,
    PoolingAllocationConfig, Ref, RefType, ResourceLimiterAsync, Result, StorageType, Store, StructRef, StructRefPre,
    StructType, Table, TableType, Tag, TagType, Trap, UpdateDeadline, Val, ValType,
};

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end, and says how often that was pending.
fn polls<F: Future>(future: F) -> (usize, F::Output) {
    let mut future = pin!(future);
    let mut pending = 0;
    loop {
        match poll_once(future.as_mut()) {
            Poll::Ready(output) => return (pending, output),
            Poll::Pending => pending += 1,
        }
        assert!(pending < 1_000, "nobody comes to an end");
    }
}

async fn pending(mut times: usize) {
    poll_fn(move |_| match times.checked_sub(1) {
        None => Poll::Ready(()),
        Some(fewer) => {
            times = fewer;
            Poll::Pending
        }
    })
    .await;
}

/// Counts when it is dropped.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits so often before it allows so much, and keeps what it was asked.
struct Slow {
    waits: usize,
    most: usize,
    asked: Vec<(&'static str, usize, usize)>,
    ended: Arc<AtomicUsize>,
    fails: bool,
}

impl Slow {
    async fn decide(&mut self, what: &'static str, current: usize, desired: usize) -> Result<bool> {
        let _count = Count(self.ended.clone());
        self.asked.push((what, current, desired));
        pending(self.waits).await;
        anyhow::ensure!(!self.fails, "refused on purpose");
        Ok(desired <= self.most)
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<bool>> + Send + 'a>>;

impl ResourceLimiterAsync for Slow {
    fn memory_growing<'a, 'b>(&'a mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Answer<'b>
    where
        'a: 'b,
    {
        Box::pin(self.decide("memory", current, desired))
    }

    fn table_growing<'a, 'b>(&'a mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Answer<'b>
    where
        'a: 'b,
    {
        Box::pin(self.decide("table", current, desired))
    }
}

fn store(engine: &Engine) -> Store<Slow> {
    let slow = Slow { waits: 2, most: usize::MAX, asked: Vec::new(), ended: Arc::default(), fails: false };
    let mut store = Store::new(engine, slow);
    store.limiter_async(|slow| slow);
    store
}

const TEXT: &str = r#"(module
    (memory (export "m") 1 10) (table (export "t") 3 30 funcref)
    (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
    (func (export "both") (param i32) (result i32)
        (i32.add (memory.grow (local.get 0)) (table.grow (ref.null func) (local.get 0)))))"#;

const PAGE: usize = 65536;

fn start() -> (Store<Slow>, Instance) {
    let engine = Engine::default();
    let mut store = store(&engine);
    let module = Module::new(&engine, TEXT).unwrap();
    let (waits, instance) = polls(Instance::new_async(&mut store, &module, &[]));
    assert_eq!(waits, 4, "twice for the memory, twice for the table");
    assert_eq!(store.data_mut().asked.split_off(0), [("memory", 0, PAGE), ("table", 0, 3)]);
    (store, instance.unwrap())
}

async fn call(store: &mut Store<Slow>, instance: Instance, name: &str, value: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call_async(store, value).await
}

#[test]
fn a_guest_waits_for_its_limiter() {
    let (mut store, instance) = start();
    assert!(matches!(polls(call(&mut store, instance, "memory", 2)), (2, Ok(1))));
    assert!(matches!(polls(call(&mut store, instance, "table", 4)), (2, Ok(3))));
    assert_eq!(store.data_mut().asked.split_off(0), [("memory", PAGE, 3 * PAGE), ("table", 3, 7)]);
    assert!(matches!(polls(call(&mut store, instance, "both", 1)), (4, Ok(10))));
    // The type's own limit is not the limiter's business.
    assert!(matches!(polls(call(&mut store, instance, "memory", 7)), (0, Ok(-1))));
    store.data_mut().most = 5;
    assert!(matches!(polls(call(&mut store, instance, "memory", 1)), (2, Ok(-1))));
    assert!(matches!(polls(call(&mut store, instance, "table", 1)), (2, Ok(-1))));
    store.data_mut().fails = true;
    let (_, error) = polls(call(&mut store, instance, "memory", 1));
    assert_eq!(error.unwrap_err().root_cause().to_string(), "refused on purpose");
    assert_eq!(instance.get_memory(&mut store, "m").unwrap().size(&store), 4);
}

#[test]
fn a_dropped_call_grows_nothing() {
    let (mut store, instance) = start();
    let ended = store.data().ended.clone();
    for name in ["memory", "table", "both"] {
        let before = ended.load(Ordering::SeqCst);
        {
            let mut future = Box::pin(call(&mut store, instance, name, 1));
            assert!(poll_once(future.as_mut()).is_pending());
        }
        assert_eq!(ended.load(Ordering::SeqCst), before + 1, "{name}: the limiter's future was dropped");
    }
    assert!(matches!(polls(call(&mut store, instance, "both", 1)), (4, Ok(4))));
}

#[test]
fn the_host_waits_for_the_limiter() {
    let engine = Engine::default();
    let mut store = store(&engine);
    let (waits, memory) = polls(Memory::new_async(&mut store, MemoryType::new(1, None)));
    let memory = memory.unwrap();
    assert_eq!(waits, 2);
    assert!(matches!(polls(memory.grow_async(&mut store, 1)), (2, Ok(1))));
    let ty = TableType::new(RefType::FUNCREF, 1, None);
    let (waits, table) = polls(Table::new_async(&mut store, ty.clone(), Ref::Func(None)));
    let table = table.unwrap();
    assert_eq!(waits, 2);
    assert!(matches!(polls(table.grow_async(&mut store, 1, Ref::Func(None))), (2, Ok(1))));
    // What cannot wait says so, and needs not where the limiter is ready.
    let errors = [
        memory.grow(&mut store, 1).map(drop).unwrap_err(),
        table.grow(&mut store, 1, Ref::Func(None)).map(drop).unwrap_err(),
        Memory::new(&mut store, MemoryType::new(1, None)).map(drop).unwrap_err(),
        Table::new(&mut store, ty, Ref::Func(None)).map(drop).unwrap_err(),
        Instance::new(&mut store, &Module::new(&engine, TEXT).unwrap(), &[]).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("_async"), "{error:?}");
    }
    store.data_mut().waits = 0;
    assert_eq!(memory.grow(&mut store, 1).unwrap(), 2);
    assert_eq!(table.grow(&mut store, 1, Ref::Func(None)).unwrap(), 2);
}

#[test]
fn pooled_instances_wait_too() {
    let pooling = InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new());
    let engine = Engine::new(Config::new().allocation_strategy(pooling)).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, TEXT).unwrap()).unwrap();
    for round in 0..3 {
        let mut store = store(&engine);
        let (waits, instance) = polls(pre.instantiate_async(&mut store));
        assert_eq!(waits, 4, "{round}");
        assert!(matches!(polls(call(&mut store, instance.unwrap(), "memory", 2)), (2, Ok(1))));
        drop(store);
        assert_eq!(pre.idle_instances(), 1);
    }
    let mut refused = store(&engine);
    refused.data_mut().most = 1;
    assert!(polls(pre.instantiate_async(&mut refused)).1.unwrap_err().to_string().contains("limits"));
}

#[test]
fn objects_wait_for_their_heap() {
    let engine = Engine::default();
    let text = r#"(module (type $node (struct (field i64 (ref null $node))))
        (func (export "list") (param i32) (result i32) (local $list (ref null $node)) (local $n i32)
            (loop $l
                (local.set $list (struct.new $node (i64.const 7) (local.get $list)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (local.get 0))))
            (local.get $n)))"#;
    let module = Module::new(&engine, text).unwrap();
    let mut store = store(&engine);
    let instance = polls(Instance::new_async(&mut store, &module, &[])).1.unwrap();
    let (waits, result) = polls(call(&mut store, instance, "list", 100_000));
    assert_eq!(result.unwrap(), 100_000);
    let asked = store.data_mut().asked.split_off(0);
    assert!(asked.len() >= 2 && waits == 2 * asked.len(), "{waits} {asked:?}");
    store.data_mut().most = asked.last().unwrap().2;
    let (_, result) = polls(call(&mut store, instance, "list", 10_000_000));
    assert!(result.unwrap_err().root_cause().to_string().contains("limit"));
}

#[test]
fn objects_of_the_host_wait_for_their_heap() {
    let engine = Engine::default();
    let fields = [FieldType::new(Mutability::Const, StorageType::ValType(ValType::I64))];
    let node = StructType::new(&engine, fields.clone()).unwrap();
    let bytes = ArrayType::new(&engine, fields[0].clone());
    let value = Val::I64(7);
    type Made<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
    type Make = fn(&mut Store<Slow>, StructType, ArrayType, Val) -> Made<'_>;
    let kinds: [(&str, Make); 5] = [
        ("value", |store, _, _, _| Box::pin(async { ExternRef::new_async(store, 7).await.map(drop) })),
        ("struct", |store, ty, _, value| {
            let pre = StructRefPre::new(&mut *store, ty);
            Box::pin(async move { StructRef::new_async(store, &pre, &[value]).await.map(drop) })
        }),
        ("array", |store, _, ty, value| {
            let pre = ArrayRefPre::new(&mut *store, ty);
            Box::pin(async move { ArrayRef::new_async(store, &pre, &value, 5).await.map(drop) })
        }),
        ("array of values", |store, _, ty, value| {
            let pre = ArrayRefPre::new(&mut *store, ty);
            Box::pin(async move { ArrayRef::new_fixed_async(store, &pre, &[value; 3]).await.map(drop) })
        }),
        ("exception", |store, _, _, value| {
            let ty = FuncType::new(store.engine(), [ValType::I64], []);
            let tag = Tag::new(&mut *store, &TagType::new(ty)).unwrap();
            Box::pin(async move { ExnRef::new_async(store, &tag, &[value]).await.map(drop) })
        }),
    ];
    for (what, make) in kinds {
        let mut store = store(&engine);
        let (waits, made) = polls(make(&mut store, node.clone(), bytes.clone(), value));
        made.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!((waits, store.data().asked.len()), (2, 1), "{what}");
        let (waits, made) = polls(make(&mut store, node.clone(), bytes.clone(), value));
        assert!(made.is_ok() && waits == 0, "{what}: there is room for another");
        let mut refused = self::store(&engine);
        refused.data_mut().most = 1;
        let error = polls(make(&mut refused, node.clone(), bytes.clone(), value)).1.unwrap_err();
        assert!(error.is::<GcHeapOutOfMemory<()>>(), "{what}: {error:?}");
    }
    // Without waiting, it says so.
    let mut store = store(&engine);
    assert!(format!("{:?}", ExternRef::new(&mut store, 7).unwrap_err()).contains("_async"));
}

/// A host function's frame may hold what no other thread must see. So nothing below it can wait, unless it was made from
/// futures: a fiber is continued by whoever polls it. Once, an asynchronous function that such a host function called by
/// itself, without a guest in between, was suspended together with it.
#[test]
fn nothing_waits_below_the_frame_of_a_synchronous_host_function() {
    let engine = Engine::default();
    let mut store = store(&engine);
    let memory = polls(Memory::new_async(&mut store, MemoryType::new(1, None))).1.unwrap();
    let waits = Func::wrap_async(&mut store, |_: Caller<'_, Slow>, (): ()| {
        Box::new(pending(3)) as Box<dyn Future<Output = ()> + Send>
    });
    let text = r#"(module (import "" "" (func $f)) (func (export "f") (call $f)))"#;
    let module = Module::new(&engine, text).unwrap();
    let guest = |store: &mut Store<Slow>, func: Func| {
        let instance = polls(Instance::new_async(&mut *store, &module, &[func.into()])).1.unwrap();
        instance.get_func(store, "f").unwrap()
    };
    let waiting_guest = guest(&mut store, waits);
    for (callee, what) in [(waits, "the function itself"), (waiting_guest, "its guest")] {
        let calls = Func::wrap(&mut store, move |mut caller: Caller<'_, Slow>| callee.call(&mut caller, &[], &mut []));
        let calling_guest = guest(&mut store, calls);
        for (caller, by) in [(calls, "the host"), (calling_guest, "a guest")] {
            let (waits, result) = polls(caller.call_async(&mut store, &[], &mut []));
            let error = result.unwrap_err();
            assert!(error.root_cause().to_string().contains("_async"), "{what}, called by {by}: {error:?}");
            assert_eq!(waits, 0, "{what}, called by {by}");
        }
    }
    let grows = Func::wrap(&mut store, move |caller: Caller<'_, Slow>| memory.grow(caller, 1).map(drop));
    for caller in [grows, guest(&mut store, grows)] {
        let (waits, result) = polls(caller.call_async(&mut store, &[], &mut []));
        assert!(result.unwrap_err().root_cause().to_string().contains("_async"));
        assert_eq!(waits, 0);
    }
    // Those that can wait, still do.
    assert_eq!(polls(waits.call_async(&mut store, &[], &mut [])).0, 3);
    assert_eq!(polls(waiting_guest.call_async(&mut store, &[], &mut [])).0, 3);
}

/// While a guest is suspended no thread runs it, so nobody is signalled. Once, a guest that was stopped while a builtin
/// waited for it went on.
#[test]
fn a_guest_that_is_stopped_while_it_waits_ends() {
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let mut store = store(&engine);
    store.set_epoch_deadline(1_000);
    let text = r#"(module (memory 1) (func (export "grow") (param i32) (result i32)
        (drop (memory.grow (i32.const 1))) (loop $l (br_if $l (local.get 0))) (i32.const 7)))"#;
    let module = Module::new(&engine, text).unwrap();
    let instance = polls(Instance::new_async(&mut store, &module, &[])).1.unwrap();
    let handle = store.interrupt_handle().unwrap();
    {
        let mut future = Box::pin(call(&mut store, instance, "grow", 1));
        assert!(poll_once(future.as_mut()).is_pending());
        handle.interrupt();
        assert_eq!(polls(future).1.unwrap_err().downcast_ref(), Some(&Trap::Interrupt));
    }
    store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1_000)));
    engine.increment_epoch();
    store.set_epoch_deadline(0);
    store.data_mut().waits = 0;
    let mut future = Box::pin(call(&mut store, instance, "grow", 1));
    assert!(poll_once(future.as_mut()).is_pending());
    handle.interrupt();
    assert_eq!(polls(future).1.unwrap_err().downcast_ref(), Some(&Trap::Interrupt));
}
