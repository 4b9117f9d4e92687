//! Targets by name, what can be set about them, and what can be seen of a compilation.

use std::sync::atomic::{AtomicU64, Ordering};

use hotfoot_artifact::{Artifact, NONE};
use hotfoot_compile::{Compiler, Error, LEVELS, Observer, Options, SettingValues, Target};

use crate::{TARGETS, compiler};

fn isa_flags(target: &str) -> Vec<String> {
    compiler(target, Options::default()).header().isa_flags
}

#[test]
fn each_level_has_all_of_the_one_before_and_more() {
    let levels = LEVELS.map(|(level, _)| isa_flags(level));
    for pair in levels.windows(2) {
        assert!(pair[0].len() < pair[1].len(), "{pair:?}");
        assert!(pair[0].iter().all(|flag| pair[1].contains(flag)), "{pair:?}");
    }
    // Cranelift's own presets of these names leave AVX out, and so all that builds on it.
    assert!(levels[2].contains(&"has_avx".to_owned()) && levels[2].contains(&"has_avx2".to_owned()));
    assert!(!levels[1].contains(&"has_avx".to_owned()));
    let mut target = Target::new("x86_64").unwrap();
    target.set("x86-64-v3", "true").unwrap();
    assert_eq!(Compiler::new(target, Options::default()).unwrap().header().isa_flags, levels[2]);
}

#[test]
fn short_names_are_triples() {
    for (name, triple) in [("x86_64", TARGETS[0]), ("aarch64", TARGETS[1]), ("x86-64-v4", TARGETS[0])] {
        assert_eq!(Target::new(name).unwrap().triple(), triple);
    }
    assert_eq!(Target::new("native").unwrap().triple(), Target::host().unwrap().triple());
    for wrong in ["x86-64-v9", "amiga", "wasm32"] {
        assert!(matches!(Target::new(wrong), Err(Error::Target(_))), "{wrong}");
    }
}

#[test]
fn every_setting_that_is_listed_can_be_set() {
    for name in TARGETS {
        let target = Target::new(name).unwrap();
        let settings = target.settings().unwrap();
        assert!(settings.iter().any(|setting| setting.of_instruction_set));
        for setting in settings {
            let values: Vec<&str> = match &setting.values {
                SettingValues::Switch => vec!["true", "false"],
                SettingValues::Choice(values) => values.to_vec(),
                SettingValues::Number => vec!["1"],
                SettingValues::Preset => vec!["true"],
            };
            for value in values {
                target.clone().set(setting.name, value).unwrap_or_else(|error| panic!("{}: {error}", setting.name));
            }
            assert_eq!(setting.value.is_none(), setting.values == SettingValues::Preset, "{}", setting.name);
        }
    }
}

#[test]
fn what_the_runtime_relies_on_stays() {
    let listed = Target::new(TARGETS[0]).unwrap().settings().unwrap();
    for (name, value) in [("preserve_frame_pointers", "false"), ("is_pic", "false"), ("probestack_strategy", "outline")]
    {
        assert!(listed.iter().all(|setting| setting.name != name), "{name} is not for choosing");
        let mut target = Target::new(TARGETS[0]).unwrap();
        target.set(name, value).unwrap();
        let error = Compiler::new(target, Options::default()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[derive(Default)]
struct Tally {
    functions: AtomicU64,
    bytes: AtomicU64,
    begun_functions: AtomicU64,
    begun_bytes: AtomicU64,
}

impl Observer for Tally {
    fn begin(&self, functions: usize, body_bytes: u64) {
        self.begun_functions.fetch_add(functions as u64, Ordering::Relaxed);
        self.begun_bytes.fetch_add(body_bytes, Ordering::Relaxed);
    }

    fn advance(&self, body_bytes: u64) {
        self.functions.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(body_bytes, Ordering::Relaxed);
    }
}

const SEVERAL: &str = "(module
    (func $one (result i32) (i32.const 1))
    (func $../two (param i32) (result i32) (i32.add (local.get 0) (call $one)))
    (func (param v128)))";

#[test]
fn an_observer_sees_every_function() {
    let wasm = wat::parse_str(SEVERAL).unwrap();
    for parallel in [true, false] {
        let tally = Tally::default();
        let compiler = compiler(TARGETS[0], Options { parallel, ..Options::default() });
        assert_eq!(compiler.compile_observed(&wasm, &tally).unwrap(), compiler.compile(&wasm).unwrap());
        let Tally { functions, bytes, begun_functions, begun_bytes } = tally;
        assert_eq!(functions.into_inner(), 3);
        assert_eq!(begun_functions.into_inner(), 3);
        assert_eq!(bytes.into_inner(), begun_bytes.into_inner());
    }
}

#[test]
fn functions_are_written_as_the_code_generator_gets_them() {
    let wasm = wat::parse_str(SEVERAL).unwrap();
    let folder = std::env::temp_dir().join(format!("hotfoot-clif-{}", std::process::id()));
    let plain = Options { inlining: false, ..Options::default() };
    let options = Options { emit_clif: Some(folder.join("made")), ..plain.clone() };
    let artifact = compiler(TARGETS[0], options).compile(&wasm).unwrap();
    assert!(artifact == compiler(TARGETS[0], plain).compile(&wasm).unwrap(), "writing changes the code");
    let text = std::fs::read_to_string(folder.join("made/1-.._two.clif")).unwrap();
    assert!(text.contains("iadd") && text.contains("call fn0"), "{text}");
    assert!(folder.join("made/2.clif").exists());
    std::fs::write(folder.join("file"), "").unwrap();
    let options = Options { emit_clif: Some(folder.join("file/in")), ..Options::default() };
    let error = compiler(TARGETS[0], options).compile(&wasm).unwrap_err();
    assert!(matches!(error, Error::EmitClif { .. }), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// With a full address map more of the code has its place, and the code stays the same.
#[test]
fn an_address_map_changes_no_code() {
    let wasm =
        wat::parse_str("(module (func (param f64) (result f64) (f64.mul (f64.neg (local.get 0)) (f64.const 7))))");
    let wasm = wasm.unwrap();
    for target in TARGETS {
        let few = compiler(target, Options::default()).compile(&wasm).unwrap();
        let options = Options { full_address_map: true, ..Options::default() };
        let full = compiler(target, options).compile(&wasm).unwrap();
        let (few, full) = (Artifact::parse(&few).unwrap(), Artifact::parse(&full).unwrap());
        assert!(few.text == full.text, "{target}");
        let opcodes = |artifact: &Artifact<'_>| -> Vec<u8> {
            let offsets = artifact.code.addresses.iter().map(|address| address.wasm.get());
            offsets.filter(|offset| *offset != NONE).map(|offset| wasm[offset as usize]).collect()
        };
        assert!(!opcodes(&few).contains(&0xa2) && opcodes(&full).contains(&0xa2), "{target}: f64.mul");
    }
}
