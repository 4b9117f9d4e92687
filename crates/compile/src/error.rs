//! Why a module was not compiled.

use std::path::PathBuf;

/// Why a module was not compiled. Each message says what is wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are a module that the specification, or the chosen set of features, refuses.
    #[error("the module is invalid at offset {offset:#x}: {message}")]
    Invalid {
        /// Offset in the binary.
        offset: u64,
        /// What is wrong there.
        message: String,
    },
    /// The bytes are not WebAssembly at all.
    #[error("this is not a WebAssembly module: {what}; give a file that begins with the bytes `\\0asm`")]
    NotWasm {
        /// What they look like.
        what: String,
    },
    /// A component, not a core module.
    #[error("this is a WebAssembly component, and hotfoot runs core modules only: extract the module inside it first")]
    Component,
    /// Valid, but uses something that hotfoot does not implement.
    #[error("the module uses {what} at offset {offset:#x}, which hotfoot does not support: compile it without")]
    Unsupported {
        /// The feature or instruction.
        what: String,
        /// Offset in the binary.
        offset: u64,
    },
    /// Larger than an implementation limit.
    #[error("the module is too large: {what} is {value}, the limit is {limit}; split the module")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// How large it may be.
        limit: u64,
    },
    /// One function is larger than the code generator can take.
    #[error("{function} is too large for the code generator; split it into several")]
    FunctionTooLarge {
        /// Which function.
        function: String,
    },
    /// A function needs more stack than can be checked without signals.
    #[error(
        "{function} needs {bytes} bytes of stack, more than is allowed without `signals_based_traps`; split it into several, or switch signals on"
    )]
    FrameTooLarge {
        /// Which function.
        function: String,
        /// Its frame in bytes.
        bytes: u32,
    },
    /// The target or one of its settings does not exist.
    #[error("cannot compile for this target: {0}")]
    Target(String),
    /// The threads that compile could not be started.
    #[error("cannot start the threads that compile: {0}; compile without `parallel`, or allow more threads")]
    Threads(String),
    /// A function in the code generator's language could not be written.
    #[error("cannot write `{}`: {error}; give `emit_clif` a folder that can be written to", path.display())]
    EmitClif {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The code generator failed.
    #[error("compiling {function} failed: {message}; this is a bug in hotfoot, please report it with the module")]
    Codegen {
        /// Which function.
        function: String,
        /// What the code generator said.
        message: String,
    },
}

impl Error {
    pub(crate) fn unsupported(what: impl Into<String>, offset: u64) -> Error {
        Error::Unsupported { what: what.into(), offset }
    }
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Error {
        Error::Invalid { offset: error.offset(), message: error.message().to_owned() }
    }
}
