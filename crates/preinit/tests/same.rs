//! A module initialised and run in one instance, beside the pre-initialised module run in a new one.

use hotfoot::{Config, Engine, Instance, Linker, Module, OptLevel, Store, Val};
use hotfoot_preinit::{Preinit, PreinitError};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ConstExpr, ExportKind, ExportSection, GlobalSection, MemorySection, TableSection};
use wasmparser::{Parser, Payload, TypeRef, Validator, WasmFeatures};

use crate::dump::{Dump, assert_same, text};

/// Bytes of the heap of each store's objects.
const GC_HEAP_LEN: u64 = 8 << 20;

fn config() -> Config {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(true).cranelift_opt_level(OptLevel::None);
    // Otherwise a module may fill and copy gigabytes.
    config.gc_heap_reservation(GC_HEAP_LEN).parallel_compilation(false);
    config
}

/// What came of a comparison.
#[derive(Debug)]
pub enum Outcome {
    /// Both are the same; this is the new module.
    Same(Vec<u8>),
    /// There is nothing to compare, as the text says.
    None(String),
}

/// Compares both.
///
/// # Panics
/// When they differ.
pub fn check(wasm: &[u8]) -> Outcome {
    let none = |why: &str| Outcome::None(why.to_owned());
    let Some(providers) = providers(wasm) else { return none("imports that are not provided") };
    let mut preinit = Preinit::new();
    preinit.config(config());
    for (name, provider) in &providers {
        preinit.preload_bytes(name, provider.clone());
    }
    let output = match preinit.run(wasm) {
        Ok(output) => output,
        Err(PreinitError::Module(_)) => return none("not accepted by the engine"),
        Err(PreinitError::Failed { .. } | PreinitError::Instantiate(_)) => return none("initialisation traps"),
        Err(PreinitError::CalledMissingImport { .. }) => return none("initialisation calls an import"),
        Err(PreinitError::Uncapturable { held, .. }) => return Outcome::None(format!("holds {held}")),
        Err(error) => panic!("{error}"),
    };
    Validator::new_with_features(WasmFeatures::all()).validate_all(&output).unwrap();

    let (mut store, instance) = instantiate(wasm, &providers);
    let init = instance.get_typed_func::<(), ()>(&mut store, "wizer.initialize").unwrap();
    init.call(&mut store, ()).unwrap();
    let (mut new_store, new_instance) = instantiate(&output, &providers);
    let globals = Dump::of(&mut store, &instance).globals.len();
    let new_dump = |store: &mut Store<()>| Dump::with_globals(store, &new_instance, globals);
    assert_same(&Dump::of(&mut store, &instance), &new_dump(&mut new_store), "before main");
    let results = [call_main(&mut store, &instance), call_main(&mut new_store, &new_instance)];
    // How deep a recursion comes depends on the frames of the code, which reaches memories of its own another way: one of
    // both may end in an overflow where the other comes to its end.
    if results.iter().any(|result| result.as_ref().is_err_and(|error| error.contains("stack exhausted"))) {
        return none("main overflows the stack");
    }
    if results.iter().any(|result| result.as_ref().is_err_and(|error| error.contains("objects is full"))) {
        return none("main fills the heap");
    }
    assert_eq!(results[0], results[1], "results of main");
    assert_same(&Dump::of(&mut store, &instance), &new_dump(&mut new_store), "after main");

    // Functions, globals and types have other numbers after this, so only what does not name them can be compared.
    let smaller = preinit.optimize(true).run(wasm).unwrap();
    Validator::new_with_features(WasmFeatures::all()).validate_all(&smaller).unwrap();
    let (mut store, instance) = instantiate(&smaller, &providers);
    let without_numbers = |result: &Result<Vec<String>, String>| {
        let text = |value: &String| value.split(' ').next().filter(|word| *word == "func").unwrap_or(value).to_owned();
        result.as_ref().map(|values| values.iter().map(text).collect::<Vec<String>>()).map_err(String::clone)
    };
    let result = call_main(&mut store, &instance);
    assert_eq!(without_numbers(&result), without_numbers(&results[1]), "results of main, optimised");
    assert_eq!(Dump::of(&mut store, &instance).memories, Dump::of(&mut new_store, &new_instance).memories, "optimised");
    Outcome::Same(output)
}

