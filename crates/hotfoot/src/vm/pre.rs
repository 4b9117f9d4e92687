//! Warm instances: what an [`InstancePre`](crate::InstancePre) keeps of instances whose stores were dropped.
//!
//! ```text
//!  instantiate ──idle one?──yes──▶ attach: write the store's address, append memories and tables      (no system call)
//!                   │ no
//!                   └─▶ instantiate as ever, then remember what it starts from: Home { images, elements, globals }
//!
//!  store dropped ──▶ detach: reset to what Home remembers ──▶ idle, in the pre's stock
//! ```
//!
//! What stays between instances: the VM context with imports, function references and type numbers; the memories'
//! address space and their hot pages; the tables' arrays. What is made fresh: memory contents, table contents, globals,
//! sizes, dropped segments. Invariant: after a reset nothing of the last instance can be seen by the next.
//!
//! Only modules whose imports are host functions of a linker are kept: other imports tie an instance to its store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use hotfoot_abi::vmctx::VmGlobal;

use super::activation;
use super::hostcall::AnyHostFunc;
use super::image::MemoryImage;
use super::instance::{ImportValue, InstanceData};
use super::memory::{LinearMemory, MemoryData};
use super::snapshot::Snapshot;
use super::stock::Stock;
use super::store::VmStore;
use super::table::TableData;
use crate::config::PoolingAllocationConfig;
use crate::module::Module;

/// What all handles of an `InstancePre` share, if its instances are pooled.
#[derive(Debug)]
pub struct Pool {
    module: Module,
    imports: Vec<Arc<AnyHostFunc>>,
    config: PoolingAllocationConfig,
    /// Core instances of the whole engine, in use and idle.
    instances: Arc<AtomicU32>,
    /// What instances start from, if not from what the module says.
    snapshot: Option<Snapshot>,
    /// What each memory starts with, from the first instance on.
    images: Box<[OnceLock<Arc<MemoryImage>>]>,
    stock: Stock<Pool, InstanceData>,
}

/// Where a pooled instance belongs, and what it starts from.
#[derive(Debug)]
pub struct Home {
    /// S12: alive while this instance is in use or idle.
    pool: *const Pool,
    shelf: usize,
    _counted: Counted,
    /// The instance's memories and tables while it is idle.
    memories: Vec<MemoryData>,
    tables: Vec<TableData>,
    /// Where in its store's they are while it is in use.
    first_memory: usize,
    first_table: usize,
    globals: Box<[VmGlobal]>,
    elements: Box<[Box<[u64]>]>,
    dropped_data: Box<[bool]>,
    dropped_elements: Box<[bool]>,
}

// SAFETY: S12, the pointer is only followed while the pool is alive, and what it leads to is `Sync`.
unsafe impl Send for Home {}
// SAFETY: S12, as above.
unsafe impl Sync for Home {}

/// One of the engine's instances, counted until dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool for instances of this module with these imports.
    pub fn new(
        module: &Module,
        imports: Vec<Arc<AnyHostFunc>>,
        snapshot: Option<Snapshot>,
        config: &PoolingAllocationConfig,
        instances: &Arc<AtomicU32>,
    ) -> Pool {
        Pool {
            module: module.clone(),
            imports,
            config: config.clone(),
            instances: instances.clone(),
            snapshot,
            images: module.info().memories.iter().map(|_| OnceLock::new()).collect(),
            stock: Stock::new(),
        }
    }

    /// Whether new instances run the module's start function: those of a snapshot are past it.
    pub fn runs_start(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Host functions that the instances import.
    pub(super) fn imports(&self) -> &[Arc<AnyHostFunc>] {
        &self.imports
    }

    /// Keeps nothing idle any more; for the last handle.
    pub fn close(&self) {
        self.stock.close();
    }

    /// Drops what is idle and returns how many instances that were.
    pub fn trim(&self) -> usize {
        self.stock.drain().len()
    }

    /// How many instances are idle.
    pub fn idle(&self) -> usize {
        self.stock.idle()
    }

    fn count_one(&self) -> Result<Counted> {
        let limit = self.config.total_core_instances;
        let counted = Counted(self.instances.clone());
        let before = self.instances.fetch_add(1, Ordering::Relaxed);
        ensure!(
            before < limit,
            "all {limit} instances of the pool are in use; raise `PoolingAllocationConfig::total_core_instances`, or drop stores"
        );
        Ok(counted)
    }

    fn image(&self, index: usize, bytes: &[u8]) -> Result<Arc<MemoryImage>> {
        if let Some(image) = self.images[index].get() {
            return Ok(image.clone());
        }
        let image = Arc::new(MemoryImage::new(bytes).context("cannot keep a memory's image")?);
        // Another thread may have been first; both images are equal.
        Ok(self.images[index].get_or_init(|| image).clone())
    }
}

