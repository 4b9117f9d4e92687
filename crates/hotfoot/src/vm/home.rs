//! Where a pooled instance belongs while it is in use, and how it gets there and back.
//!
//! What stays between uses: the VM context with imports, function references and type numbers; the memories' address
//! space and their hot pages; the tables' arrays. What is made fresh: memory contents, table contents, globals, sizes,
//! dropped segments. Invariant: after a reset nothing of the last use can be seen by the next.
//!
//! The instances of a program travel together: the one that was asked for leads, and its home holds the others while
//! they are idle. In a store they lie side by side, the leader last:
//!
//! ```text
//!  idle:    leader ── home ─▶ memories, tables, others: [member 1, member 0] ── home ─▶ memories, tables
//!  in use:  store.instances [… member 0, member 1, leader …], store.memories [… of 0, of 1, of the leader …]
//! ```

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hotfoot_abi::vmctx::VmGlobal;

use super::activation;
use super::instance::InstanceData;
use super::memory::{LinearMemory, MemoryData};
use super::pre::{Member, Pool, Start};
use super::snapshot::Snapshot;
use super::store::VmStore;
use super::table::TableData;
use super::tracking::ResetBy;
use crate::pool::{Counted, PoolMetrics};

/// See the module's documentation. On cache lines of its own, because each use of the instance writes it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Home {
    /// S12: alive while this instance is in use or idle.
    pool: *const Pool,
    shelf: usize,
    /// Which of the program's members this is.
    member: u32,
    /// The program's part of the engine's counts; the leader has it.
    counted: Option<Counted>,
    /// What the instance owns while it is idle: its own memories and tables, and a leader the other members.
    memories: Vec<MemoryData>,
    tables: Vec<TableData>,
    #[allow(clippy::vec_box, reason = "as the store keeps them")]
    others: Vec<Box<InstanceData>>,
    /// Where its own memories and tables are in its store's while it is in use.
    own_memories: Range<usize>,
    own_tables: Range<usize>,
    /// For each of its module's memories and tables, imports first: how far it is from the program's first.
    memory_places: Box<[u32]>,
    table_places: Box<[u32]>,
    globals: Box<[VmGlobal]>,
    elements: Box<[Box<[u64]>]>,
    dropped_data: Box<[bool]>,
    dropped_elements: Box<[bool]>,
}

// SAFETY: S12, the pointer is only followed while the pool is alive, and what it leads to is `Sync`.
unsafe impl Send for Home {}
// SAFETY: S12, as above.
unsafe impl Sync for Home {}

/// The range of a store's list that holds what an instance defines: the last `defined` of its places.
fn own(places: &[u32], defined: u32) -> Range<usize> {
    let end = places.last().map_or(0, |last| *last as usize + 1);
    if defined == 0 { 0..0 } else { end - defined as usize..end }
}

impl Home {
    /// The home of an instance that is in the state to be reset to.
    pub(super) fn new(
        store: &mut VmStore,
        number: u32,
        pool: &Arc<Pool>,
        member: u32,
        shelf: usize,
        counted: Option<Counted>,
    ) -> Home {
        let instance = &store.instances[number as usize];
        let first = store.first_of_program(number - member, &pool.members);
        let (counts, instance_tables) = (*instance.module().counts(), instance.tables.clone());
        let relative = |numbers: &[u32], first: usize| numbers.iter().map(|number| number - first as u32).collect();
        let mut home = Home {
            pool: Arc::as_ptr(pool),
            shelf,
            member,
            counted,
            memories: Vec::new(),
            tables: Vec::new(),
            others: Vec::new(),
            own_memories: own(&instance.memories, counts.defined_memories),
            own_tables: own(&instance_tables, counts.defined_tables),
            memory_places: relative(&instance.memories, first.0),
            table_places: relative(&instance_tables, first.1),
            globals: Box::default(),
            elements: Box::default(),
            dropped_data: Box::default(),
            dropped_elements: Box::default(),
        };
        let settable = pool.members.iter().any(|member| member.module.info().sets_tables);
        store.tables[home.own_tables.clone()].iter_mut().for_each(|table| table.set_settable(settable));
        home.remember(&store.instances[number as usize], &mut store.tables);
        home
    }

    /// Remembers what the instance holds now as what it is reset to; memories have their images.
    fn remember(&mut self, instance: &InstanceData, tables: &mut [TableData]) {
        self.globals = instance.globals().into();
        self.dropped_data = instance.dropped_data.clone();
        self.dropped_elements = instance.dropped_elements.clone();
        self.elements = tables[self.own_tables.clone()].iter_mut().map(TableData::keep_elements).collect();
    }

    fn is_leader(&self) -> bool {
        self.counted.is_some()
    }
}

