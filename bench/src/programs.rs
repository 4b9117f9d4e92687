//! Programs of the newer parts of the language: interpreters whose operations are tail calls, a parser that throws
//! exceptions, a sum over threads. `objects.rs` has those that make garbage.
//!
//! The sources are in `programs/`; both engines run the same embedding, `programs/run.rs`, in turns in one process.

mod ours;
mod peer;

use anyhow::{Result, anyhow, ensure};

use crate::options::Options;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};

const INTERPRETER: &str = include_str!("../programs/interpreter.wat");
const PARSER: &str = include_str!("../programs/parser.wat");
const SUM: &str = include_str!("../programs/sum.wat");

/// What stands for itself in the interpreter's text.
const STATE: &str =
    "(type $op) (param $pc i32) (param $n i64) (param $x i64) (param $steps i64) (param $most i64) (result i64)";
const BY_INDEX: &str = "(return_call_indirect $ops (type $op) (local.get $pc) (local.get $n) (local.get $x)
    (local.get $steps) (local.get $most) (i32.load8_u (local.get $pc)))";
const BY_REFERENCE: &str = "(return_call_ref $op (local.get $pc) (local.get $n) (local.get $x)
    (local.get $steps) (local.get $most) (table.get $ops (i32.load8_u (local.get $pc))))";

/// One table: the time of one piece of each program's work.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let mut table = Table::new("programs", "programs of tail calls, exceptions and threads", Unit::Nanoseconds)
        .ours("hotfoot", "")
        .peer("Wasmtime", "shared_memory for the threads");
    table.note("An interpreter runs one Collatz sequence, the parser reads 3000 words, the threads add up 33 MB.");
    let programs = [
        ("interpreter, return_call_indirect", interpreter(BY_INDEX), 20_000),
        ("interpreter, return_call_ref", interpreter(BY_REFERENCE), 20_000),
        ("parser that throws", PARSER.to_owned(), 50),
        ("sum of 4 threads", SUM.to_owned(), 10),
    ];
    for (name, text, amount) in programs {
        if !options.wants("programs", name) {
            continue;
        }
        let error = |error: wasmtime::Error| anyhow!("{error:?}");
        let mut ours = ours::run::Program::new(&text, words().as_bytes())?;
        let mut peer = peer::run::Program::new(&text, words().as_bytes()).map_err(error)?;
        let results = (ours.run(3)?, peer.run(3).map_err(error)?);
        ensure!(results.0 == results.1, "{name}: the results differ: {results:?}");
        let runs: &mut [Run<'_>] = &mut [
            Box::new(move |amount| ours.run(amount as i32).map(drop)),
            Box::new(move |amount| peer.run(amount as i32).map(drop).map_err(error)),
        ];
        table.row(name, turns::samples_of(options.rounds(15, 5), amount, runs)?);
    }
    Ok(vec![table])
}

/// The interpreter whose operations find the next one so.
fn interpreter(dispatch: &str) -> String {
    INTERPRETER.replace("(state)", STATE).replace("(dispatch)", dispatch)
}

/// What the parser reads: 3000 words, a third of each kind.
fn words() -> String {
    let word = |number: u32| match number % 3 {
        0 => format!("{};", number * 7919),
        1 => format!("0x{:x};", number * 104_729),
        _ => format!("name{};", number * 31),
    };
    (0..3000).map(word).collect()
}
