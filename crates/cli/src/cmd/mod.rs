//! The commands, one file each. A command returns the exit code, or an error that says why the input is bad.

pub mod completions;
pub mod run;
pub mod wast;
