//! The linker: names, what they stand for, and what is said when they do not fit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hotfoot::{
    Caller, Engine, Extern, Func, FuncType, Global, GlobalType, Instance, InstancePre, Linker, Memory, MemoryType,
    Mutability, Ref, RefType, Store, Table, TableType, UnknownImportError, Val, ValType,
};

use super::{call, compile, instantiate};

const RUN: &str = r#"(module (import "a" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f)))"#;

#[test]
fn a_missing_import_is_named_with_its_type() {
    let engine = Engine::default();
    let linker: Linker<()> = Linker::new(&engine);
    let mut store = Store::new(&engine, ());
    for (import, ty) in [
        ("(func (param i32 externref) (result f64))", "(func (param i32 externref) (result f64))"),
        ("(memory 1 2)", "memory"),
        ("(table 3 funcref)", "table"),
        ("(global (mut i64))", "global"),
        ("(tag (param i32))", "tag"),
    ] {
        let module = compile(&engine, &format!(r#"(module (import "some module" "some name" {import}))"#));
        for error in [
            linker.instantiate(&mut store, &module).map(drop).unwrap_err(),
            linker.instantiate_pre(&module).map(drop).unwrap_err(),
        ] {
            let unknown = error.downcast_ref::<UnknownImportError>().unwrap();
            assert_eq!((unknown.module(), unknown.name()), ("some module", "some name"));
            assert!(unknown.ty().to_string().contains(ty), "{}", unknown.ty());
            let words = error.to_string();
            assert!(words.contains("`some module::some name`") && words.contains(ty), "{words}");
        }
    }
}

#[test]
fn a_name_is_defined_once_unless_shadowing_is_allowed() {
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("a", "f", || 1).unwrap();
    let error = linker.func_wrap("a", "f", || 2).map(drop).unwrap_err();
    assert!(error.to_string().contains("`a::f`"), "{error}");
    linker.func_wrap("b", "f", || 3).unwrap().func_wrap("a", "g", || 4).unwrap();
    let module = compile(&engine, RUN);
    let run = |linker: &Linker<()>| {
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        call::<_, (), i32>(&mut store, instance, "run", ()).unwrap()
    };
    assert_eq!(run(&linker), 1);
    let before = linker.instantiate_pre(&module).unwrap();
    let copy = linker.clone();
    linker.allow_shadowing(true).func_wrap("a", "f", || 5).unwrap();
    assert_eq!((run(&linker), run(&copy)), (5, 1));
    let mut store = Store::new(&engine, ());
    let instance = before.instantiate(&mut store).unwrap();
    assert_eq!(call::<_, (), i32>(&mut store, instance, "run", ()).unwrap(), 1, "what was found stays found");
    linker.allow_shadowing(false);
    assert!(linker.func_wrap("a", "f", || 6).is_err());
}

/// Everything that can be imported, under every type but its own.
#[test]
fn imports_of_other_types_are_refused() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker: Linker<()> = Linker::new(&engine);
    let memory = Memory::new(&mut store, MemoryType::new(2, Some(4))).unwrap();
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, Some(4)), Ref::Func(None)).unwrap();
    let global = Global::new(&mut store, GlobalType::new(ValType::I32, Mutability::Var), Val::I32(1)).unwrap();
    linker.define(&store, "x", "memory", memory).unwrap().define(&store, "x", "table", table).unwrap();
    linker.define(&store, "x", "global", global).unwrap().func_wrap("x", "func", |_: i32| 1i64).unwrap();
    let good = [
        ("memory", "(memory 2 4)"),
        ("memory", "(memory 1)"),
        ("memory", "(memory 0 5)"),
        ("table", "(table 2 4 funcref)"),
        ("table", "(table 0 funcref)"),
        ("global", "(global (mut i32))"),
        ("func", "(func (param i32) (result i64))"),
    ];
    let bad = [
        ("memory", "(memory 3)"),
        ("memory", "(memory 2 3)"),
        ("memory", "(memory i64 2 4)"),
        ("memory", "(func)"),
        ("table", "(table 3 funcref)"),
        ("table", "(table 2 3 funcref)"),
        ("table", "(table 2 4 externref)"),
        ("table", "(table i64 2 4 funcref)"),
        ("table", "(memory 1)"),
        ("global", "(global i32)"),
        ("global", "(global (mut i64))"),
        ("global", "(tag)"),
        ("func", "(func (param i32) (result i32))"),
        ("func", "(func (param i32 i32) (result i64))"),
        ("func", "(func (param i32))"),
        ("func", "(global i32)"),
    ];
    for (name, ty) in good {
        let module = compile(&engine, &format!(r#"(module (import "x" "{name}" {ty}))"#));
        linker.instantiate(&mut store, &module).unwrap();
        linker.instantiate_pre(&module).unwrap().instantiate(&mut store).unwrap();
    }
    for (name, ty) in bad {
        let module = compile(&engine, &format!(r#"(module (import "x" "{name}" {ty}))"#));
        let error = linker.instantiate(&mut store, &module).map(drop).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("incompatible import type") && words.contains(&format!("x::{name}")), "{words}");
        assert!(linker.instantiate_pre(&module).and_then(|pre| pre.instantiate(&mut store)).is_err(), "{name} as {ty}");
        let item = linker.get(&mut store, "x", name).unwrap();
        assert!(Instance::new(&mut store, &module, &[item]).is_err(), "{name} as {ty}");
    }
    assert!(Instance::new(&mut store, &compile(&engine, RUN), &[]).is_err());
}

/// A memory's or table's type is what it is now, not what it was declared.
#[test]
fn an_import_that_has_grown_matches_as_it_is() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let module = compile(&engine, r#"(module (import "" "" (memory 3)))"#);
    assert!(Instance::new(&mut store, &module, &[memory.into()]).is_err());
    memory.grow(&mut store, 2).unwrap();
    Instance::new(&mut store, &module, &[memory.into()]).unwrap();
}

#[test]
fn names_can_be_listed_aliased_and_made_of_instances() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker: Linker<()> = Linker::new(&engine);
    let library =
        compile(&engine, r#"(module (func (export "f") (result i32) (i32.const 8)) (memory (export "m") 1))"#);
    linker.module(&mut store, "lib", &library).unwrap();
    linker.alias("lib", "f", "a", "f").unwrap();
    linker.alias_module("lib", "copy").unwrap();
    assert!(linker.alias("lib", "nothing", "a", "g").is_err());
    assert!(linker.alias("lib", "f", "a", "f").is_err(), "the name is taken");
    let instance = linker.instantiate(&mut store, &compile(&engine, RUN)).unwrap();
    assert_eq!(call::<_, (), i32>(&mut store, instance, "run", ()).unwrap(), 8);
    let mut names: Vec<String> = linker.iter(&mut store).map(|(module, name, _)| format!("{module}::{name}")).collect();
    names.sort();
    assert_eq!(names, ["a::f", "copy::f", "copy::m", "lib::f", "lib::m"]);
    assert!(linker.get(&mut store, "lib", "x").is_none() && linker.get(&mut store, "x", "f").is_none());
    let module = compile(&engine, RUN);
    let import = module.imports().next().unwrap();
    assert!(matches!(linker.get_by_import(&mut store, &import), Some(Extern::Func(_))));
    linker.instance(&mut store, "more", instance).unwrap();
    assert!(linker.get(&mut store, "more", "run").is_some());
}

#[test]
fn a_library_is_initialised_once() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0);
    let mut linker: Linker<i32> = Linker::new(&engine);
    linker.func_wrap("host", "count", |mut caller: Caller<'_, i32>| *caller.data_mut() += 1).unwrap();
    let library = compile(
        &engine,
        r#"(module (import "host" "count" (func $count)) (func (export "_initialize") (call $count))
            (func (export "f") (result i32) (i32.const 1)))"#,
    );
    linker.module(&mut store, "a", &library).unwrap();
    assert_eq!(*store.data(), 1);
    linker.instantiate(&mut store, &compile(&engine, RUN)).unwrap();
    assert_eq!(*store.data(), 1);
}

