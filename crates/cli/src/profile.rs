//! `--profile`: what a run tells profilers, and the guest profiler with the files that it writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use hotfoot::{Config, Engine, GuestProfiler, Module, ProfilingStrategy, Store};

use crate::args::Source;
use crate::{flame, ui};

/// Which profiler there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Linux `perf`, by a map of the code.
    PerfMap,
    /// Linux `perf`, by a dump of the code.
    JitDump,
    /// Our own.
    Guest {
        /// Where to write what it saw.
        file: Option<PathBuf>,
        /// How long from one sample to the next.
        interval: Duration,
    },
}

/// How long from one sample to the next, if nobody says.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(1);

impl Profile {
    /// Sets what the engine has to know.
    pub fn apply(&self, config: &mut Config) {
        config.generate_address_map(true);
        match self {
            Profile::PerfMap => config.profiler(ProfilingStrategy::PerfMap),
            Profile::JitDump => config.profiler(ProfilingStrategy::JitDump),
            Profile::Guest { .. } => config,
        };
    }
}

/// The guest profiler of a run.
pub struct Running {
    profiler: GuestProfiler,
    name: String,
    interval: Duration,
    file: PathBuf,
}

impl Running {
    /// Starts it, if that was asked for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<T>(
        profile: Option<&Profile>,
        engine: &Engine,
        store: &mut Store<T>,
        source: &Source,
        modules: Vec<(String, Module)>,
    ) -> Result<Option<Running>> {
        let Some(Profile::Guest { file, interval }) = profile else { return Ok(None) };
        let name = source.program_name();
        let mut profiler = GuestProfiler::new(engine, name.clone(), *interval, modules)?;
        profiler.attach(store)?;
        let file = file.clone().unwrap_or_else(|| Path::new(&name).with_extension("profile.html"));
        Ok(Some(Running { profiler, name, interval: *interval, file }))
    }

    /// Ends it and writes what it saw: a flame graph, if the file's name ends like that of a page, otherwise a file for the
    /// Firefox Profiler.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        let (taken, lost) = self.profiler.counts();
        let shown = self.file.display();
        let is_page = self.file.extension().is_some_and(|end| end == "html" || end == "htm");
        let (bytes, what) = if is_page {
            let page = flame::page(&self.name, self.interval, &self.profiler.stacks(), lost)?;
            (page.into_bytes(), "open it in a browser")
        } else {
            let mut bytes = Vec::new();
            self.profiler.finish(&mut bytes)?;
            (bytes, "open it at https://profiler.firefox.com")
        };
        std::fs::write(&self.file, bytes).map_err(|error| {
            anyhow!("cannot write the profile to `{shown}`: {error}; name another file, as in --profile guest,FILE")
        })?;
        ui::say(&format!("wrote a profile of {taken} samples to `{shown}`; {what}"));
        Ok(())
    }
}
