//! hotfoot, with nothing said but "pooling".

use anyhow::Result;
use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, Store};

use crate::Runner;
use crate::guests::Guest;

/// Runs instances of a guest.
pub fn runner(guest: &Guest) -> Result<Runner> {
    let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()))?;
    let mut linker: Linker<()> = Linker::new(&engine);
    for index in 0..guest.imports {
        linker.func_wrap("h", &format!("f{index}"), || {})?;
    }
    let pre = linker.instantiate_pre(&Module::new(&engine, &guest.wat)?)?;
    Ok(Box::new(move || {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store)?;
        instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
    }))
}
