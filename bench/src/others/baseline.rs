//! Calls in Wasmtime with its baseline compiler.

#[path = "runs.rs"]
pub mod runs;

use anyhow::Result;
pub use wasmtime as api;

/// An engine.
pub fn engine() -> Result<api::Engine> {
    api::Engine::new(api::Config::new().strategy(api::Strategy::Winch)).map_err(failed)
}

/// An instance.
pub fn instantiate(
    linker: &api::Linker<()>,
    store: &mut api::Store<()>,
    module: &api::Module,
) -> Result<api::Instance> {
    linker.instantiate(store, module).map_err(failed)
}

/// The engine's errors.
pub fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
