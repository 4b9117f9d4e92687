//! Core dumps, read by a parser that is not ours.

use hotfoot::{Config, Engine, Global, GlobalType, Instance, Linker, Memory, MemoryType, Module, Mutability, Store};
use hotfoot::{SharedMemory, Trap, Val, ValType, WasmBacktrace, WasmCoreDump};
use wasmparser::{CoreDumpValue, DataKind, KnownCustom, Parser, Payload, Validator, WasmFeatures};

/// What a dump says.
#[derive(Default)]
struct Dump {
    process: String,
    modules: Vec<String>,
    /// Module, memories, globals.
    instances: Vec<(u32, Vec<u32>, Vec<u32>)>,
    /// Instance, function, offset, number of locals, all of which must be missing.
    frames: Vec<(u32, u32, u32, usize)>,
    memories: Vec<wasmparser::MemoryType>,
    /// The constant, as the parser shows it.
    globals: Vec<String>,
    /// Memory, the constant that is its offset, bytes.
    data: Vec<(u32, String, Vec<u8>)>,
}

fn constant(expression: &wasmparser::ConstExpr<'_>) -> String {
    format!("{:?}", expression.get_operators_reader().read().unwrap())
}

fn read(bytes: &[u8]) -> Dump {
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).unwrap();
    let mut dump = Dump::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::CoreDump(process) => dump.process = process.name.to_owned(),
                KnownCustom::CoreDumpModules(modules) => {
                    dump.modules = modules.modules.iter().map(|name| (*name).to_owned()).collect();
                }
                KnownCustom::CoreDumpInstances(section) => {
                    let parts = |instance: wasmparser::CoreDumpInstance| {
                        (instance.module_index, instance.memories, instance.globals)
                    };
                    dump.instances = section.instances.into_iter().map(parts).collect();
                }
                KnownCustom::CoreDumpStack(stack) => {
                    for frame in stack.frames {
                        assert!(frame.locals.iter().all(|local| matches!(local, CoreDumpValue::Missing)));
                        assert!(frame.stack.is_empty());
                        dump.frames.push((frame.instanceidx, frame.funcidx, frame.codeoffset, frame.locals.len()));
                    }
                }
                _ => panic!("another section: {}", section.name()),
            },
            Payload::MemorySection(section) => dump.memories = section.into_iter().map(Result::unwrap).collect(),
            Payload::GlobalSection(section) => {
                let globals = section.into_iter().map(Result::unwrap);
                dump.globals = globals.map(|global| constant(&global.init_expr)).collect();
            }
            Payload::DataSection(section) => {
                for segment in section.into_iter().map(Result::unwrap) {
                    let DataKind::Active { memory_index, offset_expr } = segment.kind else {
                        panic!("a passive segment")
                    };
                    dump.data.push((memory_index, constant(&offset_expr), segment.data.to_vec()));
                }
            }
            _ => {}
        }
    }
    dump
}

fn engine() -> Engine {
    Engine::new(Config::new().coredump_on_trap(true).wasm_custom_page_sizes(true).wasm_threads(true)).unwrap()
}

#[test]
fn a_trap_leaves_memory_globals_and_stack() {
    let engine = engine();
    let text = r#"(module $broken
        (memory 3) (data (i32.const 70000) "hello")
        (global (mut i32) (i32.const -5)) (global i64 (i64.const 1234567890123)) (global f64 (f64.const 0.5))
        (func $inner (param i32 i64) (local f32)
            (global.set 0 (local.get 0))
            unreachable)
        (func (export "f") (call $inner (i32.const -129) (i64.const 2))))"#;
    let module = Module::new(&engine, text).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let error = f.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::UnreachableCodeReached));
    assert_eq!(error.downcast_ref::<WasmBacktrace>().unwrap().frames().len(), 2);
    let core = error.downcast_ref::<WasmCoreDump>().unwrap();
    assert_eq!((core.modules().len(), core.instances().len(), core.globals().len()), (1, 1, 3));
    let dump = read(&core.serialize(&mut store, "the program"));
    assert_eq!((dump.process.as_str(), dump.modules), ("the program", vec!["broken".to_owned()]));
    assert_eq!(dump.instances, [(0, vec![0], vec![0, 1, 2])]);
    // `unreachable` comes after the declaration of a local (3 bytes) and two instructions of two bytes.
    assert_eq!(dump.frames, [(0, 0, 7, 2), (0, 1, 6, 0)]);
    assert_eq!(dump.memories[0].initial, 3);
    assert_eq!(dump.globals[0], "I32Const { value: -129 }");
    assert_eq!(dump.globals[1], "I64Const { value: 1234567890123 }");
    let [(0, offset, bytes)] = &dump.data[..] else { panic!("{} segments", dump.data.len()) };
    assert_eq!((offset.as_str(), &bytes[70000 - 69632..][..5]), ("I32Const { value: 69632 }", &b"hello"[..]));
}

