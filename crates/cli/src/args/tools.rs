//! The grammar of the commands that work on code without running it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::Source;
use super::low::LowEngineArgs;

/// Reads FILE.
fn source() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().map(|file: OsString| Source::from(file))
}

/// What to generate code for.
#[derive(Args, Clone)]
pub struct TargetArgs {
    /// Compile for x86_64, aarch64, a level such as x86-64-v3, or a triple [default: native, this machine with all that
    /// it has]
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
}

/// The options of `hotfoot compile`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot compile app.wasm                      write app.hotfoot, for this machine
  hotfoot run --allow-precompiled app.hotfoot   … and run it: nothing is compiled any more
  hotfoot compile --target x86-64-v3 app.wasm   for every x86-64 machine with AVX2, FMA and BMI
  hotfoot compile --target aarch64 app.wasm     for 64-bit ARM with Linux, from any machine
  hotfoot compile -O s -o small.hotfoot app.wat smaller code, under another name
  hotfoot compile - -o - < app.wasm > app.hotfoot
  hotfoot compile --sign-key my.key app.wasm    for those who run it with --verify-key my.key

An artifact is machine code for one kind of processor and one version of hotfoot. One that needs what
a processor lacks is refused by it; `hotfoot settings` shows what this one has.")]
pub struct CompileArgs {
    /// The module: a .wasm or .wat file, or - for standard input
    #[arg(value_name = "FILE", value_parser = source())]
    pub file: Source,

    /// Where to write the artifact, - for standard output [default: FILE with the ending .hotfoot]
    #[arg(short, long, value_name = "OUT", value_parser = source())]
    pub output: Option<Source>,

    /// Sign the artifact with the secret key in this file, 64 hexadecimal digits; `run --verify-key` checks it
    #[arg(long, value_name = "FILE")]
    pub sign_key: Option<PathBuf>,

    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}

/// The options of `hotfoot settings`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot settings             everything for this machine
  hotfoot settings x86-64-v3   what this level switches on, beside what this machine has
  hotfoot settings aarch64     for another processor

Any of them can be given to --cranelift-set, as in `hotfoot run --cranelift-set has_avx=false app.wasm`.")]
pub struct SettingsArgs {
    /// x86_64, aarch64, a level such as x86-64-v3, or a triple
    #[arg(value_name = "TARGET", default_value = "native")]
    pub target: String,
}

/// The options of `hotfoot inspect`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot inspect app.wasm                    what it imports and exports, how large it is, how it starts
  hotfoot inspect app.hotfoot                 the same of an artifact, and what machine it needs
  hotfoot inspect --json app.wasm | jq .start the same for a program to read")]
pub struct InspectArgs {
    /// A module (.wasm or .wat), an artifact, or - for standard input
    #[arg(value_name = "FILE", value_parser = source())]
    pub file: Source,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The options of `hotfoot objdump`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot objdump app.wasm                     everything, as compiled for this machine
  hotfoot objdump --func fib app.wasm          the functions with `fib` in their name
  hotfoot objdump --func 17 app.hotfoot        function 17 of an artifact
  hotfoot objdump --target aarch64 app.wasm    as it would be for ARM

Lines that begin with `;;` say which instruction of the module the code after them is for, by its
offset in the .wasm file.")]
pub struct ObjdumpArgs {
    /// A module (.wasm or .wat), an artifact, or - for standard input
    #[arg(value_name = "FILE", value_parser = source())]
    pub file: Source,

    /// Only functions with this index, or with this in their name
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub func: Option<String>,

    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}

/// The options of `hotfoot explore`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  hotfoot explore app.wasm                    write app.html; open it in a browser
  hotfoot explore --func fib -o fib.html app.wasm
  hotfoot explore --target aarch64 -O 0 app.wat

The page is one file that needs nothing else. Point at a line to see what belongs to it on the other
side.")]
pub struct ExploreArgs {
    /// The module: a .wasm or .wat file, or - for standard input
    #[arg(value_name = "FILE", value_parser = source())]
    pub file: Source,

    /// Where to write the page, - for standard output [default: FILE with the ending .html]
    #[arg(short, long, value_name = "OUT", value_parser = source())]
    pub output: Option<Source>,

    /// Only functions with this index, or with this in their name
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub func: Option<String>,

    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}

/// The options of `hotfoot config`.
#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `hotfoot config` can do.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Write a file with every setting, its meaning and its default
    #[command(after_help = "\
Examples:
  hotfoot config new                              write hotfoot.toml
  hotfoot run --config hotfoot.toml app.wasm      … and use it, once it is edited
  hotfoot config new -                            only look at it")]
    New {
        /// The file to write, - for standard output
        #[arg(value_name = "FILE", default_value = "hotfoot.toml")]
        file: PathBuf,
    },
}
