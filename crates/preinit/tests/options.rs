//! What the builder's methods do.

use hotfoot::{Config, Engine, Linker, Module, Store, Trap};
use hotfoot_preinit::{Preinit, PreinitError};

fn module(wasm: &[u8]) -> Module {
    Module::new(&Engine::default(), wasm).unwrap()
}

/// The names of a module's exports.
fn exports(module: &Module) -> Vec<String> {
    module.exports().map(|export| export.name().to_owned()).collect()
}

const REACTOR: &str = r#"(module
    (global $order (mut i32) (i32.const 0))
    (func $then (param i32) (global.set $order (i32.add (i32.mul (global.get $order) (i32.const 10)) (local.get 0))))
    (func (export "_initialize") (call $then (i32.const 1)))
    (func (export "wizer-initialize") (call $then (i32.const 2)))
    (func (export "setup") (call $then (i32.const 3)))
    (func (export "order") (result i32) (global.get $order)))"#;

fn order(preinit: &Preinit) -> (i32, Vec<String>) {
    let module = module(&preinit.run(REACTOR.as_bytes()).unwrap());
    let mut store = Store::new(module.engine(), ());
    let instance = Linker::new(module.engine()).instantiate(&mut store, &module).unwrap();
    let order = instance.get_typed_func::<(), i32>(&mut store, "order").unwrap();
    (order.call(&mut store, ()).unwrap(), exports(&module))
}

#[test]
fn reactors_are_initialised_first_and_once() {
    assert_eq!(order(&Preinit::new()), (12, vec!["setup".into(), "order".into()]));
    assert_eq!(order(Preinit::new().init_func("setup")), (13, vec!["wizer-initialize".into(), "order".into()]));
    assert_eq!(order(Preinit::new().init_func("_initialize")).0, 1);
    let kept = order(Preinit::new().keep_init_func(true));
    assert_eq!(kept, (12, vec!["wizer-initialize".into(), "setup".into(), "order".into()]));
}

#[test]
fn functions_are_renamed() {
    let text = r#"(module
        (func (export "wizer.initialize")) (func (export "run") unreachable) (func (export "real_run"))
        (func (export "other")) (memory (export "memory") 1))"#;
    let renamed = |pairs: &[(&str, &str)]| {
        let mut preinit = Preinit::new();
        for (dst, src) in pairs {
            preinit.func_rename(dst, src);
        }
        preinit.run(text.as_bytes()).map(|wasm| module(&wasm))
    };
    let swapped = renamed(&[("run", "real_run"), ("another", "other")]).unwrap();
    assert_eq!(exports(&swapped), ["run", "another", "memory"]);
    let mut store = Store::new(swapped.engine(), ());
    let instance = Linker::new(swapped.engine()).instantiate(&mut store, &swapped).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).map_err(|error| error.downcast::<Trap>().ok()), Ok(()));
    assert_eq!(
        exports(&renamed(&[("run", "other"), ("other", "run")]).unwrap()),
        ["other", "real_run", "run", "memory"]
    );
    assert!(matches!(renamed(&[("x", "nothing")]), Err(PreinitError::RenameSource { .. })));
    assert!(matches!(renamed(&[("x", "run"), ("x", "other")]), Err(PreinitError::RenameTwice { .. })));
    assert!(matches!(renamed(&[("x", "run"), ("y", "run")]), Err(PreinitError::RenameTwice { .. })));
    assert!(matches!(renamed(&[("memory", "run")]), Err(PreinitError::RenameTwice { .. })));
}

const RANDOM: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "host" "tell" (func $tell (result i32)))
    (memory (export "memory") 1)
    (func (export "wizer.initialize")
        (drop (call $random (i32.const 0) (i32.const 64)))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 64)))
        (i32.store (i32.const 100) (call $tell))))"#;

