//! The command line as a person meets it: transcripts in `tests/cli/*.txt`, run again and compared.
//!
//! ```text
//! # What this shows.
//! $ hotfoot run --invoke add examples/wat/add.wat 2 3
//! 5
//! $ hotfoot missing.wasm
//! 2> hotfoot: there is no file …
//! exit 1
//! ```
//! A command is followed by its stdout, then its stderr, then its exit code if that is not 0. Words may be quoted with
//! `'`, `< FILE` gives stdin, and `NAME=VALUE` before the command sets a variable. Commands run in the root of the
//! repository, with a cache of their own; `example NAME` runs one of the programs of `examples/`. `$TMP` is a folder that
//! a transcript has to itself;
//! `cat FILE` prints a file of it. `BLESS=1` writes what is seen into the files.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn transcripts() {
    let folder = root().join("tests/cli");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "there is no transcript in {}", folder.display());

    let _ = fs::remove_dir_all(cache_home());
    let bless = std::env::var_os("BLESS").is_some();
    let mut differences = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let seen = replay(&expected);
        if seen == expected {
            continue;
        }
        if bless {
            fs::write(&path, &seen).unwrap();
        } else {
            differences.push(format!("{}:\n{}", path.display(), difference(&expected, &seen)));
        }
    }
    let hint = "if what is seen is right, run this test again with BLESS=1";
    assert!(differences.is_empty(), "{}\n{hint}", differences.join("\n"));
}

#[test]
fn completions_name_every_command_and_option() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Command::new(env!("CARGO_BIN_EXE_hotfoot")).args(["completions", shell]).output().unwrap();
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        for word in [
            "wast",
            "completions",
            "compile",
            "objdump",
            "cranelift-set",
            "invoke",
            "memory-guard-size",
            "bench-imports",
        ] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// A pipe that has a name, as `<(…)` of a shell makes one, can be read once: looking whether it is an artifact took its
/// first bytes away.
#[test]
fn a_pipe_is_read_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotfoot"));
    command.args(["run", "/dev/stdin"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let module = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello.wasm")).unwrap();
    child.stdin.take().unwrap().write_all(&module).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello from WebAssembly!\n");
}

/// What it measures differs from run to run; what it has to say does not.
#[test]
fn the_doctor_names_every_step_and_what_it_tried() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotfoot"));
    command.args(["doctor", "--html"]).arg(&page).args(["examples/env.wasm"]).current_dir(root());
    let output = command.env("XDG_CACHE_HOME", cache_home()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(page).unwrap();
    for part in [
        "env.wasm",
        "read the file",
        "compile",
        "find in the cache",
        "link",
        "instantiate",
        "the program itself",
        "host calls",
        "page faults",
        "What would help",
        "hotfoot compile",
        "hotfoot preinit",
        "take them from a pool",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
        assert!(page.contains(part), "{part} is not in the page");
    }
}

/// The shell gives the socket the number 3 and our process the identity that systemd's protocol asks for.
#[test]
fn a_socket_of_the_service_manager_reaches_the_guest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = format!(
        "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec {} --listenfd tests/cli/data/serve.wat",
        env!("CARGO_BIN_EXE_hotfoot")
    );
    let socket = Stdio::from(OwnedFd::from(listener));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(root()).env("XDG_CACHE_HOME", cache_home()).stdin(socket);
    let mut child = command.spawn().unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"ping").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"ping");
    assert!(child.wait().unwrap().success());
}

/// Where the commands keep their cache: never that of whoever runs the tests.
fn cache_home() -> &'static str {
    concat!(env!("CARGO_TARGET_TMPDIR"), "/cache-home")
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The transcript as it is now: its comments and commands, each command with what it does today. An empty line before
/// a comment is all the layout that there is; any other belongs to an output.
fn replay(transcript: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut seen = String::new();
    let mut after_comment = true;
    for line in transcript.lines() {
        let is_comment = line.starts_with("# ");
        if is_comment {
            let gap = if after_comment { "" } else { "\n" };
            seen.push_str(&format!("{gap}{line}\n"));
        } else if let Some(command) = line.strip_prefix("$ ") {
            let output = run(&command.replace("$TMP", folder)).replace(folder, "$TMP");
            seen.push_str(&format!("{line}\n{output}"));
        } else {
            continue;
        }
        after_comment = is_comment;
    }
    seen
}

fn run(line: &str) -> String {
    let mut words = split(line).into_iter().peekable();
    let mut variables = Vec::new();
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push((name.to_owned(), value.to_owned()));
        words.next();
    }
    let mut command = match words.next().as_deref() {
        Some("hotfoot") => Command::new(env!("CARGO_BIN_EXE_hotfoot")),
        Some("cat") => Command::new("cat"),
        Some("example") => Command::new(example(&words.next().unwrap())),
        other => panic!("no command for a transcript: {other:?} in `{line}`"),
    };
    command.current_dir(root()).env("XDG_CACHE_HOME", cache_home()).envs(variables).stdin(Stdio::null());
    while let Some(word) = words.next() {
        if word == "<" {
            command.stdin(File::open(root().join(words.next().unwrap())).unwrap());
        } else {
            command.arg(word);
        }
    }
    let output = command.output().unwrap();

    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str("%\n");
    }
    for line in String::from_utf8_lossy(&output.stderr).lines().map(lasting) {
        text.push_str(format!("2> {line}").trim_end());
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("exit {code}\n")),
        None => text.push_str(&format!("{}\n", output.status)),
    }
    text
}

/// `cargo test` builds the examples beside the binary that it gives to tests.
fn example(name: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_hotfoot"));
    let path = binary.parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built; run cargo build --examples first", path.display());
    path
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A line of output with `…` for what differs from run to run: how long it took, how deep the stack was.
fn lasting(line: &str) -> String {
    let between = |before: &str, after: &str| -> Option<String> {
        let (start, rest) = line.split_once(before)?;
        let (number, end) = rest.rsplit_once(after)?;
        number.parse::<f64>().ok()?;
        Some(format!("{start}{before}…{after}{end}"))
    };
    let profile = || between(" profile of ", " samples");
    between(" took ", " ms").or_else(profile).or_else(|| between(", ", " times")).unwrap_or_else(|| line.to_owned())
}

/// The lines around the first difference.
fn difference(expected: &str, seen: &str) -> String {
    let same = expected.lines().zip(seen.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.lines().skip(same.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    format!("--- line {}, expected\n{}\n--- seen\n{}", same + 1, part(expected), part(seen))
}
