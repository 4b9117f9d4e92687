//! A store's garbage-collected objects: host values, exceptions, structs and arrays.
//!
//! ```text
//!  heap       the address space: two spaces, one of them in use       layout: hotfoot_abi::gc
//!  collector  copies what is in use from one space to the other       shape: where the references of a type are
//!  handles    references that the host holds      frames: those in compiled frames      externs: the host's values
//!  object     structs and exceptions      array: arrays      values: both, for the host, with types compared
//!  builtins   what compiled code calls
//! ```
//!
//! Allocation is an addition and a comparison, in compiled code; only an object for which there is no room comes here. Then
//! everything that is in use is copied, and what that costs grows with what is in use, not with garbage. A store that
//! never makes an object has no heap.
//!
//! Invariant S17: between calls, every reference (in objects, frames, globals, tables, handles) is null, an i31, or leads to
//! an object in the active space, all of whose fields were written. Objects move whenever one is allocated: Rust code
//! holds no reference across an allocation but in a handle.

pub(super) mod array;
pub(super) mod builtins;
mod collector;
mod externs;
mod frames;
pub mod handles;
mod heap;
mod object;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::any::Any;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::Result;
use hotfoot_abi::gc::{EXTERN_VALUE, Kind, NULL_GUARD, OBJECT_ALIGN, Storage, array_size};
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{CompositeType, FieldType, StorageType, ValType};

use self::collector::Collector;
use self::externs::Externs;
use self::handles::{Handles, RootIndex};
use self::heap::{GRAIN, Heap};
use self::shape::{Shape, Shapes};
use super::context::StoreContextMut;
use super::fiber::Asker;
use super::growth::Growing;
use super::slot::Slot;
use super::store::VmStore;
use crate::out_of_memory::GcHeapOutOfMemory;
use crate::types::registry::TypeRegistry;

/// Bytes of each space to begin with: an area of this size that is written again and again stays in the cache.
const INITIAL_SPACE: u64 = 512 << 10;

/// After a collection, each space should be so many times as large as what is in use: copying then costs each byte that
/// is allocated half a byte copied at most.
const SPACE_PER_USE: u64 = 3;

/// Bounds of `Config::gc_heap_reservation`.
pub const MIN_RESERVATION: u64 = 1 << 20;
/// Offsets have 32 bits.
pub const MAX_RESERVATION: u64 = 1 << 32;

/// What a store keeps for its objects, but for what compiled code reads and writes ([`VmStoreContext`]).
///
/// [`VmStoreContext`]: hotfoot_abi::vmctx::VmStoreContext
#[derive(Debug, Default)]
pub struct Gc {
    heap: Option<Heap>,
    shapes: Shapes,
    externs: Externs,
    handles: Handles,
    /// Collect at every so many allocations, to find references that no root knows of.
    zeal: Option<NonZeroU32>,
    until_zeal: u32,
    /// A size that the store's limits have refused; greater ones are only asked for in need.
    refused: u64,
    /// Places of references in frames, during a collection.
    frames: Vec<NonNull<u32>>,
    collections: u64,
}

/// How large each space has to be, and is tried to be made.
#[derive(Copy, Clone, Debug)]
struct HeapPlan {
    least: u64,
    target: u64,
}

impl Gc {
    /// Whether there is nothing to forget: most stores have no objects. Without a heap there are neither shapes nor host values.
    fn is_unused(&self) -> bool {
        self.heap.is_none() && self.shapes.is_empty() && self.externs.is_empty() && self.handles.is_empty()
    }
}

/// How a value of this type is kept in an object.
pub(super) fn storage(ty: ValType) -> Storage {
    match ty {
        ValType::I32 | ValType::F32 => Storage::I32,
        ValType::I64 | ValType::F64 => Storage::I64,
        ValType::V128 => Storage::V128,
        ValType::Ref(reference) if reference.heap.is_collected() => Storage::Ref,
        ValType::Ref(_) => Storage::Func,
    }
}

