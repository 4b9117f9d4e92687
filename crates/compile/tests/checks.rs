//! What checks cost in compiled code: how many an access to a memory needs where they are explicit, and which registers
//! those of fuel and epochs leave alone.

use std::fs;
use std::path::Path;

use hotfoot_abi::tunables::Tunables;
use hotfoot_compile::Options;

use crate::{TARGETS, compiler};

/// A function's body, with parameters $p and $q; its checks where a guard follows the memory, and where nothing does.
const BODIES: [(&str, [usize; 2]); 12] = [
    ("(drop (i32.load offset=4 (local.get $p))) (drop (i32.load (local.get $p)))", [1, 1]),
    ("(drop (i32.load (local.get $p))) (drop (i32.load offset=4 (local.get $p)))", [1, 2]),
    ("(drop (i32.load (local.get $p))) (drop (i32.load (local.get $q)))", [2, 2]),
    ("(drop (i32.load (local.get $p))) (local.set $p (local.get $q)) (drop (i32.load (local.get $p)))", [2, 2]),
    ("(drop (i32.load (local.get $p))) (drop (memory.grow (local.get $q))) (drop (i32.load (local.get $p)))", [1, 1]),
    ("(if (local.get $q) (then (drop (i32.load (local.get $p))))) (drop (i32.load (local.get $p)))", [2, 2]),
    ("(drop (i32.load (local.get $p))) (if (local.get $q) (then (drop (i32.load (local.get $p)))))", [1, 1]),
    ("(block (br_if 0 (local.get $q)) (drop (i32.load (local.get $p)))) (drop (i32.load (local.get $p)))", [2, 2]),
    ("(block (drop (i32.load (local.get $p))) (br_if 0 (local.get $q))) (drop (i32.load (local.get $p)))", [1, 1]),
    ("(drop (i32.load offset=65530 (i32.const 2)))", [0, 0]),
    ("(drop (i32.load (i32.shl (i32.and (local.get $p) (i32.const 0x3fff)) (i32.const 2))))", [0, 0]),
    ("(drop (i32.load offset=1 (i32.shl (i32.and (local.get $p) (i32.const 0x3fff)) (i32.const 2))))", [0, 1]),
];

#[test]
fn what_was_checked_before_is_not_checked_again() {
    let guarded = Tunables { memory_reservation: 0, memory_guard_size: 1 << 16, ..Tunables::default() };
    let bare = Tunables { signals_based_traps: false, ..Tunables::default() };
    for (body, expected) in BODIES {
        let counts = [guarded, bare].map(|tunables| checks(body, tunables));
        assert_eq!(counts, expected, "{body}");
    }
}

/// A call that clobbers registers once made every loop with a floating-point sum three times slower, with fuel or epochs.
#[test]
fn a_loop_that_may_be_stopped_calls_what_clobbers_no_register() {
    let fuel = Tunables { consume_fuel: true, ..Tunables::default() };
    let epochs = Tunables { epoch_interruption: true, ..Tunables::default() };
    for tunables in [fuel, epochs] {
        let clif = clif("stopped", "(loop (br_if 0 (local.get $p)))", tunables);
        assert_eq!(clif.matches("(i64 vmctx) preserve_all").count(), 1, "{clif}");
    }
}

/// The comparisons with the size of the memory in a function.
fn checks(body: &str, tunables: Tunables) -> usize {
    let clif = clif("bounds", body, tunables);
    clif.matches("icmp ugt").count() + clif.matches("icmp uge").count()
}

/// A function as the code generator gets it.
fn clif(folder: &str, body: &str, tunables: Tunables) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let _ = fs::remove_dir_all(&folder);
    let module = format!("(module (memory 1) (func (param $p i32) (param $q i32) {body}))");
    let options = Options { tunables, emit_clif: Some(folder.clone()), ..Options::default() };
    compiler(TARGETS[0], options).compile(&wat::parse_str(module).unwrap()).unwrap();
    fs::read_to_string(folder.join("0.clif")).unwrap()
}
