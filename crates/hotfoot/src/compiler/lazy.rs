//! Compiling functions when they are called, and the rest in the background: see [`Config::lazy_compilation`].
//!
//! A guest that calls a function without code waits in [`Supplier::demand`]. One thread does nothing but what is waited
//! for, and as it runs while the guest does not, both together keep one core busy. The other threads compile what is
//! likely to be called next: what the functions call that were waited for, latest first; then what those call that were
//! compiled ahead; then everything, in order. The threads end when nothing is left to do, or the module is dropped.
//!
//! [`Config::lazy_compilation`]: crate::Config::lazy_compilation

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use anyhow::{Context, Result, anyhow};
use hotfoot_compile::{Code, LazyModule, STACK_SIZE, Worker};

use crate::vm::code::ModuleCode;
use crate::vm::lazy::Supplier;

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
    /// What someone waits for and no thread has begun, and what anyone ever waited for.
    demanded: VecDeque<u32>,
    was_demanded: Vec<bool>,
    /// What demanded functions call, what is called first last.
    likely: Vec<u32>,
    /// What other functions call.
    possible: VecDeque<u32>,
    /// All before it are begun.
    next: u32,
    /// Functions that no thread has begun, and functions that are not finished.
    waiting: usize,
    unfinished: usize,
}

impl Plan {
    fn new(functions: usize) -> Plan {
        let progress = vec![Progress::Waiting; functions];
        let was_demanded = vec![false; functions];
        Plan { progress, was_demanded, waiting: functions, unfinished: functions, ..Plan::default() }
    }

    /// The function to compile next; `None` if nothing is to be done now.
    fn take(&mut self, demanded_only: bool) -> Option<u32> {
        loop {
            let next = match self.demanded.pop_front() {
                None if demanded_only => None,
                None => self.likely.pop().or_else(|| self.possible.pop_front()).or_else(|| self.in_order()),
                demanded => demanded,
            }?;
            let progress = &mut self.progress[next as usize];
            if *progress == Progress::Waiting {
                *progress = Progress::Running;
                self.waiting -= 1;
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

/// What the threads and those who wait share.
#[derive(Debug)]
struct State {
    plan: Plan,
    /// Until they are linked.
    codes: Vec<Option<Code>>,
    /// Why functions could not be compiled.
    failures: BTreeMap<u32, LateError>,
    is_dropped: bool,
}

pub(super) struct Shared {
    module: LazyModule,
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// A function is finished.
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
        let state = State { plan: Plan::new(functions), codes, failures: BTreeMap::new(), is_dropped: false };
        let shared = Shared {
            module,
            state: Mutex::new(state),
            work: Condvar::new(),
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
        let spawn = |demanded_only: bool| {
            let shared = self.clone();
            let builder = thread::Builder::new().name("compile-lazily".to_owned()).stack_size(STACK_SIZE);
            builder.spawn(move || shared.work(demanded_only))
        };
        // The first may do anything, so that all is compiled if it stays alone.
        spawn(false).context("cannot start a thread to compile on")?;
        if parallel {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let others = std::iter::once(true).chain((2..cores).map(|_| false));
            others.for_each(|demanded_only| drop(spawn(demanded_only)));
        }
        Ok(())
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.shared.lock().is_dropped = true;
        self.shared.work.notify_all();
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
                Progress::Waiting if !state.plan.was_demanded[function as usize] => {
                    state.plan.was_demanded[function as usize] = true;
                    state.plan.demanded.push_back(function);
                    shared.work.notify_all();
                }
                Progress::Waiting | Progress::Running => state.plan.was_demanded[function as usize] = true,
            }
            state = shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn artifact(&self) -> Result<Vec<u8>> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        while state.plan.unfinished > 0 {
            state = shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
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
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self, demanded_only: bool) {
        let mut worker = Worker::default();
        while let Some(function) = self.take(demanded_only) {
            let compiled = self.module.compile(&mut worker, function).map_err(anyhow::Error::from);
            let placed = compiled.and_then(|code| self.place(function, &code).map(|()| code));
            if self.finish(function, placed) == 0
                && let Some(keep) = &self.keep
                && let Ok(artifact) = self.artifact()
            {
                keep(artifact);
            }
        }
    }

    /// The next function to compile, when there is one; `None` if there will be none.
    fn take(&self, demanded_only: bool) -> Option<u32> {
        let mut state = self.lock();
        loop {
            if state.is_dropped || state.plan.waiting == 0 {
                // Others may wait for work that will not come.
                self.work.notify_all();
                return None;
            }
            if let Some(function) = state.plan.take(demanded_only) {
                return Some(function);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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

    /// Notes how compiling a function ended, and tells how many are left.
    fn finish(&self, function: u32, result: Result<Code>) -> usize {
        let mut state = self.lock();
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
        state.plan.unfinished
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
