//! One instance: its VM context, and what its module's indices mean in its store.
//!
//! Instantiation follows the specification, section 4.5.4 "Instantiation"; the step numbers below are its. Types of
//! imports were compared before ([`crate::linker`]).

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::Result;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::{INSTANCE_MAGIC, VmContext, VmFuncRef, VmGlobal, VmMemory, VmSharedMemory, VmTable, VmTag};
use hotfoot_artifact::{DataMode, ElementItems, ElementMode, ModuleInfo};

use super::allocator::ContextBlock;
use super::builtins;
use super::exception::TagPtr;
use super::gc::holds_objects;
use super::home::Home;
use super::hostcall::{self, AnyHostFunc};
use super::memory::{LinearMemory, MemoryData};
use super::shared::SharedLinearMemory;
use super::slot::Slot;
use super::snapshot::MemberState;
use super::store::{FuncPtr, GlobalPtr, VmStore};
use super::table::TableData;
use crate::config::PoolingAllocationConfig;
use crate::module::Module;

/// What satisfies an import, in terms of one store.
#[derive(Clone)]
pub enum ImportValue {
    /// A function that is already in the store.
    Func(FuncPtr),
    /// A function of the host's that needs no place in the store.
    HostFunc(Arc<AnyHostFunc>),
    /// A table, by its number in the store.
    Table(u32),
    /// A memory, by its number in the store.
    Memory(u32),
    /// A shared memory, which belongs to no store.
    SharedMemory(Arc<SharedLinearMemory>),
    /// A global.
    Global(GlobalPtr),
    /// A tag.
    Tag(TagPtr),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct InstanceData {
    context: ContextBlock,
    module: Module,
    /// Numbers in the store of every memory and table, imports first.
    pub(super) memories: Box<[u32]>,
    pub(super) tables: Box<[u32]>,
    pub(super) dropped_data: Box<[bool]>,
    pub(super) dropped_elements: Box<[bool]>,
    /// Items of the element segments that hold references to objects.
    object_elements: Box<[Vec<u32>]>,
    /// Of a pooled instance: where it belongs, and what it starts from.
    pub(super) home: Option<Box<Home>>,
}

// SAFETY: S3, the pointer is to a block that this owns; it is used only by whoever holds the store or the instance.
unsafe impl Send for InstanceData {}
// SAFETY: S3, as above: `&InstanceData` only reads.
unsafe impl Sync for InstanceData {}

/// Which data segments are dropped before any instruction runs: those that are written in any case.
fn dropped_at_first(info: &ModuleInfo) -> Box<[bool]> {
    let mut dropped = vec![true; info.data_segments as usize];
    info.data.iter().for_each(|data| dropped[data.index as usize] = false);
    dropped.into()
}

impl InstanceData {
    /// The module it is an instance of.
    pub fn module(&self) -> &Module {
        &self.module
    }

    pub(super) fn context(&self) -> NonNull<VmContext> {
        self.context.base()
    }

    /// Bytes of the context.
    pub(super) fn context_len(&self) -> usize {
        self.context.len()
    }

    /// Number in the store of a memory of the module.
    pub fn memory(&self, index: u32) -> u32 {
        self.memories[index as usize]
    }

    /// Number in the store of a table of the module.
    pub fn table(&self, index: u32) -> u32 {
        self.tables[index as usize]
    }

    /// A field of the context.
    ///
    /// # Safety
    /// S4: `offset` is that of a `P` in this module's layout.
    unsafe fn field<P>(&self, offset: u32) -> NonNull<P> {
        debug_assert!(offset as usize <= self.context.len());
        // SAFETY: S4, inside the context.
        unsafe { self.context.base().cast::<u8>().add(offset as usize).cast() }
    }

    /// The reference to a function of the module that a reference can name: imported or escaping.
    pub fn func(&self, index: u32) -> Option<FuncPtr> {
        let imported = self.module.counts().imported_funcs;
        let slot = || self.module.code().artifact().escaping_slot(index);
        self.func_at(if index < imported { index } else { imported + slot()? })
    }

    /// The same by its place: imported ones, then escaping ones.
    fn func_at(&self, place: u32) -> Option<FuncPtr> {
        let (layout, counts) = (self.module.layout(), self.module.counts());
        let offset = match place.checked_sub(counts.imported_funcs) {
            None => layout.imported_func(place),
            Some(slot) if slot < counts.escaping_funcs => layout.escaping_func(slot),
            Some(_) => return None,
        };
        // SAFETY: S4, both are offsets of function references.
        Some(FuncPtr::new(unsafe { self.field::<VmFuncRef>(offset) }))
    }

