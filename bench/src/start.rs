//! From nothing to the first line that a program prints, and what compiling large modules takes, beside a peer: processes
//! that are started for this.
//!
//! ```text
//!  cargo run --release -- --start --corpus FOLDER [--quick]
//! ```
//!
//! Each sample is a process of this program, which embeds hotfoot or Wasmtime. The time counts from before the process is started until its
//! first line is read, or until its end. Both compile on all processors, and each has its own cache, or maps an artifact of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::options::Options;
use crate::table::{Table, Unit};

/// Prints a line.
pub const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))"#;

/// Precedes what a process is asked for.
const FLAG: &str = "--start-process";

/// What one process does.
#[derive(Clone)]
pub struct Process {
    who: String,
    what: String,
    file: PathBuf,
    /// Where artifacts are kept.
    kept: PathBuf,
}

/// When the first line of a process was read, when it ended, in nanoseconds, and what it said.
struct Seen {
    first_line: f64,
    end: f64,
    said: String,
}

impl Process {
    /// What this process is asked for by another, if it is.
    pub fn asked(arguments: impl Iterator<Item = String>) -> Option<Process> {
        let mut arguments = arguments.skip_while(|argument| argument != FLAG).skip(1);
        let (who, what) = (arguments.next()?, arguments.next()?);
        Some(Process { who, what, file: arguments.next()?.into(), kept: arguments.next()?.into() })
    }

    fn start(&self) -> Result<Seen> {
        let start = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, &self.who, &self.what]).arg(&self.file).arg(&self.kept);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output was not piped")?);
        let mut said = String::new();
        lines.read_line(&mut said)?;
        let first_line = start.elapsed();
        lines.read_to_string(&mut said)?;
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {}: {complaint}", self.who, self.what);
        let nanos = |time: std::time::Duration| time.as_nanos() as f64;
        Ok(Seen { first_line: nanos(first_line), end: nanos(start.elapsed()), said })
    }
}

/// Four tables: starts, and the time, memory and code of compilations.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let kept = std::env::temp_dir().join(format!("bench-start-{}", std::process::id()));
    std::fs::create_dir_all(&kept)?;
    let tables = starts(options, &kept).and_then(|starts| {
        let mut tables = compilations(options, &kept)?;
        tables.insert(0, starts);
        Ok(tables)
    });
    std::fs::remove_dir_all(&kept)?;
    tables
}

fn pair(what: &str, file: &Path, kept: &Path) -> [Process; 2] {
    ["ours", "peer"].map(|who| Process { who: who.into(), what: what.into(), file: file.into(), kept: kept.into() })
}

fn starts(options: &Options, kept: &Path) -> Result<Table> {
    let hello = kept.join("hello.wat");
    std::fs::write(&hello, HELLO)?;
    let mut table = Table::new("start", "from nothing to the first line of a program", Unit::Nanoseconds)
        .ours("hotfoot", "a process that embeds it; lazy compilation where nothing is cached")
        .peer("Wasmtime", "a process that embeds it; parallel compilation");
    let python = options.corpus.as_ref().map(|corpus| corpus.join("apps/python-3.12.wasm"));
    let python = python.filter(|python| python.exists());
    let (few, many) = (options.rounds(5, 2), options.rounds(30, 5));
    let of_python = [("uncached", "cold", few), ("cached", "cached", many), ("an artifact", "artifact", many)];
    let mut rows = vec![("hello, an artifact, to its end".to_owned(), "artifact", &hello, many)];
    for (label, what, rounds) in of_python {
        rows.extend(python.iter().map(|python| (format!("CPython, {label}"), what, python, rounds)));
    }
    for (name, what, file, rounds) in rows.into_iter().filter(|(name, ..)| options.wants("start", name)) {
        if what != "cold" {
            pair("keep", file, kept).iter().try_for_each(|process| process.start().map(drop))?;
        }
        let processes = pair(what, file, kept);
        let mut samples = vec![Vec::new(); 2];
        for _ in 0..rounds {
            for (process, samples) in processes.iter().zip(&mut samples) {
                let seen = process.start()?;
                samples.push(if file == &hello { seen.end } else { seen.first_line });
            }
        }
        table.row(name, samples);
    }
    if python.is_none() {
        table.note("without `--corpus`, there is no CPython to start");
    }
    Ok(table)
}

fn compilations(options: &Options, kept: &Path) -> Result<Vec<Table>> {
    let settings = "precompile_module, default settings, all processors";
    let table = |name: &str, title: &str, unit| {
        Table::new(name, title, unit).ours("hotfoot", settings).peer("Wasmtime", settings)
    };
    let mut tables = vec![
        table("compile time", "compiling a whole module", Unit::Nanoseconds),
        table("compile memory", "resident memory of the process at its highest", Unit::Bytes),
        table("code size", "bytes of machine code", Unit::Bytes),
    ];
    let Some(apps) = options.corpus.as_ref().map(|corpus| corpus.join("apps")) else { return Ok(tables) };
    let files = std::fs::read_dir(&apps).with_context(|| apps.display().to_string())?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !options.wants("compile", &name) {
            continue;
        }
        let mut samples = vec![vec![Vec::new(); 2]; tables.len()];
        for _ in 0..options.rounds(3, 1) {
            for (who, process) in pair("compile", &file, kept).iter().enumerate() {
                let seen = process.start()?;
                for (samples, number) in samples.iter_mut().zip(seen.said.split_whitespace()) {
                    samples[who].push(number.parse()?);
                }
            }
        }
        tables.iter_mut().zip(samples).for_each(|(table, samples)| table.row(name.as_ref(), samples));
    }
    Ok(tables)
}

