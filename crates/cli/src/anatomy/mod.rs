//! What is in a module or artifact: the facts that `hotfoot inspect` shows, gathered from either.
//!
//! Types are in the text format. Indices count imports first, as everywhere.

mod sections;
pub mod start;

use anyhow::Result;
use hotfoot_artifact::{Artifact, DataMode, ElementItems, ElementMode, EntityIndex, EntityType, ModuleInfo};
use hotfoot_compile::WasmFeatures;
use serde::Serialize;

pub use sections::Section;
pub use start::{Finding, Speed};

/// How many of the largest functions are named.
const LARGEST: usize = 5;

/// A module or artifact, taken apart.
#[derive(Debug, Serialize)]
pub struct Anatomy {
    /// `module` or `artifact`.
    pub kind: &'static str,
    /// Its name, from its name section.
    pub name: Option<String>,
    /// The size of the file.
    pub bytes: u64,
    /// The machine that an artifact needs.
    pub target: Option<TargetNeeds>,
    /// The parts of the file, in order.
    pub sections: Vec<Section>,
    /// Imports, in order.
    pub imports: Vec<Import>,
    /// Exports, in order.
    pub exports: Vec<Export>,
    /// Memories, by index.
    pub memories: Vec<Memory>,
    /// Tables, by index.
    pub tables: Vec<Table>,
    /// Functions, counted and the largest named.
    pub functions: Functions,
    /// What will be fast or slow to start, and why.
    pub start: Vec<Finding>,
}

/// What an artifact asks of the machine that runs it.
#[derive(Debug, Serialize)]
pub struct TargetNeeds {
    /// Its triple.
    pub triple: String,
    /// Extensions of the instruction set.
    pub extensions: Vec<String>,
    /// Those of them that this machine does not have.
    pub missing_here: Vec<String>,
}

/// An import.
#[derive(Debug, Serialize)]
pub struct Import {
    /// The module that it is from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

/// An export.
#[derive(Debug, Serialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

/// A memory and what it begins with.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Whether it comes from elsewhere.
    pub imported: bool,
    /// Its type.
    pub r#type: String,
    /// The size that it begins with.
    pub minimum_bytes: u64,
    /// Bytes in the segments that instantiation writes to it.
    pub data_bytes: u64,
    /// How many such segments there are.
    pub data_segments: u64,
    /// Pages of 4 KiB that they touch, as far as their places are known.
    pub data_pages: u64,
    /// Bytes from the first to the last of these.
    pub data_span: u64,
    /// Segments whose place depends on an imported global.
    pub segments_placed_by_imports: u64,
}

/// A table and what it begins with.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Whether it comes from elsewhere.
    pub imported: bool,
    /// Its type.
    pub r#type: String,
    /// Elements that it has at first.
    pub minimum: u64,
    /// Elements in the segments that instantiation writes to it.
    pub elements: u64,
    /// Segments whose place depends on an imported global.
    pub segments_placed_by_imports: u64,
}

/// The functions of a module.
#[derive(Debug, Serialize)]
pub struct Functions {
    /// How many are imported.
    pub imported: u32,
    /// How many it has itself.
    pub defined: u32,
    /// How many of these can be called by reference: exported, in a table, or started.
    pub referenced: u32,
    /// Bytes of all bodies; in an artifact, of their machine code.
    pub bytes: u64,
    /// The largest ones.
    pub largest: Vec<Function>,
}

/// A function.
#[derive(Debug, Serialize)]
pub struct Function {
    /// Its index.
    pub index: u32,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Bytes of its body or of its machine code.
    pub bytes: u64,
}

/// What both kinds of file tell, before it is described.
struct Source<'a> {
    info: ModuleInfo,
    exports: Vec<(String, EntityIndex)>,
    function_type: Box<dyn Fn(u32) -> Option<u32> + 'a>,
    function_name: Box<dyn Fn(u32) -> Option<String> + 'a>,
    /// Bytes of each defined function.
    sizes: Vec<u64>,
}

/// Takes a module apart. Its functions' bodies are not looked into.
///
/// # Errors
/// When it is invalid, or uses what hotfoot does not support.
pub fn of_module(wasm: &[u8]) -> Result<Anatomy> {
    let outline = hotfoot_compile::outline(wasm, WasmFeatures::all())?;
    let source = Source {
        info: outline.info.clone(),
        exports: outline.exports.iter().map(|export| (export.name.clone(), export.entity)).collect(),
        function_type: Box::new(|function| outline.function_types.get(function as usize).copied()),
        function_name: Box::new(|function| outline.function_name(function).map(str::to_owned)),
        sizes: outline.bodies.iter().map(|body| body.end - body.start).collect(),
    };
    let mut anatomy = describe(source, "module", wasm.len(), sections::of_module(wasm)?);
    anatomy.start = start::findings(&anatomy, &outline.info);
    Ok(anatomy)
}

