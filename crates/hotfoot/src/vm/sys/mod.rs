//! Everything that depends on the operating system or the processor: one file each, nothing else in the crate asks.

pub mod arch;
pub mod barrier;
pub mod gdb;
pub mod memfd;
pub mod mmap;
pub mod page;
pub mod pagemap;
pub mod signal;