/// Whether values of this type may refer to objects.
pub(super) fn holds_objects(ty: ValType) -> bool {
    storage(ty) == Storage::Ref
}

/// How a field is kept in an object.
pub(super) fn field_storage(field: FieldType) -> Storage {
    match field.storage {
        StorageType::I8 => Storage::I8,
        StorageType::I16 => Storage::I16,
        StorageType::Val(ty) => storage(ty),
    }
}

/// The shape of a type, the first time that a store sees it.
fn describe(types: &TypeRegistry, shapes: &mut Shapes, type_id: u32) -> Shape {
    let fields = match &types.get(type_id).ty.composite {
        CompositeType::Array(ty) => return shapes.add_array(type_id, field_storage(ty.element)),
        CompositeType::Struct(ty) => ty.fields.iter().copied().map(field_storage).collect(),
        CompositeType::Func(ty) => {
            // An exception: the tag's address, and the values.
            let mut fields = vec![Storage::I64];
            fields.extend(ty.params.iter().copied().map(storage));
            fields
        }
    };
    shapes.add_fields(type_id, &fields)
}

impl VmStore {
    /// Gets the address space for objects, if that was not done.
    ///
    /// # Errors
    /// When the host has not enough.
    pub(super) fn reserve_heap(&mut self) -> Result<&Heap> {
        if self.gc.heap.is_none() {
            self.gc.heap = Some(Heap::reserve(self.engine().config().gc_heap_reservation)?);
        }
        let zeal = self.engine().config().gc_zeal_alloc_counter;
        let heap = self.gc.heap.as_ref().expect("reserved just now");
        if self.ctx.gc_base.is_null() {
            self.ctx.gc_base = heap.base();
            (self.ctx.gc_next, self.ctx.gc_limit) = (heap.active().start, 0);
            (self.gc.zeal, self.gc.until_zeal, self.gc.refused) = (zeal, 0, u64::MAX);
        }
        Ok(heap)
    }

    /// Room for an object of so many bytes, a multiple of [`OBJECT_ALIGN`]. The caller writes the header and all fields
    /// before anything else is allocated.
    ///
    /// # Errors
    /// [`GcHeapOutOfMemory`] when limits or the host allow no more, even after a collection.
    pub(super) fn allocate(&mut self, size: u64) -> Result<u32> {
        let start = self.ctx.gc_next;
        if start + size > self.ctx.gc_limit {
            return self.allocate_slowly(size);
        }
        self.ctx.gc_next = start + size;
        Ok(start as u32)
    }

    fn allocate_slowly(&mut self, size: u64) -> Result<u32> {
        let space_max = self.reserve_heap()?.space_max();
        VmStore::trap_unless(size <= space_max, TrapCode::AllocationTooLarge)?;
        if self.is_zealous_now() || !self.has_room(size) {
            self.collect_garbage();
            self.grow_heap(size)?;
        }
        if !self.has_room(size) {
            return Err(GcHeapOutOfMemory::new((), size).into());
        }
        let start = self.ctx.gc_next;
        self.ctx.gc_next = start + size;
        Ok(start as u32)
    }

    fn has_room(&self, size: u64) -> bool {
        let heap = self.gc.heap.as_ref();
        heap.is_some_and(|heap| self.ctx.gc_next + size <= heap.active().end)
    }

    /// Whether this allocation is one of those at which a collection was asked for.
    fn is_zealous_now(&mut self) -> bool {
        let Some(zeal) = self.gc.zeal else { return false };
        if self.gc.until_zeal == 0 {
            self.gc.until_zeal = zeal.get();
        }
        self.gc.until_zeal -= 1;
        self.gc.until_zeal == 0
    }

    /// Bytes of objects since the last collection, and those that it kept.
    fn used(&self) -> u64 {
        self.gc.heap.as_ref().map_or(0, |heap| self.ctx.gc_next - heap.active().start)
    }

