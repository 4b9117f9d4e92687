//! The new module: the old one with other initial values.
//!
//! Sections that say nothing about state are copied byte for byte, code among them, so that what refers to places in
//! the code (DWARF) stays right. The others are written anew:
//!
//! ```text
//!  import   without memories, tables, globals (they become the module's own, first in their index space as before)
//!  table    with the current size           memory   with the current size           global  with the current value
//!  export   renamed, without the initialisation functions                            start   the old one has run; a new one makes
//!                                                                                           what only code can make (`start`)
//!  element  what the tables hold            data     what the memories hold
//! ```
//!
//! Indices stay what they are, with one exception: when one thing is imported under two names, both become one
//! (`indices.rs`), and then the code is encoded anew. Segments that code refers to keep their numbers (`segments.rs`).

mod customs;
mod indices;
mod objects;
mod segments;
mod start;
mod values;

use std::convert::Infallible;

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    ExportSection, GlobalSection, GlobalType, HeapType, ImportSection, MemorySection, RawSection, SectionId,
    TableSection,
};
use wasmparser::ExternalKind;

use crate::builder::Preinit;
use crate::error::PreinitError;
use crate::host::INITIALIZE;
use crate::input::{Imported, Input, kind_of_import};
use crate::report::{MemoryReport, Report, TableReport};
use crate::state::{State, Value};
use crate::uses::Uses;
use indices::Indices;
use objects::Plan;

/// Errors of encoding again, which cannot happen but for damaged input.
type Reencoding<T> = Result<T, wasm_encoder::reencode::Error<Infallible>>;

/// Non-custom sections in the order of the specification.
const ORDER: [SectionId; 13] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Start,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

/// Refuses renamings that mean nothing.
pub fn check_renames(preinit: &Preinit, input: &Input<'_>) -> Result<(), PreinitError> {
    for (at, (dst, src)) in preinit.renames.iter().enumerate() {
        let is_func = |kind| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
        if !input.exports.iter().any(|export| export.name == src && is_func(export.kind)) {
            return Err(PreinitError::RenameSource { dst: dst.clone(), src: src.clone() });
        }
        for (other_dst, other_src) in &preinit.renames[..at] {
            for (name, other) in [(dst, other_dst), (src, other_src)] {
                if name == other {
                    return Err(PreinitError::RenameTwice { name: name.clone() });
                }
            }
        }
        if input.exports.iter().any(|export| export.name == dst && !is_func(export.kind)) {
            return Err(PreinitError::RenameTwice { name: dst.clone() });
        }
    }
    Ok(())
}

/// Writes the module that begins with a state.
pub fn rewrite(
    preinit: &Preinit,
    input: &Input<'_>,
    uses: Uses,
    state: &State,
    images: &[&[u8]],
    report: &mut Report,
) -> Result<Vec<u8>, PreinitError> {
    let own = Imported { funcs: input.imported.funcs, ..Imported::default() };
    let kept = if preinit.keep_imports { input.imported } else { own };
    let indices = Indices::new(input, state, kept);
    let output = wasm_encoder::Module::HEADER.to_vec();
    let plan = Plan::default();
    let mut writer =
        Writer { preinit, input, state, images, kept, indices, uses, plan, object_data: 0, report, output };
    writer.write()?;
    Ok(writer.output)
}

struct Writer<'w, 'a> {
    preinit: &'w Preinit,
    input: &'w Input<'a>,
    state: &'w State,
    images: &'w [&'w [u8]],
    /// Imports that stay, which are all or none of each kind; functions always.
    kept: Imported,
    indices: Indices,
    uses: Uses,
    /// How objects are made, and the number of the data segment for that.
    plan: Plan,
    object_data: u32,
    report: &'w mut Report,
    output: Vec<u8>,
}

impl Writer<'_, '_> {
    fn write(&mut self) -> Result<(), PreinitError> {
        let data = self.data()?;
        let elements = self.elements()?;
        self.report.element_segments = elements.as_ref().map_or(0, |section| section.len() as usize);
        self.report.data_segments = data.as_ref().map_or(0, |section| section.len() as usize);
        self.customs_after(0);
        for id in ORDER {
            match id {
                SectionId::Import => self.imports()?,
                SectionId::Type if self.needs_start() => self.types()?,
                SectionId::Function if self.needs_start() => self.functions()?,
                SectionId::Table => self.tables()?,
                SectionId::Memory => self.memories()?,
                SectionId::Global => self.globals()?,
                SectionId::Export => self.exports()?,
                SectionId::Start => self.start(),
                SectionId::Element => self.section_if(elements.as_ref(), |section| section.is_empty()),
                SectionId::DataCount if self.input.has_data_count || !self.plan.bytes.is_empty() => {
                    let count = data.as_ref().map_or(0, |section| section.len());
                    self.section(&wasm_encoder::DataCountSection { count });
                }
                SectionId::Code if self.needs_start() || !self.indices.is_identity() => self.code()?,
                SectionId::Data => self.section_if(data.as_ref(), |section| section.is_empty()),
                _ => self.copy(id),
            }
            self.customs_after(id as u8);
        }
        self.report.globals = self.input.globals.len();
        self.report.objects = self.state.objects.len();
        Ok(())
    }

    fn section(&mut self, section: &impl wasm_encoder::Section) {
        section.append_to(&mut self.output);
    }

