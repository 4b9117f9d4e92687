//! Programs that are stopped from outside the process: by signals, also while they wait for input.
#![forbid(unsafe_code)]

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn hotfoot(args: &[&str]) -> Child {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotfoot"));
    command.args(args).current_dir(root).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The exit code and what was said, once it has ended. Standard input stays open until then.
fn end(mut child: Child) -> (Option<i32>, String) {
    let _open = child.stdin.take();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// Says on stdout that it has begun, then reads forever, or spins.
fn guest(folder: &Path, then: &str) -> String {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "begun\n")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
                (loop $again {then} (br $again))))"#
    );
    let path = folder.join("guest.wat");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const READ: &str = "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)))";

#[test]
fn ctrl_c_stops_a_program_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for then in ["", READ] {
        let guest = guest(folder.path(), then);
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let mut child = hotfoot(&[&guest]);
            let mut begun = [0; 6];
            child.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
            std::thread::sleep(Duration::from_millis(5));
            let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
            let (seen, said) = end(child);
            assert_eq!(seen, Some(code), "{then}: {said}");
            assert!(said.contains("was stopped"), "{said}");
        }
    }
}

#[test]
fn a_timeout_stops_a_program_that_waits_for_input() {
    let folder = tempfile::tempdir().unwrap();
    let guest = guest(folder.path(), READ);
    let (code, said) = end(hotfoot(&["run", "--timeout", "20ms", &guest]));
    assert_eq!(code, Some(124), "{said}");
    assert!(said.contains("--timeout"), "{said}");
}
