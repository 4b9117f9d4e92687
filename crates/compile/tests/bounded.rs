//! No module takes minutes or gigabytes to compile: what would is compiled more simply, or refused by name.
//!
//! Each module here once took minutes or tens of gigabytes, or would have; that these tests end is what they test.

use hotfoot_compile::Error;

use crate::compile;

fn refused(wat: &str) {
    let error = compile(wat).unwrap_err();
    assert!(matches!(&error, Error::FunctionTooLarge { function } if function == "function 0 (bomb)"), "{error}");
}

/// It took ninety seconds.
#[test]
fn many_operands_that_live_across_many_blocks() {
    let (operands, blocks) = ("(i32.const 0)".repeat(60_000), "(block)".repeat(30_000));
    refused(&format!("(module (func $bomb {operands} {blocks} unreachable))"));
}

/// Renaming locals takes four bytes for each local in each block: six gigabytes.
#[test]
fn many_locals_that_live_across_many_blocks() {
    let locals = "i32 ".repeat(40_000);
    let blocks = "(br_if 0 (local.get 0))".repeat(40_000);
    let uses: String = (0..40_000).map(|local| format!("(local.set {local} (local.get {local}))")).collect();
    refused(&format!("(module (func $bomb (local {locals}) {blocks} {uses}))"));
}

/// Three bytes of module for a thousand values.
#[test]
fn many_blocks_with_many_parameters() {
    let types = "i32 ".repeat(1000);
    let (operands, blocks) = ("(i32.const 0)".repeat(1000), "(block (type 0))".repeat(20_000));
    refused(&format!(
        "(module (type (func (param {types}) (result {types}))) (func $bomb {operands} {blocks} unreachable))"
    ));
}

/// Two bytes of module for a thousand values.
#[test]
fn many_calls_with_many_results() {
    let types = "i32 ".repeat(1000);
    let calls = "(call $f)".repeat(20_000);
    refused(&format!("(module (func $bomb {calls} unreachable) (func $f (result {types}) unreachable))"));
}

/// Parts of the code generator recurse over nested structures.
#[test]
fn deep_nesting() {
    for (begin, end) in [("block ", "end "), ("loop ", "end "), ("i32.const 0 if ", "else end ")] {
        let (begin, end) = (begin.repeat(8_000), end.repeat(8_000));
        compile(&format!("(module (func {begin} nop {end}))")).unwrap();
    }
    let operands = "(i32.const 1)".repeat(8_000);
    let sums = "i32.add ".repeat(7_999);
    compile(&format!("(module (func (result i32) {operands} {sums}))")).unwrap();
}

/// A jump table whose entries all lead elsewhere was searched from its start for each entry.
#[test]
fn a_jump_table_with_many_labels() {
    let (begin, end) = ("block (result i32) ".repeat(5_000), "end ".repeat(5_000));
    let labels: String = (0..5_000).map(|label| format!("{label} ")).collect();
    compile(&format!(
        "(module (func (param i32) (result i32) {begin} i32.const 7 local.get 0 br_table {labels} {end}))"
    ))
    .unwrap();
}
