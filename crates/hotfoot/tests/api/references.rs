//! Host values and exceptions: how long they live, and that whoever holds one finds it again after it moved.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotfoot::{
    AsContextMut, Caller, Config, Engine, ExnRef, ExternRef, FuncType, GcHeapOutOfMemory, Global, GlobalType, Instance,
    Linker, Module, Mutability, OwnedRooted, Ref, RefType, Result, RootScope, Rooted, Store, StoreLimits,
    StoreLimitsBuilder, Table, TableType, Tag, TagType, Val, ValType,
};

use super::instantiate;

type External = Option<Rooted<ExternRef>>;

/// Engines that collect when they must, at every allocation, and at every third one.
fn engines() -> Vec<Engine> {
    let engine = |zeal: Option<u32>, signals| {
        let mut config = Config::new();
        config.gc_zeal_alloc_counter(zeal.and_then(NonZeroU32::new)).unwrap().signals_based_traps(signals);
        Engine::new(&config).unwrap()
    };
    vec![engine(None, true), engine(Some(1), true), engine(Some(3), false)]
}

/// A host value that counts how many of its kind there are.
struct Counted(Arc<AtomicUsize>, u32);

impl Counted {
    fn new(count: &Arc<AtomicUsize>, number: u32) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone(), number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of a [`Counted`].
fn number(store: &mut impl AsContextMut, reference: &ExternRef) -> u32 {
    reference.data(store.as_context()).unwrap().unwrap().downcast_ref::<Counted>().unwrap().1
}

#[test]
fn values_that_nothing_refers_to_are_dropped() {
    for engine in engines() {
        let (mut store, count) = (Store::new(&engine, ()), Arc::new(AtomicUsize::new(0)));
        for number in 0..10_000 {
            let mut scope = RootScope::new(&mut store);
            ExternRef::new(&mut scope, Counted::new(&count, number)).unwrap();
        }
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
        let _kept = ExternRef::new(&mut store, Counted::new(&count, 1)).unwrap();
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1, "a handle outside of every scope keeps its value");
        drop(store);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn garbage_is_collected_without_being_asked_to() {
    let (mut store, count) = (Store::new(&Engine::default(), ()), Arc::new(AtomicUsize::new(0)));
    let mut most = 0;
    for number in 0..500_000 {
        let mut scope = RootScope::new(&mut store);
        ExternRef::new(&mut scope, Counted::new(&count, number)).unwrap();
        most = most.max(count.load(Ordering::Relaxed));
    }
    assert!(most < 200_000, "{most} values at once");
    assert!(store.gc_heap_capacity() < 4 << 20, "{} bytes", store.gc_heap_capacity());
}

#[test]
fn tables_and_globals_keep_what_they_hold() {
    for engine in engines() {
        let (mut store, count) = (Store::new(&engine, ()), Arc::new(AtomicUsize::new(0)));
        let text = r#"(module
            (table (export "table") 4 externref)
            (global (export "global") (mut externref) (ref.null extern))
            (func (export "set") (param externref)
                (table.set (i32.const 2) (local.get 0))
                (table.fill (i32.const 0) (local.get 0) (i32.const 1))
                (global.set 0 (local.get 0))))"#;
        let instance = instantiate(&mut store, text, &[]);
        let set = instance.get_typed_func::<External, ()>(&mut store, "set").unwrap();
        let global = instance.get_global(&mut store, "global").unwrap();
        let table = instance.get_table(&mut store, "table").unwrap();
        let own_type = GlobalType::new(ValType::EXTERNREF, Mutability::Var);
        let own_global = Global::new(&mut store, own_type, Val::ExternRef(None)).unwrap();
        let own_table = TableType::new(RefType::EXTERNREF, 3, None);
        let own_table = Table::new(&mut store, own_table, Ref::Extern(None)).unwrap();
        {
            let mut scope = RootScope::new(&mut store);
            let values: Vec<_> =
                (0..3).map(|at| ExternRef::new(&mut scope, Counted::new(&count, at)).unwrap()).collect();
            set.call(&mut scope, Some(values[0])).unwrap();
            own_global.set(&mut scope, Val::ExternRef(Some(values[1]))).unwrap();
            own_table.set(&mut scope, 1, Ref::Extern(Some(values[2]))).unwrap();
        }
        for _ in 0..3 {
            store.gc(None).unwrap();
        }
        assert_eq!(count.load(Ordering::Relaxed), 3);
        {
            let mut scope = RootScope::new(&mut store);
            let held = *global.get(&mut scope).unwrap_extern_ref().unwrap();
            assert_eq!(number(&mut scope, &held), 0);
            for at in [0, 2] {
                let held = *table.get(&mut scope, at).unwrap().as_extern().unwrap().unwrap();
                assert_eq!(number(&mut scope, &held), 0);
            }
            assert!(table.get(&mut scope, 1).unwrap().is_null());
            let held = *own_global.get(&mut scope).unwrap_extern_ref().unwrap();
            assert_eq!(number(&mut scope, &held), 1);
            let held = *own_table.get(&mut scope, 1).unwrap().as_extern().unwrap().unwrap();
            assert_eq!(number(&mut scope, &held), 2);
        }
        set.call(&mut store, None).unwrap();
        own_global.set(&mut store, Val::ExternRef(None)).unwrap();
        own_table.set(&mut store, 1, Ref::Extern(None)).unwrap();
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}

/// Guests whose frames hold references while the host collects, in nested stays in compiled code.
#[test]
fn frames_keep_what_they_hold() {
    let text = r#"(module
        (import "" "collect" (func $collect))
        (import "" "again" (func $again (param i32 externref) (result externref)))
        (import "" "new" (func $new (param i32) (result externref)))
        (import "" "check" (func $check (param externref i32)))
        (tag $t (param externref i32))
        (func $deep (export "deep") (param $depth i32) (param $given externref) (result externref)
            (local $made externref)
            (local.set $made (call $new (local.get $depth)))
            (call $collect)
            (if (i32.eqz (local.get $depth)) (then (return (local.get $given))))
            (local.get $made)
            (if (result externref) (i32.rem_u (local.get $depth) (i32.const 7))
                (then (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $given)))
                (else (call $again (i32.sub (local.get $depth) (i32.const 1)) (local.get $given))))
            (local.set $given)
            (call $collect)
            (call $check (local.get $depth))
            (call $check (local.get $made) (local.get $depth))
            (local.get $given))
        (func (export "caught") (param $given externref) (result externref)
            (local $number i32)
            (block $h (result externref i32 exnref)
                (try_table (catch_ref $t $h) (call $thrower (local.get $given)))
                (unreachable))
            (drop) (local.set $number) (call $collect)
            (call $check (local.get $number))
            (local.get $given))
        (func $thrower (param externref)
            (call $collect)
            (throw $t (call $new (i32.const 5)) (i32.const 5))))"#;
    for engine in engines() {
        let count = Arc::new(AtomicUsize::new(0));
        let mut linker = Linker::<Arc<AtomicUsize>>::new(&engine);
        linker.func_wrap("", "collect", |mut caller: Caller<'_, _>| caller.gc(None)).unwrap();
        linker
            .func_wrap("", "new", |mut caller: Caller<'_, Arc<AtomicUsize>>, number: u32| -> Result<External> {
                let value = Counted::new(&caller.data().clone(), number);
                Ok(Some(ExternRef::new(&mut caller, value)?))
            })
            .unwrap();
        linker
            .func_wrap("", "check", |mut caller: Caller<'_, _>, reference: External, expected: u32| {
                assert_eq!(number(&mut caller, &reference.unwrap()), expected);
            })
            .unwrap();
        linker
            .func_wrap(
                "",
                "again",
                |mut caller: Caller<'_, Arc<AtomicUsize>>, depth: i32, given: External| -> Result<External> {
                    let deep = caller.get_export("deep").and_then(|export| export.into_func()).unwrap();
                    let deep = deep.typed::<(i32, External), External>(&caller)?;
                    deep.call(&mut caller, (depth, given))
                },
            )
            .unwrap();
        let mut store = Store::new(&engine, count.clone());
        let module = Module::new(&engine, text).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let deep = instance.get_typed_func::<(i32, External), External>(&mut store, "deep").unwrap();
        let caught = instance.get_typed_func::<External, External>(&mut store, "caught").unwrap();
        {
            let mut scope = RootScope::new(&mut store);
            let given = ExternRef::new(&mut scope, Counted::new(&count, 1000)).unwrap();
            let back = deep.call(&mut scope, (60, Some(given))).unwrap().unwrap();
            assert!(Rooted::ref_eq(&scope, &given, &back).unwrap());
            assert_eq!(number(&mut scope, &back), 1000);
            let back = caught.call(&mut scope, Some(given)).unwrap().unwrap();
            assert_eq!(number(&mut scope, &back), 1000);
        }
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0, "what only frames held is gone");
    }
}

