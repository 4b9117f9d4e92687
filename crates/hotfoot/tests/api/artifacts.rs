//! Artifacts: the same bytes for the same input, the same module from them, and a refusal of what does not fit.

use hotfoot::{Config, Engine, IncompatibleArtifact, Instance, Module, Store, Trap, WasmBacktrace};

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
    let settings: [(Change, &str); 4] = [
        (|config| config.signals_based_traps(false), "signals_based_traps"),
        (|config| config.memory_reservation(1 << 20), "memory_reservation"),
        (|config| config.memory_guard_size(1 << 20), "memory_guard_size"),
        (|config| config.memory_may_move(false), "memory_may_move"),
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
