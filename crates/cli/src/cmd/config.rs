//! `hotfoot config new`: a configuration file to start from.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::args::{ConfigArgs, ConfigCommand};
use crate::{config_file, ui};

/// Writes the file.
pub fn execute(args: &ConfigArgs) -> Result<i32> {
    let ConfigCommand::New { file } = &args.command;
    if file == Path::new("-") {
        ui::print(&config_file::template());
        return Ok(0);
    }
    let shown = file.display();
    // Somebody may have edited the one that is there.
    let created = OpenOptions::new().write(true).create_new(true).open(file);
    let written = created.and_then(|mut file| file.write_all(config_file::template().as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow!("there is a file `{shown}` already; name another, or move it away"),
        _ => anyhow!("cannot write `{shown}`: {error}; name another file"),
    })?;
    ui::say(&format!("wrote `{shown}`; edit it, and use it with --config {shown}"));
    Ok(0)
}
