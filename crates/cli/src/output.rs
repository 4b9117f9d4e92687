//! What a command makes, to where the user wants it: a file that is there whole or not at all, or standard output.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::args::Source;
use crate::ui;

/// Where to write.
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Output {
    /// The output that was asked for, or the input's name with another ending.
    ///
    /// # Errors
    /// When nothing was asked for and the input has no name.
    pub fn new(asked: Option<&Source>, input: &Source, ending: &str) -> Result<Output> {
        match (asked, input) {
            (Some(Source::Stdin), _) => Ok(Output::Stdout),
            (Some(Source::File(path)), _) => Ok(Output::File(path.clone())),
            (None, Source::File(path)) => Ok(Output::File(path.with_extension(ending))),
            (None, Source::Stdin) => bail!("standard input has no name to derive another from; give one with -o OUT"),
        }
    }

    /// Writes all of it. What is not for people goes to a terminal only if nobody can be reading it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, bytes: &[u8], is_text: bool) -> Result<()> {
        match self {
            Output::Stdout if !is_text && io::stdout().is_terminal() => {
                bail!("an artifact is no text for a terminal; redirect standard output, or name a file with -o OUT")
            }
            Output::Stdout => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                        Err(anyhow!("cannot write to standard output: {error}; check where it goes"))
                    }
                    _ => Ok(()),
                }
            }
            Output::File(path) => replace(path, bytes)
                .map_err(|error| anyhow!("cannot write `{}`: {error}; name another file with -o OUT", path.display())),
        }
    }

    /// Says where the output is, if that was not asked for by name.
    pub fn announce(&self, asked: Option<&Source>) {
        if let (Output::File(path), None) = (self, asked) {
            ui::say(&format!("wrote `{}`", path.display()));
        }
    }
}

/// Writes beside the file and renames, so that nobody sees half of it and a failure leaves what was there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What is no plain file, such as /dev/null, is written to and not replaced.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, bytes);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(replace(&folder.path().join("no/such/folder"), b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something is left over");
    }

    #[test]
    fn names() {
        let file = |name: &str| Source::File(name.into());
        let path = |asked: Option<&Source>, input: &Source| match Output::new(asked, input, "html") {
            Ok(Output::File(path)) => path.display().to_string(),
            Ok(Output::Stdout) => "-".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(path(None, &file("a/b.wasm")), "a/b.html");
        assert_eq!(path(Some(&file("c")), &file("a/b.wasm")), "c");
        assert_eq!(path(Some(&Source::Stdin), &file("a")), "-");
        assert!(path(None, &Source::Stdin).contains("-o OUT"));
    }
}
