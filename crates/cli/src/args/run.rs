//! What `hotfoot run` is to do, once the rules that span options are applied.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::EngineArgs;
use super::low::{LowDoctorArgs, LowRunArgs};
use super::value::{Directory, EnvVar, Preload, WasiOption};
use crate::profile::Profile;

/// Where a module comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// A module to run and all that it is given.
pub struct RunArgs {
    /// The module.
    pub source: Source,
    /// What follows FILE: the program's arguments, or those of the invoked export.
    pub argv: Vec<OsString>,
    /// The export to call instead of running the program.
    pub invoke: Option<String>,
    /// Directories that the program may use.
    pub directories: Vec<Directory>,
    /// The program's environment.
    pub env: Vec<EnvVar>,
    /// Addresses where the program may accept connections.
    pub tcp_listen: Vec<String>,
    /// Whether the program gets the sockets that we were started with.
    pub listenfd: bool,
    /// Whether control characters are shown on a terminal instead of obeyed.
    pub protect_terminal: bool,
    /// Whether the program may start threads.
    pub threads: bool,
    /// Modules to instantiate first, in order.
    pub preloads: Vec<Preload>,
    /// How long the program may run.
    pub timeout: Option<Duration>,
    /// Where to write what a program that trapped left behind.
    pub coredump: Option<PathBuf>,
    /// Whether debuggers are shown the program's source lines.
    pub debug: bool,
    /// Which profiler there is.
    pub profile: Option<Profile>,
    /// Whether to provide `bench.start` and `bench.end`.
    pub bench_imports: bool,
    /// The key that artifacts must be signed with.
    pub verify_key: Option<PathBuf>,
    /// Whether to use the cache of compiled modules.
    pub cache: bool,
    /// Whether to say how long each step took.
    pub time: bool,
    /// Whether artifacts are trusted.
    pub allow_precompiled: bool,
    /// How the engine is to be.
    pub engine: EngineArgs,
}

impl RunArgs {
    /// Splits FILE from ARGS and names the source.
    ///
    /// # Errors
    /// When the configuration file cannot be used.
    pub fn new(low: LowRunArgs) -> Result<RunArgs> {
        let mut words = low.file_and_args.into_iter();
        // clap has checked that there is a first one.
        let file = words.next().unwrap_or_default();
        let threads = low.wasi.last() == Some(&WasiOption::Threads(true));
        let engine = EngineArgs::new(&low.engine)?;
        Ok(RunArgs {
            source: Source::from(file),
            argv: words.collect(),
            invoke: low.invoke,
            directories: low.directories,
            env: low.env,
            tcp_listen: low.tcp_listen,
            listenfd: low.listenfd,
            protect_terminal: low.protect_terminal,
            threads,
            preloads: low.preloads,
            timeout: low.timeout,
            coredump: low.coredump,
            debug: low.debug,
            profile: low.profile,
            bench_imports: low.bench_imports,
            verify_key: low.verify_key,
            cache: !low.no_cache,
            time: low.time,
            allow_precompiled: low.allow_precompiled,
            engine: if threads { engine.with_threads() } else { engine },
        })
    }
}

/// A program whose start is to be examined.
pub struct DoctorArgs {
    /// Where to write the report as a page.
    pub html: Option<PathBuf>,
    /// The program and all that it is given.
    pub run: RunArgs,
}

impl DoctorArgs {
    /// As [`RunArgs::new`].
    ///
    /// # Errors
    /// As [`RunArgs::new`].
    pub fn new(low: LowDoctorArgs) -> Result<DoctorArgs> {
        Ok(DoctorArgs { html: low.html, run: RunArgs::new(low.run)? })
    }
}

impl From<OsString> for Source {
    fn from(file: OsString) -> Source {
        if file == "-" { Source::Stdin } else { Source::File(file.into()) }
    }
}

impl Source {
    /// What the guest finds as its own name, in place of a path that means nothing to it.
    pub fn program_name(&self) -> String {
        let name = match self {
            Source::Stdin => None,
            Source::File(path) => Path::new(path).file_name(),
        };
        name.map_or_else(|| "stdin".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Stdin => f.write_str("standard input"),
            Source::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}