impl VmStore {
    /// The numbers of the first memory and table that the program's members define, or that a memory or table would
    /// have.
    fn first_of_program(&self, first: u32, members: &[Member]) -> (usize, usize) {
        let instances = self.instances[first as usize..].iter().zip(members);
        let mut first = (usize::MAX, usize::MAX);
        for (instance, member) in instances {
            let counts = member.module.counts();
            let memories = own(&instance.memories, counts.defined_memories);
            let tables = own(&instance.tables, counts.defined_tables);
            if !memories.is_empty() {
                first.0 = first.0.min(memories.start);
            }
            if !tables.is_empty() {
                first.1 = first.1.min(tables.start);
            }
        }
        (first.0.min(self.memories.len()), first.1.min(self.tables.len()))
    }

    /// Makes the memories that these instances define mappings of a state's images. Their bytes must be equal.
    ///
    /// # Errors
    /// When the host refuses.
    pub(super) fn map_images(&mut self, numbers: Range<u32>, pool: &Pool, state: &Snapshot) -> Result<()> {
        let tunables = *self.engine().tunables();
        for (number, state) in numbers.zip(&state.members) {
            let instance = &self.instances[number as usize];
            let own = own(&instance.memories, instance.module().counts().defined_memories);
            for (memory, (image, len)) in self.memories[own].iter_mut().zip(&state.memories) {
                memory.replace(LinearMemory::from_image(image, *len, &tunables, &pool.config)?);
                if !tunables.signals_based_traps {
                    memory.untrack();
                }
            }
        }
        Ok(())
    }

    /// Gives new instances, whose memories came from images, the rest of a state.
    pub(super) fn set_state(&mut self, numbers: Range<u32>, state: &Snapshot) {
        for (at, (number, state)) in numbers.clone().zip(&state.members).enumerate() {
            let members = &self.instances[numbers.start as usize..numbers.end as usize];
            let globals = state.globals(at, members);
            let own = own(&members[at].tables, members[at].module().counts().defined_tables);
            for (index, table) in self.tables[own].iter_mut().enumerate() {
                table.reset(&state.elements(index, members));
            }
            let instance = &mut self.instances[number as usize];
            instance.globals_mut().copy_from_slice(&globals);
            instance.dropped_data.copy_from_slice(&state.dropped_data);
            instance.dropped_elements.copy_from_slice(&state.dropped_elements);
        }
    }

    /// Makes what a pooled instance holds now what it is reset to.
    pub(super) fn remember_start(&mut self, number: u32) {
        let instance = &mut self.instances[number as usize];
        if let Some(mut home) = instance.home.take() {
            home.remember(instance, &mut self.tables);
            self.instances[number as usize].home = Some(home);
        }
    }

    /// The instances of the program that a pooled instance belongs to, and how they are made.
    pub(super) fn pooled_program(&self, number: u32) -> Option<(Range<u32>, Arc<[Member]>)> {
        let home = self.instance(number).home.as_ref()?;
        let first = number - home.member;
        // SAFETY: S12, the instance is in use.
        let members = unsafe { &*home.pool }.members();
        Some((first..first + members.len() as u32, members.clone()))
    }

    /// Makes the instances of a pooled instance's program what they were when they had just been made, where they are.
    /// Returns whether the start function is to be run again.
    ///
    /// # Errors
    /// When it is not pooled, a guest of the store is on the stack, or the host refuses.
    pub(super) fn reset_instance(&mut self, number: u32) -> Result<bool> {
        // SAFETY: S9, the references end with this expression.
        let running = unsafe { activation::chain() }.any(|activation| activation.store() == self.pointer());
        ensure!(
            !running,
            "a guest of this store is on the stack: reset instances between calls, not from a host function"
        );
        let (numbers, _) = self
            .pooled_program(number)
            .context("only instances of a pool or a snapshot can be reset: use `InstancePre` with pooling")?;
        for number in numbers {
            let instance = &mut self.instances[number as usize];
            let Some(home) = instance.home.take() else { continue };
            instance.restore(&home);
            for (table, elements) in self.tables[home.own_tables.clone()].iter_mut().zip(&home.elements) {
                table.reset(elements);
            }
            let memories = &mut self.memories[home.own_memories.clone()];
            let result = memories.iter_mut().try_for_each(|memory| memory.reset().map(drop));
            instance.home = Some(home);
            result?;
        }
        Ok(self.instance(number).home.as_ref().is_some_and(|home| home.runs_start()))
    }

    /// Makes an idle program this store's, and returns its leader's number.
    pub(super) fn attach(&mut self, mut leader: Box<InstanceData>, shelf: usize) -> u32 {
        let first = (self.memories.len() as u32, self.tables.len() as u32);
        if let Some(home) = &mut leader.home {
            home.shelf = shelf;
            // Out and in again, because the members are attached one by one.
            let mut others = std::mem::take(&mut home.others);
            while let Some(other) = others.pop() {
                self.attach_one(other, first);
            }
            home.others = others;
        }
        self.attach_one(leader, first)
    }

    fn attach_one(&mut self, mut instance: Box<InstanceData>, first: (u32, u32)) -> u32 {
        let number = self.instances.len() as u32;
        instance.set_store(self.pointer(), number);
        if let Some(home) = &mut instance.home {
            home.own_memories = self.memories.len()..self.memories.len() + home.memories.len();
            home.own_tables = self.tables.len()..self.tables.len() + home.tables.len();
            let place = |numbers: &mut [u32], places: &[u32], first: u32| {
                numbers.iter_mut().zip(places).for_each(|(number, place)| *number = first + place);
            };
            place(&mut instance.memories, &home.memory_places, first.0);
            place(&mut instance.tables, &home.table_places, first.1);
            self.memories.append(&mut home.memories);
            self.tables.append(&mut home.tables);
        }
        self.instances.push(instance);
        self.add_code(number);
        number
    }

