//! The linker: names and what they stand for.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use hotfoot_artifact::{EntityIndex, EntityType, Import};

use crate::engine::Engine;
use crate::externs::Extern;
use crate::func::Func;
use crate::instance::{Instance, InstancePre, Template};
use crate::module::Module;
use crate::store::{AsContext, AsContextMut};
use crate::typed::{HostFuncHandle, IntoFunc};
use crate::types::{ExternType, FuncType, ImportType, matching};
use crate::value::Val;
use crate::vm::convert::{WasmParams, WasmRet};
use crate::vm::fiber;
use crate::vm::hostcall::{self, Caller};
use crate::vm::instance::ImportValue;
use crate::vm::store::VmStore;

/// Satisfies imports by name. Host functions that are defined here belong to no store, so one linker serves any
/// number of stores.
///
/// ```
/// use hotfoot::{Engine, Linker, Module, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let mut linker: Linker<u32> = Linker::new(&engine);
/// linker.func_wrap("host", "count", |mut caller: hotfoot::Caller<'_, u32>| {
///     *caller.data_mut() += 1;
///     *caller.data()
/// })?;
/// let module = Module::new(&engine, r#"
///     (module (import "host" "count" (func $count (result i32))) (export "count" (func $count)))
/// "#)?;
/// let pre = linker.instantiate_pre(&module)?;
/// for _ in 0..3 {
///     let mut store = Store::new(&engine, 0);
///     let instance = pre.instantiate(&mut store)?;
///     let count = instance.get_typed_func::<(), i32>(&mut store, "count")?;
///     assert_eq!(count.call(&mut store, ())?, 1);
/// }
/// # Ok(()) }
/// ```
pub struct Linker<T: 'static> {
    engine: Engine,
    definitions: HashMap<String, HashMap<String, Definition>>,
    allow_shadowing: bool,
    data: std::marker::PhantomData<fn(T)>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Definition {
    /// Something in a store.
    Extern(Extern),
    /// A host function that belongs to no store.
    HostFunc(HostFuncHandle),
    /// An export of the instance that each store gets of its own.
    Export { template: Arc<Template>, entity: EntityIndex, ty: EntityType },
}

impl Definition {
    /// As the value of an import, when the types match.
    pub(crate) fn import_value(&self, store: &VmStore, import: &Import) -> Result<ImportValue> {
        match self {
            Definition::Extern(value) => {
                value.check_store(store);
                check_import(store.engine(), import, &value.raw_type(store))?;
            }
            definition => definition.check(store.engine(), import)?,
        }
        Ok(match self {
            Definition::HostFunc(func) => ImportValue::HostFunc(func.clone()),
            Definition::Extern(Extern::Func(func)) => ImportValue::Func(func.pointer()),
            Definition::Extern(Extern::Table(table)) => ImportValue::Table(table.index()),
            Definition::Extern(Extern::Memory(memory)) => ImportValue::Memory(memory.index()),
            Definition::Extern(Extern::SharedMemory(memory)) => ImportValue::SharedMemory(memory.usable_in(store)?),
            Definition::Extern(Extern::Global(global)) => ImportValue::Global(global.pointer()),
            Definition::Extern(Extern::Tag(tag)) => ImportValue::Tag(tag.pointer()),
            Definition::Export { .. } => bail!("`{}::{}` is in no store yet", import.module, import.name),
        })
    }

    /// Compares its type with an import's, as far as that is known without a store.
    fn check(&self, engine: &Engine, import: &Import) -> Result<()> {
        match self {
            Definition::Extern(_) => Ok(()),
            Definition::HostFunc(func) => check_import(engine, import, &EntityType::Func(func.type_id())),
            Definition::Export { ty, .. } => check_import(engine, import, ty),
        }
    }

    /// As a value of a store, if it is one or can become one.
    fn into_extern(self, store: &mut VmStore) -> Option<Extern> {
        match self {
            Definition::Extern(value) => Some(value),
            Definition::HostFunc(func) => {
                let pointer = store.new_host_func(func);
                Some(Extern::Func(Func::from_parts(store.id(), pointer)))
            }
            Definition::Export { .. } => None,
        }
    }
}

/// Compares what an import's name stands for with what is asked for.
fn check_import(engine: &Engine, import: &Import, actual: &EntityType) -> Result<()> {
    let types = engine.types();
    ensure!(
        matching::satisfies(types, actual, &import.ty),
        "incompatible import type for `{}::{}`: expected {}, found {}",
        import.module,
        import.name,
        ExternType::from_raw(types, &import.ty),
        ExternType::from_raw(types, actual)
    );
    Ok(())
}

