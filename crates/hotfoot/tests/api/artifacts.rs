//! Artifacts: the same bytes for the same input, the same module from them, and a refusal of what does not fit.

use hotfoot::{Config, Engine, IncompatibleArtifact, Instance, Module, Precompiled, Store, Trap, WasmBacktrace};

use super::trust::{deserialize, deserialize_file};
use super::{Change, call, compile, engines};

const TEXT: &str = r#"(module $kept
    (import "host" "f" (func $f (param i32) (result i32)))
    (memory (export "m") 1) (data (i32.const 4) "data") (table funcref (elem $g))
    (func $g (export "g") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.load8_u (i32.const 4))))
    (func $bad (export "bad") unreachable))"#;

fn run(engine: &Engine, module: &Module) {
    let mut store = Store::new(engine, ());
    let f = hotfoot::Func::wrap(&mut store, |x: i32| x * 2);
    let instance = Instance::new(&mut store, module, &[f.into()]).unwrap();
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "g", 5).unwrap(), 10 + i32::from(b'd'));
    let error = call::<_, (), ()>(&mut store, instance, "bad", ()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::UnreachableCodeReached));
    let frame = &error.downcast_ref::<WasmBacktrace>().unwrap().frames()[0];
    assert_eq!((frame.module().name(), frame.func_name()), (Some("kept"), Some("bad")));
}

fn shape(module: &Module) -> Vec<String> {
    let imports = module.imports().map(|import| format!("{} {} {}", import.module(), import.name(), import.ty()));
    imports.chain(module.exports().map(|export| format!("{} {}", export.name(), export.ty()))).collect()
}

#[test]
fn a_module_comes_back_as_it_was() {
    for (_, engine) in engines() {
        let module = compile(&engine, TEXT);
        let bytes = module.serialize().unwrap();
        assert_eq!(bytes, engine.precompile_module(TEXT.as_bytes()).unwrap());
        let back = deserialize(&engine, &bytes).unwrap();
        assert_eq!(back.serialize().unwrap(), bytes);
        assert_eq!((shape(&back), back.name()), (shape(&module), module.name()));
        run(&engine, &module);
        drop(module);
        run(&engine, &back);
    }
}

#[test]
fn a_file_is_mapped_and_used() {
    let engine = Engine::default();
    let path = std::env::temp_dir().join(format!("hotfoot-test-{}.artifact", std::process::id()));
    std::fs::write(&path, engine.precompile_module(TEXT.as_bytes()).unwrap()).unwrap();
    let module = deserialize_file(&engine, &path).unwrap();
    std::fs::remove_file(&path).unwrap();
    run(&engine, &module);
    assert!(deserialize_file(&engine, &path).unwrap_err().to_string().contains("hotfoot-test-"));
}

