//! Modules: empty and enormous ones, what they say about themselves, and what is refused.

use std::fmt::Write;

use hotfoot::{Config, Engine, ExternType, Instance, Linker, Module, Store, ValType};

use super::{Change, call, compile, engines, instantiate};

#[test]
fn an_empty_module_is_a_module() {
    for (kind, engine) in engines() {
        for bytes in [&b"\0asm\x01\0\0\0"[..], b"(module)", b" (module $name)", b";; nothing\n(module)"] {
            let module = Module::new(&engine, bytes).unwrap();
            assert_eq!((module.imports().len(), module.exports().len()), (0, 0), "{kind}");
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            assert_eq!(instance.exports(&mut store).len(), 0, "{kind}");
            assert!(module.text().is_empty(), "{kind}");
        }
    }
}

#[test]
fn ten_thousand_functions_and_exports() {
    let mut text = String::from("(module (table 10000 funcref) (elem (i32.const 0) func");
    for at in 0..10_000 {
        let _ = write!(text, " $f{at}");
    }
    text.push(')');
    for at in 0..10_000 {
        let _ = writeln!(
            text,
            r#"(func $f{at} (export "f{at}") (param i32) (result i32) (i32.add (local.get 0) (i32.const {at})))"#
        );
    }
    text.push_str(
        r#"(func (export "pick") (param i32 i32) (result i32)
            (call_indirect (param i32) (result i32) (local.get 1) (local.get 0))))"#,
    );
    let engine = Engine::default();
    let module = compile(&engine, &text);
    assert_eq!(module.exports().len(), 10_001);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    for at in (0..10_000).step_by(97).chain([9999]) {
        assert_eq!(call::<_, i32, i32>(&mut store, instance, &format!("f{at}"), 5).unwrap(), at + 5);
        assert_eq!(call::<_, (i32, i32), i32>(&mut store, instance, "pick", (at, 7)).unwrap(), at + 7);
    }
    let names: Vec<String> = instance.exports(&mut store).map(|export| export.name().to_string()).collect();
    assert_eq!(names[1234], "f1234");
}

#[test]
fn a_module_says_what_it_imports_and_exports() {
    let engine = Engine::default();
    let module = compile(
        &engine,
        r#"(module $named
            (import "a" "f" (func (param i32) (result i64 f32))) (import "a" "" (memory i64 1 2))
            (import "" "t" (table 1 2 externref)) (import "☃" "g" (global (mut v128)))
            (export "f" (func 0)) (export "☃" (memory 0)) (export "" (table 0)) (export "g" (global 0)))"#,
    );
    assert_eq!(module.name(), Some("named"));
    let imports: Vec<_> =
        module.imports().map(|import| format!("{}.{}: {}", import.module(), import.name(), import.ty())).collect();
    let exports: Vec<_> = module.exports().map(|export| format!("{}: {}", export.name(), export.ty())).collect();
    assert_eq!(imports.len(), 4);
    assert_eq!(imports[0], "a.f: (func (param i32) (result i64 f32))");
    for (import, export) in imports.iter().zip(["f: ", "☃: ", ": ", "g: "]) {
        let ty = import.split_once(": ").unwrap().1;
        assert!(exports.contains(&format!("{export}{ty}")), "{exports:?} has no {export}{ty}");
    }
    let Some(ExternType::Global(ty)) = module.get_export("g") else { panic!("`g` is a global") };
    assert_eq!(*ty.content(), ValType::V128);
    assert!(module.get_export("x").is_none());
}

