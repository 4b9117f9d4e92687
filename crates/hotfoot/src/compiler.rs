//! WebAssembly to modules: the only file that knows the compiler. Present with the feature `compile`.

mod lazy;

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use hotfoot_compile::{Compiler, Options, Target};

pub use hotfoot_compile::Observer as CompileObserver;

use crate::cache::note::FileState;
use crate::cache::{Cache, CacheKey};
use crate::config::{Config, Inlining, OptLevel};
use crate::disabled::{explain, features};
use crate::engine::Engine;
use crate::module::Module;
use crate::vm::code::ModuleCode;

impl Engine {
    /// The compiler for this engine's settings, made on first use.
    fn compiler(&self) -> Result<Arc<Compiler>> {
        if self.compiler_cell().get().is_none() {
            let compiler = new_compiler(self.config())?;
            // Two threads may both get here: the first result stays, and both are equal.
            let _ = self.compiler_cell().set(Arc::new(compiler));
        }
        let compiler = self.compiler_cell().get().cloned().and_then(|compiler| compiler.downcast().ok());
        compiler.context("the engine has no compiler; this is a bug in hotfoot")
    }

    /// Compiles a module to an artifact's bytes, to be kept and loaded by [`Module::deserialize`].
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn precompile_module(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.precompile_module_observed(bytes, &())
    }

    /// As [`Engine::precompile_module`], and tells an observer how far it is.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn precompile_module_observed(&self, bytes: &[u8], observer: &dyn CompileObserver) -> Result<Vec<u8>> {
        let wasm = to_binary(bytes)?;
        self.compile_to_artifact(&wasm, observer)
    }

    /// As [`Engine::precompile_module`], for a module that differs from `original` only in what memories, tables and globals
    /// begin with, with the code of `compiled`, which this engine made of `original`: nothing is compiled. `None` if that code
    /// would not do.
    ///
    /// ```
    /// use hotfoot::{Engine, Module};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let text = |value: i32| format!("(module (global (mut i32) (i32.const {value})) (func (export \"f\")))");
    /// let original = Module::new(&engine, text(1))?;
    /// let artifact = engine.precompile_module_like(text(2).as_bytes(), text(1).as_bytes(), &original)?;
    /// assert_eq!(artifact, Some(engine.precompile_module(text(2).as_bytes())?));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn precompile_module_like(&self, bytes: &[u8], original: &[u8], compiled: &Module) -> Result<Option<Vec<u8>>> {
        let (wasm, original) = (to_binary(bytes)?, to_binary(original)?);
        let renewed = self.compiler()?.renew(&wasm, &original, &compiled.serialize()?);
        let renewed = renewed.map_err(|error| explain(error, &wasm, self.config().features))?;
        renewed.map(|artifact| self.signed(artifact)).transpose()
    }

    /// With this engine's signature, if it has a key.
    fn signed(&self, mut artifact: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(key) = &self.config().artifact_key {
            hotfoot_artifact::sign(&mut artifact, key.bytes())?;
        }
        Ok(artifact)
    }

    fn compile_to_artifact(&self, wasm: &[u8], observer: &dyn CompileObserver) -> Result<Vec<u8>> {
        let artifact = self.compiler()?.compile_observed(wasm, observer);
        self.signed(artifact.map_err(|error| explain(error, wasm, self.config().features))?)
    }
}