/// Nothing that may differ between two runs gets into an artifact: no address, no order of threads, no map's order.
#[test]
fn the_same_input_gives_the_same_bytes() {
    let mut text = TEXT.trim_end_matches(')').to_string() + ")";
    for at in 0..200 {
        text += &format!(r#"(func (export "{at}") (param f64) (result f64) (f64.mul (local.get 0) (f64.const {at})))"#);
    }
    text.push(')');
    let bytes = |parallel| {
        let engine = Engine::new(Config::new().parallel_compilation(parallel)).unwrap();
        engine.precompile_module(text.as_bytes()).unwrap()
    };
    let first = bytes(true);
    for parallel in [true, false, true, true] {
        assert!(first == bytes(parallel), "parallel: {parallel}");
    }
}

#[test]
fn an_artifact_of_other_settings_is_refused_by_name() {
    let engine = Engine::default();
    let bytes = engine.precompile_module(TEXT.as_bytes()).unwrap();
    let settings: [(Change, &str); 6] = [
        (|config| config.signals_based_traps(false), "signals_based_traps"),
        (|config| config.memory_reservation(1 << 20), "memory_reservation"),
        (|config| config.memory_guard_size(1 << 20), "memory_guard_size"),
        (|config| config.memory_may_move(false), "memory_may_move"),
        (|config| config.consume_fuel(true), "consume_fuel"),
        (|config| config.epoch_interruption(true), "epoch_interruption"),
    ];
    for (change, name) in settings {
        let other = Engine::new(change(&mut Config::new())).unwrap();
        let error = deserialize(&other, &bytes).unwrap_err();
        let incompatible = error.downcast_ref::<IncompatibleArtifact>();
        assert!(matches!(incompatible, Some(IncompatibleArtifact::Tunables { .. })), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        let back = other.precompile_module(TEXT.as_bytes()).unwrap();
        assert!(deserialize(&engine, &back).is_err(), "{name}");
        deserialize(&other, &back).unwrap();
    }
    let mut config = Config::new();
    let aarch64 = Engine::new(config.target("aarch64-unknown-linux-gnu").unwrap()).unwrap();
    let foreign = aarch64.precompile_module(TEXT.as_bytes()).unwrap();
    let error = deserialize(&engine, &foreign).unwrap_err();
    let incompatible = error.downcast_ref::<IncompatibleArtifact>();
    assert!(matches!(incompatible, Some(IncompatibleArtifact::Target { .. })), "{error:?}");
    assert!(error.to_string().contains("aarch64"), "{error}");
    assert!(Module::new(&aarch64, TEXT).is_err(), "code for another processor cannot be run here");
}

/// What an engine promises about results, an artifact that was compiled without it cannot keep.
#[test]
fn an_artifact_with_other_results_is_refused_by_name() {
    let settings: [(Change, &str); 4] = [
        (|config| config.cranelift_nan_canonicalization(true), "enable_nan_canonicalization=true"),
        (|config| config.relaxed_simd_deterministic(true), "relaxed_simd_deterministic=true"),
        (
            |config| config.cranelift_flag_set("enable_heap_access_spectre_mitigation", "false"),
            "enable_heap_access_spectre_mitigation=false",
        ),
        (|config| config.cranelift_flag_set("enable_alias_analysis", "false"), "enable_alias_analysis=false"),
    ];
    let engine = Engine::default();
    let bytes = engine.precompile_module(TEXT.as_bytes()).unwrap();
    for (change, setting) in settings {
        let other = Engine::new(change(&mut Config::new())).unwrap();
        let error = deserialize(&other, &bytes).unwrap_err();
        let incompatible = error.downcast_ref::<IncompatibleArtifact>();
        assert!(matches!(incompatible, Some(IncompatibleArtifact::Setting { .. })), "{error:?}");
        assert!(error.to_string().contains(setting), "{error}");
        deserialize(&other, &other.precompile_module(TEXT.as_bytes()).unwrap()).unwrap();
    }
}

/// Settings that change no promise about memory make other bytes, which every engine can use.
#[test]
fn an_artifact_of_other_effort_is_used() {
    let engine = Engine::default();
    for level in [hotfoot::OptLevel::None, hotfoot::OptLevel::SpeedAndSize] {
        let other = Engine::new(Config::new().cranelift_opt_level(level)).unwrap();
        run(&engine, &deserialize(&engine, &other.precompile_module(TEXT.as_bytes()).unwrap()).unwrap());
    }
}

#[test]
fn what_is_no_artifact_is_refused() {
    let engine = Engine::default();
    let bytes = engine.precompile_module(TEXT.as_bytes()).unwrap();
    for len in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
        assert!(deserialize(&engine, &bytes[..len]).is_err(), "the first {len} of {} bytes", bytes.len());
    }
    for other in [&b""[..], b"\0asm\x01\0\0\0", b"(module)", b"\x7fELF", &[0; 4096], &[0xff; 4096]] {
        assert!(deserialize(&engine, other).is_err());
    }
    let mut wrong = bytes.clone();
    wrong[0] ^= 1;
    assert!(deserialize(&engine, &wrong).is_err());
    assert!(Module::new(&engine, &bytes).is_err(), "an artifact is no module");
}

/// A file of this process's own, gone at the end.
struct TestFile(std::path::PathBuf);

impl TestFile {
    fn new(name: &str, bytes: &[u8]) -> TestFile {
        let path = std::env::temp_dir().join(format!("hotfoot-test-{name}-{}.artifact", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        TestFile(path)
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn artifacts_are_told_from_other_files() {
    let engine = Engine::default();
    let file = TestFile::new("detect", &engine.precompile_module(TEXT.as_bytes()).unwrap());
    assert_eq!(Engine::detect_precompiled_file(&file.0).unwrap(), Some(Precompiled::Module));
    let other = TestFile::new("detect-other", b"\x7fELF");
    assert_eq!(Engine::detect_precompiled_file(&other.0).unwrap(), None);
    assert!(Engine::detect_precompiled_file("/nonexistent").unwrap_err().to_string().contains("/nonexistent"));
}

/// The signature is only compared where a key says so; see `head.rs` of the crate `hotfoot-artifact`.
const SIGNATURE: std::ops::Range<usize> = 160..192;

/// Each variant is what a bad disk, a cut connection or someone with an editor makes of an artifact.
#[test]
fn ten_thousand_damaged_artifacts_are_refused() {
    let engine = Engine::default();
    let verifying = Engine::new(Config::new().verify_artifact_files(true)).unwrap();
    let with_key = Engine::new(Config::new().artifact_key([7; 32])).unwrap();
    let bytes = with_key.precompile_module(TEXT.as_bytes()).unwrap();
    let file = TestFile::new("damaged", &bytes);
    run(&verifying, &deserialize_file(&verifying, &file.0).unwrap());
    run(&with_key, &deserialize_file(&with_key, &file.0).unwrap());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    for variant in 0..10_000 {
        let mut damaged = bytes.clone();
        let at = next(bytes.len());
        match variant % 4 {
            0 => damaged.truncate(at),
            1 => {
                let end = (at + 1 + next(5000)).min(bytes.len());
                damaged[at..end].fill(0);
            }
            _ => damaged[at] ^= 1 << next(8),
        }
        if damaged == bytes {
            continue;
        }
        if variant % 10 == 0 {
            std::fs::write(&file.0, &damaged).unwrap();
            assert!(deserialize_file(&with_key, &file.0).is_err(), "variant {variant} at {at}");
            let only_signature = SIGNATURE.contains(&at) && variant % 4 > 1;
            assert!(only_signature || deserialize_file(&verifying, &file.0).is_err(), "variant {variant} at {at}");
        } else {
            assert!(deserialize(&with_key, &damaged).is_err(), "variant {variant} at {at}");
            let only_signature = SIGNATURE.contains(&at) && variant % 4 > 1;
            assert!(only_signature || deserialize(&engine, &damaged).is_err(), "variant {variant} at {at}");
        }
    }
}

#[test]
fn only_who_has_the_key_makes_artifacts() {
    let with_key = Engine::new(Config::new().artifact_key([7; 32])).unwrap();
    let other_key = Engine::new(Config::new().artifact_key([8; 32])).unwrap();
    let engine = Engine::default();
    let signed = with_key.precompile_module(TEXT.as_bytes()).unwrap();
    assert_eq!(compile(&with_key, TEXT).serialize().unwrap(), signed);
    run(&with_key, &deserialize(&with_key, &signed).unwrap());
    run(&engine, &deserialize(&engine, &signed).unwrap());
    for made_by in [&other_key, &engine] {
        let error = deserialize(&with_key, &made_by.precompile_module(TEXT.as_bytes()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("cannot be trusted"), "{error}");
    }
    assert!(!format!("{:?}", with_key.config()).contains("7, 7"), "a secret in debug output");
}