#[test]
fn a_linker_and_wasi_serve_together_and_the_output_is_reproducible() {
    let mut preinit = Preinit::new();
    preinit.allow_wasi(true).make_linker(|engine| {
        let mut linker = Linker::new(engine);
        linker.func_wrap("host", "tell", || 7)?;
        Ok(linker)
    });
    let (first, report) = preinit.run_with_report(RANDOM.as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert_eq!(first, preinit.run(RANDOM.as_bytes()).unwrap());
    let calls: Vec<_> = report.host_calls.iter().map(|call| (call.name.as_str(), call.count)).collect();
    assert_eq!(calls, [("tell", 1), ("clock_time_get", 1), ("random_get", 1)]);
    assert_eq!(report.warnings.len(), 2);
    assert!(report.warnings[1].contains("fixed seed"), "{:?}", report.warnings);
    assert!(report.to_text().contains("host call host::tell, 1 times"));
    assert_eq!(report.output_bytes, first.len());
}

#[test]
fn a_linkers_own_definition_comes_before_wasi() {
    let mut preinit = Preinit::new();
    preinit.allow_wasi(true).make_linker(|engine| {
        let mut linker = Linker::new(engine);
        linker.func_wrap("wasi_snapshot_preview1", "random_get", |_: i32, _: i32| 99)?;
        Ok(linker)
    });
    let text = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (global (export "g") (mut i32) (i32.const 0))
        (func (export "wizer.initialize") (global.set 0 (call $random (i32.const 0) (i32.const 0)))))"#;
    let module = module(&preinit.run(text.as_bytes()).unwrap());
    let mut store = Store::new(module.engine(), ());
    let mut linker = Linker::new(module.engine());
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    assert_eq!(instance.get_global(&mut store, "g").unwrap().get(&mut store).i32(), Some(99));
}

#[test]
fn growth_has_a_limit() {
    let text = r#"(module (memory 1)
        (func (export "wizer.initialize") (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000))))"#;
    let grown = Preinit::new().run(text.as_bytes()).unwrap().len() - wat::parse_str(text).unwrap().len();
    Preinit::new().max_growth(grown as u64).run(text.as_bytes()).unwrap();
    let error = Preinit::new().max_growth(grown as u64 - 1).run(text.as_bytes()).unwrap_err();
    assert!(matches!(error, PreinitError::Growth { growth, .. } if growth == grown as u64), "{error}");
}

#[test]
fn features_can_be_switched_off() {
    let text = r#"(module (memory 1) (memory 1) (func (export "wizer.initialize")))"#;
    Preinit::new().run(text.as_bytes()).unwrap();
    assert!(matches!(Preinit::new().wasm_multi_memory(false).run(text.as_bytes()), Err(PreinitError::Module(_))));
}

fn custom_sections(wasm: &[u8]) -> Vec<(String, Vec<u8>)> {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    let custom = payloads.filter_map(|payload| match payload.unwrap() {
        wasmparser::Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
        _ => None,
    });
    custom.collect()
}

#[test]
fn custom_sections_stay_where_they_are_right() {
    let text = r#"(module $named
        (@custom "first" (before type) "1") (@custom "after" (after code) "2")
        (@custom ".debug_info" (after data) "dwarf") (@custom "linking" "object") (@custom "reloc.CODE" "object")
        (memory 1) (global $counter (mut i32) (i32.const 0)) (data $segment (i32.const 0) "a")
        (func $setup (export "wizer.initialize") (global.set $counter (i32.const 1))))"#;
    let before = wat::parse_str(text).unwrap();
    let after = Preinit::new().run(&before).unwrap();
    let names = |wasm: &[u8]| custom_sections(wasm).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&after), ["first", "after", ".debug_info", "name"]);
    assert_eq!(names(&Preinit::new().strip_debug(true).run(&before).unwrap()), ["first", "after", "name"]);
    let name_section = custom_sections(&after).pop().unwrap().1;
    let holds = |name: &str| name_section.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(holds("named") && holds("setup") && holds("counter") && !holds("segment"));
}

#[test]
fn artifacts_have_the_code_that_was_compiled_for_the_initialisation() {
    let engine = Engine::default();
    let (artifact, report) =
        Preinit::new().keep_init_func(true).run_to_artifact_with_report(&engine, REACTOR.as_bytes()).unwrap();
    assert_eq!(report.reused_code, Some(true));
    let wasm = Preinit::new().keep_init_func(true).run(REACTOR.as_bytes()).unwrap();
    assert_eq!(artifact.len(), engine.precompile_module(&wasm).unwrap().len());
    assert_eq!(artifact, Preinit::new().keep_init_func(true).run_to_artifact(&engine, REACTOR.as_bytes()).unwrap());
    // With `--optimize`, functions have other numbers.
    let (artifact, report) =
        Preinit::new().optimize(true).run_to_artifact_with_report(&engine, REACTOR.as_bytes()).unwrap();
    assert_eq!(report.reused_code, Some(false));
    let wasm = Preinit::new().optimize(true).run(REACTOR.as_bytes()).unwrap();
    assert_eq!(artifact, engine.precompile_module(&wasm).unwrap());
}

