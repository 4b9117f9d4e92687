//! Which entry of the cache the module in a file is, so that the file need not be read to find it.
//!
//! ```text
//!  file name  hash of the settings, and of which file it is (device, inode)
//!  contents   hash of the file's state: size, and when content and metadata were changed last (32 bytes)
//!             key of its entry (32 bytes)
//! ```
//!
//! Whoever changes a file's content changes the time of the last change of its metadata, which nobody can set. That time is
//! only as exact as the kernel's clock, and a mapping that is written may be stamped late; so a file is noted only when it was
//! not changed for a while.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use hotfoot_artifact::Hasher;

use super::{Cache, CacheKey, hexadecimal, remove, settings_hasher};
use crate::config::Config;

/// Ends the names of notes.
const EXTENSION: &str = "file";
/// A file that was changed later than so long ago may be changed again without showing it. The kernel stamps written mappings
/// within half a minute.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// A file as it was at one time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    /// In seconds and nanoseconds.
    content_changed: (i64, i64),
    metadata_changed: (i64, i64),
}

impl FileState {
    /// Of a regular file; others have no content of their own.
    pub(crate) fn new(metadata: &Metadata) -> Option<FileState> {
        metadata.is_file().then(|| FileState {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            content_changed: (metadata.mtime(), metadata.mtime_nsec()),
            metadata_changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether any later change will show.
    fn is_settled(&self, now: SystemTime) -> bool {
        let changed = Duration::new(self.metadata_changed.0.max(0) as u64, self.metadata_changed.1 as u32);
        now.duration_since(SystemTime::UNIX_EPOCH + changed).is_ok_and(|age| age >= SETTLED_AFTER)
    }

    fn note_name(&self, config: &Config) -> String {
        let mut hasher = settings_hasher(config);
        hasher.update(b"file").update(&self.device.to_le_bytes()).update(&self.inode.to_le_bytes());
        format!("{}.{EXTENSION}", hexadecimal(hasher.finalize().as_bytes()))
    }

    fn hash(&self) -> [u8; 32] {
        let mut hasher = Hasher::new();
        let times = [self.content_changed.0, self.content_changed.1, self.metadata_changed.0, self.metadata_changed.1];
        hasher.update(&self.size.to_le_bytes());
        for time in times {
            hasher.update(&time.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

impl Cache {
    /// The entry, if it is there, of the module in a file that is as it was when it was noted.
    pub(crate) fn noted(&self, config: &Config, state: &FileState) -> Option<CacheKey> {
        let mut note = Vec::new();
        let file = File::open(self.directory().join(state.note_name(config))).ok()?;
        file.take(65).read_to_end(&mut note).ok()?;
        let (hash, key) = note.split_first_chunk::<32>()?;
        let key = CacheKey(*key.as_array()?);
        (*hash == state.hash() && self.directory().join(key.file_name()).exists()).then_some(key)
    }

    /// Notes the entry of the module in a file, whose content was read when it was in this state.
    pub(crate) fn note(&self, config: &Config, state: &FileState, key: &CacheKey, now: SystemTime) -> Result<()> {
        if !state.is_settled(now) || self.noted(config, state).as_ref() == Some(key) {
            return Ok(());
        }
        self.write(&state.note_name(config), &[state.hash(), key.0].concat())
    }

    /// Removes notes whose entry is not there.
    pub(super) fn remove_notes_of_nothing(&self) -> Result<()> {
        for note in self.files(|name| Path::new(name).extension().is_some_and(|extension| extension == EXTENSION))? {
            let contents = std::fs::read(&note.path).unwrap_or_default();
            let key = contents.get(32..).and_then(|key| key.as_array().copied());
            if key.is_none_or(|key| !self.directory().join(CacheKey(key).file_name()).exists()) {
                remove(&note.path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheConfig;

    #[test]
    fn a_file_is_known_as_long_as_it_does_not_change() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = CacheConfig::new();
        settings.with_directory(directory.path().join("cache"));
        let cache = Cache::new(settings).unwrap();
        let (config, path) = (Config::new(), directory.path().join("m.wasm"));
        let state = || FileState::new(&path.metadata().unwrap()).unwrap();
        std::fs::write(&path, "one").unwrap();
        let (first, key) = (state(), CacheKey::new(&config, b"one"));
        cache.store(&key, b"artifact").unwrap();
        let now = SystemTime::now();
        cache.note(&config, &first, &key, now).unwrap();
        assert_eq!(cache.noted(&config, &first), None, "it was changed a moment ago, and may be changed again at once");
        cache.note(&config, &first, &key, now + Duration::from_secs(61)).unwrap();
        assert_eq!(cache.noted(&config, &first), Some(key));
        let mut other = Config::new();
        other.consume_fuel(true);
        assert_eq!(cache.noted(&other, &first), None);

        // Other content of the same length, and the old time of its last change.
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let then =
            SystemTime::UNIX_EPOCH + Duration::new(first.content_changed.0 as u64, first.content_changed.1 as u32);
        file.set_modified(then).unwrap();
        let second = state();
        assert_eq!((second.size, second.content_changed), (first.size, first.content_changed));
        assert_eq!(cache.noted(&config, &second), None);

        // Another file in its place, and a note without an entry.
        std::fs::rename(&path, directory.path().join("old.wasm")).unwrap();
        std::fs::write(&path, "one").unwrap();
        assert_eq!(cache.noted(&config, &state()), None);
        cache.clear().unwrap();
        assert_eq!(cache.noted(&config, &first), None);
        assert_eq!(std::fs::read_dir(cache.directory()).unwrap().count(), 0);
        assert_eq!(FileState::new(&directory.path().metadata().unwrap()), None);
    }
}
