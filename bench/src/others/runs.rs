//! Calls, written once for all engines in Rust: `super::api` says which.

use std::hint::black_box;

use anyhow::Result;

use super::api::{Instance, Linker, Module, Store, WasmParams, WasmResults};
use super::{engine, failed, instantiate};
use crate::turns::Run;

/// An instance of the guest, with host functions that return their first parameter.
fn start(guest: &str) -> Result<(Store<()>, Instance)> {
    let engine = engine()?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("h", "none", || {}).map_err(failed)?;
    linker.func_wrap("h", "2 i32", |a: i32, _: i32| a).map_err(failed)?;
    linker.func_wrap("h", "6 f64", |a: f64, _: f64, _: f64, _: f64, _: f64, _: f64| a).map_err(failed)?;
    let module = Module::new(&engine, guest).map_err(failed)?;
    let mut store = Store::new(&engine, ());
    let instance = instantiate(&linker, &mut store, &module)?;
    Ok((store, instance))
}

/// Calls an export of the guest.
fn into<P: WasmParams + Copy + 'static, R: WasmResults + 'static>(
    guest: &str,
    name: &str,
    arguments: P,
) -> Result<Run<'static>> {
    let (mut store, instance) = start(guest)?;
    let func = instance.get_typed_func::<P, R>(&mut store, name).map_err(failed)?;
    Ok(Box::new(move |times| {
        for _ in 0..times {
            black_box(func.call(&mut store, black_box(arguments)).map_err(failed)?);
        }
        Ok(())
    }))
}

/// All calls into the guest, and all out of it.
pub fn calls(guest: &str) -> Result<Vec<(&'static str, Run<'static>)>> {
    type Six = (f64, f64, f64, f64, f64, f64);
    let out = |name: &str| -> Result<Run<'static>> {
        let (mut store, instance) = start(guest)?;
        let func = instance.get_typed_func::<i32, ()>(&mut store, name).map_err(failed)?;
        Ok(Box::new(move |times| func.call(&mut store, times as i32).map_err(failed)))
    };
    Ok(vec![
        ("in none", into::<(), ()>(guest, "none", ())?),
        ("in 2 i32", into::<(i32, i32), i32>(guest, "2 i32", (1, 2))?),
        ("in 6 f64", into::<Six, f64>(guest, "6 f64", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))?),
        ("out none", out("loop none")?),
        ("out 2 i32", out("loop 2 i32")?),
        ("out 6 f64", out("loop 6 f64")?),
    ])
}
