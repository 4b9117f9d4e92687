//! Calls and instances in wasmi.

#[path = "runs.rs"]
pub mod runs;

use anyhow::Result;
pub use wasmi as api;

use crate::guests::Guest;
use crate::turns::Run;

/// An engine.
pub fn engine() -> Result<api::Engine> {
    Ok(api::Engine::default())
}

/// An instance.
pub fn instantiate(
    linker: &api::Linker<()>,
    store: &mut api::Store<()>,
    module: &api::Module,
) -> Result<api::Instance> {
    Ok(linker.instantiate_and_start(store, module)?)
}

/// The engine's errors.
pub fn failed<E: Into<anyhow::Error>>(error: E) -> anyhow::Error {
    error.into()
}

/// Makes instances of a guest.
pub fn instances(guest: &Guest) -> Result<Run<'static>> {
    let engine = engine()?;
    let mut linker: api::Linker<()> = api::Linker::new(&engine);
    for index in 0..guest.imports {
        linker.func_wrap("h", &format!("f{index}"), || {})?;
    }
    let module = api::Module::new(&engine, &guest.wat)?;
    Ok(Box::new(move |times| {
        for _ in 0..times {
            let mut store = api::Store::new(&engine, ());
            let instance = linker.instantiate_and_start(&mut store, &module)?;
            instance.get_typed_func::<(), ()>(&store, "run")?.call(&mut store, ())?;
        }
        Ok(())
    }))
}
