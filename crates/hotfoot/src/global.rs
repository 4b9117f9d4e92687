//! Globals.

use anyhow::{Result, ensure};
use hotfoot_artifact as artifact;

use crate::externs::check_store;
use crate::store::{AsContext, AsContextMut};
use crate::types::GlobalType;
use crate::value::Val;
use crate::vm::store::{GlobalPtr, StoreId};

/// A global in a store.
///
/// ```
/// use hotfoot::{Engine, Global, GlobalType, Mutability, Store, Val, ValType};
/// # fn main() -> hotfoot::Result<()> {
/// let mut store = Store::new(&Engine::default(), ());
/// let global = Global::new(&mut store, GlobalType::new(ValType::I64, Mutability::Var), Val::I64(1))?;
/// global.set(&mut store, Val::I64(2))?;
/// assert_eq!(global.get(&mut store).i64(), Some(2));
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Global {
    store: StoreId,
    pointer: GlobalPtr,
    ty: artifact::GlobalType,
}

impl Global {
    /// A new global.
    ///
    /// # Errors
    /// When the value is not of the type.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        let raw = ty.to_raw(store.engine().types());
        ensure!(
            value.matches(store, raw.content),
            "a global of type {} cannot hold this value: {value:?}",
            ty.content()
        );
        let pointer = store.global_new(raw.content, &value)?;
        Ok(Global { store: store.id(), pointer, ty: raw })
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        let store = store.as_context();
        check_store(self.store, store.vm());
        GlobalType::from_raw(store.engine().types(), self.ty)
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        store.vm().global_get(self.pointer, self.ty.content)
    }

    /// Sets its value.
    ///
    /// # Errors
    /// When it cannot be set, or the value is not of its type.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.vm();
        check_store(self.store, store);
        ensure!(self.ty.mutable, "the global is immutable and cannot be set");
        let content = self.ty.content;
        ensure!(value.matches(store, content), "a global of type {content} cannot hold this value: {value:?}");
        store.global_set(self.pointer, &value)
    }

    pub(crate) fn from_parts(store: StoreId, pointer: GlobalPtr, ty: artifact::GlobalType) -> Global {
        Global { store, pointer, ty }
    }

    pub(crate) fn raw_type(&self) -> artifact::GlobalType {
        self.ty
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn pointer(&self) -> GlobalPtr {
        self.pointer
    }
}
