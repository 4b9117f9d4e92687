//! Calls between host and guest, beside a peer: what one costs in each direction, untyped, and asynchronous.
//!
//! The API has the same names in both, so what runs is written once, in `runs.rs`, and compiled against each.

mod asynchronous;
#[allow(clippy::duplicate_mod, reason = "written once for two APIs with the same names")]
mod ours;
#[allow(clippy::duplicate_mod, reason = "written once for two APIs with the same names")]
mod peer;

use anyhow::Result;

use crate::options::Options;
use crate::others;
use crate::table::{Table, Unit};
use crate::turns::{self, Run};

/// A row's name, and what is measured.
type Named = (&'static str, Run<'static>);

/// The guest: for each kind a function that returns its first parameter, and for each import a loop that calls it.
fn guest() -> String {
    const KINDS: [(&str, &str, usize); 10] = [
        ("none", "i32", 0),
        ("2 i32", "i32", 2),
        ("6 i32", "i32", 6),
        ("2 i64", "i64", 2),
        ("6 i64", "i64", 6),
        ("2 f64", "f64", 2),
        ("6 f64", "f64", 6),
        ("2 v128", "v128", 2),
        ("2 funcref", "funcref", 2),
        ("externref", "externref", 1),
    ];
    let (mut imports, mut functions) = (String::new(), String::new());
    for (name, ty, count) in KINDS {
        let params = format!("(param {})", [ty].repeat(count).join(" "));
        // References of the host's are not returned: they would be kept by the store.
        let result = if count == 0 || ty == "externref" { String::new() } else { format!("(result {ty})") };
        let (first, rest) = if result.is_empty() { ("", "") } else { ("(local.get 0)", "(drop)") };
        functions += &format!("(func (export \"{name}\") {params} {result} {first})\n");
        let arguments: String = (0..count).map(|index| format!("(local.get {index})")).collect();
        for module in ["plain", "caller", "untyped"] {
            if module != "plain" && !name.ends_with("i32") && count != 0 {
                continue;
            }
            imports += &format!("(import \"{module}\" \"{name}\" (func ${module}-{count}-{ty} {params} {result}))\n");
            functions += &format!(
                "(func (export \"{module} {name}\") {params} (param $times i64)
                   (loop $next
                     (call ${module}-{count}-{ty} {arguments}) {rest}
                     (br_if $next (i64.ne (i64.const 0)
                       (local.tee $times (i64.sub (local.get $times) (i64.const 1)))))))\n"
            );
        }
    }
    format!(
        "(module {imports} (func $f) (elem declare func $f) (func (export \"funcref\") (result funcref) (ref.func $f)) {functions})"
    )
}

/// A table of all calls into the guest, one of all calls out of it, and those of `asynchronous.rs`.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let guest = guest();
    let into = measure(
        options,
        "calls in",
        "a call of the host into a guest",
        ours::runs::into_guest(&guest)?,
        peer::runs::into_guest(&guest)?,
    )?;
    let out = measure(
        options,
        "calls out",
        "a call of a guest to the host, in a loop",
        ours::runs::out_of_guest(&guest)?,
        peer::runs::out_of_guest(&guest)?,
    )?;
    let mut tables = vec![into, out];
    tables.push(others::calls(options)?);
    tables.extend(asynchronous::tables(options)?);
    Ok(tables)
}

fn measure(options: &Options, name: &str, title: &str, ours: Vec<Named>, peer: Vec<Named>) -> Result<Table> {
    let mut table = Table::new(name, title, Unit::Nanoseconds)
        .ours("hotfoot", "TypedFunc and func_wrap but for the rows that say untyped")
        .peer("Wasmtime", "TypedFunc and func_wrap but for the rows that say untyped");
    for ((row, ours), (_, peer)) in ours.into_iter().zip(peer) {
        if options.wants(name, row) {
            table.row(row, turns::samples(options.rounds(200, 40), &mut [ours, peer])?);
        }
    }
    Ok(table)
}
