//! One start of a program, step by step, up to its first output.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hotfoot::{Cache, CallHook, Config, Linker, Module, Store, Trap};
use hotfoot_wasi::{I32Exit, MemoryOutputPipe, WasiCtx, p0, p1};
use serde::Serialize;

use crate::args::RunArgs;
use crate::cmd::run::words;
use crate::input::Input;
use crate::{imports, rest, trust, wasi};

/// How long a program gets that writes nothing, if nobody says.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a program may write before it is stopped.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// How a module comes to be code.
#[derive(Copy, Clone)]
pub enum Load<'a> {
    /// It is compiled.
    Compile,
    /// It is looked for in a cache.
    Cached(&'a Cache),
    /// The file is an artifact.
    Artifact,
}

/// A way to start a program.
#[derive(Copy, Clone)]
pub struct Way<'a> {
    /// The module, or the artifact.
    pub file: &'a Path,
    /// How it comes to be code.
    pub load: Load<'a>,
    /// What the engine is told beside the options.
    pub set: fn(&mut Config),
}

/// Something that takes time.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What, in a few words.
    pub name: &'static str,
    /// How long.
    pub time: Duration,
    /// How often the process touched a page that it did not have yet.
    pub faults: u64,
}

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The program wrote something.
    Output,
    /// It ended without.
    Exit,
    /// It did not write anything in time.
    TimedOut,
    /// It was stopped by an error.
    Failed(String),
}

/// A start that was measured.
#[derive(Clone, Debug)]
pub struct Start {
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// How often the guest called the host.
    pub calls: u64,
    /// How it ended.
    pub ended: Ended,
}

impl Start {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.steps.iter().map(|step| step.time).sum()
    }

    /// How long a step took, or those of them that there are.
    pub fn time(&self, names: &[&str]) -> Duration {
        self.steps.iter().filter(|step| names.contains(&step.name)).map(|step| step.time).sum()
    }
}

/// Names of steps.
pub const READ: &str = "read the file";
/// Compiling, or whatever is done instead.
pub const COMPILE: &str = "compile";
/// Finding compiled code in the cache.
pub const FIND: &str = "find in the cache";
/// Loading an artifact.
pub const LOAD: &str = "load the artifact";
/// Resolving imports.
pub const LINK: &str = "link";
/// Making the instance.
pub const INSTANTIATE: &str = "instantiate";
/// The start function.
pub const START: &str = "start function";
/// What the guest does before it writes.
pub const GUEST: &str = "the program itself";
/// What the host does for it.
pub const HOST: &str = "host calls";

/// What the host functions of a start work on, and what is seen of them.
struct Host {
    wasi: WasiCtx,
    outputs: [MemoryOutputPipe; 2],
    guest_since: Option<Instant>,
    host_since: Option<Instant>,
    guest: Duration,
    host: Duration,
    calls: u64,
}

/// The program has written something, so it is stopped.
#[derive(Debug)]
struct FirstOutput;

impl fmt::Display for FirstOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the program has written something")
    }
}

impl std::error::Error for FirstOutput {}

impl Host {
    fn new(args: &RunArgs) -> Result<Host> {
        let outputs = [MemoryOutputPipe::new(OUTPUT_BYTES_MAX), MemoryOutputPipe::new(OUTPUT_BYTES_MAX)];
        let mut builder = wasi::builder(args, &words(args)?)?;
        builder.stdin(hotfoot_wasi::Stdio::Null).stdout(outputs[0].clone()).stderr(outputs[1].clone());
        let (guest, host) = (Duration::ZERO, Duration::ZERO);
        Ok(Host { wasi: builder.build(), outputs, guest_since: None, host_since: None, guest, host, calls: 0 })
    }

    fn crossed(&mut self, call: CallHook) -> Result<()> {
        let now = Instant::now();
        let since = |start: Option<Instant>| start.map_or(Duration::ZERO, |start| now - start);
        match call {
            CallHook::CallingWasm => self.guest_since = Some(now),
            CallHook::ReturningFromWasm => self.guest += since(self.guest_since.take()),
            CallHook::CallingHost => {
                self.calls += 1;
                self.host_since = Some(now);
            }
            CallHook::ReturningFromHost => {
                self.host += since(self.host_since.take());
                if self.outputs.iter().any(|output| !output.contents().is_empty()) {
                    return Err(FirstOutput.into());
                }
            }
        }
        Ok(())
    }

