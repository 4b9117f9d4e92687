//! The store: owner of everything that instances refer to, and the pointer that ties them together.
//!
//! ```text
//!  Store<T> ──owns──▶ StoreInner<T> (boxed, pinned)            VmContext of an instance
//!                     ┌────────────────────┐                   ┌─────────┐
//!                     │ VmStore            │◀──────store───────│  header │
//!                     │   ctx: stack limit…│                   └─────────┘
//!                     │   instances, …     │
//!                     ├────────────────────┤
//!                     │ T                  │
//!                     └────────────────────┘
//! ```
//!
//! `StoreInner` is `repr(C)` with `VmStore` first, and `VmStore` with `VmStoreContext` first: a context's `store`
//! pointer is a pointer to all three (S1). Because compiled code, builtins and host functions reach the store through
//! that pointer, Rust code that enters compiled code holds no reference into the store while it does (S2): handles to a
//! borrowed store are raw pointers with a lifetime.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use anyhow::Result;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::{INSTANCE_MAGIC, VmContext, VmFuncRef, VmGlobal, VmMemory, VmStoreContext, VmTable, VmTag};
use hotfoot_artifact::{MemoryType, TableType};

use super::border::{Asks, Watches};
use super::bulk::Copying;
use super::code::CodeIndex;
use super::exception::{Exceptions, TagPtr};
use super::gc::Gc;
use super::hostcall::AnyHostFunc;
use super::instance::InstanceData;
use super::interrupt::Interruptible;
use super::memory::MemoryData;
use super::meter::Tank;
use super::parking::Waiter;
use super::sampling::Sampled;
use super::stacks::Stack;
use super::table::TableData;
use super::trap::{self, Pending};
use crate::engine::Engine;
use crate::exn_ref::ThrownException;
use crate::value::Val;

/// Identifies a store among all of the process; a handle carries its store's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(NonZeroU64);

impl StoreId {
    /// A number that no other store has. Threads take blocks of numbers, so that making a store writes nothing shared.
    pub(super) fn next() -> StoreId {
        const BLOCK: u64 = 1 << 20;
        static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        let mut id = NEXT.get();
        if id.is_multiple_of(BLOCK) {
            id = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
        }
        NEXT.set(id + 1);
        StoreId(NonZeroU64::MIN.saturating_add(id))
    }
}

/// A pointer to a function reference of some store.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuncPtr(NonNull<VmFuncRef>);

// SAFETY: S3, only dereferenced together with a borrow of the store that owns the pointee.
unsafe impl Send for FuncPtr {}
// SAFETY: S3, as above.
unsafe impl Sync for FuncPtr {}

impl FuncPtr {
    /// As a table element or `funcref` value.
    pub fn to_raw(self) -> u64 {
        self.0.as_ptr() as u64
    }

    pub(super) fn new(pointer: NonNull<VmFuncRef>) -> FuncPtr {
        FuncPtr(pointer)
    }

    /// From a table element or `funcref` value that compiled code or this module made; null is `None`.
    pub(super) fn from_raw(raw: u64) -> Option<FuncPtr> {
        NonNull::new(raw as *mut VmFuncRef).map(FuncPtr)
    }

    pub(super) fn as_non_null(self) -> NonNull<VmFuncRef> {
        self.0
    }
}

/// A pointer to a global of some store.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalPtr(NonNull<VmGlobal>);

// SAFETY: S3, only dereferenced together with a borrow of the store that owns the pointee.
unsafe impl Send for GlobalPtr {}
// SAFETY: S3, as above.
unsafe impl Sync for GlobalPtr {}

impl GlobalPtr {
    pub(super) fn new(pointer: NonNull<VmGlobal>) -> GlobalPtr {
        GlobalPtr(pointer)
    }

    pub(super) fn as_non_null(self) -> NonNull<VmGlobal> {
        self.0
    }
}

/// A global of the host's.
pub(super) struct HostGlobal {
    pub(super) definition: VmGlobal,
    pub(super) holds_objects: bool,
}

