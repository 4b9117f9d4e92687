//! Calls, written once: `mod.rs` has this module twice, with hotfoot and with its peer as `api`.

use std::hint::black_box;

use super::api::{
    Caller, Engine, Func, FuncType, Instance, Linker, Module, Store, V128, Val, ValType, WasmParams, WasmResults,
};

use super::{api, failed};
use crate::calls::Named;
use crate::turns::Run;

fn instantiate(guest: &str) -> api::Result<(Store<u64>, Instance)> {
    let engine = Engine::default();
    let mut linker: Linker<u64> = Linker::new(&engine);
    linker.func_wrap("plain", "none", || {})?;
    linker.func_wrap("plain", "2 i32", |a: i32, _: i32| a)?;
    linker.func_wrap("plain", "6 i32", |a: i32, _: i32, _: i32, _: i32, _: i32, _: i32| a)?;
    linker.func_wrap("plain", "2 i64", |a: i64, _: i64| a)?;
    linker.func_wrap("plain", "6 i64", |a: i64, _: i64, _: i64, _: i64, _: i64, _: i64| a)?;
    linker.func_wrap("plain", "2 f64", |a: f64, _: f64| a)?;
    linker.func_wrap("plain", "6 f64", |a: f64, _: f64, _: f64, _: f64, _: f64, _: f64| a)?;
    linker.func_wrap("plain", "2 v128", |a: V128, _: V128| a)?;
    linker.func_wrap("plain", "2 funcref", |a: Option<Func>, _: Option<Func>| a)?;
    linker.func_wrap("plain", "externref", |_: Option<api::Rooted<api::ExternRef>>| {})?;
    linker.func_wrap("caller", "none", |mut caller: Caller<'_, u64>| *caller.data_mut() += 1)?;
    linker.func_wrap("caller", "2 i32", |mut caller: Caller<'_, u64>, a: i32, _: i32| {
        *caller.data_mut() += 1;
        a
    })?;
    linker.func_wrap(
        "caller",
        "6 i32",
        |mut caller: Caller<'_, u64>, a: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
            *caller.data_mut() += 1;
            a
        },
    )?;
    for (name, count) in [("none", 0), ("2 i32", 2), ("6 i32", 6)] {
        let results = (count > 0).then_some(ValType::I32);
        let ty = FuncType::new(&engine, vec![ValType::I32; count], results);
        linker.func_new("untyped", name, ty, |_, params, results| {
            if let [result] = results {
                *result = params[0].clone();
            }
            Ok(())
        })?;
    }
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &Module::new(&engine, guest)?)?;
    Ok((store, instance))
}

/// Calls an export of the guest again and again; `arguments` makes what it is called with.
fn typed<P, R>(
    guest: &str,
    name: &str,
    arguments: impl FnOnce(&mut Store<u64>, &Instance) -> api::Result<P>,
) -> anyhow::Result<Run<'static>>
where
    P: WasmParams + Copy + 'static,
    R: WasmResults + 'static,
{
    let (mut store, instance) = instantiate(guest).map_err(failed)?;
    let arguments = arguments(&mut store, &instance).map_err(failed)?;
    let func = instance.get_typed_func::<P, R>(&mut store, name).map_err(failed)?;
    Ok(Box::new(move |times| {
        for _ in 0..times {
            black_box(func.call(&mut store, black_box(arguments)).map_err(failed)?);
        }
        Ok(())
    }))
}

fn untyped(guest: &str, name: &str, count: usize) -> anyhow::Result<Run<'static>> {
    let (mut store, instance) = instantiate(guest).map_err(failed)?;
    let Some(func) = instance.get_func(&mut store, name) else { anyhow::bail!("no function {name}") };
    let arguments = vec![Val::I32(7); count];
    let mut results = vec![Val::I32(0); count.min(1)];
    Ok(Box::new(move |times| {
        for _ in 0..times {
            func.call(&mut store, black_box(&arguments), &mut results).map_err(failed)?;
        }
        Ok(())
    }))
}

fn funcref(store: &mut Store<u64>, instance: &Instance) -> api::Result<Option<Func>> {
    instance.get_typed_func::<(), Option<Func>>(&mut *store, "funcref")?.call(store, ())
}

