//! Programs in Wasmtime.

#[path = "run.rs"]
pub mod run;

pub use wasmtime as engine;

/// What the peer needs to be told for these programs.
fn settings(config: &mut wasmtime::Config) -> &wasmtime::Config {
    config.shared_memory(true)
}
