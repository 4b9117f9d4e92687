//! What functions become in the code generator's language: `tests/clif/*.wat`.
//!
//! Each file is a module in the text format, for x86-64, and after it, in comments, its functions as the code generator
//! gets them. Options are the default ones, but for those that the first line names after `;; OPTIONS:`. `BLESS=1` writes
//! what is seen into the files.

use std::fs;
use std::path::{Path, PathBuf};

use hotfoot_abi::tunables::Tunables;
use hotfoot_compile::Options;

use crate::{TARGETS, compiler};

/// Where the functions begin in a file.
const BEGIN: &str = "\n;; CLIF:\n";
/// Begins a first line that names options.
const OPTIONS: &str = ";; OPTIONS:";

#[test]
fn functions_become_what_is_written_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clif");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there is no module in {}", folder.display());
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let module = expected.split_once(BEGIN).map_or(expected.trim_end(), |(module, _)| module);
        let seen = format!("{module}\n{BEGIN}{}", functions(module));
        let seen = seen.replace("\n\n\n", "\n\n");
        if seen == expected {
            continue;
        }
        if bless {
            fs::write(&path, &seen).unwrap();
        }
        different.push(format!("{} became:\n{seen}", path.display()));
    }
    assert!(
        bless || different.is_empty(),
        "{}\nif that is right, run this test again with BLESS=1",
        different.join("\n")
    );
}

/// The promises that a module's first line asks for.
fn tunables(module: &str) -> Tunables {
    let line = module.lines().next().unwrap_or_default();
    let mut tunables = Tunables::default();
    for option in line.strip_prefix(OPTIONS).unwrap_or_default().split_whitespace() {
        match option {
            "consume_fuel" => tunables.consume_fuel = true,
            "epoch_interruption" => tunables.epoch_interruption = true,
            "no_signals" => tunables.signals_based_traps = false,
            "no_reservation" => (tunables.memory_reservation, tunables.memory_guard_size) = (0, 1 << 16),
            other => panic!("there is no option {other}"),
        }
    }
    tunables
}

/// The functions of a module, in comments.
fn functions(module: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clif");
    let _ = fs::remove_dir_all(&folder);
    let options = Options { emit_clif: Some(folder.clone()), tunables: tunables(module), ..Options::default() };
    compiler(TARGETS[0], options).compile(&wat::parse_str(module).unwrap()).unwrap();
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let text: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let comment = |line: &str| if line.is_empty() { ";;\n".to_owned() } else { format!(";; {line}\n") };
    // What is said of alias regions and of how the prologue checks the stack is the same in all functions.
    let is_own = |line: &&str| !["    gv", "    region", "    stack_limit"].iter().any(|start| line.starts_with(start));
    text.lines().filter(is_own).map(comment).collect()
}
