//! Stores: their data, what they own, and that nothing of one is left when it goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hotfoot::{
    AsContext, AsContextMut, Caller, Engine, ExternRef, Func, Instance, Linker, Memory, MemoryType, Store,
    StoreContextMut, Val,
};

use super::{call, compile, instantiate};

/// Counts how many of it there are.
#[derive(Debug)]
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn new(counter: &Arc<AtomicU32>) -> Counted {
        counter.fetch_add(1, Ordering::Relaxed);
        Counted(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn everything_that_a_store_holds_is_dropped_once() {
    let counter = Arc::new(AtomicU32::new(0));
    let engine = Engine::default();
    for take_data in [false, true] {
        let mut store = Store::new(&engine, Counted::new(&counter));
        let (in_wrap, in_new) = (Counted::new(&counter), Counted::new(&counter));
        let f = Func::wrap(&mut store, move || drop(format!("{in_wrap:?}")));
        let ty = f.ty(&store);
        Func::new(&mut store, ty, move |_, _, _| {
            drop(format!("{in_new:?}"));
            Ok(())
        });
        for _ in 0..3 {
            ExternRef::new(&mut store, Counted::new(&counter)).unwrap();
        }
        instantiate(&mut store, r#"(module (import "" "" (func)) (memory 1) (start 0))"#, &[f.into()]);
        let in_limiter = Counted::new(&counter);
        let mut limits = hotfoot::StoreLimits::default();
        store.limiter(move |_| {
            let _ = &in_limiter;
            // A limiter must be found somewhere; this one is leaked, once for each call.
            Box::leak(Box::new(std::mem::take(&mut limits)))
        });
        assert_eq!(counter.load(Ordering::Relaxed), 7);
        if take_data {
            let data = store.into_data();
            assert_eq!(counter.load(Ordering::Relaxed), 1);
            drop(data);
        } else {
            drop(store);
        }
        assert_eq!(counter.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_linkers_functions_live_as_long_as_anyone_needs_them() {
    let counter = Arc::new(AtomicU32::new(0));
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    let held = Counted::new(&counter);
    linker.func_wrap("", "f", move || held.0.load(Ordering::Relaxed)).unwrap();
    let module = compile(&engine, r#"(module (import "" "f" (func $f (result i32))) (export "f" (func $f)))"#);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    drop(linker);
    assert_eq!(call::<_, (), u32>(&mut store, instance, "f", ()).unwrap(), 1);
    drop(store);
    assert_eq!(counter.load(Ordering::Relaxed), 1, "the pre has it still");
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    drop(pre);
    assert_eq!(call::<_, (), u32>(&mut store, instance, "f", ()).unwrap(), 1);
    drop(store);
    assert_eq!(counter.load(Ordering::Relaxed), 0);
}

#[test]
fn data_is_reached_through_every_kind_of_borrow() {
    fn add<T: AsContextMut<Data = Vec<i32>>>(mut store: T, value: i32) {
        store.as_context_mut().data_mut().push(value);
    }
    fn len(store: impl AsContext<Data = Vec<i32>>) -> usize {
        store.as_context().data().len()
    }
    let mut store = Store::new(&Engine::default(), vec![]);
    let f = Func::wrap(&mut store, |mut caller: Caller<'_, Vec<i32>>| {
        add(&mut caller, 2);
        assert_eq!(len(&caller), 2);
        let mut context: StoreContextMut<'_, Vec<i32>> = caller.as_context_mut();
        add(&mut context, 3);
        caller.data_mut().push(4);
        assert!(Engine::same(caller.engine(), caller.as_context().engine()));
    });
    add(&mut store, 1);
    f.call(&mut store, &[], &mut []).unwrap();
    add(store.as_context_mut(), 5);
    assert_eq!(len(&store), 5);
    assert_eq!(store.into_data(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_store_of_any_data() {
    /// A type with an alignment of its own, so that the data cannot begin right behind the rest.
    #[repr(align(256))]
    struct Aligned(u8);
    let engine = Engine::default();
    let mut aligned = Store::new(&engine, Aligned(1));
    let f = Func::wrap(&mut aligned, |mut caller: Caller<'_, Aligned>| {
        assert_eq!(std::ptr::from_ref(caller.data()) as usize % 256, 0);
        caller.data_mut().0 += 1;
    });
    let instance = instantiate(
        &mut aligned,
        r#"(module (import "" "" (func $f)) (export "f" (func $f)) (start $f))"#,
        &[f.into()],
    );
    call::<_, (), ()>(&mut aligned, instance, "f", ()).unwrap();
    assert_eq!(aligned.data().0, 3);
    let unit = Store::new(&engine, ());
    assert_eq!(size_of_val(unit.data()), 0);
    let large = Store::new(&engine, [7u8; 100_000]);
    assert_eq!(large.into_data()[99_999], 7);
    let text: Store<String> = Store::default();
    assert!(text.data().is_empty());
}

#[test]
fn stores_move_and_swap_without_harm() {
    let engine = Engine::default();
    let new = |number: i32| {
        let mut store = Store::new(&engine, number);
        let f = Func::wrap(&mut store, |caller: Caller<'_, i32>| *caller.data());
        let text = r#"(module (import "" "" (func $f (result i32))) (func (export "f") (result i32) (call $f)))"#;
        let instance = instantiate(&mut store, text, &[f.into()]);
        (store, instance)
    };
    let ((mut a, in_a), (mut b, in_b)) = (new(1), new(2));
    std::mem::swap(&mut a, &mut b);
    assert_eq!(call::<_, (), i32>(&mut b, in_a, "f", ()).unwrap(), 1);
    assert_eq!(call::<_, (), i32>(&mut a, in_b, "f", ()).unwrap(), 2);
    let mut boxed = Box::new(a);
    assert_eq!(call::<_, (), i32>(&mut boxed, in_b, "f", ()).unwrap(), 2);
    let moved = std::thread::spawn(move || {
        let mut store = *boxed;
        call::<_, (), i32>(&mut store, in_b, "f", ()).unwrap()
    });
    assert_eq!(moved.join().unwrap(), 2);
}

/// Handles of a store that is gone must not reach into one that is made where it was.
#[test]
fn a_handle_does_not_outlive_its_store() {
    let engine = Engine::default();
    let mut old = Store::new(&engine, ());
    let func = Func::wrap(&mut old, || ());
    let memory = Memory::new(&mut old, MemoryType::new(1, None)).unwrap();
    let value = ExternRef::new(&mut old, 1).unwrap();
    drop(old);
    for _ in 0..20 {
        let mut store = Store::new(&engine, ());
        Func::wrap(&mut store, || ());
        Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        ExternRef::new(&mut store, 2).unwrap();
        assert!(value.data(&store).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| func.call(&mut store, &[], &mut []))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| memory.size(&store))).is_err());
        let take = Func::wrap(&mut store, |_: Option<Func>| ());
        assert!(take.call(&mut store, &[Val::FuncRef(Some(func))], &mut []).is_err());
    }
}

#[test]
fn many_stores_and_instances() {
    let engine = Engine::default();
    let module = compile(
        &engine,
        r#"(module (memory 1) (func (export "f") (param i32) (result i32)
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))) (i32.load (i32.const 0))))"#,
    );
    let mut stores: Vec<(Store<()>, Vec<Instance>)> = (0..30)
        .map(|_| {
            let mut store = Store::new(&engine, ());
            let instances = (0..10).map(|_| Instance::new(&mut store, &module, &[]).unwrap()).collect();
            (store, instances)
        })
        .collect();
    for (at, (store, instances)) in stores.iter_mut().enumerate() {
        for (number, instance) in instances.iter().enumerate() {
            let value = (at * 10 + number) as i32;
            assert_eq!(call::<_, i32, i32>(store, *instance, "f", value).unwrap(), value);
            assert_eq!(call::<_, i32, i32>(store, *instance, "f", 1).unwrap(), value + 1);
        }
    }
}
