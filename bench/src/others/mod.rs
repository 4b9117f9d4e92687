//! Calls and instances beside engines that are not built like hotfoot: V8, Wasmtime's baseline compiler, and wasmi.
//!
//! The APIs of those in Rust have the same names, so what runs is written once, in `runs.rs`.

#[allow(clippy::duplicate_mod, reason = "written once for APIs with the same names")]
mod baseline;
#[allow(clippy::duplicate_mod, reason = "written once for APIs with the same names")]
mod interpreter;
#[allow(clippy::duplicate_mod, reason = "written once for APIs with the same names")]
mod ours;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::answering::Answering;
use crate::options::Options;
use crate::scratch::Scratch;
use crate::table::{Table, Unit};
use crate::turns::{self, Sampler};
use crate::{guests, instantiate};

/// What is called, in each direction: a name, parameters, and the result.
const KINDS: [(&str, &str, &str); 3] = [
    ("none", "", ""),
    ("2 i32", "(param i32 i32)", "(result i32)"),
    ("6 f64", "(param f64 f64 f64 f64 f64 f64)", "(result f64)"),
];

/// For each kind a function that returns its first parameter, and a loop that calls one of the host's.
fn guest() -> String {
    let (mut imports, mut functions) = (String::new(), String::new());
    for (at, (name, params, result)) in KINDS.into_iter().enumerate() {
        let (first, drop) = if result.is_empty() { ("", "") } else { ("(local.get 0)", "(drop)") };
        let number = if name.ends_with("f64") { "(f64.const 1)" } else { "(i32.const 1)" };
        let arguments = number.repeat(params.matches(if name.ends_with("f64") { "f64" } else { "i32" }).count());
        imports += &format!("(import \"h\" \"{name}\" (func $host{at} {params} {result}))\n");
        functions += &format!(
            "(func (export \"{name}\") {params} {result} {first})
             (func (export \"loop {name}\") (param $times i32)
               (loop $next
                 (call $host{at} {arguments}) {drop}
                 (br_if $next (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))\n"
        );
    }
    format!("(module {imports} {functions})")
}

/// One table: calls in both directions.
pub fn calls(options: &Options) -> Result<Table> {
    let mut table = Table::new("calls, other engines", "a call of the host into a guest, and back", Unit::Nanoseconds)
        .ours("hotfoot", "")
        .peer("V8", "the host is JavaScript, in node")
        .peer("Wasmtime baseline", "Winch")
        .peer("wasmi", "");
    let (text, scratch) = (guest(), Scratch::new("calls")?);
    let (ours, baseline) = (ours::runs::calls(&text)?, baseline::runs::calls(&text)?);
    let rows = ours.into_iter().zip(baseline).zip(interpreter::runs::calls(&text)?);
    let wasm = wat::parse_str(&text)?;
    for (((name, ours), (_, baseline)), (_, interpreter)) in rows.filter(|row| options.wants("calls, other", row.0.0.0))
    {
        let samplers = [ours, baseline, interpreter].map(|run| turns::sampler(run).map(Some));
        let [ours, baseline, interpreter] = samplers;
        let mut samplers = [ours?, v8(&wasm, name, &scratch), baseline?, interpreter?];
        let row = name.replace("in ", "in, ").replace("out ", "out, ").replace("none", "no arguments");
        table.row(row, turns::rounds(options.rounds(100, 20), &mut samplers)?);
    }
    Ok(table)
}

/// One table: instances of the guests that are one module.
pub fn instances(options: &Options) -> Result<Table> {
    let mut table = Table::new("instantiate, other engines", "one instance, called and dropped", Unit::Nanoseconds)
        .ours("hotfoot", "InstanceAllocationStrategy::pooling()")
        .peer("V8", "new WebAssembly.Instance; what it leaves behind is collected when V8 wants to")
        .peer("wasmi", "");
    let scratch = Scratch::new("instantiate")?;
    for guest in guests::all().iter().filter(|guest| options.wants("instantiate, other", &guest.name)) {
        if guest.library.is_some() {
            continue;
        }
        let mut ours = instantiate::repeat(crate::ours::runner(guest)?);
        // A slot of the pool learns which pages its instances write.
        ours(200)?;
        let mut samplers = [
            Some(turns::sampler(ours)?),
            v8(&wat::parse_str(&guest.wat)?, "instance", &scratch),
            Some(turns::sampler(interpreter::instances(guest)?)?),
        ];
        table.row(&guest.name, turns::rounds(options.rounds(40, 10), &mut samplers)?);
    }
    Ok(table)
}

/// V8, if it is found and can do it.
fn v8(wasm: &[u8], name: &'static str, scratch: &Path) -> Option<Sampler<'static>> {
    let file = scratch.join("v8.wasm");
    std::fs::write(&file, wasm).ok()?;
    let mut command = Command::new("node");
    command.args(crate::execution::v8::FLAGS).args(["-e", include_str!("v8.js"), "--"]).arg(&file);
    let mut process = Answering::start(&mut command).ok()?;
    process.ask(name).ok()?;
    Some(Box::new(move || process.ask(name)))
}