#[test]
fn engines_with_fuel_and_epochs_initialise_without_limits() {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    engine.increment_epoch();
    Preinit::new().run_to_artifact(&engine, REACTOR.as_bytes()).unwrap();
    Preinit::new().config(config).run(REACTOR.as_bytes()).unwrap();
}

#[test]
fn running_instances_are_captured() {
    let engine = Engine::default();
    let before = wat::parse_str(REACTOR).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &Module::new(&engine, &before).unwrap()).unwrap();
    for name in ["setup", "wizer-initialize", "setup"] {
        instance.get_typed_func::<(), ()>(&mut store, name).unwrap().call(&mut store, ()).unwrap();
    }
    let after =
        Preinit::new().func_rename("setup", "wizer-initialize").capture(&mut store, &instance, &before).unwrap();
    let after = module(&after);
    assert_eq!(exports(&after), ["setup", "order"]);
    let mut store = Store::new(after.engine(), ());
    let instance = Linker::new(after.engine()).instantiate(&mut store, &after).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "setup").unwrap().call(&mut store, ()).unwrap();
    let order = instance.get_typed_func::<(), i32>(&mut store, "order").unwrap();
    assert_eq!(order.call(&mut store, ()).unwrap(), 3232);

    let other = wat::parse_str(RANDOM).unwrap();
    let error = Preinit::new().capture(&mut store, &instance, &other).unwrap_err();
    assert!(matches!(error, PreinitError::OtherModule), "{error}");
}

const WITH_LEFTOVERS: &str = r#"(module
    (import "host" "f" (func $unused_import))
    (type $t (func (result i32)))
    (table 3 funcref) (table $changing 2 funcref)
    (elem (i32.const 1) func $three $one) (elem declare func $named $dead)
    (elem (table $changing) (i32.const 0) func $three $one)
    (global $g (mut i32) (i32.const 0))
    (func $one (result i32) (i32.const 1))
    (func $three (result i32) (i32.const 3))
    (func $dead (drop (call $deader (ref.func $dead))))
    (func $deader (param funcref) (result i32) (i32.const 8))
    (func $named (result i32) (i32.const 5))
    (func (export "wizer.initialize") (call $dead) (global.set $g (i32.const 30)))
    (func $tail (result i32) (return_call_indirect (type $t) (i32.const 1)))
    (func (export "run") (result i32)
        (table.set $changing (i32.const 1) (ref.func $named))
        (i32.add (i32.add (global.get $g) (call $tail))
            (i32.add (call_indirect (type $t) (i32.const 1)) (call_indirect $changing (type $t) (i32.const 1))))))"#;

#[test]
fn what_only_the_initialisation_used_is_removed() {
    let (wasm, report) = Preinit::new().optimize(true).run_with_report(WITH_LEFTOVERS.as_bytes()).unwrap();
    // Table 0 is only called at a constant place, so nothing reads its elements: `three` is in the other table, too.
    assert_eq!((report.removed_functions, report.direct_calls), (3, 2));
    assert_eq!((report.removed_elements, report.removed_globals), (2, 0));
    assert!(
        report.output_bytes == wasm.len() && wasm.len() < Preinit::new().run(WITH_LEFTOVERS.as_bytes()).unwrap().len()
    );
    let module = module(&wasm);
    let mut store = Store::new(module.engine(), ());
    let mut linker = Linker::new(module.engine());
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 41);
    let names = custom_sections(&wasm).pop().unwrap().1;
    let holds = |name: &str| names.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(holds("named") && holds("three") && !holds("dead"));
}

