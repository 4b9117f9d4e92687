//! A program, ready to run: compiled once for each engine, `super::engine` says which.

use super::engine::{Config, Engine, Linker, MemoryType, Module, Result, SharedMemory, Store, TypedFunc};

/// A program that takes how much it should do, and returns what it computed.
pub struct Program {
    store: Store<()>,
    run: TypedFunc<i32, i64>,
}

impl Program {
    /// Compiles a program and writes what it works on to its memory; one that imports a memory gets threads.
    pub fn new(text: &str, input: &[u8]) -> Result<Program> {
        let mut config = Config::new();
        config.wasm_threads(true).wasm_exceptions(true).wasm_gc(true).wasm_function_references(true);
        let engine = Engine::new(super::settings(&mut config))?;
        let module = Module::new(&engine, text)?;
        let mut linker = Linker::new(&engine);
        let mut store = Store::new(&engine, ());
        if module.imports().len() > 0 {
            let memory = SharedMemory::new(&engine, MemoryType::shared(512, 512))?;
            linker.define(&store, "env", "memory", memory)?;
            let threads = linker.clone();
            let (of_threads, engine) = (module.clone(), engine.clone());
            linker.func_wrap("wasi", "thread-spawn", move |quarter: i32| -> i32 {
                let (linker, module, engine) = (threads.clone(), of_threads.clone(), engine.clone());
                std::thread::spawn(move || {
                    thread(linker, &module, &engine, quarter).expect("a thread of the guest ends well")
                });
                quarter + 1
            })?;
        }
        let instance = linker.instantiate(&mut store, &module)?;
        if let Some(memory) = instance.get_memory(&mut store, "memory") {
            memory.write(&mut store, 0, input)?;
        }
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Program { store, run })
    }

    /// Runs it.
    pub fn run(&mut self, amount: i32) -> Result<i64> {
        self.run.call(&mut self.store, amount)
    }
}

/// A thread of a guest: an instance of its own with the same memory, which starts no further threads.
fn thread(mut linker: Linker<()>, module: &Module, engine: &Engine, quarter: i32) -> Result<()> {
    linker.func_wrap("wasi", "thread-spawn", |_: i32| -1)?;
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, module)?;
    instance.get_typed_func::<(i32, i32), ()>(&mut store, "wasi_thread_start")?.call(&mut store, (quarter + 1, quarter))
}
