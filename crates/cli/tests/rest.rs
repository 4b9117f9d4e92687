//! A large module runs before all of it is compiled, and is in the cache soon after its program has ended.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Functions that nothing calls, and a program that ends at once. The text is large enough as a module.
fn module() -> Vec<u8> {
    let mut text = String::from(r#"(module (memory (export "memory") 1)"#);
    for function in 0..1500 {
        let work: String =
            (0..30).map(|n| format!("(i32.store offset={n} (local.get 0) (i32.const {function}))")).collect();
        text += &format!("(func (param i32) {work})");
    }
    text += r#"(func (export "_start")))"#;
    let module = wat::parse_str(text).unwrap();
    assert!(module.len() > 256 << 10, "{} bytes are no large module", module.len());
    module
}

fn run(module: &Path, caches: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotfoot"));
    command.arg("run").args(arguments).arg(module).env("XDG_CACHE_HOME", caches).stdin(Stdio::null());
    command.output().unwrap()
}

fn entries(caches: &Path) -> usize {
    let Ok(files) = caches.join("hotfoot").read_dir() else { return 0 };
    files.flatten().filter(|file| file.path().extension().is_some_and(|extension| extension == "hotfoot")).count()
}

#[test]
fn what_is_left_to_compile_is_compiled_after_the_program_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let module_path = directory.path().join("large.wasm");
    std::fs::write(&module_path, module()).unwrap();
    let output = run(&module_path, directory.path(), &[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let given_up = Instant::now() + Duration::from_secs(50);
    while entries(directory.path()) == 0 {
        assert!(Instant::now() < given_up, "the module was not compiled");
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = run(&module_path, directory.path(), &[]);
    assert!(again.status.success() && entries(directory.path()) == 1, "{again:?}");
}

/// `hotfoot run large.wasm | cat` with the pipe on another descriptor, too, as jobs of shells and build tools hand them on: the reader
/// waited until the module was compiled.
#[test]
fn what_compiles_the_rest_keeps_no_pipe_open() {
    let directory = tempfile::tempdir().unwrap();
    let module_path = directory.path().join("large.wasm");
    std::fs::write(&module_path, module()).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" run \"$1\" 3>&1", env!("CARGO_BIN_EXE_hotfoot")]).arg(&module_path);
    // Returns when nobody has the pipe any more.
    let output = shell.env("XDG_CACHE_HOME", directory.path()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(entries(directory.path()), 0, "the reader waited for the compiler");
}

#[test]
fn without_a_cache_nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let module_path = directory.path().join("large.wasm");
    std::fs::write(&module_path, module()).unwrap();
    let output = run(&module_path, directory.path(), &["--no-cache"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!directory.path().join("hotfoot").exists());
}
