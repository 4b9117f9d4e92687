//! Limits of a store: refusals, errors and panics of a limiter, for growth and for what instances begin with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hotfoot::{
    Engine, Error, Instance, Memory, MemoryType, Module, Ref, RefType, ResourceLimiter, Result, Store, StoreLimits,
    StoreLimitsBuilder, Table, TableType,
};

use super::{call, compile, engines, instantiate};

const GROWS: &str = r#"(module (memory (export "m") 1) (table (export "t") 1 funcref)
    (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;

const PAGE: usize = 1 << 16;

fn limited(engine: &Engine, limits: StoreLimits) -> Store<StoreLimits> {
    let mut store = Store::new(engine, limits);
    store.limiter(|limits| limits);
    store
}

#[test]
fn growth_stops_at_the_limit_and_not_before() {
    for (kind, engine) in engines() {
        let mut store = limited(&engine, StoreLimitsBuilder::new().memory_size(5 * PAGE).table_elements(7).build());
        let instance = instantiate(&mut store, GROWS, &[]);
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 5).unwrap(), -1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 4).unwrap(), 1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap(), -1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "table", 7).unwrap(), -1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "table", 6).unwrap(), 1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "table", 1).unwrap(), -1, "{kind}");
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let table = instance.get_table(&mut store, "t").unwrap();
        assert!(memory.grow(&mut store, 1).is_err() && table.grow(&mut store, 1, Ref::Func(None)).is_err(), "{kind}");
        assert_eq!((memory.size(&store), table.size(&store)), (5, 7), "{kind}");
    }
}

#[test]
fn growth_past_the_limit_can_trap() {
    let limits = StoreLimitsBuilder::new().memory_size(PAGE).table_elements(1).trap_on_grow_failure(true).build();
    let mut store = limited(&Engine::default(), limits);
    let instance = instantiate(&mut store, GROWS, &[]);
    for export in ["memory", "table"] {
        let error = call::<_, i32, i32>(&mut store, instance, export, 1).unwrap_err();
        assert!(format!("{error:#}").contains(export), "{error:#}");
        assert!(call::<_, i32, i32>(&mut store, instance, export, 0).is_ok());
    }
}

#[test]
fn what_instances_begin_with_is_limited_too() {
    for (what, limits) in [
        ("memory", StoreLimitsBuilder::new().memory_size(PAGE - 1)),
        ("table", StoreLimitsBuilder::new().table_elements(0)),
        ("memories", StoreLimitsBuilder::new().memories(0)),
        ("tables", StoreLimitsBuilder::new().tables(0)),
        ("instances", StoreLimitsBuilder::new().instances(0)),
    ] {
        let mut store = limited(&Engine::default(), limits.build());
        let module = compile(&store.engine().clone(), GROWS);
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
        *store.data_mut() = StoreLimits::default();
        Instance::new(&mut store, &module, &[]).unwrap();
    }
}

#[test]
fn what_the_host_makes_is_limited_too() {
    let mut store = limited(&Engine::default(), StoreLimitsBuilder::new().memory_size(PAGE).table_elements(3).build());
    assert!(Memory::new(&mut store, MemoryType::new(2, None)).is_err());
    assert!(Memory::new(&mut store, MemoryType::new(1, None)).is_ok());
    let ty = |elements| TableType::new(RefType::FUNCREF, elements, None);
    assert!(Table::new(&mut store, ty(4), Ref::Func(None)).is_err());
    assert!(Table::new(&mut store, ty(3), Ref::Func(None)).is_ok());
}

#[test]
fn counts_stop_at_the_limit_and_not_before() {
    let engine = Engine::default();
    let limits = StoreLimitsBuilder::new().instances(4).memories(3).tables(100).build();
    let mut store = limited(&engine, limits);
    let (with_memory, without) = (compile(&engine, "(module (memory 0))"), compile(&engine, "(module)"));
    for _ in 0..3 {
        Instance::new(&mut store, &with_memory, &[]).unwrap();
    }
    assert!(Instance::new(&mut store, &with_memory, &[]).is_err());
    Instance::new(&mut store, &without, &[]).unwrap();
    assert!(Instance::new(&mut store, &without, &[]).is_err());
}

