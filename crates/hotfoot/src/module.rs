//! A module: compiled code, mapped, and the interface of the WebAssembly module that it came from.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use hotfoot_abi::vmctx::{Counts, VmLayout};
use hotfoot_artifact::{EntityIndex, EntityType, ModuleInfo, NONE};

use crate::artifact::check_compatible;
use crate::debugger;
use crate::engine::Engine;
use crate::profiling;
use crate::symbols::Symbols;
use crate::types::{ExportType, ExternType, ImportType};
use crate::vm::code::ModuleCode;
use crate::vm::sys::gdb::Registered;

/// A compiled module, ready to be instantiated any number of times. Cheap to clone, usable from all threads.
///
/// ```
/// use hotfoot::{Engine, Module};
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (memory (export "m") 1))"#)?;
/// assert_eq!(module.exports().len(), 1);
/// # Ok::<(), hotfoot::Error>(())
/// ```
#[derive(Clone)]
pub struct Module {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    code: Arc<ModuleCode>,
    /// The export called "memory", once it has been looked for.
    memory_export: OnceLock<Option<EntityIndex>>,
    /// What debuggers are shown of it.
    registered: OnceLock<Registered>,
    /// Types in it are named by their numbers in the engine, but in constant expressions by their index.
    info: ModuleInfo,
    counts: Counts,
    layout: VmLayout,
    /// The engine's number of each type.
    type_ids: Box<[u32]>,
    /// Engine-wide number of a type and the code offset of its wasm→host trampoline, ascending.
    host_trampolines: Vec<(u32, u32)>,
}

