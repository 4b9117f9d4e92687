//! The state that instances start from, apart from any of them: captured from live instances, given to new ones.
//!
//! What is captured is what a warm instance is reset to ([`super::pre`]): memory images, table elements, globals, dropped
//! segments, of one instance or of several that were linked to each other. References to their functions are kept as
//! places in their VM contexts, which every instance of the module has at the same offset:
//!
//! ```text
//!  captured:  context of member 2 + 0x120  ──▶  (2, 0x120) + 1     (0 is null)
//!  restored:  (2, 0x120) + 1               ──▶  new context of member 2 + 0x120
//! ```
//!
//! What has no such form is refused by name: a host value, an exception, a function of someone else, state that belongs
//! to others (imported memories, tables, globals), a stack in use.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use hotfoot_abi::vmctx::VmGlobal;
use hotfoot_artifact::{EntityIndex, EntityType, GlobalType, HeapType, ValType};

use super::activation;
use super::hostcall::AnyHostFunc;
use super::image::MemoryImage;
use super::instance::InstanceData;
use super::pre::{Member, MemberImport};
use super::slot::Slot;
use super::store::VmStore;
use crate::module::Module;

/// What the instances of a program start from, in the order of its members.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) members: Box<[MemberState]>,
}

/// What one instance starts from; only what its module defines.
#[derive(Debug)]
pub(super) struct MemberState {
    /// Image and length of each memory.
    pub(super) memories: Box<[(Arc<MemoryImage>, usize)]>,
    /// Elements of each table, and the globals, with references in their captured form.
    tables: Box<[Box<[u64]>]>,
    globals: Box<[VmGlobal]>,
    pub(super) dropped_data: Box<[bool]>,
    pub(super) dropped_elements: Box<[bool]>,
}

/// Bits of a captured reference that are the place in the context; those above are the member.
const OFFSET_BITS: u32 = 40;
/// Marks a captured i31, which is the same everywhere.
const SMALL_INTEGER: u64 = 1 << 63;

/// ` "name"` of an exported entity, or nothing.
fn export_name(module: &Module, entity: EntityIndex) -> String {
    let export = module.code().artifact().exports().find(|(_, exported)| *exported == entity);
    export.map(|(name, _)| format!(" {name:?}")).unwrap_or_default()
}

/// The captured form of a reference in an instance's state; `place` names it in errors.
fn capture_reference(
    members: &[Box<InstanceData>],
    heap: HeapType,
    raw: u64,
    place: impl Fn() -> String,
) -> Result<u64> {
    if raw == 0 {
        return Ok(0);
    }
    if heap.is_collected() && raw & 1 == 1 {
        return Ok(SMALL_INTEGER | raw);
    }
    let held = match heap.top() {
        HeapType::Func => {
            for (number, member) in (0..).zip(members) {
                let offset = raw.wrapping_sub(member.context().as_ptr() as u64);
                if offset < member.context_len() as u64 {
                    return Ok((number << OFFSET_BITS | offset) + 1);
                }
            }
            "a function of another instance or of the host"
        }
        HeapType::Extern => "an externref",
        HeapType::Exn => "an exnref",
        _ => "a garbage-collected object",
    };
    bail!("{} holds {held}, which a snapshot cannot keep: clear it first", place())
}

/// A reference from its captured form.
fn restore_reference(members: &[Box<InstanceData>], captured: u64) -> u64 {
    if captured & SMALL_INTEGER != 0 {
        return captured & !SMALL_INTEGER;
    }
    let Some(place) = captured.checked_sub(1) else { return 0 };
    let (member, offset) = (place >> OFFSET_BITS, place & ((1 << OFFSET_BITS) - 1));
    members[member as usize].context().as_ptr() as u64 + offset
}

fn heap_of(ty: &ValType) -> Option<HeapType> {
    if let ValType::Ref(reference) = ty { Some(reference.heap) } else { None }
}

impl VmStore {
    /// Captures an instance, and the pooled ones that it is linked to, between calls. Returns what makes them, too.
    ///
    /// # Errors
    /// When something of their state cannot be captured; the error names it.
    pub(super) fn capture(&self, number: u32) -> Result<(Snapshot, Arc<[Member]>)> {
        // SAFETY: S9, the references end with this expression.
        let running = unsafe { activation::chain() }.any(|activation| activation.store() == self.pointer());
        ensure!(
            !running,
            "a guest of this store is on the stack: take the snapshot between calls, not from a host function"
        );
        if let Some((range, members)) = self.pooled_program(number) {
            return Ok((self.capture_state(range)?, members));
        }
        let instance = self.instance(number);
        let imports = self.captured_imports(instance)?;
        let member = Member { module: instance.module().clone(), imports };
        Ok((self.capture_state(number..number + 1)?, Arc::new([member])))
    }

    /// The state of instances that refer to no others.
    pub(super) fn capture_state(&self, numbers: Range<u32>) -> Result<Snapshot> {
        let members = &self.instances[numbers.start as usize..numbers.end as usize];
        let captured = members.iter().map(|member| self.capture_member(members, member));
        Ok(Snapshot { members: captured.collect::<Result<_>>()? })
    }

