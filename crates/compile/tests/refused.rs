//! Bytes and modules that are refused, and the sentences that say so.

use hotfoot_compile::{Compiler, Error, Options, Target, WasmFeatures, validate};

use crate::{TARGETS, compile, compiler};

fn refused(wasm: &[u8]) -> Error {
    compiler(TARGETS[0], Options::default()).compile(wasm).unwrap_err()
}

#[test]
fn bytes_that_are_not_a_module() {
    for (bytes, words) in [
        (b"".as_slice(), "it is empty"),
        (b"\x7fELF\x02\x01", "ELF"),
        (b"  (module)", "text format"),
        (b"hello", "text file"),
        (b"\0as", "ends before"),
        (b"\xff\xfe\xfd\xfc\xfb", "[ff, fe, fd, fc]"),
    ] {
        let error = refused(bytes);
        assert!(matches!(error, Error::NotWasm { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(matches!(refused(b"\0asm\x0d\0\x01\0"), Error::Component));
    assert!(matches!(refused(b"\0asm\x01\0"), Error::Invalid { .. }), "the header ends early");
    assert!(matches!(refused(b"\0asm\x02\0\0\0"), Error::Invalid { .. }), "no such version");
}

#[test]
fn invalid_modules_name_the_place() {
    let wasm = wat::parse_str("(module (func (result i32) (i64.const 1)))").unwrap();
    match refused(&wasm) {
        Error::Invalid { offset, message } => {
            assert!(offset > 8 && offset < wasm.len() as u64);
            assert!(message.contains("type mismatch"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(validate(&wasm, WasmFeatures::default()).is_err());
}

/// Of several invalid functions the first one is reported, whichever thread comes upon one first.
#[test]
fn the_first_invalid_function_is_reported() {
    let filler = "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))".repeat(500);
    let wat = format!("(module {filler} (func i32.const 1) {filler} (func {} i32.const 1))", "nop ".repeat(5000));
    let wasm = wat::parse_str(&wat).unwrap();
    let compiler = compiler(TARGETS[0], Options::default());
    let first = compiler.compile(&wasm).unwrap_err().to_string();
    for _ in 0..10 {
        assert_eq!(compiler.compile(&wasm).unwrap_err().to_string(), first);
    }
    assert_eq!(validate(&wasm, WasmFeatures::default()).unwrap_err().to_string(), first);
}

#[test]
fn features_that_are_off_are_refused() {
    let mvp = Options { features: WasmFeatures::MVP, ..Options::default() };
    for wat in [
        "(module (func (result i32 i32) i32.const 1 i32.const 2))",
        "(module (func (drop (v128.const i64x2 0 0))))",
        "(module (memory i64 1))",
        "(module (func (return_call 0)))",
        "(module (memory 1) (memory 1))",
        "(module (func (drop (ref.null func))))",
    ] {
        let wasm = wat::parse_str(wat).unwrap();
        let error = compiler(TARGETS[0], mvp.clone()).compile(&wasm).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{wat}: {error:?}");
        compiler(TARGETS[0], Options::default()).compile(&wasm).unwrap();
    }
}

#[test]
fn targets_that_do_not_exist() {
    for triple in ["", "nonsense", "mips64-unknown-linux-gnu", "i686-unknown-linux-gnu", "riscv64gc-unknown-linux-gnu"]
    {
        assert!(matches!(Target::new(triple), Err(Error::Target(_))), "{triple}");
    }
    let mut target = Target::new(TARGETS[0]).unwrap();
    assert!(target.set("no_such_setting", "true").is_err());
    assert!(target.set("opt_level", "sideways").is_err());
    target.enable("has_avx2").unwrap();
    target.set("preserve_frame_pointers", "false").unwrap();
    assert!(Compiler::new(target, Options::default()).is_err(), "backtraces need frame pointers");
}

/// No cut of a module makes the compiler do anything but say what is wrong.
#[test]
fn truncated_modules() {
    let wasm = wat::parse_str(
        r#"(module (import "a" "b" (func (param i32))) (memory 1) (table 1 funcref) (global i32 (i32.const 1))
            (export "f" (func 1)) (elem (i32.const 0) func 1) (data (i32.const 0) "abc")
            (func $named (param i32) (result i32) (loop (br_if 0 (local.get 0))) (i32.load (local.get 0))))"#,
    )
    .unwrap();
    let compiler = compiler(TARGETS[0], Options::default());
    for len in 0..wasm.len() {
        // A cut between sections can leave a valid module.
        if let Err(error) = compiler.compile(&wasm[..len]) {
            assert!(matches!(error, Error::Invalid { .. } | Error::NotWasm { .. }), "{len}: {error:?}");
        }
    }
    for at in 0..wasm.len() {
        for bit in 0..8 {
            let mut damaged = wasm.clone();
            damaged[at] ^= 1 << bit;
            if let Err(error) = compiler.compile(&damaged) {
                assert!(!matches!(error, Error::Codegen { .. }), "{at}.{bit}: {error:?}");
            }
        }
    }
}

#[test]
fn more_handlers_around_a_call_than_the_limit_are_refused() {
    let nested = |count: usize| {
        let tags = "(tag)".repeat(count);
        let open: String = (0..count).map(|tag| format!("(try_table (catch {tag} {tag})\n")).collect();
        format!("(module {tags} (func $f {open} (call $f) {}))", ")".repeat(count))
    };
    compile(&nested(1000)).unwrap();
    let error = compile(&nested(1001)).unwrap_err();
    assert!(matches!(error, Error::Limit { value: 1001, limit: 1000, .. }), "{error:?}");
}

/// A function with so many vectors that live across a call.
fn with_vectors(count: usize) -> Vec<u8> {
    let each = |line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let load = each(&|local| format!("(local.set {local} (v128.load offset={local} (memory.size)))"));
    let store = each(&|local| format!("(v128.store offset={local} (memory.size) (local.get {local}))"));
    let locals = "v128 ".repeat(count);
    wat::parse_str(format!("(module (memory 1) (func $f (local {locals}) {load} (call $f) {store}))")).unwrap()
}

/// Without signals the check comes after the frame was made: a frame of more than a megabyte once reached below the
/// stack of a thread before anybody looked.
#[test]
fn frames_too_large_to_be_checked_are_refused() {
    let mut options = Options::default();
    assert!(compiler(TARGETS[0], options.clone()).compile(&with_vectors(8_000)).is_ok());
    options.tunables.signals_based_traps = false;
    let compiler = compiler(TARGETS[0], options);
    assert!(compiler.compile(&with_vectors(500)).is_ok());
    let error = compiler.compile(&with_vectors(8_000)).unwrap_err();
    assert!(matches!(error, Error::FrameTooLarge { .. }), "{error:?}");
}