/// Takes an artifact apart.
///
/// # Errors
/// When it is damaged or of another version.
pub fn of_artifact(bytes: &[u8]) -> Result<Anatomy> {
    let artifact = Artifact::parse(bytes)?;
    artifact.check_body()?;
    let info = artifact.info()?;
    let source = Source {
        info: info.clone(),
        exports: artifact.exports().map(|(name, entity)| (name.to_owned(), entity)).collect(),
        function_type: Box::new(|function| Some(artifact.function_types.get(function as usize)?.get())),
        function_name: Box::new(|function| artifact.function_name(function).map(str::to_owned)),
        sizes: artifact.functions.iter().map(|range| range.len.get().into()).collect(),
    };
    let mut anatomy = describe(source, "artifact", bytes.len(), sections::of_artifact(&artifact)?);
    anatomy.target = Some(TargetNeeds {
        triple: artifact.header.target.clone(),
        extensions: artifact.header.isa_flags.clone(),
        missing_here: missing_here(&artifact.header),
    });
    anatomy.start = start::findings(&anatomy, &info);
    Ok(anatomy)
}

/// Extensions that the artifact needs and this machine lacks; all of them on another kind of processor.
fn missing_here(header: &hotfoot_artifact::Header) -> Vec<String> {
    let here = hotfoot_compile::Target::host().and_then(|host| host.settings()).unwrap_or_default();
    let has = |flag: &&String| here.iter().any(|here| here.name == **flag && here.value.as_deref() == Some("true"));
    header.isa_flags.iter().filter(|flag| !has(flag)).cloned().collect()
}

