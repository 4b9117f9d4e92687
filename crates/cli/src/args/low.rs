//! The grammar of the command line as clap sees it: plain fields, one per option, and the words of `--help`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hotfoot_testing::features::SpecVersion;

use super::features::{FeatureSwitch, NAMES_HELP};
use super::preinit::PreinitArgs;
use super::tools::{CompileArgs, ConfigArgs, ExploreArgs, InspectArgs, ObjdumpArgs, SettingsArgs};
use super::value::{self, CraneliftSetting, Directory, EnvVar, Preload, WasiOption};
use crate::profile::Profile;

const EXAMPLES: &str = "\
Examples:
  hotfoot app.wasm -v in.txt             run a program; what follows FILE is the program's own
  hotfoot --dir . app.wasm in.txt        … that may use the files of the current directory
  hotfoot --dir data::/in:ro app.wasm    … that sees `data` as `/in` and may only read it
  hotfoot --env HOME --env A=1 app.wasm  … with two environment variables
  hotfoot --invoke add lib.wat 2 3       call one exported function and print its results
  cat app.wasm | hotfoot -               read the module from standard input
  hotfoot compile app.wasm               compile it once, to load it at once from then on
  hotfoot inspect app.wasm               see what is in it, and what its start will cost

A program sees no file and no environment variable unless an option hands it over. The exit code is
the program's own; 134 after a trap, 1 for bad input, 2 for a wrong command line. For the options of
a run, see `hotfoot run --help`.";

const RUN_EXAMPLES: &str = "\
Examples:
  hotfoot run app.wasm one two               `one` and `two` are the program's arguments
  hotfoot run --timeout 5s app.wasm          stop it after five seconds
  hotfoot run --dir . app.wasm in.txt        let it use the files of the current directory
  hotfoot run --preload m=math.wat app.wat   satisfy the imports of `m` with exports of math.wat
  hotfoot run --invoke fib lib.wasm 30       call an export: integers in decimal or 0x…
  hotfoot run --invoke neg lib.wasm -1.5     … and floats also as nan or inf
  hotfoot run --allow-precompiled app.hotfoot  load what `hotfoot compile app.wasm` made";

const DOCTOR_EXAMPLES: &str = "\
The program is started some dozens of times, with an empty standard input, and stopped when it first writes something.

Examples:
  hotfoot doctor app.wasm one two             with the arguments `one` and `two`
  hotfoot doctor --html out.html --dir . app.wasm  … the report as a page, too";

const CACHE_EXAMPLES: &str = "\
Examples:
  hotfoot cache stats                     how much is in it
  hotfoot run --no-cache app.wasm         run once without it
  XDG_CACHE_HOME=/var/cache hotfoot …     keep it in /var/cache/hotfoot instead of ~/.cache/hotfoot";

/// Run WebAssembly programs, quickly and isolated.
#[derive(Parser)]
#[command(
    name = "hotfoot",
    version,
    about,
    long_about = None,
    override_usage = "hotfoot [OPTIONS] FILE [ARGS]...\n       hotfoot <COMMAND> ...",
    after_help = EXAMPLES,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run a program, or call one export of a module (the default: `hotfoot FILE` is `hotfoot run FILE`)
    Run(LowRunArgs),
    /// Compile a module ahead of time, to an artifact that loads at once
    Compile(CompileArgs),
    /// Say what is in a module or artifact, and what will be fast or slow to start
    Inspect(InspectArgs),
    /// Start a program in every way there is, and say where the time to its first output goes and what would help
    Doctor(LowDoctorArgs),
    /// Disassemble machine code, beside the instructions that it comes from
    Objdump(ObjdumpArgs),
    /// Write a page that shows a module's text and its machine code side by side
    Explore(ExploreArgs),
    /// List what can be set about the generated code, and what this machine has
    Settings(SettingsArgs),
    /// Write a configuration file to start from
    Config(ConfigArgs),
    /// Run a module's initialisation now and write a module that starts where it ended
    Preinit(PreinitArgs),
    /// Run specification scripts (.wast): files, or folders with all scripts in them
    Wast(WastArgs),
    /// Show or clear the cache of compiled modules, from which `run` starts a module that it has seen before
    #[command(subcommand, after_help = CACHE_EXAMPLES)]
    Cache(CacheCommand),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  hotfoot completions bash > ~/.local/share/bash-completion/completions/hotfoot")]
    Completions {
        /// The shell to write for
        shell: Shell,
    },
}

/// What to do with the cache.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum CacheCommand {
    /// Print the directory that it is in
    Dir,
    /// Print how many modules it holds, and their size
    Stats,
    /// Remove everything in it; programs that are running are not affected
    Clear,
}

/// The options of `hotfoot run`.
#[derive(Args)]
#[command(override_usage = "hotfoot run [OPTIONS] FILE [ARGS]...", after_help = RUN_EXAMPLES)]
pub struct LowRunArgs {
    /// Call this export and print its results, one a line; ARGS are its arguments
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,

