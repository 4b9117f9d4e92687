//! How many instructions programs are: a number that does not depend on what else the machine does. Counted by
//! valgrind, in processes of this program that run a program once and, for comparison, twice.
//!
//! ```text
//!  cargo run --release -- --instructions [--only "PROGRAM, SETTING"]
//! ```
//!
//! What the second run adds is one instance and one run; compiling and starting are in both and fall out.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::execution::program::Program;
use crate::execution::{self, Setting};
use crate::options::Options;
use crate::scratch::Scratch;
use crate::table::{Table, Unit};

/// Precedes what a process is asked for.
const FLAG: &str = "--run-program";

/// A table for each setting: the instructions of each of our own programs.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    ensure!(found.is_ok_and(|status| status.success()), "instructions are counted by valgrind, which is not on PATH");
    Setting::ALL.into_iter().map(|setting| of_setting(options, setting)).collect()
}

fn of_setting(options: &Options, setting: Setting) -> Result<Table> {
    let scratch = Scratch::new("instructions")?;
    let name = format!("instructions {}", setting.name());
    let mut table = Table::new(&name, "instructions of one instance and its run", Unit::Count)
        .ours("hotfoot", setting.name())
        .peer("Wasmtime 48", setting.name());
    let is_default = setting == Setting::Default;
    if is_default {
        table = table.peer("native", "cc -O2 of the same C, where it is C");
    }
    table.note("Counted by valgrind --tool=cachegrind, for the instructions that it knows: none of AVX-512.");
    for program in Program::guests()? {
        let row = format!("{}, {}", program.name, setting.name());
        if !options.wants(&name, &row) {
            continue;
        }
        let file = scratch.join("program.wasm");
        std::fs::write(&file, &program.wasm)?;
        let mut counts = Vec::new();
        for who in ["ours", "peer"] {
            let run = |times: &str| {
                let mut command = counting(std::env::current_exe()?);
                count(command.args([FLAG, who, setting.name(), times]).arg(&file), "")
            };
            counts.push(vec![run("2")? - run("1")?]);
        }
        if is_default {
            let native = execution::native::build(&program, &scratch)?;
            let native = native.map(|path| {
                Ok::<_, anyhow::Error>(count(&mut counting(&path), "\n\n")? - count(&mut counting(&path), "\n")?)
            });
            counts.push(native.transpose()?.into_iter().collect());
        }
        table.row(row, counts);
    }
    Ok(table)
}

/// A command that counts the instructions of another.
fn counting(command: impl AsRef<Path>) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]).arg(command.as_ref());
    valgrind
}

/// Runs such a command, which reads `input`.
fn count(command: &mut Command, input: &str) -> Result<f64> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("its input is not piped")?, input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {said}");
    let line = said.lines().find_map(|line| line.split_once("refs:")).context("valgrind tells no count")?;
    Ok(line.1.trim().replace(',', "").parse()?)
}

/// What this process is asked for by another, if it is: `None` if not.
pub fn asked(arguments: impl Iterator<Item = String>) -> Option<Result<()>> {
    let mut arguments = arguments.skip_while(|argument| argument != FLAG).skip(1);
    let (who, setting, times, file) = (arguments.next()?, arguments.next()?, arguments.next()?, arguments.next()?);
    Some(run(&who, &setting, &times, Path::new(&file)))
}

fn run(who: &str, setting: &str, times: &str, file: &Path) -> Result<()> {
    let setting = Setting::ALL.into_iter().find(|known| known.name() == setting).context("there is no such setting")?;
    let program = Program { name: "program".into(), wasm: std::fs::read(file)?, dir: None, source: None };
    let compiled = match who {
        "ours" => execution::ours::compile(&program, setting, file)?,
        "peer" => execution::peer::compile(&program, setting, file)?,
        other => bail!("nobody is called {other}"),
    };
    let mut compiled = compiled.context("it runs every program")?;
    for _ in 0..times.parse::<u32>()? {
        (compiled.run)()?;
    }
    Ok(())
}