#[test]
fn unknown_functions_can_be_traps() {
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    let module = compile(&engine, RUN);
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let error = call::<_, (), i32>(&mut store, instance, "run", ()).unwrap_err();
    assert_eq!(error.downcast_ref::<UnknownImportError>().unwrap().name(), "f");
    let other = compile(&engine, r#"(module (import "a" "m" (memory 1)))"#);
    assert!(linker.define_unknown_imports_as_traps(&other).unwrap_err().is::<UnknownImportError>());
}

#[test]
fn the_default_function_is_the_command() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker: Linker<()> = Linker::new(&engine);
    assert!(linker.get_default(&mut store, "cmd").is_err());
    linker.module(&mut store, "cmd", &compile(&engine, r#"(module (func (export "_start")))"#)).unwrap();
    linker.get_default(&mut store, "cmd").unwrap().call(&mut store, &[], &mut []).unwrap();
}

#[test]
fn one_pre_serves_many_stores_and_threads() {
    let engine = Engine::default();
    let mut linker: Linker<u64> = Linker::new(&engine);
    linker
        .func_wrap("a", "f", |mut caller: Caller<'_, u64>| {
            *caller.data_mut() += 1;
            *caller.data() as i32
        })
        .unwrap();
    let text = r#"(module (import "a" "f" (func $f (result i32))) (memory 1)
        (func (export "run") (result i32)
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (call $f))) (i32.load (i32.const 0))))"#;
    let pre: InstancePre<u64> = linker.instantiate_pre(&compile(&engine, text)).unwrap();
    drop(linker);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (pre, engine) = (pre.clone(), &engine);
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut store = Store::new(engine, 0);
                    let (a, b) = (pre.instantiate(&mut store).unwrap(), pre.instantiate(&mut store).unwrap());
                    let results =
                        [a, b, a].map(|instance| call::<_, (), i32>(&mut store, instance, "run", ()).unwrap());
                    assert_eq!(results, [1, 2, 4], "the data is shared, the memories are not");
                }
            });
        }
    });
}