    /// The index of a function of the module that the reference names: through its own entry, or a copy of it that
    /// another instance imports.
    pub fn function_index(&self, func: FuncPtr) -> Option<u32> {
        let (artifact, layout) = (self.module.code().artifact(), self.module.layout());
        let imported = self.module.counts().imported_funcs;
        let place = func.to_raw().wrapping_sub(self.context.base().as_ptr() as u64);
        let slot = place.wrapping_sub(u64::from(layout.escaping_func(0))) / size_of::<VmFuncRef>() as u64;
        if let Some(function) = usize::try_from(slot).ok().and_then(|slot| artifact.escaping.get(slot)) {
            return Some(function.get());
        }
        // SAFETY: S3, a function reference of this store.
        let wanted = unsafe { func.as_non_null().as_ref() };
        let is_wanted = |index: &u32| {
            self.func(*index).is_some_and(|own| {
                // SAFETY: S3, S4: a function reference in this instance's context.
                let own = unsafe { own.as_non_null().as_ref() };
                // A host function has one context; its trampoline depends on the module that calls it.
                own.vmctx == wanted.vmctx && (own.entry.is_null() || own.code == wanted.code)
            })
        };
        let own = artifact.escaping.iter().map(|function| function.get());
        (0..imported).chain(own).find(is_wanted)
    }

    pub fn dropped_data(&self) -> &[bool] {
        &self.dropped_data
    }

    pub fn dropped_elements(&self) -> &[bool] {
        &self.dropped_elements
    }

    /// A global of the module.
    pub fn global(&self, index: u32) -> GlobalPtr {
        let layout = self.module.layout();
        let imported = self.module.counts().imported_globals;
        // SAFETY: S4: a pointer to an imported global, or a global itself; imports were filled at instantiation.
        GlobalPtr::new(unsafe {
            match index.checked_sub(imported) {
                Some(defined) => self.field::<VmGlobal>(layout.defined_global(defined)),
                None => self.field::<NonNull<VmGlobal>>(layout.imported_global(index)).read(),
            }
        })
    }

    fn globals_slice(&self) -> *mut [VmGlobal] {
        let (layout, counts) = (self.module.layout(), self.module.counts());
        // SAFETY: S4, the defined globals are one array in the context.
        let first = unsafe { self.field::<VmGlobal>(layout.defined_global(0)) };
        std::ptr::slice_from_raw_parts_mut(first.as_ptr(), counts.defined_globals as usize)
    }

    /// The values of the globals that the module defines.
    pub(super) fn globals(&self) -> &[VmGlobal] {
        // SAFETY: S3, S4, inside the context; S2, nobody writes meanwhile.
        unsafe { &*self.globals_slice() }
    }

    /// The values of the globals that the module defines.
    pub(super) fn globals_mut(&mut self) -> &mut [VmGlobal] {
        // SAFETY: S3, S4, inside the context; S2, nobody else uses it meanwhile.
        unsafe { &mut *self.globals_slice() }
    }

    /// Visits all references to objects in the globals that the module defines and in its element segments.
    pub(super) fn visit_references(&mut self, visit: &mut dyn FnMut(&mut u32)) {
        let module = self.module.clone();
        let imported = module.counts().imported_globals as usize;
        for (global, ty) in self.globals_mut().iter_mut().zip(&module.info().globals[imported..]) {
            if holds_objects(ty.content) {
                let mut reference = Slot::from_bytes(global.bytes).as_u32();
                visit(&mut reference);
                global.bytes = Slot::from_u32(reference).bytes();
            }
        }
        self.object_elements.iter_mut().flatten().for_each(visit);
    }

    /// Adds an item to an element segment that holds references to objects.
    pub(super) fn push_element(&mut self, segment: usize, reference: u32) {
        self.object_elements[segment].push(reference);
    }

    /// The items of an element segment that holds references to objects.
    pub fn element_objects(&self, segment: u32) -> &[u32] {
        self.object_elements.get(segment as usize).map_or(&[], Vec::as_slice)
    }

    /// The first element segment that holds references to objects now.
    pub(super) fn segment_of_objects(&self) -> Option<usize> {
        self.object_elements.iter().position(|segment| segment.iter().any(|reference| *reference != 0))
    }

    /// Makes the context that of instance `number` of a store.
    pub(super) fn set_store(&mut self, store: NonNull<VmStore>, number: u32) {
        // SAFETY: S3, S4: the header of this instance's own context, which no guest uses now.
        unsafe {
            (*self.context().as_ptr()).store = store.cast().as_ptr();
            (*self.context().as_ptr()).instance = number;
        }
    }

