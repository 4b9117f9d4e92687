//! hotfoot, with nothing said but "pooling".

use anyhow::Result;
use hotfoot::{Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, Store};

use crate::guests::Guest;
use crate::instantiate::Runner;

/// An engine, and a guest that can be instantiated any number of times.
pub fn prepare(guest: &Guest) -> Result<(Engine, InstancePre<()>)> {
    let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()))?;
    let mut linker: Linker<()> = Linker::new(&engine);
    for index in 0..guest.imports {
        linker.func_wrap("h", &format!("f{index}"), || {})?;
    }
    if let Some(library) = guest.library {
        let library = linker.instantiate_pre(&Module::new(&engine, library)?)?;
        linker.instance_pre("env", &library)?;
    }
    let pre = linker.instantiate_pre(&Module::new(&engine, &guest.wat)?)?;
    Ok((engine, pre))
}

/// One instance from nothing to dropped.
pub fn run(engine: &Engine, pre: &InstancePre<()>) -> Result<()> {
    let mut store = Store::new(engine, ());
    let instance = pre.instantiate(&mut store)?;
    instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
}

/// Runs instances of a guest.
pub fn runner(guest: &Guest) -> Result<Runner> {
    let (engine, pre) = prepare(guest)?;
    Ok(Box::new(move || run(&engine, &pre)))
}
