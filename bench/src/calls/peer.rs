//! What is measured, with the peer as `api`.

#[path = "runs.rs"]
pub mod runs;
#[path = "waiting.rs"]
pub mod waiting;

pub use wasmtime as api;

/// The error as everybody else knows it.
fn failed(error: api::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
