//! The text files of the repository, read once and keyed by their path from the root, with `/` between names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders with nothing of ours in them.
const SKIPPED: [&str; 4] = [".git", "target", "corpus", "artifacts"];
const READ: [&str; 4] = ["rs", "md", "toml", "lock"];

/// Every file that some rule reads.
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the repository.
    pub fn read(root: &Path) -> Result<Tree> {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = root.join(&folder);
            for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let inside = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                    folders.push(inside);
                } else if kind.is_file() && READ.iter().any(|end| name.rsplit_once('.').is_some_and(|(_, e)| e == *end))
                {
                    let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {inside}"))?;
                    files.insert(inside, text);
                }
            }
        }
        Ok(Tree { files })
    }

    /// A tree made up for a test.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// One file's text.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether a file's path is this one or ends with it, as documents may leave out the first folders.
    pub fn has_file_ending(&self, end: &str) -> bool {
        self.files
            .keys()
            .any(|path| path.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('/')))
    }

    /// All Rust files.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The folders of the workspace's crates: `crates/abi`, …
    pub fn crates(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|path| path.strip_suffix("/Cargo.toml")).filter(|path| path.starts_with("crates/"))
    }
}