impl Module {
    /// Compiles a module, in the binary or (with the feature `wat`) the text format.
    ///
    /// # Errors
    /// When it is not WebAssembly, not valid, or uses what the engine's settings do not allow
    /// ([`DisabledFeatures`](crate::DisabledFeatures)).
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        Module::new_observed(engine, bytes, &())
    }

    /// As [`Module::new`], and tells an observer how far compilation is.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn new_observed(engine: &Engine, bytes: impl AsRef<[u8]>, observer: &dyn CompileObserver) -> Result<Module> {
        Module::compiled(engine, bytes.as_ref().into(), to_binary, observer, None).map(|(module, _)| module)
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn from_binary(engine: &Engine, binary: &[u8]) -> Result<Module> {
        Module::compiled(engine, binary.into(), |binary| Ok(binary.into()), &(), None).map(|(module, _)| module)
    }

    /// What is compiled from these bytes, of a file if one is given, from the cache if it is there; and its key in the cache.
    fn compiled(
        engine: &Engine,
        bytes: Cow<'_, [u8]>,
        to_binary: fn(&[u8]) -> Result<Cow<'_, [u8]>>,
        observer: &dyn CompileObserver,
        origin: Option<&Path>,
    ) -> Result<(Module, Option<CacheKey>)> {
        let config = engine.config();
        let cache = usable_cache(config).map(|cache| (cache, CacheKey::new(config, &bytes)));
        let key = cache.map(|(_, key)| key);
        if let Some(module) = cache.and_then(|(cache, key)| Module::from_cache(engine, cache, &key, origin)) {
            return Ok((module, key));
        }
        let from_text = match to_binary(&bytes)? {
            Cow::Owned(binary) => Some(binary),
            Cow::Borrowed(_) => None,
        };
        let mut binary = from_text.map_or(bytes, Cow::Owned);
        if config.lazy_compilation && config.emit_clif.is_none() && !config.describes_code() {
            let kept = Arc::new(binary.into_owned());
            if let Some(module) = Module::compiled_lazily(engine, &kept, cache, origin)? {
                return Ok((module, key));
            }
            binary = Arc::unwrap_or_clone(kept).into();
        }
        let artifact = engine.compile_to_artifact(&binary, observer)?;
        let module = Module::from_own_artifact(engine, &artifact, origin)?;
        if let Some((cache, key)) = cache {
            // A module that cannot be kept can be used all the same.
            let _ = cache.store(&key, &artifact);
        }
        Ok((module, key))
    }

    fn from_cache(engine: &Engine, cache: &Cache, key: &CacheKey, origin: Option<&Path>) -> Option<Module> {
        cache.load(key, |file, check_body| {
            let check_body = check_body || engine.config().verify_artifact_files;
            let code = ModuleCode::from_file(file)?.with_origin(origin);
            Module::from_foreign_code(engine, code, check_body)
        })
    }

    /// Validates a module, and compiles its functions when they are called. `None` where the system does not allow it.
    fn compiled_lazily(
        engine: &Engine,
        binary: &Arc<Vec<u8>>,
        cache: Option<(&Cache, CacheKey)>,
        origin: Option<&Path>,
    ) -> Result<Option<Module>> {
        let lazy = engine.compiler()?.compile_lazily(binary.clone());
        let mut lazy = lazy.map_err(|error| explain(error, binary, engine.config().features))?;
        if lazy.function_count() == 0 {
            return Ok(None);
        }
        let skeleton = lazy.skeleton()?;
        let artifact_key = engine.config().artifact_key.clone();
        let sign: lazy::Sign = Box::new(move |artifact| {
            artifact_key.iter().try_for_each(|key| Ok(hotfoot_artifact::sign(artifact, key.bytes())?))
        });
        let keep = cache.map(|(cache, key)| -> lazy::Keep {
            let cache = cache.clone();
            Box::new(move |artifact| {
                let _ = cache.store(&key, artifact);
            })
        });
        let demand = lazy::Demand::new(lazy, sign, keep);
        let shared = demand.shared().clone();
        let Ok(code) = ModuleCode::lazy_from_skeleton(&skeleton, Box::new(demand)) else { return Ok(None) };
        let module = Module::from_code(engine, code.with_origin(origin))?;
        let started = shared.start(module.code(), engine.config().parallel_compilation);
        Ok(started.is_ok().then_some(module))
    }

    /// Compiles the module in a file, in the binary or (with the feature `wat`) the text format.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Module::new`].
    pub fn from_file(engine: &Engine, file: impl AsRef<Path>) -> Result<Module> {
        let path = file.as_ref();
        Module::from_file_observed(engine, path, &()).with_context(|| format!("cannot compile {}", path.display()))
    }

    /// As [`Module::from_file`], and tells an observer how far compilation is. A file that has not changed since its module was put
    /// into the cache is not read.
    ///
    /// # Errors
    /// As [`Module::from_file`].
    pub fn from_file_observed(
        engine: &Engine,
        path: impl AsRef<Path>,
        observer: &dyn CompileObserver,
    ) -> Result<Module> {
        let path = path.as_ref();
        let (config, cannot_read) = (engine.config(), || format!("cannot read {}", path.display()));
        let mut file = File::open(path).with_context(cannot_read)?;
        let state_of = |file: &File| FileState::new(&file.metadata().ok()?);
        let (cache, state) = (usable_cache(config), state_of(&file));
        if let Some((cache, state)) = cache.zip(state)
            && let Some(key) = cache.noted(config, &state)
            && let Some(module) = Module::from_cache(engine, cache, &key, Some(path))
        {
            return Ok(module);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(cannot_read)?;
        let (module, key) = Module::compiled(engine, bytes.into(), to_binary, observer, Some(path))?;
        if let Some(((cache, state), key)) = cache.zip(state).zip(key)
            && state_of(&file) == Some(state)
        {
            // Without the note, the file is read again.
            let _ = cache.note(config, &state, &key, SystemTime::now());
        }
        Ok(module)
    }

    /// Checks a module in the binary format without compiling it.
    ///
    /// # Errors
    /// As [`Module::new`].
    pub fn validate(engine: &Engine, binary: &[u8]) -> Result<()> {
        let switches = engine.config().features;
        hotfoot_compile::validate(binary, features(&switches)).map_err(|error| explain(error, binary, switches))
    }
}

