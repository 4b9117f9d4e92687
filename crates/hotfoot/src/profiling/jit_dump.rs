//! A record of compiled code for Linux `perf`: `jit-PID.dump`, from which `perf inject --jit` makes an ELF file of each
//! function, so that `perf report` and `perf annotate` show names, instructions and source lines.
//!
//! ```text
//!  header      magic u32, version u32, own length u32, machine u32, 0 u32, process u32, time u64, flags u64
//!  lines       2 u32, length u32, time u64, address u64, count u64, then each: address u64, line u32, 0 u32, file\0
//!  code        0 u32, length u32, time u64, process u32, thread u32, address u64 twice, size u64, number u64, name\0, bytes
//! ```
//! Lines of a function come before its code. Times are of the monotonic clock: `perf record -k mono`. That the file is
//! there, `perf` learns from a page of it being mapped as if it were executable.
//!
//! Source: `tools/perf/Documentation/jitdump-specification.txt` of Linux.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::code::{self, Piece};
use crate::module::Module;
use crate::vm::sys::mmap::Mmap;

const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_LEN: u32 = 40;
const CODE: u32 = 0;
const LINES: u32 = 2;

/// Of this process.
static DUMP: Mutex<Option<Dump>> = Mutex::new(None);

struct Dump {
    file: File,
    /// What shows `perf` where the file is.
    _marker: Mmap,
    next_number: u64,
}

/// Adds a module's code to the dump of this process.
pub fn add(module: &Module) -> io::Result<()> {
    let mut dump = DUMP.lock().unwrap_or_else(PoisonError::into_inner);
    let dump = match &mut *dump {
        Some(dump) => dump,
        none => none.insert(Dump::new()?),
    };
    let mut records = Vec::new();
    for piece in code::pieces(module) {
        push_lines(&mut records, module, &piece);
        push_code(&mut records, module, &piece, dump.next_number);
        dump.next_number += 1;
    }
    dump.file.write_all(&records)
}

impl Dump {
    fn new() -> io::Result<Dump> {
        let path = format!("jit-{}.dump", std::process::id());
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
        let mut header = Vec::new();
        for word in [MAGIC, VERSION, HEADER_LEN, machine(), 0, std::process::id()] {
            header.extend(word.to_ne_bytes());
        }
        header.extend(now().to_ne_bytes());
        header.extend(0u64.to_ne_bytes());
        file.write_all(&header)?;
        Ok(Dump { _marker: Mmap::marker(&file)?, file, next_number: 0 })
    }
}

/// `EM_X86_64` or `EM_AARCH64`.
fn machine() -> u32 {
    if std::env::consts::ARCH == "aarch64" { 183 } else { 62 }
}

/// Nanoseconds of the monotonic clock.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Appends a record whose body is written by `write`.
fn push_record(records: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = records.len();
    records.extend(kind.to_ne_bytes());
    records.extend(0u32.to_ne_bytes());
    records.extend(now().to_ne_bytes());
    write(records);
    let len = (records.len() - start) as u32;
    records[start + 4..start + 8].copy_from_slice(&len.to_ne_bytes());
}

fn push_lines(records: &mut Vec<u8>, module: &Module, piece: &Piece) {
    let start = module.code().text().start as u64;
    let lines = code::lines(module, piece);
    if lines.is_empty() {
        return;
    }
    push_record(records, LINES, |record| {
        record.extend((start + u64::from(piece.code_offset)).to_ne_bytes());
        record.extend((lines.len() as u64).to_ne_bytes());
        for line in lines {
            record.extend((start + u64::from(line.code_offset)).to_ne_bytes());
            record.extend(line.line.to_ne_bytes());
            record.extend(0u32.to_ne_bytes());
            record.extend(line.file.bytes().filter(|byte| *byte != 0));
            record.push(0);
        }
    });
}

fn push_code(records: &mut Vec<u8>, module: &Module, piece: &Piece, number: u64) {
    let address = module.code().text().start as u64 + u64::from(piece.code_offset);
    let text = module.code().artifact().text;
    push_record(records, CODE, |record| {
        record.extend(std::process::id().to_ne_bytes());
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        record.extend(thread.to_ne_bytes());
        for word in [address, address, piece.len.into(), number] {
            record.extend(word.to_ne_bytes());
        }
        record.extend(piece.name.bytes().filter(|byte| *byte != 0));
        record.push(0);
        record.extend_from_slice(&text[piece.code_offset as usize..][..piece.len as usize]);
    });
}
