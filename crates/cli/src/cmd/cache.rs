//! `hotfoot cache`: the directory in which `run` keeps what it compiled.

use anyhow::Result;
use hotfoot::{Cache, CacheConfig, CacheError, CacheUsage};

use crate::args::CacheCommand;
use crate::ui;

/// Shows or clears it.
pub fn execute(command: CacheCommand) -> Result<i32> {
    let cache = Cache::new(CacheConfig::new())?;
    match command {
        CacheCommand::Dir => ui::print(&format!("{}\n", cache.directory().display())),
        CacheCommand::Stats => ui::print(&format!("{}\n", text(cache.usage()?))),
        CacheCommand::Clear => ui::print(&format!("removed {}\n", text(cache.clear()?))),
    }
    Ok(0)
}

fn text(usage: CacheUsage) -> String {
    let modules = if usage.files == 1 { "module" } else { "modules" };
    format!("{} {modules}, {:.1} MB", usage.files, usage.bytes as f64 / 1e6)
}

/// The cache for a run, if there can be one. That there is no place for it is nobody's fault; that someone else could
/// put code into it is worth a warning.
pub fn for_runs() -> Option<Cache> {
    match Cache::new(CacheConfig::new()) {
        Ok(cache) => Some(cache),
        Err(error) => {
            if let CacheError::NotPrivate { .. } = error {
                ui::say(&format!("running without the cache of compiled modules: {error}; --no-cache says nothing"));
            }
            None
        }
    }
}
