//! The guests of `tests/wasi`: programs in text, each for one trap or family of functions, run through the engine.
//!
//! A guest is the fields of a module after those of `prelude.wat`; `@"text"` stands for two operands, where some bytes are
//! and how many. What it is given and what must come of it stands in its first lines:
//!
//! ```text
//! ;;! arg TEXT          an argument after the first, `guest`
//! ;;! env NAME=VALUE    a variable
//! ;;! stdin TEXT        what standard input holds
//! ;;! dir NAME [ro]     a new directory, preopened as NAME
//! ;;! host PATH NAME    a directory of this machine, preopened read-only as NAME
//! ;;! file PATH TEXT    a file in one of them, the longest NAME before it deciding which; `name PATH`: an empty one
//! ;;! link PATH TEXT    a symbolic link
//! ;;! stdout TEXT       what the guest writes
//! ;;! exit CODE         how it ends (0)
//! ;;! after PATH TEXT   what a file holds when it has ended
//! ```
//!
//! Each runs under both walks, on a fresh instance and twice on a warm one.

use hotfoot::{Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, Store};
use hotfoot_wasi::{I32Exit, MemoryInputPipe, MemoryOutputPipe, Perms, Walk, WasiCtx, WasiCtxBuilder, p0, p1};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

const STRINGS: usize = 0x10000;
const STRINGS_END: usize = 0x20000;

#[test]
fn every_guest_ends_as_it_says() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wasi"));
    let prelude = std::fs::read_to_string(folder.join("prelude.wat")).unwrap();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension() == Some(OsStr::new("wat")) && !path.ends_with("prelude.wat"));
    paths.sort();
    assert!(!paths.is_empty(), "no guest in {}", folder.display());

    let engines = [InstanceAllocationStrategy::OnDemand, InstanceAllocationStrategy::pooling()]
        .map(|strategy| Engine::new(Config::new().allocation_strategy(strategy)).unwrap());
    let mut failures = Vec::new();
    for path in &paths {
        let source = std::fs::read_to_string(path).unwrap();
        let text = format!("(module {prelude} {})", with_strings(&source));
        for engine in &engines {
            let mut linker = Linker::new(engine);
            p0::add_to_linker(&mut linker, |ctx| ctx).unwrap();
            p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
            let module = Module::new(engine, &text).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            let pre = linker.instantiate_pre(&module).unwrap();
            for walk in [Walk::Auto, Walk::Manual, Walk::Auto] {
                if let Err(reason) = run(engine, &pre, &source, walk) {
                    failures.push(format!("{} ({walk:?}): {reason}", path.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The guest with its `@"text"` replaced by operands, and the bytes meant as a data segment.
fn with_strings(source: &str) -> String {
    let mut result = String::new();
    let mut bytes = Vec::new();
    let mut rest = source;
    while let Some(start) = rest.find("@\"") {
        let end = start + 2 + rest[start + 2..].find('"').expect("a string ends");
        let string = unescape(&rest[start + 2..end]);
        result.push_str(&rest[..start]);
        write!(result, "(i32.const {}) (i32.const {})", STRINGS + bytes.len(), string.len()).unwrap();
        bytes.extend(string);
        rest = &rest[end + 1..];
    }
    result.push_str(rest);
    assert!(STRINGS + bytes.len() <= STRINGS_END, "too many strings");
    write!(result, "(data (i32.const {STRINGS}) \"").unwrap();
    for byte in bytes {
        write!(result, "\\{byte:02x}").unwrap();
    }
    result.push_str("\")");
    result
}

/// The bytes of a text in which `\hh` is a byte.
fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// The preopened directories of one run: what the guest calls them, and where they are.
struct Dirs(Vec<(String, PathBuf)>);

impl Dirs {
    fn host(&self, guest_path: &str) -> PathBuf {
        let inside = |(name, _): &&(String, PathBuf)| guest_path.starts_with(name.as_str());
        let (name, host) = self.0.iter().filter(inside).max_by_key(|(name, _)| name.len()).expect("a directory");
        host.join(OsStr::from_bytes(&unescape(guest_path[name.len()..].trim_start_matches('/'))))
    }
}

fn run(engine: &Engine, pre: &InstancePre<WasiCtx>, source: &str, walk: Walk) -> Result<(), String> {
    // Ten thousand files take seconds on a disk that others use; in memory they do not.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let (stdout, stderr) = (MemoryOutputPipe::new(1000), MemoryOutputPipe::new(1000));
    let mut builder = WasiCtxBuilder::new();
    builder.walk(walk).stdout(stdout.clone()).stderr(stderr.clone()).arg("guest");
    let mut dirs = Dirs(Vec::new());
    let (mut expected_stdout, mut expected_code, mut after) = (Vec::new(), 0, Vec::new());
    for line in source.lines().map_while(|line| line.strip_prefix(";;! ")) {
        let (verb, rest) = line.split_once(' ').expect("a verb and what it is about");
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "arg" => drop(builder.arg(rest)),
            "env" => drop(rest.split_once('=').map(|(name, value)| builder.env(name, value))),
            "stdin" => drop(builder.stdin(MemoryInputPipe::new(rest))),
            "dir" => {
                let host = scratch.path().join(dirs.0.len().to_string());
                std::fs::create_dir(&host).unwrap();
                let perms = if second == "ro" { Perms::READ_ONLY } else { Perms::READ_WRITE };
                builder.preopened_dir(&host, first, perms).unwrap();
                dirs.0.push((first.to_owned(), host));
            }
            "host" => drop(builder.preopened_dir(first, second, Perms::READ_ONLY).unwrap()),
            "file" | "name" => {
                // A name may have spaces; then the file is empty.
                let (path, text) = if verb == "file" { (first, second) } else { (rest, "") };
                std::fs::write(dirs.host(path), text).unwrap();
            }
            "link" => {
                let target = unescape(second);
                std::os::unix::fs::symlink(OsStr::from_bytes(&target), dirs.host(first)).unwrap();
            }
            "stdout" => expected_stdout = unescape(rest),
            "exit" => expected_code = rest.parse().unwrap(),
            "after" => after.push((dirs.host(first), second)),
            _ => panic!("unknown: {line}"),
        }
    }

    let mut store = Store::new(engine, builder.build());
    let instance = pre.instantiate(&mut store).map_err(|error| format!("{error:#}"))?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
    let code = match start.call(&mut store, ()) {
        Ok(()) => 0,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => *code,
            None => return Err(format!("got {}{error:#}", String::from_utf8_lossy(&stderr.contents()))),
        },
    };
    if code != expected_code {
        return Err(format!("exit code {code} instead of {expected_code}"));
    }
    if stdout.contents() != expected_stdout {
        return Err(format!("wrote {:?}", String::from_utf8_lossy(&stdout.contents())));
    }
    for (path, text) in after {
        let contents = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if contents != text.as_bytes() {
            return Err(format!("{} holds {:?}", path.display(), String::from_utf8_lossy(&contents)));
        }
    }
    Ok(())
}
