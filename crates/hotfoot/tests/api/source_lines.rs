//! Backtraces that name the guest's source, and debug information that is not what it should be.

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
