//! The commands, one file each. A command returns the exit code, or an error that says why the input is bad.

pub mod cache;
pub mod compile;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod explore;
pub mod inspect;
pub mod objdump;
pub mod preinit;
pub mod run;
pub mod settings;
pub mod wast;
