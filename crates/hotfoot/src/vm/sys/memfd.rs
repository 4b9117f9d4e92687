//! A file without a name: where the bytes of a memory image live so that many mappings can share them.

use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, memfd_create};

/// An empty file in memory, gone when its last descriptor and mapping are.
pub fn create(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}
