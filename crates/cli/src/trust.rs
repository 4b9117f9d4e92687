//! The one promise of the command line that no compiler can check: that a file of machine code is what it should be.
//! The person who gave `--allow-precompiled` makes it.

use std::path::Path;

use anyhow::Result;
use hotfoot::{Engine, Module};

/// Loads an artifact that the user vouches for.
///
/// # Errors
/// When it is damaged or does not fit this engine or machine.
pub fn deserialize(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    // SAFETY: S6, `load` asks for `--allow-precompiled` first, which says that the artifact comes from hotfoot unchanged.
    unsafe { Module::deserialize(engine, bytes) }
}

/// As [`deserialize`], from a file that is used in place.
///
/// # Errors
/// As [`deserialize`], and when the file cannot be mapped.
pub fn deserialize_file(engine: &Engine, path: &Path) -> Result<Module> {
    // SAFETY: S6, as above.
    unsafe { Module::deserialize_file(engine, path) }
}
