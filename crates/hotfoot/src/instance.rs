//! Instances, and modules whose imports are already known.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use hotfoot_artifact::EntityIndex;

use crate::config::{InstanceAllocationStrategy, PoolingAllocationConfig};
use crate::engine::Engine;
use crate::externs::{Export, Extern, check_store};
use crate::func::Func;
use crate::global::Global;
use crate::linker::Definition;
use crate::memory::Memory;
use crate::module::Module;
use crate::shared_memory::SharedMemory;
use crate::store::AsContextMut;
use crate::table::Table;
use crate::tag::Tag;
use crate::typed::TypedFunc;
use crate::vm::call;
use crate::vm::convert::{WasmParams, WasmResults};
use crate::vm::fiber;
use crate::vm::pre::{self, Member, MemberImport, Pool, PoolHandle};
use crate::vm::store::{StoreId, VmStore};

/// An instance of a module in a store.
#[derive(Copy, Clone, Debug)]
pub struct Instance {
    store: StoreId,
    index: u32,
}

impl Instance {
    /// Instantiates a module with its imports in order, and runs its start function.
    ///
    /// ```
    /// use hotfoot::{Engine, Func, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (import "" "" (func)) (start 0))"#)?;
    /// let mut store = Store::new(&engine, 0);
    /// let func = Func::wrap(&mut store, |mut caller: hotfoot::Caller<'_, i32>| *caller.data_mut() += 1);
    /// Instance::new(&mut store, &module, &[func.into()])?;
    /// assert_eq!(*store.data(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When imports do not fit, limits or the host refuse, a segment does not fit, or the start function traps.
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let expected = module.imports().len();
        ensure!(imports.len() == expected, "expected {expected} imports, found {}", imports.len());
        let mut values = Vec::with_capacity(expected);
        for (value, import) in imports.iter().zip(&module.info().imports) {
            value.check_store(store.vm());
            let definition = Definition::Extern(value.clone());
            values.push(definition.import_value(store.vm(), import)?);
        }
        Instance::from_values(store, module, &values)
    }

    /// As [`Instance::new`]; what the start function calls may wait.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub async fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        let store = store.as_context_mut();
        fiber::run(store, |store| Instance::new(store, module, imports)).await
    }

    pub(crate) fn from_values<T: 'static>(
        mut store: crate::StoreContextMut<'_, T>,
        module: &Module,
        values: &[crate::vm::instance::ImportValue],
    ) -> Result<Instance> {
        check_engine(module, store.engine())?;
        let id = store.vm().id();
        Ok(Instance { store: id, index: call::instantiate(store, module, values)? })
    }

    /// The export with this name.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        self.export_in(store.vm(), name)
    }

    /// The exported function with this name.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The exported memory with this name.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The exported shared memory with this name.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// The exported table with this name.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The exported global with this name.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The exported tag with this name.
    pub fn get_tag(&self, store: impl AsContextMut, name: &str) -> Option<Tag> {
        self.get_export(store, name)?.into_tag()
    }

    /// The exported function with this name, as one of a Rust type.
    ///
    /// # Errors
    /// When there is no such function, or its type is another.
    pub fn get_typed_func<Params, Results>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<Params, Results>>
    where
        Params: WasmParams,
        Results: WasmResults,
    {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let export = store.vm().instance(self.index).module().export_index(name);
        let export = export.with_context(|| format!("the instance has no export of this name: `{name}`"))?;
        let EntityIndex::Func(index) = export else { bail!("the export is not a function: `{name}`") };
        let func = self.func_in(store.vm(), index);
        func.typed(&store).with_context(|| format!("the export has another type: `{name}`"))
    }

    /// Makes this instance the starting point of others: what it holds now (memories, tables, globals, dropped segments)
    /// is what they begin with, by copy-on-write and without running anything. The instance itself goes on. With
    /// pooling, instances that it is linked to by [`Linker::instance_pre`](crate::Linker::instance_pre) are captured with
    /// it.
    ///
    /// ```
    /// use hotfoot::{Engine, Instance, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"
    ///     (module (global $n (mut i32) (i32.const 0))
    ///       (func (export "next") (result i32)
    ///         (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
    /// "#)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let next = instance.get_typed_func::<(), i32>(&mut store, "next")?;
    /// next.call(&mut store, ())?;
    /// let snapshot = instance.snapshot(&mut store)?;
    ///
    /// let mut other = Store::new(&engine, ());
    /// let copy = snapshot.instantiate(&mut other)?;
    /// let next_of_copy = copy.get_typed_func::<(), i32>(&mut other, "next")?;
    /// assert_eq!(next_of_copy.call(&mut other, ())?, 2);
    /// assert_eq!(next.call(&mut store, ())?, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When something cannot be captured: an import that is not a host function, a reference to a host value, an
    /// exception or a function of others, a guest of this store on the stack. The error names it.
    pub fn snapshot<T: 'static>(&self, mut store: impl AsContextMut<Data = T>) -> Result<InstancePre<T>> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let module = store.vm().instance(self.index).module().clone();
        let (snapshot, members) = call::capture(store, self.index)?;
        let config = match &module.engine().config().allocation_strategy {
            InstanceAllocationStrategy::Pooling(config) => config.clone(),
            InstanceAllocationStrategy::OnDemand => PoolingAllocationConfig::keep_nothing(),
        };
        let pool = Pool::new(members, Some(snapshot), &config, module.engine().pools())?;
        let template = Arc::new(Template { module, imports: Box::default() });
        let data = std::marker::PhantomData;
        Ok(InstancePre { template, pool: Some(PoolHandle::new(pool)), of_snapshot: true, data })
    }

    /// Makes the instance what it was when it had just been made, where it is: handles to its exports stay good. Instances
    /// that it is linked to by [`Linker::instance_pre`](crate::Linker::instance_pre) are reset with it.
    ///
    /// # Errors
    /// When it is not of a pool or a snapshot, or a guest of this store is on the stack; or when the start function,
    /// which runs again, traps.
    pub fn reset(&self, mut store: impl AsContextMut) -> Result<()> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        call::reset(store, self.index)
    }

    /// All exports, in the module's order.
    pub fn exports<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContextMut<'a, T>>,
    ) -> impl ExactSizeIterator<Item = Export<'a>> + 'a {
        let (store, _) = store.into().vm_and_data();
        let store: &'a VmStore = store;
        check_store(self.store, store);
        let this = *self;
        let exports = store.instance(self.index).module().code().artifact().exports();
        exports.map(move |(name, entity)| Export { name, definition: this.entity_in(store, entity) })
    }

    /// The module that it is an instance of.
    pub fn module<'a, T: 'static>(&self, store: impl Into<crate::StoreContext<'a, T>>) -> &'a Module {
        let store = store.into().vm();
        check_store(self.store, store);
        store.instance(self.index).module()
    }

    pub(crate) fn export_in(&self, store: &VmStore, name: &str) -> Option<Extern> {
        let entity = store.instance(self.index).module().export_index(name)?;
        Some(self.entity_in(store, entity))
    }

    /// An exported function of the module.
    fn func_in(&self, store: &VmStore, index: u32) -> Func {
        let pointer = store.instance(self.index).func(index);
        Func::from_parts(self.store, pointer.expect("the compiler makes every exported function escaping"))
    }

    pub(crate) fn entity_in(&self, store: &VmStore, entity: EntityIndex) -> Extern {
        let instance = store.instance(self.index);
        match entity {
            EntityIndex::Func(index) => Extern::Func(self.func_in(store, index)),
            EntityIndex::Table(index) => Extern::Table(Table::from_parts(self.store, instance.table(index))),
            EntityIndex::Memory(index) => {
                let number = instance.memory(index);
                match store.memory(number).shared() {
                    Some(memory) => Extern::SharedMemory(SharedMemory::from_parts(memory.clone())),
                    None => Extern::Memory(Memory::from_parts(self.store, number)),
                }
            }
            EntityIndex::Tag(index) => Extern::Tag(Tag::from_parts(self.store, instance.tag(index))),
            EntityIndex::Global(index) => {
                let ty = instance.module().info().globals[index as usize];
                Extern::Global(Global::from_parts(self.store, instance.global(index), ty))
            }
        }
    }

    pub(crate) fn from_parts(store: StoreId, index: u32) -> Instance {
        Instance { store, index }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    /// Its number in its store.
    pub(crate) fn number(&self) -> u32 {
        self.index
    }
}

fn check_engine(module: &Module, engine: &Engine) -> Result<()> {
    ensure!(
        Engine::same(module.engine(), engine),
        "the module was compiled for another engine than the store's: make both with the same Engine"
    );
    Ok(())
}

/// A module and what satisfies its imports.
#[derive(Debug)]
pub(crate) struct Template {
    pub module: Module,
    pub imports: Box<[Definition]>,
}

impl Template {
    /// Makes an instance, and before it one of each template that it is linked to, unless one was `made` already.
    pub(crate) fn instantiate<T: 'static>(
        self: &Arc<Self>,
        mut store: crate::StoreContextMut<'_, T>,
        made: &mut Vec<(Arc<Template>, Instance)>,
    ) -> Result<Instance> {
        if let Some((_, instance)) = made.iter().find(|(template, _)| Arc::ptr_eq(template, self)) {
            return Ok(*instance);
        }
        let mut values = Vec::with_capacity(self.imports.len());
        for (definition, import) in self.imports.iter().zip(&self.module.info().imports) {
            values.push(match definition {
                Definition::Export { template, entity, .. } => {
                    let instance = template.instantiate(store.reborrow(), made)?;
                    let item = instance.entity_in(store.vm(), *entity);
                    Definition::Extern(item).import_value(store.vm(), import)?
                }
                definition => definition.import_value(store.vm(), import)?,
            });
        }
        let instance = Instance::from_values(store, &self.module, &values)?;
        made.push((self.clone(), instance));
        Ok(instance)
    }

    /// What is to be instantiated, in order; `None` if something of it is in a store, or is a shared memory: that may
    /// outlive its instance, in other threads, so it is never made fresh again.
    fn members(self: &Arc<Self>) -> Option<Vec<Member>> {
        let (mut order, mut members) = (Vec::new(), Vec::new());
        self.add_members(&mut order, &mut members).map(|_| members)
    }

    fn add_members(self: &Arc<Self>, order: &mut Vec<Arc<Template>>, members: &mut Vec<Member>) -> Option<u32> {
        if let Some(at) = order.iter().position(|template| Arc::ptr_eq(template, self)) {
            return Some(at as u32);
        }
        if self.module.info().memories.iter().any(|memory| memory.shared) {
            return None;
        }
        let mut imports = Vec::with_capacity(self.imports.len());
        for definition in &self.imports {
            imports.push(match definition {
                Definition::HostFunc(func) => MemberImport::HostFunc(func.clone()),
                Definition::Export { template, entity, .. } => {
                    MemberImport::Member(template.add_members(order, members)?, *entity)
                }
                Definition::Extern(_) => return None,
            });
        }
        order.push(self.clone());
        members.push(Member { module: self.module.clone(), imports: imports.into() });
        Some(members.len() as u32 - 1)
    }
}