    /// A tag of the module.
    pub fn tag(&self, index: u32) -> TagPtr {
        let layout = self.module.layout();
        let imported = self.module.counts().imported_tags;
        // SAFETY: S4: a pointer to an imported tag, or a tag itself; both were filled at instantiation.
        TagPtr::new(unsafe {
            match index.checked_sub(imported) {
                Some(defined) => self.field::<VmTag>(layout.defined_tag(defined)),
                None => self.field::<NonNull<VmTag>>(layout.imported_tag(index)).read(),
            }
        })
    }

    /// How many items `table.init` can take from an element segment now.
    pub(super) fn element_len(&self, segment: u32) -> u64 {
        if self.dropped_elements[segment as usize] {
            return 0;
        }
        match &self.module.info().elements[segment as usize].items {
            ElementItems::Functions(range) => u64::from(range.end - range.start),
            ElementItems::Expressions(items) => items.len() as u64,
        }
    }

    /// One item of an element segment, as a table element; `None` if it is an expression to be evaluated.
    pub(super) fn element(&self, segment: u32, item: usize) -> Option<u64> {
        match &self.module.info().elements[segment as usize].items {
            ElementItems::Functions(range) => {
                let place = self.module.code().artifact().elements[range.start as usize + item].get();
                Some(self.func_at(place).map_or(0, FuncPtr::to_raw))
            }
            ElementItems::Expressions(_) => self.object_elements[segment as usize].get(item).copied().map(u64::from),
        }
    }

    /// The bytes that `memory.init` can take from a data segment now.
    fn data(&self, segment: u32) -> &[u8] {
        let range = self.data_range(segment);
        self.module.code().artifact().data.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }

    /// Where in the data section those bytes are.
    pub(super) fn data_range(&self, segment: u32) -> Range<u64> {
        let data = &self.module.info().data;
        match data.binary_search_by_key(&segment, |data| data.index) {
            Ok(place) if !self.dropped_data[segment as usize] => data[place].bytes.clone(),
            // What was written when the instance was made was dropped then.
            _ => 0..0,
        }
    }

    /// `data.drop`
    pub fn drop_data(&mut self, segment: u32) {
        self.dropped_data[segment as usize] = true;
    }

    /// `elem.drop`
    pub fn drop_elements(&mut self, segment: u32) {
        self.dropped_elements[segment as usize] = true;
        self.object_elements[segment as usize] = Vec::new();
    }
}

impl VmStore {
    /// Makes an instance, up to but not including its start function, and returns its number. What limits say was asked
    /// before: [`check_module`](super::growth::check_module).
    ///
    /// When a segment does not fit, the error is the trap that it is; what was written to imported tables and memories
    /// before stays, as the specification asks, and the instance stays alive because they may refer to it.
    ///
    /// # Safety
    /// S7, S10: the imports are of this store and have the module's types, in the order of its imports.
    pub(super) unsafe fn instantiate(&mut self, module: &Module, imports: &[ImportValue]) -> Result<u32> {
        // SAFETY: S7, S10, by the caller's promise.
        let number = unsafe { self.instantiate_bare(module, imports, None)? };
        self.add_code(number);
        if module.info().needs_gc_heap {
            self.reserve_heap()?;
        }
        // SAFETY: S7, the module was validated: initialisers have the types of what they initialise.
        unsafe {
            self.initialize_globals(number)?;
            self.initialize_tables(number)?;
            self.evaluate_elements(number)?;
            self.run_element_segments(number)?;
        }
        self.run_data_segments(number)?;
        Ok(number)
    }

    /// Makes an instance without giving its globals, tables and memories their first values, unless a state does: its
    /// memories are then mapped from images.
    ///
    /// # Safety
    /// As [`VmStore::instantiate`].
    pub(super) unsafe fn instantiate_bare(
        &mut self,
        module: &Module,
        imports: &[ImportValue],
        state: Option<(&MemberState, &PoolingAllocationConfig)>,
    ) -> Result<u32> {
        let number = self.instances.len() as u32;
        let instance = InstanceData {
            context: self.engine().allocator().context(module.layout())?,
            module: module.clone(),
            memories: Box::default(),
            tables: Box::default(),
            dropped_data: dropped_at_first(module.info()),
            dropped_elements: vec![false; module.info().elements.len()].into(),
            object_elements: vec![Vec::new(); module.info().elements.len()].into(),
            home: None,
        };
        self.instances.push(Box::new(instance));
        let (first_memory, first_table) = (self.memories.len(), self.tables.len());
        // SAFETY: S4, a fresh context of this module's layout; S7, by the caller's promise.
        let filled = unsafe { self.fill_context(number, imports, state) };
        if let Err(error) = filled {
            // Nothing outside can refer to it yet, nor to the parts that it got.
            self.memories.truncate(first_memory);
            self.tables.truncate(first_table);
            self.instances.pop();
            return Err(error);
        }
        Ok(number)
    }

