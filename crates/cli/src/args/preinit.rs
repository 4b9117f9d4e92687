//! What `hotfoot preinit` is to do. The names of the options are those that users of Wizer know.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use hotfoot_wasi::Perms;

use super::low::LowEngineArgs;
use super::run::Source;
use super::value::{self, Directory, Preload};

/// The options of `hotfoot preinit`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot preinit app.wasm -o fast.wasm                    call the export wizer.initialize and keep what it did
  hotfoot preinit app.wasm -f setup --allow-wasi -o o.wasm call `setup`, which may use WASI
  hotfoot preinit app.wasm -r _start=resume -o o.wasm      start the new program with its export `resume`
  hotfoot preinit app.wasm --report text -o o.wasm         … and say what was captured")]
pub struct PreinitArgs {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// Call this export [default: wizer.initialize, or else wizer-initialize]; _initialize runs before it if it is exported
    #[arg(short = 'f', long, value_name = "NAME")]
    pub init_func: Option<String>,

    /// Export the function SRC as DST, in place of a function that has this name; may be given again
    #[arg(short = 'r', long = "rename-func", visible_alias = "func-rename", value_name = "DST=SRC", value_parser = rename)]
    pub renames: Vec<(String, String)>,

    /// Export the initialisation function, too
    #[arg(long, value_name = "y|n", value_parser = value::yes_or_no, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "y")]
    pub keep_init_func: Option<bool>,

    /// Let the initialisation call WASI
    #[arg(long, value_name = "y|n", value_parser = value::yes_or_no, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "y")]
    pub allow_wasi: Option<bool>,

    /// Let the initialisation see our environment
    #[arg(long, value_name = "y|n", value_parser = value::yes_or_no, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "y")]
    pub inherit_env: Option<bool>,

    /// Let the initialisation use our standard streams [default: y]
    #[arg(long, value_name = "y|n", value_parser = value::yes_or_no, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "y")]
    pub inherit_stdio: Option<bool>,

    /// Leave imported memories, tables and globals imports, and put the state into them
    #[arg(long)]
    pub keep_imports: bool,

    /// Remove functions that only the initialisation used, and make certain indirect calls direct
    #[arg(long)]
    pub optimize: bool,

    /// Leave out debugging information
    #[arg(long)]
    pub strip_debug: bool,

    /// Let the initialisation use a directory, under the same name or as GUEST; may be given again
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = value::directory)]
    pub directories: Vec<Directory>,

    /// Let the initialisation use the directory HOST under the name GUEST; may be given again
    #[arg(long = "mapdir", value_name = "GUEST::HOST", value_parser = mapped_directory)]
    pub mapped_directories: Vec<Directory>,

    /// Instantiate FILE first and let its exports satisfy the imports of NAME; may be given again, in order
    #[arg(long = "preload", value_name = "NAME=FILE", value_parser = value::preload)]
    pub preloads: Vec<Preload>,

    /// What to write: a module, or a compiled artifact of it
    #[arg(
        long,
        value_name = "wasm|artifact",
        default_value = "wasm",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub emit: Emit,

    /// Fail if the output would be more than this much larger than the input, as in 16MiB
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub max_growth: Option<u64>,

    /// Say what was captured and which host functions were called, to stdout if there is an OUT, else to stderr
    #[arg(long, value_name = "text|json", hide_possible_values = true)]
    pub report: Option<ReportFormat>,

    /// The module: a .wasm or .wat file, or - for standard input
    #[arg(value_name = "IN", default_value = "-", hide_default_value = true)]
    pub input: OsString,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}

/// What to write.
#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub enum Emit {
    /// A module.
    Wasm,
    /// A compiled artifact.
    Artifact,
}

/// How to write a report.
#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub enum ReportFormat {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

impl PreinitArgs {
    /// Where the module comes from.
    pub fn source(&self) -> Source {
        Source::from(self.input.clone())
    }
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((dst, src)) if !dst.is_empty() && !src.is_empty() => Ok((dst.to_owned(), src.to_owned())),
        _ => Err("write a renaming as DST=SRC, as in _start=resume".to_owned()),
    }
}

fn mapped_directory(text: &str) -> Result<Directory, String> {
    match text.split_once("::") {
        Some((guest, host)) if !guest.is_empty() && !host.is_empty() => {
            Ok(Directory { host: host.into(), guest: guest.to_owned(), perms: Perms::READ_WRITE })
        }
        _ => Err("write a mapped directory as GUEST::HOST, both not empty".to_owned()),
    }
}

/// Options that are on or off and that Wizer takes a separate word for.
const SWITCHES: [&str; 4] = ["--keep-init-func", "--allow-wasi", "--inherit-env", "--inherit-stdio"];

/// Makes `--inherit-env true` into `--inherit-env=true`, so that the word is not taken for IN.
pub fn join_switches(argv: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(argv.len());
    for word in argv {
        match joined.last_mut() {
            Some(last) if SWITCHES.iter().any(|switch| last == switch) && (word == "true" || word == "false") => {
                last.push("=");
                last.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_take_a_word_of_their_own_too() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            join_switches(words("preinit --inherit-env true --allow-wasi in.wasm --keep-init-func false")),
            words("preinit --inherit-env=true --allow-wasi in.wasm --keep-init-func=false")
        );
    }

    #[test]
    fn pairs() {
        assert_eq!(rename("_start=run"), Ok(("_start".into(), "run".into())));
        assert!(rename("=x").is_err() && rename("x=").is_err() && rename("x").is_err());
        let mapped = mapped_directory("/in::data").unwrap();
        assert_eq!((mapped.guest, mapped.host), ("/in".to_owned(), "data".into()));
        assert!(mapped_directory("data").is_err());
    }
}