/// All calls into the guest.
pub fn into_guest(guest: &str) -> anyhow::Result<Vec<Named>> {
    type Extern = Option<api::Rooted<api::ExternRef>>;
    type Funcs = (Option<Func>, Option<Func>);
    let vector = V128::from(7);
    Ok(vec![
        ("no arguments", typed::<(), ()>(guest, "none", |_, _| Ok(()))?),
        ("2 i32", typed::<(i32, i32), i32>(guest, "2 i32", |_, _| Ok((1, 2)))?),
        ("6 i32", typed::<(i32, i32, i32, i32, i32, i32), i32>(guest, "6 i32", |_, _| Ok((1, 2, 3, 4, 5, 6)))?),
        ("2 i64", typed::<(i64, i64), i64>(guest, "2 i64", |_, _| Ok((1, 2)))?),
        ("6 i64", typed::<(i64, i64, i64, i64, i64, i64), i64>(guest, "6 i64", |_, _| Ok((1, 2, 3, 4, 5, 6)))?),
        ("2 f64", typed::<(f64, f64), f64>(guest, "2 f64", |_, _| Ok((1.0, 2.0)))?),
        (
            "6 f64",
            typed::<(f64, f64, f64, f64, f64, f64), f64>(guest, "6 f64", |_, _| Ok((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)))?,
        ),
        ("2 v128", typed::<(V128, V128), V128>(guest, "2 v128", |_, _| Ok((vector, vector)))?),
        (
            "2 funcref",
            typed::<Funcs, Option<Func>>(guest, "2 funcref", |store, instance| {
                let func = funcref(store, instance)?;
                Ok((func, func))
            })?,
        ),
        ("externref", typed::<Extern, ()>(guest, "externref", |store, _| Ok(Some(api::ExternRef::new(store, 7u32)?)))?),
        ("no arguments, untyped", untyped(guest, "none", 0)?),
        ("2 i32, untyped", untyped(guest, "2 i32", 2)?),
        ("6 i32, untyped", untyped(guest, "6 i32", 6)?),
    ])
}

/// Calls a loop of the guest, which calls the host so many times; `P` has the number of times last.
fn looped<A: Copy + 'static, P: WasmParams + 'static>(
    guest: &str,
    name: &str,
    arguments: impl FnOnce(&mut Store<u64>, &Instance) -> api::Result<A>,
    with: fn(A, i64) -> P,
) -> anyhow::Result<Run<'static>> {
    let (mut store, instance) = instantiate(guest).map_err(failed)?;
    let arguments = arguments(&mut store, &instance).map_err(failed)?;
    let func = instance.get_typed_func::<P, ()>(&mut store, name).map_err(failed)?;
    Ok(Box::new(move |times| func.call(&mut store, with(arguments, i64::from(times))).map_err(failed)))
}

/// All calls out of the guest.
pub fn out_of_guest(guest: &str) -> anyhow::Result<Vec<Named>> {
    let none = |name| looped(guest, name, |_, _| Ok(()), |(), n| (n,));
    let two = |name| looped(guest, name, |_, _| Ok(7i32), |a, n| (a, a, n));
    let six = |name| looped(guest, name, |_, _| Ok(7i32), |a, n| (a, a, a, a, a, a, n));
    Ok(vec![
        ("no arguments", none("plain none")?),
        ("2 i32", two("plain 2 i32")?),
        ("6 i32", six("plain 6 i32")?),
        ("2 i64", looped(guest, "plain 2 i64", |_, _| Ok(7i64), |a, n| (a, a, n))?),
        ("6 i64", looped(guest, "plain 6 i64", |_, _| Ok(7i64), |a, n| (a, a, a, a, a, a, n))?),
        ("2 f64", looped(guest, "plain 2 f64", |_, _| Ok(7.0f64), |a, n| (a, a, n))?),
        ("6 f64", looped(guest, "plain 6 f64", |_, _| Ok(7.0f64), |a, n| (a, a, a, a, a, a, n))?),
        ("2 v128", looped(guest, "plain 2 v128", |_, _| Ok(V128::from(7)), |a, n| (a, a, n))?),
        ("2 funcref", looped(guest, "plain 2 funcref", funcref, |a, n| (a, a, n))?),
        (
            "externref",
            looped(guest, "plain externref", |store, _| api::ExternRef::new(store, 7u32), |a, n| (Some(a), n))?,
        ),
        ("no arguments, Caller", none("caller none")?),
        ("2 i32, Caller", two("caller 2 i32")?),
        ("6 i32, Caller", six("caller 6 i32")?),
        ("no arguments, untyped", none("untyped none")?),
        ("2 i32, untyped", two("untyped 2 i32")?),
        ("6 i32, untyped", six("untyped 6 i32")?),
    ])
}
