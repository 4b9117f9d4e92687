//! Gives the functions of preview 1 to a linker: with its sibling in `p0`, the one file of this crate that knows the engine.
//!
//! Each call finds the caller's memory, splits it from the store's data, and turns the result into an error number.

use super::memory::GuestMemory;
use super::types::Errno;
use super::*;
use crate::ctx::WasiCtx;
use hotfoot::{Caller, Extern, Linker, Result};
use std::sync::{Mutex, PoisonError};

/// The name under which programs import these functions.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// Defines all 46 functions in `linker`; `get` finds the context in the store's data.
///
/// # Errors
///
/// If the linker has one of them already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    add(linker, get, get)
}

/// Defines all 46 functions for a program of several threads, each with a store of its own. `get` finds the context that
/// they share; `own` one of the calling thread's, with the same streams, on which it waits and sleeps: a thread that
/// waits does not keep others from their files. So `poll_oneoff` knows the standard streams and clocks only.
///
/// # Errors
///
/// If the linker has one of them already.
pub fn add_to_linker_of_threads<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&T) -> &Mutex<WasiCtx> + Copy + Send + Sync + 'static,
    own: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    add(linker, Locked(get), own)
}

/// How a call reaches the context in the store's data.
pub(crate) trait Access<T>: Copy + Send + Sync + 'static {
    /// Does something with the context.
    fn with<R>(self, data: &mut T, f: impl FnOnce(&mut WasiCtx) -> R) -> R;
}

impl<T, F: Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static> Access<T> for F {
    fn with<R>(self, data: &mut T, f: impl FnOnce(&mut WasiCtx) -> R) -> R {
        f(self(data))
    }
}

/// The context of several threads.
#[derive(Clone, Copy)]
struct Locked<F>(F);

impl<T, F: Fn(&T) -> &Mutex<WasiCtx> + Copy + Send + Sync + 'static> Access<T> for Locked<F> {
    fn with<R>(self, data: &mut T, f: impl FnOnce(&mut WasiCtx) -> R) -> R {
        f(&mut (self.0)(data).lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn add<T: 'static>(linker: &mut Linker<T>, get: impl Access<T>, own: impl Access<T>) -> Result<()> {
    shared_with_preview0(linker, MODULE, get)?;
    let module = MODULE;
    linker.func_wrap(module, "fd_filestat_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| fd_filestat_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "fd_seek", move |mut caller: Caller<'_, T>, a: u32, b: i64, c: u32, d: u32| {
        call(&mut caller, get, |ctx, mem| fd_seek(ctx, mem, a, b, c, d))
    })?;
    linker.func_wrap(
        module,
        "path_filestat_get",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32| {
            call(&mut caller, get, |ctx, mem| path_filestat_get(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(module, "poll_oneoff", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32| {
        call(&mut caller, own, |ctx, mem| poll_oneoff(ctx, mem, a, b, c, d))
    })?;
    linker.func_wrap(module, "sock_accept", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32| {
        call(&mut caller, get, |ctx, mem| sock_accept(ctx, mem, a, b, c))
    })?;
    Ok(())
}

/// Defines, as names of `module`, the functions that are the same in preview 0.
pub(crate) fn shared_with_preview0<T: 'static>(
    linker: &mut Linker<T>,
    module: &str,
    get: impl Access<T>,
) -> Result<()> {
    args_and_clocks(linker, module, get)?;
    descriptors(linker, module, get)?;
    transfers(linker, module, get)?;
    paths(linker, module, get)?;
    process(linker, module, get)?;
    sockets(linker, module, get)
}

/// The memory of the calling instance and its context, for one call.
pub(crate) fn call<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Access<T>,
    function: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>) -> Result<(), Errno>,
) -> Result<u32> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => {
            let (view, data) = memory.view_and_store_mut(&mut *caller);
            Ok(number(get.with(data, |ctx| function(ctx, &mut GuestMemory::new(view)))))
        }
        Some(Extern::SharedMemory(memory)) => {
            Ok(number(get.with(caller.data_mut(), |ctx| function(ctx, &mut GuestMemory::shared(memory)))))
        }
        _ => anyhow::bail!("the module that called WASI exports no memory named \"memory\"; export it under that name"),
    }
}

