//! The builder: what to run, what it may use, and what to make of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hotfoot::{AsContextMut, Config, Engine, Instance, Linker, Module};
use hotfoot_wasi::Perms;

use crate::error::PreinitError;
use crate::host::{self, Host};
use crate::input::Input;
use crate::optimize;
use crate::report::Report;
use crate::rewrite;

/// What is called when no function is named: the first of these that is exported.
pub const DEFAULT_INIT_FUNCS: [&str; 2] = ["wizer.initialize", "wizer-initialize"];

/// Makes the linker for an engine.
pub type MakeLinker = Arc<dyn Fn(&Engine) -> hotfoot::Result<Linker<Host>> + Send + Sync>;

/// Where a preloaded module comes from.
#[derive(Clone, Debug)]
pub enum Preload {
    /// A file.
    File(PathBuf),
    /// Bytes or text.
    Bytes(Vec<u8>),
}

/// Builds and runs a pre-initialisation. See the [crate's documentation](crate) for an example.
#[derive(Clone)]
pub struct Preinit {
    pub(crate) init_func: Option<String>,
    pub(crate) renames: Vec<(String, String)>,
    pub(crate) keep_init_func: bool,
    pub(crate) allow_wasi: bool,
    pub(crate) inherit_env: bool,
    pub(crate) inherit_stdio: bool,
    /// Host path, guest name, and what the guest may do there.
    pub(crate) dirs: Vec<(PathBuf, String, Perms)>,
    pub(crate) preloads: Vec<(String, Preload)>,
    pub(crate) make_linker: Option<MakeLinker>,
    pub(crate) keep_imports: bool,
    pub(crate) strip_debug: bool,
    optimize: bool,
    pub(crate) max_growth: Option<u64>,
    pub(crate) config: Config,
}

impl fmt::Debug for Preinit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Preinit")
            .field("init_func", &self.init_func)
            .field("renames", &self.renames)
            .field("allow_wasi", &self.allow_wasi)
            .finish_non_exhaustive()
    }
}

impl Default for Preinit {
    fn default() -> Preinit {
        Preinit::new()
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Preinit {$(
            $(#[$doc])*
            pub fn $name(&mut self, enable: bool) -> &mut Self {
                self.config.$name(enable);
                self
            }
        )*}
    };
}

features! {
    /// Whether the module may use bulk memory instructions. Default: yes.
    wasm_bulk_memory;
    /// Whether the module may have several memories. Default: yes.
    wasm_multi_memory;
    /// Whether functions may have several results. Default: yes.
    wasm_multi_value;
    /// Whether the module may use reference types. Default: yes.
    wasm_reference_types;
    /// Whether the module may use vectors. Default: yes.
    wasm_simd;
}

impl Preinit {
    /// A pre-initialisation that calls `wizer.initialize`, or else `wizer-initialize`, and provides nothing to it.
    pub fn new() -> Preinit {
        Preinit {
            init_func: None,
            renames: Vec::new(),
            keep_init_func: false,
            allow_wasi: false,
            inherit_env: false,
            inherit_stdio: true,
            dirs: Vec::new(),
            preloads: Vec::new(),
            make_linker: None,
            keep_imports: false,
            strip_debug: false,
            optimize: false,
            max_growth: None,
            config: Config::new(),
        }
    }

    /// The exported function to call. `_initialize`, if it is exported, runs before it, and once.
    pub fn init_func(&mut self, name: impl Into<String>) -> &mut Self {
        self.init_func = Some(name.into());
        self
    }

    /// Exports the function `src` as `dst` in the output, in place of a function that has this name.
    pub fn func_rename(&mut self, dst: impl fmt::Display, src: impl fmt::Display) -> &mut Self {
        self.renames.push((dst.to_string(), src.to_string()));
        self
    }

    /// Whether the output exports the initialisation function, too. Default: no.
    pub fn keep_init_func(&mut self, keep: bool) -> &mut Self {
        self.keep_init_func = keep;
        self
    }

    /// Whether the initialisation may call WASI preview 1. Default: no; calling it is an error then.
    pub fn allow_wasi(&mut self, allow: bool) -> &mut Self {
        self.allow_wasi = allow;
        self
    }

    /// Whether the guest sees the environment of this process. Default: no.
    pub fn inherit_env(&mut self, inherit: bool) -> &mut Self {
        self.inherit_env = inherit;
        self
    }

