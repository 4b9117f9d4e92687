//! A map of compiled code for Linux `perf`: `/tmp/perf-PID.map`, one line for each function. `perf` looks for it when it
//! finds samples in memory that no file is mapped to.
//!
//! Source: `tools/perf/Documentation/jit-interface.txt` of Linux.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::code;
use crate::module::Module;

/// Of this process.
static MAP: Mutex<Option<File>> = Mutex::new(None);

/// Adds a module's code to the map of this process.
pub fn add(module: &Module) -> io::Result<()> {
    let mut lines = String::new();
    let start = module.code().text().start;
    for piece in code::pieces(module) {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{:x} {:x} {}", start + piece.code_offset as usize, piece.len, piece.name);
    }
    let mut map = MAP.lock().unwrap_or_else(PoisonError::into_inner);
    let file = match &mut *map {
        Some(file) => file,
        none => {
            let path = std::env::temp_dir().join(format!("perf-{}.map", std::process::id()));
            none.insert(OpenOptions::new().create(true).append(true).open(path)?)
        }
    };
    file.write_all(lines.as_bytes())
}
