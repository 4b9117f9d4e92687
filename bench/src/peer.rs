//! Wasmtime with its pooling allocator, at its default and at its best settings.

use anyhow::Result;
use wasmtime::{
    Config, Enabled, Engine, Instance, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig, Store,
};

use crate::guests::Guest;
use crate::instantiate::Runner;

/// Runs instances of a guest.
pub fn runner(guest: &Guest, best: bool) -> Result<Runner> {
    let mut run = prepare(guest, best).map_err(ours)?;
    Ok(Box::new(move || run().map_err(ours)))
}

/// The peer has an error type of its own.
fn ours(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

fn prepare(guest: &Guest, best: bool) -> wasmtime::Result<impl FnMut() -> wasmtime::Result<()> + use<>> {
    let mut pool = PoolingAllocationConfig::default();
    pool.max_memory_size(1 << 32).total_memories(100).total_tables(100);
    if best {
        pool.linear_memory_keep_resident(4 << 20).table_keep_resident(1 << 20).pagemap_scan(Enabled::Auto);
    }
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).memory_init_cow(true);
    let engine = Engine::new(&config)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    for index in 0..guest.imports {
        linker.func_wrap("h", &format!("f{index}"), || {})?;
    }
    let module = Module::new(&engine, &guest.wat)?;
    let library = match guest.library {
        Some(library) => Some(linker.instantiate_pre(&Module::new(&engine, library)?)?),
        None => None,
    };
    let pre = if library.is_some() { None } else { Some(linker.instantiate_pre(&module)?) };
    Ok(move || {
        let mut store = Store::new(&engine, ());
        let instance = match (&pre, &library) {
            (Some(pre), _) => pre.instantiate(&mut store)?,
            (None, library) => {
                // Two modules are linked in each store; this is the shortest way to do that.
                let mut imports = Vec::new();
                if let Some(library) = library {
                    let library = library.instantiate(&mut store)?;
                    imports.extend(module.imports().filter_map(|import| library.get_export(&mut store, import.name())));
                }
                Instance::new(&mut store, &module, &imports)?
            }
        };
        instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
    })
}
