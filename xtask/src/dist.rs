//! The command as it is shipped: one file that needs no shared library.
//!
//! Loading the C library and the unwinder of GCC, and looking up their symbols, is much of what a short program takes
//! from its start to its end, and the same file then runs on any Linux. The position of the code stays random. `cargo build --release` is the ordinary build, which links what the system has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds it, where cargo puts the ordinary one.
pub fn run(root: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Only for the last step of the build: the crates are those of the ordinary build.
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["rustc", "--release", "--package", "hotfoot-cli", "--bin", "hotfoot", "--"])
        .args(["-C", "target-feature=+crt-static"])
        .status()
        .context("cannot start cargo")?;
    ensure!(
        status.success(),
        "the build failed; if the linker did not find `-lc`, install the static C library (libc6-dev on Debian and \
         Ubuntu, glibc-static on Fedora)"
    );
    println!("target/release/hotfoot");
    Ok(())
}
