//! Fuel and epochs: what they cost, where they stop a guest, and what the host can do about it.

use hotfoot::{
    CallHook, Caller, Config, Engine, Func, FuncType, Instance, Linker, OptLevel, Store, Tag, TagType, Trap,
    UpdateDeadline, Val, ValType,
};

use super::{call, compile, instantiate};

const COUNT: &str = r#"(module
    (memory 1)
    (func (export "leaf") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "count") (param i32)
        (loop $again
            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
            (br_if $again (local.get 0))))
    (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                           (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func $tail (export "tail") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 9))))
        (return_call $tail (i32.sub (local.get 0) (i32.const 1))))
    (func $forever (export "forever") (return_call $forever))
    (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 7) (local.get 0)))
    (func (export "trap") (drop (i32.load (i32.const -1))))
    (func (export "deep") (param i32) (result i32)
        (block (br_if 0 (local.get 0)) (return (i32.const 1)))
        (i32.const 2)))"#;

/// Every way of generating code that could change what fuel is counted where.
fn engines() -> Vec<Engine> {
    let mut engines = Vec::new();
    for level in [OptLevel::None, OptLevel::Speed, OptLevel::SpeedAndSize] {
        for signals in [true, false] {
            let mut config = Config::new();
            config.cranelift_opt_level(level).signals_based_traps(signals).consume_fuel(true);
            engines.push(Engine::new(&config).unwrap());
        }
    }
    engines
}

fn fuelled(engine: &Engine, fuel: u64) -> (Store<()>, Instance) {
    let mut store = Store::new(engine, ());
    store.set_fuel(fuel).unwrap();
    let instance = instantiate(&mut store, COUNT, &[]);
    (store, instance)
}

fn trap(error: &hotfoot::Error) -> Trap {
    *error.downcast_ref::<Trap>().unwrap_or_else(|| panic!("not a trap: {error:?}"))
}

/// Counted by hand: each operator costs one, except those that only nest.
#[test]
fn what_a_program_costs_is_known() {
    let costs: [(&str, i32, u64); 7] = [
        ("leaf", 1, 3),
        ("count", 1, 6),
        ("count", 10, 60),
        ("tail", 0, 4),
        ("deep", 0, 3),
        ("deep", 1, 3),
        ("fib", 1, 5),
    ];
    for engine in engines() {
        for (name, argument, cost) in costs {
            for (fuel, enough) in [(cost, true), (cost - 1, false), (0, false), (cost + 1, true), (u64::MAX, true)] {
                let (mut store, instance) = fuelled(&engine, fuel);
                let func = instance.get_func(&mut store, name).unwrap();
                let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
                let outcome = func.call(&mut store, &[Val::I32(argument)], &mut results);
                let case = format!("{name}({argument}) with {fuel}");
                match outcome {
                    Ok(()) => assert!(enough, "{case}"),
                    Err(error) => {
                        assert!(!enough, "{case}: {error:?}");
                        assert_eq!(trap(&error), Trap::OutOfFuel, "{case}");
                    }
                }
                assert_eq!(store.get_fuel().unwrap(), fuel.saturating_sub(cost), "{case}");
            }
        }
    }
}

#[test]
fn every_endless_guest_runs_out_of_fuel() {
    for engine in engines() {
        let (mut store, instance) = fuelled(&engine, 10_000);
        for (name, argument) in [("count", 0), ("fib", 40), ("tail", -1)] {
            store.set_fuel(10_000).unwrap();
            let func = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
            let error = func.call(&mut store, &[Val::I32(argument)], &mut results).unwrap_err();
            assert_eq!(trap(&error), Trap::OutOfFuel, "{name}");
            assert_eq!(store.get_fuel().unwrap(), 0);
            let again = func.call(&mut store, &[Val::I32(argument)], &mut results).unwrap_err();
            assert_eq!(trap(&again), Trap::OutOfFuel, "nothing is left");
        }
        store.set_fuel(10_000).unwrap();
        let error = call::<_, (), ()>(&mut store, instance, "forever", ()).unwrap_err();
        assert_eq!(trap(&error), Trap::OutOfFuel);
    }
}

