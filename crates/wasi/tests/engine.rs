//! Preview 1 through the engine: real imports, real memory, real exits.

use hotfoot::{Engine, Linker, Module, Store, Trap};
use hotfoot_wasi::{I32Exit, MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, p1};

fn linker(engine: &Engine) -> Linker<WasiCtx> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    linker
}

/// Runs `_start` of a module in the text format.
fn run(text: &str, ctx: WasiCtx) -> hotfoot::Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ctx);
    let instance = linker(&engine).instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
}

/// The types of the 46 functions: `i` is i32, `l` is i64; all but `proc_exit` return an i32.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

fn import(name: &str, params: &str) -> String {
    let params: String = params.chars().map(|param| if param == 'i' { " i32" } else { " i64" }).collect();
    let result = if name == "proc_exit" { "" } else { "(result i32)" };
    format!("(import \"{}\" \"{name}\" (func ${name} (param{params}) {result}))\n", p1::MODULE)
}

fn imports() -> String {
    FUNCTIONS.iter().map(|(name, params)| import(name, params)).collect()
}

#[test]
fn all_functions_are_there_with_their_types() {
    assert_eq!(FUNCTIONS.len(), 46);
    let text = format!("(module {} (memory (export \"memory\") 1) (func (export \"_start\")))", imports());
    run(&text, WasiCtxBuilder::new().build()).unwrap();
}

#[test]
fn a_program_copies_its_input_to_its_output_and_exits() {
    let output = MemoryOutputPipe::new(100);
    let ctx = WasiCtxBuilder::new().stdin(MemoryInputPipe::new("hello")).stdout(output.clone()).build();
    let text = format!(
        r#"(module {} (memory (export "memory") 1)
            (data (i32.const 8) "\20\00\00\00\40\00\00\00")
            (func (export "_start")
                (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 12)))
                (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
                (call $proc_exit (i32.load (i32.const 16)))
                unreachable))"#,
        imports()
    );
    let error = run(&text, ctx).unwrap_err();
    assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(5)), "{error:?}");
    assert_eq!(output.contents(), b"hello");
}

#[test]
fn errors_are_numbers_and_a_program_goes_on() {
    let text = format!(
        r#"(module {} (memory (export "memory") 1)
            (func $expect (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))
            (func (export "_start")
                (call $expect (call $fd_close (i32.const 9)) (i32.const 8))
                (call $expect (call $fd_write (i32.const 1) (i32.const -1) (i32.const 1) (i32.const 0)) (i32.const 21))
                (call $expect (call $random_get (i32.const 65536) (i32.const 1)) (i32.const 21))
                (call $expect (call $random_get (i32.const 65535) (i32.const 1)) (i32.const 0))
                (call $expect (call $proc_raise (i32.const 0)) (i32.const 0))
                (call $expect (call $sched_yield) (i32.const 0))))"#,
        imports()
    );
    run(&text, WasiCtxBuilder::new().build()).unwrap();
}

#[test]
fn a_raised_signal_ends_the_program_as_a_shell_reports_it() {
    let text = format!(
        r#"(module {} (memory (export "memory") 1) (func (export "_start") (drop (call $proc_raise (i32.const 6)))))"#,
        imports()
    );
    let error = run(&text, WasiCtxBuilder::new().build()).unwrap_err();
    assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(134)));
}

#[test]
fn a_module_without_a_memory_is_told_so() {
    let text = format!(
        r#"(module {} (func (export "_start") (drop (call $random_get (i32.const 0) (i32.const 0)))))"#,
        import("random_get", "ii")
    );
    let error = run(&text, WasiCtxBuilder::new().build()).unwrap_err();
    assert!(format!("{error:#}").contains("exports no memory named \"memory\""), "{error:#}");
    assert!(error.downcast_ref::<Trap>().is_none());
}

#[test]
fn the_context_can_be_a_part_of_the_stores_data() {
    struct State {
        calls: u32,
        wasi: WasiCtx,
    }
    let engine = Engine::default();
    let mut linker = Linker::<State>::new(&engine);
    p1::add_to_linker(&mut linker, |state| {
        state.calls += 1;
        &mut state.wasi
    })
    .unwrap();
    let text = format!(
        r#"(module {} (func (export "_start") (drop (call $sched_yield)) (drop (call $fd_close (i32.const 0)))))"#,
        imports()
    );
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, State { calls: 0, wasi: WasiCtxBuilder::new().build() });
    let instance = linker.instantiate(&mut store, &module).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(store.data().calls, 2);
    assert!(p1::add_to_linker(&mut linker, |state| &mut state.wasi).is_err(), "defining twice is an error");
}
