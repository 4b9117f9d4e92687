//! The one place where these tests promise something that the compiler cannot check.

use hotfoot::{Engine, Module, Result};

/// Loads an artifact that these tests made themselves, or made and then damaged where loading looks.
pub fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    // SAFETY: S6, the bytes come from this crate's compiler; what is changed in them makes loading fail.
    unsafe { Module::deserialize(engine, bytes) }
}

/// As [`deserialize`], from a file that nobody changes.
pub fn deserialize_file(engine: &Engine, path: &std::path::Path) -> Result<Module> {
    // SAFETY: S6, as above.
    unsafe { Module::deserialize_file(engine, path) }
}