/// Memories and globals of all kinds, shared between two instances of two modules.
#[test]
fn all_kinds_of_memories_and_globals_are_written() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let global = GlobalType::new(ValType::V128, Mutability::Const);
    let global = Global::new(&mut store, global, Val::V128(7.into())).unwrap();
    let host_memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    host_memory.write(&mut store, 65530, b"atend").unwrap();
    let shared = SharedMemory::new(&engine, MemoryType::shared(1, 2)).unwrap();
    shared.write(8191, b"ab").unwrap();
    linker.define(&mut store, "host", "global", global).unwrap();
    linker.define(&mut store, "host", "memory", host_memory).unwrap();
    linker.define(&mut store, "host", "shared", shared).unwrap();
    let library = r#"(module
        (import "host" "memory" (memory 1)) (memory i64 1) (memory 10 (pagesize 1))
        (data (memory 1) (i64.const 0) "\01") (data (memory 2) (i32.const 9) "x")
        (global (export "g") funcref (ref.func 0)) (global externref (ref.null extern)) (global f32 (f32.const nan))
        (func (export "trap") (drop (i32.load8_u 2 (i32.const 10)))))"#;
    let library = Module::new(&engine, library).unwrap();
    let library = linker.instantiate(&mut store, &library).unwrap();
    linker.instance(&mut store, "library", library).unwrap();
    let program = r#"(module
        (import "host" "global" (global v128)) (import "library" "g" (global funcref))
        (import "library" "trap" (func)) (import "host" "shared" (memory 1 2 shared))
        (func (export "f") (param i32) (call 0)))"#;
    let program = linker.instantiate(&mut store, &Module::new(&engine, program).unwrap()).unwrap();
    let f = program.get_typed_func::<i32, ()>(&mut store, "f").unwrap();
    let error = f.call(&mut store, 1).unwrap_err();
    let dump = read(&error.downcast_ref::<WasmCoreDump>().unwrap().serialize(&mut store, ""));
    assert_eq!(dump.instances[0], (0, vec![0, 1, 2], vec![0, 1, 2]));
    assert_eq!(dump.instances[1], (1, vec![3], vec![3, 0]));
    let frames: Vec<(u32, u32, usize)> = dump.frames.iter().map(|frame| (frame.0, frame.1, frame.3)).collect();
    assert_eq!(frames, [(0, 0, 0), (1, 1, 1)]);
    assert_eq!((dump.memories[1].memory64, dump.memories[2].page_size_log2), (true, Some(0)));
    assert_eq!(dump.data.len(), 4);
    let segment = |memory: u32| dump.data.iter().find(|(index, ..)| *index == memory).unwrap();
    assert_eq!((segment(0).1.as_str(), segment(0).2.ends_with(b"atend\0")), ("I32Const { value: 61440 }", true));
    assert_eq!((segment(1).1.as_str(), segment(1).2[0]), ("I64Const { value: 0 }", 1));
    assert_eq!(segment(2).2, b"\0\0\0\0\0\0\0\0\0x");
    assert_eq!((segment(3).2.len(), &segment(3).2[4095..4097]), (8192, &b"ab"[..]));
    assert_eq!(dump.globals.len(), 4);
}

#[test]
fn without_the_setting_there_is_none() {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (func (export "f") unreachable))"#).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let error = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()).unwrap_err();
    assert!(error.downcast_ref::<WasmCoreDump>().is_none());
}