#[test]
fn bulk_work_is_paid_by_the_byte() {
    for engine in engines() {
        let (mut store, instance) = fuelled(&engine, 100_000);
        call::<_, i32, ()>(&mut store, instance, "fill", 60_000).unwrap();
        assert_eq!(store.get_fuel().unwrap(), 100_000 - 60_000 - 4);
        let error = call::<_, i32, ()>(&mut store, instance, "fill", 60_000).unwrap_err();
        assert_eq!(trap(&error), Trap::OutOfFuel);
        store.set_fuel(100).unwrap();
        let error = call::<_, i32, ()>(&mut store, instance, "fill", 70_000).unwrap_err();
        assert_eq!(trap(&error), Trap::MemoryOutOfBounds, "what does not happen is not paid for");
    }
}

/// Costs one.
const ONE: &str = "(drop (i32.const 0))";

/// What was consumed before a trap stays consumed, whether the trap is a signal or a check, up to where the straight run
/// of operators begins in which it is. Counted by hand, for the arguments 0 to 3.
const TRAPS: [(&str, [u64; 4]); 9] = [
    ("(drop (i32.load (i32.const -1)))", [0, 0, 0, 0]),
    ("(if (local.get 0) (then (one) (one))) (drop (i32.load (i32.const -1)))", [2, 4, 4, 4]),
    ("(if (local.get 0) (then (one)) (else (one) (one) (one))) (drop (i32.load (i32.const -1)))", [5, 3, 3, 3]),
    (
        "(if (local.get 0) (then (one)) (else (one) (one) (one))) (drop (i32.div_u (i32.const 1) (i32.const 0)))",
        [5, 3, 3, 3],
    ),
    ("(block (br_if 0 (local.get 0)) (one) (one)) (unreachable)", [4, 2, 2, 2]),
    (
        "(block (block (block (br_table 0 1 2 (local.get 0))) (one) (br 1)) (one) (one) (one))
        (i32.store8 (i32.const -1) (i32.const 0))",
        [4, 5, 2, 2],
    ),
    (
        "(loop (drop (i32.load (i32.sub (local.get 0) (i32.const 1)))) (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0))",
        [0, 9, 18, 27],
    ),
    ("(call $inlined (local.get 0)) (drop (i32.load (i32.const -1)))", [6, 8, 8, 8]),
    (
        "(block (br_if 0 (i32.eq (local.get 0) (i32.const 3))) (br_if 0 (i32.eq (local.get 0) (i32.const 2))) (one)
        (br_if 0 (local.get 0)) (one)) (drop (i32.load (i32.const -1)))",
        [12, 11, 8, 4],
    ),
];

#[test]
fn a_trap_keeps_the_fuel() {
    for engine in engines() {
        for (body, costs) in TRAPS {
            let text = format!(
                r#"(module (memory 1) (func (export "f") (param i32) {body})
                (func $inlined (param i32) (if (local.get 0) (then (one) (one))) (one) (one)))"#
            );
            let text = text.replace("(one)", ONE);
            for (argument, cost) in (0..).zip(costs) {
                let mut store = Store::new(&engine, ());
                store.set_fuel(1_000).unwrap();
                let instance = instantiate(&mut store, &text, &[]);
                let error = call::<_, i32, ()>(&mut store, instance, "f", argument).unwrap_err();
                assert_ne!(trap(&error), Trap::OutOfFuel);
                assert_eq!(1_000 - store.get_fuel().unwrap(), cost, "{body} of {argument}");
            }
        }
    }
}

/// The number of an access's trap says what fuel is owed, up to 226: what is more is paid before.
#[test]
fn an_access_owes_as_much_as_its_number_can_say_or_more() {
    for engine in engines() {
        for operators in [220, 223, 224, 225, 226, 227, 300] {
            let run = ONE.repeat(operators);
            let text = format!(
                r#"(module (memory 1) (func (export "f") (param i32)
                (if (local.get 0) (then {run})) (drop (i32.load (local.get 0)))))"#
            );
            for (argument, cost) in [(0, 4), (-1, 2 + operators as u64)] {
                let mut store = Store::new(&engine, ());
                store.set_fuel(1_000).unwrap();
                let instance = instantiate(&mut store, &text, &[]);
                assert_eq!(call::<_, i32, ()>(&mut store, instance, "f", argument).is_ok(), argument == 0);
                assert_eq!(1_000 - store.get_fuel().unwrap(), cost, "{operators} operators, {argument}");
            }
        }
    }
}