/// Refused is: a panic.
fn refused<R>(what: &str, f: impl FnOnce() -> R) {
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err(), "not refused: {what}");
}

/// Using what belongs to another store is the embedder's mistake: it is told, before anything is touched.
#[test]
fn things_of_another_store_are_refused() {
    let engine = Engine::default();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let func = Func::wrap(&mut a, || 1);
    let memory = Memory::new(&mut a, MemoryType::new(1, None)).unwrap();
    let instance = instantiate(&mut a, r#"(module (func (export "f")))"#, &[]);
    let typed = func.typed::<(), i32>(&a).unwrap();
    let module = compile(&engine, RUN);
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.define(&a, "a", "f", func).unwrap();
    let b = &mut b;
    refused("Func::call", || func.call(&mut *b, &[], &mut [Val::I32(0)]).unwrap());
    refused("TypedFunc::call", || typed.call(&mut *b, ()).unwrap());
    refused("Memory::data", || memory.data(&*b).len());
    refused("Memory::data_ptr", || memory.data_ptr(&*b));
    refused("Memory::grow", || memory.grow(&mut *b, 1).unwrap());
    refused("Instance::get_func", || instance.get_func(&mut *b, "f"));
    refused("Instance::exports", || instance.exports(&mut *b).len());
    refused("Instance::new", || Instance::new(&mut *b, &module, &[func.into()]).unwrap());
    refused("Linker::instantiate", || linker.instantiate(&mut *b, &module).unwrap());
    refused("InstancePre::instantiate", || linker.instantiate_pre(&module).unwrap().instantiate(&mut *b).unwrap());
    refused("Linker::define", || Linker::new(&engine).define(&*b, "", "", func).map(drop).unwrap());
    refused("Func::ty", || func.ty(&*b));
    let ty = FuncType::new(&engine, [], [ValType::I32]);
    assert_eq!(func.ty(&a), ty);
}