    /// Whether the guest has the standard streams of this process. Default: yes.
    pub fn inherit_stdio(&mut self, inherit: bool) -> &mut Self {
        self.inherit_stdio = inherit;
        self
    }

    /// Lets the guest use a directory under the same name.
    pub fn dir(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        let host = directory.into();
        let guest = host.to_string_lossy().into_owned();
        self.map_dir(guest, host)
    }

    /// Lets the guest use the directory `host_dir` under the name `guest_dir`.
    pub fn map_dir(&mut self, guest_dir: impl Into<String>, host_dir: impl Into<PathBuf>) -> &mut Self {
        self.preopened_dir(host_dir, guest_dir, Perms::READ_WRITE)
    }

    /// Lets the guest do with the directory `host_dir`, under the name `guest_dir`, what `perms` says.
    pub fn preopened_dir(
        &mut self,
        host_dir: impl Into<PathBuf>,
        guest_dir: impl Into<String>,
        perms: Perms,
    ) -> &mut Self {
        self.dirs.push((host_dir.into(), guest_dir.into(), perms));
        self
    }

    /// Instantiates the module of a file first, and satisfies imports of `name` with its exports. Functions stay imports
    /// of the output; memories, tables and globals become its own.
    pub fn preload(&mut self, name: impl Into<String>, file: impl Into<PathBuf>) -> &mut Self {
        self.preloads.push((name.into(), Preload::File(file.into())));
        self
    }

    /// As [`Preinit::preload`], with the module itself, in the binary or the text format.
    pub fn preload_bytes(&mut self, name: impl Into<String>, module: impl Into<Vec<u8>>) -> &mut Self {
        self.preloads.push((name.into(), Preload::Bytes(module.into())));
        self
    }

    /// Provides imports through a linker. Where it defines a name of WASI, its definition is used.
    pub fn make_linker(
        &mut self,
        make_linker: impl Fn(&Engine) -> hotfoot::Result<Linker<Host>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.make_linker = Some(Arc::new(make_linker));
        self
    }

    /// Whether imported memories, tables and globals stay imports. The output then writes the state into them when it is
    /// instantiated, which is right if the host provides them as they are when new. Default: no, they become its own.
    pub fn keep_imports(&mut self, keep: bool) -> &mut Self {
        self.keep_imports = keep;
        self
    }

    /// Whether to leave out debugging information (DWARF). Default: no.
    pub fn strip_debug(&mut self, strip: bool) -> &mut Self {
        self.strip_debug = strip;
        self
    }

    /// Whether to remove functions that only the initialisation used, and to make indirect calls direct where their target
    /// is certain. Functions get new numbers, and debugging information is left out. Default: no.
    pub fn optimize(&mut self, optimize: bool) -> &mut Self {
        self.optimize = optimize;
        self
    }

    /// By how many bytes the output may be larger than the input. Default: any number.
    pub fn max_growth(&mut self, bytes: u64) -> &mut Self {
        self.max_growth = Some(bytes);
        self
    }

    /// The engine to initialise with: which features of WebAssembly it accepts, how much stack a guest has.
    pub fn config(&mut self, config: Config) -> &mut Self {
        self.config = config;
        self
    }

    /// Pre-initialises a module, in the binary or the text format, and gives the new one.
    ///
    /// # Errors
    /// Every reason is a variant of [`PreinitError`].
    pub fn run(&self, wasm: &[u8]) -> Result<Vec<u8>, PreinitError> {
        Ok(self.run_with_report(wasm)?.0)
    }

    /// As [`Preinit::run`], and says what was captured and which host functions were called.
    ///
    /// # Errors
    /// Every reason is a variant of [`PreinitError`].
    pub fn run_with_report(&self, wasm: &[u8]) -> Result<(Vec<u8>, Report), PreinitError> {
        let engine = Engine::new(&self.config).map_err(PreinitError::Engine)?;
        let wasm = wat::parse_bytes(wasm)?;
        let module = Module::from_binary(&engine, &wasm).map_err(PreinitError::Module)?;
        self.run_module(&module, &wasm)
    }

    fn run_module(&self, module: &Module, wasm: &[u8]) -> Result<(Vec<u8>, Report), PreinitError> {
        let (output, mut report) = host::run(self, module, wasm)?;
        let output = self.finish(output, wasm.len(), &mut report)?;
        Ok((output, report))
    }