    /// Bytes that the heap may use before it has to grow, both spaces together.
    pub fn heap_capacity(&self) -> u64 {
        self.gc.heap.as_ref().map_or(0, Heap::capacity)
    }

    /// How many collections there have been.
    pub fn collections(&self) -> u64 {
        self.gc.collections
    }

    // ---- size ----

    /// Makes the heap as large as what is in use and an object of `size` bytes ask for, as far as limits allow.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap instead of what it needs.
    fn grow_heap(&mut self, size: u64) -> Result<()> {
        let mut plan = self.heap_plan(size);
        while let Some(growing) = self.heap_question(plan) {
            let answer = self.may_grow_now(growing);
            plan = self.grow_heap_if(plan, answer)?;
        }
        self.publish_limit();
        Ok(())
    }

    /// Collects and grows the heap before an object of so many bytes is allocated, if there is no room. Unlike
    /// [`VmStore::allocate`] this may wait.
    ///
    /// # Safety
    /// As [`VmStore::may_grow`].
    ///
    /// # Errors
    /// As [`VmStore::allocate`].
    pub(super) unsafe fn make_room(store: NonNull<VmStore>, size: u64, asker: Asker) -> Result<()> {
        // SAFETY: S1, S2: by the caller's promise; short borrows, none while the limiter is asked.
        unsafe {
            let space_max = (*store.as_ptr()).reserve_heap()?.space_max();
            if size > space_max || store.as_ref().has_room(size) {
                return Ok(());
            }
            (*store.as_ptr()).collect_garbage();
            let mut plan = store.as_ref().heap_plan(size);
            while let Some(growing) = store.as_ref().heap_question(plan) {
                let answer = VmStore::may_grow(store, growing, asker);
                plan = (*store.as_ptr()).grow_heap_if(plan, answer)?;
            }
            (*store.as_ptr()).publish_limit();
            // It is not asked again, by who cannot wait.
            if !store.as_ref().has_room(size) {
                return Err(GcHeapOutOfMemory::new((), size).into());
            }
        }
        Ok(())
    }

    /// How large each space should be for what is in use and an object of `size` bytes.
    fn heap_plan(&self, size: u64) -> HeapPlan {
        let (granted, space_max) = self.gc.heap.as_ref().map_or((0, 0), |heap| (heap.granted(), heap.space_max()));
        let used = self.used() + size;
        let least = used.next_multiple_of(GRAIN).max(granted);
        let wanted = (used * SPACE_PER_USE).next_multiple_of(GRAIN).max(INITIAL_SPACE);
        let target = wanted.min(self.gc.refused.saturating_sub(GRAIN)).max(least).min(space_max);
        HeapPlan { least, target }
    }

    /// What the limiter is to be asked next, if the heap is to grow.
    fn heap_question(&self, plan: HeapPlan) -> Option<Growing> {
        let heap = self.gc.heap.as_ref().filter(|heap| plan.target > heap.granted())?;
        let maximum = self.engine.config().gc_heap_reservation;
        Some(Growing::heap(heap.capacity(), 2 * plan.target, maximum))
    }

    /// Grows the heap if the limiter's answer allows it. The limiter only says yes or no: the next plan looks for what it
    /// allows by halving.
    ///
    /// # Errors
    /// The answer's, when it was about what is needed at least.
    fn grow_heap_if(&mut self, plan: HeapPlan, answer: Result<bool>) -> Result<HeapPlan> {
        let HeapPlan { least, target } = plan;
        let end = HeapPlan { least, target: 0 };
        let grown =
            answer.map(|allowed| allowed && self.gc.heap.as_mut().is_some_and(|heap| heap.grant(target).is_ok()));
        match grown {
            Ok(true) => return Ok(end),
            Err(error) if target == least => return Err(error),
            Ok(false) if target <= least => return Ok(end),
            Ok(false) | Err(_) => self.gc.refused = target,
        }
        Ok(HeapPlan { least, target: least.midpoint(target) / GRAIN * GRAIN })
    }