    /// How long the guest itself ran since this was asked last, and the host for it.
    fn take_times(&mut self) -> (Duration, Duration) {
        let (guest, host) = (std::mem::take(&mut self.guest), std::mem::take(&mut self.host));
        (guest.saturating_sub(host), host)
    }
}

/// Measures the steps of a start.
struct Steps {
    steps: Vec<Step>,
    since: Instant,
    faults: u64,
}

impl Steps {
    fn begin() -> Steps {
        Steps { steps: Vec::new(), since: Instant::now(), faults: faults() }
    }

    /// A step has ended; so much of it belongs to others.
    fn end(&mut self, name: &'static str, others: Duration) {
        let (now, faults) = (Instant::now(), faults());
        let time = (now - self.since).saturating_sub(others);
        self.steps.push(Step { name, time, faults: faults - self.faults });
        (self.since, self.faults) = (Instant::now(), faults);
    }

    fn add(&mut self, name: &'static str, time: Duration) {
        if time > Duration::ZERO {
            self.steps.push(Step { name, time, faults: 0 });
        }
    }
}

/// Starts a program once.
///
/// # Errors
/// When it cannot be started at all.
pub fn once(args: &RunArgs, way: Way<'_>) -> Result<Start> {
    let mut steps = Steps::begin();
    let engine = args.engine.engine_with(|config| {
        // As `hotfoot run` does it.
        config.lazy_compilation(rest::is_large(&Input::ModuleFile(way.file.to_owned())));
        (way.set)(config);
        if let Load::Cached(cache) = way.load {
            config.cache(Some(cache.clone()));
        }
    })?;
    let module = if let Load::Artifact = way.load {
        let module = trust::deserialize_file(&engine, way.file)?;
        steps.end(LOAD, Duration::ZERO);
        module
    } else if let Load::Cached(_) = way.load {
        let module = Module::from_file(&engine, way.file)?;
        steps.end(FIND, Duration::ZERO);
        module
    } else {
        let wasm = std::fs::read(way.file).with_context(|| format!("cannot read `{}`", way.file.display()))?;
        steps.end(READ, Duration::ZERO);
        let module = Module::new(&engine, &wasm)?;
        steps.end(COMPILE, Duration::ZERO);
        module
    };
    let mut store = Store::new(&engine, Host::new(args)?);
    store.set_timeout(args.timeout.unwrap_or(PATIENCE))?;
    store.call_hook(|mut store, call| store.data_mut().crossed(call));
    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
    p0::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
    let resolved = imports::resolve(&module, &linker, &mut store, &args.source.to_string())?;
    steps.end(LINK, Duration::ZERO);
    let instance = resolved.instantiate(&mut store);
    let (guest, host) = store.data_mut().take_times();
    steps.end(INSTANTIATE, guest + host);
    steps.add(START, guest + host);
    let outcome = instance.and_then(|instance| match instance.get_func(&mut store, "_start") {
        Some(start) => start.typed::<(), ()>(&store)?.call(&mut store, ()),
        None => Ok(()),
    });
    let (_, host) = store.data_mut().take_times();
    steps.end(GUEST, host);
    steps.add(HOST, host);
    Ok(Start { steps: steps.steps, calls: store.data().calls, ended: ended(outcome) })
}

fn ended(outcome: Result<()>) -> Ended {
    let Err(error) = outcome else { return Ended::Exit };
    if error.is::<FirstOutput>() {
        return Ended::Output;
    }
    match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
        (Some(_), _) => Ended::Exit,
        (_, Some(Trap::Interrupt)) => Ended::TimedOut,
        _ => Ended::Failed(error.root_cause().to_string()),
    }
}

/// How many pages this process has touched that it did not have, so far; 0 where the system does not tell.
fn faults() -> u64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0 };
    // The name of the program, in parentheses, may hold anything; the count is the eighth field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().nth(7).and_then(|count| count.parse().ok()).unwrap_or(0)
}