impl fmt::Debug for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Module").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Module {
    /// Loads an artifact that this engine's compiler made a moment ago, of the module in a file if one is given.
    #[cfg_attr(not(feature = "compile"), allow(dead_code))]
    pub(crate) fn from_own_artifact(engine: &Engine, bytes: &[u8], origin: Option<&Path>) -> Result<Module> {
        Module::from_code(engine, ModuleCode::from_bytes(bytes)?.with_origin(origin))
    }

    /// Loads an artifact whose origin the caller vouches for; it is read whole and compared with its checksum if
    /// `check_body` says so, or if it must be signed.
    pub(crate) fn from_foreign_code(engine: &Engine, code: ModuleCode, check_body: bool) -> Result<Module> {
        let key = engine.config().artifact_key.as_ref();
        if let Some(key) = key {
            code.artifact().check_signature(key.bytes())?;
        }
        if check_body || key.is_some() {
            code.artifact().check_body()?;
        }
        Module::from_code(engine, code)
    }

    pub(crate) fn from_code(engine: &Engine, mut code: ModuleCode) -> Result<Module> {
        check_compatible(engine, &code.artifact().header)?;
        let mut info = code.artifact().info()?;
        code.keep_file_for(&info, engine.config().memory_init_cow);
        let artifact = code.artifact();
        let counts = info.counts();
        let type_ids = engine.types().register_module(&info)?;
        info.rename_types(&|index| type_ids[index as usize]);
        let mut host_trampolines: Vec<(u32, u32)> = type_ids
            .iter()
            .zip(artifact.trampolines)
            .filter(|(_, trampolines)| trampolines.host.get() != NONE)
            .map(|(ty, trampolines)| (*ty, trampolines.host.get()))
            .collect();
        host_trampolines.sort_unstable();
        host_trampolines.dedup_by_key(|(id, _)| *id);
        let shared = Shared {
            engine: engine.clone(),
            counts,
            layout: VmLayout::new(counts),
            type_ids,
            host_trampolines,
            info,
            code: Arc::new(code),
            memory_export: OnceLock::new(),
            registered: OnceLock::new(),
        };
        let module = Module { shared: Arc::new(shared) };
        profiling::announce(&module)?;
        if let Some(registered) = debugger::announce(&module) {
            // Nobody else has the module yet.
            let _ = module.shared.registered.set(registered);
        }
        Ok(module)
    }

    /// The artifact, to be kept and loaded by [`Module::deserialize`]. With
    /// [`Config::lazy_compilation`](crate::Config::lazy_compilation), waits until all of it is compiled.
    ///
    /// # Errors
    /// When the module is compiled lazily, and a function of it cannot be compiled.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        match self.shared.code.lazy() {
            Some(lazy) => lazy.supplier().artifact(),
            None => Ok(self.shared.code.bytes().to_vec()),
        }
    }

    /// Whether all functions are compiled: always, but for [`Config::lazy_compilation`](crate::Config::lazy_compilation).
    pub fn is_fully_compiled(&self) -> bool {
        self.shared.code.lazy().is_none_or(|lazy| lazy.supplier().is_complete())
    }

    /// The module's name, from its name section.
    pub fn name(&self) -> Option<&str> {
        self.shared.info.name.as_deref()
    }

    /// The engine it was made with.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What it imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.shared.info.imports.iter().map(|import| ImportType {
            module: &import.module,
            name: &import.name,
            ty: ExternType::from_raw(self.engine().types(), &import.ty),
        })
    }

    /// What it exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        let exports = self.shared.code.artifact().exports();
        exports.map(|(name, entity)| ExportType { name, ty: self.type_of(entity) })
    }

    /// The type of the export with this name.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        self.export_index(name).map(|entity| self.type_of(entity))
    }

    /// Whether instantiating it runs a function of it, its start function.
    pub fn has_start(&self) -> bool {
        self.shared.info.start.is_some()
    }

    /// Addresses of the machine code in this process.
    pub fn text(&self) -> std::ops::Range<usize> {
        self.shared.code.text()
    }

    fn type_of(&self, entity: EntityIndex) -> ExternType {
        ExternType::from_raw(self.engine().types(), &self.raw_type_of(entity))
    }

    /// The type of an export, as the runtime holds it.
    pub(crate) fn raw_type_of(&self, entity: EntityIndex) -> EntityType {
        let info = &self.shared.info;
        match entity {
            EntityIndex::Func(index) => {
                let ty = self.shared.code.artifact().function_types[index as usize].get();
                EntityType::Func(self.shared.type_ids[ty as usize])
            }
            EntityIndex::Table(index) => EntityType::Table(info.tables[index as usize]),
            EntityIndex::Memory(index) => EntityType::Memory(info.memories[index as usize]),
            EntityIndex::Global(index) => EntityType::Global(info.globals[index as usize]),
            EntityIndex::Tag(index) => EntityType::Tag(info.tags[index as usize]),
        }
    }

    /// Source lines, if the module has debug information.
    pub(crate) fn symbols(&self) -> Option<&Symbols<'static>> {
        self.shared.code.symbols()
    }

    /// What tells modules apart.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }

    pub(crate) fn code(&self) -> &Arc<ModuleCode> {
        &self.shared.code
    }

    pub(crate) fn info(&self) -> &ModuleInfo {
        &self.shared.info
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    pub(crate) fn layout(&self) -> &VmLayout {
        &self.shared.layout
    }

    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.shared.type_ids
    }

    pub(crate) fn export_index(&self, name: &str) -> Option<EntityIndex> {
        let find = || self.shared.code.artifact().export(name);
        // What host functions ask for at each call, those of WASI for a start.
        if name == "memory" { *self.shared.memory_export.get_or_init(find) } else { find() }
    }

    /// The wasm→host trampoline for functions of a type, or null if the module has none. Those of a supertype, under
    /// which the module may know the function, pass values in the same way.
    pub(crate) fn host_trampoline(&self, type_id: u32) -> *const u8 {
        let trampolines = &self.shared.host_trampolines;
        let find = |number: u32| trampolines.binary_search_by_key(&number, |(number, _)| *number).ok();
        match self.engine().types().get(type_id).lineage().find_map(find) {
            Some(index) => self.shared.code.address(trampolines[index].1),
            None => std::ptr::null(),
        }
    }

    /// Code, entry trampoline and engine-wide type number of a function that the module defines.
    pub(crate) fn func_parts(&self, function: u32) -> Option<(*const u8, *const u8, u32)> {
        let artifact = self.shared.code.artifact();
        let defined = function.checked_sub(self.shared.counts.imported_funcs)?;
        let code = artifact.functions.get(defined as usize)?.offset.get();
        let ty = artifact.function_types.get(function as usize)?.get();
        let entry = artifact.trampolines.get(ty as usize)?.entry.get();
        Some((self.shared.code.address(code), self.shared.code.address(entry), *self.shared.type_ids.get(ty as usize)?))
    }
}
