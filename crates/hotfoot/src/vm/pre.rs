//! Pools: what an [`InstancePre`](crate::InstancePre) keeps of instances whose stores were dropped, and how it makes new
//! ones.
//!
//! ```text
//!  instantiate ──idle one?──yes──▶ attach: write the store's address, append memories and tables      (no system call)
//!                   │ no
//!                   ├─ the state it starts from is known ──▶ make it from that: images are mapped, tables copied
//!                   └─ it is not ──▶ instantiate as ever, run start functions, capture the state
//!
//!  store dropped ──▶ detach: reset to what Home remembers ──▶ idle, in the pool's stock      (home.rs)
//! ```
//!
//! A pool's unit is a *program*: one module, or several that are linked to each other, the one that was asked for last.
//! Its instances are made, attached, reset and dropped together, so what one imports from another stays as it is: a
//! table that a module fills with thousands of elements at an imported offset is filled once.
//!
//! Start functions are part of that state if they called no host function and nothing of the host's was seen otherwise
//! (a limiter that refused growth): then every run of them would end the same. If not, a single module's start function
//! runs for each instance; several modules are not kept, because each may start only after those before it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use hotfoot_artifact::EntityIndex;

use super::context::StoreContextMut;
use super::growth::Growing;
use super::home::Home;
use super::hostcall::AnyHostFunc;
use super::instance::{ImportValue, InstanceData};
use super::snapshot::Snapshot;
use super::stock::Stock;
use super::store::VmStore;
use super::{call, growth, home};
use crate::config::PoolingAllocationConfig;
use crate::module::Module;
use crate::pool::{Counted, Counts, PoolMetrics, Pools};

/// One module of a program.
#[derive(Clone, Debug)]
pub struct Member {
    /// The module.
    pub module: Module,
    /// What satisfies its imports, in order.
    pub imports: Box<[MemberImport]>,
}

/// What satisfies an import inside a program.
#[derive(Clone, Debug)]
pub enum MemberImport {
    /// A function of the host's.
    HostFunc(Arc<AnyHostFunc>),
    /// Something of an earlier member's.
    Member(u32, EntityIndex),
}

/// What instances of a pool start from.
#[derive(Debug)]
pub(super) enum Start {
    /// This state, with nothing left to run.
    Done(Snapshot),
    /// This state; the start function is to be run.
    Run(Snapshot),
    /// Whatever instantiation makes of it; nothing is kept.
    Unknown,
}

/// What all handles of an `InstancePre` share, if its instances are pooled.
#[derive(Debug)]
pub struct Pool {
    pub(super) members: Arc<[Member]>,
    pub(super) config: PoolingAllocationConfig,
    pools: Arc<Pools>,
    /// Known from the first instance on.
    pub(super) start: OnceLock<Start>,
    pub(super) stock: Stock<Pool, Box<InstanceData>>,
    of_snapshot: bool,
    /// Whether some module has garbage-collected objects of its own.
    needs_gc_heap: bool,
    /// Resets that asked the kernel, and that gave memory back.
    resets: [AtomicU64; 2],
}

impl Pool {
    /// A pool for instances of a program. The caller compared the types of the imports.
    ///
    /// # Errors
    /// When a module exceeds what the settings allow.
    pub fn new(
        members: Arc<[Member]>,
        snapshot: Option<Snapshot>,
        config: &PoolingAllocationConfig,
        pools: &Arc<Pools>,
    ) -> Result<Arc<Pool>> {
        members.iter().try_for_each(|member| check_settings(&member.module, config))?;
        let pool = Arc::new(Pool {
            of_snapshot: snapshot.is_some(),
            needs_gc_heap: members.iter().any(|member| member.module.info().needs_gc_heap),
            members,
            config: config.clone(),
            pools: pools.clone(),
            start: snapshot.map(Start::Done).map_or_else(OnceLock::new, OnceLock::from),
            stock: Stock::new(),
            resets: Default::default(),
        });
        pools.add(&pool);
        Ok(pool)
    }

    /// The program.
    pub fn members(&self) -> &Arc<[Member]> {
        &self.members
    }

    /// Keeps nothing idle any more; for the last handle.
    pub fn close(&self) {
        self.stock.close();
    }