    /// Steps 1 to 22: allocates what the module defines and connects what it imports.
    unsafe fn fill_context(
        &mut self,
        number: u32,
        imports: &[ImportValue],
        state: Option<(&MemberState, &PoolingAllocationConfig)>,
    ) -> Result<()> {
        let module = self.instances[number as usize].module.clone();
        let layout = *module.layout();
        let context = self.instances[number as usize].context();
        let store = self.pointer();
        // SAFETY: S4, a fresh zeroed context of this layout.
        let at = |offset: u32| unsafe { context.cast::<u8>().add(offset as usize) };
        // SAFETY: S4, the header is the first part.
        unsafe {
            context.write(VmContext {
                magic: INSTANCE_MAGIC,
                instance: number,
                store: store.cast().as_ptr(),
                builtins: builtins::TABLE.as_ptr().cast(),
                type_ids: module.type_ids().as_ptr(),
                type_displays: self.engine().types().displays(),
            });
        }
        let (mut funcs, mut globals, mut tags) = (0, 0, 0);
        let (mut memories, mut tables) = (Vec::new(), Vec::new());
        for import in imports {
            // SAFETY: S4, each offset is of the kind that is written; S3, what is pointed to lives as long as the store.
            unsafe {
                match import {
                    ImportValue::Func(func) => {
                        let mut func = func.as_non_null().read();
                        if func.entry.is_null() && !hostcall::needs_no_trampoline(&func) {
                            func.code = module.host_trampoline(func.type_id);
                        }
                        at(layout.imported_func(funcs)).cast().write(func);
                        funcs += 1;
                    }
                    ImportValue::HostFunc(func) => {
                        let code = module.host_trampoline(func.type_id());
                        at(layout.imported_func(funcs)).cast().write(func.reference(code));
                        self.keep_host_funcs([func.clone()]);
                        funcs += 1;
                    }
                    ImportValue::Table(index) => {
                        self.tables[*index as usize].set_settable(true);
                        let definition = self.table(*index).definition();
                        at(layout.imported_table(tables.len() as u32)).cast().write(definition);
                        tables.push(*index);
                    }
                    ImportValue::Memory(index) => {
                        let definition = self.memory(*index).definition();
                        at(layout.imported_memory(memories.len() as u32)).cast().write(definition);
                        memories.push(*index);
                    }
                    ImportValue::SharedMemory(memory) => {
                        let definition = memory.definition();
                        at(layout.imported_memory(memories.len() as u32)).cast().write(definition);
                        memories.push(self.memories.len() as u32);
                        self.memories.push(MemoryData::from_shared(memory.clone()));
                    }
                    ImportValue::Global(global) => {
                        at(layout.imported_global(globals)).cast().write(global.as_non_null());
                        globals += 1;
                    }
                    ImportValue::Tag(tag) => {
                        at(layout.imported_tag(tags)).cast().write(tag.as_non_null());
                        tags += 1;
                    }
                }
            }
        }
        let imported = (memories.len(), tables.len());
        for (index, ty) in module.info().memories[imported.0..].iter().enumerate() {
            memories.push(self.memories.len() as u32);
            let tunables = *self.engine().tunables();
            if ty.shared {
                let memory = Arc::new(SharedLinearMemory::new(ty, &tunables)?);
                let place = VmSharedMemory { definition: memory.definition().as_ptr(), reserved: 0 };
                // SAFETY: S4, in place of the definition of a memory of this store.
                unsafe { at(layout.defined_memory(index as u32)).cast().write(place) };
                self.memories.push(MemoryData::from_shared(memory));
                continue;
            }
            let memory = match state {
                Some((state, config)) => {
                    let (image, len) = &state.memories[index];
                    LinearMemory::from_image(image, *len, &tunables, config)?
                }
                None => self.engine().allocator().memory(ty, &tunables)?,
            };
            let definition = at(layout.defined_memory(index as u32)).cast::<VmMemory>();
            // SAFETY: S3, S4: inside the context, which lives as long as the store.
            let memory = unsafe { MemoryData::new(memory, *ty, definition) };
            if !tunables.signals_based_traps {
                memory.untrack();
            }
            self.memories.push(memory);
        }
        for (index, ty) in module.info().tables[imported.1..].iter().enumerate() {
            let elements = self.engine().allocator().table(ty)?;
            let definition = at(layout.defined_table(index as u32)).cast::<VmTable>();
            tables.push(self.tables.len() as u32);
            // SAFETY: S3, S4: inside the context, which lives as long as the store.
            self.tables.push(unsafe { TableData::new(elements, *ty, definition) });
        }
        for (index, ty) in module.info().tags[tags as usize..].iter().enumerate() {
            let tag = VmTag { type_id: *ty, reserved: 0 };
            // SAFETY: S4, the offset of a tag.
            unsafe { at(layout.defined_tag(index as u32)).cast().write(tag) };
        }
        for (slot, function) in module.code().artifact().escaping.iter().enumerate() {
            let Some((code, entry, type_id)) = module.func_parts(function.get()) else { continue };
            let reference = VmFuncRef { code, vmctx: context.as_ptr(), entry, type_id, reserved: 0 };
            // SAFETY: S4, the offset of a function reference.
            unsafe { at(layout.escaping_func(slot as u32)).cast().write(reference) };
        }
        let instance = &mut self.instances[number as usize];
        instance.memories = memories.into();
        instance.tables = tables.into();
        Ok(())
    }

