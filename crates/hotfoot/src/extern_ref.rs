//! Values of the host's that a guest can hold but not look into.

use std::any::Any;
use std::marker::PhantomData;

use anyhow::{Result, ensure};

use crate::store::{AsContext, AsContextMut};
use crate::vm::store::StoreId;

/// A value of the host's, as a guest sees it: an `externref`. Lives in a store; handles are [`Rooted`].
#[derive(Debug)]
pub struct ExternRef(());

/// A handle to a reference in a store, which keeps it alive.
///
/// Host values live as long as their store.
pub struct Rooted<R> {
    store: StoreId,
    index: u32,
    kind: PhantomData<fn() -> R>,
}

impl<R> Copy for Rooted<R> {}

impl<R> Clone for Rooted<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> std::fmt::Debug for Rooted<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Rooted").field(&self.index).finish()
    }
}

impl<R> Rooted<R> {
    pub(crate) fn from_parts(store: StoreId, index: u32) -> Rooted<R> {
        Rooted { store, index, kind: PhantomData }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}

impl ExternRef {
    /// Puts a value of the host's into a store.
    ///
    /// ```
    /// use hotfoot::{Engine, ExternRef, Store};
    /// # fn main() -> hotfoot::Result<()> {
    /// let mut store = Store::new(&Engine::default(), ());
    /// let reference = ExternRef::new(&mut store, "hello")?;
    /// let value = reference.data(&store)?.and_then(|value| value.downcast_ref::<&str>());
    /// assert_eq!(value, Some(&"hello"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the store holds 2³² values already.
    // A constructor of what is held, not of `ExternRef`: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<V: Any + Send + Sync + 'static>(mut store: impl AsContextMut, value: V) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let index = store.vm().new_extern(Box::new(value))?;
        Ok(Rooted::from_parts(store.vm().id(), index))
    }
}

impl Rooted<ExternRef> {
    /// The host's value.
    ///
    /// # Errors
    /// When the reference is of another store.
    pub fn data<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.into().vm();
        ensure!(self.store == store.id(), "an externref of another store was used");
        Ok(store.extern_value(self.index))
    }

    /// The host's value.
    ///
    /// # Errors
    /// When the reference is of another store.
    pub fn data_mut<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContextMut<'a, T>>,
    ) -> Result<Option<&'a mut (dyn Any + Send + Sync)>> {
        let (store, _) = store.into().vm_and_data();
        ensure!(self.store == store.id(), "an externref of another store was used");
        Ok(store.extern_value_mut(self.index))
    }

    /// Whether two references are the same value of the host's.
    ///
    /// # Errors
    /// When a reference is of another store.
    pub fn rooted_eq(store: impl AsContext, a: &Self, b: &Self) -> Result<bool> {
        let id = store.as_context().vm().id();
        ensure!(a.store == id && b.store == id, "an externref of another store was used");
        Ok(a.index == b.index)
    }
}
