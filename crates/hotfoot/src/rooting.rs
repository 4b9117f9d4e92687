//! Handles to references: what the host holds while the collector moves objects.
//!
//! [`Rooted`] is small and copied freely, and good until its scope ends: the call of the host function in which it was
//! made, or a [`RootScope`]; outside of both, until the store is dropped. [`OwnedRooted`] is good until its last clone
//! is dropped.
//!
//! Both lead to their reference through a list of the store's, so a handle that outlived its scope is an error and never
//! another object.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use anyhow::Result;

use crate::store::{AsContext, AsContextMut};
use crate::vm::context::{StoreContext, StoreContextMut};
use crate::vm::gc::handles::RootIndex;
use crate::vm::store::StoreId;

pub(crate) mod sealed {
    use hotfoot_artifact::HeapType;

    use crate::vm::gc::handles::RootIndex;

    /// What all kinds of references have in common.
    pub trait Reference: Copy + Send + Sync + 'static {
        /// The type of all such references.
        const HEAP: HeapType;

        fn from_root(root: RootIndex) -> Self;
        fn root(&self) -> RootIndex;
    }
}

/// A kind of reference that handles lead to: [`ExternRef`](crate::ExternRef), [`ExnRef`](crate::ExnRef) and so on.
pub trait GcRef: sealed::Reference {}

impl<T: sealed::Reference> GcRef for T {}

/// A handle of either kind.
pub trait RootedGcRef<T: GcRef>: Deref<Target = T> {}

impl<T: GcRef> RootedGcRef<T> for Rooted<T> {}

impl<T: GcRef> RootedGcRef<T> for OwnedRooted<T> {}

/// A handle that is good until its scope ends.
///
/// ```
/// use hotfoot::{Engine, ExternRef, RootScope, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let mut store = Store::new(&Engine::default(), ());
/// let (gone, kept) = {
///     let mut scope = RootScope::new(&mut store);
///     let value = ExternRef::new(&mut scope, "hello")?;
///     (value, value.to_owned_rooted(&mut scope)?)
/// };
/// store.gc(None)?;
/// assert!(gone.data(&store).is_err());
/// assert!(kept.data(&store)?.is_some());
/// # Ok(()) }
/// ```
pub struct Rooted<T: GcRef>(T);

impl<T: GcRef> Copy for Rooted<T> {}

impl<T: GcRef> Clone for Rooted<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: GcRef> Deref for Rooted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: GcRef> fmt::Debug for Rooted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Rooted").field(&self.0.root()).finish()
    }
}

impl<T: GcRef> Rooted<T> {
    pub(crate) fn from_root(root: RootIndex) -> Rooted<T> {
        Rooted(T::from_root(root))
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.0.root().store_id()
    }

    /// The same reference as another kind, which the caller knows it to be.
    pub(crate) fn cast<U: GcRef>(self) -> Rooted<U> {
        Rooted::from_root(self.0.root())
    }

    /// A handle to the same reference that is good until it is dropped.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn to_owned_rooted(&self, mut store: impl AsContextMut) -> Result<OwnedRooted<T>> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        let reference = store.reference(self.0.root())?;
        let (root, alive) = store.own(reference);
        Ok(OwnedRooted { inner: T::from_root(root), alive })
    }

    /// Whether both are the same handle. Two handles may be different and refer to the same object: see
    /// [`Rooted::ref_eq`].
    pub fn rooted_eq(a: Self, b: Self) -> bool {
        a.0.root() == b.0.root()
    }

    /// Whether both refer to the same object, or are equal i31s.
    ///
    /// # Errors
    /// When a handle is of another store, or its scope has ended.
    pub fn ref_eq(store: impl AsContext, a: &impl RootedGcRef<T>, b: &impl RootedGcRef<T>) -> Result<bool> {
        let store = store.as_context().vm();
        Ok(store.reference(a.root())? == store.reference(b.root())?)
    }

    /// Hashes the handle, in agreement with [`Rooted::rooted_eq`].
    pub fn rooted_hash<H: Hasher>(&self, state: &mut H) {
        self.0.root().hash(state);
    }
}

/// A handle that is good until its last clone is dropped, if the store lives so long.
pub struct OwnedRooted<T: GcRef> {
    inner: T,
    alive: Arc<()>,
}

impl<T: GcRef> Clone for OwnedRooted<T> {
    fn clone(&self) -> Self {
        OwnedRooted { inner: self.inner, alive: self.alive.clone() }
    }
}

impl<T: GcRef> Deref for OwnedRooted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: GcRef> fmt::Debug for OwnedRooted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OwnedRooted").field(&self.inner.root()).finish()
    }
}

impl<T: GcRef> OwnedRooted<T> {
    pub(crate) fn from_parts((root, alive): (RootIndex, Arc<()>)) -> OwnedRooted<T> {
        OwnedRooted { inner: T::from_root(root), alive }
    }

    /// The same reference as another kind, which the caller knows it to be.
    pub(crate) fn cast<U: GcRef>(self) -> OwnedRooted<U> {
        OwnedRooted { inner: U::from_root(self.inner.root()), alive: self.alive }
    }

    /// A handle to the same reference that is good until the current scope ends.
    ///
    /// # Errors
    /// When the handle is of another store.
    pub fn to_rooted(&self, mut store: impl AsContextMut) -> Result<Rooted<T>> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        let reference = store.reference(self.inner.root())?;
        Ok(Rooted::from_root(store.root(reference)))
    }
}

/// A scope of handles: those that are made in it are good until it is dropped. It is used as the store.
pub struct RootScope<C: AsContextMut> {
    store: C,
    scope: usize,
}

impl<C: AsContextMut> RootScope<C> {
    /// Begins a scope.
    pub fn new(mut store: C) -> RootScope<C> {
        let scope = store.as_context_mut().vm().enter_scope();
        RootScope { store, scope }
    }
}

impl<C: AsContextMut> Drop for RootScope<C> {
    fn drop(&mut self) {
        self.store.as_context_mut().vm().leave_scope(self.scope);
    }
}

impl<C: AsContextMut> fmt::Debug for RootScope<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RootScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl<C: AsContextMut> AsContext for RootScope<C> {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        self.store.as_context()
    }
}

impl<C: AsContextMut> AsContextMut for RootScope<C> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        self.store.as_context_mut()
    }
}
