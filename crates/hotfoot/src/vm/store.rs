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

use anyhow::{Result, ensure};
use corosensei::stack::DefaultStack;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::{INSTANCE_MAGIC, VmContext, VmFuncRef, VmGlobal, VmMemory, VmStoreContext, VmTable, VmTag};
use hotfoot_artifact::{MemoryType, TableType};

use super::border::{Asks, Watches};
use super::code::CodeIndex;
use super::exception::{Exceptions, TagPtr};
use super::gc::Gc;
use super::hostcall::AnyHostFunc;
use super::instance::InstanceData;
use super::interrupt::Interruptible;
use super::memory::MemoryData;
use super::meter::Tank;
use super::parking::Waiter;
use super::shared::Growth;
use super::table::TableData;
use super::trap::{self, Pending};
use crate::engine::Engine;
use crate::exn_ref::ThrownException;
use crate::limits::ResourceLimiter;

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
    /// A stack for the next fiber.
    pub(super) idle_stack: Option<DefaultStack>,
    code_index: AtomicPtr<CodeIndex>,
    pending: Option<Pending>,
    pub(super) instances: Vec<InstanceData>,
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
        }
    }

    /// Which store this is.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The engine it belongs to.
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
        self.end_fibers();
        self.release_instances();
        self.pending = None;
        self.host_memories.clear();
        self.host_tables.clear();
        self.host_globals.clear();
        self.host_funcs.clear();
        self.host_tags.clear();
        self.kept_funcs.clear();
        self.exceptions = Exceptions::default();
        self.empty_heap();
        self.waiter = None;
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

    /// Adds a memory of the host's.
    pub fn new_memory(&mut self, ty: MemoryType) -> Result<u32> {
        check_limits("memory", ty.minimum, ty.maximum, ty.reach())?;
        ensure!(!ty.shared, "a memory of this type belongs to no store: {ty}; use `SharedMemory::new`");
        self.check_memory_growth(0, &ty, ty.minimum)?.then_some(()).ok_or_else(|| limit_error("memory"))?;
        let memory = self.engine.allocator().memory(&ty, self.engine.tunables())?;
        let mut definition = Box::new(memory.definition());
        let pointer = NonNull::from(&mut *definition);
        self.host_memories.push(definition);
        // SAFETY: S3, boxed and kept until the store is dropped.
        self.memories.push(unsafe { MemoryData::new(memory, ty, pointer) });
        Ok(self.memories.len() as u32 - 1)
    }

    /// Adds a table of the host's, filled with `element`.
    ///
    /// # Safety
    /// S7: the element is of the table's type and this store.
    pub(super) unsafe fn new_table(&mut self, ty: TableType, element: u64) -> Result<u32> {
        check_limits("table", ty.minimum, ty.maximum, if ty.index64 { u64::MAX } else { u32::MAX.into() })?;
        self.check_table_growth(0, &ty, ty.minimum)?.then_some(()).ok_or_else(|| limit_error("table"))?;
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
        // SAFETY: S9, the index is only replaced by `add_code`, which needs the store exclusively.
        let index = unsafe { &*self.code_index.load(Ordering::Acquire) };
        let trampolines = index.modules().map(|module| module.host_trampoline(reference.type_id));
        reference.code = { trampolines }.find(|code| !code.is_null()).unwrap_or(std::ptr::null());
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

    // ---- growth, which limits may refuse ----

    /// The store's limiter, if it has one.
    fn with_limiter<R>(&mut self, f: impl FnOnce(&mut dyn ResourceLimiter) -> R) -> Option<R> {
        let (mut f, mut result) = (Some(f), None);
        let store = self.pointer();
        // SAFETY: S1, S10: `limiter` was made for the type of this store's data, and the store is borrowed exclusively.
        // The limiter lies in the data or behind it, never in `VmStore`.
        unsafe { (self.asks.limiter)(store, &mut |limiter| result = f.take().map(|f| f(limiter))) };
        result
    }

    /// Whether the store has a limiter.
    pub(super) fn has_limiter(&mut self) -> bool {
        self.with_limiter(|_| ()).is_some()
    }

    /// Asks the limiter whether a memory may have `desired` pages. An error means: trap.
    pub fn check_memory_growth(&mut self, current: u64, ty: &MemoryType, desired: u64) -> Result<bool> {
        let bytes = |pages| super::memory::pages_to_bytes(ty, pages).unwrap_or(usize::MAX);
        let maximum = ty.maximum.map(bytes);
        let allowed = self.with_limiter(|limiter| limiter.memory_growing(bytes(current), bytes(desired), maximum));
        allowed.unwrap_or(Ok(true))
    }

    /// Asks the limiter whether the heap of objects may take `desired` bytes. An error means: trap.
    pub(super) fn check_heap_growth(&mut self, current: u64, desired: u64) -> Result<bool> {
        let maximum = self.engine.config().gc_heap_reservation as usize;
        let ask = |limiter: &mut dyn ResourceLimiter| {
            limiter.memory_growing(current as usize, desired as usize, Some(maximum))
        };
        self.with_limiter(ask).unwrap_or(Ok(true))
    }

    /// Asks the limiter whether a table may have `desired` elements. An error means: trap.
    pub fn check_table_growth(&mut self, current: u64, ty: &TableType, desired: u64) -> Result<bool> {
        let maximum = ty.maximum.map(|maximum| maximum as usize);
        let allowed = self.with_limiter(|limiter| limiter.table_growing(current as usize, desired as usize, maximum));
        allowed.unwrap_or(Ok(true))
    }

    /// Asks the limiter whether so many more instances, memories and tables may exist.
    pub fn check_counts(&mut self, instances: usize, memories: usize, tables: usize) -> Result<()> {
        let counts = (self.instances.len() + instances, self.memories.len() + memories, self.tables.len() + tables);
        let limits = self.with_limiter(|limiter| (limiter.instances(), limiter.memories(), limiter.tables()));
        let Some((max_instances, max_memories, max_tables)) = limits else { return Ok(()) };
        let check = |what, count, max| {
            ensure!(
                count <= max,
                "the store's limit of {max} {what} would be exceeded: {count}; raise it in its ResourceLimiter"
            );
            Ok(())
        };
        check("instances", counts.0, max_instances)?;
        check("memories", counts.1, max_memories)?;
        check("tables", counts.2, max_tables)
    }

    /// Grows a memory by `delta` pages: the old size, or `None` when limits or the host refuse.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub fn grow_memory(&mut self, index: u32, delta: u64) -> Result<Option<u64>> {
        let tunables = *self.engine.tunables();
        // Another thread may grow a shared memory meanwhile; then the question is asked again.
        loop {
            let (current, ty) = (self.memory(index).pages(), self.memory(index).ty());
            let limit = ty.maximum.unwrap_or(u64::MAX).min(ty.reach());
            let desired = current.saturating_add(delta);
            if desired > limit {
                return Ok(None);
            }
            if !self.check_memory_growth(current, &ty, desired)? {
                self.host_was_seen = true;
                return Ok(None);
            }
            let grown = match self.memory(index).shared() {
                Some(memory) => memory.grow(current, desired),
                None => self.memory_mut(index).grow(desired, &tunables).map(|()| Growth::Done),
            };
            match grown {
                Ok(Growth::Done) => return Ok(Some(current)),
                Ok(Growth::Outrun) => {}
                Err(error) => {
                    self.host_was_seen = true;
                    self.with_limiter(|limiter| limiter.memory_grow_failed(error)).unwrap_or(Ok(()))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Grows a table by `delta` elements: the old size, or `None` when limits or the host refuse.
    ///
    /// # Safety
    /// S7: the element is of the table's type and this store.
    ///
    /// # Errors
    /// When the limiter wants the guest to trap.
    pub(super) unsafe fn grow_table(&mut self, index: u32, delta: u64, element: u64) -> Result<Option<u64>> {
        let (current, ty) = (self.table(index).len(), self.table(index).ty());
        let desired = current.saturating_add(delta);
        if !self.table(index).allows_len(desired) {
            return Ok(None);
        }
        if !self.check_table_growth(current, &ty, desired)? {
            self.host_was_seen = true;
            return Ok(None);
        }
        // SAFETY: S7, by the caller's promise.
        let grown = unsafe { self.tables[index as usize].grow(desired, element) };
        self.host_was_seen |= !grown;
        Ok(grown.then_some(current))
    }

    pub(super) fn trap_unless(condition: bool, code: TrapCode) -> Result<()> {
        if condition { Ok(()) } else { Err(code.into()) }
    }
}

/// Validity of limits (section 3.2.1), which a module's types have and the host's may not.
fn check_limits(what: &str, minimum: u64, maximum: Option<u64>, range: u64) -> Result<()> {
    let most = maximum.unwrap_or(minimum);
    ensure!(
        minimum <= most && most <= range,
        "there cannot be a {what} with the limits {minimum} and {most}: the first must not exceed the second, nor that {range}"
    );
    Ok(())
}

fn limit_error(what: &str) -> anyhow::Error {
    anyhow::anyhow!("the store's limits do not allow a {what} of this size; raise them in its ResourceLimiter")
}
