//! Execution beside peers: how long programs run between their calls of `bench.start` and `bench.end`, how long they
//! take to compile, and how large their code is.
//!
//! ```text
//!  cargo run --release -- --execution --corpus DIR [--only "PROGRAM, SETTING"]
//! ```
//!
//! Each program is compiled once by each contender, then run in turns, each time in a new store; what it writes must be
//! the same. Times are those of the thread, not of the clock on the wall, so that what else the machine does matters
//! less. Wasmtime's optimising compiler is the peer in all settings in which both can be asked to run, see [`Setting`];
//! the others, each beside hotfoot again, at their best.

mod interpreter;
pub mod native;
pub mod ours;
pub mod peer;
pub mod program;
pub mod v8;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::options::Options;
use crate::scratch::Scratch;
use crate::table::{Table, Unit};
use program::{Extent, Program};

/// What one run of a program took and wrote, if that can be known.
pub struct Run {
    pub nanos: f64,
    output: Option<Vec<u8>>,
}

/// A compiled program.
pub struct Compiled {
    compile_nanos: Option<f64>,
    code_bytes: Option<usize>,
    pub run: Box<dyn FnMut() -> Result<Run>>,
}

/// In what setting a program runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Default,
    /// Memories of which nothing is known about the address space, so that each access is checked.
    Dynamic,
    /// Without signal handlers.
    NoSignals,
    Epochs,
    Fuel,
}

impl Setting {
    pub const ALL: [Setting; 5] = [Setting::Default, Setting::Dynamic, Setting::NoSignals, Setting::Epochs, Setting::Fuel];

    pub fn name(self) -> &'static str {
        match self {
            Setting::Default => "default",
            Setting::Dynamic => "dynamic",
            Setting::NoSignals => "no signals",
            Setting::Epochs => "epochs",
            Setting::Fuel => "fuel",
        }
    }
}

/// Who runs a program.
struct Contender {
    name: &'static str,
    settings: &'static str,
    /// Compiles a program for a setting, with a folder for files; none of a program that is not for it.
    compile: fn(&Program, Setting, &Path) -> Result<Option<Compiled>>,
    /// Whether it must be able to run all programs.
    must: bool,
}

const OURS: Contender = Contender { name: "hotfoot", settings: "", compile: ours::compile, must: true };
const PEER: Contender = Contender { name: "Wasmtime 48", settings: "Cranelift", compile: peer::compile, must: true };
const BASELINE: Contender =
    Contender { name: "Wasmtime baseline", settings: "Winch", compile: peer::compile_baseline, must: false };
const INTERPRETER: Contender = Contender {
    name: "wasmi",
    settings: "an interpreter; its translation is eager, its recursion as deep as others'",
    compile: interpreter::compile,
    must: false,
};
const V8: Contender = Contender {
    name: "V8",
    settings: "node with only TurboFan: --no-liftoff, --no-wasm-lazy-compilation, --single-threaded",
    compile: v8::compile,
    must: false,
};
const NATIVE: Contender =
    Contender { name: "native", settings: "cc -O2 of the same C", compile: native::compile, must: false };

/// When a guest called `bench.start`, and how long it took from there to `bench.end`.
#[derive(Default)]
pub struct Timer {
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

/// What goes into one table of execution times.
struct Plan<'a> {
    name: String,
    setting: Setting,
    contenders: &'a [Contender],
    /// What follows a program's name in its row's, so that `--only` finds "PROGRAM, SETTING".
    suffix: String,
    extent: Extent,
    rounds: usize,
    /// There are fewer rounds of a program that runs long: when so much time is over, but not before so many.
    enough: (Duration, usize),
}

/// A table of execution times for each setting, one for each kind of other peers, one of compile times and one of code
/// sizes.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let (programs, scratch) = (Program::all(options.corpus.as_deref())?, Scratch::new("execution")?);
    let extent = |usual, quick| match options.only {
        Some(_) => Extent::All,
        None if options.quick => quick,
        None => usual,
    };
    let enough = |least| if options.quick { (Duration::from_secs(4), 1) } else { (Duration::from_secs(20), least) };
    let beside = |setting: Setting| Plan {
        name: format!("execution {}", setting.name()),
        setting,
        contenders: &[OURS, PEER],
        suffix: format!(", {}", setting.name()),
        extent: match setting {
            Setting::Default => extent(Extent::All, Extent::Short),
            _ => extent(Extent::Short, Extent::Sample),
        },
        rounds: if setting == Setting::Default { options.rounds(9, 3) } else { options.rounds(5, 3) },
        enough: enough(if setting == Setting::Default { 3 } else { 2 }),
    };
    let others = |kind: &str, contenders: &'static [Contender], usual, rounds| Plan {
        name: format!("execution, {kind}"),
        setting: Setting::Default,
        contenders,
        suffix: String::new(),
        extent: extent(usual, Extent::Sample),
        rounds,
        enough: enough(2),
    };
    let mut plans = vec![
        beside(Setting::Default),
        others("other optimisers", &[OURS, V8, NATIVE], Extent::Short, options.rounds(5, 3)),
        others("quick compilers", &[OURS, BASELINE, INTERPRETER], Extent::Sample, options.rounds(2, 1)),
    ];
    plans.extend(Setting::ALL.into_iter().skip(1).map(beside));
    let mut tables = Vec::new();
    for plan in plans {
        tables.push(execution(options, &plan, &programs, &scratch)?);
    }
    tables.extend(compilation(options, &programs, &scratch)?);
    Ok(tables)
}

