//! What can go wrong, one variant a reason.

/// Why a module could not be pre-initialised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreinitError {
    /// The input is text, and not correct.
    #[error("the module's text is not correct WebAssembly: {0}")]
    Text(#[from] wat::Error),
    /// The input is no valid module, or needs a feature that is off.
    #[error("the module cannot be compiled: {0:#}")]
    Module(hotfoot::Error),
    /// The engine's settings do not work together.
    #[error("the engine cannot be made: {0:#}")]
    Engine(hotfoot::Error),
    /// No export can be called to initialise the module.
    #[error("the module exports no function {}; {}", wanted_text(.wanted), offered_text(.offered))]
    NoInitFunc {
        /// The name that was asked for; `None` for the default names.
        wanted: Option<String>,
        /// Exported functions without parameters and results.
        offered: Vec<String>,
    },
    /// The initialisation function takes or returns something.
    #[error("the function `{name}` must have no parameters and no results to be called for initialisation: {ty}")]
    InitFuncType {
        /// Its export name.
        name: String,
        /// Its type.
        ty: String,
    },
    /// A function to rename is no export.
    #[error("there is no exported function `{src}` to rename to `{dst}`; check the names of the exports")]
    RenameSource {
        /// The new name.
        dst: String,
        /// The name that does not exist.
        src: String,
    },
    /// A function is renamed twice, or two get one name.
    #[error("`{name}` is named twice in the renamings; rename each function once, and to a name of its own")]
    RenameTwice {
        /// The name.
        name: String,
    },
    /// A preloaded module cannot be read, compiled or instantiated.
    #[error("cannot preload `{name}`: {error:#}")]
    Preload {
        /// Its name.
        name: String,
        /// Why.
        error: hotfoot::Error,
    },
    /// The custom linker could not be made, or defines what WASI or a preload defines too.
    #[error("cannot provide the module's imports: {0:#}")]
    Linker(hotfoot::Error),
    /// A directory for the guest cannot be opened.
    #[error("{0:#}")]
    Directory(hotfoot::Error),
    /// An import that is no function has no definition.
    #[error(
        "the import `{module}::{name}` has no definition, and it must be {ty}; preload a module that exports it, or define it with a linker"
    )]
    MissingImport {
        /// Its module name.
        module: String,
        /// Its name.
        name: String,
        /// What it must be.
        ty: String,
    },
    /// The initialisation called a function that nobody provides.
    #[error(
        "the initialisation called the import `{module}::{name}`, which is not provided; {}",
        import_advice(.module)
    )]
    CalledMissingImport {
        /// Its module name.
        module: String,
        /// Its name.
        name: String,
    },
    /// The module could not be instantiated, or its start function trapped.
    #[error("the module cannot be instantiated: {0:#}")]
    Instantiate(hotfoot::Error),
    /// The initialisation trapped, or a host function that it called failed.
    #[error("the initialisation failed in `{func}`: {error:#}")]
    Failed {
        /// The export that was called.
        func: String,
        /// The trap or error, with its backtrace.
        error: hotfoot::Error,
    },
    /// The initialisation ended the program.
    #[error(
        "the initialisation in `{func}` exited with code {code} instead of returning, so there is no state to capture; name a function that returns"
    )]
    Exited {
        /// The export that was called.
        func: String,
        /// The exit code.
        code: i32,
    },
    /// Some of the state cannot be expressed in a module.
    #[error("{place} holds {held}, which a module cannot begin with; let the initialisation clear it")]
    Uncapturable {
        /// Where: `global 3 "cache"`, `element 5 of table 0 "callbacks"`.
        place: String,
        /// What is there.
        held: String,
    },
    /// An instance and a module were given that do not belong together.
    #[error("the instance is of another module than the one that was given; give the bytes that it was made from")]
    OtherModule,
    /// The guest still has something open.
    #[error(
        "the guest still holds the open descriptor {descriptor} ({kind}), which no later instance has; let the initialisation close it"
    )]
    OpenDescriptor {
        /// Its number.
        descriptor: u32,
        /// What it is.
        kind: &'static str,
    },
    /// The output is larger than was allowed.
    #[error(
        "the output is {growth} bytes larger than the input, and {max} are allowed; raise the limit, or let the initialisation leave less behind"
    )]
    Growth {
        /// How much larger it is.
        growth: u64,
        /// The limit.
        max: u64,
    },
    /// The module has a form that cannot be rewritten.
    #[error("the module cannot be rewritten: {0}")]
    Rewrite(String),
}

impl From<wasmparser::Error> for PreinitError {
    fn from(error: wasmparser::Error) -> PreinitError {
        PreinitError::Rewrite(error.to_string())
    }
}

impl From<wasm_encoder::reencode::Error> for PreinitError {
    fn from(error: wasm_encoder::reencode::Error) -> PreinitError {
        PreinitError::Rewrite(error.to_string())
    }
}

fn wanted_text(wanted: &Option<String>) -> String {
    match wanted {
        Some(name) => format!("`{name}`"),
        None => crate::builder::DEFAULT_INIT_FUNCS.map(|name| format!("`{name}`")).join(" or "),
    }
}

fn offered_text(offered: &[String]) -> String {
    match offered {
        [] => "it has none that takes and returns nothing, so export one".to_owned(),
        names => format!("name another one to call, such as `{}`", names.join("`, `")),
    }
}

fn import_advice(module: &str) -> &'static str {
    if module.starts_with("wasi") {
        "allow WASI for the initialisation, or let it do without"
    } else {
        "preload a module that exports it, define it with a linker, or let the initialisation do without"
    }
}
