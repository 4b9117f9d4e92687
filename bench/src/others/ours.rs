//! Calls in hotfoot.

#[path = "runs.rs"]
pub mod runs;

use anyhow::Result;
pub use hotfoot as api;

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
    Ok(linker.instantiate(store, module)?)
}

/// The engine's errors.
pub fn failed<E: Into<anyhow::Error>>(error: E) -> anyhow::Error {
    error.into()
}
