//! Random modules, initialised and run, beside the same pre-initialised.
//!
//! `tests/preinit/modules.bin` holds some hundred that `fuzz/` made; `HOTFOOT_PREINIT_MODULES` names a file with more.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::same::{self, Outcome};

#[test]
fn random_modules_run_the_same_pre_initialised() {
    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/preinit/modules.bin");
    let path = std::env::var_os("HOTFOOT_PREINIT_MODULES").map_or_else(|| stored.into(), PathBuf::from);
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut rest = &file[..];
    let (mut number, mut written) = (0, 0);
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (wasm, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        rest = after;
        let outcome = std::panic::catch_unwind(|| same::check(wasm));
        let outcome = outcome.unwrap_or_else(|_| {
            let kept = std::env::temp_dir().join("hotfoot-preinit-difference.wasm");
            std::fs::write(&kept, wasm).unwrap();
            panic!("module {number} of {} differs; it is now {}", path.display(), kept.display())
        });
        let outcome = match outcome {
            Outcome::Same(output) => {
                written += output.len();
                "same".to_owned()
            }
            Outcome::None(why) => why,
        };
        *outcomes.entry(outcome).or_default() += 1;
        number += 1;
    }
    println!("{outcomes:#?}, {written} bytes written");
    assert!(outcomes["same"] * 4 > number, "most modules are not compared: {outcomes:?}");
}
