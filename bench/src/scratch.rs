//! A folder for files of this process, removed when it is dropped.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// See the module's documentation.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A folder for a benchmark.
    pub fn new(name: &str) -> Result<Scratch> {
        let path = std::env::temp_dir().join(format!("bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Scratch(path))
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
