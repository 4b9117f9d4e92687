//! WASI for hotfoot: what a WebAssembly program may see and do outside itself.
//!
//! ```text
//!  p1   wasi_snapshot_preview1: 46 functions over guest memory and descriptor numbers     (p2 will stand beside it)
//!  p0   wasi_unstable: the same for older programs, with what was laid out otherwise then
//!  ctx  WasiCtx: what one guest was given
//!  host files, streams, clocks, randomness, sockets of this machine; knows no WASI version
//! ```
//!
//! ```no_run
//! # fn main() -> hotfoot::Result<()> {
//! use hotfoot_wasi::{Perms, WasiCtx, WasiCtxBuilder};
//! let mut linker = hotfoot::Linker::<WasiCtx>::new(&hotfoot::Engine::default());
//! hotfoot_wasi::p1::add_to_linker(&mut linker, |ctx| ctx)?;
//! let ctx = WasiCtxBuilder::new().inherit_stdio().preopened_dir("data", "/data", Perms::READ_ONLY)?.build();
//! # Ok(()) }
//! ```
//!
//! Invariants: a guest cannot leave the directories it was given, by any path; nothing it passes can make the host
//! panic, and what the host allocates for it is bounded.
#![forbid(unsafe_code)]

mod ctx;
pub mod host;
pub mod p0;
pub mod p1;

pub use ctx::{WasiCtx, WasiCtxBuilder};
pub use host::clock::{Clock, VirtualClock};
pub use host::fs::{Intent, Perms, Walk};
pub use host::random::Random;
pub use host::stdio::{MemoryInputPipe, MemoryOutputPipe, Stdio};
pub use p1::I32Exit;

/// The guide's examples compile as tests of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/wasi.md")]
struct Guide;
