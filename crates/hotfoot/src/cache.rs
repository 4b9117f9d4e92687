//! A cache of artifacts in a directory: what was compiled once, by any process of this user, is loaded from then on.
//!
//! ```text
//!  DIRECTORY/                    0700, of this user: an artifact in it is code that will run
//!    0f3c….hotfoot               an artifact; its name is the key, in hexadecimal
//!    84d1….file                  which entry the module in a file is, see `cache/note.rs`
//!    new-PID-NUMBER              being written; renamed when it is whole
//! ```
//!
//! A key is the hash of the module, of everything in the engine's [`Config`], of what this processor has, and of the
//! program that compiles. So an entry never becomes wrong, and is never changed: it is whole when it gets its name, and
//! when it is removed, whoever has it mapped keeps it. Several processes need no lock; at worst two compile the same.
//!
//! The age of a file is when it was used last, to an hour; the oldest go when all together are too large.

pub(crate) mod note;

use std::fs::{DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use hotfoot_artifact::Hasher;

use crate::config::Config;
use crate::vm::sys::arch;

/// Ends the names of entries.
const EXTENSION: &str = "hotfoot";
/// Begins the names of files that are being written.
const UNFINISHED: &str = "new-";
/// How exactly the last use of an entry is known.
const USE_RESOLUTION: Duration = Duration::from_secs(60 * 60);
/// After this time, a file that is still being written was left behind by a process that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// From this size on, in bytes, an entry is synchronised with the disk before it gets its name. That takes milliseconds;
/// a smaller one is compared with its checksum when it is loaded instead, which takes microseconds.
const SYNCED_LEN: u64 = 256 << 10;

/// Why there can be no [`Cache`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Nothing says where it could be.
    #[error("there is no home directory to keep a cache in; name a directory")]
    NoDirectory,
    /// The directory cannot be made or looked at.
    #[error("cannot use the directory {} for the cache: {error}; name another one", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another user could put code into it.
    #[error("the directory {} cannot be used for the cache: {why}; `chmod go-w` it if it is yours, or name another one", directory.display())]
    NotPrivate {
        /// The directory.
        directory: PathBuf,
        /// Who could.
        why: String,
    },
}

/// Settings of a [`Cache`].
#[derive(Clone, Debug)]
pub struct CacheConfig {
    directory: Option<PathBuf>,
    files_total_size_soft_limit: u64,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig::new()
    }
}

impl CacheConfig {
    /// The default settings.
    pub fn new() -> CacheConfig {
        CacheConfig { directory: None, files_total_size_soft_limit: 2 << 30 }
    }

    /// Where artifacts are kept. Default: `hotfoot` in `$XDG_CACHE_HOME`, which is `~/.cache` by default.
    pub fn with_directory(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.directory = Some(directory.into());
        self
    }

    /// How many bytes all artifacts may have together. When it is exceeded, those that were not used for longest are
    /// removed until 70 % of it are left. Default: 2 GiB.
    pub fn with_files_total_size_soft_limit(&mut self, bytes: u64) -> &mut Self {
        self.files_total_size_soft_limit = bytes;
        self
    }
}

/// How much a [`Cache`] holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheUsage {
    /// Number of artifacts.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Keeps compiled modules from one process to the next; see [`Config::cache`]. Cheap to clone.
///
/// ```no_run
/// use hotfoot::{Cache, CacheConfig, Config, Engine};
/// let engine = Engine::new(Config::new().cache(Some(Cache::new(CacheConfig::new())?)))?;
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    limit: u64,
    hits: AtomicUsize,
    misses: AtomicUsize,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cache").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}

/// Names an artifact among all that can be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey([u8; 32]);

/// The beginning of every key: all that decides what becomes of a module.
fn settings_hasher(config: &Config) -> Hasher {
    // Everything that is in a Config, so that nothing that matters can be forgotten; the cache itself does not.
    let mut settings = config.clone();
    settings.cache = None;
    // When functions are compiled does not show in what they become.
    settings.lazy_compilation = false;
    // A program that was built again may have another compiler in it.
    let program = std::fs::metadata("/proc/self/exe").map_or((0, 0), |exe| (exe.len(), exe.mtime_nsec()));
    let extensions: Vec<&str> = arch::isa_flags().collect();
    let version = env!("CARGO_PKG_VERSION");
    let context = format!("hotfoot {version} {program:?} {extensions:?} {settings:?}");
    let mut hasher = Hasher::new();
    hasher.update(&(context.len() as u64).to_le_bytes()).update(context.as_bytes());
    hasher
}

impl CacheKey {
    /// The key of what an engine with these settings makes of a module.
    pub(crate) fn new(config: &Config, module: &[u8]) -> CacheKey {
        CacheKey(*settings_hasher(config).update(module).finalize().as_bytes())
    }

    fn file_name(&self) -> String {
        format!("{}.{EXTENSION}", hexadecimal(&self.0))
    }
}

impl Cache {
    /// Opens a cache, and makes its directory if there is none.
    ///
    /// # Errors
    /// When the directory cannot be made, or someone else could put code into it.
    pub fn new(config: CacheConfig) -> Result<Cache, CacheError> {
        let directory = config.directory.or_else(default_directory).ok_or(CacheError::NoDirectory)?;
        check_private(&directory)?;
        let limit = config.files_total_size_soft_limit;
        let shared = Shared { directory, limit, hits: AtomicUsize::new(0), misses: AtomicUsize::new(0) };
        Ok(Cache { shared: Arc::new(shared) })
    }

    /// Where the artifacts are.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// How many modules were found in it, through this value and its clones.
    pub fn cache_hits(&self) -> usize {
        self.shared.hits.load(Ordering::Relaxed)
    }

