//! Programs in wasmi, which has no host of WASI among the crates here: it gets one that can write and end, which is all
//! that some programs ask for. What else they call fails, and those that need it have no place in the table.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use wasmi::{Caller, CompilationMode, Config, Engine, Error, Extern, ExternType, Linker, Module, Store, Val};

use super::program::Program;
use super::{Compiled, Run, Setting, SharedTimer, Timer, thread_nanos};

/// "Bad file descriptor".
const BADF: i32 = 8;

type Output = Arc<Mutex<Vec<u8>>>;

/// Translates a program, all of it.
pub fn compile(program: &Program, _: Setting, _: &Path) -> Result<Option<Compiled>> {
    let mut config = Config::default();
    // Ackermann's function is called more deeply than is usual here.
    config.compilation_mode(CompilationMode::Eager).set_max_recursion_depth(1 << 20).set_max_stack_height(16 << 20);
    let engine = Engine::new(&config);
    let start = thread_nanos();
    let module = Module::new(&engine, &program.wasm)?;
    let compile_nanos = Some(thread_nanos() - start);
    let (timer, output) = (SharedTimer::default(), Output::default());
    let linker = link(&engine, &module, &timer, &output)?;
    let run = move || {
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let entry = instance.get_typed_func::<(), ()>(&store, "_start")?;
        let outcome = entry.call(&mut store, ()).map_err(anyhow::Error::from);
        let nanos = Timer::take(&timer).or_else(|error| outcome.and(Err(error)))?;
        let output = std::mem::take(&mut *output.lock().expect("nobody panics with it"));
        Ok(Run { nanos, output: Some(output) })
    };
    Ok(Some(Compiled { compile_nanos, code_bytes: None, run: Box::new(run) }))
}

fn link(engine: &Engine, module: &Module, timer: &SharedTimer, output: &Output) -> Result<Linker<()>> {
    const WASI: &str = "wasi_snapshot_preview1";
    let mut linker: Linker<()> = Linker::new(engine);
    let (at_start, at_end, output) = (timer.clone(), timer.clone(), output.clone());
    linker.func_wrap("bench", "start", move || Timer::start(&at_start))?;
    linker.func_wrap("bench", "end", move || Timer::end(&at_end))?;
    for import in module.imports().filter(|import| import.module() == WASI) {
        let ExternType::Func(ty) = import.ty().clone() else { continue };
        match import.name() {
            "fd_write" => {
                let output = output.clone();
                linker.func_wrap(WASI, "fd_write", move |caller: Caller<'_, ()>, fd, buffers, count, written| {
                    write(caller, &output, fd, buffers, count, written)
                })?;
            }
            "proc_exit" => {
                linker.func_wrap(WASI, "proc_exit", |code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) })?;
            }
            name => {
                linker.func_new(WASI, name, ty, |_, _, results| {
                    results.fill(Val::I32(BADF));
                    Ok(())
                })?;
            }
        }
    }
    Ok(linker)
}

/// Writes what a guest's buffers hold; what goes to the standard error is forgotten.
fn write(
    mut caller: Caller<'_, ()>,
    output: &Output,
    fd: i32,
    buffers: u32,
    count: u32,
    written: u32,
) -> Result<i32, Error> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return Ok(BADF) };
    let bytes = memory.data_mut(&mut caller);
    let number = |bytes: &[u8], at: u32| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at as usize..)?.get(..4)?.try_into().ok()?))
    };
    let gather = |bytes: &[u8]| -> Option<Vec<u8>> {
        let mut gathered = Vec::new();
        for buffer in 0..count {
            let (start, len) = (number(bytes, buffers + buffer * 8)?, number(bytes, buffers + buffer * 8 + 4)?);
            gathered.extend(bytes.get(start as usize..)?.get(..len as usize)?);
        }
        Some(gathered)
    };
    let fault = || Error::new("the guest's buffers are outside of its memory");
    let gathered = gather(bytes).ok_or_else(fault)?;
    let place = bytes.get_mut(written as usize..).and_then(|rest| rest.get_mut(..4)).ok_or_else(fault)?;
    place.copy_from_slice(&(gathered.len() as u32).to_le_bytes());
    if fd == 1 {
        output.lock().expect("nobody panics with it").extend(gathered);
    }
    Ok(0)
}
