//! [wasi-threads]: a program that starts threads, each of which runs in an instance of its own.
//!
//! ```text
//!  thread-spawn(argument) ──▶ a thread of the host ──▶ a store, an instance with the same shared memory
//!                                                      └─▶ wasi_thread_start(id, argument)
//! ```
//!
//! All threads see one set of open files. The program ends, with all its threads, when the first one returns, and as soon
//! as any of them exits or traps.
//!
//! [wasi-threads]: https://github.com/WebAssembly/wasi-threads

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use anyhow::{Context, Result, bail};
use hotfoot::{AsContext, Engine, ExternType, InstancePre, Linker, Module, SharedMemory, Store};
use hotfoot_wasi::WasiCtx;

use crate::{stack, ui};

/// Most threads that a program may have besides the first: each takes address space for two stacks.
const MAX_THREADS: u32 = 1024;
/// Identifiers of threads are positive and, as the interface has it, smaller than this.
const THREAD_ID_LIMIT: i32 = 1 << 29;
/// What `thread-spawn` returns when there can be no more threads.
const NO_THREAD: i32 = -1;

/// The threads of one program, whose stores hold a `T`.
pub struct Group<T: 'static> {
    /// The open files, and what else belongs to the program as a whole.
    pub wasi: Mutex<WasiCtx>,
    engine: Engine,
    /// Makes what the store of a new thread holds.
    host: fn(Arc<Group<T>>) -> T,
    /// The program, as soon as its imports are known.
    pre: OnceLock<InstancePre<T>>,
    name: String,
    max_wasm_stack: Option<u64>,
    running: AtomicU32,
    next_id: AtomicI32,
}

impl<T: Send + 'static> Group<T> {
    /// A program with these files and no threads yet.
    pub fn new(
        engine: &Engine,
        wasi: WasiCtx,
        name: &str,
        max_wasm_stack: Option<u64>,
        host: fn(Arc<Group<T>>) -> T,
    ) -> Arc<Group<T>> {
        Arc::new(Group {
            wasi: Mutex::new(wasi),
            engine: engine.clone(),
            host,
            pre: OnceLock::new(),
            name: name.to_owned(),
            max_wasm_stack,
            running: AtomicU32::new(0),
            next_id: AtomicI32::new(1),
        })
    }

    /// Says what new threads instantiate.
    pub fn set_program(&self, pre: InstancePre<T>) {
        // There is one program, and this is called once for it.
        let _ = self.pre.set(pre);
    }

    /// Starts a thread and gives its identifier, or [`NO_THREAD`].
    fn spawn(self: &Arc<Self>, argument: i32) -> i32 {
        if self.running.fetch_add(1, Ordering::SeqCst) >= MAX_THREADS {
            self.running.fetch_sub(1, Ordering::SeqCst);
            return NO_THREAD;
        }
        let id = self.next_id.fetch_add(1, Ordering::SeqCst);
        let group = self.clone();
        let thread =
            thread::Builder::new().name(format!("wasi-thread-{id}")).stack_size(stack::size(self.max_wasm_stack));
        let started = 0 < id && id < THREAD_ID_LIMIT && thread.spawn(move || group.run(id, argument)).is_ok();
        if started {
            return id;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        NO_THREAD
    }

    /// The life of a thread. A failure ends the process: the threads of a program live and die together.
    fn run(self: Arc<Self>, id: i32, argument: i32) {
        let mut store = Store::new(&self.engine, (self.host)(self.clone()));
        if let Err(error) = self.start(&mut store, id, argument) {
            std::process::exit(ui::report_guest_end(&error, &format!("{} (thread {id})", self.name)));
        }
        drop(store);
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    fn start(&self, store: &mut Store<T>, id: i32, argument: i32) -> Result<()> {
        let pre = self.pre.get().context("a thread was started before the program was complete")?;
        let instance = pre.instantiate(&mut *store)?;
        let start = instance.get_typed_func::<(i32, i32), ()>(&mut *store, "wasi_thread_start")?;
        start.call(store, (id, argument))
    }
}

/// Provides `wasi.thread-spawn`, and the memory that the module imports.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    store: impl AsContext<Data = T>,
    module: &Module,
    group: &Arc<Group<T>>,
) -> Result<()> {
    let spawner = group.clone();
    linker.func_wrap("wasi", "thread-spawn", move |argument: i32| spawner.spawn(argument))?;
    for import in module.imports() {
        let ExternType::Memory(ty) = import.ty() else { continue };
        if ty.is_shared() {
            let memory = SharedMemory::new(linker.engine(), ty)?;
            linker.define(&store, import.module(), import.name(), memory)?;
        }
    }
    let spawns = module.imports().any(|import| (import.module(), import.name()) == ("wasi", "thread-spawn"));
    if spawns && module.get_export("wasi_thread_start").is_none() {
        bail!(
            "{} cannot start threads, as it has no export `wasi_thread_start`; build it for wasm32-wasip1-threads",
            group.name
        );
    }
    Ok(())
}
