//! The pre-initialiser: runs a module's initialisation once and writes out a module that starts where it ended.
//!
//! ```text
//!  wasm ──instantiate──▶ instance ──_initialize, init function──▶ instance ──capture──▶ State ──rewrite──▶ wasm
//!                        (host: WASI, a linker, preloads)                    globals, memories, tables, segments
//! ```
//!
//! The state is read from the engine, not from what the module exports, so nearly everything can be captured: whatever
//! the initialisation *did* is what counts, not which instructions the module *has*. What cannot be captured is refused
//! by name ([`PreinitError::Uncapturable`]).
//!
//! ```
//! use hotfoot_preinit::Preinit;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wasm = Preinit::new().run(br#"
//!     (module
//!       (global $answer (mut i32) (i32.const 0))
//!       (func (export "wizer.initialize") (global.set $answer (i32.const 42)))
//!       (func (export "answer") (result i32) (global.get $answer)))
//! "#)?;
//!
//! let engine = hotfoot::Engine::default();
//! let module = hotfoot::Module::new(&engine, &wasm)?;
//! let mut store = hotfoot::Store::new(&engine, ());
//! let instance = hotfoot::Instance::new(&mut store, &module, &[])?;
//! let answer = instance.get_typed_func::<(), i32>(&mut store, "answer")?;
//! assert_eq!(answer.call(&mut store, ())?, 42);
//! # Ok(()) }
//! ```
//!
//! The same input and options give a byte-identical output: the guest sees a clock that starts at a fixed time and
//! random numbers from a fixed seed, as both would be frozen into the output anyway.
//!
//! [`Preinit`] is the builder; `host` instantiates and runs; `state` captures; `image` turns memory into data segments;
//! `input` reads a module and `rewrite` writes one; `optimize` and `unused` remove what
//! cannot be reached; `report` says what happened.
#![forbid(unsafe_code)]

mod builder;
mod error;
mod host;
mod image;
mod input;
mod objects;
mod optimize;
mod report;
mod rewrite;
mod state;
mod unused;
mod uses;

pub use builder::Preinit;
pub use error::PreinitError;
pub use host::Host;
pub use report::{HostCall, MemoryReport, Report, TableReport};

/// The guide's examples run as tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/preinit.md")]
struct Guide;