#[test]
fn a_host_function_sees_and_sets_fuel() {
    for engine in engines() {
        let mut store = Store::new(&engine, Vec::new());
        store.set_fuel(1_000).unwrap();
        let look = Func::wrap(&mut store, |mut caller: Caller<'_, Vec<u64>>| -> hotfoot::Result<()> {
            let fuel = caller.get_fuel()?;
            caller.data_mut().push(fuel);
            caller.set_fuel(500)
        });
        let text = r#"(module (import "" "" (func $look))
            (func (export "f") (drop (i32.const 1)) (call $look) (drop (i32.const 2)) (call $look)))"#;
        let instance = instantiate(&mut store, text, &[look.into()]);
        call::<_, (), ()>(&mut store, instance, "f", ()).unwrap();
        assert_eq!(*store.data(), [998, 498]);
        assert_eq!(store.get_fuel().unwrap(), 500);
    }
}

/// The host calls the guest back: what the inner call consumes is missing outside.
#[test]
fn nested_calls_share_the_fuel() {
    for engine in engines() {
        let mut store = Store::new(&engine, None);
        store.set_fuel(1_000).unwrap();
        let again = Func::wrap(&mut store, |mut caller: Caller<'_, Option<Func>>| -> hotfoot::Result<()> {
            let inner = caller.data().unwrap();
            inner.call(&mut caller, &[Val::I32(10)], &mut [])
        });
        let text = r#"(module (import "" "" (func $again))
            (func (export "outer") (call $again) (call $again))
            (func (export "inner") (param i32)
                (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0)))))"#;
        let instance = instantiate(&mut store, text, &[again.into()]);
        *store.data_mut() = instance.get_func(&mut store, "inner");
        call::<_, (), ()>(&mut store, instance, "outer", ()).unwrap();
        assert_eq!(store.get_fuel().unwrap(), 1_000 - 2 - 2 * 60);
    }
}

/// A handler runs with the fuel that the throw left.
#[test]
fn an_exception_carries_the_fuel_along() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let ty = FuncType::new(&engine, [ValType::I32], []);
        let tag = Tag::new(&mut store, &TagType::new(ty)).unwrap();
        let throw = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>| -> hotfoot::Result<()> {
            caller.set_fuel(700)?;
            Err(hotfoot::ThrownException::new(&mut caller, &tag, &[Val::I32(5)])?.into())
        });
        let text = r#"(module (import "" "tag" (tag $t (param i32))) (import "" "throw" (func $throw))
            (func $raise (throw $t (i32.const 3)))
            (func (export "own") (result i32)
                (block $h (result i32) (try_table (catch $t $h) (call $raise)) (i32.const 0)))
            (func (export "host") (result i32)
                (block $h (result i32) (try_table (catch $t $h) (call $throw)) (i32.const 0))))"#;
        let instance = instantiate(&mut store, text, &[tag.into(), throw.into()]);
        store.set_fuel(1_000).unwrap();
        assert_eq!(call::<_, (), i32>(&mut store, instance, "own", ()).unwrap(), 3);
        assert_eq!(store.get_fuel().unwrap(), 1_000 - 3);
        assert_eq!(call::<_, (), i32>(&mut store, instance, "host", ()).unwrap(), 5);
        assert_eq!(store.get_fuel().unwrap(), 700);
    }
}

#[test]
fn fuel_needs_its_setting() {
    let mut store = Store::new(&Engine::default(), ());
    for error in [store.get_fuel().unwrap_err(), store.set_fuel(1).unwrap_err()] {
        assert!(error.to_string().contains("Config::consume_fuel"), "{error}");
    }
}

/// A store that was used before begins without fuel, deadline, callback and hook.
#[test]
fn a_new_store_has_nothing_of_the_last() {
    let engine = Engine::new(Config::new().consume_fuel(true).epoch_interruption(true)).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_fuel(1_000).unwrap();
    store.set_epoch_deadline(1_000);
    store.epoch_deadline_callback(|_| panic!("called for another store"));
    store.call_hook(|_, _| panic!("called for another store"));
    drop(store);
    let mut store = Store::new(&engine, ());
    assert_eq!(store.get_fuel().unwrap(), 0);
    let instance = instantiate(&mut store, COUNT, &[]);
    let error = call::<_, i32, i32>(&mut store, instance, "leaf", 1).unwrap_err();
    assert_eq!(trap(&error), Trap::OutOfFuel);
    store.set_fuel(1_000).unwrap();
    let error = call::<_, i32, ()>(&mut store, instance, "count", 5).unwrap_err();
    assert_eq!(trap(&error), Trap::Interrupt, "the deadline of a new store has passed");
}

