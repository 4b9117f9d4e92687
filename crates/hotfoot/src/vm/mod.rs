//! The virtual machine: everything that touches memory which compiled code also touches, and all `unsafe`.
//!
//! ```text
//!  sys         the operating system and the processor
//!  activation  one stay in compiled code: entering it, and being thrown out of it
//!  trap        what happened, and where: pending errors and raw backtraces
//!  code        a mapped artifact
//!  memory      linear memories        table      tables
//!  view        a memory's bytes, for host functions that name what they write
//!  shared      memories of several threads; parking: where threads wait for each other
//!  growth      what limits may refuse
//!  image       what a memory starts with; tracking: which pages an instance wrote
//!  pre         pools of instances; home: where each belongs, and how it gets there; stock: where idle things wait
//!  snapshot    the state that instances start from; costs: what the host takes for memory
//!  allocator   where instances get their parts from
//!  instance    one instance: its VM context and what it refers to
//!  store       the owner of instances; context: the store with the host's data, and borrows of it
//!  types       what compiled code reads about the engine's types
//!  constant    constant expressions, when an instance is made
//!  call        host → wasm            hostcall   wasm → host
//!  convert     values to registers (registers) and slots (slot), and back
//!  exception   exceptions, from throw to handler
//!  gc          objects that are garbage-collected: host values, exceptions, structs, arrays
//!  builtins    the runtime's functions that compiled code calls; bulk: long copies and fills
//!  border      who wants to know of calls between host and guest        meter   fuel and epochs
//!  interrupt   stopping guests by signal                       fiber   calls that can be suspended
//!  sampling    looking where guests are, by signal
//! ```
//!
//! The rest of the crate sees safe functions over handles; each function here that trusts its caller is `unsafe` and
//! private to this module. SAFETY.md lists the numbered invariants that the comments cite.

pub mod activation;
pub mod allocator;
pub mod border;
pub mod builtins;
mod bulk;
pub mod call;
pub mod code;
mod constant;
pub mod context;
pub mod convert;
pub mod costs;
pub mod exception;
pub mod fiber;
pub mod gc;
pub mod growth;
pub mod home;
pub mod hostcall;
pub mod image;
pub mod instance;
pub mod interrupt;
pub mod lazy;
pub mod memory;
pub mod meter;
pub mod parking;
pub mod pre;
pub mod registers;
pub mod sampling;
pub mod shared;
pub mod slot;
pub mod snapshot;
pub mod stacks;
pub mod stock;
pub mod store;
pub mod sys;
pub mod table;
pub mod tracking;
pub mod trap;
pub mod types;
pub mod view;