fn describe(source: Source<'_>, kind: &'static str, len: usize, sections: Vec<Section>) -> Anatomy {
    let info = &source.info;
    let func = |ty: u32| info.types.get(ty as usize).map(ToString::to_string).unwrap_or_default();
    let type_of = |entity: EntityIndex| match entity {
        EntityIndex::Func(index) => func((source.function_type)(index).unwrap_or(u32::MAX)),
        EntityIndex::Table(index) => info.tables[index as usize].to_string(),
        EntityIndex::Memory(index) => info.memories[index as usize].to_string(),
        EntityIndex::Global(index) => info.globals[index as usize].to_string(),
        EntityIndex::Tag(index) => func(info.tags[index as usize]).replacen("(func", "(tag", 1),
    };
    let imports = info.imports.iter().map(|import| Import {
        module: import.module.clone(),
        name: import.name.clone(),
        r#type: match &import.ty {
            EntityType::Func(ty) => func(*ty),
            EntityType::Table(ty) => ty.to_string(),
            EntityType::Memory(ty) => ty.to_string(),
            EntityType::Global(ty) => ty.to_string(),
            EntityType::Tag(ty) => func(*ty).replacen("(func", "(tag", 1),
        },
    });
    let exports = source.exports.iter().map(|(name, entity)| Export { name: name.clone(), r#type: type_of(*entity) });
    Anatomy {
        kind,
        name: info.name.clone(),
        bytes: len as u64,
        target: None,
        sections,
        imports: imports.collect(),
        exports: exports.collect(),
        memories: memories(info),
        tables: tables(info),
        functions: functions(&source),
        start: Vec::new(),
    }
}

fn memories(info: &ModuleInfo) -> Vec<Memory> {
    const PAGE: u64 = 4096;
    let imported = info.counts().imported_memories;
    let of = |(index, ty): (u32, &hotfoot_artifact::MemoryType)| {
        let mut memory = Memory {
            imported: index < imported,
            r#type: ty.to_string(),
            minimum_bytes: ty.minimum().saturating_mul(ty.page_size()),
            data_bytes: 0,
            data_segments: 0,
            data_pages: 0,
            data_span: 0,
            segments_placed_by_imports: 0,
        };
        let mut places = Vec::new();
        for segment in &info.data {
            let DataMode::Active { memory: target, offset } = &segment.mode else { continue };
            if *target != index {
                continue;
            }
            let len = segment.bytes.end - segment.bytes.start;
            memory.data_bytes += len;
            memory.data_segments += 1;
            match start::constant(offset) {
                Some(start) if len > 0 => places.push((start, start.saturating_add(len))),
                Some(_) => {}
                None => memory.segments_placed_by_imports += 1,
            }
        }
        for stretch in info.initial.iter().filter(|stretch| stretch.memory == index) {
            memory.data_bytes += stretch.end() - stretch.offset;
            memory.data_segments += 1;
            places.push((stretch.offset, stretch.end()));
        }
        places.sort_unstable();
        let mut next_page = 0;
        for (start, end) in &places {
            let (first, last) = (start / PAGE, (end - 1) / PAGE);
            memory.data_pages += (last + 1).saturating_sub(first.max(next_page));
            next_page = next_page.max(last + 1);
        }
        let end = places.iter().map(|(_, end)| *end).max().unwrap_or_default();
        memory.data_span = end - places.first().map_or(end, |(start, _)| *start);
        memory
    };
    (0..).zip(&info.memories).map(of).collect()
}

fn tables(info: &ModuleInfo) -> Vec<Table> {
    let imported = info.counts().imported_tables;
    let of = |(index, ty): (u32, &hotfoot_artifact::TableType)| {
        let mut table = Table {
            imported: index < imported,
            r#type: ty.to_string(),
            minimum: ty.minimum,
            elements: 0,
            segments_placed_by_imports: 0,
        };
        for segment in &info.elements {
            let ElementMode::Active { table: target, offset } = &segment.mode else { continue };
            if *target != index {
                continue;
            }
            table.elements += match &segment.items {
                ElementItems::Functions(range) => u64::from(range.end - range.start),
                ElementItems::Expressions(items) => items.len() as u64,
            };
            table.segments_placed_by_imports += u64::from(start::constant(offset).is_none());
        }
        table
    };
    (0..).zip(&info.tables).map(of).collect()
}

fn functions(source: &Source<'_>) -> Functions {
    let imported = source.info.counts().imported_funcs;
    let mut by_size: Vec<(u64, u32)> = source.sizes.iter().copied().zip(imported..).collect();
    by_size.sort_by_key(|(bytes, index)| (std::cmp::Reverse(*bytes), *index));
    let largest = by_size.iter().take(LARGEST).map(|(bytes, index)| Function {
        index: *index,
        name: (source.function_name)(*index),
        bytes: *bytes,
    });
    Functions {
        imported,
        defined: source.sizes.len() as u32,
        referenced: source.info.escaping_funcs,
        bytes: source.sizes.iter().sum(),
        largest: largest.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Anatomy {
        of_module(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn data_is_measured_in_pages() {
        let memory = |segments: &str| {
            let mut anatomy = of(&format!("(module (import \"a\" \"g\" (global i32)) (memory 100) {segments})"));
            let memory = anatomy.memories.remove(0);
            (memory.data_bytes, memory.data_segments, memory.data_pages, memory.data_span)
        };
        assert_eq!(memory(""), (0, 0, 0, 0));
        assert_eq!(memory("(data (i32.const 8) \"ab\")"), (2, 1, 1, 2));
        assert_eq!(memory("(data (i32.const 4095) \"ab\") (data (i32.const 8) \"ab\")"), (4, 2, 2, 4089));
        assert_eq!(memory("(data (i32.const 8) \"ab\") (data (i32.const 0x100000) \"c\")"), (3, 2, 2, 0x0f_fff9));
        assert_eq!(memory("(data (global.get 0) \"ab\") (data \"passive\")"), (2, 1, 0, 0));
        assert_eq!(memory("(data (i32.const -1) \"\")"), (0, 1, 0, 0));
    }

    #[test]
    fn a_module_and_its_artifact_tell_the_same() {
        let wasm = wat::parse_str(
            "(module $both (import \"a\" \"f\" (func (param i32))) (import \"a\" \"t\" (tag (param i64)))
             (memory (export \"m\") 1 2) (table 3 funcref) (global (export \"g\") (mut i32) (i32.const 0))
             (func $f (export \"f\") (result i64) (i64.const 1)) (func) (elem (i32.const 1) $f) (start 2)
             (data (i32.const 0) \"abc\"))",
        )
        .unwrap();
        let engine = hotfoot::Engine::default();
        let (module, artifact) = (of_module(&wasm), of_artifact(&engine.precompile_module(&wasm).unwrap()));
        let (module, artifact) = (module.unwrap(), artifact.unwrap());
        let interface = |a: &Anatomy| format!("{:?}", (&a.name, &a.imports, &a.exports, &a.memories, &a.tables));
        assert_eq!(interface(&module), interface(&artifact));
        let counts = |a: &Anatomy| (a.functions.imported, a.functions.defined, a.functions.referenced);
        assert_eq!((counts(&module), counts(&artifact)), ((1, 2, 2), (1, 2, 2)));
        assert_eq!(module.imports[1].r#type, "(tag (param i64))");
        assert_eq!(module.exports[2].r#type, "(func (result i64))");
        assert_eq!(artifact.target.unwrap().missing_here, [""; 0], "this machine has what it just compiled for");
    }

    #[test]
    fn the_largest_functions_are_named() {
        let anatomy = of("(module (func) (func $big (drop (i64.const 1))) (func (drop (i32.const 1))))");
        let largest: Vec<_> = anatomy.functions.largest.iter().map(|f| (f.index, f.name.as_deref())).collect();
        assert_eq!(largest, [(1, Some("big")), (2, None), (0, None)]);
    }
}
