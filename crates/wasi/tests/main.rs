//! Tests of preview 1 over a byte vector in place of a guest's memory, and of the sandbox under it.
#![forbid(unsafe_code)]

mod args;
mod descriptors;
mod engine;
mod escape;
mod files;
mod guest;
mod guests;
mod hostile;
mod paths;
mod poll;
mod readdir;
mod sandbox;
mod sockets;
mod streams;
mod testsuite;