    /// What comes after the new module is written.
    fn finish(&self, mut output: Vec<u8>, input_len: usize, report: &mut Report) -> Result<Vec<u8>, PreinitError> {
        if self.optimize {
            let (smaller, gain) = optimize::optimize(&output)?;
            report.removed_functions = gain.removed_functions;
            report.removed_elements = gain.removed_elements;
            report.removed_globals = gain.unused.globals;
            report.removed_types = gain.unused.types;
            report.direct_calls = gain.direct_calls;
            output = smaller;
        }
        report.describe_output(&output)?;
        let growth = output.len().saturating_sub(input_len) as u64;
        match self.max_growth {
            Some(max) if growth > max => Err(PreinitError::Growth { growth, max }),
            _ => Ok(output),
        }
    }

    /// As [`Preinit::run`], in the engine `engine` instead of one with [`Preinit::config`], and gives the new module as an
    /// artifact for [`Module::deserialize`](hotfoot::Module::deserialize).
    ///
    /// The module is compiled once, for the initialisation; the artifact has the same code, if the new module needs no
    /// other: that is so unless functions were removed ([`Preinit::optimize`]) or added, which structs and arrays and kept
    /// imports may need, or imported memories, tables or globals became its own.
    ///
    /// # Errors
    /// Every reason is a variant of [`PreinitError`].
    pub fn run_to_artifact(&self, engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, PreinitError> {
        Ok(self.run_to_artifact_with_report(engine, wasm)?.0)
    }

    /// As [`Preinit::run_to_artifact`], and says what was captured, which host functions were called, and whether the code
    /// was compiled again.
    ///
    /// # Errors
    /// Every reason is a variant of [`PreinitError`].
    pub fn run_to_artifact_with_report(&self, engine: &Engine, wasm: &[u8]) -> Result<(Vec<u8>, Report), PreinitError> {
        let wasm = wat::parse_bytes(wasm)?;
        let module = Module::from_binary(engine, &wasm).map_err(PreinitError::Module)?;
        let (output, mut report) = self.run_module(&module, &wasm)?;
        let reused = engine.precompile_module_like(&output, &wasm, &module).map_err(PreinitError::Module)?;
        report.reused_code = Some(reused.is_some());
        let artifact = match reused {
            Some(artifact) => artifact,
            None => engine.precompile_module(&output).map_err(PreinitError::Module)?,
        };
        Ok((artifact, report))
    }

    /// Writes the module that begins as a running instance of the module `wasm` is now: a snapshot for a file, as
    /// [`Instance::snapshot`] is one for this process. No function of the instance may be running: what is on its stack is
    /// not kept. The module keeps its exports, but for `_initialize`; renamings and the options about the output count,
    /// those about running do not.
    ///
    /// ```
    /// use hotfoot::{Engine, Instance, Module, Store};
    /// use hotfoot_preinit::Preinit;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let wasm = wat::parse_str(r#"(module
    ///     (global $visits (mut i32) (i32.const 0))
    ///     (func (export "visit") (result i32)
    ///         (global.set $visits (i32.add (global.get $visits) (i32.const 1))) (global.get $visits)))"#)?;
    /// let engine = Engine::default();
    /// let visit = |store: &mut Store<()>, instance: &Instance| {
    ///     instance.get_typed_func::<(), i32>(&mut *store, "visit")?.call(store, ())
    /// };
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &Module::new(&engine, &wasm)?, &[])?;
    /// assert_eq!(visit(&mut store, &instance)?, 1);
    ///
    /// let later = Preinit::new().capture(&mut store, &instance, &wasm)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &Module::new(&engine, &later)?, &[])?;
    /// assert_eq!(visit(&mut store, &instance)?, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`PreinitError::OtherModule`] if the instance is of another module, and those about state and output.
    pub fn capture(&self, store: impl AsContextMut, instance: &Instance, wasm: &[u8]) -> Result<Vec<u8>, PreinitError> {
        let wasm = wat::parse_bytes(wasm)?;
        let input = Input::new(&wasm)?;
        rewrite::check_renames(self, &input)?;
        if !input.is_module_of(&store, instance) {
            return Err(PreinitError::OtherModule);
        }
        let mut report = Report { input_bytes: wasm.len(), ..Report::default() };
        let output = host::write(self, &input, store, instance, &mut report)?;
        self.finish(output, wasm.len(), &mut report)
    }
}