/// A module with its imports found and compared, so that instantiating it again does neither; made by
/// [`Linker::instantiate_pre`](crate::Linker::instantiate_pre).
pub struct InstancePre<T: 'static> {
    template: Arc<Template>,
    /// With pooling, and if nothing ties instances to one store.
    pool: Option<PoolHandle>,
    of_snapshot: bool,
    data: std::marker::PhantomData<fn(T)>,
}

impl<T: 'static> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        InstancePre {
            template: self.template.clone(),
            pool: self.pool.clone(),
            of_snapshot: self.of_snapshot,
            data: std::marker::PhantomData,
        }
    }
}

impl<T: 'static> std::fmt::Debug for InstancePre<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InstancePre").field("module", &self.template.module).finish_non_exhaustive()
    }
}

impl<T: 'static> InstancePre<T> {
    /// # Errors
    /// When the pool's settings do not allow such a module.
    pub(crate) fn new(template: Template) -> Result<InstancePre<T>> {
        let template = Arc::new(template);
        let engine = template.module.engine();
        let pool = match &engine.config().allocation_strategy {
            InstanceAllocationStrategy::OnDemand => None,
            InstanceAllocationStrategy::Pooling(config) => match template.members() {
                Some(members) => Some(PoolHandle::new(Pool::new(members.into(), None, config, engine.pools())?)),
                None => None,
            },
        };
        Ok(InstancePre { template, pool, of_snapshot: false, data: std::marker::PhantomData })
    }

    /// What the instances are made of, for others to be linked to them.
    ///
    /// # Errors
    /// When they start from a snapshot.
    pub(crate) fn template(&self) -> Result<&Arc<Template>> {
        ensure!(
            !self.of_snapshot,
            "instances that start from a snapshot cannot be linked to: take the snapshot of the instance that is to use them"
        );
        Ok(&self.template)
    }

    /// How many instances wait to be used again; always 0 without pooling.
    pub fn idle_instances(&self) -> usize {
        self.pool.as_ref().map_or(0, |handle| handle.pool().idle())
    }

    /// Drops the instances that wait to be used again.
    pub fn trim(&self) {
        if let Some(handle) = &self.pool {
            handle.pool().drop_idle(usize::MAX);
        }
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.template.module
    }

    /// As [`InstancePre::instantiate`]; what the start function calls may wait.
    ///
    /// # Errors
    /// As [`InstancePre::instantiate`].
    pub async fn instantiate_async(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance>
    where
        T: Send,
    {
        let store = store.as_context_mut();
        fiber::run(store, |store| self.instantiate(store)).await
    }

    /// Makes an instance and runs its start function.
    ///
    /// With pooling, a start function that calls no host function runs once, for the first instance; others begin with
    /// the state that it left.
    ///
    /// # Errors
    /// When limits or the host refuse, a segment does not fit, or the start function traps.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let Some(handle) = &self.pool else { return self.template.instantiate(store, &mut Vec::new()) };
        check_engine(&self.template.module, store.engine())?;
        let id = store.vm().id();
        Ok(Instance { store: id, index: pre::instantiate(store, handle.pool())? })
    }
}