    /// Tells compiled code how far it can allocate: not at all, when every allocation may be one to collect at.
    fn publish_limit(&mut self) {
        let end = self.gc.heap.as_ref().map_or(0, |heap| heap.active().end);
        self.ctx.gc_limit = if self.gc.zeal.is_some() { 0 } else { end };
    }

    // ---- collection ----

    /// Frees what nothing refers to.
    pub fn collect_garbage(&mut self) {
        if self.gc.heap.as_ref().is_none_or(|heap| heap.granted() == 0) {
            return;
        }
        let mut frames = std::mem::take(&mut self.gc.frames);
        // SAFETY: S1, S9: a guest of the store is in a call of the runtime, or there is none; the store is borrowed.
        unsafe { frames::references(self.pointer(), &mut frames) };
        self.gc.handles.sweep();
        // SAFETY: S17, the roots are visited once each, while no guest runs.
        let gone = unsafe { self.copy_reachable(&frames) };
        frames.clear();
        self.gc.frames = frames;
        self.gc.collections += 1;
        drop(gone);
    }

    /// Copies what is in use to the other space, and returns the host's values that are not.
    ///
    /// # Safety
    /// S17: `frames` are the places of references in all frames of the store's guests, none twice.
    unsafe fn copy_reachable(&mut self, frames: &[NonNull<u32>]) -> Vec<Box<dyn Any + Send + Sync>> {
        let types = self.engine.types();
        let describe = |shapes: &mut Shapes, type_id| describe(types, shapes, type_id);
        let Some(heap) = &mut self.gc.heap else { return Vec::new() };
        let mut collector = Collector::new(heap, self.ctx.gc_next, &mut self.gc.shapes, &describe);
        // SAFETY: S17: each is a root, and no place of references belongs to two of these.
        unsafe {
            for place in frames {
                collector.visit(&mut *place.as_ptr());
            }
            for reference in self.gc.handles.references() {
                collector.visit(reference);
            }
            for instance in &mut self.instances {
                instance.visit_references(&mut |reference| collector.visit(reference));
            }
            for global in self.host_globals.iter_mut().filter(|global| global.holds_objects) {
                let mut reference = Slot::from_bytes(global.definition.bytes).as_u32();
                collector.visit(&mut reference);
                global.definition.bytes = Slot::from_u32(reference).bytes();
            }
            for table in &mut self.tables {
                table.visit_references(&mut |reference| collector.visit(reference));
            }
            collector.finish_copying();
        }
        let gone = self.gc.externs.sweep(|object| collector.forwarded(object));
        self.ctx.gc_next = collector.finish(self.gc.zeal.is_some());
        self.publish_limit();
        gone
    }

    /// Forgets all objects, for the store to begin again; address space is kept.
    pub(super) fn empty_heap(&mut self) {
        if self.gc.is_unused() {
            return;
        }
        self.gc.handles.clear();
        self.gc.shapes.clear();
        self.gc.externs.clear();
        if self.gc.heap.as_mut().is_some_and(|heap| heap.empty().is_err()) {
            // The next guest that makes objects reserves another.
            self.gc.heap = None;
        }
        self.ctx.gc_base = std::ptr::null_mut();
        (self.ctx.gc_next, self.ctx.gc_limit) = (0, 0);
    }

    // ---- the host's references ----

    /// Keeps a reference, which is not null, until the current scope ends.
    #[inline]
    pub fn root(&mut self, reference: u32) -> RootIndex {
        let id = self.id();
        self.gc.handles.push(id, reference)
    }

    /// Keeps a reference, which is not null, as long as a clone of the second result lives.
    pub fn own(&mut self, reference: u32) -> (RootIndex, Arc<()>) {
        let id = self.id();
        self.gc.handles.own(id, reference)
    }

    /// Takes back what was kept last with [`VmStore::root`].
    pub(super) fn unroot(&mut self) -> u32 {
        self.gc.handles.pop()
    }

