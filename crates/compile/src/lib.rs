//! WebAssembly to an artifact: decoding, validation, translation, code generation and linking.
//!
//! ```text
//!  wasm ──decode──▶ Module + bodies ──translate──▶ CLIF ──Cranelift──▶ code ──link──▶ artifact
//! ```
//!
//! [`Compiler::compile`] is the whole path. It never runs WebAssembly and knows nothing of the runtime but what
//! [`hotfoot_abi`] and [`hotfoot_artifact`] say.
//!
//! Invariant: the same module and the same options give the same bytes, for any number of threads.
#![forbid(unsafe_code)]

mod clif;
mod copying;
mod decode;
mod driver;
mod error;
mod fold;
mod init;
mod lazy;
mod link;
mod metadata;
mod observer;
mod outline;
mod renew;
mod schedule;
mod settings;
mod tables;
mod target;
mod trampoline;
mod translate;
mod types;
mod validate;

use std::path::PathBuf;

use cranelift_codegen::isa::OwnedTargetIsa;
use hotfoot_abi::fuel::OperatorCost;
use hotfoot_abi::tunables::Tunables;
use hotfoot_artifact::Header;
pub use wasmparser::WasmFeatures;

use driver::Compiled;
pub use driver::{Code, STACK_SIZE, Worker};
pub use error::Error;
pub use lazy::{LazyModule, Placed};
pub use observer::Observer;
pub use outline::{Outline, outline};
pub use settings::{Setting, SettingValues};
pub use target::{LEVELS, Target};

/// How hard to work on the code.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// Compile as fast as the compiler can.
    None,
    /// Make the code fast.
    #[default]
    Speed,
    /// Make the code fast, and small where that costs no speed.
    SpeedAndSize,
}

/// What to accept and how to compile it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which features a module may use.
    pub features: WasmFeatures,
    /// What the runtime promises about memories.
    pub tunables: Tunables,
    /// What operators cost, where code consumes fuel.
    pub operator_cost: OperatorCost,
    /// How hard to work on the code.
    pub opt_level: OptLevel,
    /// Give every NaN that arithmetic makes the same bits.
    pub nan_canonicalization: bool,
    /// Give relaxed SIMD instructions the same results on every host.
    pub relaxed_simd_deterministic: bool,
    /// Keep the module's DWARF, so that backtraces name source lines.
    pub debug_info: bool,
    /// Translate small functions where they are called.
    pub inlining: bool,
    /// Compile functions on all cores. The artifact is the same either way.
    pub parallel: bool,
    /// Say of every instruction where in the module it comes from, not only of those that may trap or call: for people
    /// who read the code. The code is the same either way, the artifact larger.
    pub full_address_map: bool,
    /// Write each function in the code generator's own language to a file of this folder, which is made if need be.
    pub emit_clif: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            features: WasmFeatures::default(),
            tunables: Tunables::default(),
            operator_cost: OperatorCost::new(),
            opt_level: OptLevel::default(),
            nan_canonicalization: false,
            relaxed_simd_deterministic: false,
            debug_info: true,
            inlining: true,
            parallel: true,
            full_address_map: false,
            emit_clif: None,
        }
    }
}

/// One target, twice.
pub(crate) struct Isas {
    /// As the options say.
    pub(crate) optimising: OwnedTargetIsa,
    /// For functions that would take too long that way.
    pub(crate) simple: OwnedTargetIsa,
}

/// Compiles modules for one target with one set of options.
pub struct Compiler {
    isas: Isas,
    options: Options,
    header: Header,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compiler").field("header", &self.header).finish_non_exhaustive()
    }
}

impl Compiler {
    /// Sets up code generation.
    ///
    /// # Errors
    /// When the target's settings contradict each other or what compiled code must have.
    pub fn new(target: Target, options: Options) -> Result<Compiler, Error> {
        let isas = Isas { optimising: target.build(&options, false)?, simple: target.build(&options, true)? };
        let isa = &*isas.optimising;
        let (settings, isa_flags) = target::recorded(isa, &options);
        let header = Header { target: isa.triple().to_string(), settings, isa_flags, tunables: options.tunables };
        Ok(Compiler { isas, options, header })
    }

    /// What artifacts of this compiler say about the code in them.
    pub fn header(&self) -> Header {
        self.header.clone()
    }

    /// Validates and compiles a module; the result is an artifact's bytes.
    ///
    /// # Errors
    /// When the bytes are no module, an invalid one, or one that uses what is not supported.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, Error> {
        self.compile_observed(wasm, &())
    }

    /// As [`Compiler::compile`], and tells an observer how far it is.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn compile_observed(&self, wasm: &[u8], observer: &dyn Observer) -> Result<Vec<u8>, Error> {
        let (isas, options) = (&self.isas, &self.options);
        let (mut module, bodies) = decode::decode(wasm, options.features)?;
        if !options.debug_info {
            module.debug.sections.clear();
        }
        fold::fold(&mut module, wasm);
        let functions = driver::functions(isas, options, &module, &bodies, observer)?;
        let used = driver::used_builtins(&functions);
        let builtins = driver::builtins(isas, |builtin| used[builtin as usize])?;
        let trampolines = driver::trampolines(isas, options, &module)?;
        let all = Compiled { functions: &functions, builtins: &builtins, trampolines: &trampolines };
        let (mut parts, _) = link::link(&*isas.optimising, self.header(), &module, &all)?;
        parts.debug = module.debug.of(wasm);
        Ok(parts.write())
    }
}

/// Validates a module without compiling it. Instructions that are valid but not supported are found only by compiling.
///
/// # Errors
/// When the bytes are no module, an invalid one, or one whose interface uses what is not supported.
pub fn validate(wasm: &[u8], features: WasmFeatures) -> Result<(), Error> {
    let (_, bodies) = decode::decode(wasm, features)?;
    validate::bodies(bodies, true)?;
    Ok(())
}