impl Process {
    /// Does what this process was asked for.
    pub fn run(&self) -> Result<()> {
        let artifact = |extension| self.kept.join(self.file.file_name().unwrap_or_default()).with_extension(extension);
        if self.what == "compile" {
            return self.compile();
        }
        match self.who.as_str() {
            "ours" => ours(&self.what, &self.file, &self.kept, &artifact("hotfoot")),
            "peer" => peer(&self.what, &self.file, &self.kept, &artifact("cwasm")).map_err(failed),
            other => bail!("nobody is called {other}"),
        }
    }

    /// Says how many nanoseconds it took, how many bytes of memory there ever were, and how long `.text` is.
    fn compile(&self) -> Result<()> {
        let (wasm, start) = (std::fs::read(&self.file)?, Instant::now());
        let artifact = match self.who.as_str() {
            "ours" => hotfoot::Engine::default().precompile_module(&wasm)?,
            _ => wasmtime::Engine::default().precompile_module(&wasm).map_err(failed)?,
        };
        let took = start.elapsed();
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak of memory is told")?;
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        println!("{} {} {}", took.as_nanos(), peak * 1024, text_len(&artifact));
        Ok(())
    }
}

/// Bytes of the section `.text` of an ELF file of 64 bits.
fn text_len(elf: &[u8]) -> u64 {
    let number =
        |at: usize, len: usize| elf[at..at + len].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (table, size, count, names) =
        (number(40, 8) as usize, number(58, 2) as usize, number(60, 2) as usize, number(62, 2) as usize);
    let strings = number(table + names * size + 24, 8) as usize;
    let name = |section: usize| &elf[strings + number(table + section * size, 4) as usize..];
    let text = (0..count).find(|section| name(*section).starts_with(b".text\0"));
    text.map_or(0, |section| number(table + section * size + 32, 8))
}

fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

fn ours(what: &str, file: &Path, kept: &Path, artifact: &Path) -> Result<()> {
    use hotfoot::{Cache, CacheConfig, Config, Engine, Linker, Module, Store};
    use hotfoot_wasi::{WasiCtxBuilder, p1};
    let mut config = Config::new();
    config.lazy_compilation(what == "cold");
    if what != "cold" {
        config.cache(Some(Cache::new(CacheConfig::new().with_directory(kept.join("ours")).clone())?));
    }
    let engine = Engine::new(&config)?;
    let module = match what {
        // SAFETY: the file is ours, written below and changed by nobody.
        "artifact" => unsafe { Module::deserialize_file(&engine, artifact)? },
        _ => Module::from_file(&engine, file)?,
    };
    if what == "keep" {
        return Ok(std::fs::write(artifact, module.serialize()?)?);
    }
    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |ctx| ctx)?;
    let ctx = WasiCtxBuilder::new().inherit_stdio().args(&["python", "-c", "print(1)"]).build();
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &module)?;
    let called = instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ());
    let left = called.as_ref().err().and_then(|error| error.downcast_ref::<hotfoot_wasi::I32Exit>());
    end(called.is_ok() || left.is_some_and(|exit| exit.0 == 0))
}

fn peer(what: &str, file: &Path, kept: &Path, artifact: &Path) -> wasmtime::Result<()> {
    use wasmtime::{Cache, CacheConfig, Config, Engine, Linker, Module, Store};
    use wasmtime_wasi::{WasiCtxBuilder, p1};
    let mut config = Config::new();
    if what != "cold" {
        config.cache(Some(Cache::new(CacheConfig::new().with_directory(kept.join("peer")).clone())?));
    }
    let engine = Engine::new(&config)?;
    let module = match what {
        // SAFETY: the file is ours, written below and changed by nobody.
        "artifact" => unsafe { Module::deserialize_file(&engine, artifact)? },
        _ => Module::from_file(&engine, file)?,
    };
    if what == "keep" {
        return Ok(std::fs::write(artifact, module.serialize()?)?);
    }
    let mut linker = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |ctx| ctx)?;
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true);
    let ctx = builder.inherit_stdio().args(&["python", "-c", "print(1)"]).build_p1();
    let mut store = Store::new(&engine, ctx);
    let instance = linker.instantiate(&mut store, &module)?;
    let called = instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ());
    let left = called.as_ref().err().and_then(|error| error.downcast_ref::<wasmtime_wasi::I32Exit>());
    end(called.is_ok() || left.is_some_and(|exit| exit.0 == 0))
}

/// Ends the process at once, as a command would.
fn end(succeeded: bool) -> ! {
    std::process::exit(i32::from(!succeeded))
}
