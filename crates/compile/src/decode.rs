//! Bytes to a module: its interface, and the bodies of its functions.
//!
//! Everything but the bodies is validated here; a body is validated by the thread that translates it. What the
//! validator accepts and hotfoot does not implement is refused by name.
//!
//! Invariant: a decoded [`Module`] fits the artifact: its VM context is smaller than 2 GiB and offsets fit 32 bits.

use std::ops::Range;

use cranelift_codegen::ir::Type;
use hotfoot_abi::gc::StructLayout;
use hotfoot_abi::vmctx::{Counts, VmLayout};
use hotfoot_artifact::{
    ConstExpr, ConstOp, DebugSections, EXTERNAL_DEBUG_INFO, EntityIndex, EntityType, Export, FuncType, FunctionName,
    GlobalType, INLINED, Import, MemoryType, ModuleInfo, NONE, StructType, TableType, ValType,
};
use wasmparser::{
    ExternalKind, FuncToValidate, FunctionBody, KnownCustom, Parser, Payload, TableInit, TypeRef, ValidPayload,
    Validator, ValidatorResources, WasmFeatures,
};

use crate::metadata::BranchHint;
use crate::translate::env::clif_type;
use crate::translate::gc::storage;
use crate::types::Types;
use crate::{Error, init, metadata};

/// Largest VM context in bytes: offsets in it are 31-bit immediates.
const CONTEXT_SIZE_LIMIT: u64 = i32::MAX as u64;
/// Largest module in bytes: offsets in it are stored in 31 bits.
const MODULE_SIZE_LIMIT: u64 = INLINED as u64 - 1;

/// A module without its functions' bodies.
pub(crate) struct Module {
    pub(crate) info: ModuleInfo,
    pub(crate) counts: Counts,
    pub(crate) layout: VmLayout,
    /// Type index of each function, imports first.
    pub(crate) function_types: Vec<u32>,
    /// For each function type, the first one that is called in the same way; itself for other types.
    pub(crate) canonical_types: Vec<u32>,
    /// Where the fields of each struct type are.
    struct_layouts: Vec<Option<StructLayout>>,
    /// How to read the types that the module's binary names.
    pub(crate) types: Types,
    /// Defined functions that a reference can name, ascending.
    pub(crate) escaping: Vec<u32>,
    /// Items of element segments that hold functions.
    pub(crate) elements: Vec<u32>,
    /// Defined functions in element segments, each after its type, ascending.
    targets: Vec<(u32, u32)>,
    /// Bytes of all data segments, as [`fold`](crate::fold) lays them out; until then, segments say where in the binary theirs are.
    pub(crate) data: Vec<u8>,
    /// In the order of the module.
    pub(crate) exports: Vec<Export>,
    /// Ascending by function.
    pub(crate) names: Vec<FunctionName>,
    /// Ascending by function and offset.
    pub(crate) branch_hints: Vec<BranchHint>,
    /// DWARF, and where its addresses count from.
    pub(crate) debug: Debug,
}

/// What the binary says of the source that it was made from.
#[derive(Default)]
pub(crate) struct Debug {
    /// Where the code section's contents begin.
    code_start: u32,
    /// Names of custom sections, and where their contents are.
    pub(crate) sections: Vec<(String, Range<usize>)>,
}

impl Debug {
    /// The sections themselves.
    pub(crate) fn of<'a>(&'a self, wasm: &'a [u8]) -> DebugSections<'a> {
        let sections = self.sections.iter().map(|(name, place)| (name.as_str(), &wasm[place.clone()]));
        DebugSections { code_start: self.code_start, sections: sections.collect() }
    }
}

/// A function's body and what it is validated against.
pub(crate) type Body<'a> = (FuncToValidate<ValidatorResources>, FunctionBody<'a>);

/// Decodes a module and validates all but its functions' bodies.
pub(crate) fn decode(wasm: &[u8], features: WasmFeatures) -> Result<(Module, Vec<Body<'_>>), Error> {
    recognise(wasm)?;
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut module = Module::new();
    let mut bodies = Vec::new();
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            bodies.push((function, body));
        }
        module.section(payload)?;
    }
    module.complete()?;
    Ok((module, bodies))
}

/// Tells what else the bytes may be when they are not a module.
fn recognise(wasm: &[u8]) -> Result<(), Error> {
    let not_wasm = |what: &str| Err(Error::NotWasm { what: what.to_owned() });
    if wasm.len() as u64 > MODULE_SIZE_LIMIT {
        let value = wasm.len() as u64;
        return Err(Error::Limit { what: "its size in bytes", value, limit: MODULE_SIZE_LIMIT });
    }
    if wasm.starts_with(b"\0asm") {
        let is_component = wasm.get(6..8).is_some_and(|layer| layer == [1, 0]);
        return if is_component { Err(Error::Component) } else { Ok(()) };
    }
    let text = wasm.trim_ascii_start();
    match wasm {
        [] => not_wasm("it is empty"),
        _ if wasm.starts_with(b"\x7fELF") => not_wasm("it is an ELF file"),
        _ if wasm.starts_with(b"MZ") => not_wasm("it is a Windows executable"),
        _ if wasm.starts_with(b"\x1f\x8b") => not_wasm("it is compressed with gzip"),
        _ if wasm.starts_with(b"PK\x03\x04") => not_wasm("it is a zip archive"),
        _ if wasm.starts_with(b"!<arch>") => not_wasm("it is an archive of object files"),
        _ if wasm.starts_with(b"#!") => not_wasm("it is a script"),
        _ if text.starts_with(b"(") || text.starts_with(b";;") => not_wasm("it is WebAssembly in the text format"),
        _ if b"\0asm".starts_with(wasm) => not_wasm("it ends before the header does"),
        _ if std::str::from_utf8(wasm).is_ok() => not_wasm("it is a text file"),
        _ => not_wasm(&format!("it begins with the bytes {:02x?}", &wasm[..wasm.len().min(4)])),
    }
}

