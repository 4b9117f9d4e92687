//! Compiling functions when they are called, and the rest in the background: see [`Config::lazy_compilation`].
//!
//! A guest that calls a function without code compiles it in [`Supplier::demand`], on its own thread, as waking another one takes a
//! quarter as long as the median function does. Parts of the code generator recurse over what they compile, so this needs more stack
//! than there may be; each such thread borrows a [`Desk`].
//!
//! The other threads compile what is likely to be called next: what the functions call that a guest needed, latest first;
//! then what those call that were compiled ahead; then everything, in order. The threads end when nothing is left to do, or the
//! module is dropped; one of them makes the artifact.
//!
//! [`Config::lazy_compilation`]: crate::Config::lazy_compilation

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use anyhow::{Context, Result, anyhow};
use hotfoot_artifact::DebugSections;
use hotfoot_compile::{Code, LazyModule, STACK_SIZE, Worker};

use crate::vm::code::ModuleCode;
use crate::vm::lazy::Supplier;
use crate::vm::stacks::Stack;

/// A function that could not be compiled when it was called.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot compile what is called: {message}")]
struct LateError {
    message: Arc<str>,
}

/// Is given the artifact once it is complete.
pub(super) type Keep = Box<dyn Fn(&[u8]) + Send + Sync>;
/// Signs an artifact, if the engine's are signed.
pub(super) type Sign = Box<dyn Fn(&mut [u8]) -> Result<()> + Send + Sync>;

/// How far a function is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running,
    Placed,
    Failed,
}

/// What is to be compiled, and in which order.
#[derive(Debug, Default)]
struct Plan {
    progress: Vec<Progress>,
    /// What a guest needed before there was code.
    was_demanded: Vec<bool>,
    /// What those functions call, what is called first last.
    likely: Vec<u32>,
    /// What other functions call.
    possible: VecDeque<u32>,
    /// All before it are begun.
    next: u32,
    /// Functions that are not finished.
    unfinished: usize,
}

impl Plan {
    fn new(functions: usize) -> Plan {
        let progress = vec![Progress::Waiting; functions];
        let was_demanded = vec![false; functions];
        Plan { progress, was_demanded, unfinished: functions, ..Plan::default() }
    }

    /// Takes the function that is to be compiled next; `None` if all are begun.
    fn take(&mut self) -> Option<u32> {
        loop {
            let next = self.likely.pop().or_else(|| self.possible.pop_front()).or_else(|| self.in_order())?;
            if self.progress[next as usize] == Progress::Waiting {
                self.progress[next as usize] = Progress::Running;
                return Some(next);
            }
        }
    }

    fn in_order(&mut self) -> Option<u32> {
        let next = self.next;
        self.next += 1;
        ((next as usize) < self.progress.len()).then_some(next)
    }
}

/// What it takes to compile on a guest's thread: buffers, and a stack.
struct Desk {
    worker: Worker,
    stack: Stack,
}

impl Desk {
    fn new() -> Result<Desk> {
        let cannot = || format!("cannot get a stack of {STACK_SIZE} bytes for the compiler");
        Ok(Desk { worker: Worker::default(), stack: Stack::new(STACK_SIZE).with_context(cannot)? })
    }
}

/// What the threads and guests share.
struct State {
    plan: Plan,
    /// Those that nobody uses now.
    desks: Vec<Desk>,
    /// Until they are linked.
    codes: Vec<Option<Code>>,
    /// Why functions could not be compiled.
    failures: BTreeMap<u32, LateError>,
    is_dropped: bool,
    /// Whether a thread makes the artifact.
    is_kept: bool,
}

pub(super) struct Shared {
    module: LazyModule,
    state: Mutex<State>,
    /// A function is finished, or the module is dropped.
    finished: Condvar,
    /// Where code is placed; gone when the module is.
    code: OnceLock<Weak<ModuleCode>>,
    /// What all functions make together.
    artifact: OnceLock<Result<Vec<u8>, Arc<str>>>,
    sign: Sign,
    keep: Option<Keep>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("module", &self.module).finish_non_exhaustive()
    }
}

/// Compiles the functions of one module, on threads of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct Demand {
    shared: Arc<Shared>,
}

impl Demand {
    pub(super) fn new(module: LazyModule, sign: Sign, keep: Option<Keep>) -> Demand {
        let functions = module.function_count() as usize;
        let codes = std::iter::repeat_with(|| None).take(functions).collect();
        let plan = Plan::new(functions);
        let (desks, failures) = (Vec::new(), BTreeMap::new());
        let state = State { plan, desks, codes, failures, is_dropped: false, is_kept: false };
        let shared = Shared {
            module,
            state: Mutex::new(state),
            finished: Condvar::new(),
            code: OnceLock::new(),
            artifact: OnceLock::new(),
            sign,
            keep,
        };
        Demand { shared: Arc::new(shared) }
    }

    /// What its threads work on.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// Starts the threads: they compile for this code from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(self: &Arc<Shared>, code: &Arc<ModuleCode>, parallel: bool) -> Result<()> {
        self.code.set(Arc::downgrade(code)).ok().context("a module is compiled for two places")?;
        let spawn = || {
            let shared = self.clone();
            let builder = thread::Builder::new().name("compile-lazily".to_owned()).stack_size(STACK_SIZE);
            builder.spawn(move || shared.work())
        };
        spawn().context("cannot start a thread to compile on")?;
        if parallel {
            // Guests compile, too.
            let cores = thread::available_parallelism().map_or(1, usize::from);
            (2..cores).for_each(|_| drop(spawn()));
        }
        Ok(())
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.shared.lock().is_dropped = true;
        self.shared.finished.notify_all();
    }
}