    /// Step 27: active element segments in order.
    unsafe fn run_element_segments(&mut self, number: u32) -> Result<()> {
        let module = self.instances[number as usize].module.clone();
        for (segment, element) in module.info().elements.iter().enumerate() {
            let segment = segment as u32;
            match &element.mode {
                ElementMode::Passive => continue,
                ElementMode::Declared => {}
                ElementMode::Active { table, offset } => {
                    let start = self.evaluate_offset(number, offset, module.info().tables[*table as usize].index64)?;
                    let len = self.instance(number).element_len(segment);
                    // SAFETY: S7, by validation.
                    unsafe { self.table_init(number, *table, segment, start, 0, len)? };
                }
            }
            self.instances[number as usize].drop_elements(segment);
        }
        Ok(())
    }

    /// Step 28: active data segments in order; those first whose places were known to the compiler.
    fn run_data_segments(&mut self, number: u32) -> Result<()> {
        let module = self.instances[number as usize].module.clone();
        for initial in &module.info().initial {
            let memory = self.instances[number as usize].memories[initial.memory as usize];
            let Some((bytes, file)) = module.code().initial(initial) else {
                VmStore::trap_unless(false, TrapCode::MemoryOutOfBounds)?;
                continue;
            };
            let written = self.memories[memory as usize].begin_with(initial.offset, bytes, file)?;
            VmStore::trap_unless(written, TrapCode::MemoryOutOfBounds)?;
        }
        for data in &module.info().data {
            let segment = data.index;
            if let DataMode::Active { memory, offset } = &data.mode {
                let start = self.evaluate_offset(number, offset, module.info().memories[*memory as usize].index64)?;
                let len = self.instance(number).data(segment).len() as u64;
                self.memory_init(number, *memory, segment, start, 0, len)?;
                self.instances[number as usize].drop_data(segment);
            }
        }
        Ok(())
    }

    /// `memory.init`
    pub(super) fn memory_init(
        &mut self,
        number: u32,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<()> {
        let instance = &self.instances[number as usize];
        let memory = &mut self.memories[instance.memories[memory as usize] as usize];
        let source = src.checked_add(len).and_then(|end| instance.data(segment).get(src as usize..end as usize));
        let written = source.is_some_and(|source| memory.write(dst, source));
        VmStore::trap_unless(written, TrapCode::MemoryOutOfBounds)
    }

    /// `table.init`
    ///
    /// # Safety
    /// S7: the segment's items are of the table's type.
    pub(super) unsafe fn table_init(
        &mut self,
        number: u32,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<()> {
        let instance = &self.instances[number as usize];
        let table = instance.tables[table as usize] as usize;
        let fits = src.checked_add(len).is_some_and(|end| end <= instance.element_len(segment))
            && dst.checked_add(len).is_some_and(|end| end <= self.tables[table].len());
        VmStore::trap_unless(fits, TrapCode::TableOutOfBounds)?;
        for item in 0..len {
            let element = self.element_value(number, segment, (src + item) as usize)?;
            // SAFETY: S7, by the caller's promise.
            unsafe { self.tables[table].set(dst + item, element) };
        }
        Ok(())
    }
}
