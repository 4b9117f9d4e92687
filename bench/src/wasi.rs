//! WASI calls beside a peer and beside the same system calls made by Rust: what a call costs, from a guest's loop.
//!
//! ```text
//!  cargo run --release -- --wasi [--quick]
//! ```
//!
//! The same guest runs in hotfoot, and in Wasmtime with `add_to_linker_sync`, both as it comes and allowed to block the
//! current thread, in turns in one process; files are in memory (`/dev/shm`). Each row is one operation.
//! "native" makes just the system calls that the operation needs, from Rust.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::options::Options;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};

const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 1024) "small")
  (data (i32.const 1040) "large")
  (data (i32.const 1056) "many")
  (data (i32.const 1072) "out")
  (func $ok (param i32) (if (local.get 0) (then unreachable)))
  (func $open (param $path i32) (param $len i32) (param $oflags i32) (param $rights i64) (result i32)
    (call $ok (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (local.get $len) (local.get $oflags)
      (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.load (i32.const 0)))
  (func $buffer (param $len i32)
    (i32.store (i32.const 64) (i32.const 0x20000))
    (i32.store (i32.const 68) (local.get $len)))
  (func (export "clock_time_get") (param $n i32)
    (loop $next
      (call $ok (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 8)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "random_get") (param $n i32)
    (loop $next
      (call $ok (call $random_get (i32.const 0x20000) (i32.const 16)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func $write (param $n i32) (param $len i32)
    (local $fd i32)
    (local.set $fd (call $open (i32.const 1072) (i32.const 3) (i32.const 9) (i64.const 70)))
    (call $buffer (local.get $len))
    (loop $next
      (call $ok (call $fd_write (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 8)))
      (if (i32.eqz (i32.and (local.get $n) (i32.const 127)))
        (then (call $ok (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 8)))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $ok (call $fd_close (local.get $fd))))
  (func (export "fd_write 1") (param i32) (call $write (local.get 0) (i32.const 1)))
  (func (export "fd_write 64 KiB") (param i32) (call $write (local.get 0) (i32.const 65536)))
  (func (export "fd_read 100 MB") (param $n i32)
    (local $fd i32)
    (call $buffer (i32.const 65536))
    (loop $file
      (local.set $fd (call $open (i32.const 1040) (i32.const 5) (i32.const 0) (i64.const 2)))
      (loop $next
        (call $ok (call $fd_read (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 8)))
        (br_if $next (i32.load (i32.const 8))))
      (call $ok (call $fd_close (local.get $fd)))
      (br_if $file (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "path_open, fd_close") (param $n i32)
    (loop $next
      (call $ok (call $fd_close (call $open (i32.const 1024) (i32.const 5) (i32.const 0) (i64.const 2))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "listing 10,000") (param $n i32)
    (local $fd i32) (local $cookie i64) (local $at i32) (local $end i32) (local $size i32) (local $count i32)
    (loop $listing
      (local.set $fd (call $open (i32.const 1056) (i32.const 4) (i32.const 2) (i64.const 0x4000)))
      (local.set $cookie (i64.const 0))
      (local.set $count (i32.const 0))
      (loop $call
        (call $ok (call $fd_readdir (local.get $fd) (i32.const 0x20000) (i32.const 4096) (local.get $cookie) (i32.const 8)))
        (local.set $at (i32.const 0x20000))
        (local.set $end (i32.add (local.get $at) (i32.load (i32.const 8))))
        (block $cut
          (loop $entry
            (br_if $cut (i32.gt_u (i32.add (local.get $at) (i32.const 24)) (local.get $end)))
            (local.set $size (i32.add (i32.const 24) (i32.load offset=16 (local.get $at))))
            (br_if $cut (i32.gt_u (i32.add (local.get $at) (local.get $size)) (local.get $end)))
            (local.set $cookie (i64.load (local.get $at)))
            (local.set $at (i32.add (local.get $at) (local.get $size)))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br $entry)))
        (br_if $call (i32.eq (i32.load (i32.const 8)) (i32.const 4096))))
      (if (i32.ne (local.get $count) (i32.const 10002)) (then unreachable))
      (call $ok (call $fd_close (local.get $fd)))
      (br_if $listing (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

/// An operation: the guest's export, how often a batch does it, how many batches are timed, and the same by system calls
/// alone.
struct Operation {
    name: &'static str,
    batch: u32,
    rounds: usize,
    native: fn(&Path, u32) -> Result<()>,
}

const OPERATIONS: [Operation; 7] = [
    Operation { name: "clock_time_get", batch: 20_000, rounds: 40, native: native_clock },
    Operation { name: "random_get", batch: 2000, rounds: 40, native: native_random },
    Operation { name: "fd_write 1", batch: 2000, rounds: 40, native: |dir, n| native_write(dir, n, 1) },
    Operation { name: "fd_write 64 KiB", batch: 256, rounds: 40, native: |dir, n| native_write(dir, n, 65536) },
    Operation { name: "fd_read 100 MB", batch: 1, rounds: 20, native: native_read },
    Operation { name: "path_open, fd_close", batch: 1000, rounds: 40, native: native_open },
    // The peer begins each call anew and takes seconds.
    Operation { name: "listing 10,000", batch: 1, rounds: 3, native: native_listing },
];

fn native_clock(_: &Path, n: u32) -> Result<()> {
    for _ in 0..n {
        std::hint::black_box(Instant::now());
    }
    Ok(())
}

fn native_random(_: &Path, n: u32) -> Result<()> {
    // Where Rust has no call of its own for it, the kernel's file does the same work.
    let mut source = File::open("/dev/urandom")?;
    let mut bytes = [0; 16];
    for _ in 0..n {
        source.read_exact(&mut bytes)?;
    }
    Ok(())
}

fn native_write(dir: &Path, n: u32, len: usize) -> Result<()> {
    let mut file = File::create(dir.join("out"))?;
    let bytes = vec![0; len];
    for at in (1..=n).rev() {
        file.write_all(&bytes)?;
        if at & 127 == 0 {
            file.rewind()?;
        }
    }
    Ok(())
}

fn native_read(dir: &Path, n: u32) -> Result<()> {
    let mut bytes = vec![0; 65536];
    for _ in 0..n {
        let mut file = File::open(dir.join("large"))?;
        while file.read(&mut bytes)? > 0 {}
    }
    Ok(())
}

fn native_open(dir: &Path, n: u32) -> Result<()> {
    let path = dir.join("small");
    for _ in 0..n {
        drop(File::options().read(true).custom_flags(0x800).open(&path)?);
    }
    Ok(())
}

fn native_listing(dir: &Path, n: u32) -> Result<()> {
    for _ in 0..n {
        std::hint::black_box(std::fs::read_dir(dir.join("many"))?.count());
    }
    Ok(())
}

fn ours(dir: &Path, name: &str) -> Result<Run<'static>> {
    use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, Store};
    let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()))?;
    let mut linker = Linker::new(&engine);
    hotfoot_wasi::p1::add_to_linker(&mut linker, |ctx| ctx)?;
    let pre = linker.instantiate_pre(&Module::new(&engine, GUEST)?)?;
    let mut builder = hotfoot_wasi::WasiCtxBuilder::new();
    let ctx = builder.preopened_dir(dir, "/", hotfoot_wasi::Perms::READ_WRITE)?.build();
    let mut store = Store::new(&engine, ctx);
    let run = pre.instantiate(&mut store)?.get_typed_func::<u32, ()>(&mut store, name)?;
    Ok(Box::new(move |n| run.call(&mut store, n)))
}

fn peer(dir: &Path, name: &str, blocking: bool) -> Result<Run<'static>> {
    let mut run = prepare_peer(dir, name, blocking).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(Box::new(move |n| run(n).map_err(|error| anyhow::anyhow!("{error:?}"))))
}

fn prepare_peer(
    dir: &Path,
    name: &str,
    blocking: bool,
) -> wasmtime::Result<impl FnMut(u32) -> wasmtime::Result<()> + use<>> {
    use wasmtime::{Engine, Linker, Module, Store};
    use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p1};
    let engine = Engine::default();
    let mut linker: Linker<p1::WasiP1Ctx> = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |ctx| ctx)?;
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(blocking);
    let ctx = builder.preopened_dir(dir, "/", FsPerms::ReadWrite)?.build_p1();
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &Module::new(&engine, GUEST)?)?;
    let run = instance.get_typed_func::<u32, ()>(&mut store, name)?;
    Ok(move |n| run.call(&mut store, n))
}

/// One table: a row for each operation.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut table = Table::new("wasi", "one operation of WASI preview 1, from a guest's loop", Unit::Nanoseconds)
        .ours("hotfoot", "")
        .peer("native", "the same system calls, made by Rust")
        .peer("Wasmtime blocking", "add_to_linker_sync, allow_blocking_current_thread")
        .peer("Wasmtime default", "add_to_linker_sync");
    table.note("Files are in memory (/dev/shm).");
    let dir = Path::new("/dev/shm").join(format!("hotfoot-bench-{}", std::process::id()));
    prepare_files(&dir).with_context(|| format!("cannot prepare files in {}", dir.display()))?;
    let mut wanted = OPERATIONS.iter().filter(|operation| options.wants("wasi", operation.name));
    let outcome = wanted.try_for_each(|operation| {
        table.row(operation.name, measure(&dir, operation, options.rounds(operation.rounds, 3))?);
        Ok(())
    });
    std::fs::remove_dir_all(&dir)?;
    outcome.map(|()| vec![table])
}

fn prepare_files(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir.join("many"))?;
    std::fs::write(dir.join("small"), "small")?;
    std::fs::write(dir.join("large"), vec![7; 100_000_000])?;
    for number in 0..10_000 {
        File::create(dir.join("many").join(format!("{number:05}")))?;
    }
    Ok(())
}

fn measure(dir: &Path, operation: &Operation, rounds: usize) -> Result<Vec<Vec<f64>>> {
    let (path, native) = (dir.to_owned(), operation.native);
    let mut runs: [Run<'_>; 4] = [
        ours(dir, operation.name)?,
        Box::new(move |n| native(&path, n)),
        peer(dir, operation.name, true)?,
        peer(dir, operation.name, false)?,
    ];
    turns::samples_of(rounds, operation.batch, &mut runs)
}
