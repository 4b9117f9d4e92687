//! `hotfoot wast PATH…`: run specification scripts and say which assertions fail.

use anyhow::{Result, bail};

use crate::args::WastArgs;

/// Runs the scripts.
pub fn execute(args: &WastArgs) -> Result<i32> {
    bail!("{:?}", args.paths)
}
