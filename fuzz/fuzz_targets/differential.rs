//! The comparison as a target of `cargo fuzz`: `cargo +nightly fuzz run differential`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use std::cell::RefCell;

    use hotfoot_fuzz::compare::{Engines, Outcome};
    use hotfoot_fuzz::generate::Case;

    thread_local!(static ENGINES: RefCell<Engines> = RefCell::default());
    let Ok(case) = Case::new(bytes) else { return };
    let outcome = ENGINES.with_borrow_mut(|engines| engines.compare(&case));
    if let Outcome::Different(ours, peer) = outcome {
        panic!("under {:?}\n--- hotfoot\n{ours}\n--- peer\n{peer}", case.settings);
    }
    assert_ne!(outcome, Outcome::Panicked);
});

/// `cargo build` without `cargo fuzz` has nothing to link this to.
#[cfg(not(fuzzing))]
fn main() {
    eprintln!("this is a target of `cargo fuzz`; for a run without it: cargo run --release -- differential");
}