    /// Takes all instances out of the store: pooled ones go home, the others are dropped.
    pub(super) fn release_instances(&mut self) {
        let mut leader: Option<Box<InstanceData>> = None;
        while let Some(mut instance) = self.instances.pop() {
            let Some(home) = &mut instance.home else { continue };
            // What follows belongs to nobody who is kept.
            if !home.own_memories.is_empty() {
                self.memories.truncate(home.own_memories.end);
                home.memories.extend(self.memories.drain(home.own_memories.clone()));
            }
            if !home.own_tables.is_empty() {
                self.tables.truncate(home.own_tables.end);
                home.tables.extend(self.tables.drain(home.own_tables.clone()));
            }
            let (is_first, is_leader) = (home.member == 0, home.is_leader());
            if is_leader {
                leader = Some(instance);
            } else if let Some(home) = leader.as_mut().and_then(|leader| leader.home.as_mut()) {
                home.others.push(instance);
            }
            if is_first && let Some(leader) = leader.take() {
                go_home(leader);
            }
        }
        self.memories.clear();
        self.tables.clear();
    }
}

/// Resets a program and makes it idle; one that cannot be reset, or that somebody else waits for, is dropped.
fn go_home(mut leader: Box<InstanceData>) {
    let Some(home) = &mut leader.home else { return };
    let (pool, shelf) = (home.pool, home.shelf);
    // SAFETY: S12, the program is in use until it is given back.
    let pool = unsafe { &*pool };
    if pool.config.max_unused_warm_slots == 0 || pool.is_awaited() {
        return give_back(pool, shelf, None);
    }
    let mut by = home.others.iter_mut().try_fold(ResetBy::Copying, |by, other| other.reset().map(|next| by.max(next)));
    if let Ok(so_far) = by {
        by = leader.reset().map(|next| so_far.max(next));
    }
    match by {
        Ok(ResetBy::Copying) => {}
        Ok(by) => pool.count_reset(by == ResetBy::Discarding),
        Err(_) => return give_back(pool, shelf, None),
    }
    let fits = leader.fits(pool);
    give_back(pool, shelf, fits.then_some(leader));
}

/// Ends a use of the pool; what is given becomes idle.
pub(super) fn give_back(pool: &Pool, shelf: usize, program: Option<Box<InstanceData>>) {
    let limit = pool.config.max_unused_warm_slots as usize;
    let (left, keep) = pool.stock.give(shelf, program, limit);
    // What is left refers to the pool's modules, so it goes first.
    drop(left);
    drop(keep);
}

/// Adds an idle program.
pub(super) fn add_metrics(leader: &InstanceData, metrics: &mut PoolMetrics) {
    let Some(home) = &leader.home else { return };
    home.others.iter().for_each(|other| add_metrics(other, metrics));
    metrics.idle_instances += 1;
    metrics.idle_bytes_resident += leader.context_len() + home.table_bytes();
    metrics.idle_bytes_resident += home.memories.iter().map(MemoryData::resident_len).sum::<usize>();
    metrics.untracked_memories += home.memories.iter().filter(|memory| memory.is_untracked()).count();
}

impl Home {
    fn runs_start(&self) -> bool {
        // SAFETY: S12, the instance is in use.
        matches!(unsafe { &*self.pool }.start.get(), Some(Start::Run(_)))
    }

    fn table_bytes(&self) -> usize {
        self.elements.iter().map(|elements| size_of_val(&**elements)).sum()
    }
}

impl InstanceData {
    /// Whether the settings allow keeping it idle.
    fn fits(&self, pool: &Pool) -> bool {
        let tables = |instance: &InstanceData| instance.home.as_ref().map_or(0, |home| home.table_bytes());
        let Some(home) = &self.home else { return false };
        let bytes = tables(self) + home.others.iter().map(|other| tables(other)).sum::<usize>();
        bytes <= pool.config.table_keep_resident
    }

    /// Makes globals and segments what they were.
    fn restore(&mut self, home: &Home) {
        self.globals_mut().copy_from_slice(&home.globals);
        self.dropped_data.copy_from_slice(&home.dropped_data);
        self.dropped_elements.copy_from_slice(&home.dropped_elements);
    }

    /// Makes everything what it was when the instance had just been made.
    fn reset(&mut self) -> Result<ResetBy> {
        let mut home = self.home.take().context("an instance without a home cannot be reset")?;
        self.restore(&home);
        for (table, elements) in home.tables.iter_mut().zip(&home.elements) {
            table.reset(elements);
        }
        let by = home.memories.iter_mut().try_fold(ResetBy::Copying, |by, memory| Ok(by.max(memory.reset()?)));
        self.home = Some(home);
        by
    }
}