impl Module {
    fn new() -> Module {
        let counts = Counts::default();
        Module {
            info: ModuleInfo::default(),
            debug: Debug::default(),
            counts,
            layout: VmLayout::new(counts),
            function_types: Vec::new(),
            canonical_types: Vec::new(),
            struct_layouts: Vec::new(),
            types: Types::default(),
            escaping: Vec::new(),
            elements: Vec::new(),
            targets: Vec::new(),
            data: Vec::new(),
            exports: Vec::new(),
            names: Vec::new(),
            branch_hints: Vec::new(),
        }
    }

    /// How messages name a function, imports counted first.
    pub(crate) fn describe(&self, function: u32) -> String {
        match self.name_of(function) {
            Some(name) => format!("function {function} ({name})"),
            None => format!("function {function}"),
        }
    }

    /// The name of a function, imports counted first.
    pub(crate) fn name_of(&self, function: u32) -> Option<&str> {
        let index = self.names.binary_search_by_key(&function, |name| name.function).ok()?;
        Some(&self.names[index].name)
    }

    /// Where the fields of a struct type are.
    pub(crate) fn struct_layout(&self, ty: u32) -> &StructLayout {
        self.struct_layouts[ty as usize].as_ref().expect("validation asks for a struct type")
    }

    /// The defined functions of a type that element segments put into tables, each after the type.
    pub(crate) fn table_targets(&self, ty: u32) -> &[(u32, u32)] {
        let start = self.targets.partition_point(|(other, _)| *other < ty);
        let end = self.targets.partition_point(|(other, _)| *other <= ty);
        &self.targets[start..end]
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        let info = &mut self.info;
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    let types = self.types.group(group?)?;
                    info.rec_groups.push(types.len() as u32);
                    info.types.extend(types);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    self.import(import, offset)?;
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.function_types.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    self.table(table, offset)?;
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    info.memories.push(memory_type(memory?));
                }
            }
            Payload::GlobalSection(section) => {
                for global in section.into_iter_with_offsets() {
                    let (offset, global) = global?;
                    let init = init::const_expr(&self.types, &global.init_expr)?;
                    self.escape(&init);
                    self.info.globals.push(global_type(&self.types, global.ty, offset)?);
                    self.info.global_inits.push(init);
                }
            }
            Payload::ExportSection(section) => {
                for export in section.into_iter_with_offsets() {
                    let (_, export) = export?;
                    self.export(export);
                }
            }
            Payload::StartSection { func, .. } => {
                info.start = Some(func);
                self.escaping.push(func);
            }
            Payload::ElementSection(section) => {
                for segment in section {
                    let segment = init::element(self, segment?)?;
                    self.info.elements.push(segment);
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = init::data(self, segment?)?;
                    self.info.data.push(segment);
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    info.tags.push(tag?.func_type_idx);
                }
            }
            Payload::CodeSectionStart { unchecked_range, .. } => self.debug.code_start = unchecked_range.start as u32,
            Payload::CustomSection(section) if is_debug_info(section.name()) => {
                let start = section.data_offset() as usize;
                self.debug.sections.push((section.name().to_owned(), start..start + section.data().len()));
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(names) => metadata::names(self, names),
                KnownCustom::BranchHints(hints) => metadata::branch_hints(self, hints),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'_>, offset: u64) -> Result<(), Error> {
        let info = &mut self.info;
        let ty = match import.ty {
            TypeRef::Func(ty) => {
                self.function_types.push(ty);
                EntityType::Func(ty)
            }
            TypeRef::Table(ty) => {
                info.tables.push(table_type(&self.types, ty, offset)?);
                EntityType::Table(info.tables[info.tables.len() - 1])
            }
            TypeRef::Memory(ty) => {
                info.memories.push(memory_type(ty));
                EntityType::Memory(info.memories[info.memories.len() - 1])
            }
            TypeRef::Global(ty) => {
                info.globals.push(global_type(&self.types, ty, offset)?);
                EntityType::Global(info.globals[info.globals.len() - 1])
            }
            TypeRef::Tag(tag) => {
                info.tags.push(tag.func_type_idx);
                EntityType::Tag(tag.func_type_idx)
            }
            TypeRef::FuncExact(_) => return Err(Error::unsupported("exact function imports", offset)),
        };
        info.imports.push(Import { module: import.module.to_owned(), name: import.name.to_owned(), ty });
        Ok(())
    }

    fn table(&mut self, table: wasmparser::Table<'_>, offset: u64) -> Result<(), Error> {
        self.info.tables.push(table_type(&self.types, table.ty, offset)?);
        let init = match table.init {
            TableInit::RefNull => None,
            TableInit::Expr(expr) => Some(init::const_expr(&self.types, &expr)?),
        };
        if let Some(init) = &init {
            self.escape(init);
        }
        self.info.table_inits.push(init);
        Ok(())
    }

    fn export(&mut self, export: wasmparser::Export<'_>) {
        let entity = match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                self.escaping.push(export.index);
                EntityIndex::Func(export.index)
            }
            ExternalKind::Table => EntityIndex::Table(export.index),
            ExternalKind::Memory => EntityIndex::Memory(export.index),
            ExternalKind::Global => EntityIndex::Global(export.index),
            ExternalKind::Tag => EntityIndex::Tag(export.index),
        };
        self.exports.push(Export { name: export.name.to_owned(), entity });
    }

    /// Notes the functions that an expression makes references to.
    pub(crate) fn escape(&mut self, expr: &ConstExpr) {
        for op in &expr.ops {
            if let ConstOp::RefFunc(function) = op {
                self.escaping.push(*function);
            }
        }
    }

    /// Computes what depends on the whole module.
    fn complete(&mut self) -> Result<(), Error> {
        self.info.num_funcs = self.function_types.len() as u32;
        self.info.data_segments = self.info.data.len() as u32;
        let imported = self.info.counts().imported_funcs;
        self.escaping.retain(|function| *function >= imported);
        self.escaping.sort_unstable();
        self.escaping.dedup();
        self.info.escaping_funcs = self.escaping.len() as u32;
        self.counts = self.info.counts();
        let size = context_size(&self.counts);
        if size > CONTEXT_SIZE_LIMIT {
            let what = "the size of its instances' context in bytes";
            return Err(Error::Limit { what, value: size, limit: CONTEXT_SIZE_LIMIT });
        }
        self.layout = VmLayout::new(self.counts);
        let defined = self.elements.iter().filter(|function| (imported..NONE).contains(*function));
        self.targets = defined.map(|function| (self.function_types[*function as usize], *function)).collect();
        self.targets.sort_unstable();
        self.targets.dedup();
        let mut first = std::collections::HashMap::new();
        let types = self.info.types.iter().zip(0..);
        let canonical = types.map(|(ty, index)| match ty.func() {
            Some(ty) => *first.entry(call_shape(ty)).or_insert(index),
            None => index,
        });
        self.canonical_types = canonical.collect();
        let layout = |ty: &StructType| StructLayout::new(ty.fields.iter().map(|field| storage(field.storage)));
        self.struct_layouts = self.info.types.iter().map(|ty| ty.struct_().map(layout)).collect();
        metadata::complete(self);
        Ok(())
    }
}

