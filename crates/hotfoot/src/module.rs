//! A module: compiled code, mapped, and the interface of the WebAssembly module that it came from.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use hotfoot_abi::vmctx::{Counts, VmLayout};
use hotfoot_artifact::{EntityIndex, EntityType, Header, ModuleInfo, NONE};

use crate::engine::Engine;
use crate::types::{ExportType, ExternType, FuncType, ImportType, TagType};
use crate::vm::code::ModuleCode;
use crate::vm::sys::arch;

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
    info: ModuleInfo,
    counts: Counts,
    layout: VmLayout,
    /// By type index.
    types: Vec<FuncType>,
    type_ids: Box<[u32]>,
    /// Engine-wide number of a type and the code offset of its wasm→host trampoline, ascending.
    host_trampolines: Vec<(u32, u32)>,
    /// Numbers of the exports, by name.
    exports_by_name: Box<[u32]>,
}

/// An artifact that this engine cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompatibleArtifact {
    /// Made for another kind of processor or system.
    #[error("the artifact is for {found}, this machine is {expected}: compile the module for this target")]
    Target {
        /// Target of the artifact.
        found: String,
        /// Target of this process.
        expected: String,
    },
    /// Made under other promises about memory.
    #[error(
        "the artifact was compiled with other memory settings ({found}) than this engine has ({expected}): use the same Config"
    )]
    Tunables {
        /// Settings of the artifact.
        found: String,
        /// Settings of the engine.
        expected: String,
    },
    /// Needs instructions that this processor lacks.
    #[error("the artifact needs `{flag}`, which this processor does not have: compile the module without it")]
    Isa {
        /// The extension.
        flag: String,
    },
}

impl fmt::Debug for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Module").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Module {
    /// Loads an artifact whose origin the caller vouches for.
    pub(crate) fn from_trusted_artifact(engine: &Engine, bytes: &[u8]) -> Result<Module> {
        Module::from_code(engine, ModuleCode::from_bytes(bytes)?)
    }

    pub(crate) fn from_code(engine: &Engine, code: ModuleCode) -> Result<Module> {
        let artifact = code.artifact();
        check_compatible(engine, &artifact.header)?;
        let info = artifact.info()?;
        let counts = info.counts();
        let types: Vec<FuncType> = info.types.iter().map(|ty| engine.types().register(ty)).collect();
        let mut host_trampolines: Vec<(u32, u32)> = types
            .iter()
            .zip(artifact.trampolines)
            .filter(|(_, trampolines)| trampolines.host.get() != NONE)
            .map(|(ty, trampolines)| (ty.id(), trampolines.host.get()))
            .collect();
        host_trampolines.sort_unstable();
        host_trampolines.dedup_by_key(|(id, _)| *id);
        let mut exports_by_name: Box<[u32]> = (0..info.exports.len() as u32).collect();
        exports_by_name.sort_unstable_by_key(|index| &info.exports[*index as usize].name);
        let shared = Shared {
            engine: engine.clone(),
            counts,
            layout: VmLayout::new(counts),
            type_ids: types.iter().map(FuncType::id).collect(),
            types,
            host_trampolines,
            exports_by_name,
            info,
            code: Arc::new(code),
        };
        Ok(Module { shared: Arc::new(shared) })
    }

    /// The artifact, to be kept and loaded by [`Module::deserialize`].
    ///
    /// # Errors
    /// None now.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        Ok(self.shared.code.bytes().to_vec())
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
            ty: self.entity_type(&import.ty),
        })
    }

    /// What it exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.shared.info.exports.iter().map(|export| ExportType { name: &export.name, ty: self.type_of(export.entity) })
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

    fn entity_type(&self, ty: &EntityType) -> ExternType {
        match ty {
            EntityType::Func(index) => ExternType::Func(self.shared.types[*index as usize].clone()),
            EntityType::Table(ty) => ExternType::Table(*ty),
            EntityType::Memory(ty) => ExternType::Memory(*ty),
            EntityType::Global(ty) => ExternType::Global(*ty),
            EntityType::Tag(index) => ExternType::Tag(TagType::new(self.shared.types[*index as usize].clone())),
        }
    }

    fn type_of(&self, entity: EntityIndex) -> ExternType {
        let info = &self.shared.info;
        match entity {
            EntityIndex::Func(index) => {
                let ty = self.shared.code.artifact().function_types[index as usize].get();
                ExternType::Func(self.shared.types[ty as usize].clone())
            }
            EntityIndex::Table(index) => ExternType::Table(info.tables[index as usize]),
            EntityIndex::Memory(index) => ExternType::Memory(info.memories[index as usize]),
            EntityIndex::Global(index) => ExternType::Global(info.globals[index as usize]),
            EntityIndex::Tag(index) => {
                let ty = info.tags[index as usize];
                ExternType::Tag(TagType::new(self.shared.types[ty as usize].clone()))
            }
        }
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
        let exports = &self.shared.info.exports;
        let name_of = |index: &u32| exports[*index as usize].name.as_str();
        let at = self.shared.exports_by_name.binary_search_by_key(&name, name_of).ok()?;
        Some(exports[self.shared.exports_by_name[at] as usize].entity)
    }

    /// The wasm→host trampoline for an engine-wide type number, or null if the module has none.
    pub(crate) fn host_trampoline(&self, type_id: u32) -> *const u8 {
        let trampolines = &self.shared.host_trampolines;
        match trampolines.binary_search_by_key(&type_id, |(id, _)| *id) {
            Ok(index) => self.shared.code.address(trampolines[index].1),
            Err(_) => std::ptr::null(),
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

fn check_compatible(engine: &Engine, header: &Header) -> Result<()> {
    let expected = std::env::consts::ARCH;
    if header.target.split('-').next() != Some(expected) {
        let (found, expected) = (header.target.clone(), expected.to_string());
        return Err(IncompatibleArtifact::Target { found, expected }.into());
    }
    if header.tunables != *engine.tunables() {
        let (found, expected) = (format!("{:?}", header.tunables), format!("{:?}", engine.tunables()));
        return Err(IncompatibleArtifact::Tunables { found, expected }.into());
    }
    match header.isa_flags.iter().find(|flag| !arch::has_isa_flag(flag)) {
        Some(flag) => Err(IncompatibleArtifact::Isa { flag: flag.clone() }).context("cannot load the artifact"),
        None => Ok(()),
    }
}
