//! Host → guest → host → guest: what a host function may do with the store that called it.

use hotfoot::{
    Caller, Engine, Extern, Func, FuncType, Instance, Linker, Memory, MemoryType, Module, Ref, RefType, Result, Store,
    Table, TableType, Trap, Val, ValType, WasmBacktrace,
};

use super::{call, compile, engines, instantiate};

#[test]
fn a_recursion_through_the_host_counts_right() {
    for (kind, engine) in engines() {
        let mut linker: Linker<u64> = Linker::new(&engine);
        linker
            .func_wrap("host", "down", |mut caller: Caller<'_, u64>, depth: i32| -> Result<i32> {
                *caller.data_mut() += 1;
                let Some(Extern::Func(run)) = caller.get_export("run") else { panic!("the guest exports `run`") };
                run.typed::<i32, i32>(&caller)?.call(&mut caller, depth - 1)
            })
            .unwrap();
        let module = compile(
            &engine,
            r#"(module (import "host" "down" (func $down (param i32) (result i32)))
                (func (export "run") (param i32) (result i32)
                    (if (result i32) (local.get 0)
                        (then (i32.add (local.get 0) (call $down (local.get 0))))
                        (else (i32.const 0)))))"#,
        );
        let mut store = Store::new(&engine, 0);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "run", 40).unwrap(), 820, "{kind}");
        assert_eq!(*store.data(), 40, "{kind}");
    }
}

/// A host function may instantiate, define, grow and call while its guest waits: nothing that the guest has in its
/// registers may be wrong afterwards.
#[test]
fn a_host_function_changes_the_store_under_a_waiting_guest() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, Some(100))).unwrap();
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).unwrap();
        let other = Module::new(
            &engine,
            r#"(module (memory 3) (table 5 funcref) (func (export "seven") (result i32) (i32.const 7)))"#,
        )
        .unwrap();
        let change = Func::wrap(&mut store, move |mut caller: Caller<'_, ()>| -> Result<i32> {
            memory.grow(&mut caller, 2)?;
            let size = memory.data_size(&caller);
            memory.write(&mut caller, size - 4, &77u32.to_le_bytes())?;
            for _ in 0..5 {
                let instance = Instance::new(&mut caller, &other, &[])?;
                let seven = instance.get_func(&mut caller, "seven").unwrap();
                table.grow(&mut caller, 1, seven.into())?;
                let _ = Func::wrap(&mut caller, || ());
            }
            table.set(&mut caller, 0, Ref::Func(None))?;
            Ok(size as i32)
        });
        let text = r#"(module
            (import "" "change" (func $change (result i32)))
            (import "" "memory" (memory 1)) (import "" "table" (table 1 funcref))
            (func (export "run") (result i32) (local $end i32)
                (i32.store (i32.const 0) (i32.const 5))
                (local.set $end (call $change))
                (i32.store (i32.const 4) (memory.size))
                (i32.add
                    (i32.add (i32.load (i32.sub (local.get $end) (i32.const 4))) (i32.load (i32.const 0)))
                    (call_indirect (result i32) (i32.sub (table.size) (i32.const 1))))))"#;
        let instance = instantiate(&mut store, text, &[change.into(), memory.into(), table.into()]);
        for round in 1..=3u64 {
            assert_eq!(call::<_, (), i32>(&mut store, instance, "run", ()).unwrap(), 77 + 5 + 7, "{kind}");
            let pages = u32::from_le_bytes(memory.data(&store)[4..8].try_into().unwrap());
            assert_eq!(u64::from(pages), memory.size(&store), "{kind}");
            assert_eq!((memory.size(&store), table.size(&store)), (1 + 2 * round, 1 + 5 * round), "{kind}");
        }
    }
}

#[test]
fn two_stores_interleave_on_one_thread() {
    let engine = Engine::default();
    let module = compile(
        &engine,
        r#"(module (import "" "" (func $f (param i32) (result i32)))
            (func $a (export "run") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then unreachable))
                (call $f (i32.sub (local.get 0) (i32.const 1)))))"#,
    );
    /// A guest in a store of its own, which calls a guest in a store of its own, …
    fn nest(engine: &Engine, module: &Module, depth: i32) -> Result<i32> {
        let mut store = Store::new(engine, ());
        let (inner_engine, inner_module) = (engine.clone(), module.clone());
        let f = Func::wrap(&mut store, move |left: i32| nest(&inner_engine, &inner_module, left));
        let instance = Instance::new(&mut store, module, &[f.into()])?;
        let result = call::<_, i32, i32>(&mut store, instance, "run", depth);
        assert!(result.is_err());
        result
    }
    for _ in 0..2 {
        let error = nest(&engine, &module, 5).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
        let frames = error.downcast_ref::<WasmBacktrace>().unwrap().frames();
        assert_eq!(frames.len(), 1, "the backtrace is that of the store in which it trapped");
    }
}