fn epochs() -> Engine {
    Engine::new(Config::new().epoch_interruption(true)).unwrap()
}

#[test]
fn a_guest_stops_at_the_deadline_and_not_before() {
    let engine = epochs();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(3);
    let instance = instantiate(&mut store, COUNT, &[]);
    for _ in 0..2 {
        engine.increment_epoch();
        call::<_, i32, ()>(&mut store, instance, "count", 10).unwrap();
    }
    engine.increment_epoch();
    let error = call::<_, i32, ()>(&mut store, instance, "count", 10).unwrap_err();
    assert_eq!(trap(&error), Trap::Interrupt);
    store.set_epoch_deadline(u64::MAX);
    call::<_, i32, ()>(&mut store, instance, "count", 10).unwrap();
}

#[test]
fn every_endless_guest_meets_the_deadline() {
    let engine = epochs();
    let module = compile(&engine, COUNT);
    for (name, argument) in [("count", Some(0)), ("tail", Some(-1)), ("forever", None)] {
        let (engine, module) = (engine.clone(), module.clone());
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let func = instance.get_func(&mut store, name).unwrap();
        let ticker = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(5));
            engine.increment_epoch();
        });
        let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
        let params: Vec<Val> = argument.map(Val::I32).into_iter().collect();
        let error = func.call(&mut store, &params, &mut results).unwrap_err();
        assert_eq!(trap(&error), Trap::Interrupt, "{name}");
        ticker.join().unwrap();
    }
}

#[test]
fn a_callback_decides_at_the_deadline() {
    let engine = epochs();
    let mut store = Store::new(&engine, 0);
    store.epoch_deadline_callback(|mut store| {
        *store.data_mut() += 1;
        match *store.data() {
            1..=4 => Ok(UpdateDeadline::Continue(0)),
            5 => Ok(UpdateDeadline::Interrupt),
            6 => anyhow::bail!("enough"),
            _ => panic!("too much"),
        }
    });
    let instance = instantiate(&mut store, COUNT, &[]);
    let error = call::<_, i32, ()>(&mut store, instance, "count", 0).unwrap_err();
    assert_eq!(trap(&error), Trap::Interrupt);
    assert_eq!(*store.data(), 5);
    let error = call::<_, i32, ()>(&mut store, instance, "count", 0).unwrap_err();
    assert!(format!("{error:?}").contains("enough"), "{error:?}");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = call::<_, i32, ()>(&mut store, instance, "count", 0);
    }));
    assert!(panicked.is_err());
    store.epoch_deadline_trap();
    let error = call::<_, i32, ()>(&mut store, instance, "count", 0).unwrap_err();
    assert_eq!(trap(&error), Trap::Interrupt);
}

#[test]
fn a_call_hook_sees_every_crossing() {
    use CallHook::{CallingHost, CallingWasm, ReturningFromHost, ReturningFromWasm};
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "host", |fail: i32| if fail == 0 { Ok(()) } else { Err(anyhow::anyhow!("failed")) }).unwrap();
    let module = compile(
        &engine,
        r#"(module (import "" "host" (func $host (param i32)))
            (func (export "f") (param i32) (call $host (local.get 0))))"#,
    );
    let mut store = Store::new(&engine, Vec::new());
    store.call_hook(|mut store, hook| {
        assert_ne!(hook.entering_host(), hook.exiting_host());
        store.data_mut().push(hook);
        anyhow::ensure!(store.data().len() != 9, "refused");
        Ok(())
    });
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let all = [CallingWasm, CallingHost, ReturningFromHost, ReturningFromWasm];
    call::<_, i32, ()>(&mut store, instance, "f", 0).unwrap();
    assert_eq!(store.data()[..], all);
    assert!(call::<_, i32, ()>(&mut store, instance, "f", 1).is_err());
    assert_eq!(store.data()[4..], all, "also when the host fails");
    let error = call::<_, i32, ()>(&mut store, instance, "f", 0).unwrap_err();
    assert!(format!("{error:?}").contains("refused"), "{error:?}");
    assert_eq!(store.data()[8..], [CallingWasm], "a refused call does not happen");
}
