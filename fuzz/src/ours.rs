//! hotfoot, and how a module is run in it: the same files that replay recorded modules.

#[path = "../../crates/testing/tests/differential/engine.rs"]
pub mod engine;
#[path = "../../crates/testing/tests/differential/observe.rs"]
pub mod observe;
#[path = "../../crates/testing/tests/differential/settings.rs"]
pub mod settings;
#[path = "../../crates/testing/tests/differential/values.rs"]
pub mod values;