/// The parts of an instance that could not be made must not count against those that come later. They once did: each
/// failed attempt left its memories behind until the store was dropped.
#[test]
fn a_failed_instantiation_gives_back_what_it_took() {
    let engine = Engine::default();
    let mut store = limited(&engine, StoreLimitsBuilder::new().memories(2).tables(2).table_elements(5).build());
    let too_large = compile(&engine, "(module (memory 1) (memory 1) (table 1 funcref) (table 6 funcref))");
    for _ in 0..50 {
        let error = Instance::new(&mut store, &too_large, &[]).unwrap_err();
        assert!(error.to_string().contains("table that the module starts with"), "{error}");
    }
    let fits = compile(&engine, "(module (memory 1) (memory 1) (table 1 funcref) (table 5 funcref))");
    Instance::new(&mut store, &fits, &[]).unwrap();
}

/// What a limiter was asked, and what it does next.
#[derive(Default)]
struct Recorder {
    asked: Vec<(&'static str, usize, usize, Option<usize>)>,
    failures: usize,
    answer: Answer,
}

#[derive(Copy, Clone, Default)]
enum Answer {
    #[default]
    Yes,
    No,
    Error,
    Panic,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("not today")]
struct NotToday;

impl Recorder {
    fn answer(&mut self, what: &'static str, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.asked.push((what, current, desired, maximum));
        match self.answer {
            Answer::Yes => Ok(true),
            Answer::No => Ok(false),
            Answer::Error => Err(NotToday.into()),
            Answer::Panic => std::panic::panic_any(NotToday),
        }
    }
}

impl ResourceLimiter for Recorder {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.answer("memory", current, desired, maximum)
    }

    fn memory_grow_failed(&mut self, _: Error) -> Result<()> {
        self.failures += 1;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.answer("table", current, desired, maximum)
    }
}

fn recording(engine: &Engine) -> (Store<Recorder>, Instance) {
    let mut store = Store::new(engine, Recorder::default());
    store.limiter(|recorder| recorder);
    let instance = instantiate(
        &mut store,
        r#"(module (memory (export "m") 1 9) (table (export "t") 2 8 funcref)
            (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#,
        &[],
    );
    (store, instance)
}

#[test]
fn a_limiter_is_asked_once_with_the_right_numbers() {
    for (kind, engine) in engines() {
        let (mut store, instance) = recording(&engine);
        call::<_, i32, i32>(&mut store, instance, "memory", 2).unwrap();
        call::<_, i32, i32>(&mut store, instance, "table", 3).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        memory.grow(&mut store, 1).unwrap();
        let asked = [
            ("memory", 0, PAGE, Some(9 * PAGE)),
            ("table", 0, 2, Some(8)),
            ("memory", PAGE, 3 * PAGE, Some(9 * PAGE)),
            ("table", 2, 5, Some(8)),
            ("memory", 3 * PAGE, 4 * PAGE, Some(9 * PAGE)),
        ];
        assert_eq!(store.data().asked, asked, "{kind}");
    }
}

#[test]
fn a_refusal_an_error_and_a_panic_of_a_limiter() {
    for (kind, engine) in engines() {
        let (mut store, instance) = recording(&engine);
        for export in ["memory", "table"] {
            store.data_mut().answer = Answer::No;
            assert_eq!(call::<_, i32, i32>(&mut store, instance, export, 1).unwrap(), -1, "{kind}");
            store.data_mut().answer = Answer::Error;
            let error = call::<_, i32, i32>(&mut store, instance, export, 1).unwrap_err();
            assert_eq!(error.downcast_ref::<NotToday>(), Some(&NotToday), "{kind}");
            store.data_mut().answer = Answer::Panic;
            let run = AssertUnwindSafe(|| call::<_, i32, i32>(&mut store, instance, export, 1));
            assert_eq!(catch_unwind(run).unwrap_err().downcast_ref(), Some(&NotToday), "{kind}");
            store.data_mut().answer = Answer::Yes;
            assert!(call::<_, i32, i32>(&mut store, instance, export, 1).unwrap() > 0, "{kind}");
        }
        let memory = instance.get_memory(&mut store, "m").unwrap();
        store.data_mut().answer = Answer::Error;
        assert!(memory.grow(&mut store, 1).unwrap_err().is::<NotToday>(), "{kind}");
    }
}

#[test]
fn an_error_and_a_panic_of_a_limiter_while_instantiating() {
    let engine = Engine::default();
    let module: Module = compile(&engine, GROWS);
    let mut store = Store::new(&engine, Recorder::default());
    store.limiter(|recorder| recorder);
    for _ in 0..3 {
        store.data_mut().answer = Answer::Error;
        assert!(Instance::new(&mut store, &module, &[]).unwrap_err().is::<NotToday>());
        store.data_mut().answer = Answer::Panic;
        assert!(catch_unwind(AssertUnwindSafe(|| Instance::new(&mut store, &module, &[]))).is_err());
        store.data_mut().answer = Answer::Yes;
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap(), 1);
    }
}