impl Supplier for Demand {
    fn demand(&self, function: u32) -> Result<()> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        loop {
            match state.plan.progress[function as usize] {
                Progress::Placed => return Ok(()),
                Progress::Failed => return Err(state.failures[&function].clone().into()),
                Progress::Waiting => {
                    state.plan.progress[function as usize] = Progress::Running;
                    state.plan.was_demanded[function as usize] = true;
                    let desk = state.desks.pop();
                    drop(state);
                    state = shared.compile_here(function, desk);
                }
                Progress::Running => {
                    state.plan.was_demanded[function as usize] = true;
                    state = shared.wait(state);
                }
            }
        }
    }

    fn artifact(&self) -> Result<Vec<u8>> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        while state.plan.unfinished > 0 {
            state = shared.wait(state);
        }
        drop(state);
        match shared.artifact() {
            Ok(artifact) => Ok(artifact.clone()),
            Err(message) => Err(anyhow!("{message}")),
        }
    }

    fn is_complete(&self) -> bool {
        self.shared.lock().plan.unfinished == 0
    }

    fn debug_sections(&self) -> DebugSections<'_> {
        self.shared.module.debug_sections()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is finished.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.finished.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        let mut worker = Worker::default();
        while let Some(function) = self.take() {
            let placed = self.compile(&mut worker, function);
            self.finish(&mut self.lock(), function, placed);
        }
        if self.is_to_keep()
            && let Some(keep) = &self.keep
            && let Ok(artifact) = self.artifact()
        {
            keep(artifact);
        }
    }

    /// The next function to compile; `None` if there is no more, or no need.
    fn take(&self) -> Option<u32> {
        let mut state = self.lock();
        if state.is_dropped { None } else { state.plan.take() }
    }

    /// Waits until all functions are finished, and tells one thread that they are.
    fn is_to_keep(&self) -> bool {
        let mut state = self.lock();
        while state.plan.unfinished > 0 {
            if state.is_dropped {
                return false;
            }
            state = self.wait(state);
        }
        !std::mem::replace(&mut state.is_kept, true)
    }

    /// Compiles a function on a guest's thread.
    fn compile_here(&self, function: u32, desk: Option<Desk>) -> MutexGuard<'_, State> {
        let mut desk = match desk.map_or_else(Desk::new, Ok) {
            Ok(desk) => desk,
            Err(error) => {
                let mut state = self.lock();
                self.finish(&mut state, function, Err(error));
                return state;
            }
        };
        let placed = desk.stack.call(|| self.compile(&mut desk.worker, function));
        let mut state = self.lock();
        self.finish(&mut state, function, placed);
        state.desks.push(desk);
        state
    }

    /// Compiles a function and puts it where it can be called. Never panics.
    fn compile(&self, worker: &mut Worker, function: u32) -> Result<Code> {
        let compile = || {
            let code = self.module.compile(worker, function)?;
            self.place(function, &code)?;
            Ok(code)
        };
        catch_unwind(AssertUnwindSafe(compile))
            .unwrap_or_else(|_| Err(anyhow!("the code of a function was not placed")))
    }

    fn place(&self, function: u32, code: &Code) -> Result<()> {
        // Without a module, nobody will call it.
        let Some(module) = self.code.get().and_then(Weak::upgrade) else { return Ok(()) };
        let lazy = module.lazy().context("code for a module that was compiled whole")?;
        lazy.place(function, code.byte_len(), code.alignment(), |start| {
            let placed = self.module.place(code, start, |callee| lazy.call_offset(callee))?;
            Ok((placed.bytes, placed.tables))
        })
    }

    /// Notes how compiling a function ended.
    fn finish(&self, state: &mut State, function: u32, result: Result<Code>) {
        let was_demanded = state.plan.was_demanded[function as usize];
        match result {
            Ok(code) => {
                let waiting = |callee: &u32| state.plan.progress[*callee as usize] == Progress::Waiting;
                let callees: Vec<u32> = code.callees().filter(waiting).collect();
                if was_demanded {
                    state.plan.likely.extend(callees.into_iter().rev());
                } else {
                    state.plan.possible.extend(callees);
                }
                state.plan.progress[function as usize] = Progress::Placed;
                state.codes[function as usize] = Some(code);
            }
            Err(error) => {
                let message = format!("{error:#}").into();
                state.plan.progress[function as usize] = Progress::Failed;
                state.failures.insert(function, LateError { message });
            }
        }
        state.plan.unfinished -= 1;
        if was_demanded || state.plan.unfinished == 0 {
            self.finished.notify_all();
        }
    }

    /// The artifact of all functions, which are finished; the codes are not needed any more then.
    fn artifact(&self) -> &Result<Vec<u8>, Arc<str>> {
        self.artifact.get_or_init(|| {
            let mut state = self.lock();
            if let Some(error) = state.failures.values().next() {
                return Err(error.message.clone());
            }
            let codes: Vec<Code> = std::mem::take(&mut state.codes).into_iter().flatten().collect();
            drop(state);
            let linked = self.module.link(&codes).map_err(anyhow::Error::from);
            let signed = linked.and_then(|mut artifact| (self.sign)(&mut artifact).map(|()| artifact));
            signed.map_err(|error| format!("{error:#}").into())
        })
    }
}