/// The cache, but for who wants to see the code generator's input, and so wants it to run.
fn usable_cache(config: &Config) -> Option<&Cache> {
    config.cache.as_ref().filter(|_| config.emit_clif.is_none())
}

fn new_compiler(config: &Config) -> Result<Compiler> {
    let mut target = match &config.target {
        Some(triple) => Target::new(triple)?,
        None => Target::host()?,
    };
    for (name, value) in &config.cranelift_flags {
        match value.as_str() {
            "" => target.enable(name)?,
            value => target.set(name, value)?,
        }
    }
    let opt_level = match config.opt_level {
        OptLevel::None => hotfoot_compile::OptLevel::None,
        OptLevel::Speed => hotfoot_compile::OptLevel::Speed,
        OptLevel::SpeedAndSize => hotfoot_compile::OptLevel::SpeedAndSize,
    };
    let options = Options {
        features: features(&config.features),
        tunables: config.tunables,
        operator_cost: config.operator_costs().clone(),
        opt_level,
        nan_canonicalization: config.nan_canonicalization,
        relaxed_simd_deterministic: config.relaxed_simd_deterministic,
        debug_info: config.backtrace_details,
        inlining: config.inlining == Inlining::Yes && config.opt_level != OptLevel::None,
        parallel: config.parallel_compilation,
        full_address_map: config.generate_address_map || config.native_debug_info,
        emit_clif: config.emit_clif.clone(),
    };
    Ok(Compiler::new(target, options)?)
}

/// The binary form of what may be the text format.
#[cfg(feature = "wat")]
fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if bytes.starts_with(b"\0asm") || !looks_like_text_format(bytes) {
        return Ok(bytes.into());
    }
    wat::parse_bytes(bytes).context("cannot parse the module's text")
}

/// Without the text format, everything is taken for binary.
#[cfg(not(feature = "wat"))]
fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    Ok(bytes.into())
}

/// Whether the first thing that is not space or a comment is an opening parenthesis. What is neither text nor binary
/// is left to the decoder, which says what it looks like.
#[cfg_attr(not(feature = "wat"), allow(dead_code))]
fn looks_like_text_format(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(b"(") || text.starts_with(b";;")
}
