//! What can be imported and exported.

use hotfoot_artifact::EntityType;

use crate::func::Func;
use crate::global::Global;
use crate::memory::Memory;
use crate::shared_memory::SharedMemory;
use crate::store::AsContext;
use crate::table::Table;
use crate::tag::Tag;
use crate::types::ExternType;
use crate::vm::store::{StoreId, VmStore};

/// Something in a store that can be imported and exported.
#[derive(Clone, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A global.
    Global(Global),
    /// A table.
    Table(Table),
    /// A memory.
    Memory(Memory),
    /// A memory that threads share.
    SharedMemory(SharedMemory),
    /// A tag.
    Tag(Tag),
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        if let Extern::Func(func) = self { Some(func) } else { None }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        if let Extern::Global(global) = self { Some(global) } else { None }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        if let Extern::Table(table) = self { Some(table) } else { None }
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        if let Extern::Memory(memory) = self { Some(memory) } else { None }
    }

    /// The shared memory, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        if let Extern::SharedMemory(memory) = self { Some(memory) } else { None }
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        if let Extern::Tag(tag) = self { Some(tag) } else { None }
    }

    /// Its type now: a memory's or table's minimum is its current size.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        let store = store.as_context();
        ExternType::from_raw(store.engine().types(), &self.raw_type(store.vm()))
    }

    /// Its type now, as the runtime holds it.
    pub(crate) fn raw_type(&self, store: &VmStore) -> EntityType {
        match self {
            Extern::Func(func) => EntityType::Func(func.type_number(store)),
            Extern::Global(global) => EntityType::Global(global.raw_type()),
            Extern::Table(table) => EntityType::Table(table.raw_type(store)),
            Extern::Memory(memory) => EntityType::Memory(memory.type_in(store)),
            Extern::SharedMemory(memory) => EntityType::Memory(memory.current_type()),
            Extern::Tag(tag) => EntityType::Tag(tag.type_number(store)),
        }
    }

    /// Refuses what belongs to another store, as [`check_store`]; a shared memory belongs to none.
    pub(crate) fn check_store(&self, store: &VmStore) {
        let owner = match self {
            Extern::Func(func) => func.store_id(),
            Extern::Global(global) => global.store_id(),
            Extern::Table(table) => table.store_id(),
            Extern::Memory(memory) => memory.store_id(),
            Extern::SharedMemory(_) => return,
            Extern::Tag(tag) => tag.store_id(),
        };
        check_store(owner, store);
    }
}

impl From<SharedMemory> for Extern {
    fn from(memory: SharedMemory) -> Extern {
        Extern::SharedMemory(memory)
    }
}

impl From<Func> for Extern {
    fn from(func: Func) -> Extern {
        Extern::Func(func)
    }
}

impl From<Global> for Extern {
    fn from(global: Global) -> Extern {
        Extern::Global(global)
    }
}

impl From<Table> for Extern {
    fn from(table: Table) -> Extern {
        Extern::Table(table)
    }
}

impl From<Memory> for Extern {
    fn from(memory: Memory) -> Extern {
        Extern::Memory(memory)
    }
}

impl From<Tag> for Extern {
    fn from(tag: Tag) -> Extern {
        Extern::Tag(tag)
    }
}

/// One export of an instance.
#[derive(Clone, Debug)]
pub struct Export<'instance> {
    pub(crate) name: &'instance str,
    pub(crate) definition: Extern,
}

impl<'instance> Export<'instance> {
    /// Its name.
    pub fn name(&self) -> &'instance str {
        self.name
    }

    /// What it is.
    pub fn into_extern(self) -> Extern {
        self.definition
    }

    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        self.definition.into_func()
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        self.definition.into_memory()
    }

    /// The shared memory, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        self.definition.into_shared_memory()
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        self.definition.into_table()
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        self.definition.into_tag()
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        self.definition.into_global()
    }
}

/// Refuses a handle that belongs to another store.
///
/// # Panics
/// That is a mistake of the embedder's that no guest can cause, and most accessors have no error to return.
#[inline]
pub(crate) fn check_store(handle: StoreId, store: &VmStore) {
    assert!(handle == store.id(), "a handle was used with another store than its own");
}
