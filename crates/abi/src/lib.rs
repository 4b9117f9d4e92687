//! The contract between compiled code and the runtime.
//!
//! The compiler (`hotfoot-compile`) and the runtime (`hotfoot`) never call each other on behalf of a guest: they
//! meet in machine code that reads and writes the structures described here. Everything both sides must agree on
//! lives in this crate and nowhere else: the layout of the VM context ([`vmctx`]), the functions compiled code may
//! call ([`builtin`]), how values cross a call ([`call`]), how an exception reaches its handler ([`exception`]), how
//! garbage-collected objects lie in memory ([`gc`]), what fuel is consumed for ([`fuel`]), what stands for a function that is not compiled yet ([`stub`]), why code stops ([`trap`]) and which address-space promises the code
//! relies on ([`tunables`]).
//!
//! Invariant: no dependencies, no `unsafe`, and every offset is computed from a `repr(C)` structure, never typed.
#![forbid(unsafe_code)]

pub mod builtin;
pub mod call;
pub mod exception;
pub mod fuel;
pub mod gc;
pub mod stub;
pub mod trap;
pub mod tunables;
pub mod types;
pub mod vmctx;

const _: () = assert!(size_of::<usize>() == 8, "hotfoot hosts are 64-bit");
