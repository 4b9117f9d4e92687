//! Programs in hotfoot.

#[path = "run.rs"]
pub mod run;

pub use hotfoot as engine;

/// What hotfoot needs to be told for these programs: nothing.
fn settings(config: &mut hotfoot::Config) -> &hotfoot::Config {
    config
}
