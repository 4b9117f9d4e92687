//! Backtraces that name the guest's source, and debug information that is not what it should be.

use std::path::Path;

use hotfoot::{Config, Engine, FrameSymbol, Instance, Module, Store, WasmBacktrace, WasmBacktraceDetails};

/// Made from `divide.c`, which lies beside it.
const DIVIDE: &[u8] = include_bytes!("../../../../tests/cli/data/divide.wasm");

fn backtrace(config: &Config, wasm: &[u8]) -> hotfoot::Error {
    let engine = Engine::new(config).unwrap();
    let module = Module::new(&engine, wasm).unwrap();
    // What is loaded from an artifact is as good as what was just compiled.
    // SAFETY: S6, made by this engine a moment ago.
    let module = unsafe { Module::deserialize(&engine, module.serialize().unwrap()) }.unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    run.call(&mut store, 0).unwrap_err()
}

fn places(symbols: &[FrameSymbol]) -> Vec<(&str, &str, u32)> {
    let file = |symbol: &'_ FrameSymbol| symbol.file().unwrap().rfind('/').map_or(0, |at| at + 1);
    let place = symbols
        .iter()
        .map(|symbol| (symbol.name().unwrap(), &symbol.file().unwrap()[file(symbol)..], symbol.line().unwrap()));
    place.collect()
}

#[test]
fn each_frame_names_its_line_and_what_was_inlined() {
    let error = backtrace(&Config::new(), DIVIDE);
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    let [compute, run] = backtrace.frames() else { panic!("{backtrace}") };
    assert_eq!(places(compute.symbols()), [("divide", "divide.c", 7), ("compute", "divide.c", 13)]);
    assert_eq!(places(run.symbols()), [("run", "divide.c", 17)]);
    let text = backtrace.to_string();
    assert!(text.contains("divide.c:7") && text.contains("inlined into compute"), "{text}");
}

#[test]
fn details_can_be_left_out() {
    let error = backtrace(Config::new().wasm_backtrace_details(WasmBacktraceDetails::Disable), DIVIDE);
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    assert_eq!(backtrace.frames().len(), 2);
    assert!(backtrace.frames().iter().all(|frame| frame.symbols().is_empty()), "{backtrace}");
}

/// The debug information is the guest's: whatever its bytes are, there is a backtrace and no panic.
#[test]
fn damaged_debug_information_is_survived() {
    let start = DIVIDE.windows(7).position(|window| window == b".debug_").unwrap();
    let (mut state, mut tried) = (1u32, 0);
    for _ in 0..200 {
        let mut damaged = DIVIDE.to_vec();
        for _ in 0..5 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = start + (state >> 8) as usize % (damaged.len() - start);
            damaged[at] ^= 1 << (state >> 29);
        }
        // Where the length of a section was hit, it is no module any more.
        if Module::validate(&Engine::default(), &damaged).is_err() {
            continue;
        }
        tried += 1;
        let error = backtrace(&Config::new(), &damaged);
        let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
        assert_eq!(backtrace.frames().len(), 2);
        assert!(!backtrace.to_string().is_empty());
    }
    assert!(tried > 50, "{tried} of 200 were modules");
}

/// The functions and lines of both frames of a module in a file.
fn places_of_file(engine: &Engine, file: &Path) -> [Vec<(String, String, u32)>; 2] {
    let is_artifact = Engine::detect_precompiled_file(file).unwrap().is_some();
    let module = match is_artifact {
        // SAFETY: S6, made by this test.
        true => unsafe { Module::deserialize_file(engine, file) },
        false => Module::from_file(engine, file),
    };
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module.unwrap(), &[]).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 0).unwrap_err();
    let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
    let [compute, run] = backtrace.frames() else { panic!("{backtrace}") };
    [compute, run].map(|frame| {
        let places = places(frame.symbols()).into_iter();
        places.map(|(name, file, line)| (name.to_owned(), file.to_owned(), line)).collect()
    })
}

