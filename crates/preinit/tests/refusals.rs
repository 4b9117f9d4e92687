//! What cannot be captured, or is a mistake: each is refused with its own error and a sentence that names it.

use hotfoot::{ExternRef, Func, Rooted};
use hotfoot_preinit::{Preinit, PreinitError};

fn refusal(preinit: &Preinit, text: &str) -> (PreinitError, String) {
    let error = preinit.run(text.as_bytes()).unwrap_err();
    let message = error.to_string();
    (error, message)
}

fn refused(text: &str) -> (PreinitError, String) {
    refusal(&Preinit::new(), text)
}

fn with_host() -> Preinit {
    let mut preinit = Preinit::new();
    preinit.make_linker(|engine| {
        let mut linker = hotfoot::Linker::new(engine);
        linker.func_wrap(
            "host",
            "value",
            |mut caller: hotfoot::Caller<'_, hotfoot_preinit::Host>| -> hotfoot::Result<Option<Rooted<ExternRef>>> {
                Ok(Some(ExternRef::new(&mut caller, 5)?))
            },
        )?;
        linker.func_wrap("host", "func", |mut caller: hotfoot::Caller<'_, hotfoot_preinit::Host>| -> Option<Func> {
            Some(Func::wrap(&mut caller, || ()))
        })?;
        Ok(linker)
    });
    preinit
}

#[test]
fn host_values_are_refused_by_place() {
    let (error, message) = refusal(
        &with_host(),
        r#"(module (import "host" "value" (func $value (result externref)))
            (global i32 (i32.const 0)) (global $cache (mut externref) (ref.null extern))
            (func (export "wizer.initialize") (global.set $cache (call $value))))"#,
    );
    assert!(matches!(error, PreinitError::Uncapturable { .. }));
    assert!(message.starts_with("global 1 \"cache\" holds an externref, "), "{message}");
    let (_, message) = refusal(
        &with_host(),
        r#"(module (import "host" "func" (func $func (result funcref)))
            (table (export "callbacks") 9 funcref)
            (func (export "wizer.initialize") (table.set (i32.const 5) (call $func))))"#,
    );
    assert!(message.starts_with("element 5 of table 0 \"callbacks\" holds a function of another"), "{message}");
}

#[test]
fn exceptions_are_refused() {
    let (_, message) = refused(
        r#"(module (tag $t) (global (mut exnref) (ref.null exn))
            (func (export "wizer.initialize")
                (global.set 0 (block $caught (result exnref) (try_table (catch_all_ref $caught) (throw $t)) unreachable))))"#,
    );
    assert!(message.starts_with("global 0 holds an exnref"), "{message}");
}

#[test]
fn what_was_cleared_again_is_no_obstacle() {
    let text = r#"(module (import "host" "value" (func $value (result externref)))
        (global $cache (mut externref) (ref.null extern))
        (func (export "wizer.initialize") (global.set $cache (call $value)) (global.set $cache (ref.null extern))))"#;
    with_host().run(text.as_bytes()).unwrap();
}

#[test]
fn a_module_without_initialisation_is_told_what_it_could_call() {
    let text = r#"(module (func (export "setup")) (func (export "f") (param i32)))"#;
    let (error, message) = refused(text);
    assert!(matches!(error, PreinitError::NoInitFunc { wanted: None, .. }));
    assert!(message.contains("`wizer.initialize` or `wizer-initialize`; name another one to call, such as `setup`"));
    let (_, message) = refusal(Preinit::new().init_func("f"), text);
    assert_eq!(
        message,
        "the function `f` must have no parameters and no results to be called for initialisation: (func (param i32))"
    );
    let (_, message) = refusal(Preinit::new().init_func("g"), r#"(module (memory (export "g") 1))"#);
    assert!(message.contains("no function `g`; it has none"), "{message}");
}

#[test]
fn missing_imports_matter_when_they_are_used() {
    let text = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32))) (import "x" "y" (func $y))
        (func (export "a") (drop (call $yield))) (func (export "b") (call $y)) (func (export "c")))"#;
    let (error, message) = refusal(Preinit::new().init_func("a"), text);
    assert!(matches!(error, PreinitError::CalledMissingImport { .. }));
    assert!(message.contains("`wasi_snapshot_preview1::sched_yield`, which is not provided; allow WASI"), "{message}");
    let (_, message) = refusal(Preinit::new().init_func("b"), text);
    assert!(message.contains("`x::y`, which is not provided; preload"), "{message}");
    Preinit::new().init_func("c").run(text.as_bytes()).unwrap();
    Preinit::new().init_func("a").allow_wasi(true).run(text.as_bytes()).unwrap();
    let (error, message) = refused(r#"(module (import "x" "memory" (memory 1)) (func (export "wizer.initialize")))"#);
    assert!(matches!(error, PreinitError::MissingImport { .. }));
    assert!(message.contains("`x::memory` has no definition, and it must be (memory 1)"), "{message}");
}

#[test]
fn traps_exits_and_bad_modules_have_their_own_errors() {
    let (error, message) = refused(r#"(module (func (export "wizer.initialize") unreachable))"#);
    assert!(matches!(error, PreinitError::Failed { .. }));
    assert!(message.contains("`wizer.initialize`") && message.contains("unreachable"), "{message}");
    let (error, _) = refused(r#"(module (func $s unreachable) (start $s) (func (export "wizer.initialize")))"#);
    assert!(matches!(error, PreinitError::Instantiate(_)));
    let (error, message) = refusal(
        Preinit::new().allow_wasi(true),
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
            (func (export "wizer.initialize") (call $exit (i32.const 3))))"#,
    );
    assert!(matches!(error, PreinitError::Exited { code: 3, .. }), "{message}");
    assert!(matches!(refused("(module (func i32.add))").0, PreinitError::Module(_)));
    assert!(matches!(refused("(modul)").0, PreinitError::Text(_)));
    assert!(matches!(refused("\0asm").0, PreinitError::Module(_)));
}

#[test]
fn an_open_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), "x").unwrap();
    let text = |close: &str| {
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "path_open"
                    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
                (memory (export "memory") 1) (data (i32.const 0) "f")
                (func (export "wizer.initialize")
                    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
                        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)) (then unreachable))
                    {close}))"#
        )
    };
    let mut preinit = Preinit::new();
    preinit.allow_wasi(true).map_dir("/", directory.path());
    let (error, message) = refusal(&preinit, &text(""));
    assert!(matches!(error, PreinitError::OpenDescriptor { descriptor: 4, .. }), "{message}");
    assert!(message.contains("descriptor 4 (a file)"), "{message}");
    let (_, report) =
        preinit.run_with_report(text("(drop (call $close (i32.load (i32.const 8))))").as_bytes()).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("files as they are now")), "{:?}", report.warnings);
}

#[test]
fn values_are_checked_by_name_not_by_presence() {
    // Wizer refuses a module that merely has these instructions.
    let text = r#"(module (table 1 externref) (table 1 funcref) (elem $e func)
        (func (export "wizer.initialize"))
        (func (export "later") (param externref)
            (table.set 0 (i32.const 0) (local.get 0)) (table.init 1 $e (i32.const 0) (i32.const 0) (i32.const 0))
            (drop (table.grow 0 (local.get 0) (i32.const 1)))))"#;
    Preinit::new().run(text.as_bytes()).unwrap();
}
