//! What the compiler accepts, what it refuses and how it says so, and that its output is the same every time.
//!
//! Nothing here runs code: the runtime's tests do. The code generator's own verifier is on in all of them.

mod accepted;
mod artifact;
mod bounded;
mod checks;
mod clif;
mod objects;
mod refused;
mod simd;
mod targets;

use hotfoot_abi::tunables::Tunables;
use hotfoot_compile::{Compiler, Error, OptLevel, Options, Target};

/// Triples that code is generated for.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

fn compiler(target: &str, options: Options) -> Compiler {
    Compiler::new(Target::new(target).unwrap(), options).unwrap()
}

/// Compiles a module in the text format with default options.
fn compile(wat: &str) -> Result<Vec<u8>, Error> {
    compiler(TARGETS[0], Options::default()).compile(&wat::parse_str(wat).unwrap())
}

/// Every way of compiling that takes another path through the translator.
fn all_options() -> Vec<Options> {
    let small = Tunables { memory_reservation: 0, memory_guard_size: 0, ..Tunables::default() };
    let guarded = Tunables { memory_reservation: 1 << 20, memory_guard_size: 1 << 16, ..Tunables::default() };
    let no_signals = Tunables { signals_based_traps: false, ..Tunables::default() };
    let fixed = Tunables { memory_may_move: false, ..small };
    let mut all: Vec<Options> = [Tunables::default(), small, guarded, no_signals, fixed]
        .map(|tunables| Options { tunables, ..Options::default() })
        .into();
    all.push(Options { opt_level: OptLevel::None, ..Options::default() });
    all.push(Options { opt_level: OptLevel::SpeedAndSize, nan_canonicalization: true, ..Options::default() });
    all
}

/// Compiles a module in the text format for all targets in all modes.
fn compile_everywhere(wat: &str) {
    let wasm = wat::parse_str(wat).unwrap();
    for target in TARGETS {
        for options in all_options() {
            let described = format!("{target}, {options:?}");
            let compiled = compiler(target, options).compile(&wasm);
            compiled.unwrap_or_else(|error| panic!("{described}: {error}\n{wat}"));
        }
    }
    let mut unmasked = Target::new(TARGETS[0]).unwrap();
    unmasked.set("enable_heap_access_spectre_mitigation", "false").unwrap();
    unmasked.set("enable_table_access_spectre_mitigation", "false").unwrap();
    for options in all_options() {
        Compiler::new(unmasked.clone(), options).unwrap().compile(&wasm).unwrap();
    }
}
