//! Values of the host's that a guest can hold but not look into.

use std::any::Any;

use anyhow::Result;

use crate::any_ref::AnyRef;
use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::store::AsContextMut;
use crate::vm::context::StoreContextMut;
use crate::vm::fiber;
use crate::vm::gc::handles::RootIndex;
use crate::vm::gc::{NewObject, make_room_for};

/// A value of the host's, as a guest sees it: an `externref`. Lives in a store as long as anything refers to it, in the
/// guest or through a handle ([`Rooted`], [`OwnedRooted`](crate::OwnedRooted)).
#[derive(Copy, Clone, Debug)]
pub struct ExternRef(RootIndex);

impl Reference for ExternRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Extern;

    fn from_root(root: RootIndex) -> Self {
        ExternRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
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
    /// [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory), with the value in it, when there is no room for a reference.
    // A constructor of what is held, not of `ExternRef`: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<V: Any + Send + Sync + 'static>(mut store: impl AsContextMut, value: V) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let reference = store.vm().new_extern(value)?;
        Ok(Rooted::from_root(store.vm().root(reference)))
    }

    /// As [`ExternRef::new`], where the limiter may wait; see [`Store::limiter_async`](crate::Store::limiter_async).
    ///
    /// # Errors
    /// As [`ExternRef::new`], but without the value where the limiter refused.
    pub async fn new_async<V: Any + Send + Sync + 'static>(
        mut store: impl AsContextMut<Data: Send>,
        value: V,
    ) -> Result<Rooted<ExternRef>> {
        let make = |mut store: StoreContextMut<'_, _>| {
            make_room_for(store.reborrow(), NewObject::Extern)?;
            ExternRef::new(store, value)
        };
        fiber::run(store.as_context_mut(), make).await
    }

    /// What `extern.convert_any` makes of a reference of the hierarchy `any`: the same reference, as an external one.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn convert_any(mut store: impl AsContextMut, value: Rooted<AnyRef>) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let reference = store.vm().reference(value.root())?;
        Ok(Rooted::from_root(store.vm().root(reference)))
    }

    /// The host's value; `None` if the reference is a guest's value that was converted with `extern.convert_any`.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn data<'a, T: 'static>(
        &self,
        store: impl Into<crate::StoreContext<'a, T>>,
    ) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.into().vm();
        let reference = store.reference(self.0)?;
        Ok(store.extern_value(reference))
    }

    /// As [`ExternRef::data`], writable.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn data_mut<'a, T: 'static>(
        &self,
        store: impl Into<StoreContextMut<'a, T>>,
    ) -> Result<Option<&'a mut (dyn Any + Send + Sync)>> {
        let (store, _) = store.into().vm_and_data();
        let reference = store.reference(self.0)?;
        Ok(store.extern_value_mut(reference))
    }
}
