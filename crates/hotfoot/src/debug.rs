//! What an instance consists of, by index: exported or not, its own or imported. For tools that look at a whole instance,
//! such as the pre-initialiser.

use anyhow::Result;

use crate::any_ref::AnyRef;
use crate::externs::{Extern, check_store};
use crate::func::Func;
use crate::global::Global;
use crate::instance::Instance;
use crate::memory::Memory;
use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::store::{AsContext, AsContextMut};
use crate::table::Table;
use crate::tag::Tag;
use crate::value::Ref;
use hotfoot_artifact::{EntityIndex, HeapType};

impl Instance {
    /// The memory with this index in the module, imports first.
    ///
    /// ```
    /// use hotfoot::{Engine, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (memory 1) (data (i32.const 5) "x"))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let memory = instance.debug_memory(&mut store, 0).unwrap();
    /// assert_eq!(memory.data(&store)[5], b'x');
    /// assert!(instance.debug_memory(&mut store, 1).is_none());
    /// # Ok(()) }
    /// ```
    pub fn debug_memory(&self, store: impl AsContextMut, memory_index: u32) -> Option<Memory> {
        self.debug_export(store, EntityIndex::Memory(memory_index))?.into_memory()
    }

    /// The table with this index in the module, imports first.
    pub fn debug_table(&self, store: impl AsContextMut, table_index: u32) -> Option<Table> {
        self.debug_export(store, EntityIndex::Table(table_index))?.into_table()
    }

    /// The global with this index in the module, imports first.
    pub fn debug_global(&self, store: impl AsContextMut, global_index: u32) -> Option<Global> {
        self.debug_export(store, EntityIndex::Global(global_index))?.into_global()
    }

    /// The tag with this index in the module, imports first.
    pub fn debug_tag(&self, store: impl AsContextMut, tag_index: u32) -> Option<Tag> {
        self.debug_export(store, EntityIndex::Tag(tag_index))?.into_tag()
    }

    /// The function with this index in the module, imports first. `None` also for a function that no reference can
    /// name: one that is neither imported nor exported, nor in an element segment or a `ref.func`.
    pub fn debug_function(&self, mut store: impl AsContextMut, function_index: u32) -> Option<Func> {
        let mut store = store.as_context_mut();
        check_store(self.store_id(), store.vm());
        let instance = store.vm().instance(self.number());
        let exists = function_index < instance.module().info().num_funcs;
        let pointer = if exists { instance.func(function_index) } else { None };
        pointer.map(|pointer| Func::from_parts(self.store_id(), pointer))
    }

    /// The index in the module of a function of this instance, its own or imported; the first one of a function that is
    /// imported several times. `None` for functions of others.
    ///
    /// ```
    /// use hotfoot::{Engine, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (func) (func (export "f")))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let func = instance.get_func(&mut store, "f").unwrap();
    /// assert_eq!(instance.function_index(&store, &func), Some(1));
    /// # Ok(()) }
    /// ```
    pub fn function_index(&self, store: impl AsContext, func: &Func) -> Option<u32> {
        let store = store.as_context();
        check_store(self.store_id(), store.vm());
        check_store(func.store_id(), store.vm());
        store.vm().instance(self.number()).function_index(func.pointer())
    }

    /// How many functions, tables, memories and globals it has, with imports.
    pub fn debug_counts(&self, store: impl AsContext) -> [usize; 4] {
        let store = store.as_context();
        check_store(self.store_id(), store.vm());
        let info = store.vm().instance(self.number()).module().info();
        [info.num_funcs as usize, info.tables.len(), info.memories.len(), info.globals.len()]
    }

    /// Whether each data segment of the module was dropped, by `data.drop` or because it is an active one.
    pub fn dropped_data(&self, store: impl AsContext) -> Vec<bool> {
        let store = store.as_context();
        check_store(self.store_id(), store.vm());
        store.vm().instance(self.number()).dropped_data().to_vec()
    }

    /// Whether each element segment of the module was dropped, by `elem.drop` or because it is no passive one.
    pub fn dropped_elements(&self, store: impl AsContext) -> Vec<bool> {
        let store = store.as_context();
        check_store(self.store_id(), store.vm());
        store.vm().instance(self.number()).dropped_elements().to_vec()
    }

    /// The items of an element segment that was not dropped, if they are references to objects or host values: these were
    /// made once, when the module was instantiated.
    pub fn debug_element_objects(&self, mut store: impl AsContextMut, segment: u32) -> Vec<Ref> {
        let mut store = store.as_context_mut();
        check_store(self.store_id(), store.vm());
        let instance = store.vm().instance(self.number());
        let Some(element) = instance.module().info().elements.get(segment as usize) else { return Vec::new() };
        let heap = element.element.heap.top();
        let items = instance.element_objects(segment).to_vec();
        let reference = |item: u32| {
            let root = (item != 0).then(|| store.vm().root(item));
            match heap {
                HeapType::Extern => Ref::Extern(root.map(Rooted::from_root)),
                HeapType::Exn => Ref::Exn(root.map(Rooted::from_root)),
                _ => Ref::Any(root.map(Rooted::from_root)),
            }
        };
        items.into_iter().map(reference).collect()
    }

    /// The index in the module of the type of a struct or array, the first one of equal types. `None` for types that the
    /// module does not define.
    ///
    /// ```
    /// use hotfoot::{Engine, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let text = r#"(module (type (func)) (type $s (struct)) (global (export "g") anyref (struct.new $s)))"#;
    /// let module = Module::new(&engine, text)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let global = instance.get_global(&mut store, "g").unwrap().get(&mut store);
    /// assert_eq!(instance.debug_type_index(&store, global.unwrap_any_ref().unwrap())?, Some(1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn debug_type_index(&self, store: impl AsContext, object: &AnyRef) -> Result<Option<u32>> {
        let store = store.as_context();
        check_store(self.store_id(), store.vm());
        let (HeapType::ConcreteStruct(number) | HeapType::ConcreteArray(number)) =
            store.vm().heap_type(object.root())?
        else {
            return Ok(None);
        };
        let types = store.vm().instance(self.number()).module().type_ids();
        Ok(types.iter().position(|ty| *ty == number).map(|index| index as u32))
    }

    fn debug_export(&self, mut store: impl AsContextMut, entity: EntityIndex) -> Option<Extern> {
        let mut store = store.as_context_mut();
        check_store(self.store_id(), store.vm());
        let info = store.vm().instance(self.number()).module().info();
        let exists = match entity {
            EntityIndex::Func(_) => false,
            EntityIndex::Memory(index) => (index as usize) < info.memories.len(),
            EntityIndex::Table(index) => (index as usize) < info.tables.len(),
            EntityIndex::Global(index) => (index as usize) < info.globals.len(),
            EntityIndex::Tag(index) => (index as usize) < info.tags.len(),
        };
        exists.then(|| self.entity_in(store.vm(), entity))
    }
}

impl AnyRef {
    /// A number that is the same for two references exactly if they are the same, until an object is made in the store.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn debug_address(&self, store: impl AsContext) -> Result<u32> {
        store.as_context().vm().reference(self.root())
    }
}
