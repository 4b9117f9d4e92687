//! Exceptions, as the host sees them: values that guests hold, and errors that calls of guests end with.

use std::fmt;

use anyhow::{Context, Result, ensure};

use crate::extern_ref::Rooted;
use crate::externs::check_store;
use crate::store::AsContextMut;
use crate::tag::Tag;
use crate::types::{FuncType, TagType};
use crate::value::Val;
use crate::vm::exception::{TagPtr, Thrown};
use crate::vm::store::{StoreId, VmStore};

/// An exception as a value: an `exnref`. Lives in a store; handles are [`Rooted`].
#[derive(Debug)]
pub struct ExnRef(());

impl ExnRef {
    /// Makes an exception and a reference to it.
    ///
    /// # Errors
    /// When the values are not what the tag says, or the store has too many exceptions.
    // A constructor of what is held, not of `ExnRef`: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<Rooted<ExnRef>> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        check_store(tag.store_id(), store);
        let thrown = store.new_exception(tag.pointer(), fields)?;
        Ok(Rooted::from_parts(store.id(), store.new_exn_ref(thrown)?))
    }
}

impl Rooted<ExnRef> {
    fn parts(&self, mut store: impl AsContextMut) -> Result<(Tag, Vec<Val>)> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        ensure!(self.store_id() == store.id(), "an exnref of another store was used");
        let parts = store.exception_parts(&Thrown::Referenced(self.index()));
        let (tag, fields) = parts.context("the exception does not exist; this is a bug in hotfoot")?;
        Ok((Tag::from_parts(store.id(), tag), fields))
    }

    /// The exception's tag.
    ///
    /// # Errors
    /// When the reference is of another store.
    pub fn tag(&self, store: impl AsContextMut) -> Result<Tag> {
        Ok(self.parts(store)?.0)
    }

    /// The values that the exception carries.
    ///
    /// # Errors
    /// When the reference is of another store.
    pub fn fields(&self, store: impl AsContextMut) -> Result<std::vec::IntoIter<Val>> {
        Ok(self.parts(store)?.1.into_iter())
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
    thrown: Thrown,
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
        Ok(ThrownException::from_parts(store, tag.pointer(), thrown))
    }

    fn parts(&self, mut store: impl AsContextMut) -> Result<(Tag, Vec<Val>)> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        ensure!(self.store == store.id(), "an exception of another store was used");
        let parts = store.exception_parts(&self.thrown);
        let (tag, fields) = parts.context("the exception does not exist; this is a bug in hotfoot")?;
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

    pub(crate) fn from_parts(store: &VmStore, tag: TagPtr, thrown: Thrown) -> ThrownException {
        let ty = FuncType::from_number(store.engine().types(), store.tag_type_id(tag));
        ThrownException { store: store.id(), ty, thrown }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn thrown(&self) -> &Thrown {
        &self.thrown
    }

    pub(crate) fn into_thrown(self) -> Thrown {
        self.thrown
    }
}
