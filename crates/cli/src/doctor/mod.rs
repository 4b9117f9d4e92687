//! `hotfoot doctor`: where the time from the start of a program to its first output goes, and what would make it shorter.
//!
//! Nothing here is estimated: each remedy is tried, several times, and what it gains is what was measured.

mod page;
mod remedy;
mod start;
mod text;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hotfoot::{Cache, CacheConfig, Config, Module};

use crate::args::RunArgs;
use crate::input::Input;
pub use page::page;
use remedy::Remedy;
use start::{Ended, Load, Start, Way};
pub use text::text;

/// A start is repeated so often, if that does not take too long.
const REPETITIONS: usize = 7;
/// When there are no more repetitions.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found.
pub struct Report {
    /// The program's name.
    pub program: String,
    /// How long a process of ours takes that does nothing.
    pub process: Duration,
    /// The start of a module that was never seen before.
    pub first: Start,
    /// The start that follows.
    pub next: Start,
    /// What was tried, the best first.
    pub remedies: Vec<Remedy>,
}

impl Report {
    /// Of how many of its starts which one is shown.
    pub const REPETITIONS: usize = REPETITIONS;
}

/// A folder of our own for modules and artifacts, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("hotfoot-doctor-{}", std::process::id()));
        // Nobody else may put code there.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder `{}`; remove it if it is there", path.display()))?;
        Ok(Folder(path))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    fn cache(&self, name: &str) -> Result<Cache> {
        Ok(Cache::new(CacheConfig::new().with_directory(self.0.join(name)).clone())?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in a folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Leaves the engine as the options want it.
fn as_asked(_: &mut Config) {}

/// Starts the program in every way that there is.
///
/// # Errors
/// When it cannot be started.
pub fn examine(args: &RunArgs, wasm: &[u8]) -> Result<Report> {
    let folder = Folder::new()?;
    let file = match Input::find(&args.source)? {
        Input::ModuleFile(path) => path,
        _ => folder.write("module.wasm", wasm)?,
    };
    let cache = folder.cache("cache")?;
    fill(args, &cache, &file)?;
    let first_way = Way { file: &file, load: Load::Compile, set: as_asked };
    let next_way = Way { file: &file, load: Load::Cached(&cache), set: as_asked };
    let [first, next] = medians(args, [first_way, next_way])?;
    let subject = Subject { args, wasm, folder: &folder, first: &first, next: &next, first_way, next_way };
    let mut remedies = remedy::try_all(&subject)?;
    remedies.sort_by_key(|remedy| std::cmp::Reverse(remedy.gain()));
    Ok(Report { program: args.source.program_name(), process: process()?, first, next, remedies })
}

/// A program whose starts were measured, for those who try to make them shorter.
struct Subject<'a> {
    args: &'a RunArgs,
    wasm: &'a [u8],
    folder: &'a Folder,
    first: &'a Start,
    next: &'a Start,
    first_way: Way<'a>,
    next_way: Way<'a>,
}

/// Puts a module into a cache.
fn fill(args: &RunArgs, cache: &Cache, file: &Path) -> Result<()> {
    let engine = args.engine.engine_with(|config| {
        config.cache(Some(cache.clone()));
    })?;
    Module::from_file_observed(&engine, file, &()).map(drop)
}

/// The median of several starts in each of these ways, which take turns, so that whatever else the machine does slows down
/// all of them.
fn medians<const WAYS: usize>(args: &RunArgs, ways: [Way<'_>; WAYS]) -> Result<[Start; WAYS]> {
    let begun = Instant::now();
    let mut starts = [const { Vec::new() }; WAYS];
    for repetition in 0..REPETITIONS {
        if repetition > 0 && begun.elapsed() > PATIENCE {
            break;
        }
        for (starts, way) in starts.iter_mut().zip(ways) {
            starts.push(start::once(args, way)?);
        }
    }
    Ok(starts.map(|mut starts| {
        starts.sort_by_key(Start::total);
        starts.swap_remove(starts.len() / 2)
    }))
}

/// How long it takes from starting a process of this command to its end, when there is nothing to do.
fn process() -> Result<Duration> {
    let command = std::env::current_exe().context("cannot tell which file this command is")?;
    let once = |command: &Path| -> Result<Duration> {
        let start = Instant::now();
        let version = Command::new(command).arg("--version").stdout(Stdio::null()).status();
        version.context("cannot start this command again")?;
        Ok(start.elapsed())
    };
    let mut times = (0..REPETITIONS).map(|_| once(&command)).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

/// How the start ended, as a sentence about the program; nothing where it wrote something.
fn ending(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Output => None,
        Ended::Exit => Some("The program ended without writing anything, so this is all of it.".to_owned()),
        Ended::TimedOut => {
            Some("The program wrote nothing in the time that it was given; --timeout gives it more or less.".to_owned())
        }
        Ended::Failed(why) => Some(format!("The program did not get as far as writing anything: {why}.")),
    }
}