    /// Let the program use a directory, under the same name or as GUEST, or only read it; may be given again
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = value::directory)]
    pub directories: Vec<Directory>,

    /// Set an environment variable, or pass ours on when no value is given; may be given again
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = value::env_var)]
    pub env: Vec<EnvVar>,

    /// Listen on an address and let the program accept connections there; may be given again
    #[arg(long = "tcplisten", value_name = "HOST:PORT")]
    pub tcp_listen: Vec<String>,

    /// Hand over the sockets that systemd, or whoever started hotfoot in its way, has opened
    #[arg(long)]
    pub listenfd: bool,

    /// Show control characters that the program writes to a terminal instead of obeying them
    #[arg(long)]
    pub protect_terminal: bool,

    /// What else of WASI to provide: threads, for programs that start some (wasm32-wasip1-threads)
    #[arg(short = 'S', long = "wasi", value_name = "threads[=y|n]", value_delimiter = ',', value_parser = value::wasi_option)]
    pub wasi: Vec<WasiOption>,

    /// Instantiate FILE first and let its exports satisfy the imports of NAME; may be given again, in order
    #[arg(long = "preload", value_name = "NAME=FILE", value_parser = value::preload)]
    pub preloads: Vec<Preload>,

    /// Stop the program when it has run for so long, as in 5s or 250ms; the exit code is then 124
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub timeout: Option<Duration>,

    /// Show the program's functions and source lines to a debugger, as in `gdb --args hotfoot run -D app.wasm`
    #[arg(short = 'D', long)]
    pub debug: bool,

    /// If the program traps, write its memories, globals and stack to FILE, in the WebAssembly core dump format
    #[arg(long, value_name = "FILE")]
    pub coredump: Option<PathBuf>,

    /// See where the program spends its time: guest[,FILE[,INTERVAL]] writes a flame graph, or a file for the Firefox
    /// Profiler if FILE does not end in .html; perfmap and jitdump tell `perf` where each function is
    #[arg(long, value_name = "WHAT", value_parser = value::profile)]
    pub profile: Option<Profile>,

    /// Provide the imports bench.start and bench.end of benchmark programs and print the time between them to stderr
    #[arg(long)]
    pub bench_imports: bool,

    /// Print to stderr how long each step took: reading, compiling, instantiating, running
    #[arg(long)]
    pub time: bool,

    /// Accept artifacts of `hotfoot compile`, too: they are machine code, so say this only of files that you trust
    #[arg(long)]
    pub allow_precompiled: bool,

    /// Accept artifacts that were signed with the key in this file (see `hotfoot compile --sign-key`), and no others
    #[arg(long, value_name = "FILE")]
    pub verify_key: Option<PathBuf>,

    /// Compile anew, and keep nothing in the cache of compiled modules (see `hotfoot cache`)
    #[arg(long)]
    pub no_cache: bool,

    /// The module: a .wasm or .wat file, or - for standard input; then the arguments of the program
    #[arg(value_name = "FILE [ARGS]", required = true, trailing_var_arg = true, num_args = 1..)]
    pub file_and_args: Vec<OsString>,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}

/// The options of `hotfoot doctor`.
#[derive(Args)]
#[command(override_usage = "hotfoot doctor [OPTIONS] FILE [ARGS]...", after_help = DOCTOR_EXAMPLES)]
pub struct LowDoctorArgs {
    /// Write the report as a page, too, with a picture of each start
    #[arg(long, value_name = "OUT")]
    pub html: Option<PathBuf>,

    #[command(flatten)]
    pub run: LowRunArgs,
}

/// Options that shape the engine and so apply to every command that compiles.
#[derive(Args, Clone)]
#[command(next_help_heading = "Engine options")]
pub struct LowEngineArgs {
    /// Take settings from a file, as `hotfoot config new` writes one; options override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[arg(
        short = 'W',
        long = "wasm",
        value_name = "FEATURE[=y|n],…",
        value_delimiter = ',',
        help = NAMES_HELP
    )]
    pub features: Vec<FeatureSwitch>,

    /// How hard to optimise: 0 not at all, 2 for speed, s for speed and size [default: 2]
    #[arg(short = 'O', long, value_name = "0|2|s", hide_possible_values = true)]
    pub opt_level: Option<OptLevelArg>,

    /// Change a setting of the code generator, as in has_avx2=false; `hotfoot settings` lists them; may be given again
    #[arg(long = "cranelift-set", value_name = "NAME[=VALUE]", value_parser = value::cranelift_setting)]
    pub cranelift_settings: Vec<CraneliftSetting>,

    /// Write each function, as the code generator gets it, to a file in this folder
    #[arg(long, value_name = "FOLDER")]
    pub emit_clif: Option<PathBuf>,

    /// Find some traps through memory protection instead of explicit checks [default: y]
    #[arg(long, value_name = "y|n", value_parser = value::yes_or_no, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "y")]
    pub signals_based_traps: Option<bool>,

    /// Address space to reserve for each memory, as in 4GiB; less than that brings explicit bounds checks
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub memory_reservation: Option<u64>,

    /// Inaccessible space after each memory's reservation, as in 32MiB
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub memory_guard_size: Option<u64>,

    /// Stack that the program may use before it traps, as in 1MiB
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub max_wasm_stack: Option<u64>,
}

/// The levels of `--opt-level`.
#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub enum OptLevelArg {
    /// Compile as fast as possible
    #[value(name = "0")]
    None,
    /// Optimise for speed; there is no level between 0 and 2
    #[value(name = "1", hide = true)]
    SomeSpeed,
    /// Optimise for speed
    #[value(name = "2")]
    Speed,
    /// Optimise for speed and for size
    #[value(name = "s")]
    SpeedAndSize,
}

/// The options of `hotfoot wast`.
#[derive(Args)]
#[command(after_help = "Example:\n  hotfoot wast --spec 2.0 spec/test/core")]
pub struct WastArgs {
    /// Accept just the features of this version of the specification [default: all that hotfoot has]
    #[arg(long, value_name = "1.0|2.0|3.0")]
    pub spec: Option<SpecVersion>,

    /// Scripts, or folders that are searched for them
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub engine: LowEngineArgs,
}