    /// The reference of a handle, as it is until the next allocation.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn reference(&self, root: RootIndex) -> Result<u32> {
        self.gc.handles.get(self.id(), root)
    }

    /// Begins a scope of handles; see [`VmStore::leave_scope`].
    #[inline]
    pub fn enter_scope(&self) -> usize {
        self.gc.handles.enter()
    }

    /// Ends a scope of handles.
    #[inline]
    pub fn leave_scope(&mut self, scope: usize) {
        self.gc.handles.leave(scope);
    }

    // ---- host values ----

    /// Adds a host value and returns its `externref`.
    ///
    /// # Errors
    /// [`GcHeapOutOfMemory`] with the value, when there is no room.
    pub fn new_extern<V: Any + Send + Sync>(&mut self, value: V) -> Result<u32> {
        let object = match self.allocate(OBJECT_ALIGN.into()) {
            Ok(object) => object,
            Err(error) if error.is::<GcHeapOutOfMemory<()>>() => {
                return Err(GcHeapOutOfMemory::new(value, OBJECT_ALIGN.into()).into());
            }
            Err(error) => return Err(error),
        };
        let place = self.gc.externs.add(object, Box::new(value));
        let heap = self.heap_mut();
        heap.set_word(object, Kind::Extern.header(0));
        heap.set_word(object + EXTERN_VALUE, place);
        Ok(object)
    }

    /// The host value of a reference; none if it is null or leads to something else.
    pub fn extern_value(&self, reference: u32) -> Option<&(dyn Any + Send + Sync)> {
        self.gc.externs.get(self.extern_place(reference)?)
    }

    /// As [`VmStore::extern_value`].
    pub fn extern_value_mut(&mut self, reference: u32) -> Option<&mut (dyn Any + Send + Sync)> {
        let place = self.extern_place(reference)?;
        self.gc.externs.get_mut(place)
    }

    fn extern_place(&self, reference: u32) -> Option<u32> {
        (self.kind_of(reference)? == Kind::Extern).then(|| self.heap().word(reference + EXTERN_VALUE))
    }

    /// What a reference leads to; none if it is null or an i31.
    pub(super) fn kind_of(&self, reference: u32) -> Option<Kind> {
        is_object(reference).then(|| Kind::of(self.heap().word(reference)))
    }

    /// The heap of a store that has objects.
    fn heap(&self) -> &Heap {
        self.gc.heap.as_ref().expect("a reference to an object of a store without a heap; this is a bug in hotfoot")
    }

    /// As [`VmStore::heap`].
    fn heap_mut(&mut self) -> &mut Heap {
        self.gc.heap.as_mut().expect("a reference to an object of a store without a heap; this is a bug in hotfoot")
    }
}

/// What the host is about to make, for which the limiter may have to be waited for.
#[derive(Copy, Clone, Debug)]
pub enum NewObject {
    /// A value of its own.
    Extern,
    /// A struct, array or exception: the number of its type, and how many elements an array has.
    Typed(u32, usize),
}

/// Makes room in the heap for an object that the host makes; this may wait, unlike making it.
///
/// # Errors
/// When the limiter says so.
pub fn make_room_for<T>(mut store: StoreContextMut<'_, T>, object: NewObject) -> Result<()> {
    let vm = store.vm();
    let size = match object {
        NewObject::Extern => OBJECT_ALIGN.into(),
        NewObject::Typed(type_id, len) => match vm.shape(type_id) {
            Shape::Fixed { size, .. } => size.into(),
            // Those who make it refuse what is too long.
            Shape::Array(storage) => array_size(storage, u32::try_from(len).unwrap_or(u32::MAX)),
        },
    };
    // SAFETY: S1, S2: the store is borrowed by a raw pointer; S15, what the host runs on a fiber is ours.
    unsafe { VmStore::make_room(store.pointer(), size, Asker::Host) }
}

/// Whether a reference leads to an object.
pub(super) fn is_object(reference: u32) -> bool {
    reference >= NULL_GUARD && reference & 1 == 0
}