/// The part of a store that does not depend on its data's type.
#[repr(C)]
#[allow(clippy::vec_box, reason = "boxed definitions stay where they are when the vector grows")]
pub struct VmStore {
    pub(super) ctx: VmStoreContext,
    /// The caller's context when the host itself calls: no instance, but this store.
    pub(super) host_context: VmContext,
    id: StoreId,
    /// A copy of a handle that the store does not own.
    pub(super) engine: ManuallyDrop<Engine>,
    pub(super) shelf: usize,
    pub(super) asks: &'static Asks,
    pub(super) watches: Watches,
    pub(super) tank: Tank,
    pub(super) interruptible: Interruptible,
    pub(super) sampled: Sampled,
    pub(super) copying: Copying,
    /// A stack for the next fiber.
    pub(super) idle_stack: Option<Stack>,
    code_index: AtomicPtr<CodeIndex>,
    pending: Option<Pending>,
    /// Boxed because they travel: from a shelf to a store and back.
    pub(super) instances: Vec<Box<InstanceData>>,
    pub(super) memories: Vec<MemoryData>,
    pub(super) tables: Vec<TableData>,
    /// Definitions that belong to no instance; boxed so that they never move.
    host_memories: Vec<Box<VmMemory>>,
    host_tables: Vec<Box<VmTable>>,
    pub(super) host_globals: Vec<Box<HostGlobal>>,
    host_tags: Vec<Box<VmTag>>,
    host_funcs: Vec<Box<VmFuncRef>>,
    /// What the function references above and imported host functions point to.
    kept_funcs: Vec<Arc<AnyHostFunc>>,
    pub(super) exceptions: Exceptions,
    pub(super) gc: Gc,
    /// Whether a guest has called a host function, or seen a limit of this store or the host, since this was cleared.
    pub(super) host_was_seen: bool,
    pub(super) waiter: Option<Arc<Waiter>>,
    /// Room for the arguments and results of a host function that takes them as values; at most two thousand.
    pub(super) values: Vec<Val>,
}

// SAFETY: S2, S3: the pointers inside lead to memory that this store owns and reaches only while borrowed.
unsafe impl Send for VmStore {}
// SAFETY: S2, S3, as above: `&VmStore` only reads.
unsafe impl Sync for VmStore {}

impl Drop for VmStore {
    fn drop(&mut self) {
        // SAFETY: S9, made by `Box::into_raw` and replaced only as a whole; no guest runs any more.
        drop(unsafe { Box::from_raw(*self.code_index.get_mut()) });
    }
}

impl VmStore {
    pub(super) fn new(engine: &Engine, asks: &'static Asks) -> VmStore {
        VmStore {
            ctx: VmStoreContext {
                stack_limit: 0,
                last_exit_fp: 0,
                last_exit_pc: 0,
                gc_base: std::ptr::null_mut(),
                gc_next: 0,
                gc_limit: 0,
                fuel: 0,
                epoch_deadline: 0,
                epoch: std::ptr::null(),
            },
            host_context: VmContext {
                magic: INSTANCE_MAGIC,
                instance: u32::MAX,
                store: std::ptr::null_mut(),
                builtins: std::ptr::null(),
                type_ids: std::ptr::null(),
                type_displays: std::ptr::null(),
            },
            id: StoreId::next(),
            // SAFETY: S12, as in `begin`, which follows.
            engine: ManuallyDrop::new(unsafe { std::ptr::read(engine) }),
            shelf: 0,
            asks,
            watches: Watches::default(),
            tank: Tank::default(),
            interruptible: Interruptible::default(),
            sampled: Sampled::default(),
            copying: Copying::default(),
            idle_stack: None,
            code_index: AtomicPtr::new(Box::into_raw(Box::default())),
            pending: None,
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            host_memories: Vec::new(),
            host_tables: Vec::new(),
            host_globals: Vec::new(),
            host_tags: Vec::new(),
            host_funcs: Vec::new(),
            kept_funcs: Vec::new(),
            exceptions: Exceptions::default(),
            gc: Gc::default(),
            host_was_seen: false,
            waiter: None,
            values: Vec::new(),
        }
    }

