//! Capturing a live instance as the starting point of others.
//!
//! What is captured is what a warm instance is reset to ([`super::pre`]): memory images, table elements, globals, dropped
//! segments. References to the instance's own functions are kept as places in its VM context, which every instance of
//! the module has at the same offset:
//!
//! ```text
//!  captured:  context + 0x120  ──▶  0x120 + 1     (0 is null)
//!  restored:  0x120 + 1        ──▶  new context + 0x120
//! ```
//!
//! What has no such form is refused by name: a host value, an exception, a function of someone else, state that belongs
//! to others (imported memories, tables, globals), a stack in use.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use hotfoot_abi::vmctx::VmGlobal;
use hotfoot_artifact::{EntityIndex, EntityType, HeapType, ValType};

use super::activation;
use super::hostcall::AnyHostFunc;
use super::image::MemoryImage;
use super::instance::InstanceData;
use super::slot::Slot;
use super::store::VmStore;
use crate::module::Module;

/// See the module's documentation.
#[derive(Debug)]
pub struct Snapshot {
    /// Image and length of each memory.
    pub(super) memories: Vec<(Arc<MemoryImage>, usize)>,
    /// Elements of each table, and the globals, with references in their captured form.
    tables: Vec<Box<[u64]>>,
    globals: Box<[VmGlobal]>,
    pub(super) dropped_data: Box<[bool]>,
    pub(super) dropped_elements: Box<[bool]>,
}

/// ` "name"` of an exported entity, or nothing.
fn export_name(module: &Module, entity: EntityIndex) -> String {
    let export = module.code().artifact().exports().find(|(_, exported)| *exported == entity);
    export.map(|(name, _)| format!(" {name:?}")).unwrap_or_default()
}

/// The captured form of a reference in an instance's state; `place` names it in errors.
fn capture_reference(instance: &InstanceData, heap: HeapType, raw: u64, place: impl Fn() -> String) -> Result<u64> {
    if raw == 0 {
        return Ok(0);
    }
    let held = match heap {
        HeapType::Func => {
            let context = instance.context().as_ptr() as u64;
            let offset = raw.wrapping_sub(context);
            if offset < instance.context_len() as u64 {
                return Ok(offset + 1);
            }
            "a function of another instance or of the host"
        }
        HeapType::Extern => "an externref",
        HeapType::Exn => "an exnref",
    };
    bail!("{} holds {held}, which a snapshot cannot keep: clear it first", place())
}

/// A reference from its captured form.
fn restore_reference(instance: &InstanceData, captured: u64) -> u64 {
    match captured {
        0 => 0,
        place => instance.context().as_ptr() as u64 + place - 1,
    }
}

fn heap_of(ty: &ValType) -> Option<HeapType> {
    if let ValType::Ref(reference) = ty { Some(reference.heap) } else { None }
}

impl VmStore {
    /// Captures an instance between calls. Returns what its imports are, too.
    ///
    /// # Errors
    /// When something of its state cannot be captured; the error names it.
    pub(super) fn capture(&self, number: u32) -> Result<(Snapshot, Vec<Arc<AnyHostFunc>>)> {
        // SAFETY: S9, the references end with this expression.
        let running = unsafe { activation::chain() }.any(|activation| activation.store() == self.pointer());
        ensure!(
            !running,
            "a guest of this store is on the stack: take the snapshot between calls, not from a host function"
        );
        let instance = self.instance(number);
        let module = instance.module();
        let imports = self.captured_imports(instance)?;
        let mut memories = Vec::new();
        for index in 0..module.info().memories.len() as u32 {
            let memory = self.memory(instance.memory(index));
            let image = MemoryImage::new(memory.whole_pages());
            let image = image.with_context(|| format!("cannot keep the image of memory {index}"))?;
            memories.push((Arc::new(image), memory.byte_len()));
        }
        let mut tables = Vec::new();
        for (index, ty) in module.info().tables.iter().enumerate() {
            let elements = self.table(instance.table(index as u32)).elements();
            let name = || export_name(module, EntityIndex::Table(index as u32));
            let capture = |(at, raw): (usize, &u64)| {
                capture_reference(instance, ty.element.heap, *raw, || {
                    format!("element {at} of table {index}{}", name())
                })
            };
            tables.push(elements.iter().enumerate().map(capture).collect::<Result<_>>()?);
        }
        let snapshot = Snapshot {
            memories,
            tables,
            globals: capture_globals(instance)?,
            dropped_data: instance.dropped_data.clone(),
            dropped_elements: instance.dropped_elements.clone(),
        };
        Ok((snapshot, imports))
    }

    /// The host functions that an instance imports, if it imports nothing else.
    fn captured_imports(&self, instance: &InstanceData) -> Result<Vec<Arc<AnyHostFunc>>> {
        let mut imports = Vec::new();
        for import in &instance.module().info().imports {
            let name = || format!("`{}::{}`", import.module, import.name);
            let EntityType::Func(_) = import.ty else {
                bail!(
                    "the import {} is no function: what it refers to belongs to others, so a snapshot cannot keep it",
                    name()
                )
            };
            let func = self.imported_host_func(instance, imports.len() as u32);
            imports.push(func.with_context(|| {
                format!("the import {} is a function of another instance, which a snapshot cannot keep", name())
            })?);
        }
        Ok(imports)
    }
}

fn capture_globals(instance: &InstanceData) -> Result<Box<[VmGlobal]>> {
    let module = instance.module();
    let imported = module.counts().imported_globals as usize;
    let capture = |(at, global): (usize, &VmGlobal)| {
        let index = imported + at;
        let Some(heap) = heap_of(&module.info().globals[index].content) else { return Ok(*global) };
        let place = || format!("global {index}{}", export_name(module, EntityIndex::Global(index as u32)));
        let raw = Slot::from_bytes(global.bytes);
        let raw = if heap == HeapType::Func { raw.as_u64() } else { u64::from(raw.as_u32()) };
        let captured = capture_reference(instance, heap, raw, place)?;
        Ok(VmGlobal { bytes: Slot::from_u64(captured).bytes() })
    };
    instance.globals().iter().enumerate().map(capture).collect()
}

impl Snapshot {
    /// How many elements a table has.
    pub(super) fn table_len(&self, table: usize) -> u64 {
        self.tables[table].len() as u64
    }

    /// The elements of a table, for this instance.
    pub(super) fn elements(&self, table: usize, instance: &InstanceData) -> Box<[u64]> {
        self.tables[table].iter().map(|captured| restore_reference(instance, *captured)).collect()
    }

    /// The globals, for this instance.
    pub(super) fn globals(&self, instance: &InstanceData) -> Box<[VmGlobal]> {
        let module = instance.module();
        let types = &module.info().globals[module.counts().imported_globals as usize..];
        let restore = |(global, ty): (&VmGlobal, &hotfoot_artifact::GlobalType)| match heap_of(&ty.content) {
            None => *global,
            Some(_) => {
                let raw = restore_reference(instance, Slot::from_bytes(global.bytes).as_u64());
                VmGlobal { bytes: Slot::from_u64(raw).bytes() }
            }
        };
        self.globals.iter().zip(types).map(restore).collect()
    }
}
