//! Where and with what the numbers were taken.

use std::process::Command;

/// What a reader needs to take the measurement again: labels and values.
pub fn describe() -> Vec<(&'static str, String)> {
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: f64 = text.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
        Some(format!("{:.0} GiB of memory", kib / 1_048_576.0))
    });
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| Some(text.split(' ').next()?.to_owned()));
    let commit = match output("git", &["describe", "--always", "--dirty", "--abbrev=10"]) {
        commit if commit.is_empty() => commit,
        commit => format!(" ({commit})"),
    };
    vec![
        ("processor", format!("{} · {threads} threads", processor.unwrap_or_else(|| std::env::consts::ARCH.into()))),
        ("memory", memory.unwrap_or_default()),
        ("system", output("uname", &["-sr"])),
        ("load at the start", load.unwrap_or_default()),
        ("hotfoot", format!("{}{commit}", version_of("hotfoot"))),
        ("Wasmtime", version_of("wasmtime")),
        ("wasmi", version_of("wasmi")),
        ("V8", output("node", &["-p", "`${process.versions.v8} (node ${process.versions.node})`"])),
        ("native", output("cc", &["--version"]).lines().next().unwrap_or_default().to_owned()),
        ("compiler", output("rustc", &["--version"])),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// The day and time, UTC.
pub fn date() -> String {
    output("date", &["-u", "+%F %R"])
}

/// What a command prints; nothing if it cannot be run.
fn output(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The version of a package that this was built with.
fn version_of(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\"")).skip(1);
    lines.next().and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
}
