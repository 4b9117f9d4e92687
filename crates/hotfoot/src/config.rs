//! Settings of an engine.
//!
//! Every knob is a method of [`Config`] with the name that embedders know; the fields are what the rest of the crate
//! reads.

mod control;
mod inlining;
mod observe;
mod pooling;

pub use inlining::Inlining;
pub use pooling::PoolingAllocationConfig;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotfoot_abi::fuel::OperatorCost;
use hotfoot_abi::tunables::{Tunables, WASM_PAGE_SIZE};

use crate::cache::Cache;
use crate::profiling::ProfilingStrategy;
use crate::vm::gc::{MAX_RESERVATION, MIN_RESERVATION};

/// How hard the compiler works.
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

/// Which compiler makes the code.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The best there is.
    #[default]
    Auto,
    /// The optimising compiler.
    Cranelift,
}

/// Where instances get their memory from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceAllocationStrategy {
    /// From the host, when they are made.
    #[default]
    OnDemand,
    /// From instances of the same [`InstancePre`](crate::InstancePre) whose stores were dropped.
    Pooling(PoolingAllocationConfig),
}

impl InstanceAllocationStrategy {
    /// Pooling with its default settings, which are the fast ones.
    pub fn pooling() -> InstanceAllocationStrategy {
        InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new())
    }
}

impl From<PoolingAllocationConfig> for InstanceAllocationStrategy {
    fn from(config: PoolingAllocationConfig) -> InstanceAllocationStrategy {
        InstanceAllocationStrategy::Pooling(config)
    }
}

/// Whether to use something that a host may lack.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Enabled {
    /// Where the host has it.
    #[default]
    Auto,
    /// Yes, and without it [`Engine::new`](crate::Engine::new) fails.
    Yes,
    /// No.
    No,
}

/// Which parts of the language a module may use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Features {
    pub mutable_global: bool,
    pub saturating_float_to_int: bool,
    pub sign_extension: bool,
    pub reference_types: bool,
    pub multi_value: bool,
    pub bulk_memory: bool,
    pub simd: bool,
    pub relaxed_simd: bool,
    pub threads: bool,
    pub tail_call: bool,
    pub multi_memory: bool,
    pub memory64: bool,
    pub extended_const: bool,
    pub function_references: bool,
    pub gc: bool,
    pub exceptions: bool,
    pub legacy_exceptions: bool,
    pub wide_arithmetic: bool,
    pub custom_page_sizes: bool,
}

impl Default for Features {
    fn default() -> Features {
        Features {
            mutable_global: true,
            saturating_float_to_int: true,
            sign_extension: true,
            reference_types: true,
            multi_value: true,
            bulk_memory: true,
            simd: true,
            relaxed_simd: true,
            threads: false,
            tail_call: true,
            multi_memory: true,
            memory64: true,
            extended_const: true,
            function_references: true,
            gc: true,
            exceptions: true,
            legacy_exceptions: false,
            wide_arithmetic: false,
            custom_page_sizes: false,
        }
    }
}

/// Enough for most programs never to move, and a thousandth of a thousandth of what a process may reserve.
const DEFAULT_RESERVATION_FOR_GROWTH: u64 = 2 << 30;

/// For fewer memories than this, address space is not worth saving checks with.
const MEMORIES_THAT_FIT: u64 = 64;

/// Settings of an [`Engine`](crate::Engine).
///
/// ```
/// use hotfoot::{Config, Engine, OptLevel};
/// let mut config = Config::new();
/// config.cranelift_opt_level(OptLevel::SpeedAndSize).max_wasm_stack(1 << 20).wasm_simd(false);
/// let engine = Engine::new(&config)?;
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) features: Features,
    pub(crate) tunables: Tunables,
    /// What operators cost, if not the default.
    pub(crate) operator_cost: Option<Arc<OperatorCost>>,
    reservation_was_set: bool,
    /// In bytes.
    pub(crate) reservation_for_growth: u64,
    pub(crate) opt_level: OptLevel,
    pub(crate) target: Option<String>,
    /// Code generator flags in the order they were set; an empty value switches a flag on.
    pub(crate) cranelift_flags: Vec<(String, String)>,
    pub(crate) nan_canonicalization: bool,
    pub(crate) relaxed_simd_deterministic: bool,
    pub(crate) backtrace_details: bool,
    pub(crate) inlining: Inlining,
    pub(crate) parallel_compilation: bool,
    pub(crate) lazy_compilation: bool,
    pub(crate) generate_address_map: bool,
    pub(crate) emit_clif: Option<PathBuf>,
    pub(crate) memory_init_cow: bool,
    pub(crate) max_wasm_stack: usize,
    pub(crate) async_stack_size: usize,
    pub(crate) async_support: bool,
    pub(crate) wasm_backtrace_max_frames: usize,
    pub(crate) coredump_on_trap: bool,
    pub(crate) native_debug_info: bool,
    pub(crate) profiler: ProfilingStrategy,
    pub(crate) allocation_strategy: InstanceAllocationStrategy,
    pub(crate) gc_heap_reservation: u64,
    pub(crate) gc_zeal_alloc_counter: Option<NonZeroU32>,
    pub(crate) verify_artifact_files: bool,
    pub(crate) artifact_key: Option<ArtifactKey>,
    pub(crate) cache: Option<Cache>,
}