/// An import that a linker has no definition for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unknown import: `{module}::{name}` has not been defined; it must be {ty}")]
pub struct UnknownImportError {
    module: String,
    name: String,
    ty: ExternType,
}

impl UnknownImportError {
    fn new(engine: &Engine, import: &Import) -> UnknownImportError {
        let ty = ExternType::from_raw(engine.types(), &import.ty);
        UnknownImportError { module: import.module.clone(), name: import.name.clone(), ty }
    }

    /// Name of the module that is asked for it.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Name within that module.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it must be.
    pub fn ty(&self) -> ExternType {
        self.ty.clone()
    }
}

impl<T: 'static> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            definitions: self.definitions.clone(),
            allow_shadowing: self.allow_shadowing,
            data: std::marker::PhantomData,
        }
    }
}

impl<T: 'static> std::fmt::Debug for Linker<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Linker").field("definitions", &self.definitions).finish_non_exhaustive()
    }
}

impl<T: 'static> Linker<T> {
    /// A linker without definitions.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            definitions: HashMap::new(),
            allow_shadowing: false,
            data: std::marker::PhantomData,
        }
    }

    /// The engine it was made with.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again. Default: no.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<&mut Self> {
        let names = self.definitions.entry(module.to_string()).or_default();
        if !self.allow_shadowing && names.contains_key(name) {
            bail!("import of `{module}::{name}` defined twice; `Linker::allow_shadowing` permits it");
        }
        names.insert(name.to_string(), definition);
        Ok(self)
    }

    /// Defines a name as something in a store.
    ///
    /// # Errors
    /// When the name is defined already.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let item = item.into();
        item.check_store(store.as_context().vm());
        self.insert(module, name, Definition::Extern(item))
    }

    /// Defines a name as a host function; see [`Func::wrap`].
    ///
    /// # Errors
    /// When the name is defined already.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self> {
        let func = func.into_host_func(&self.engine);
        self.insert(module, name, Definition::HostFunc(func))
    }

    /// Defines a name as a host function that may wait; see [`Func::wrap_async`].
    ///
    /// # Errors
    /// When the name is defined already.
    pub fn func_wrap_async<Params: WasmParams, Results: WasmRet>(
        &mut self,
        module: &str,
        name: &str,
        func: impl for<'a> Fn(Caller<'a, T>, Params) -> Box<dyn Future<Output = Results> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Result<&mut Self>
    where
        T: Send,
    {
        let func = hostcall::typed_async(&self.engine, func);
        self.insert(module, name, Definition::HostFunc(func))
    }

    /// Defines a name as a host function that may wait, of a type that is known only at run time; see [`Func::new_async`].
    ///
    /// # Errors
    /// When the name is defined already.
    pub fn func_new_async(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Result<&mut Self>
    where
        T: Send,
    {
        let ty = ty.adopted_by(&self.engine);
        let func = hostcall::untyped_async(&self.engine, ty, func);
        self.insert(module, name, Definition::HostFunc(func))
    }

    /// As [`Linker::instantiate`]; what the start function calls may wait.
    ///
    /// # Errors
    /// As [`Linker::instantiate`].
    pub async fn instantiate_async(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance>
    where
        T: Send,
    {
        let store = store.as_context_mut();
        fiber::run(store, |store| self.instantiate(store, module)).await
    }

    /// Defines a name as a host function of a type that is known only at run time; see [`Func::new`].
    ///
    /// # Errors
    /// When the name is defined already.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let ty = ty.adopted_by(&self.engine);
        self.insert(module, name, Definition::HostFunc(hostcall::untyped(ty, func)))
    }

    /// Defines each export of an instance as a name of `module`.
    ///
    /// # Errors
    /// When one of the names is defined already.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        let mut store = store.as_context_mut();
        let exports: Vec<(String, Extern)> =
            instance.exports(&mut store).map(|export| (export.name().to_string(), export.into_extern())).collect();
        for (name, item) in exports {
            self.insert(module, &name, Definition::Extern(item))?;
        }
        Ok(self)
    }

    /// Defines each export of another module as a name of `module`, without instantiating it: every instance that is
    /// made with this linker gets an instance of that module of its own, made just before it. Where several names or
    /// modules come to the same `InstancePre`, they share that instance.
    ///
    /// This is how programs of several modules are pooled: they are linked once, and stay linked while they wait to be
    /// used again.
    ///
    /// ```
    /// use hotfoot::{Engine, Linker, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let library = Module::new(&engine, r#"(module (memory (export "memory") 1) (table (export "table") 10 funcref))"#)?;
    /// let program = Module::new(&engine, r#"
    ///     (module (import "env" "memory" (memory 1)) (import "env" "table" (table 10 funcref))
    ///       (elem (i32.const 3) $run)
    ///       (func $run (export "run") (result i32)
    ///         (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i32.load (i32.const 0))))
    /// "#)?;
    /// let mut linker: Linker<()> = Linker::new(&engine);
    /// let library = linker.instantiate_pre(&library)?;
    /// let pre = linker.instance_pre("env", &library)?.instantiate_pre(&program)?;
    /// for _ in 0..3 {
    ///     let mut store = Store::new(&engine, ());
    ///     let instance = pre.instantiate(&mut store)?;
    ///     assert_eq!(instance.get_typed_func::<(), i32>(&mut store, "run")?.call(&mut store, ())?, 1);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When one of the names is defined already, or the instances are made of a snapshot or by another engine.
    pub fn instance_pre(&mut self, module: &str, pre: &InstancePre<T>) -> Result<&mut Self> {
        let template = pre.template()?.clone();
        ensure!(
            Engine::same(&self.engine, template.module.engine()),
            "the module was compiled for another engine than the linker's: make both with the same Engine"
        );
        for export in template.module.exports() {
            let entity = template.module.export_index(export.name()).expect("an export has an index");
            let ty = template.module.raw_type_of(entity);
            let definition = Definition::Export { template: template.clone(), entity, ty };
            self.insert(module, export.name(), definition)?;
        }
        Ok(self)
    }

    /// Instantiates a module and defines its exports as names of `name`. A command or reactor in the sense of WASI is
    /// initialised if it exports `_initialize`.
    ///
    /// # Errors
    /// As [`Linker::instantiate`], and when one of the names is defined already.
    pub fn module(&mut self, mut store: impl AsContextMut<Data = T>, name: &str, module: &Module) -> Result<&mut Self> {
        let instance = self.instantiate(store.as_context_mut(), module)?;
        if let Some(initialize) = instance.get_func(store.as_context_mut(), "_initialize") {
            let initialize = initialize.typed::<(), ()>(store.as_context())?;
            initialize.call(store.as_context_mut(), ())?;
        }
        self.instance(store, name, instance)
    }

    /// Calls `observer` with the two names of a host function before each call of it. Concerns all host functions that
    /// were defined so far, and not what lies in a store.
    ///
    /// ```
    /// use hotfoot::{Engine, Linker, Module, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let mut linker: Linker<Vec<String>> = Linker::new(&engine);
    /// linker.func_wrap("host", "beep", || ())?;
    /// linker.observe_calls(|caller, _module, name| caller.data_mut().push(name.to_string()));
    /// let module = Module::new(&engine, r#"(module (import "host" "beep" (func $beep)) (start $beep))"#)?;
    /// let mut store = Store::new(&engine, Vec::new());
    /// linker.instantiate(&mut store, &module)?;
    /// assert_eq!(store.data(), &["beep"]);
    /// # Ok(()) }
    /// ```
    pub fn observe_calls(&mut self, observer: impl Fn(&mut Caller<'_, T>, &str, &str) + Send + Sync + 'static) {
        let observer = Arc::new(observer);
        for (module, names) in &mut self.definitions {
            for (name, definition) in names {
                let Definition::HostFunc(func) = definition else { continue };
                let (observer, module, name) = (observer.clone(), module.clone(), name.clone());
                let tell = move |caller: &mut Caller<'_, T>| observer(caller, &module, &name);
                *definition = Definition::HostFunc(hostcall::observed(func.clone(), tell));
            }
        }
    }

    /// Makes one name stand for what another stands for.
    ///
    /// # Errors
    /// When the other is not defined, or the name is defined already.
    pub fn alias(&mut self, module: &str, name: &str, as_module: &str, as_name: &str) -> Result<&mut Self> {
        let definition = self.definition(module, name).cloned();
        let definition = definition.with_context(|| format!("there is no item named `{module}::{name}`"))?;
        self.insert(as_module, as_name, definition)
    }

    /// Makes every name of `module` a name of `as_module` too.
    ///
    /// # Errors
    /// When one of the names is defined already.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<()> {
        let names = self.definitions.get(module).cloned().unwrap_or_default();
        for (name, definition) in names {
            self.insert(as_module, &name, definition)?;
        }
        Ok(())
    }

    /// Defines each function that the module imports and that has no definition as one that fails.
    ///
    /// # Errors
    /// When something other than a function is missing.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        for import in &module.info().imports {
            if self.definition(&import.module, &import.name).is_some() {
                continue;
            }
            let error = UnknownImportError::new(module.engine(), import);
            let ExternType::Func(ty) = error.ty() else { return Err(error.into()) };
            self.func_new(&import.module, &import.name, ty, move |_, _, _| Err(error.clone().into()))?;
        }
        Ok(())
    }

    /// What a name stands for; nothing if that is made with each instance ([`Linker::instance_pre`]).
    ///
    /// # Panics
    /// When the store is of another engine than the linker.
    pub fn get(&self, mut store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Option<Extern> {
        let definition = self.definition(module, name)?.clone();
        let mut store = store.as_context_mut();
        self.check_engine(store.vm());
        definition.into_extern(store.vm())
    }

    /// What an import's name stands for, whatever its type.
    ///
    /// # Panics
    /// When the store is of another engine than the linker.
    pub fn get_by_import(&self, store: impl AsContextMut<Data = T>, import: &ImportType<'_>) -> Option<Extern> {
        self.get(store, import.module, import.name)
    }

    /// All names that stand for something in a store or of the host's, and what that is, in no order.
    ///
    /// # Panics
    /// When the store is of another engine than the linker.
    pub fn iter<'a: 'p, 'p>(
        &'a self,
        mut store: impl AsContextMut<Data = T> + 'p,
    ) -> impl Iterator<Item = (&'a str, &'a str, Extern)> + 'p {
        self.check_engine(store.as_context_mut().vm());
        self.definitions.iter().flat_map(|(module, names)| names.iter().map(move |name| (module, name))).filter_map(
            move |(module, (name, definition))| {
                let item = definition.clone().into_extern(store.as_context_mut().vm())?;
                Some((module.as_str(), name.as_str(), item))
            },
        )
    }

    fn definition(&self, module: &str, name: &str) -> Option<&Definition> {
        self.definitions.get(module)?.get(name)
    }

    /// Refuses a store of another engine, in which the numbers of our functions' types mean other types.
    ///
    /// # Panics
    /// That is a mistake of the embedder's that no guest can cause, and those who ask have no error to return.
    fn check_engine(&self, store: &VmStore) {
        assert!(Engine::same(&self.engine, store.engine()), "a linker was used with a store of another engine");
    }

    fn find_imports(&self, module: &Module) -> Result<Vec<Definition>> {
        ensure!(
            Engine::same(&self.engine, module.engine()),
            "the module was compiled for another engine than the linker's: make both with the same Engine"
        );
        let find = |import: &Import| {
            let definition = self.definition(&import.module, &import.name);
            definition.cloned().ok_or_else(|| UnknownImportError::new(&self.engine, import).into())
        };
        module.info().imports.iter().map(find).collect()
    }

    /// Instantiates a module with what its imports' names stand for, and runs its start function.
    ///
    /// # Errors
    /// When an import is not defined ([`UnknownImportError`]) or has another type, limits or the host refuse, a
    /// segment does not fit, or the start function traps.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let imports = self.find_imports(module)?.into();
        Arc::new(Template { module: module.clone(), imports }).instantiate(store.as_context_mut(), &mut Vec::new())
    }

    /// Finds and compares a module's imports once, for any number of instances.
    ///
    /// # Errors
    /// When an import is not defined ([`UnknownImportError`]), a host function or what is made with each instance has
    /// another type than is asked for, or the pool's settings do not allow such a module.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        let definitions = self.find_imports(module)?;
        for (definition, import) in definitions.iter().zip(&module.info().imports) {
            definition.check(&self.engine, import)?;
        }
        InstancePre::new(Template { module: module.clone(), imports: definitions.into() })
    }

    /// The function that runs a command: `_start` or the default export, if a module of this name was defined.
    ///
    /// # Errors
    /// When there is none.
    pub fn get_default(&self, mut store: impl AsContextMut<Data = T>, module: &str) -> Result<Func> {
        for name in ["", "_start"] {
            if let Some(Extern::Func(func)) = self.get(store.as_context_mut(), module, name) {
                return Ok(func);
            }
        }
        bail!("`{module}` has no default function: neither `_start` nor an export without a name")
    }
}