    fn capture_member(&self, members: &[Box<InstanceData>], instance: &InstanceData) -> Result<MemberState> {
        let module = instance.module();
        if let Some(segment) = instance.segment_of_objects() {
            bail!(
                "element segment {segment} holds garbage-collected objects, which a snapshot cannot keep: drop it first"
            );
        }
        let imported = (module.counts().imported_memories, module.counts().imported_tables);
        let capture_memory = |index: u32| {
            let memory = self.memory(instance.memory(index));
            ensure!(
                memory.shared().is_none(),
                "memory {index}{} is shared with other threads, which a snapshot cannot keep",
                export_name(module, EntityIndex::Memory(index))
            );
            let image =
                MemoryImage::of_memory(memory).with_context(|| format!("cannot keep the image of memory {index}"))?;
            Ok((Arc::new(image), memory.byte_len()))
        };
        let memories = (imported.0..module.info().memories.len() as u32).map(capture_memory);
        let capture_table = |index: u32| {
            let heap = module.info().tables[index as usize].element.heap;
            let capture = |(at, raw): (usize, &u64)| {
                capture_reference(members, heap, *raw, || {
                    format!("element {at} of table {index}{}", export_name(module, EntityIndex::Table(index)))
                })
            };
            self.table(instance.table(index)).elements().iter().enumerate().map(capture).collect::<Result<_>>()
        };
        let tables = (imported.1..module.info().tables.len() as u32).map(capture_table);
        Ok(MemberState {
            memories: memories.collect::<Result<_>>()?,
            tables: tables.collect::<Result<_>>()?,
            globals: capture_globals(members, instance)?,
            dropped_data: instance.dropped_data.clone(),
            dropped_elements: instance.dropped_elements.clone(),
        })
    }

    /// The host functions that an instance imports, if it imports nothing else.
    fn captured_imports(&self, instance: &InstanceData) -> Result<Box<[MemberImport]>> {
        let mut imports = Vec::new();
        for import in &instance.module().info().imports {
            let name = || format!("`{}::{}`", import.module, import.name);
            let EntityType::Func(_) = import.ty else {
                bail!(
                    "the import {} is no function: what it refers to belongs to others, so a snapshot cannot keep it",
                    name()
                )
            };
            let func = self.imported_host_func(instance, imports.len() as u32).with_context(|| {
                format!("the import {} is a function of another instance, which a snapshot cannot keep", name())
            })?;
            imports.push(MemberImport::HostFunc(func));
        }
        Ok(imports.into())
    }

    /// A host function that an instance imports; `None` if it is not one.
    fn imported_host_func(&self, instance: &InstanceData, index: u32) -> Option<Arc<AnyHostFunc>> {
        let context = instance.func(index)?;
        // SAFETY: S3, a function reference of this store.
        let context: *const () = unsafe { context.as_non_null().as_ref() }.vmctx.cast_const().cast();
        self.kept_funcs().iter().find(|func| std::ptr::eq(Arc::as_ptr(func).cast::<()>(), context)).cloned()
    }
}

fn capture_globals(members: &[Box<InstanceData>], instance: &InstanceData) -> Result<Box<[VmGlobal]>> {
    let module = instance.module();
    let imported = module.counts().imported_globals as usize;
    let capture = |(at, global): (usize, &VmGlobal)| {
        let index = imported + at;
        let Some(heap) = heap_of(&module.info().globals[index].content) else { return Ok(*global) };
        let place = || format!("global {index}{}", export_name(module, EntityIndex::Global(index as u32)));
        let raw = Slot::from_bytes(global.bytes);
        let raw = if heap.top() == HeapType::Func { raw.as_u64() } else { u64::from(raw.as_u32()) };
        let captured = capture_reference(members, heap, raw, place)?;
        Ok(VmGlobal { bytes: Slot::from_u64(captured).bytes() })
    };
    instance.globals().iter().enumerate().map(capture).collect()
}

impl MemberState {
    /// How many elements a table has.
    pub(super) fn table_len(&self, table: usize) -> u64 {
        self.tables[table].len() as u64
    }

    /// The elements of a table, for these instances of the program.
    pub(super) fn elements(&self, table: usize, members: &[Box<InstanceData>]) -> Box<[u64]> {
        self.tables[table].iter().map(|captured| restore_reference(members, *captured)).collect()
    }

    /// The globals of member `at` of these instances of the program.
    pub(super) fn globals(&self, at: usize, members: &[Box<InstanceData>]) -> Box<[VmGlobal]> {
        let module = members[at].module();
        let types = &module.info().globals[module.counts().imported_globals as usize..];
        let restore = |(global, ty): (&VmGlobal, &GlobalType)| match heap_of(&ty.content) {
            None => *global,
            Some(_) => {
                let raw = restore_reference(members, Slot::from_bytes(global.bytes).as_u64());
                VmGlobal { bytes: Slot::from_u64(raw).bytes() }
            }
        };
        self.globals.iter().zip(types).map(restore).collect()
    }
}
