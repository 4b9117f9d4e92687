//! The host layer: what a guest's system calls do to this machine, said in the machine's own terms.
//!
//! Nothing here knows preview 1: no errno numbers, no rights, no guest memory layout. Preview 2 will stand on these
//! modules as a sibling of `p1`, so a type from `p1` appearing below this folder is a mistake.
//!
//! Errors are the kernel's ([`Errno`]); each WASI version maps them to its own at its edge.

pub mod clock;
pub mod fs;
pub mod net;
pub mod poll;
pub mod random;
pub mod stdio;
pub mod table;
pub mod terminal;
mod transfer;

pub use rustix::io::Errno;

/// The result of a host operation: an error is the kernel's error number.
pub type Result<T> = std::result::Result<T, Errno>;
