//! What is measured, with hotfoot as `api`.

#[path = "runs.rs"]
pub mod runs;
#[path = "waiting.rs"]
pub mod waiting;

pub use hotfoot as api;

/// The error as everybody else knows it.
fn failed(error: api::Error) -> anyhow::Error {
    error
}
