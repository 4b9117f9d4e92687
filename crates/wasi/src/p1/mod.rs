//! WASI preview 1: the 46 functions of `wasi_snapshot_preview1`.
//!
//! Each function is a plain Rust function over `(&mut WasiCtx, &mut GuestMemory, arguments…)`, named as in the
//! specification and tested over a byte vector without an engine; [`add_to_linker`] alone knows the engine.
//!
//! | module | functions |
//! |---|---|
//! | `args` | `args_*`, `environ_*` |
//! | `clock` | `clock_*` |
//! | `fd` | `fd_*` that look at or change a descriptor |
//! | `io` | `fd_*` that move bytes or the offset, `fd_readdir` |
//! | `path` | `path_*` |
//! | `poll` | `poll_oneoff` |
//! | `proc` | `proc_*`, `sched_yield` |
//! | `random` | `random_get` |
//! | `sock` | `sock_*` |
//!
//! Invariants: every guest pointer and length passes through [`GuestMemory`]; every result that allocates a descriptor
//! has a checked place to be written to before it is allocated; flags with unknown bits are refused as `EINVAL`.

mod args;
mod clock;
pub(crate) mod descriptor;
pub(crate) mod fd;
mod io;
pub(crate) mod link;
mod memory;
pub(crate) mod path;
pub(crate) mod poll;
mod proc;
mod racing;
mod random;
mod sock;
pub(crate) mod types;

pub use args::{args_get, args_sizes_get, environ_get, environ_sizes_get};
pub use clock::{clock_res_get, clock_time_get};
pub use fd::{
    fd_advise, fd_allocate, fd_close, fd_datasync, fd_fdstat_get, fd_fdstat_set_flags, fd_fdstat_set_rights,
    fd_filestat_get, fd_filestat_set_size, fd_filestat_set_times, fd_prestat_dir_name, fd_prestat_get, fd_renumber,
    fd_sync,
};
pub use io::{fd_pread, fd_pwrite, fd_read, fd_readdir, fd_seek, fd_tell, fd_write};
pub use link::{MODULE, add_to_linker, add_to_linker_of_threads};
pub use memory::GuestMemory;
pub use path::{
    PathOpen, path_create_directory, path_filestat_get, path_filestat_set_times, path_link, path_open, path_readlink,
    path_remove_directory, path_rename, path_symlink, path_unlink_file,
};
pub use poll::poll_oneoff;
pub use proc::{I32Exit, proc_exit, proc_raise, sched_yield};
pub use random::random_get;
pub use sock::{sock_accept, sock_recv, sock_send, sock_shutdown};
pub use types::{Errno, rights};
