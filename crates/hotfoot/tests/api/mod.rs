//! What the tests share: the kinds of engines, and short ways to an instance.

mod artifacts;
mod async_limits;
mod atomics;
mod branch_hints;
mod bulk;
mod cache;
mod calls;
mod collection;
mod core_dumps;
mod determinism;
mod engines;
mod errors;
mod globals;
mod guest_objects;
mod host_functions;
mod indirect_calls;
mod initial_memory;
mod inlining;
mod legacy;
mod limits;
mod linker;
mod memories;
mod meters;
mod modules;
mod native_debugging;
mod objects;
mod operator_costs;
mod page_sizes;
mod panics;
mod profiling;
mod reentrancy;
mod references;
mod registers;
mod renewed;
mod source_lines;
mod stack;
mod stores;
mod tables;
mod threads;
mod traps;
mod trust;
mod types;
mod wide;

use hotfoot::{Config, Engine, Extern, Instance, Module, Store, WasmParams, WasmResults};

/// Every way of making sure that a guest stays inside, and of compiling it, by name.
pub fn engines() -> [(&'static str, Engine); 5] {
    let engine = |settings: Change| Engine::new(settings(&mut Config::new())).unwrap();
    [
        ("default", engine(|config| config)),
        ("explicit checks", engine(|config| config.signals_based_traps(false))),
        (
            "no reservation",
            engine(|config| config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(0)),
        ),
        ("pinned", engine(|config| config.memory_may_move(false))),
        ("compiled lazily", engine(|config| config.lazy_compilation(true))),
    ]
}

/// A change of settings.
pub type Change = fn(&mut Config) -> &mut Config;

/// Compiles a module, and shows its text when that fails.
pub fn compile(engine: &Engine, text: &str) -> Module {
    Module::new(engine, text).unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

/// An instance of a module with these imports.
pub fn instantiate<T>(store: &mut Store<T>, text: &str, imports: &[Extern]) -> Instance {
    let module = compile(&store.engine().clone(), text);
    Instance::new(&mut *store, &module, imports).unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

/// A store of a default engine with an instance of a module without imports.
pub fn start(text: &str) -> (Store<()>, Instance) {
    let mut store = Store::new(&Engine::default(), ());
    let instance = instantiate(&mut store, text, &[]);
    (store, instance)
}

/// Calls an export.
pub fn call<T, P: WasmParams, R: WasmResults>(
    store: &mut Store<T>,
    instance: Instance,
    name: &str,
    params: P,
) -> hotfoot::Result<R> {
    instance.get_typed_func::<P, R>(&mut *store, name)?.call(store, params)
}
