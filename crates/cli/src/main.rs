//! The `hotfoot` command: run a WebAssembly program from a terminal.
//!
//! Arguments become one high-level value in [`args`], the command of that value runs in [`cmd`], and everything that a
//! person reads on stderr goes through [`ui`]. The exit code is the guest's own; 134 after a trap; 1 when the input is
//! bad; 2 when the command line is.
#![forbid(unsafe_code)]

mod args;
mod cmd;
mod imports;
mod invoke;
mod near;
mod refusal;
mod stack;
mod stopwatch;
mod types;
mod ui;
mod wasi;
mod wasm_file;

use args::Command;

fn main() {
    let outcome = match args::parse(std::env::args_os().collect()) {
        Command::Run(run) => cmd::run::execute(&run),
        Command::Wast(wast) => cmd::wast::execute(&wast),
        Command::Completions(shell) => cmd::completions::execute(shell),
    };
    // Not a return from `main`: the store and the engine need no tidy end, and `exit` skips it.
    std::process::exit(outcome.unwrap_or_else(|error| ui::report(&error)));
}