    /// Which store this is.
    #[inline]
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The engine it belongs to.
    #[inline]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn max_wasm_stack(&self) -> usize {
        self.engine.config().max_wasm_stack
    }

    pub(super) fn max_backtrace_frames(&self) -> usize {
        self.engine.config().wasm_backtrace_max_frames
    }

    /// The caller's context for calls that the host makes.
    ///
    /// # Safety
    /// S1: the store is alive.
    pub(super) unsafe fn host_context(store: NonNull<VmStore>) -> *mut VmContext {
        // SAFETY: S1, by the caller's promise; no reference is made.
        unsafe { &raw mut (*store.as_ptr()).host_context }
    }

    /// The pointer to this store that contexts hold; made from the whole box, so it may be used to reach the data.
    pub(super) fn pointer(&self) -> NonNull<VmStore> {
        // SAFETY: S1, set when the store was pinned.
        unsafe { NonNull::new_unchecked(self.host_context.store.cast()) }
    }

    /// The code of the store's modules. Async-signal-safe.
    ///
    /// # Safety
    /// S1: the store is alive. S9: no module is added while the result is used.
    pub(super) unsafe fn code_index<'a>(store: NonNull<VmStore>) -> &'a CodeIndex {
        // SAFETY: S9, by the caller's promise; the pointer is never null.
        unsafe { &*(*store.as_ptr()).code_index.load(Ordering::Acquire) }
    }

    /// Makes the code of an instance's module known to traps and backtraces, and gives host functions that had none its
    /// trampolines.
    pub(super) fn add_code(&mut self, number: u32) {
        let module = self.instances[number as usize].module();
        let text = module.code().text();
        // SAFETY: S9, replaced only here; no guest of this store runs while we hold it exclusively.
        let index = unsafe { &mut **self.code_index.get_mut() };
        if text.is_empty() || index.find(text.start).is_some() {
            return;
        }
        if index.is_empty() {
            // SAFETY: S3, the instance keeps its module; S9, a store without modules has no guest on the stack.
            unsafe { index.insert(module) };
        } else {
            let mut larger = index.copy();
            // SAFETY: S3, as above; S9, still private.
            unsafe { larger.insert(module) };
            let smaller = self.code_index.swap(Box::into_raw(Box::new(larger)), Ordering::AcqRel);
            // SAFETY: S9, made by `Box::into_raw`; nobody reads the old index any more.
            drop(unsafe { Box::from_raw(smaller) });
        }
        for func in self.host_funcs.iter_mut().filter(|func| func.code.is_null()) {
            func.code = module.host_trampoline(func.type_id);
        }
    }

    /// Makes a store that was ended, or is new, one of this engine's.
    pub(super) fn begin(&mut self, store: NonNull<VmStore>, engine: &Engine, shelf: usize, asks: &'static Asks) {
        self.id = StoreId::next();
        // SAFETY: S12, the shelf keeps what the handle points to while the store is in use; the copy is never dropped.
        self.engine = ManuallyDrop::new(unsafe { std::ptr::read(engine) });
        self.shelf = shelf;
        self.asks = asks;
        self.begin_metering();
        self.host_context.store = store.cast().as_ptr();
    }

    /// Takes everything out of the store, so that it can begin again.
    pub(super) fn end(&mut self) {
        // SAFETY: S9, no guest of this store is on the stack: it is being dropped.
        unsafe { &mut **self.code_index.get_mut() }.clear();
        self.interruptible.end();
        self.sampled.end();
        self.end_fibers();
        self.release_instances();
        if self.pending.is_some() {
            self.pending = None;
        }
        if self.has_host_definitions() {
            self.drop_host_definitions();
        }
        self.exceptions.clear();
        self.empty_heap();
        self.waiter = None;
    }

    /// One test for what most stores have none of.
    fn has_host_definitions(&self) -> bool {
        let definitions = self.host_memories.len() | self.host_tables.len() | self.host_globals.len();
        definitions | self.host_tags.len() | self.host_funcs.len() | self.kept_funcs.len() != 0
    }

    #[cold]
    fn drop_host_definitions(&mut self) {
        self.host_memories.clear();
        self.host_tables.clear();
        self.host_globals.clear();
        self.host_funcs.clear();
        self.host_tags.clear();
        self.kept_funcs.clear();
    }

    pub(super) fn set_pending(&mut self, pending: Pending) {
        self.pending = Some(pending);
    }

    pub(super) fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    pub(super) fn take_pending(&mut self) -> Pending {
        self.pending.take().unwrap_or_else(|| {
            Pending::Error(
                anyhow::anyhow!("compiled code was left without a reason; this is a bug in hotfoot"),
                Vec::new(),
            )
        })
    }

    /// Keeps an error to unwind with. It keeps what it carries, so a trap that passes through a host function still says
    /// where it came from.
    ///
    /// # Safety
    /// As [`trap::capture`] without an innermost frame.
    pub(super) unsafe fn set_pending_error(store: NonNull<VmStore>, error: anyhow::Error) {
        // SAFETY: S9, by the caller's promise.
        let backtrace = unsafe { trap::capture(store, None) };
        // SAFETY: S1, S2: a short exclusive borrow.
        unsafe { (*store.as_ptr()).set_pending(Pending::Error(error, backtrace)) };
    }

    /// Keeps the error of a host function to unwind with; an exception of this store's may still be caught.
    ///
    /// # Safety
    /// As [`trap::capture`] without an innermost frame.
    pub(super) unsafe fn set_pending_host_error(store: NonNull<VmStore>, error: anyhow::Error) {
        // SAFETY: S1, a short borrow.
        let id = unsafe { store.as_ref().id };
        let exception = error.downcast_ref::<ThrownException>();
        if exception.is_none_or(|exception| exception.store_id() != id) {
            // SAFETY: S9, by the caller's promise.
            return unsafe { VmStore::set_pending_error(store, error) };
        }
        // SAFETY: S9, by the caller's promise; S2, a short exclusive borrow.
        unsafe {
            let backtrace = trap::capture(store, None);
            (*store.as_ptr()).set_pending(Pending::Exception(error, backtrace));
        }
    }

    // ---- definitions that belong to no instance ----

    /// Adds a memory of the host's, of a valid type that is not shared.
    pub(super) fn new_memory(&mut self, ty: MemoryType) -> Result<u32> {
        let memory = self.engine.allocator().memory(&ty, self.engine.tunables())?;
        let mut definition = Box::new(memory.definition());
        let pointer = NonNull::from(&mut *definition);
        self.host_memories.push(definition);
        // SAFETY: S3, boxed and kept until the store is dropped.
        self.memories.push(unsafe { MemoryData::new(memory, ty, pointer) });
        Ok(self.memories.len() as u32 - 1)
    }

    /// Adds a table of the host's, of a valid type, filled with `element`.
    ///
    /// # Safety
    /// S7: the element is of the table's type and this store.
    pub(super) unsafe fn new_table(&mut self, ty: TableType, element: u64) -> Result<u32> {
        let elements = self.engine.allocator().table(&ty)?;
        let mut definition = Box::new(VmTable { base: std::ptr::null_mut(), len: 0 });
        let pointer = NonNull::from(&mut *definition);
        self.host_tables.push(definition);
        // SAFETY: S3, boxed and kept until the store is dropped.
        let mut table = unsafe { TableData::new(elements, ty, pointer) };
        // SAFETY: S7, by the caller's promise.
        unsafe { table.fill(0, element, ty.minimum) };
        self.tables.push(table);
        Ok(self.tables.len() as u32 - 1)
    }

    /// Adds a global of the host's; `holds_objects` says whether its type is one of references to objects.
    pub(super) fn new_global(&mut self, bytes: [u8; 16], holds_objects: bool) -> GlobalPtr {
        let mut global = Box::new(HostGlobal { definition: VmGlobal { bytes }, holds_objects });
        let pointer = NonNull::from(&mut global.definition);
        self.host_globals.push(global);
        GlobalPtr(pointer)
    }

    /// Adds a tag of the host's; the number is that of its type in the engine.
    pub fn new_tag(&mut self, type_id: u32) -> TagPtr {
        let mut tag = Box::new(VmTag { type_id, reserved: 0 });
        let pointer = NonNull::from(&mut *tag);
        self.host_tags.push(tag);
        TagPtr::new(pointer)
    }

    /// Adds a host function as a value of this store.
    pub fn new_host_func(&mut self, func: Arc<AnyHostFunc>) -> FuncPtr {
        let mut reference = Box::new(func.reference(std::ptr::null()));
        if reference.code.is_null() {
            // SAFETY: S9, the index is only replaced by `add_code`, which needs the store exclusively.
            let index = unsafe { &*self.code_index.load(Ordering::Acquire) };
            let trampolines = index.modules().map(|module| module.host_trampoline(reference.type_id));
            reference.code = { trampolines }.find(|code| !code.is_null()).unwrap_or(std::ptr::null());
        }
        let pointer = NonNull::from(&mut *reference);
        self.host_funcs.push(reference);
        self.kept_funcs.push(func);
        FuncPtr(pointer)
    }

    pub(super) fn kept_funcs(&self) -> &[Arc<AnyHostFunc>] {
        &self.kept_funcs
    }

    /// Keeps host functions alive that an instance imports.
    pub fn keep_host_funcs(&mut self, funcs: impl IntoIterator<Item = Arc<AnyHostFunc>>) {
        self.kept_funcs.extend(funcs);
    }

    /// A memory by its number in the store.
    pub fn memory(&self, index: u32) -> &MemoryData {
        &self.memories[index as usize]
    }

    /// A memory by its number in the store.
    pub fn memory_mut(&mut self, index: u32) -> &mut MemoryData {
        &mut self.memories[index as usize]
    }

    /// A table by its number in the store.
    pub fn table(&self, index: u32) -> &TableData {
        &self.tables[index as usize]
    }

    /// An instance by its number in the store.
    pub fn instance(&self, index: u32) -> &InstanceData {
        &self.instances[index as usize]
    }

    /// How many memories there are.
    pub fn num_memories(&self) -> usize {
        self.memories.len()
    }

    /// How many instances there are.
    pub fn num_instances(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn trap_unless(condition: bool, code: TrapCode) -> Result<()> {
        if condition { Ok(()) } else { Err(code.into()) }
    }
}
