//! The commands as their users have them: `hotfoot run` beside `wasmtime run`, each with an artifact of its own that prints
//! a line.
//!
//! ```text
//!  cargo xtask dist && cd bench && PATH=$PATH:… cargo run --release -- --commands
//! ```
//!
//! `hotfoot` is the command that was built in this repository, or else the one on `PATH`; `wasmtime` is on `PATH`, and
//! `strace` too, if system calls are to be counted. A sample is a whole process, from before it is started until it was
//! waited for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::options::Options;
use crate::start::HELLO;
use crate::table::{Table, Unit};

/// The time, page faults and system calls of a process.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/hotfoot");
    let ours = Some(built).filter(|built| built.exists()).or_else(|| on_path("hotfoot"));
    let (Some(ours), Some(peer)) = (ours, on_path("wasmtime")) else { return Ok(Vec::new()) };
    let kept = std::env::temp_dir().join(format!("bench-commands-{}", std::process::id()));
    std::fs::create_dir_all(&kept)?;
    let tables = measure(options, &[ours, peer], &kept);
    std::fs::remove_dir_all(&kept)?;
    tables
}

fn measure(options: &Options, commands: &[PathBuf; 2], kept: &Path) -> Result<Vec<Table>> {
    let hello = kept.join("hello.wat");
    std::fs::write(&hello, HELLO)?;
    let versions = commands.each_ref().map(|command| output(command, ["--version".into()]));
    let [our_version, peer_version] = versions;
    let (our_version, peer_version) = (our_version?, peer_version?);
    let table = |name: &str, title: &str, unit| {
        Table::new(name, title, unit).ours("hotfoot run", our_version.trim()).peer("wasmtime run", peer_version.trim())
    };
    let mut times =
        table("commands", "a process that prints hello from an artifact, from start to end", Unit::Nanoseconds);
    let mut faults = table("command page faults", "page faults of the process", Unit::Count);
    let mut calls = table("command system calls", "system calls of the process", Unit::Count);
    let mut words: Vec<Vec<OsString>> = Vec::new();
    for (command, name) in commands.iter().zip(["ours", "peer"]) {
        let artifact = kept.join(name);
        output(command, ["compile".into(), hello.clone().into(), "-o".into(), artifact.clone().into()])?;
        words.push(vec!["run".into(), "--allow-precompiled".into(), artifact.into()]);
    }
    let (mut time, mut fault, mut call) = (vec![Vec::new(); 2], vec![Vec::new(); 2], vec![Vec::new(); 2]);
    for _ in 0..options.rounds(30, 10) {
        for (who, command) in commands.iter().enumerate() {
            let (start, before) = (Instant::now(), faults_of_children());
            let printed = output(command, words[who].clone())?;
            time[who].push(start.elapsed().as_nanos() as f64);
            fault[who].push((faults_of_children() - before) as f64);
            ensure!(printed == "hello\n", "{} printed {printed:?}", command.display());
        }
    }
    if let Some(strace) = on_path("strace") {
        for (who, command) in commands.iter().enumerate() {
            let report = kept.join("calls");
            let mut traced: Vec<OsString> = vec!["-fco".into(), report.clone().into(), command.into()];
            traced.extend(words[who].clone());
            output(&strace, traced)?;
            call[who].push(total(&std::fs::read_to_string(&report)?).context("strace counted nothing")?);
        }
    } else {
        calls.note("without `strace` on PATH, system calls are not counted");
    }
    times.row("hello", time);
    faults.row("hello", fault);
    calls.row("hello", call);
    Ok(vec![times, faults, calls])
}

/// What a command prints.
fn output(command: &Path, words: impl IntoIterator<Item = OsString>) -> Result<String> {
    let mut process = Command::new(command);
    process.args(words).stdin(Stdio::null());
    let output = process.output().with_context(|| format!("cannot start {}", command.display()))?;
    ensure!(output.status.success(), "{process:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Page faults of all processes that were waited for.
fn faults_of_children() -> i64 {
    // SAFETY: a `rusage` of zeroes is one, and the pointer is to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    usage.ru_minflt + usage.ru_majflt
}

/// The calls in the last line of `strace -c`: `100.00  0.001  1  84  3 total`.
fn total(report: &str) -> Option<f64> {
    let line = report.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_last_line_of_strace_has_the_calls() {
        let report = "% time seconds usecs/call calls errors syscall\n 60.0 0.1 1 52 3 mmap\n100.00    0.0007   3   238   14 total\n";
        assert_eq!(total(report), Some(238.0));
        assert_eq!(total("strace: nothing"), None);
    }
}
