//! Engines do not mix: what belongs to one is refused by another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hotfoot::{
    Caller, Config, Engine, Func, FuncType, Instance, Linker, Module, Result, Store, Tag, TagType, Val, ValType,
};

use super::compile;

/// An engine in which a few other types have the first numbers.
fn other_engine() -> Engine {
    let engine = Engine::default();
    FuncType::new(&engine, [const { ValType::I64 }; 5], [const { ValType::EXTERNREF }; 4]);
    FuncType::new(&engine, [ValType::EXTERNREF], [ValType::FUNCREF]);
    engine
}

/// Refused is: an error or a panic. Anything else means that a value was read as another type.
fn refused<R>(what: &str, f: impl FnOnce() -> Result<R>) {
    if let Ok(Ok(_)) = catch_unwind(AssertUnwindSafe(f)) {
        panic!("not refused: {what}");
    }
}

#[test]
fn a_module_of_another_engine_is_refused() {
    let (engine, other) = (Engine::default(), other_engine());
    let module = compile(&other, "(module)");
    let mut store = Store::new(&engine, ());
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert!(error.to_string().contains("another engine"), "{error}");
    let linker = Linker::new(&engine);
    assert!(linker.instantiate(&mut store, &module).is_err());
    refused("instantiate_pre", || linker.instantiate_pre(&module)?.instantiate(&mut store));
    assert!(Engine::same(module.engine(), &other) && !Engine::same(&engine, &other));
}

/// A function type is known by its number in its engine. A function whose type had the number of another engine's once
/// was called with values of that engine's type of the same number.
#[test]
fn a_function_type_of_another_engine_is_taken_for_what_it_says() {
    let (engine, other) = (Engine::default(), other_engine());
    let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    let mut store = Store::new(&other, ());
    let mut linker: Linker<()> = Linker::new(&other);
    let same = |_: Caller<'_, ()>, params: &[Val], results: &mut [Val]| {
        results[0] = params[0];
        Ok(())
    };
    linker.func_new("", "f", ty.clone(), same).unwrap();
    let linked = linker.get(&mut store, "", "f").unwrap().into_func().unwrap();
    for func in [Func::new(&mut store, ty.clone(), same), linked] {
        assert_eq!(func.ty(&store), ty);
        assert_eq!(func.typed::<i32, i32>(&store).unwrap().call(&mut store, 5).unwrap(), 5);
        assert!(func.call(&mut store, &[Val::I64(1); 5], &mut [Val::I32(0); 4]).is_err());
    }
    let carries_i32 = TagType::new(FuncType::new(&engine, [ValType::I32], []));
    let tag = Tag::new(&mut store, &carries_i32).unwrap();
    assert_eq!(tag.ty(&store), carries_i32);
}

/// As above, with a linker: its host functions have the numbers of its own engine.
#[test]
fn a_linker_of_another_engine_is_refused() {
    let (engine, other) = (Engine::default(), other_engine());
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("", "f", |x: i32| x).unwrap();
    let module = compile(
        &other,
        r#"(module (import "" "f" (func $f (param i32) (result i32)))
            (func (export "run") (result i32) (call $f (i32.const 1))))"#,
    );
    let mut store = Store::new(&other, ());
    refused("Linker::instantiate", || {
        let instance = linker.instantiate(&mut store, &module)?;
        instance.get_typed_func::<(), i32>(&mut store, "run")
    });
    refused("Linker::instantiate_pre", || linker.instantiate_pre(&module));
    refused("Linker::get", || {
        let func = linker.get(&mut store, "", "f").unwrap().into_func().unwrap();
        func.typed::<i32, i32>(&store)
    });
    refused("Linker::iter", || {
        let items: Vec<_> = linker.iter(&mut store).map(|(_, _, item)| item).collect();
        Ok(items[0].ty(&store))
    });
}

#[test]
fn settings_that_cannot_be_kept_are_refused_in_words() {
    let error = Engine::new(Config::new().memory_reservation(1 << 60)).unwrap_err();
    assert!(error.to_string().contains("memory_reservation"), "{error}");
    assert!(Engine::new(Config::new().memory_reservation(u64::MAX).memory_guard_size(u64::MAX)).is_err());
    let error = Engine::new(Config::new().max_wasm_stack(0)).unwrap_err();
    assert!(error.to_string().contains("max_wasm_stack"), "{error}");
}

#[test]
fn unknown_flags_and_targets_are_errors_of_the_first_compilation() {
    for config in [
        Config::new().cranelift_flag_enable("has_no_such_thing").clone(),
        Config::new().cranelift_flag_set("no_such_setting", "1").clone(),
        Config::new().target("pdp11-unknown-unix").unwrap().clone(),
    ] {
        let engine = Engine::new(&config).unwrap();
        assert!(Module::new(&engine, "(module)").is_err());
        assert!(engine.precompile_module(b"(module)").is_err());
    }
}
