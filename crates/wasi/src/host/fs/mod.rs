//! The sandboxed file system: directories that a guest can open things in but never leave.
//!
//! | module | noun |
//! |---|---|
//! | `perms` | what a preopen allows, by intent: the one place where a right is checked |
//! | `resolve` | a path becomes a descriptor or a (parent, name) pair, always beneath its directory |
//! | `dir` | a directory and the operations that take a path |
//! | `file` | an open file |
//! | `entries` | an iteration over a directory that can be resumed at a cookie |
//! | `metadata` | what `stat` says |

mod dir;
mod entries;
mod file;
mod metadata;
mod perms;
mod resolve;

pub use dir::{Dir, Node, OpenOptions};
pub use entries::{DirEntry, Entries};
pub use file::{Advice, File, StatusFlags};
pub use metadata::{FileKind, Metadata, SetTime, Times};
pub use perms::{Intent, Perms};
pub use resolve::Walk;
