//! Execution beside a peer: how long programs run between their calls of `bench.start` and `bench.end`, how long they
//! take to compile, and how large their code is.
//!
//! ```text
//!  cargo run --release -- --execution --corpus DIR [--only "PROGRAM, SETTING"]
//! ```
//!
//! Each program is compiled once by hotfoot and by Wasmtime, then run in turns, each time in a new store; what it writes
//! must be the same. Times are those of the thread, not of the clock on the wall, so that what else the machine does
//! matters less. The settings are those in which both can be asked to run, see [`Setting`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::options::Options;
use crate::table::{Table, Unit};

/// Guests of our own: text, in this repository.
const GUESTS: [(&str, &str); 3] = [
    ("fib", include_str!("../guests/fib.wat")),
    ("ackermann", include_str!("../guests/ackermann.wat")),
    ("interpreter", include_str!("../guests/interpreter.wat")),
];

/// A program that imports `bench.start` and `bench.end` beside WASI.
struct Program {
    name: String,
    bytes: Vec<u8>,
    /// The directory that it sees as `.`.
    dir: Option<PathBuf>,
}

/// What one run of a program took and wrote.
struct Run {
    nanos: f64,
    output: Vec<u8>,
}

/// A compiled program.
struct Compiled {
    compile_nanos: f64,
    code_bytes: usize,
    run: Box<dyn FnMut() -> Result<Run>>,
}

/// In what setting both sides run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Setting {
    Default,
    /// Memories of which nothing is known about the address space, so that each access is checked.
    Dynamic,
    /// Without signal handlers.
    NoSignals,
    Epochs,
    Fuel,
}

impl Setting {
    const ALL: [Setting; 5] =
        [Setting::Default, Setting::Dynamic, Setting::NoSignals, Setting::Epochs, Setting::Fuel];

    fn name(self) -> &'static str {
        match self {
            Setting::Default => "default",
            Setting::Dynamic => "dynamic",
            Setting::NoSignals => "no signals",
            Setting::Epochs => "epochs",
            Setting::Fuel => "fuel",
        }
    }
}

/// When a guest called `bench.start`, and how long it took from there to `bench.end`.
#[derive(Default)]
struct Timer {
    start: f64,
    nanos: Option<f64>,
}

type SharedTimer = Arc<Mutex<Timer>>;

fn thread_nanos() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

impl Timer {
    fn start(timer: &SharedTimer) {
        timer.lock().expect("nobody panics with it").start = thread_nanos();
    }

    fn end(timer: &SharedTimer) {
        let end = thread_nanos();
        let mut timer = timer.lock().expect("nobody panics with it");
        timer.nanos = Some(end - timer.start);
    }

    fn take(timer: &SharedTimer) -> Result<f64> {
        timer.lock().expect("nobody panics with it").nanos.take().context("the guest did not call bench.end")
    }
}

/// A table of execution times for each setting; compile times and code sizes in the default one.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut programs: Vec<Program> = GUESTS.iter().map(|(name, text)| guest(name, text)).collect();
    if let Some(corpus) = &options.corpus {
        find(&corpus.join("sightglass"), &mut programs)?;
    }
    let both = |name: &str, title: &str, unit: Unit, settings: &str| {
        Table::new(name, title, unit).ours("hotfoot", settings).peer("Wasmtime 48", settings)
    };
    let mut tables = Vec::new();
    let mut compile = both("compile time", "bytes to code, by one thread", Unit::Nanoseconds, "default");
    let mut size = both("code size", "machine code", Unit::Bytes, "default");
    compile.note("Wasmtime compiles on all cores, hotfoot on one: read it on a machine whose cores are busy.");
    for setting in Setting::ALL {
        let name = format!("execution {}", setting.name());
        let mut table = both(&name, "time between bench.start and bench.end", Unit::Nanoseconds, setting.name());
        for program in &programs {
            let row = format!("{}, {}", program.name, setting.name());
            if !options.wants(&name, &row) {
                continue;
            }
            let measured = measure(program, setting, options.rounds(9, 3)).with_context(|| row.clone())?;
            table.row(row, measured.times);
            if setting == Setting::Default {
                compile.row(program.name.clone(), measured.compile.map(|nanos| vec![nanos]));
                size.row(program.name.clone(), measured.code.map(|bytes| vec![bytes as f64]));
            }
        }
        tables.push(table);
    }
    tables.extend([compile, size]);
    Ok(tables)
}

fn guest(name: &str, text: &str) -> Program {
    Program { name: name.to_owned(), bytes: text.as_bytes().to_vec(), dir: None }
}

/// All programs below a directory, in order of their paths.
fn find(dir: &Path, programs: &mut Vec<Program>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, programs)?;
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let folder = dir.file_name().unwrap_or_default().to_string_lossy();
            let name = if stem == "benchmark" { folder.into_owned() } else { stem.into_owned() };
            programs.push(Program { name, bytes: std::fs::read(&path)?, dir: Some(dir.to_owned()) });
        }
    }
    Ok(())
}

/// What was measured of a program, for hotfoot and for the peer.
struct Measured {
    times: [Vec<f64>; 2],
    compile: [f64; 2],
    code: [usize; 2],
}

