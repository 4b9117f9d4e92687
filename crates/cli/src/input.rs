//! FILE, read: a module or an artifact. Which one it is shows in its content, not in its name.

use std::path::PathBuf;

use anyhow::{Context, Result};
use hotfoot::Engine;

use crate::args::Source;
use crate::wasm_file;

/// What a user named.
pub enum Input {
    /// A module in the binary format, whole from the outside.
    Module(Vec<u8>),
    /// An artifact that was read.
    Artifact(Vec<u8>),
    /// An artifact's file: to be mapped, so it is not read.
    ArtifactFile(PathBuf),
}

impl Input {
    /// Reads the input, unless it is the file of an artifact.
    ///
    /// # Errors
    /// When it cannot be read, or is neither module nor artifact.
    pub fn open(source: &Source) -> Result<Input> {
        // What can be read only once, such as a pipe, is not looked at first.
        if let Source::File(path) = source
            && path.is_file()
            && Engine::detect_precompiled_file(path).is_ok_and(|kind| kind.is_some())
        {
            return Ok(Input::ArtifactFile(path.clone()));
        }
        let bytes = wasm_file::read(source)?;
        if Engine::detect_precompiled(&bytes).is_some() {
            return Ok(Input::Artifact(bytes));
        }
        wasm_file::to_module(bytes, &source.to_string()).map(Input::Module)
    }

    /// As [`Input::open`], but reads files of artifacts, too.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn read(source: &Source) -> Result<Input> {
        match Input::open(source)? {
            Input::ArtifactFile(path) => {
                let bytes = std::fs::read(&path).with_context(|| format!("cannot read {source}"))?;
                Ok(Input::Artifact(bytes))
            }
            input => Ok(input),
        }
    }
}
