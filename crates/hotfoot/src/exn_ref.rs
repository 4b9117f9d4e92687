//! Exceptions, as the host sees them: values that guests hold, and errors that calls of guests end with.

use std::fmt;

use anyhow::{Result, ensure};

use crate::externs::check_store;
use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::store::AsContextMut;
use crate::tag::Tag;
use crate::types::{FuncType, TagType};
use crate::value::Val;
use crate::vm::context::StoreContextMut;
use crate::vm::exception::{Carried, TagPtr};
use crate::vm::fiber;
use crate::vm::gc::handles::RootIndex;
use crate::vm::gc::{NewObject, make_room_for};
use crate::vm::store::{StoreId, VmStore};

/// An exception as a value: an `exnref`. Lives in a store as long as anything refers to it.
#[derive(Copy, Clone, Debug)]
pub struct ExnRef(RootIndex);

impl Reference for ExnRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Exn;

    fn from_root(root: RootIndex) -> Self {
        ExnRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
    }
}

impl ExnRef {
    /// Makes an exception and a reference to it.
    ///
    /// # Errors
    /// When the values are not what the tag says, or there is no room for an exception.
    // A constructor of what is held, not of `ExnRef`: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<Rooted<ExnRef>> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        check_store(tag.store_id(), store);
        let thrown = store.new_exception(tag.pointer(), fields)?;
        let object = store.exception_object(thrown)?;
        Ok(Rooted::from_root(store.root(object)))
    }

    /// As [`ExnRef::new`], where the limiter may wait; see [`Store::limiter_async`](crate::Store::limiter_async).
    ///
    /// # Errors
    /// As [`ExnRef::new`].
    pub async fn new_async(
        mut store: impl AsContextMut<Data: Send>,
        tag: &Tag,
        fields: &[Val],
    ) -> Result<Rooted<ExnRef>> {
        let make = |mut store: StoreContextMut<'_, _>| {
            check_store(tag.store_id(), store.vm());
            let type_id = store.vm().tag_type_id(tag.pointer());
            make_room_for(store.reborrow(), NewObject::Typed(type_id, 0))?;
            ExnRef::new(store, tag, fields)
        };
        fiber::run(store.as_context_mut(), make).await
    }

    /// The exception's tag.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn tag(&self, mut store: impl AsContextMut) -> Result<Tag> {
        let mut store = store.as_context_mut();
        let (tag, _) = store.vm().exception_parts(self.0)?;
        Ok(Tag::from_parts(store.vm().id(), tag))
    }

    /// The values that the exception carries.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<std::vec::IntoIter<Val>> {
        Ok(store.as_context_mut().vm().exception_parts(self.0)?.1.into_iter())
    }
}

/// The error of a call in which an exception was thrown that the guest did not catch.
///
/// A host function that returns it, in whatever context, throws the exception again in the guest that called it; so does
/// one that made it with [`ThrownException::new`].
///
/// ```
/// use hotfoot::{Engine, Instance, Module, Store, ThrownException};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"
///     (module (tag $t (param i32)) (func (export "f") (throw $t (i32.const 7))))
/// "#)?;
/// let mut store = Store::new(&engine, ());
/// let f = Instance::new(&mut store, &module, &[])?.get_typed_func::<(), ()>(&mut store, "f")?;
/// let error = f.call(&mut store, ()).unwrap_err();
/// let exception = error.downcast_ref::<ThrownException>().unwrap();
/// assert_eq!(exception.fields(&mut store)?.next().unwrap().i32(), Some(7));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ThrownException {
    store: StoreId,
    ty: FuncType,
    carried: Carried,
}

impl fmt::Display for ThrownException {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = TagType::new(self.ty.clone());
        write!(formatter, "uncaught WebAssembly exception with tag of type {tag}")
    }
}

impl std::error::Error for ThrownException {}

impl ThrownException {
    /// An exception with these values, to be returned by a host function.
    ///
    /// # Errors
    /// When the values are not what the tag says.
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<ThrownException> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        check_store(tag.store_id(), store);
        let thrown = store.new_exception(tag.pointer(), fields)?;
        let carried = store.carry(thrown)?;
        Ok(ThrownException::from_parts(store, tag.pointer(), carried))
    }

    fn parts(&self, mut store: impl AsContextMut) -> Result<(Tag, Vec<Val>)> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        ensure!(self.store == store.id(), "an exception of another store was used");
        let (tag, fields) = store.carried_parts(&self.carried)?;
        Ok((Tag::from_parts(store.id(), tag), fields))
    }

    /// The exception's tag.
    ///
    /// # Errors
    /// When the exception is of another store.
    pub fn tag(&self, store: impl AsContextMut) -> Result<Tag> {
        Ok(self.parts(store)?.0)
    }

    /// The values that the exception carries.
    ///
    /// # Errors
    /// When the exception is of another store.
    pub fn fields(&self, store: impl AsContextMut) -> Result<std::vec::IntoIter<Val>> {
        Ok(self.parts(store)?.1.into_iter())
    }

    pub(crate) fn from_parts(store: &VmStore, tag: TagPtr, carried: Carried) -> ThrownException {
        let ty = FuncType::from_number(store.engine().types(), store.tag_type_id(tag));
        ThrownException { store: store.id(), ty, carried }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn carried(&self) -> &Carried {
        &self.carried
    }

    pub(crate) fn into_carried(self) -> Carried {
        self.carried
    }
}