fn execution(options: &Options, plan: &Plan<'_>, programs: &[Program], scratch: &Path) -> Result<Table> {
    let title = "time between bench.start and bench.end";
    let mut table = columns(Table::new(&plan.name, title, Unit::Nanoseconds), plan.contenders, plan.setting);
    for program in programs.iter().filter(|program| program.extent() <= plan.extent) {
        let row = format!("{}{}", program.name, plan.suffix);
        if options.wants(&plan.name, &row) {
            let samples = times(&mut table, plan, program, scratch).with_context(|| row.clone())?;
            table.row(row, samples);
        }
    }
    match plan.extent {
        Extent::Sample => table.note("Of a corpus, a sample of the programs."),
        Extent::Short => table.note("Of a corpus, the programs that do not run for ten seconds."),
        Extent::All => {}
    }
    Ok(table)
}

fn columns(table: Table, contenders: &[Contender], setting: Setting) -> Table {
    contenders.iter().enumerate().fold(table, |table, (at, contender)| {
        let settings = match setting {
            Setting::Default => contender.settings,
            setting => setting.name(),
        };
        if at == 0 { table.ours(contender.name, settings) } else { table.peer(contender.name, settings) }
    })
}

/// Times of a program's runs in turns; none of who cannot run it.
fn times(table: &mut Table, plan: &Plan<'_>, program: &Program, scratch: &Path) -> Result<Vec<Vec<f64>>> {
    let mut sides = Vec::new();
    for contender in plan.contenders {
        sides.push(contender.ready(table, program, plan.setting, scratch)?);
    }
    let mut times = vec![Vec::new(); sides.len()];
    let mut outputs = vec![None; sides.len()];
    let (start, (enough, least)) = (Instant::now(), plan.enough);
    for round in 0..plan.rounds {
        if round >= least && start.elapsed() > enough {
            break;
        }
        for (at, contender) in plan.contenders.iter().enumerate() {
            let Some(compiled) = &mut sides[at] else { continue };
            let run = (compiled.run)();
            match contender.tolerate(table, program, run)? {
                Some(run) => {
                    times[at].push(run.nanos);
                    outputs[at] = run.output;
                }
                None => sides[at] = None,
            }
        }
    }
    for (contender, output) in plan.contenders.iter().zip(&outputs) {
        ensure!(output.is_none() || *output == outputs[0], "{} writes something else", contender.name);
    }
    Ok(times)
}

impl Contender {
    /// Compiles a program, if that is possible.
    fn ready(
        &self,
        table: &mut Table,
        program: &Program,
        setting: Setting,
        scratch: &Path,
    ) -> Result<Option<Compiled>> {
        let compiled = (self.compile)(program, setting, scratch);
        Ok(self.tolerate(table, program, compiled)?.flatten())
    }

    /// What failed is an error of who must be able to do it, and a note about others.
    fn tolerate<T>(&self, table: &mut Table, program: &Program, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error) if self.must => Err(error.context(self.name)),
            Err(error) => {
                table.note(format!("{} cannot run {}: {}", self.name, program.name, error.root_cause()));
                Ok(None)
            }
        }
    }
}

/// Times of compilations by one thread, in turns, and what they made.
fn compilation(options: &Options, programs: &[Program], scratch: &Path) -> Result<[Table; 2]> {
    const CONTENDERS: [Contender; 5] = [OURS, PEER, V8, BASELINE, INTERPRETER];
    let title = "bytes to code, by one thread";
    let mut time =
        columns(Table::new("compile time, programs", title, Unit::Nanoseconds), &CONTENDERS, Setting::Default);
    let mut size = columns(
        Table::new("code size, programs", "machine code", Unit::Bytes),
        &[OURS, PEER, BASELINE],
        Setting::Default,
    );
    for program in programs {
        if !options.wants("compile time, programs", &program.name) {
            continue;
        }
        let (mut times, mut sizes) = (vec![Vec::new(); CONTENDERS.len()], Vec::new());
        for round in 0..options.rounds(3, 1) {
            for (contender, times) in CONTENDERS.iter().zip(&mut times) {
                let compiled = contender.ready(&mut time, program, Setting::Default, scratch)?;
                times.extend(compiled.as_ref().and_then(|compiled| compiled.compile_nanos));
                let bytes = compiled.as_ref().and_then(|compiled| compiled.code_bytes);
                if round == 0 && size.columns.iter().any(|column| column.name == contender.name) {
                    sizes.push(bytes.map(|bytes| bytes as f64).into_iter().collect());
                }
            }
        }
        time.row(program.name.clone(), times);
        size.row(program.name.clone(), sizes);
    }
    time.notes.dedup();
    Ok([time, size])
}