/// A secret, which does not show in debug output.
#[derive(Clone)]
pub(crate) struct ArtifactKey([u8; 32]);

impl ArtifactKey {
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for ArtifactKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ArtifactKey(…)")
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

macro_rules! switches {
    ($($(#[$doc:meta])* $method:ident => $field:ident;)*) => {
        impl Config {$(
            $(#[$doc])*
            pub fn $method(&mut self, enable: bool) -> &mut Self {
                self.features.$field = enable;
                self
            }
        )*}
    };
}

switches! {
    /// Imported and exported globals that can be set. Default: on.
    wasm_mutable_global => mutable_global;
    /// Conversions from float to integer that saturate. Default: on.
    wasm_saturating_float_to_int => saturating_float_to_int;
    /// Sign extension instructions. Default: on.
    wasm_sign_extension => sign_extension;
    /// References as values, several tables. Default: on.
    wasm_reference_types => reference_types;
    /// Several results, blocks with parameters. Default: on.
    wasm_multi_value => multi_value;
    /// `memory.copy` and its kin, passive segments. Default: on.
    wasm_bulk_memory => bulk_memory;
    /// 128-bit vectors. Default: on.
    wasm_simd => simd;
    /// Vector instructions whose results may differ between hosts. Default: on.
    wasm_relaxed_simd => relaxed_simd;
    /// Shared memories and atomic operations. Default: off, because they are no part of WebAssembly 3.0.
    wasm_threads => threads;
    /// Tail calls. Default: on.
    wasm_tail_call => tail_call;
    /// Several memories. Default: on.
    wasm_multi_memory => multi_memory;
    /// Memories and tables indexed by i64. Default: on.
    wasm_memory64 => memory64;
    /// Arithmetic in constant expressions. Default: on.
    wasm_extended_const => extended_const;
    /// Typed function references, and references that cannot be null. Default: on.
    wasm_function_references => function_references;
    /// Garbage collection: structs, arrays, `i31`, recursive types. Default: on.
    wasm_gc => gc;
    /// Exceptions: `try_table`, `throw`, tags. Default: on.
    wasm_exceptions => exceptions;
    /// Exceptions as programs had them before they were standardised: `try`, `catch`, `delegate`, `rethrow`; and what
    /// [`Config::wasm_exceptions`] has. Default: off, because they are no part of WebAssembly 3.0.
    wasm_legacy_exceptions => legacy_exceptions;
    /// 128-bit arithmetic. Default: off, because it is no part of WebAssembly 3.0.
    wasm_wide_arithmetic => wide_arithmetic;
    /// Memories whose pages are single bytes. Default: off, because they are no part of WebAssembly 3.0.
    wasm_custom_page_sizes => custom_page_sizes;
}

impl Config {
    /// The default settings.
    pub fn new() -> Config {
        Config {
            features: Features::default(),
            tunables: Tunables::default(),
            operator_cost: None,
            reservation_was_set: false,
            reservation_for_growth: DEFAULT_RESERVATION_FOR_GROWTH,
            opt_level: OptLevel::default(),
            target: None,
            cranelift_flags: Vec::new(),
            nan_canonicalization: false,
            relaxed_simd_deterministic: false,
            backtrace_details: true,
            inlining: Inlining::Yes,
            parallel_compilation: true,
            lazy_compilation: false,
            generate_address_map: false,
            emit_clif: None,
            memory_init_cow: true,
            max_wasm_stack: 512 << 10,
            async_stack_size: 2 << 20,
            async_support: false,
            wasm_backtrace_max_frames: 20,
            coredump_on_trap: false,
            native_debug_info: false,
            profiler: ProfilingStrategy::None,
            allocation_strategy: InstanceAllocationStrategy::default(),
            gc_heap_reservation: MAX_RESERVATION,
            gc_zeal_alloc_counter: None,
            verify_artifact_files: false,
            artifact_key: None,
            cache: None,
        }
    }

    /// Which compiler makes the code. There is one so far.
    pub fn strategy(&mut self, strategy: Strategy) -> &mut Self {
        match strategy {
            Strategy::Auto | Strategy::Cranelift => self,
        }
    }

    /// How hard the compiler works. Default: [`OptLevel::Speed`].
    pub fn cranelift_opt_level(&mut self, level: OptLevel) -> &mut Self {
        self.opt_level = level;
        self
    }

    /// Switches a flag of the code generator on, for example `has_avx2`.
    ///
    /// An unknown flag is an error of the first compilation.
    pub fn cranelift_flag_enable(&mut self, flag: &str) -> &mut Self {
        self.cranelift_flags.push((flag.into(), String::new()));
        self
    }

    /// Sets a setting of the code generator.
    ///
    /// An unknown setting is an error of the first compilation.
    pub fn cranelift_flag_set(&mut self, name: &str, value: &str) -> &mut Self {
        self.cranelift_flags.push((name.into(), value.into()));
        self
    }

    /// Compiles for another target than this machine: `x86_64` or `aarch64`, a level such as `x86-64-v3`, or a triple such
    /// as `aarch64-unknown-linux-gnu`. Code for a target uses no optional extension of its instruction set but those of
    /// the level and of [`cranelift_flag_enable`](Config::cranelift_flag_enable). Without a target, or with `native`,
    /// code is for this machine and uses all that it has.
    ///
    /// # Errors
    /// None now; an unknown target is an error of the first compilation.
    pub fn target(&mut self, target: &str) -> crate::Result<&mut Self> {
        self.target = Some(target.into());
        Ok(self)
    }

    /// Writes each function, as the code generator gets it, to a file in this folder when it is compiled.
    pub fn emit_clif(&mut self, folder: &Path) -> &mut Self {
        self.emit_clif = Some(folder.to_owned());
        self
    }

    /// Gives every NaN that arithmetic makes the same bits, so that results do not depend on the host. Default: off.
    pub fn cranelift_nan_canonicalization(&mut self, enable: bool) -> &mut Self {
        self.nan_canonicalization = enable;
        self
    }

    /// Gives relaxed SIMD instructions the same results on every host. Default: off.
    pub fn relaxed_simd_deterministic(&mut self, enable: bool) -> &mut Self {
        self.relaxed_simd_deterministic = enable;
        self
    }

    /// Compiles functions on all cores. The result is the same either way. Default: on.
    pub fn parallel_compilation(&mut self, enable: bool) -> &mut Self {
        self.parallel_compilation = enable;
        self
    }

    /// Compile a function when it is called first, and the others in the background, instead of all before the module can
    /// be used. So a large module starts long before all of it is compiled. Default: false.
    ///
    /// All of a module is validated first all the same. What is valid and still cannot be compiled, because it is too large
    /// or uses what is not supported, is an error of the call that reaches it. A call waits while its function is compiled,
    /// on another thread, also where it is asynchronous. When everything is compiled, the result is put into the
    /// [cache](Config::cache), as if it had been compiled at once; [`Module::serialize`](crate::Module::serialize) waits for that.
    pub fn lazy_compilation(&mut self, enable: bool) -> &mut Self {
        self.lazy_compilation = enable;
        self
    }

    /// Detects traps by hardware faults, which needs signal handlers; otherwise every check is in the code.
    /// Default: on.
    pub fn signals_based_traps(&mut self, enable: bool) -> &mut Self {
        self.tunables.signals_based_traps = enable;
        self
    }

    /// Address space reserved for each memory, in bytes, not counting the guard. With 4 GiB (the default), accesses to
    /// 32-bit memories need no bounds check. Rounded up to 64 KiB.
    ///
    /// Where the process may have so little address space (`ulimit -v`) that only a few memories would fit, and this was
    /// not called, an engine reserves less for each and checks bounds instead.
    pub fn memory_reservation(&mut self, bytes: u64) -> &mut Self {
        self.reservation_was_set = true;
        self.tunables.memory_reservation = bytes.checked_next_multiple_of(WASM_PAGE_SIZE).unwrap_or(bytes);
        self
    }

    /// Reserves less for each memory where there is not address space for many, unless the embedder said how much.
    pub(crate) fn fit_address_space(&mut self, limit: Option<u64>) {
        let span = self.tunables.memory_reservation.saturating_add(self.tunables.memory_guard_size);
        let Some(limit) = limit.filter(|limit| limit / MEMORIES_THAT_FIT < span) else { return };
        if !self.reservation_was_set {
            self.tunables.memory_reservation = limit / MEMORIES_THAT_FIT / WASM_PAGE_SIZE * WASM_PAGE_SIZE;
            self.tunables.memory_guard_size = self.tunables.memory_guard_size.min(WASM_PAGE_SIZE);
        }
        self.reservation_for_growth = self.reservation_for_growth.min(limit / MEMORIES_THAT_FIT);
        if self.gc_heap_reservation == MAX_RESERVATION {
            self.gc_heap_reservation = (limit / MEMORIES_THAT_FIT).clamp(MIN_RESERVATION, MAX_RESERVATION);
        }
    }

    /// Address space after each memory that is never accessible, in bytes: a larger guard saves checks of accesses
    /// with large constant offsets. Default: 32 MiB. Rounded up to 64 KiB, and never less: that much costs no memory, and
    /// lets one check of a pointer serve all fields behind it.
    pub fn memory_guard_size(&mut self, bytes: u64) -> &mut Self {
        let rounded = bytes.checked_next_multiple_of(WASM_PAGE_SIZE).unwrap_or(bytes);
        self.tunables.memory_guard_size = rounded.max(WASM_PAGE_SIZE);
        self
    }

    /// Address space reserved beyond what a memory has that may move otherwise, in bytes, so that it can grow in place.
    /// Without effect where [`Config::memory_reservation`] is larger. A memory that had to move gets as much again as
    /// it has, too. Default: 2 GiB, or less where the process may have little address space.
    pub fn memory_reservation_for_growth(&mut self, bytes: u64) -> &mut Self {
        self.reservation_for_growth = bytes;
        self
    }

    /// Whether a memory that outgrows its reservation may move; otherwise such growth fails. Default: yes.
    pub fn memory_may_move(&mut self, enable: bool) -> &mut Self {
        self.tunables.memory_may_move = enable;
        self
    }

    /// Whether a memory that begins with much data begins as a copy-on-write mapping of the artifact, so that what a guest does
    /// not touch is neither read nor copied. Without it, each instance gets a copy; those of a pool are mappings in any
    /// case. Default: yes.
    pub fn memory_init_cow(&mut self, enable: bool) -> &mut Self {
        self.memory_init_cow = enable;
        self
    }

    /// Stack that guests of one thread may use, in bytes, counted from the first call into a guest; more is a
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow). The thread needs more stack than this: host functions run
    /// below guests. A thread with less stack than is promised here ends the process when a guest uses it up. Default:
    /// 512 KiB.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// Address space reserved for the garbage-collected objects of each store that has some, in bytes; it bounds their heap,
    /// half of which can be in use. Between 1 MiB and 4 GiB (the default, less where the process may not have much address
    /// space). Limits of a store's use of memory are for its
    /// [`ResourceLimiter`](crate::ResourceLimiter).
    pub fn gc_heap_reservation(&mut self, bytes: u64) -> &mut Self {
        self.gc_heap_reservation = bytes;
        self
    }

    /// Collects garbage at every so many allocations, and overwrites what was moved: to test that nothing holds on to a
    /// place where an object was. Slow. Default: never.
    ///
    /// # Errors
    /// None.
    pub fn gc_zeal_alloc_counter(&mut self, counter: Option<NonZeroU32>) -> crate::Result<&mut Self> {
        self.gc_zeal_alloc_counter = counter;
        Ok(self)
    }

    /// Where instances get their memory from. Default: on demand.
    pub fn allocation_strategy(&mut self, strategy: impl Into<InstanceAllocationStrategy>) -> &mut Self {
        self.allocation_strategy = strategy.into();
        self
    }

    /// Reads every artifact's file whole and compares it with its checksum before it is used, which takes as long as
    /// reading the file does. Otherwise a file is vouched for by whoever calls
    /// [`Module::deserialize_file`](crate::Module::deserialize_file), and only its head is compared. Default: off.
    pub fn verify_artifact_files(&mut self, enable: bool) -> &mut Self {
        self.verify_artifact_files = enable;
        self
    }

    /// Signs every artifact that this engine makes with a secret key, and refuses every artifact that was not signed
    /// with it or was changed since; so machines that share the key can share a cache that others can write to.
    /// Default: no key.
    pub fn artifact_key(&mut self, key: [u8; 32]) -> &mut Self {
        self.artifact_key = Some(ArtifactKey(key));
        self
    }

    /// Keeps what is compiled, so that the same module is not compiled again, by this process or another. Default: no
    /// cache.
    pub fn cache(&mut self, cache: Option<Cache>) -> &mut Self {
        self.cache = cache;
        self
    }

    /// Settings of code generation that were asked for, by name and value: an artifact with others does not do what
    /// this engine promises.
    pub(crate) fn asked_settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |enabled: bool| if enabled { "true" } else { "false" };
        let promises = [
            ("enable_nan_canonicalization", text(self.nan_canonicalization)),
            ("relaxed_simd_deterministic", text(self.relaxed_simd_deterministic)),
            ("enable_heap_access_spectre_mitigation", "true"),
            ("enable_table_access_spectre_mitigation", "true"),
        ];
        let flags = self.cranelift_flags.iter();
        let flags = flags.map(|(name, value)| (name.as_str(), if value.is_empty() { "true" } else { value }));
        let overridden = |name: &str| self.cranelift_flags.iter().any(|(flag, _)| flag == name);
        promises.into_iter().filter(move |(name, _)| !overridden(name)).chain(flags)
    }
}
