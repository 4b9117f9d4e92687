//! The command line, in two steps: clap reads it into the plain structs of [`low`], and those become the values that
//! the commands work with. Only the second step knows rules that span several options.

mod engine;
mod features;
mod low;
mod preinit;
mod run;
mod tools;
mod value;

use std::ffi::{OsStr, OsString};

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::ui;
pub use engine::{EngineArgs, known_target};
pub use low::{CacheCommand, WastArgs};
pub use preinit::{Emit, PreinitArgs, ReportFormat};
pub use run::{DoctorArgs, RunArgs, Source};
pub use tools::{CompileArgs, ConfigArgs, ConfigCommand, ExploreArgs, InspectArgs, ObjdumpArgs, SettingsArgs};
pub use value::size;

/// What to do, with everything that it needs.
pub enum Command {
    /// Run or invoke one module.
    Run(RunArgs),
    /// Examine the start of a program.
    Doctor(DoctorArgs),
    /// Compile a module to an artifact.
    Compile(CompileArgs),
    /// Describe a module or artifact.
    Inspect(InspectArgs),
    /// Write the page with text and machine code.
    Explore(ExploreArgs),
    /// Disassemble.
    Objdump(ObjdumpArgs),
    /// List what can be set.
    Settings(SettingsArgs),
    /// Write a configuration file.
    Config(ConfigArgs),
    /// Pre-initialise a module.
    Preinit(PreinitArgs),
    /// Run specification scripts.
    Wast(WastArgs),
    /// Show or clear the cache.
    Cache(CacheCommand),
    /// Print a completion script.
    Completions(Shell),
}

/// The whole grammar, for generating completions from it.
pub fn grammar() -> clap::Command {
    low::Cli::command()
}

/// Every name that the first argument may have without being a file.
pub fn command_names() -> Vec<String> {
    grammar().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Reads the arguments, the program's own name first. Wrong usage, `--help` and `--version` end the process here.
///
/// # Errors
/// When the configuration file cannot be used.
pub fn parse(mut argv: Vec<OsString>) -> Result<Command> {
    if is_short_form(&argv) {
        argv.insert(1, "run".into());
    }
    if let Some(run) = right_run(&argv) {
        return Ok(Command::Run(RunArgs::new(run)?));
    }
    if argv.get(1).is_some_and(|word| word == "preinit") {
        argv = preinit::join_switches(argv);
    }
    let cli = low::Cli::try_parse_from(argv).unwrap_or_else(|error| ui::exit_with_usage(&error));
    Ok(match cli.command {
        low::Command::Run(low) => Command::Run(RunArgs::new(low)?),
        low::Command::Doctor(low) => Command::Doctor(DoctorArgs::new(low)?),
        low::Command::Compile(args) => Command::Compile(args),
        low::Command::Inspect(args) => Command::Inspect(args),
        low::Command::Explore(args) => Command::Explore(args),
        low::Command::Objdump(args) => Command::Objdump(args),
        low::Command::Settings(args) => Command::Settings(args),
        low::Command::Config(args) => Command::Config(args),
        low::Command::Preinit(preinit) => Command::Preinit(preinit),
        low::Command::Wast(wast) => Command::Wast(wast),
        low::Command::Cache(command) => Command::Cache(command),
        low::Command::Completions { shell } => Command::Completions(shell),
    })
}

/// The options of a run that nothing is wrong with, read without building the grammar of all other commands: a program
/// may take less time than that. What is wrong, or asks for help, is left to the whole grammar, which says so in full.
fn right_run(argv: &[OsString]) -> Option<low::LowRunArgs> {
    let words = argv.get(1..).filter(|words| words.first().is_some_and(|word| word == "run"))?;
    let mut matches = low::LowRunArgs::augment_args(clap::Command::new("run")).try_get_matches_from(words).ok()?;
    low::LowRunArgs::from_arg_matches_mut(&mut matches).ok()
}

/// Whether this is `hotfoot [options] FILE …`: a first argument that neither names a command nor asks for help.
fn is_short_form(argv: &[OsString]) -> bool {
    let Some(first) = argv.get(1).map(OsString::as_os_str) else { return false };
    let top_level = ["help", "-h", "--help", "-V", "--version"];
    !top_level.iter().any(|word| first == OsStr::new(word)) && !first.to_str().is_some_and(low::Command::has_subcommand)
}

/// The engine options in a line of words, for tests.
#[cfg(test)]
pub fn engine(options: &str) -> EngineArgs {
    let line = format!("hotfoot {options} x");
    match parse(line.split_whitespace().map(OsString::from).collect()).unwrap() {
        Command::Run(run) => run.engine,
        _ => panic!("`{line}` is no run command"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn run(line: &str) -> RunArgs {
        match parse(words(line)).unwrap() {
            Command::Run(run) => run,
            _ => panic!("`{line}` is no run command"),
        }
    }

    #[test]
    fn the_grammar_is_consistent() {
        grammar().debug_assert();
    }

    #[test]
    fn the_short_form_is_run() {
        for line in ["hotfoot app.wasm -v --help", "hotfoot run app.wasm -v --help"] {
            let run = run(line);
            assert!(matches!(&run.source, Source::File(path) if path == "app.wasm"));
            assert_eq!(run.argv, words("-v --help"));
        }
        assert!(is_short_form(&words("hotfoot --dir . app.wasm")));
        assert!(is_short_form(&words("hotfoot -")));
        assert!(!is_short_form(&words("hotfoot --help")));
        assert!(!is_short_form(&words("hotfoot")));
    }

    #[test]
    fn options_after_the_file_belong_to_the_guest() {
        let run = run("hotfoot --dir .::/ app.wasm --dir x -- -");
        assert_eq!(run.directories.len(), 1);
        assert_eq!(run.argv, words("--dir x -- -"));
    }

    #[test]
    fn a_dash_is_stdin() {
        assert!(matches!(run("hotfoot - -5").source, Source::Stdin));
    }
}