    /// Drops idle instances, at most so many, and says how many.
    pub(crate) fn drop_idle(&self, limit: usize) -> usize {
        self.stock.drain_some(limit.div_ceil(self.members.len())).len() * self.members.len()
    }

    /// Drops what nobody needed since this was last asked.
    pub(crate) fn drop_unused(&self) {
        drop(self.stock.drain_unused());
    }

    /// How many programs are idle.
    pub fn idle(&self) -> usize {
        self.stock.idle()
    }

    /// Whether something else waits for what this keeps.
    pub(super) fn is_awaited(&self) -> bool {
        self.pools.is_awaited()
    }

    /// Counts a reset that took system calls.
    pub(super) fn count_reset(&self, by_discarding: bool) {
        self.resets[usize::from(by_discarding)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_metrics(&self, metrics: &mut PoolMetrics) {
        let traffic = self.stock.traffic();
        metrics.warm_starts += traffic.warm;
        metrics.cold_starts += traffic.cold;
        let [scanning, discarding] = [0, 1].map(|at: usize| self.resets[at].load(Ordering::Relaxed));
        metrics.resets_by_scanning += scanning;
        metrics.resets_by_discarding += discarding;
        metrics.resets_by_copying += traffic.back.saturating_sub(scanning + discarding);
        self.stock.for_each_idle(|instance| home::add_metrics(instance, metrics));
    }

    fn counts(&self) -> Counts {
        let mut counts = [0; 3];
        for member in &*self.members {
            let defined = member.module.counts();
            counts[0] += 1;
            counts[1] += defined.defined_memories;
            counts[2] += defined.defined_tables;
        }
        counts
    }

    fn count(&self) -> Result<Counted> {
        Ok(self.pools.count(self.counts(), &self.config)?)
    }

    /// Whether some module has a start function.
    fn has_start(&self) -> bool {
        self.members.iter().any(|member| member.module.info().start.is_some())
    }
}

/// Compares a module with the limits that the settings give each.
fn check_settings(module: &Module, config: &PoolingAllocationConfig) -> Result<()> {
    let check = |what: &str, count: u64, limit: u64, setting: &str| {
        ensure!(
            count <= limit,
            "the pool allows {limit} {what}, but the module has {count}: raise `PoolingAllocationConfig::{setting}`"
        );
        Ok(())
    };
    let (info, counts) = (module.info(), module.counts());
    let (memories, tables) = (counts.defined_memories, counts.defined_tables);
    check("memories of a module", memories.into(), config.max_memories_per_module.into(), "max_memories_per_module")?;
    check("tables of a module", tables.into(), config.max_tables_per_module.into(), "max_tables_per_module")?;
    let size = module.layout().size();
    check("bytes for an instance", size.into(), config.max_core_instance_size as u64, "max_core_instance_size")?;
    for ty in &info.memories[counts.imported_memories as usize..] {
        let bytes = ty.minimum.saturating_mul(1 << ty.page_size_log2);
        check("bytes of a memory", bytes, config.max_memory_size as u64, "max_memory_size")?;
    }
    for ty in &info.tables[counts.imported_tables as usize..] {
        check("elements of a table", ty.minimum, config.table_elements as u64, "table_elements")?;
    }
    Ok(())
}

/// Makes the instances of a pool's program, start functions included, and returns the number of the one asked for.
///
/// # Errors
/// When limits or the host refuse, a segment does not fit, or a start function traps.
pub fn instantiate<T>(mut store: StoreContextMut<'_, T>, pool: &Arc<Pool>) -> Result<u32> {
    if let Some(Start::Unknown) = pool.start.get() {
        return instantiate_members(store.reborrow(), &pool.members, true);
    }
    if let Err(error) = check_program(store.reborrow(), pool) {
        // What a start function grew, it might do without; what a snapshot has, its instances must have.
        ensure!(pool.has_start() && !pool.of_snapshot, error);
        return instantiate_members(store.reborrow(), &pool.members, true);
    }
    if pool.needs_gc_heap {
        store.vm().reserve_heap()?;
    }
    let (shelf, idle) = pool.stock.take(pool);
    // Not before: what was idle was given back by someone who knew.
    let start = pool.start.get();
    let made = match (idle, start) {
        (Some(instance), _) => Ok(store.vm().attach(instance, shelf)),
        (None, Some(Start::Done(state) | Start::Run(state))) => store.vm().instantiate_from(pool, state, shelf),
        (None, _) => {
            let (number, started) =
                instantiate_first(store.reborrow(), pool, shelf).inspect_err(|_| home::give_back(pool, shelf, None))?;
            return started.map(|()| number);
        }
    };
    let number = made.inspect_err(|_| home::give_back(pool, shelf, None))?;
    if let Some(Start::Run(_)) = start {
        call::run_start(store, number)?;
    }
    Ok(number)
}

/// Makes the instances of a program in order, and returns the number of the last.
fn instantiate_members<T>(mut store: StoreContextMut<'_, T>, members: &[Member], start: bool) -> Result<u32> {
    let mut numbers = Vec::with_capacity(members.len());
    for member in members {
        let imports = store.vm().member_imports(member, &numbers);
        growth::check_module(store.reborrow(), &member.module)?;
        // SAFETY: S7, S10: the linker compared the imports when the pool was made; host functions fit any store, and
        // the others are of this store.
        let number = unsafe { store.vm().instantiate(&member.module, &imports)? };
        numbers.push(number);
        if start {
            call::run_start(store.reborrow(), number)?;
        }
    }
    Ok(numbers[numbers.len() - 1])
}

/// Instantiates without knowing what state that leads to, finds out, and gives the instances a home if they can have one.
/// Returns the number of the one asked for, and how its start function ended.
///
/// # Errors
/// When there are no instances, or none with a home.
fn instantiate_first<T>(
    mut store: StoreContextMut<'_, T>,
    pool: &Arc<Pool>,
    shelf: usize,
) -> Result<(u32, Result<()>)> {
    let counted = pool.count()?;
    let alone = pool.members.len() == 1;
    let first = store.vm().num_instances() as u32;
    // What a start function costs is to be paid by each store.
    let pays = store.vm().engine().tunables().consume_fuel && pool.has_start();
    store.vm().host_was_seen = pays;
    // With one module, the state before its start function is worth keeping too.
    let number = instantiate_members(store.reborrow(), &pool.members, !alone)?;
    let numbers = first..number + 1;
    let capturable = numbers.len() == pool.members.len() && (alone || !store.vm().host_was_seen);
    let before = capturable.then(|| store.vm().capture_state(numbers.clone()).ok()).flatten();
    let Some(before) = before else {
        // Somebody else may have found the same before.
        let _ = pool.start.set(Start::Unknown);
        home::give_back(pool, shelf, None);
        let started = if alone { call::run_start(store, number) } else { Ok(()) };
        return Ok((number, started));
    };
    store.vm().give_home(numbers.clone(), pool, &before, shelf, counted)?;
    if !alone || !pool.has_start() {
        let _ = pool.start.set(Start::Done(before));
        return Ok((number, Ok(())));
    }
    store.vm().host_was_seen = pays;
    let started = call::run_start(store.reborrow(), number);
    let pure = started.is_ok() && !store.vm().host_was_seen;
    let after = pure.then(|| store.vm().capture_state(numbers.clone()).ok()).flatten();
    let start = pool.start.get_or_init(|| after.map_or(Start::Run(before), Start::Done));
    if let (Start::Done(state), true) = (start, pure) {
        store.vm().begin_again_from(numbers, pool, state)?;
    }
    Ok((number, started))
}

/// Asks the limiter what it would be asked for fresh instances.
fn check_program<T>(mut store: StoreContextMut<'_, T>, pool: &Pool) -> Result<()> {
    if !store.has_limiter() {
        return Ok(());
    }
    let [instances, memories, tables] = pool.counts();
    store.vm().check_counts(instances as usize, memories as usize, tables as usize)?;
    let Some(Start::Done(state) | Start::Run(state)) = pool.start.get() else { return Ok(()) };
    for (member, state) in pool.members.iter().zip(&state.members) {
        let (info, counts) = (member.module.info(), member.module.counts());
        for (ty, (_, len)) in info.memories[counts.imported_memories as usize..].iter().zip(&state.memories) {
            growth::check_first(store.reborrow(), Growing::memory(ty, 0, *len as u64 >> ty.page_size_log2))?;
        }
        for (index, ty) in info.tables[counts.imported_tables as usize..].iter().enumerate() {
            growth::check_first(store.reborrow(), Growing::table(ty, 0, state.table_len(index)))?;
        }
    }
    Ok(())
}

impl VmStore {
    /// What satisfies a member's imports, given the numbers of the members before it.
    fn member_imports(&self, member: &Member, numbers: &[u32]) -> Vec<ImportValue> {
        let import = |import: &MemberImport| match import {
            MemberImport::HostFunc(func) => ImportValue::HostFunc(func.clone()),
            MemberImport::Member(at, entity) => {
                let instance = self.instance(numbers[*at as usize]);
                match *entity {
                    EntityIndex::Func(index) => {
                        ImportValue::Func(instance.func(index).expect("an exported function escapes"))
                    }
                    EntityIndex::Table(index) => ImportValue::Table(instance.table(index)),
                    EntityIndex::Memory(index) => ImportValue::Memory(instance.memory(index)),
                    EntityIndex::Global(index) => ImportValue::Global(instance.global(index)),
                    EntityIndex::Tag(index) => ImportValue::Tag(instance.tag(index)),
                }
            }
        };
        member.imports.iter().map(import).collect()
    }

    /// Makes the instances of a program in a state that is known.
    fn instantiate_from(&mut self, pool: &Arc<Pool>, state: &Snapshot, shelf: usize) -> Result<u32> {
        let counted = pool.count()?;
        let first = self.num_instances() as u32;
        let mut numbers = Vec::with_capacity(pool.members.len());
        let before = (self.memories.len(), self.tables.len());
        for (member, state) in pool.members.iter().zip(&state.members) {
            let imports = self.member_imports(member, &numbers);
            // SAFETY: S7, S10: as in `instantiate_members`.
            let made = unsafe { self.instantiate_bare(&member.module, &imports, Some((state, &pool.config))) };
            match made {
                Ok(number) => numbers.push(number),
                Err(error) => {
                    // Nothing outside can refer to the members before it yet.
                    self.memories.truncate(before.0);
                    self.tables.truncate(before.1);
                    self.instances.truncate(first as usize);
                    return Err(error);
                }
            }
        }
        let numbers = first..first + pool.members.len() as u32;
        numbers.clone().for_each(|number| self.add_code(number));
        self.set_state(numbers.clone(), state);
        self.give_home_as_is(numbers.clone(), pool, shelf, counted);
        Ok(numbers.end - 1)
    }

    /// Gives instances that are in this state a home; their memories become mappings of its images.
    fn give_home(
        &mut self,
        numbers: Range<u32>,
        pool: &Arc<Pool>,
        state: &Snapshot,
        shelf: usize,
        counted: Counted,
    ) -> Result<()> {
        self.map_images(numbers.clone(), pool, state)?;
        self.give_home_as_is(numbers, pool, shelf, counted);
        Ok(())
    }

    fn give_home_as_is(&mut self, numbers: Range<u32>, pool: &Arc<Pool>, shelf: usize, counted: Counted) {
        let mut counted = Some(counted);
        for (member, number) in numbers.clone().enumerate() {
            let leads = number + 1 == numbers.end;
            let counted = if leads { counted.take() } else { None };
            let home = Home::new(self, number, pool, member as u32, shelf, counted);
            self.instances[number as usize].home = Some(Box::new(home));
        }
    }

    /// Makes this the state that pooled instances, which are in it, are reset to.
    fn begin_again_from(&mut self, numbers: Range<u32>, pool: &Arc<Pool>, state: &Snapshot) -> Result<()> {
        if let Err(error) = self.map_images(numbers.clone(), pool, state) {
            numbers.for_each(|number| self.instances[number as usize].home = None);
            return Err(error);
        }
        numbers.for_each(|number| self.remember_start(number));
        Ok(())
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
    pub fn new(pool: Arc<Pool>) -> PoolHandle {
        PoolHandle { pool, handles: Some(Arc::new(())) }
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
