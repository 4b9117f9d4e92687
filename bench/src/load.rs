//! Loading an artifact from its file beside a peer: modules of ten to thirty thousand functions.
//!
//! ```text
//!  cargo run --release -- --load [--quick]
//! ```
//!
//! Both map a file that they made themselves and that is in the page cache. A time is that of one `deserialize_file`,
//! in turns, without dropping the module.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, ExportKind, ExportSection, Function, FunctionSection,
    IndirectNameMap, MemorySection, MemoryType, NameMap, NameSection, RefType, TableSection, TableType, TypeSection,
    ValType,
};

use crate::options::Options;
use crate::table::{Table, Unit};

/// Sizes of the modules in functions.
const SIZES: [u32; 4] = [10, 1_000, 10_000, 30_000];

/// Loads of one before it is the other's turn.
const BATCH: usize = 10;

/// Two tables: the time of one load, and the artifacts' sizes.
pub fn tables(options: &Options) -> Result<Vec<Table>> {
    let settings = "deserialize_file of an artifact of its own";
    let columns = |table: Table| table.ours("hotfoot", settings).peer("Wasmtime", settings);
    let mut times = columns(Table::new("load", "loading an artifact from its file", Unit::Nanoseconds));
    let mut sizes = columns(Table::new("artifact size", "bytes of the artifact's file", Unit::Bytes));
    for (label, exports) in [("", 10), (", each exported", 1)] {
        for size in SIZES {
            let name = format!("{size} functions{label}");
            if !options.wants("load", &name) {
                continue;
            }
            let wasm = module(size, exports);
            let folder = std::env::temp_dir();
            let [ours, peer] =
                ["hotfoot", "peer"].map(|who| folder.join(format!("bench-load-{who}-{}", std::process::id())));
            let row = measure(&wasm, &ours, &peer, options.rounds(200, 20));
            let lengths = [&ours, &peer].map(|path| vec![std::fs::metadata(path).map_or(0, |file| file.len()) as f64]);
            for path in [&ours, &peer] {
                let _ = std::fs::remove_file(path);
            }
            times.row(&name, row?);
            sizes.row(name, lengths);
        }
    }
    Ok(vec![times, sizes])
}

fn measure(wasm: &[u8], ours: &PathBuf, peer: &PathBuf, rounds: usize) -> Result<[Vec<f64>; 2]> {
    let (mut load_ours, mut load_peer) = (prepare_ours(wasm, ours)?, prepare_peer(wasm, peer)?);
    let mut times = [const { Vec::new() }; 2];
    // In turns, but several of each: what one does to the processor's caches is not the other's.
    for _ in 0..rounds.div_ceil(BATCH) {
        for (times, load) in
            times.iter_mut().zip([&mut load_ours as &mut dyn FnMut() -> Result<Duration>, &mut load_peer])
        {
            load()?;
            for _ in 0..BATCH {
                times.push(load()?.as_nanos() as f64);
            }
        }
    }
    Ok(times)
}

fn prepare_ours(wasm: &[u8], path: &Path) -> Result<impl FnMut() -> Result<Duration> + use<>> {
    let engine = hotfoot::Engine::default();
    std::fs::write(path, engine.precompile_module(wasm)?)?;
    let path = path.to_owned();
    Ok(move || {
        let start = Instant::now();
        // SAFETY: the file is ours, written above and changed by nobody.
        let module = unsafe { hotfoot::Module::deserialize_file(&engine, &path)? };
        let time = start.elapsed();
        black_box(module);
        Ok(time)
    })
}

fn prepare_peer(wasm: &[u8], path: &Path) -> Result<impl FnMut() -> Result<Duration> + use<>> {
    let failed = |error: wasmtime::Error| anyhow::anyhow!("{error:?}");
    let engine = wasmtime::Engine::default();
    std::fs::write(path, engine.precompile_module(wasm).map_err(failed)?)?;
    let path = path.to_owned();
    Ok(move || {
        let start = Instant::now();
        // SAFETY: the file is ours, written above and changed by nobody.
        let module = unsafe { wasmtime::Module::deserialize_file(&engine, &path).map_err(failed)? };
        let time = start.elapsed();
        black_box(module);
        Ok(time)
    })
}

/// A module with so many functions: each has a name, calls the next one, and is in a table; one in `exports` is
/// exported.
fn module(functions: u32, exports: u32) -> Vec<u8> {
    const TYPES: u32 = 8;
    let mut types = TypeSection::new();
    for params in 0..TYPES {
        types.ty().function(vec![ValType::I32; params as usize], [ValType::I32]);
    }
    let (mut section, mut code, mut exported, mut names) =
        (FunctionSection::new(), CodeSection::new(), ExportSection::new(), NameMap::new());
    for index in 0..functions {
        section.function(index % TYPES);
        let mut body = Function::new([(1, ValType::I32)]);
        let mut instructions = body.instructions();
        let next = (index + 1) % functions;
        for _ in 0..next % TYPES {
            instructions.i32_const(index as i32);
        }
        instructions.call(next).local_set(index % TYPES).local_get(index % TYPES);
        instructions.i32_load(wasm_encoder::MemArg { offset: 4, align: 2, target: Default::default(), ordering: None });
        instructions.i32_const(index as i32).i32_div_u().local_get(index % TYPES).i32_add().end();
        code.function(&body);
        let name = format!("module_{}_function_{index}", index % 7);
        if index % exports == 0 {
            exported.export(&name, ExportKind::Func, index);
        }
        names.append(index, &name);
    }
    let mut tables = TableSection::new();
    let table_type = TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: functions.into(),
        maximum: None,
        shared: false,
    };
    tables.table(table_type);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (0..functions).collect();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(all.into()));
    let mut name_section = NameSection::new();
    name_section.functions(&names);
    name_section.locals(&IndirectNameMap::new());
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&section).section(&tables).section(&memories).section(&exported);
    module.section(&elements).section(&code).section(&name_section);
    module.finish()
}