/// The initialisation used types, globals and a table of its own, some only by way of others. What the rest names stays, each
/// thing in another way.
const WITH_UNUSED: &str = r#"(module
    (type $dead_field (struct (field i32)))
    (type $dead (struct (field (ref null $dead_field))))
    (rec (type $kept (struct (field (ref null $beside)))) (type $beside (array i8)))
    (type $named_by_local (struct (field i64)))
    (import "host" "g" (global $imported i32))
    (table $only_init 4 funcref) (table $called 4 funcref) (table $copied 4 funcref) (table $exported (export "t") 1 funcref)
    (elem (table $only_init) (i32.const 1) func $by_init) (elem (table $called) (i32.const 2) func $by_place)
    (elem (table $copied) (i32.const 0) func $by_copy) (elem (table $exported) (i32.const 0) func $by_export)
    (global $counter (mut i32) (i32.const 0)) (global $dead_object (mut (ref null $dead)) (ref.null $dead))
    (global $base i32 (i32.const 5)) (global $kept_value (mut i64) (i64.const 7))
    (global $used_by_init i32 (i32.const 9)) (global $unused i32 (global.get $used_by_init))
    (global $object (mut (ref null $kept)) (ref.null $kept))
    (func $by_init (result i32) (i32.const 1)) (func $by_place (result i32) (i32.const 20))
    (func $by_copy (result i32) (i32.const 300)) (func $by_export (result i32) (i32.const 4000))
    (func (export "wizer.initialize")
        (global.set $counter (call_indirect $only_init (result i32) (i32.add (i32.const 1) (global.get $unused) (i32.const -9) (i32.add))))
        (global.set $dead_object (struct.new_default $dead)) (global.set $kept_value (i64.const 50000)))
    (func (export "run") (param $place i32) (result i32) (local (ref null $named_by_local))
        (table.copy $called $copied (i32.const 0) (i32.const 0) (i32.const 1))
        (drop (ref.is_null (global.get $object)))
        (i32.add (i32.wrap_i64 (global.get $kept_value))
            (i32.add (call_indirect $called (result i32) (local.get $place)) (call_indirect $called (result i32) (i32.const 0))))))"#;

#[test]
fn globals_types_and_elements_that_only_the_initialisation_used_are_removed() {
    let host = wat::parse_str(r#"(module (global (export "g") i32 (i32.const 3)))"#).unwrap();
    let mut preinit = Preinit::new();
    preinit.preload_bytes("host", host).optimize(true);
    let (wasm, report) = preinit.run_with_report(WITH_UNUSED.as_bytes()).unwrap();
    // `by_init` and the initialisation; what it set; the types of that.
    assert_eq!((report.removed_functions, report.removed_elements), (2, 1));
    assert_eq!((report.removed_globals, report.removed_types), (6, 3));
    let module = module(&wasm);
    let mut store = Store::new(module.engine(), ());
    let instance = hotfoot::Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, 2).unwrap(), 50_320);
    let table = instance.get_table(&mut store, "t").unwrap();
    assert!(matches!(table.get(&mut store, 0), Some(hotfoot::Ref::Func(Some(_)))));
    let names = custom_sections(&wasm).pop().unwrap().1;
    let holds = |name: &str| names.windows(name.len()).any(|window| window == name.as_bytes());
    for kept in ["kept_value", "object", "kept", "beside", "named_by_local"] {
        assert!(holds(kept), "{kept}");
    }
    for removed in ["imported", "counter", "dead", "base", "used_by_init", "dead_field"] {
        assert!(!holds(removed), "{removed}");
    }
}

/// Random modules found that code named functions that only a removed global (or nothing but an exported memory of the same
/// number) had declared, so that the new module was not valid.
const WITH_DECLARED_BY_OTHERS: &str = r#"(module
    (memory (export "memory") 1)
    (elem declare func $memorys_number)
    (global $declares funcref (ref.func $by_global))
    (func $memorys_number) (func $by_global)
    (func (export "wizer.initialize"))
    (func (export "run") (result i32)
        (i32.add (ref.is_null (ref.func $memorys_number)) (ref.is_null (ref.func $by_global)))))"#;

#[test]
fn what_code_names_stays_declared() {
    for optimize in [false, true] {
        let wasm = Preinit::new().optimize(optimize).run(WITH_DECLARED_BY_OTHERS.as_bytes()).unwrap();
        let module = module(&wasm);
        let mut store = Store::new(module.engine(), ());
        let instance = hotfoot::Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap(), 0, "optimised: {optimize}");
    }
}