/// The same for functions that take no pointers, which need no memory.
fn call_without_memory<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Access<T>,
    function: impl FnOnce(&mut WasiCtx) -> Result<(), Errno>,
) -> u32 {
    number(get.with(caller.data_mut(), function))
}

fn number(result: Result<(), Errno>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) => error as u32,
    }
}

/// `args_*`, `environ_*`, `clock_*`, `random_get`.
fn args_and_clocks<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(module, "args_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| args_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "args_sizes_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| args_sizes_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "environ_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| environ_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "environ_sizes_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| environ_sizes_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "clock_res_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| clock_res_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "clock_time_get", move |mut caller: Caller<'_, T>, a: u32, b: u64, c: u32| {
        call(&mut caller, get, |ctx, mem| clock_time_get(ctx, mem, a, b, c))
    })?;
    linker.func_wrap(module, "random_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| random_get(ctx, mem, a, b))
    })?;
    Ok(())
}

/// `fd_*` that look at a descriptor or change it.
fn descriptors<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(module, "fd_advise", move |mut caller: Caller<'_, T>, a: u32, b: u64, c: u64, d: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_advise(ctx, a, b, c, d))
    })?;
    linker.func_wrap(module, "fd_allocate", move |mut caller: Caller<'_, T>, a: u32, b: u64, c: u64| {
        call_without_memory(&mut caller, get, |ctx| fd_allocate(ctx, a, b, c))
    })?;
    linker.func_wrap(module, "fd_close", move |mut caller: Caller<'_, T>, a: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_close(ctx, a))
    })?;
    linker.func_wrap(module, "fd_datasync", move |mut caller: Caller<'_, T>, a: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_datasync(ctx, a))
    })?;
    linker.func_wrap(module, "fd_fdstat_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| fd_fdstat_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "fd_fdstat_set_flags", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_fdstat_set_flags(ctx, a, b))
    })?;
    linker.func_wrap(module, "fd_fdstat_set_rights", move |mut caller: Caller<'_, T>, a: u32, b: u64, c: u64| {
        call_without_memory(&mut caller, get, |ctx| fd_fdstat_set_rights(ctx, a, b, c))
    })?;
    linker.func_wrap(module, "fd_filestat_set_size", move |mut caller: Caller<'_, T>, a: u32, b: u64| {
        call_without_memory(&mut caller, get, |ctx| fd_filestat_set_size(ctx, a, b))
    })?;
    linker.func_wrap(
        module,
        "fd_filestat_set_times",
        move |mut caller: Caller<'_, T>, a: u32, b: u64, c: u64, d: u32| {
            call_without_memory(&mut caller, get, |ctx| fd_filestat_set_times(ctx, a, b, c, d))
        },
    )?;
    linker.func_wrap(module, "fd_prestat_dir_name", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32| {
        call(&mut caller, get, |ctx, mem| fd_prestat_dir_name(ctx, mem, a, b, c))
    })?;
    linker.func_wrap(module, "fd_prestat_get", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| fd_prestat_get(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "fd_renumber", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_renumber(ctx, a, b))
    })?;
    linker.func_wrap(module, "fd_sync", move |mut caller: Caller<'_, T>, a: u32| {
        call_without_memory(&mut caller, get, |ctx| fd_sync(ctx, a))
    })?;
    Ok(())
}