    fn section_if<S: wasm_encoder::Section>(&mut self, section: Option<&S>, is_empty: impl Fn(&S) -> bool) {
        if let Some(section) = section.filter(|section| !is_empty(section)) {
            self.section(section);
        }
    }

    fn copy(&mut self, id: SectionId) {
        if let Some(data) = self.input.section(id as u8) {
            self.section(&RawSection { id: id as u8, data });
        }
    }

    fn imports(&mut self) -> Result<(), PreinitError> {
        let mut section = ImportSection::new();
        let mut counts = Imported::default();
        for import in &self.input.imports {
            let next = |count: &mut u32| {
                *count += 1;
                *count - 1
            };
            let mut import = *import;
            let keep = match &mut import.ty {
                wasmparser::TypeRef::Memory(ty) => {
                    ty.initial = self.state.memories[next(&mut counts.memories) as usize].pages;
                    self.kept.memories > 0
                }
                wasmparser::TypeRef::Table(ty) => {
                    ty.initial = self.state.tables[next(&mut counts.tables) as usize].elements.len() as u64;
                    self.kept.tables > 0
                }
                wasmparser::TypeRef::Global(_) => self.kept.globals > 0,
                _ => true,
            };
            if keep {
                self.indices.parse_import(&mut section, import)?;
            } else if let Some(kind) = kind_of_import(&import.ty) {
                self.report.owned_imports.push(format!("{kind} `{}::{}`", import.module, import.name));
            }
        }
        self.section_if(Some(&section), ImportSection::is_empty);
        Ok(())
    }

    fn tables(&mut self) -> Result<(), PreinitError> {
        let mut section = TableSection::new();
        for index in 0..self.input.tables.len() {
            let table = &self.state.tables[index];
            let set = table.elements.iter().filter(|element| **element != Value::Null).count();
            self.report.tables.push(TableReport { elements: table.elements.len(), set });
            if (index as u32) < self.kept.tables || self.state.same_tables[index] != index as u32 {
                continue;
            }
            let mut ty = self.indices.table_type(self.input.tables[index])?;
            ty.minimum = table.elements.len() as u64;
            ty.maximum = table.maximum;
            match (self.plan.fillers.get(&(index as u32)), self.table_filler(index as u32)) {
                (Some(filler), _) => section.table_with_init(ty, filler),
                (None, Value::Null) => section.table(ty),
                (None, filler) => section.table_with_init(ty, &values::reference(filler, ty.element_type.heap_type)),
            };
        }
        self.section_if(Some(&section), TableSection::is_empty);
        Ok(())
    }

    fn memories(&mut self) -> Result<(), PreinitError> {
        let mut section = MemorySection::new();
        for (index, memory) in self.state.memories.iter().enumerate() {
            if (index as u32) < self.kept.memories || self.state.same_memories[index] != index as u32 {
                continue;
            }
            let mut ty = self.indices.memory_type(self.input.memories[index])?;
            ty.minimum = memory.pages;
            ty.maximum = memory.maximum;
            section.memory(ty);
        }
        self.section_if(Some(&section), MemorySection::is_empty);
        Ok(())
    }

    fn globals(&mut self) -> Result<(), PreinitError> {
        let mut section = GlobalSection::new();
        for (index, value) in self.state.globals.iter().enumerate() {
            if (index as u32) < self.kept.globals || self.state.same_globals[index] != index as u32 {
                continue;
            }
            let mut ty = self.indices.global_type(self.input.globals[index])?;
            if let Some(global) = self.plan.globals.get(&(index as u32)) {
                ty.mutable = global.mutable;
                section.global(ty, &global.init);
            } else {
                section.global(ty, &values::constant(*value, ty.val_type));
            }
        }
        for (ty, init) in &self.plan.more_globals {
            let heap_type = HeapType::Concrete(*ty);
            let val_type = wasm_encoder::ValType::Ref(wasm_encoder::RefType { nullable: false, heap_type });
            section.global(GlobalType { val_type, mutable: false, shared: false }, init);
        }
        self.section_if(Some(&section), GlobalSection::is_empty);
        Ok(())
    }

    fn exports(&mut self) -> Result<(), PreinitError> {
        let mut section = ExportSection::new();
        for export in &self.input.exports {
            let Some(name) = self.export_name(export.name, export.kind).map(str::to_owned) else { continue };
            let index = self.indices.external_index(export.kind, export.index)?;
            section.export(&name, self.indices.export_kind(export.kind)?, index);
        }
        self.section_if(Some(&section), ExportSection::is_empty);
        Ok(())
    }

    /// The name of an export in the output, if it stays.
    fn export_name<'n>(&'n self, name: &'n str, kind: ExternalKind) -> Option<&'n str> {
        if !matches!(kind, ExternalKind::Func | ExternalKind::FuncExact) {
            return Some(name);
        }
        if let Some((dst, _)) = self.preinit.renames.iter().find(|(_, src)| src == name) {
            return Some(dst);
        }
        if self.preinit.renames.iter().any(|(dst, _)| dst == name) {
            return None;
        }
        let is_init = self.report.called.last().is_some_and(|last| last == name);
        let stays = if is_init { self.preinit.keep_init_func } else { name != INITIALIZE };
        stays.then_some(name)
    }

    fn add_memory_report(&mut self, report: MemoryReport) {
        self.report.memories.push(report);
    }
}
