//! Artifacts that have another module's code: right where the modules differ in initial values, refused where code would differ.

use hotfoot::{Engine, Instance, Module, Store, Trap, WasmBacktrace};

use super::trust::deserialize;

/// A module whose code reads everything that can begin with something else.
fn text(values: &str, exports: &str) -> String {
    format!(
        r#"(module
            (type $t (func (result i32)))
            {values}
            (func $one (result i32) (i32.const 1))
            (func $two (result i32) (i32.const 2))
            (func $sum (export "sum") (result i32)
                (i32.add (i32.add (global.get $g) (i32.load8_u (i32.const 5)))
                    (i32.add (call_indirect (type $t) (i32.const 1)) (global.get $c))))
            (func $trap (export "trap") (drop (i32.load (i32.const -1))))
            {exports})"#
    )
}

const OLD: &str = r#"(memory 1) (table 3 funcref) (elem (i32.const 0) func $one $one $two)
    (global $g (mut i32) (i32.const 10)) (global $c i32 (i32.const 100)) (data (i32.const 5) "\05")"#;

fn like(old: &str, new: &str) -> Option<Vec<u8>> {
    let engine = Engine::default();
    let compiled = Module::new(&engine, old).unwrap();
    engine.precompile_module_like(new.as_bytes(), old.as_bytes(), &compiled).unwrap()
}

#[test]
fn other_initial_values_give_the_artifact_that_compiling_gives() {
    let old = text(OLD, "");
    for values in [
        OLD.to_owned(),
        OLD.replace("i32.const 10)", "i32.const 11)"),
        OLD.replace("\\05", "\\07\\08\\09"),
        OLD.replace("func $one $one $two", "func $two $two $one $one").replace("(table 3", "(table 4"),
        OLD.replace("(memory 1)", "(memory 1) (data (i32.const 70) \"more\")"),
    ] {
        let new = text(&values, "");
        assert_eq!(like(&old, &new), Some(Engine::default().precompile_module(new.as_bytes()).unwrap()), "{values}");
    }
}

#[test]
fn code_of_a_module_with_more_exports_runs_and_traps_where_it_says() {
    let old = text(OLD, r#"(func (export "init") (global.set $g (i32.const 3)))"#);
    let values =
        OLD.replace("i32.const 10)", "i32.const 20)").replace("\\05", "\\06").replace("$one $one", "$one $two");
    let new = text(&values, "(func (global.set $g (i32.const 3)))");
    let engine = Engine::default();
    let module = deserialize(&engine, &like(&old, &new).unwrap()).unwrap();
    assert!(module.get_export("init").is_none());
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let sum = instance.get_typed_func::<(), i32>(&mut store, "sum").unwrap();
    assert_eq!(sum.call(&mut store, ()).unwrap(), 20 + 6 + 2 + 100);
    let offset = |module: &Module| {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let trap = instance.get_typed_func::<(), ()>(&mut store, "trap").unwrap();
        let error = trap.call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
        let frames = error.downcast_ref::<WasmBacktrace>().unwrap().frames();
        (frames[0].func_name().map(str::to_owned), frames[0].module_offset())
    };
    assert_eq!(offset(&module), offset(&Module::new(&engine, &new).unwrap()), "places are those in the new module");
}

#[test]
fn code_that_would_be_another_is_not_taken() {
    let old = text(OLD, "");
    for (what, values, exports) in [
        ("another constant, which code knows", OLD.replace("i32.const 100", "i32.const 101"), ""),
        ("a smaller memory, which code relies on", OLD.replace("(memory 1)", "(memory 0)"), ""),
        ("a memory that cannot grow", OLD.replace("(memory 1)", "(memory 1 1)"), ""),
        ("a smaller table", OLD.replace("(table 3", "(table 2").replace(" $two", ""), ""),
        ("a memory of its own type", OLD.replace("(memory 1)", "(memory 1) (memory 1)"), ""),
        ("another global", format!("{OLD} (global i32 (i32.const 1))"), ""),
        ("a global that can be set", OLD.replace("$c i32", "$c (mut i32)"), ""),
        ("another type", format!("{OLD} (type (func (param f32)))"), ""),
        ("an import", format!("(import \"a\" \"b\" (func)) {OLD}"), ""),
        ("another function that references can name", OLD.to_owned(), r#"(export "e" (func $trap2)) (func $trap2)"#),
        ("another function", OLD.to_owned(), "(func)"),
    ] {
        assert_eq!(like(&old, &text(&values, exports)).map(|bytes| bytes.len()), None, "{what}");
    }
    let other_code = old.replace("i32.const 2)", "i32.const 3)");
    assert!(like(&old, &other_code).is_none());
    assert!(like(&old, &old.replace("export \"sum\"", "export \"total\"")).is_some());
    let engine = Engine::default();
    let other = Module::new(&engine, "(module)").unwrap();
    assert!(engine.precompile_module_like(old.as_bytes(), old.as_bytes(), &other).unwrap().is_none());
    assert!(engine.precompile_module_like(b"(modul)", old.as_bytes(), &other).is_err());
}
