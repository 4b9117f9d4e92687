//! The `hotfoot` command: run a WebAssembly program from a terminal.
//!
//! Arguments become one high-level value in [`args`], the command of that value runs in [`cmd`], and everything that a
//! person reads on stderr goes through [`ui`]. The exit code is the guest's own; 134 after a trap; 1 when the input is
//! bad; 2 when the command line is.
#![deny(unsafe_code)]

mod anatomy;
mod args;
mod cmd;
mod config_file;
#[allow(unsafe_code)]
mod descriptors;
mod disasm;
mod doctor;
mod explore;
mod flame;
mod imports;
mod input;
mod invoke;
mod key;
mod listing;
mod load;
mod near;
mod output;
mod profile;
mod progress;
mod refusal;
mod rest;
mod stack;
mod stop;
mod stopwatch;
mod threads;
#[allow(unsafe_code)]
mod trust;
mod types;
mod ui;
mod wasi;
mod wasm_file;
mod wasm_text;

use args::Command;

fn main() {
    let outcome = args::parse(std::env::args_os().collect()).and_then(execute);
    // Not a return from `main`: the store and the engine need no tidy end, and `exit` skips it.
    std::process::exit(outcome.unwrap_or_else(|error| ui::report(&error)));
}

fn execute(command: Command) -> anyhow::Result<i32> {
    match command {
        Command::Doctor(args) => cmd::doctor::execute(&args),
        Command::Run(args) => cmd::run::execute(&args),
        Command::Compile(args) => cmd::compile::execute(&args),
        Command::Inspect(args) => cmd::inspect::execute(&args),
        Command::Explore(args) => cmd::explore::execute(&args),
        Command::Objdump(args) => cmd::objdump::execute(&args),
        Command::Settings(args) => cmd::settings::execute(&args),
        Command::Config(args) => cmd::config::execute(&args),
        Command::Preinit(args) => cmd::preinit::execute(&args),
        Command::Cache(command) => cmd::cache::execute(command),
        Command::Wast(args) => cmd::wast::execute(&args),
        Command::Completions(shell) => cmd::completions::execute(shell),
    }
}
