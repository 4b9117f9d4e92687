//! What is left to compile when a program has ended.
//!
//! `hotfoot run` compiles a large module while its program runs, and puts it into the cache when all of it is compiled. A
//! program that ends sooner would leave nothing there. So the command starts itself once more, with the same arguments, and ends; the
//! other process compiles the module whole, behind everything else that the machine has to do, and runs nothing.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use hotfoot::{Cache, Module};

use crate::args::Source;
use crate::descriptors;
use crate::input::Input;

/// Says to a process that it is the one that compiles the rest.
const VARIABLE: &str = "HOTFOOT_COMPILES_THE_REST";

/// Modules of fewer bytes are compiled whole before they run: it takes no longer than the rest of the start.
const LARGE_LEN: u64 = 256 << 10;

/// Whether it pays to run a module before all of it is compiled.
pub fn is_large(input: &Input) -> bool {
    let len = match input {
        Input::Module(bytes) => bytes.len() as u64,
        Input::ModuleFile(path) => path.metadata().map_or(0, |file| file.len()),
        Input::Artifact(_) | Input::ArtifactFile(_) => 0,
    };
    len >= LARGE_LEN && !is_asked()
}

/// Whether this process only compiles the rest.
pub fn is_asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Modules that may not be in the cache when their program ends. Dropping it sees to that they will be.
pub struct Rest<'a> {
    source: &'a Source,
    cache: Option<Cache>,
    modules: Vec<Module>,
}

impl<'a> Rest<'a> {
    /// Of a run of this source, with this cache.
    pub fn new(source: &'a Source, cache: Option<Cache>) -> Rest<'a> {
        Rest { source, cache, modules: Vec::new() }
    }

    /// Looks after a module, too.
    pub fn add(&mut self, module: &Module) {
        self.modules.push(module.clone());
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        // What came through a pipe cannot be read again.
        let is_file = matches!(self.source, Source::File(_));
        if self.cache.is_none() || !is_file || self.modules.iter().all(Module::is_fully_compiled) {
            return;
        }
        let Ok(program) = std::env::current_exe() else { return };
        // Whoever waits for the end of a pipe that we were given must not wait for the other process.
        if !descriptors::keep_to_ourselves() {
            return;
        }
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).env(VARIABLE, "1");
        // Without it, the next run is like this one.
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
}

/// Begins to compile the rest: nobody waits for this process, or hears from it. The file that is returned is to be kept while it
/// compiles; `None` if another process is doing the same.
pub fn begin(source: &Source, cache: &Cache) -> Option<File> {
    // Neither is necessary.
    let _ = rustix::process::setsid();
    let _ = rustix::process::nice(19);
    let Source::File(path) = source else { return None };
    let module = path.metadata().ok()?;
    // Named as what is being written there, so that the cache clears it away.
    let name = format!("new-rest-{:x}-{:x}-{:x}", module.dev(), module.ino(), module.mtime());
    let lock = File::create(cache.directory().join(name)).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}