/// An upper bound of the VM context's size: no part is larger than 32 bytes an item, plus header and alignment.
fn context_size(counts: &Counts) -> u64 {
    let items = [
        counts.imported_funcs,
        counts.imported_tables,
        counts.imported_memories,
        counts.imported_globals,
        counts.imported_tags,
        counts.defined_tables,
        counts.defined_memories,
        counts.defined_globals,
        counts.defined_tags,
        counts.escaping_funcs,
    ];
    256 + items.into_iter().map(|count| u64::from(count) * 32).sum::<u64>()
}

/// What decides how functions of a type are called: how values are held, not which references they are.
fn call_shape(ty: &FuncType) -> (Vec<Type>, Vec<Type>) {
    let held = |types: &[ValType]| types.iter().map(|ty| clif_type(*ty)).collect();
    (held(&ty.params), held(&ty.results))
}

fn table_type(types: &Types, ty: wasmparser::TableType, offset: u64) -> Result<TableType, Error> {
    if ty.shared {
        return Err(Error::unsupported("shared tables", offset));
    }
    let element = types.ref_type(ty.element_type, offset)?;
    Ok(TableType { element, index64: ty.table64, minimum: ty.initial, maximum: ty.maximum })
}

fn memory_type(ty: wasmparser::MemoryType) -> MemoryType {
    let page_size_log2 = ty.page_size_log2.unwrap_or(16) as u8;
    MemoryType { index64: ty.memory64, shared: ty.shared, page_size_log2, minimum: ty.initial, maximum: ty.maximum }
}

fn global_type(types: &Types, ty: wasmparser::GlobalType, offset: u64) -> Result<GlobalType, Error> {
    if ty.shared {
        return Err(Error::unsupported("shared globals", offset));
    }
    Ok(GlobalType { content: types.val_type(ty.content_type, offset)?, mutable: ty.mutable })
}

/// Whether a custom section has DWARF, or names the file that has it.
fn is_debug_info(section: &str) -> bool {
    section.starts_with(".debug_") || section == EXTERNAL_DEBUG_INFO
}