#[test]
fn handles_end_with_the_host_function_that_got_them() {
    let engine = Engine::default();
    let mut linker = Linker::<Vec<Rooted<ExternRef>>>::new(&engine);
    let keep = |mut caller: Caller<'_, Vec<Rooted<ExternRef>>>, given: External| caller.data_mut().push(given.unwrap());
    linker.func_wrap("", "keep", keep).unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let text = r#"(module (import "" "keep" (func (param externref))) (export "keep" (func 0)))"#;
    let instance = linker.instantiate(&mut store, &Module::new(&engine, text).unwrap()).unwrap();
    let keep = instance.get_typed_func::<External, ()>(&mut store, "keep").unwrap();
    let given = ExternRef::new(&mut store, "value").unwrap();
    keep.call(&mut store, Some(given)).unwrap();
    let kept = store.data()[0];
    let error = kept.data(&store).unwrap_err();
    assert!(error.to_string().contains("scope"), "{error}");
    assert!(keep.call(&mut store, Some(kept)).is_err(), "nor can it be passed on");
    assert!(kept.to_owned_rooted(&mut store).is_err());
    assert!(given.data(&store).unwrap().is_some());
}

#[test]
fn owned_handles_outlive_scopes_and_end_when_dropped() {
    for engine in engines() {
        let (mut store, count) = (Store::new(&engine, ()), Arc::new(AtomicUsize::new(0)));
        let owned: Vec<OwnedRooted<ExternRef>> = (0..100)
            .map(|number| {
                let mut scope = RootScope::new(&mut store);
                let value = ExternRef::new(&mut scope, Counted::new(&count, number)).unwrap();
                value.to_owned_rooted(&mut scope).unwrap()
            })
            .collect();
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 100);
        for (value, expected) in owned.iter().zip(0..) {
            assert_eq!(number(&mut store, value), expected);
            let mut scope = RootScope::new(&mut store);
            let rooted = value.to_rooted(&mut scope).unwrap();
            assert!(Rooted::ref_eq(&scope, &rooted, value).unwrap());
        }
        let (one, rest) = (owned[1].clone(), owned);
        drop(rest);
        store.gc(None).unwrap();
        assert_eq!((count.load(Ordering::Relaxed), number(&mut store, &one)), (1, 1));
        let mut other = Store::new(&engine, ());
        assert!(one.data(&other).is_err() && one.to_rooted(&mut other).is_err());
        drop(one);
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn exceptions_are_collected() {
    let text = r#"(module
        (tag $t (param i32 i64))
        (global $last (export "last") (mut exnref) (ref.null exn))
        (func (export "run") (param $count i32)
            (loop $again
                (block $h (result exnref)
                    (try_table (catch_all_ref $h) (throw $t (local.get $count) (i64.const 7)))
                    (unreachable))
                (global.set $last)
                (local.set $count (i32.sub (local.get $count) (i32.const 1)))
                (br_if $again (local.get $count)))))"#;
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, text, &[]);
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run").unwrap();
    run.call(&mut store, 200_000).unwrap();
    assert!(store.gc_heap_capacity() <= 2 << 20, "{} bytes", store.gc_heap_capacity());
    let last = *instance.get_global(&mut store, "last").unwrap().get(&mut store).unwrap_exn_ref().unwrap();
    let fields: Vec<_> = last.fields(&mut store).unwrap().collect();
    assert!(matches!(fields[..], [Val::I32(1), Val::I64(7)]), "{fields:?}");
}