#[test]
fn a_host_function_sees_the_guests_below_it() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, Vec::new());
    assert!(WasmBacktrace::capture(&mut store).frames().is_empty());
    let look = Func::wrap(&mut store, |mut caller: Caller<'_, Vec<String>>| {
        let backtrace = WasmBacktrace::capture(&mut caller);
        let names = backtrace.frames().iter().map(|frame| frame.func_name().unwrap().to_string()).collect();
        *caller.data_mut() = names;
    });
    let again = Func::wrap(&mut store, move |mut caller: Caller<'_, Vec<String>>| {
        let Some(Extern::Func(inner)) = caller.get_export("inner") else { panic!("the guest exports `inner`") };
        inner.call(&mut caller, &[], &mut [])
    });
    let instance = instantiate(
        &mut store,
        r#"(module (import "" "look" (func $look)) (import "" "again" (func $again))
            (func $leaf (call $look)) (func $inner (export "inner") (call $leaf))
            (func $outer (export "outer") (call $again)))"#,
        &[look.into(), again.into()],
    );
    call::<_, (), ()>(&mut store, instance, "outer", ()).unwrap();
    assert_eq!(*store.data(), ["leaf", "inner", "outer"]);
    call::<_, (), ()>(&mut store, instance, "inner", ()).unwrap();
    assert_eq!(*store.data(), ["leaf", "inner"]);
    look.call(&mut store, &[], &mut []).unwrap();
    assert!(store.data().is_empty(), "no guest is running: {:?}", store.data());
    assert!(WasmBacktrace::capture(&mut store).frames().is_empty());
}

/// A trap below a host function that goes on must not disturb what the host function's own guest does next.
#[test]
fn a_trap_inside_is_handled_outside_and_the_outer_guest_goes_on() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let attempt = Func::wrap(&mut store, |mut caller: Caller<'_, ()>, which: i32| {
            let Some(Extern::Func(bad)) = caller.get_export("bad") else { panic!("the guest exports `bad`") };
            let error = bad.call(&mut caller, &[Val::I32(which)], &mut []).unwrap_err();
            *error.downcast_ref::<Trap>().unwrap() as i32
        });
        let instance = instantiate(
            &mut store,
            r#"(module (import "" "attempt" (func $attempt (param i32) (result i32))) (memory 1)
                (func $forever (call $forever))
                (func (export "bad") (param i32)
                    (block $d (block $c (block $b (block $a (br_table $a $b $c $d (local.get 0)))
                        unreachable)
                        (drop (i32.div_u (i32.const 1) (i32.const 0))))
                        (drop (i32.load (i32.const 65536))))
                    (call $forever))
                (func (export "run") (result i32 f64)
                    (local $sum i32) (local $keep f64)
                    (local.set $keep (f64.const 1.5))
                    (local.set $sum (call $attempt (i32.const 0)))
                    (local.set $sum (i32.add (local.get $sum) (call $attempt (i32.const 1))))
                    (local.set $sum (i32.add (local.get $sum) (call $attempt (i32.const 2))))
                    (local.set $sum (i32.add (local.get $sum) (call $attempt (i32.const 3))))
                    (local.get $sum) (local.get $keep)))"#,
            &[attempt.into()],
        );
        let traps =
            [Trap::UnreachableCodeReached, Trap::IntegerDivisionByZero, Trap::MemoryOutOfBounds, Trap::StackOverflow];
        let sum = traps.iter().map(|trap| *trap as i32).sum();
        for _ in 0..3 {
            assert_eq!(call::<_, (), (i32, f64)>(&mut store, instance, "run", ()).unwrap(), (sum, 1.5), "{kind}");
        }
    }
}

/// The values of such calls share one buffer of their store, but not while one waits for the other; and a call that fails
/// leaves nothing in it.
#[test]
fn values_of_nested_untyped_calls_do_not_mix() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = FuncType::new(&engine, [ValType::I32, ValType::I64], [ValType::I64, ValType::I32]);
    let host = Func::new(&mut store, ty, |mut caller, params, results| {
        let (depth, sum) = (params[0].unwrap_i32(), params[1].unwrap_i64());
        anyhow::ensure!(sum != -1, "enough");
        if depth == 0 {
            return Ok(());
        }
        let guest = caller.get_export("again").unwrap().into_func().unwrap();
        let mut inner = [Val::I64(0), Val::I32(0)];
        guest.call(&mut caller, &[Val::I32(depth - 1), Val::I64(sum)], &mut inner)?;
        assert_eq!(params[0].unwrap_i32(), depth, "the arguments are still there");
        results[0] = Val::I64(inner[0].unwrap_i64() + i64::from(depth));
        results[1] = Val::I32(inner[1].unwrap_i32() + 1);
        Ok(())
    });
    let text = r#"(module (import "" "" (func $host (param i32 i64) (result i64 i32)))
        (func (export "again") (param i32 i64) (result i64 i32) (call $host (local.get 0) (local.get 1))))"#;
    let instance = instantiate(&mut store, text, &[host.into()]);
    let again = instance.get_typed_func::<(i32, i64), (i64, i32)>(&mut store, "again").unwrap();
    for depth in [0, 1, 20, 3] {
        let sum = i64::from(depth) * i64::from(depth + 1) / 2;
        assert_eq!(again.call(&mut store, (depth, 0)).unwrap(), (sum, depth));
        assert!(again.call(&mut store, (depth, -1)).is_err());
    }
}
