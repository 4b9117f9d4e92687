//! One program: how it is started, what it must print, and what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Where a difference is shown, this much of it.
const SHOWN_LEN: usize = 300;

/// What a stream must hold.
pub enum Expect {
    /// Nothing is known about it.
    Anything,
    /// Exactly this.
    Exactly(String),
    /// These words, in this order, among others.
    Words(&'static [&'static str]),
}

/// A program with its arguments and its right output.
pub struct Program {
    /// Name in the table.
    pub name: String,
    /// The folder to run in.
    pub folder: PathBuf,
    /// Options of hotfoot, the module, and the program's arguments.
    pub words: Vec<String>,
    /// The right exit code.
    pub exit_code: i32,
    /// The right output.
    pub stdout: Expect,
    /// The right messages, without those of hotfoot.
    pub stderr: Expect,
}

/// Milliseconds, as far as they are known.
#[derive(Debug, Default, PartialEq)]
pub struct Times {
    /// From the module's bytes to code.
    pub compile: Option<f64>,
    /// From the call of the program to its end.
    pub run: Option<f64>,
    /// From `bench.start` to `bench.end`.
    pub hot: Option<f64>,
}

/// How a run went.
pub struct Measured {
    /// How long its parts took.
    pub times: Times,
    /// What was wrong, if something was.
    pub complaint: Option<String>,
}

impl Program {
    /// Runs it once, with options besides its own.
    pub fn run(&self, hotfoot: &Path, options: &[&str]) -> Result<Measured> {
        let output = Command::new(hotfoot)
            .args(["run", "--time", "--bench-imports"])
            .args(options)
            .args(&self.words)
            .current_dir(&self.folder)
            .output()
            .with_context(|| format!("cannot start {}", hotfoot.display()))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            stderr.split_inclusive('\n').partition(|line| line.starts_with("hotfoot: "));
        let code = output.status.code();
        let complaint = if code == Some(self.exit_code) {
            let stdout = self.stdout.complaint("stdout", &String::from_utf8_lossy(&output.stdout));
            stdout.or_else(|| self.stderr.complaint("stderr", &theirs.concat()))
        } else {
            let code = code.map_or_else(|| output.status.to_string(), |code| format!("exit code {code}"));
            Some(format!("{code} instead of {}: {}", self.exit_code, shortened(&stderr)))
        };
        Ok(Measured { times: Times::read(&ours.concat()), complaint })
    }
}

impl Expect {
    fn complaint(&self, stream: &str, seen: &str) -> Option<String> {
        match self {
            Expect::Anything => None,
            Expect::Exactly(expected) if seen == expected => None,
            Expect::Exactly(expected) => {
                let same = seen.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
                let line = |text: &str| shortened(text.lines().nth(same).unwrap_or("its end")).to_owned();
                Some(format!("{stream} line {}: `{}` instead of `{}`", same + 1, line(seen), line(expected)))
            }
            Expect::Words(words) => {
                let mut rest = seen;
                for word in *words {
                    match rest.split_once(word) {
                        Some((_, after)) => rest = after,
                        None => return Some(format!("{stream} lacks `{word}`: {}", shortened(seen))),
                    }
                }
                None
            }
        }
    }
}

impl Times {
    /// Finds the times in what hotfoot said.
    fn read(said: &str) -> Times {
        let between = |before: &str| {
            let (_, rest) = said.split_once(before)?;
            rest.split_once(" ms")?.0.parse().ok()
        };
        Times {
            compile: between("compile took "),
            run: between(" run took "),
            hot: between("bench.start to bench.end took "),
        }
    }
}

fn shortened(text: &str) -> &str {
    let text = text.trim();
    text.char_indices().nth(SHOWN_LEN).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found() {
        let said = "hotfoot: bench.start to bench.end took 7.5 ms\n\
                    hotfoot: read took 0.1 ms, compile took 12.3 ms, instantiate took 0.0 ms, run took 8.0 ms\n";
        assert_eq!(Times::read(said), Times { compile: Some(12.3), run: Some(8.0), hot: Some(7.5) });
        assert_eq!(Times::read("hotfoot: no such file\n"), Times::default());
    }

    #[test]
    fn differences_are_shown_with_their_line() {
        let expect = Expect::Exactly("a\nb\n".to_owned());
        assert_eq!(expect.complaint("stdout", "a\nb\n"), None);
        assert_eq!(expect.complaint("stdout", "a\nc\n").unwrap(), "stdout line 2: `c` instead of `b`");
        assert_eq!(expect.complaint("stdout", "a\n").unwrap(), "stdout line 2: `its end` instead of `b`");
        assert_eq!(Expect::Words(&["a", "b"]).complaint("stdout", "a x b"), None);
        assert!(Expect::Words(&["b", "a"]).complaint("stdout", "a x b").is_some());
    }
}