#[test]
fn exceptions_carry_references() {
    for engine in engines() {
        let (mut store, count) = (Store::new(&engine, ()), Arc::new(AtomicUsize::new(0)));
        let ty = FuncType::new(&engine, [ValType::I32, ValType::EXTERNREF, ValType::V128, ValType::EXTERNREF], []);
        let tag = Tag::new(&mut store, &TagType::new(ty)).unwrap();
        {
            let mut scope = RootScope::new(&mut store);
            let value = Val::ExternRef(Some(ExternRef::new(&mut scope, Counted::new(&count, 3)).unwrap()));
            let fields = [Val::I32(1), value, Val::V128(9.into()), Val::ExternRef(None)];
            let exception = ExnRef::new(&mut scope, &tag, &fields).unwrap().to_owned_rooted(&mut scope).unwrap();
            drop(scope);
            store.gc(None).unwrap();
            let mut scope = RootScope::new(&mut store);
            let fields: Vec<_> = exception.fields(&mut scope).unwrap().collect();
            let [Val::I32(1), Val::ExternRef(Some(held)), Val::V128(bits), Val::ExternRef(None)] = fields[..] else {
                panic!("{fields:?}")
            };
            assert_eq!((bits.as_u128(), number(&mut scope, &held)), (9, 3));
            assert!(Tag::eq(&exception.tag(&mut scope).unwrap(), &tag, &scope));
        }
        store.gc(None).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}

/// A store whose heap may take so many bytes.
fn limited(engine: &Engine, bytes: usize) -> Store<StoreLimits> {
    let mut store = Store::new(engine, StoreLimitsBuilder::new().memory_size(bytes).build());
    store.limiter(|limits| limits);
    store
}

/// Makes values that are all kept until there is no more room.
fn fill(store: &mut Store<StoreLimits>) -> (u32, hotfoot::Error) {
    let mut made = 0;
    loop {
        match ExternRef::new(&mut *store, made) {
            Ok(_) => made += 1,
            Err(error) => return (made, error),
        }
    }
}

#[test]
fn a_full_heap_is_an_error() {
    let engine = Engine::default();
    for bytes in [128 << 10, 1 << 20, 3 << 20] {
        let mut store = limited(&engine, bytes);
        let (made, error) = fill(&mut store);
        assert_eq!(made as usize, bytes / 2 / 8, "half of the heap can be in use");
        assert_eq!(error.downcast::<GcHeapOutOfMemory<u32>>().unwrap().into_inner(), made);
        assert_eq!(store.gc_heap_capacity(), bytes);
        assert!(fill(&mut store).0 == 0, "and stays one");
    }
    let (made, _) = fill(&mut limited(&engine, (128 << 10) - 1));
    assert_eq!(made, 0, "the smallest heap does not fit");
    let mut store = limited(&engine, 1 << 20);
    let scope = RootScope::new(&mut store);
    drop(scope);
    for _ in 0..3 {
        let mut scope = RootScope::new(&mut store);
        for number in 0..60_000 {
            ExternRef::new(&mut scope, number).unwrap();
        }
    }
}

#[test]
fn the_reservation_is_a_limit() {
    for reservation in [(1 << 20) - 1, (1 << 32) + 1] {
        let error = Engine::new(Config::new().gc_heap_reservation(reservation)).unwrap_err();
        assert!(error.to_string().contains(&reservation.to_string()), "{error}");
    }
    let engine = Engine::new(Config::new().gc_heap_reservation(1 << 20)).unwrap();
    let mut store = Store::new(&engine, StoreLimits::default());
    let (made, error) = fill(&mut store);
    assert!(error.is::<GcHeapOutOfMemory<u32>>(), "{error}");
    assert_eq!(made, 7 * 65536 / 8, "a guard at the start and then two equal spaces of whole pages");
}

#[test]
fn a_limiter_may_end_the_guest_instead() {
    let engine = Engine::default();
    let limits = StoreLimitsBuilder::new().memory_size(256 << 10).trap_on_grow_failure(true).build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    let (made, error) = fill(&mut store);
    assert_eq!(made, 128 << 7);
    assert!(error.to_string().contains("forcing trap"), "{error}");
}

#[test]
fn a_store_begins_without_the_objects_of_the_one_before() {
    let engine = Engine::default();
    let count = Arc::new(AtomicUsize::new(0));
    let mut old = None;
    for round in 0..5 {
        let mut store = Store::new(&engine, ());
        assert_eq!(store.gc_heap_capacity(), 0);
        let values: Vec<_> = (0..100_000 * round)
            .map(|number| ExternRef::new(&mut store, Counted::new(&count, number)).unwrap())
            .collect();
        if let Some(old) = old.replace(ExternRef::new(&mut store, 1).unwrap()) {
            assert!(old.data(&store).is_err());
        }
        for at in [0, values.len() / 2, values.len().saturating_sub(1)] {
            if let Some(value) = values.get(at) {
                assert_eq!(number(&mut store, value), at as u32);
            }
        }
        drop(store);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn instances_without_references_need_no_heap() {
    let mut store = Store::new(&Engine::default(), ());
    let text = r#"(module (tag $t (param i32))
        (func (export "f") (block $h (result i32) (try_table (catch $t $h) (throw $t (i32.const 1))) (unreachable)) (drop)))"#;
    let instance: Instance = instantiate(&mut store, text, &[]);
    instance.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()).unwrap();
    store.gc(None).unwrap();
    assert_eq!(store.gc_heap_capacity(), 0);
}