fn measure(program: &Program, setting: Setting, rounds: usize) -> Result<Measured> {
    let mut sides = [ours(program, setting)?, peer(program, setting).map_err(|error| anyhow::anyhow!("{error:?}"))?];
    let mut times = [const { Vec::new() }; 2];
    let mut outputs = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for ((side, times), output) in sides.iter_mut().zip(&mut times).zip(&mut outputs) {
            let run = (side.run)()?;
            times.push(run.nanos);
            *output = run.output;
        }
    }
    ensure!(outputs[0] == outputs[1], "the outputs differ");
    Ok(Measured {
        times,
        compile: sides.each_ref().map(|side| side.compile_nanos),
        code: sides.each_ref().map(|side| side.code_bytes),
    })
}

fn ours(program: &Program, setting: Setting) -> Result<Compiled> {
    use hotfoot::{Config, Engine, Linker, Module, Store};
    use hotfoot_wasi::{MemoryOutputPipe, Perms, WasiCtx, WasiCtxBuilder};
    let mut config = Config::new();
    config.cache(None).parallel_compilation(false);
    match setting {
        Setting::Default => {}
        Setting::Dynamic => drop(config.memory_reservation(0).memory_guard_size(0)),
        Setting::NoSignals => drop(config.signals_based_traps(false)),
        Setting::Epochs => drop(config.epoch_interruption(true)),
        Setting::Fuel => drop(config.consume_fuel(true)),
    }
    let engine = Engine::new(&config)?;
    let start = Instant::now();
    let module = Module::new(&engine, &program.bytes)?;
    let compile_nanos = start.elapsed().as_nanos() as f64;
    let code_bytes = module.text().len();
    let timer = SharedTimer::default();
    let mut linker: Linker<WasiCtx> = Linker::new(&engine);
    hotfoot_wasi::p1::add_to_linker(&mut linker, |ctx| ctx)?;
    let (at_start, at_end) = (timer.clone(), timer.clone());
    linker.func_wrap("bench", "start", move || Timer::start(&at_start))?;
    linker.func_wrap("bench", "end", move || Timer::end(&at_end))?;
    let pre = linker.instantiate_pre(&module)?;
    let dir = program.dir.clone();
    let run = move || {
        let mut builder = WasiCtxBuilder::new();
        let stdout = MemoryOutputPipe::new(1 << 24);
        builder.stdout(stdout.clone());
        if let Some(dir) = &dir {
            builder.preopened_dir(dir, ".", Perms::READ_ONLY)?;
        }
        let mut store = Store::new(&engine, builder.build());
        match setting {
            Setting::Epochs => store.set_epoch_deadline(1),
            Setting::Fuel => store.set_fuel(u64::MAX / 4)?,
            _ => {}
        }
        let instance = pre.instantiate(&mut store)?;
        let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let outcome = entry.call(&mut store, ());
        // A program may leave by `proc_exit`, after the part that is timed.
        let nanos = Timer::take(&timer).or_else(|error| outcome.and(Err(error)))?;
        Ok(Run { nanos, output: stdout.contents() })
    };
    Ok(Compiled { compile_nanos, code_bytes, run: Box::new(run) })
}

fn peer(program: &Program, setting: Setting) -> wasmtime::Result<Compiled> {
    use wasmtime::{Config, Engine, Linker, Module, Store};
    use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
    use wasmtime_wasi::{FsPerms, WasiCtxBuilder, p1};
    let mut config = Config::new();
    match setting {
        Setting::Default => {}
        Setting::Dynamic => drop(config.memory_reservation(0).memory_guard_size(0)),
        Setting::NoSignals => drop(config.signals_based_traps(false)),
        Setting::Epochs => drop(config.epoch_interruption(true)),
        Setting::Fuel => drop(config.consume_fuel(true)),
    }
    let engine = Engine::new(&config)?;
    let start = Instant::now();
    let module = Module::new(&engine, &program.bytes)?;
    let compile_nanos = start.elapsed().as_nanos() as f64;
    let code_bytes = module.text().len();
    let timer = SharedTimer::default();
    let mut linker: Linker<p1::WasiP1Ctx> = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |ctx| ctx)?;
    let (at_start, at_end) = (timer.clone(), timer.clone());
    linker.func_wrap("bench", "start", move || Timer::start(&at_start))?;
    linker.func_wrap("bench", "end", move || Timer::end(&at_end))?;
    let pre = linker.instantiate_pre(&module)?;
    let dir = program.dir.clone();
    let run = move || {
        let stdout = MemoryOutputPipe::new(1 << 24);
        let mut builder = WasiCtxBuilder::new();
        builder.stdout(stdout.clone());
        let mut prepare = || -> wasmtime::Result<wasmtime::Result<()>> {
            if let Some(dir) = &dir {
                builder.preopened_dir(dir, ".", FsPerms::ReadOnly)?;
            }
            let mut store = Store::new(&engine, builder.build_p1());
            match setting {
                Setting::Epochs => store.set_epoch_deadline(1),
                Setting::Fuel => store.set_fuel(u64::MAX / 4)?,
                _ => {}
            }
            let instance = pre.instantiate(&mut store)?;
            let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            Ok(entry.call(&mut store, ()))
        };
        let outcome = prepare().map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let nanos = Timer::take(&timer)
            .or_else(|error| outcome.map_err(|error| anyhow::anyhow!("{error:?}")).and(Err(error)))?;
        Ok(Run { nanos, output: stdout.contents().to_vec() })
    };
    Ok(Compiled { compile_nanos, code_bytes, run: Box::new(run) })
}