impl VmStore {
    /// Makes an instance of a pool, up to but not including its start function, and returns its number.
    ///
    /// # Errors
    /// When limits or the host refuse, or a segment does not fit.
    pub(super) fn instantiate_pooled(&mut self, pool: &Arc<Pool>) -> Result<u32> {
        let counts = pool.module.counts();
        self.check_counts(counts.defined_memories as usize, counts.defined_tables as usize)?;
        let (shelf, idle) = pool.stock.take(pool);
        if let Some(instance) = idle {
            self.check_initial_sizes(pool).inspect_err(|_| give_back(pool, shelf, None))?;
            return Ok(self.attach(instance, shelf));
        }
        if pool.snapshot.is_some() {
            self.check_initial_sizes(pool).inspect_err(|_| give_back(pool, shelf, None))?;
        }
        self.instantiate_first(pool, shelf).inspect_err(|_| give_back(pool, shelf, None))
    }

    /// Asks the limiter what it would be asked for a fresh instance: a snapshot's memories and tables may have grown.
    fn check_initial_sizes(&mut self, pool: &Pool) -> Result<()> {
        if !self.has_limiter() {
            return Ok(());
        }
        let (info, snapshot) = (pool.module.info(), pool.snapshot.as_ref());
        for (index, ty) in info.memories.iter().enumerate() {
            let pages = snapshot.map_or(ty.minimum, |snapshot| snapshot.memories[index].1 as u64 >> ty.page_size_log2);
            ensure!(
                self.check_memory_growth(0, ty, pages)?,
                "the store's limits do not allow the memory that the module starts with; raise them in its ResourceLimiter"
            );
        }
        for (index, ty) in info.tables.iter().enumerate() {
            let len = snapshot.map_or(ty.minimum, |snapshot| snapshot.table_len(index));
            ensure!(
                self.check_table_growth(0, ty, len)?,
                "the store's limits do not allow the table that the module starts with; raise them in its ResourceLimiter"
            );
        }
        Ok(())
    }

    /// Instantiates without an idle instance, and gives the new one a home.
    fn instantiate_first(&mut self, pool: &Arc<Pool>, shelf: usize) -> Result<u32> {
        let counted = pool.count_one()?;
        let (first_memory, first_table) = (self.memories.len(), self.tables.len());
        let imports: Vec<ImportValue> = pool.imports.iter().cloned().map(ImportValue::HostFunc).collect();
        // SAFETY: S7, S10: the linker compared the imports when the pool was made; host functions fit any store.
        let number = unsafe { self.instantiate(&pool.module, &imports)? };
        let tunables = *self.engine().tunables();
        for (index, memory) in self.memories[first_memory..].iter_mut().enumerate() {
            let keep = pool.config.linear_memory_keep_resident;
            let (image, len) = match &pool.snapshot {
                Some(snapshot) => snapshot.memories[index].clone(),
                None => (pool.image(index, memory.whole_pages())?, memory.byte_len()),
            };
            memory.replace(LinearMemory::from_image(&image, len, &tunables, keep)?);
            if !tunables.signals_based_traps {
                memory.untrack();
            }
        }
        let instance = &mut self.instances[number as usize];
        if let Some(snapshot) = &pool.snapshot {
            let globals = snapshot.globals(instance);
            instance.globals_mut().copy_from_slice(&globals);
            instance.dropped_data.copy_from_slice(&snapshot.dropped_data);
            instance.dropped_elements.copy_from_slice(&snapshot.dropped_elements);
            for (index, table) in self.tables[first_table..].iter_mut().enumerate() {
                table.reset(&snapshot.elements(index, instance));
            }
        }
        let keep = |table: &mut TableData| {
            table.set_settable(pool.module.info().sets_tables);
            table.keep_elements()
        };
        let elements = self.tables[first_table..].iter_mut().map(keep).collect();
        let home = Home {
            pool: Arc::as_ptr(pool),
            shelf,
            _counted: counted,
            memories: Vec::new(),
            tables: Vec::new(),
            first_memory,
            first_table,
            globals: instance.globals().into(),
            elements,
            dropped_data: instance.dropped_data.clone(),
            dropped_elements: instance.dropped_elements.clone(),
        };
        instance.home = Some(Box::new(home));
        Ok(number)
    }

    /// Makes a pooled instance what it was when it had just been made, where it is.
    ///
    /// # Errors
    /// When it is not pooled, a guest of the store is on the stack, or the host refuses.
    pub(super) fn reset_instance(&mut self, number: u32) -> Result<()> {
        // SAFETY: S9, the references end with this expression.
        let running = unsafe { activation::chain() }.any(|activation| activation.store() == self.pointer());
        ensure!(
            !running,
            "a guest of this store is on the stack: reset instances between calls, not from a host function"
        );
        let instance = &mut self.instances[number as usize];
        let home = instance.home.take();
        let home =
            home.context("only instances of a pool or a snapshot can be reset: use `InstancePre` with pooling")?;
        instance.restore(&home);
        let (tables, memories) = (home.first_table, home.first_memory);
        for (table, elements) in self.tables[tables..].iter_mut().zip(&home.elements) {
            table.reset(elements);
        }
        let own = &mut self.memories[memories..memories + instance.memories.len()];
        let result = own.iter_mut().try_for_each(|memory| memory.reset());
        instance.home = Some(home);
        result
    }

