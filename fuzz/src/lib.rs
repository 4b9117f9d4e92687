//! Differential fuzzing: random modules in hotfoot and in a peer, and whether anybody could tell the two apart.
//!
//! `generate` makes a module of random bytes, `compare` runs it on both sides. The program that looks at a module is
//! `crates/testing/tests/differential/observe.rs`, compiled here for each side; its replay of recorded modules is one
//! of the ordinary tests. `docs/fuzzing.md` tells how to run all of it.

#[path = "../../crates/preinit/tests/dump.rs"]
mod dump;
#[path = "../../crates/preinit/tests/same.rs"]
mod same;

pub mod compare;
pub mod generate;
pub mod ours;
pub mod peer;
pub mod preinit;
pub mod record;