fn instantiate(wasm: &[u8], providers: &[(String, Vec<u8>)]) -> (Store<()>, Instance) {
    let engine = Engine::new(&config()).unwrap();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    for (name, provider) in providers {
        linker.module(&mut store, name, &Module::new(&engine, provider).unwrap()).unwrap();
    }
    let module = Module::new(&engine, wasm).unwrap();
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn call_main(store: &mut Store<()>, instance: &Instance) -> Result<Vec<String>, String> {
    let main = instance.get_func(&mut *store, "main").unwrap();
    let mut results: Vec<Val> = main.ty(&*store).results().map(|_| Val::I32(0)).collect();
    main.call(&mut *store, &[], &mut results).map_err(|error| error.root_cause().to_string())?;
    Ok(results.iter().map(|value| text(&mut *store, instance, value)).collect())
}

/// Modules that export what a module imports, by name; none when its types are not ones that begin somehow.
fn providers(wasm: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut imports: Vec<(String, String, TypeRef)> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::ImportSection(section) = payload.ok()? else { continue };
        for import in section.into_imports() {
            let import = import.ok()?;
            if !matches!(import.ty, TypeRef::Func(_)) {
                imports.push((import.module.to_owned(), import.name.to_owned(), import.ty));
            }
        }
    }
    let mut names: Vec<&str> = imports.iter().map(|(module, ..)| module.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let provide =
        |name: &&str| Some(((*name).to_owned(), provider(imports.iter().filter(|import| import.0 == *name))?));
    names.iter().map(provide).collect()
}

fn provider<'a>(imports: impl Iterator<Item = &'a (String, String, TypeRef)>) -> Option<Vec<u8>> {
    let (mut memories, mut tables, mut globals) = (MemorySection::new(), TableSection::new(), GlobalSection::new());
    let mut exports = ExportSection::new();
    let mut seen: Vec<&str> = Vec::new();
    for (_, name, ty) in imports {
        if seen.contains(&name.as_str()) {
            return None;
        }
        seen.push(name);
        match ty {
            TypeRef::Memory(ty) => {
                exports.export(name, ExportKind::Memory, memories.len());
                memories.memory(RoundtripReencoder.memory_type(*ty).ok()?);
            }
            TypeRef::Table(ty) if ty.element_type.is_nullable() && !ty.element_type.is_concrete_type_ref() => {
                exports.export(name, ExportKind::Table, tables.len());
                tables.table(RoundtripReencoder.table_type(*ty).ok()?);
            }
            TypeRef::Global(ty) => {
                let value = match ty.content_type {
                    wasmparser::ValType::I32 => ConstExpr::i32_const(3),
                    wasmparser::ValType::I64 => ConstExpr::i64_const(4),
                    wasmparser::ValType::F32 => ConstExpr::f32_const(5.0.into()),
                    wasmparser::ValType::F64 => ConstExpr::f64_const(6.0.into()),
                    wasmparser::ValType::V128 => ConstExpr::v128_const(7),
                    wasmparser::ValType::Ref(ty) if ty.is_nullable() && !ty.is_concrete_type_ref() => {
                        ConstExpr::ref_null(RoundtripReencoder.heap_type(ty.heap_type()).ok()?)
                    }
                    wasmparser::ValType::Ref(_) => return None,
                };
                exports.export(name, ExportKind::Global, globals.len());
                globals.global(RoundtripReencoder.global_type(*ty).ok()?, &value);
            }
            _ => return None,
        }
    }
    let mut module = wasm_encoder::Module::new();
    module.section(&tables).section(&memories).section(&globals).section(&exports);
    Some(module.finish())
}