#[test]
fn what_is_no_module_is_refused_in_words() {
    let engine = Engine::default();
    for bytes in [
        &b""[..],
        b"\0",
        b"\0asm",
        b"\0asm\x01\0\0",
        b"\0asm\x02\0\0\0",
        b"\0asm\x0d\0\x01\0",
        b"\x7fELF\x02\x01\x01",
        b"hello",
        b"(module",
        b"(module (func (result i32)))",
        b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f",
        b"\0asm\x01\0\0\0\xff\x00",
    ] {
        let error = Module::new(&engine, bytes).unwrap_err();
        assert!(format!("{error:#}").len() > 10, "{error:#}");
    }
    assert!(Module::validate(&engine, b"\0asm\x01\0\0\0").is_ok());
    assert!(Module::validate(&engine, b"(module)").is_err(), "binary only");
    assert!(Module::from_binary(&engine, b"(module)").is_err(), "binary only");
    let missing = Module::from_file(&engine, "/nowhere/at/all.wasm").unwrap_err();
    assert!(missing.to_string().contains("/nowhere/at/all.wasm"), "{missing}");
}

#[test]
fn features_that_are_off_are_refused() {
    let cases: [(Change, &str); 7] = [
        (
            |config| config.wasm_simd(false).wasm_relaxed_simd(false),
            "(module (func (result v128) (v128.const i64x2 0 0)))",
        ),
        (|config| config.wasm_multi_value(false), "(module (func (result i32 i32) (i32.const 0) (i32.const 0)))"),
        (
            |config| config.wasm_bulk_memory(false),
            "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
        ),
        (|config| config.wasm_memory64(false), "(module (memory i64 1))"),
        (|config| config.wasm_multi_memory(false), "(module (memory 1) (memory 1))"),
        (|config| config.wasm_tail_call(false), "(module (func $f (return_call $f)))"),
        (|config| config.wasm_exceptions(false), "(module (tag))"),
    ];
    for (switch_off, text) in cases {
        assert!(Module::new(&Engine::default(), text).is_ok(), "{text}");
        let engine = Engine::new(switch_off(&mut Config::new())).unwrap();
        assert!(Module::new(&engine, text).is_err(), "{text}");
        assert!(Module::new(&engine, "(module)").is_ok());
    }
}

/// A module lives as long as something needs it, and no longer.
#[test]
fn a_module_may_go_before_its_instances() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = {
        let module = compile(
            &engine,
            r#"(module $gone (func $bad (export "bad") unreachable) (func (export "f") (result i32) (i32.const 1)))"#,
        );
        let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
        pre.instantiate(&mut store).unwrap()
    };
    drop(engine);
    assert_eq!(call::<_, (), i32>(&mut store, instance, "f", ()).unwrap(), 1);
    let error = call::<_, (), ()>(&mut store, instance, "bad", ()).unwrap_err();
    drop(store);
    assert!(format!("{error:?}").contains("gone!bad"), "the backtrace outlives the store: {error:?}");
}

#[test]
fn segments_that_do_not_fit_leave_a_usable_store() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let owner = instantiate(&mut store, r#"(module (memory (export "m") 1) (table (export "t") 2 funcref))"#, &[]);
        let (memory, table) = (owner.get_memory(&mut store, "m").unwrap(), owner.get_table(&mut store, "t").unwrap());
        let module = compile(
            &engine,
            r#"(module (import "" "m" (memory 1)) (import "" "t" (table 1 funcref))
                (func $f (result i32) (i32.const 3)) (elem (i32.const 0) $f)
                (data (i32.const 0) "kept") (data (i32.const 65535) "too long"))"#,
        );
        let error = Instance::new(&mut store, &module, &[memory.into(), table.into()]).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&hotfoot::Trap::MemoryOutOfBounds), "{kind}");
        assert_eq!(&memory.data(&store)[..4], b"kept", "{kind}");
        assert_eq!(memory.data(&store)[65535], 0, "{kind}");
        // The table keeps a function of the instance that never came to be.
        let user = instantiate(
            &mut store,
            r#"(module (import "" "t" (table 1 funcref))
                (func (export "run") (result i32) (call_indirect (result i32) (i32.const 0))))"#,
            &[table.into()],
        );
        assert_eq!(call::<_, (), i32>(&mut store, user, "run", ()).unwrap(), 3, "{kind}");
    }
}
