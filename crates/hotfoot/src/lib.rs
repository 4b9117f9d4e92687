//! hotfoot runs WebAssembly, and starts it faster than anything else.
//!
//! ```
//! use hotfoot::{Engine, Linker, Module, Store};
//! # fn main() -> hotfoot::Result<()> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"
//!     (module
//!       (import "host" "double" (func $double (param i32) (result i32)))
//!       (func (export "run") (param i32) (result i32)
//!         (i32.add (call $double (local.get 0)) (i32.const 1))))
//! "#)?;
//! let mut linker = Linker::new(&engine);
//! linker.func_wrap("host", "double", |x: i32| x * 2)?;
//! let mut store = Store::new(&engine, ());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
//! assert_eq!(run.call(&mut store, 20)?, 41);
//! # Ok(()) }
//! ```
//!
//! An [`Engine`] holds settings; a [`Module`] is compiled code; a [`Store`] owns instances and the host's data; a
//! [`Linker`] satisfies imports; [`Instance`], [`Func`], [`Memory`], [`Table`], [`Global`] and [`Tag`] are handles into a store.
//! The names and signatures are those that embedders of Wasmtime know.
//!
//! Layering: the files of this directory are the API and contain no `unsafe`; `vm` is everything below.
#![deny(unsafe_op_in_unsafe_fn)]

mod any_ref;
mod array_ref;
mod artifact;
mod backtrace;
#[cfg_attr(not(feature = "compile"), allow(dead_code))]
mod cache;
#[cfg(feature = "compile")]
mod compiler;
mod config;
mod core_dump;
mod debug;
mod debugger;
#[cfg(feature = "compile")]
mod disabled;
mod engine;
mod exn_ref;
mod extern_ref;
mod externs;
mod func;
mod global;
mod hooks;
mod i31;
mod instance;
mod interrupt;
mod limits;
mod linker;
mod memory;
mod module;
mod out_of_memory;
mod pool;
mod profiling;
mod rooting;
mod shared_memory;
mod store;
mod struct_ref;
mod symbols;
mod table;
mod tag;
mod trap;
mod typed;
mod types;
mod value;
mod vm;

pub use anyhow::{Error, Result};

pub use any_ref::{AnyRef, EqRef};
pub use array_ref::{ArrayRef, ArrayRefPre};
pub use artifact::{IncompatibleArtifact, Precompiled};
pub use backtrace::{FrameInfo, WasmBacktrace};
pub use cache::{Cache, CacheConfig, CacheError, CacheUsage};
#[cfg(feature = "compile")]
pub use compiler::CompileObserver;
pub use config::{Config, Enabled, Inlining, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};
pub use core_dump::WasmCoreDump;
#[cfg(feature = "compile")]
pub use disabled::DisabledFeatures;
pub use engine::Engine;
pub use exn_ref::{ExnRef, ThrownException};
pub use extern_ref::ExternRef;
pub use externs::{Export, Extern};
pub use func::Func;
pub use global::Global;
pub use hooks::{CallHook, UpdateDeadline};
pub use hotfoot_abi::fuel::{OperatorCost, VariableOperatorCost};
pub use i31::I31;
pub use instance::{Instance, InstancePre};
pub use interrupt::{InterruptHandle, interrupted};
pub use limits::{ResourceLimiter, ResourceLimiterAsync, StoreLimits, StoreLimitsBuilder};
pub use linker::{Linker, UnknownImportError};
pub use memory::{Memory, MemoryAccessError};
pub use module::Module;
pub use out_of_memory::GcHeapOutOfMemory;
pub use pool::{PoolConcurrencyLimitError, PoolMetrics};
pub use profiling::ProfilingStrategy;
pub use profiling::guest::{GuestProfiler, ProfileFrame};
pub use rooting::{GcRef, OwnedRooted, RootScope, Rooted, RootedGcRef};
pub use shared_memory::{SharedMemory, WaitResult};
pub use store::{AsContext, AsContextMut, Store};
pub use struct_ref::{StructRef, StructRefPre};
pub use symbols::{FrameSymbol, WasmBacktraceDetails};
pub use table::Table;
pub use tag::Tag;
pub use trap::Trap;
pub use typed::{IntoFunc, TypedFunc};
pub use types::{
    ArrayType, ExportType, ExternType, FieldType, Finality, FuncType, GlobalType, HeapType, ImportType, MemoryType,
    MemoryTypeBuilder, MemoryTypeError, Mutability, RefType, StorageType, StructType, TableType, TagType, ValType,
};
pub use value::{Ref, V128, Val};
pub use vm::context::{StoreContext, StoreContextMut};
pub use vm::convert::{WasmParams, WasmResults, WasmRet, WasmTy};
pub use vm::hostcall::Caller;
pub use vm::view::MemoryView;

/// The guide's examples run as tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/instances.md")]
#[doc = include_str!("../../../docs/gc.md")]
#[doc = include_str!("../../../docs/interruption.md")]
#[doc = include_str!("../../../docs/async.md")]
#[doc = include_str!("../../../docs/threads.md")]
#[doc = include_str!("../../../docs/debugging.md")]
#[doc = include_str!("../../../docs/limits.md")]
#[doc = include_str!("../../../docs/profiling.md")]
struct Guide;

/// The same, about artifacts.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/artifacts.md")]
#[doc = include_str!("../../../docs/lazy.md")]
struct ArtifactsGuide;

/// The same, about features.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/features.md")]
struct FeatureGuide;

/// The same, about compiling ahead of time.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/compile.md")]
struct CompileGuide;