#[test]
fn a_limiter_hears_of_growth_that_the_host_refuses() {
    let engine = Engine::new(hotfoot::Config::new().memory_reservation(2 << 16).memory_may_move(false)).unwrap();
    let (mut store, instance) = recording(&engine);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap(), 1);
    assert_eq!(store.data().failures, 0);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap(), -1);
    assert_eq!(store.data().failures, 1);
}

#[test]
fn one_budget_is_for_everything_in_a_store() {
    let mut store = limited(&Engine::default(), StoreLimitsBuilder::new().total_size(4 * PAGE).build());
    let instance = instantiate(&mut store, GROWS, &[]);
    let mut grow = |what, by| call::<_, i32, i32>(&mut store, instance, what, by).unwrap();
    assert_eq!(grow("memory", 2), 1);
    // The table has one element of eight bytes.
    assert_eq!(grow("memory", 1), -1);
    let rest = PAGE as i32 / 8 - 1;
    assert_eq!(grow("table", rest + 1), -1);
    assert_eq!(grow("table", rest), 1);
    assert_eq!(grow("table", 1), -1);
    assert!(Memory::new(&mut store, MemoryType::new(1, None)).is_err());
    assert!(Memory::new(&mut store, MemoryType::new(0, None)).is_ok());
    let mut store = limited(&Engine::default(), StoreLimitsBuilder::new().total_size(1000).build());
    assert!(hotfoot::ExternRef::new(&mut store, 5).is_err(), "a heap takes more");
    let limits = StoreLimitsBuilder::new().total_size(PAGE + 8).trap_on_grow_failure(true).build();
    let mut store = limited(&Engine::default(), limits);
    let instance = instantiate(&mut store, GROWS, &[]);
    let error = call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap_err();
    assert!(error.root_cause().to_string().contains("65544 of the 65544 bytes"), "{error:?}");
}

#[test]
fn what_the_host_could_not_give_is_not_counted() {
    let engine = Engine::new(hotfoot::Config::new().memory_reservation(2 << 16).memory_may_move(false)).unwrap();
    let mut store = limited(&engine, StoreLimitsBuilder::new().total_size(9 * PAGE).build());
    let instance = instantiate(&mut store, GROWS, &[]);
    for _ in 0..20 {
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 5).unwrap(), -1);
    }
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "memory", 1).unwrap(), 1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "table", 7 * (PAGE as i32) / 8 - 1).unwrap(), 1);
}
