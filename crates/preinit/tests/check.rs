//! A guest initialised and run in one instance, beside the pre-initialised one run in another.

use hotfoot::{Engine, Instance, Linker, Module, Store};
use hotfoot_preinit::Preinit;

use crate::dump::{Dump, assert_same};

/// An instance of a module with these modules preloaded, under the names `a`, `b`, …
pub fn instantiate(wasm: &[u8], preloads: &[&str]) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    for (name, text) in ["a", "b", "c"].into_iter().zip(preloads) {
        linker.module(&mut store, name, &Module::new(&engine, text).unwrap()).unwrap();
    }
    let instance = linker.instantiate(&mut store, &Module::new(&engine, wasm).unwrap()).unwrap();
    (store, instance)
}

pub fn call_main(store: &mut Store<()>, instance: &Instance) -> Result<i64, String> {
    let main = instance.get_typed_func::<(), i64>(&mut *store, "main").unwrap();
    main.call(&mut *store, ()).map_err(|error| error.root_cause().to_string())
}

/// Compares both ways to start a guest, and gives the new module.
pub fn check_with(preinit: &mut Preinit, text: &str, preloads: &[&str]) -> Vec<u8> {
    check_and(preinit, text, preloads, assert_same)
}

pub fn check_and(preinit: &mut Preinit, text: &str, preloads: &[&str], same: fn(&Dump, &Dump, &str)) -> Vec<u8> {
    for (name, text) in ["a", "b", "c"].into_iter().zip(preloads) {
        preinit.preload_bytes(name, *text);
    }
    let wasm = preinit.run(text.as_bytes()).unwrap();
    assert_eq!(wasm, preinit.run(text.as_bytes()).unwrap(), "the output is the same each time");

    let (mut store, instance) = instantiate(&wat::parse_str(text).unwrap(), preloads);
    let init = instance.get_typed_func::<(), ()>(&mut store, "wizer.initialize").unwrap();
    init.call(&mut store, ()).unwrap();
    let (mut new_store, new_instance) = instantiate(&wasm, preloads);
    let globals = Dump::of(&mut store, &instance).globals.len();
    let new_dump = |store: &mut Store<()>| Dump::with_globals(store, &new_instance, globals);
    same(&Dump::of(&mut store, &instance), &new_dump(&mut new_store), "before main");
    let results = (call_main(&mut store, &instance), call_main(&mut new_store, &new_instance));
    assert_eq!(results.0, results.1, "the result of main");
    same(&Dump::of(&mut store, &instance), &new_dump(&mut new_store), "after main");
    wasm
}

pub fn check(text: &str) -> Vec<u8> {
    check_with(&mut Preinit::new(), text, &[])
}