/// `fd_*` that move bytes.
fn transfers<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(
        module,
        "fd_pread",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u64, e: u32| {
            call(&mut caller, get, |ctx, mem| fd_pread(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(
        module,
        "fd_pwrite",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u64, e: u32| {
            call(&mut caller, get, |ctx, mem| fd_pwrite(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(module, "fd_read", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32| {
        call(&mut caller, get, |ctx, mem| fd_read(ctx, mem, a, b, c, d))
    })?;
    linker.func_wrap(
        module,
        "fd_readdir",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u64, e: u32| {
            call(&mut caller, get, |ctx, mem| fd_readdir(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(module, "fd_tell", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call(&mut caller, get, |ctx, mem| fd_tell(ctx, mem, a, b))
    })?;
    linker.func_wrap(module, "fd_write", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32| {
        call(&mut caller, get, |ctx, mem| fd_write(ctx, mem, a, b, c, d))
    })?;
    Ok(())
}

/// `path_*`.
fn paths<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(module, "path_create_directory", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32| {
        call(&mut caller, get, |ctx, mem| path_create_directory(ctx, mem, a, b, c))
    })?;
    linker.func_wrap(
        module,
        "path_filestat_set_times",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u64, f: u64, g: u32| {
            call(&mut caller, get, |ctx, mem| path_filestat_set_times(ctx, mem, a, b, c, d, e, f, g))
        },
    )?;
    linker.func_wrap(
        module,
        "path_link",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32| {
            call(&mut caller, get, |ctx, mem| path_link(ctx, mem, a, b, c, d, e, f, g))
        },
    )?;
    linker.func_wrap(
        module,
        "path_open",
        move |mut caller: Caller<'_, T>,
              fd: u32,
              dirflags: u32,
              path: u32,
              path_len: u32,
              oflags: u32,
              rights_base: u64,
              rights_inheriting: u64,
              fdflags: u32,
              opened_fd: u32| {
            let args =
                PathOpen { fd, dirflags, path, path_len, oflags, rights_base, rights_inheriting, fdflags, opened_fd };
            call(&mut caller, get, |ctx, mem| path_open(ctx, mem, args))
        },
    )?;
    linker.func_wrap(
        module,
        "path_readlink",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32| {
            call(&mut caller, get, |ctx, mem| path_readlink(ctx, mem, a, b, c, d, e, f))
        },
    )?;
    linker.func_wrap(module, "path_remove_directory", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32| {
        call(&mut caller, get, |ctx, mem| path_remove_directory(ctx, mem, a, b, c))
    })?;
    linker.func_wrap(
        module,
        "path_rename",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32| {
            call(&mut caller, get, |ctx, mem| path_rename(ctx, mem, a, b, c, d, e, f))
        },
    )?;
    linker.func_wrap(
        module,
        "path_symlink",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32| {
            call(&mut caller, get, |ctx, mem| path_symlink(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(module, "path_unlink_file", move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32| {
        call(&mut caller, get, |ctx, mem| path_unlink_file(ctx, mem, a, b, c))
    })?;
    Ok(())
}

/// `sock_*`.
fn sockets<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(
        module,
        "sock_recv",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32| {
            call(&mut caller, get, |ctx, mem| sock_recv(ctx, mem, a, b, c, d, e, f))
        },
    )?;
    linker.func_wrap(
        module,
        "sock_send",
        move |mut caller: Caller<'_, T>, a: u32, b: u32, c: u32, d: u32, e: u32| {
            call(&mut caller, get, |ctx, mem| sock_send(ctx, mem, a, b, c, d, e))
        },
    )?;
    linker.func_wrap(module, "sock_shutdown", move |mut caller: Caller<'_, T>, a: u32, b: u32| {
        call_without_memory(&mut caller, get, |ctx| sock_shutdown(ctx, a, b))
    })?;
    Ok(())
}

/// `proc_*`, `sched_yield`.
fn process<T: 'static>(linker: &mut Linker<T>, module: &str, get: impl Access<T>) -> Result<()> {
    linker.func_wrap(module, "proc_exit", move |_: Caller<'_, T>, code: u32| -> Result<()> {
        Err(proc_exit(code).into())
    })?;
    linker.func_wrap(module, "proc_raise", move |_: Caller<'_, T>, signal: u32| -> Result<u32> {
        match proc_raise(signal) {
            Ok(Ok(())) => Ok(0),
            Ok(Err(exit)) => Err(exit.into()),
            Err(error) => Ok(error as u32),
        }
    })?;
    linker.func_wrap(module, "sched_yield", move |mut caller: Caller<'_, T>| {
        call_without_memory(&mut caller, get, sched_yield)
    })?;
    Ok(())
}