    /// A host function that an instance imports; `None` if it is not one.
    pub(super) fn imported_host_func(&self, instance: &InstanceData, index: u32) -> Option<Arc<AnyHostFunc>> {
        if let Some(home) = &instance.home {
            // SAFETY: S12, the instance is in use.
            return unsafe { &*home.pool }.imports().get(index as usize).cloned();
        }
        let context = instance.func(index)?;
        // SAFETY: S3, a function reference of this store.
        let context: *const () = unsafe { context.as_non_null().as_ref() }.vmctx.cast_const().cast();
        self.kept_funcs().iter().find(|func| std::ptr::eq(Arc::as_ptr(func).cast::<()>(), context)).cloned()
    }

    /// Makes an idle instance one of this store's.
    fn attach(&mut self, mut instance: InstanceData, shelf: usize) -> u32 {
        let number = self.instances.len() as u32;
        instance.set_store(self.pointer(), number);
        let (first_memory, first_table) = (self.memories.len(), self.tables.len());
        instance.set_first(first_memory as u32, first_table as u32);
        if let Some(home) = &mut instance.home {
            home.shelf = shelf;
            (home.first_memory, home.first_table) = (first_memory, first_table);
            self.memories.append(&mut home.memories);
            self.tables.append(&mut home.tables);
        }
        self.instances.push(instance);
        self.add_code(number);
        number
    }

    /// Takes all instances out of the store: pooled ones go home, the others are dropped.
    pub(super) fn release_instances(&mut self) {
        let (mut memories, mut tables) = (self.memories.drain(..), self.tables.drain(..));
        let (mut next_memory, mut next_table) = (0, 0);
        for mut instance in self.instances.drain(..) {
            let Some(home) = &mut instance.home else { continue };
            let (own_memories, own_tables) = (instance.memories.len(), instance.tables.len());
            let skipped = memories.by_ref().take(home.first_memory - next_memory);
            skipped.for_each(drop);
            home.memories.extend(memories.by_ref().take(own_memories));
            next_memory = home.first_memory + own_memories;
            let skipped = tables.by_ref().take(home.first_table - next_table);
            skipped.for_each(drop);
            home.tables.extend(tables.by_ref().take(own_tables));
            next_table = home.first_table + own_tables;
            go_home(instance);
        }
    }
}

/// Resets an instance and makes it idle; one that cannot be reset is dropped.
fn go_home(mut instance: InstanceData) {
    let Some(home) = &instance.home else { return };
    let (pool, shelf) = (home.pool, home.shelf);
    let reset = instance.reset();
    // SAFETY: S12, the instance is in use until it is given back just now.
    let pool = unsafe { &*pool };
    give_back(pool, shelf, reset.is_ok().then_some(instance));
}

fn give_back(pool: &Pool, shelf: usize, instance: Option<InstanceData>) {
    let limit = pool.config.max_unused_warm_slots as usize;
    let (left, keep) = pool.stock.give(shelf, instance, limit);
    // What is left refers to the pool's module, so it goes first.
    drop(left);
    drop(keep);
}

impl InstanceData {
    /// Makes globals and segments what they were.
    fn restore(&mut self, home: &Home) {
        self.globals_mut().copy_from_slice(&home.globals);
        self.dropped_data.copy_from_slice(&home.dropped_data);
        self.dropped_elements.copy_from_slice(&home.dropped_elements);
    }

    /// Whether the start function is part of making the instance what it starts as.
    pub(super) fn runs_start(&self) -> bool {
        // SAFETY: S12, the instance is in use.
        self.home.as_ref().is_none_or(|home| unsafe { &*home.pool }.runs_start())
    }

    /// Makes everything what it was when the instance had just been made.
    fn reset(&mut self) -> Result<()> {
        let mut home = self.home.take().context("an instance without a home cannot be reset")?;
        self.restore(&home);
        for (table, elements) in home.tables.iter_mut().zip(&home.elements) {
            table.reset(elements);
        }
        let memories = home.memories.iter_mut().try_for_each(|memory| memory.reset());
        self.home = Some(home);
        memories
    }
}

/// A handle to a pool; the last one closes it.
#[derive(Debug)]
pub struct PoolHandle {
    pool: Arc<Pool>,
    /// Counts the handles.
    handles: Option<Arc<()>>,
}

impl PoolHandle {
    /// The first handle.
    pub fn new(pool: Pool) -> PoolHandle {
        PoolHandle { pool: Arc::new(pool), handles: Some(Arc::new(())) }
    }

    /// What it is a handle to.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Clone for PoolHandle {
    fn clone(&self) -> Self {
        PoolHandle { pool: self.pool.clone(), handles: self.handles.clone() }
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        // Of two handles that are dropped at once, exactly one is the last.
        if self.handles.take().and_then(Arc::into_inner).is_some() {
            self.pool.close();
        }
    }
}