fn all_places() -> [Vec<(String, String, u32)>; 2] {
    let place = |name: &str, line| (name.to_owned(), "divide.c".to_owned(), line);
    [vec![place("divide", 7), place("compute", 13)], vec![place("run", 17)]]
}

/// A module without its custom sections, and with this one instead.
fn with_section(wasm: &[u8], name: &str, contents: &[u8]) -> Vec<u8> {
    let mut stripped = wasm[..8].to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let Some((id, range)) = payload.unwrap().as_section() else { continue };
        let range = range.start as usize..range.end as usize;
        if id != 0 {
            // Debug information counts from the start of the code, wherever that is.
            stripped.push(id);
            stripped
                .extend((0..5).map(|byte| (range.len() >> (7 * byte)) as u8 & 0x7f | if byte < 4 { 0x80 } else { 0 }));
            stripped.extend_from_slice(&wasm[range]);
        }
    }
    let len = 1 + name.len() + contents.len();
    stripped.extend([0, u8::try_from(len).unwrap(), name.len() as u8]);
    stripped.extend_from_slice(name.as_bytes());
    stripped.extend_from_slice(contents);
    stripped
}

#[test]
fn debug_information_lies_in_the_file_that_the_module_names() {
    let folder = tempfile::tempdir().unwrap();
    let (main, debug) = (folder.path().join("main.wasm"), folder.path().join("divide.debug.wasm"));
    let module = with_section(DIVIDE, "external_debug_info", b"\x11divide.debug.wasm");
    std::fs::write(&main, &module).unwrap();
    let engine = Engine::default();
    assert_eq!(places_of_file(&engine, &main), [vec![], vec![]], "there is no such file yet");
    std::fs::write(&debug, DIVIDE).unwrap();
    assert_eq!(places_of_file(&engine, &main), all_places());
    let artifact = folder.path().join("main.hotfoot");
    std::fs::write(&artifact, engine.precompile_module(&module).unwrap()).unwrap();
    assert_eq!(places_of_file(&engine, &artifact), all_places());
    // The guest cannot name what lies elsewhere.
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let outside = with_section(DIVIDE, "external_debug_info", b"\x14../divide.debug.wasm");
    std::fs::write(inner.join("main.wasm"), outside).unwrap();
    assert_eq!(places_of_file(&engine, &inner.join("main.wasm")), [vec![], vec![]]);
    for garbage in [&b""[..], b"\0asm", &DIVIDE[..DIVIDE.len() / 2], b"\x7fELF and so on"] {
        std::fs::write(&debug, garbage).unwrap();
        show_backtrace(&engine, &main);
    }
    std::fs::remove_file(&debug).unwrap();
    std::fs::create_dir(&debug).unwrap();
    assert_eq!(places_of_file(&engine, &main), [vec![], vec![]]);
}

/// With `-gsplit-dwarf`, the module's own sections have lines only; names and what was inlined are in the package.
#[test]
fn split_debug_information_lies_in_a_package() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("split.wasm");
    std::fs::write(&main, include_bytes!("../../../../tests/cli/data/split.wasm")).unwrap();
    let engine = Engine::default();
    let module = Module::from_file(&engine, &main).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 0).unwrap_err();
    let symbols = error.downcast_ref::<WasmBacktrace>().unwrap().frames()[0].symbols();
    assert_eq!((symbols[0].name(), symbols[0].line()), (None, Some(7)));
    let package = include_bytes!("../../../../tests/cli/data/split.dwp");
    std::fs::write(folder.path().join("split.dwp"), package).unwrap();
    assert_eq!(places_of_file(&engine, &main), all_places());
    for len in (0..package.len()).step_by(13) {
        std::fs::write(folder.path().join("split.dwp"), &package[..len]).unwrap();
        show_backtrace(&engine, &main);
    }
}

/// Asks for all that a backtrace shows, whatever it is.
fn show_backtrace(engine: &Engine, file: &Path) {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &Module::from_file(engine, file).unwrap(), &[]).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    assert!(!run.call(&mut store, 0).unwrap_err().downcast_ref::<WasmBacktrace>().unwrap().to_string().is_empty());
}
