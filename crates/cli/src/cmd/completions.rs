//! `hotfoot completions SHELL`: a script that teaches a shell our options.

use anyhow::Result;
use clap_complete::Shell;

use crate::{args, ui};

/// Prints the script.
pub fn execute(shell: Shell) -> Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::grammar(), "hotfoot", &mut script);
    ui::print(&String::from_utf8_lossy(&script));
    Ok(0)
}
