//! FILE, read: a module or an artifact. Which one it is shows in its content, not in its name.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use hotfoot::Engine;

use crate::args::Source;
use crate::wasm_file;

/// By so many bytes, modules and artifacts are told from everything else.
const START_LEN: u64 = 128;

/// What a user named.
pub enum Input {
    /// A module in the binary format, whole from the outside.
    Module(Vec<u8>),
    /// The file of a module in the binary format, by its first bytes: if the cache knows it, it need not be read.
    ModuleFile(PathBuf),
    /// An artifact that was read.
    Artifact(Vec<u8>),
    /// An artifact's file: to be mapped, so it is not read.
    ArtifactFile(PathBuf),
}

impl Input {
    /// Looks at the input, and reads it unless it is the file of an artifact or a module.
    ///
    /// # Errors
    /// When it cannot be read, or is neither module nor artifact.
    pub fn find(source: &Source) -> Result<Input> {
        // What can be read only once, such as a pipe, is not looked at first.
        if let Source::File(path) = source
            && path.is_file()
            && let Ok(mut file) = File::open(path)
        {
            let mut start = Vec::with_capacity(START_LEN as usize);
            let _ = file.by_ref().take(START_LEN).read_to_end(&mut start);
            if Engine::detect_precompiled(&start).is_some() {
                return Ok(Input::ArtifactFile(path.clone()));
            }
            if wasm_file::is_binary(&start) {
                return Ok(Input::ModuleFile(path.clone()));
            }
        }
        let bytes = wasm_file::read(source)?;
        if Engine::detect_precompiled(&bytes).is_some() {
            return Ok(Input::Artifact(bytes));
        }
        wasm_file::to_module(bytes, &source.to_string()).map(Input::Module)
    }

    /// As [`Input::find`], but reads modules.
    ///
    /// # Errors
    /// As [`Input::find`].
    pub fn open(source: &Source) -> Result<Input> {
        match Input::find(source)? {
            Input::ModuleFile(_) => {
                wasm_file::to_module(wasm_file::read(source)?, &source.to_string()).map(Input::Module)
            }
            input => Ok(input),
        }
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