    /// How many modules were compiled because they were not in it, through this value and its clones.
    pub fn cache_misses(&self) -> usize {
        self.shared.misses.load(Ordering::Relaxed)
    }

    /// How much it holds now.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn usage(&self) -> Result<CacheUsage> {
        Ok(usage_of(&self.entries()?))
    }

    /// Removes everything and tells how much that was. Modules that are in use are not affected.
    ///
    /// # Errors
    /// When the directory cannot be read, or a file in it cannot be removed.
    pub fn clear(&self) -> Result<CacheUsage> {
        let entries = self.entries()?;
        self.remove_abandoned(Duration::ZERO)?;
        for entry in &entries {
            remove(&entry.path).with_context(|| format!("cannot remove {}", entry.path.display()))?;
        }
        self.remove_notes_of_nothing()?;
        Ok(usage_of(&entries))
    }

    /// Makes something of the artifact with this key, if there is one; `load` gets its file, and whether to compare it
    /// with its checksum. One that is of no use is removed.
    pub(crate) fn load<T>(&self, key: &CacheKey, load: impl FnOnce(&File, bool) -> Result<T>) -> Option<T> {
        let path = self.shared.directory.join(key.file_name());
        let open = || {
            let file = File::open(&path).ok()?;
            let metadata = file.metadata().ok()?;
            Some((file, metadata))
        };
        let found = open().and_then(|(file, metadata)| match load(&file, metadata.len() < SYNCED_LEN) {
            Ok(value) => {
                note_use(&file, &metadata);
                Some(value)
            }
            Err(_) => {
                // Damaged by the disk. If it cannot be removed, it will be replaced.
                let _ = remove(&path);
                None
            }
        });
        let counter = if found.is_some() { &self.shared.hits } else { &self.shared.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps an artifact.
    ///
    /// # Errors
    /// When it cannot be written; the cache is as it was then.
    pub(crate) fn store(&self, key: &CacheKey, artifact: &[u8]) -> Result<()> {
        self.write(&key.file_name(), artifact)?;
        self.evict()
    }

    /// Writes a file of the cache under its name, whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.shared.directory.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let written = write_whole(&unfinished, bytes)
            .and_then(|()| std::fs::rename(&unfinished, self.shared.directory.join(name)));
        if written.is_err() {
            let _ = remove(&unfinished);
        }
        written.with_context(|| format!("cannot write to {}", self.shared.directory.display()))
    }

    /// Removes what was used longest ago, if all together are too large.
    fn evict(&self) -> Result<()> {
        self.remove_abandoned(ABANDONED_AFTER)?;
        let mut entries = self.entries()?;
        let mut bytes = usage_of(&entries).bytes;
        if bytes <= self.shared.limit {
            return Ok(());
        }
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if bytes <= self.shared.limit / 10 * 7 {
                break;
            }
            remove(&entry.path)?;
            bytes -= entry.bytes;
        }
        self.remove_notes_of_nothing()
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        self.files(|name| Path::new(name).extension().is_some_and(|extension| extension == EXTENSION))
    }

    fn remove_abandoned(&self, after: Duration) -> Result<()> {
        let now = SystemTime::now();
        for entry in self.files(|name| name.starts_with(UNFINISHED))? {
            if now.duration_since(entry.used).is_ok_and(|age| age >= after) {
                remove(&entry.path)?;
            }
        }
        Ok(())
    }

    fn files(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Entry>> {
        let directory = &self.shared.directory;
        let listed = directory.read_dir().with_context(|| format!("cannot read {}", directory.display()))?;
        let entry = |file: std::fs::DirEntry| {
            // What another process removes meanwhile is not there.
            let metadata = file.metadata().ok()?;
            Some(Entry { path: file.path(), bytes: metadata.len(), used: metadata.modified().ok()? })
        };
        let named = listed.flatten().filter(|file| file.file_name().to_str().is_some_and(&wanted));
        Ok(named.filter_map(entry).collect())
    }
}

/// A file of the cache.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn usage_of(entries: &[Entry]) -> CacheUsage {
    CacheUsage { files: entries.len() as u64, bytes: entries.iter().map(|entry| entry.bytes).sum() }
}

/// Where caches are kept if nobody says otherwise. What is not absolute is ignored, as the XDG specification asks.
fn default_directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("hotfoot"))
}

/// Makes the directory if there is none, and refuses one in which others can put code for us to run.
fn check_private(directory: &Path) -> Result<(), CacheError> {
    let metadata = match directory.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.and_then(|()| directory.metadata())
        }
        found => found,
    };
    let metadata = metadata.map_err(|error| CacheError::Io { directory: directory.to_owned(), error })?;
    let refused = |why: String| Err(CacheError::NotPrivate { directory: directory.to_owned(), why });
    if !metadata.is_dir() {
        return refused("it is no directory".to_owned());
    }
    let (owner, we) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != we {
        return refused(format!("it belongs to user {owner}, and this is user {we}"));
    }
    match metadata.mode() & 0o777 {
        mode if mode & 0o022 != 0 => refused(format!("others can write to it (mode {mode:o})")),
        _ => Ok(()),
    }
}

/// Writes a new file, and returns when its name may say that it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    if bytes.len() as u64 >= SYNCED_LEN { file.sync_data() } else { Ok(()) }
}

/// Removes a file that another process may have removed.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes an entry the most recently used one, unless it nearly is. That it is not noted harms nobody.
fn note_use(file: &File, metadata: &Metadata) {
    let now = SystemTime::now();
    let age = metadata.modified().ok().and_then(|used| now.duration_since(used).ok());
    if age.is_none_or(|age| age >= USE_RESOLUTION) {
        let _ = file.set_times(FileTimes::new().set_modified(now));
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
