//! Tables.

use anyhow::{Context, Result, ensure};
use hotfoot_artifact as artifact;

use crate::externs::check_store;
use crate::store::{AsContext, AsContextMut};
use crate::types::TableType;
use crate::value::{Ref, Val};
use crate::vm::store::{StoreId, VmStore};
use crate::vm::{fiber, growth};

/// A table in a store.
///
/// ```
/// use hotfoot::{Engine, Func, Ref, RefType, Store, Table, TableType};
/// # fn main() -> hotfoot::Result<()> {
/// let mut store = Store::new(&Engine::default(), ());
/// let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, None), Ref::Func(None))?;
/// let func = Func::wrap(&mut store, || 5);
/// table.set(&mut store, 1, func.into())?;
/// assert!(table.get(&mut store, 0).unwrap().is_null());
/// assert!(table.get(&mut store, 2).is_none());
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Table {
    store: StoreId,
    index: u32,
}

const OUTSIDE: &str = "the table has no element there";

impl Table {
    /// A new table, every element `init`.
    ///
    /// # Errors
    /// When the value is not of the element type, or the host or the store's limits refuse.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Ref) -> Result<Table> {
        let mut store = store.as_context_mut();
        let ty = ty.to_raw(store.engine().types());
        let id = store.vm().id();
        Ok(Table { store: id, index: growth::new_table(store, ty, &init.into())? })
    }

    /// As [`Table::new`]; the store's limiter may wait.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub async fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: TableType,
        init: Ref,
    ) -> Result<Table> {
        fiber::run(store.as_context_mut(), |store| Table::new(store, ty, init)).await
    }

    /// Its type; the minimum is the current size.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let store = store.as_context();
        TableType::from_raw(store.engine().types(), self.raw_type(store.vm()))
    }

    /// The element at `index`, if there is one.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Ref> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        Ref::from_val(store.vm().table_get(self.index, index)?)
    }

    /// Sets the element at `index`.
    ///
    /// # Errors
    /// When there is none, or the value is not of the element type.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Ref) -> Result<()> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let set = store.vm().table_set(self.index, index, &value.into())?;
        ensure!(set, "{OUTSIDE}: {index}");
        Ok(())
    }

    /// Current number of elements.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let store = store.as_context();
        check_store(self.store, store.vm());
        store.vm().table(self.index).len()
    }

    /// Grows by `delta` elements that are `init` and returns the old size.
    ///
    /// # Errors
    /// When the value is not of the element type, or the type's maximum, the store's limits or the host do not allow
    /// it.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Ref) -> Result<u64> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let grown = growth::grow_table(store, self.index, delta, &init.into())?;
        grown.with_context(|| {
            format!("the table cannot grow by {delta} elements: its maximum, a limit or the host forbids")
        })
    }

    /// As [`Table::grow`]; the store's limiter may wait.
    ///
    /// # Errors
    /// As [`Table::grow`].
    pub async fn grow_async<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        delta: u64,
        init: Ref,
    ) -> Result<u64> {
        fiber::run(store.as_context_mut(), |store| self.grow(store, delta, init)).await
    }

    /// Sets `len` elements from `dst` to `value`.
    ///
    /// # Errors
    /// When some of them are outside (then nothing was changed), or the value is not of the element type.
    pub fn fill(&self, mut store: impl AsContextMut, dst: u64, value: Ref, len: u64) -> Result<()> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let value: Val = value.into();
        let filled = store.vm().table_fill(self.index, dst, &value, len)?;
        ensure!(filled, "{OUTSIDE}: {dst} and {len} more");
        Ok(())
    }

    /// Copies `len` elements from `src_index` of `src` to `dst_index` of `dst`; they may be one table.
    ///
    /// # Errors
    /// When some of them are outside (then nothing was changed), or the element types differ.
    pub fn copy(
        mut store: impl AsContextMut,
        dst: &Table,
        dst_index: u64,
        src: &Table,
        src_index: u64,
        len: u64,
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        check_store(dst.store, store.vm());
        check_store(src.store, store.vm());
        let copied = store.vm().table_copy(dst.index, dst_index, src.index, src_index, len)?;
        ensure!(copied, "{OUTSIDE}: {len} elements from {src_index} to {dst_index}");
        Ok(())
    }

    pub(crate) fn from_parts(store: StoreId, index: u32) -> Table {
        Table { store, index }
    }

    /// Its type as the runtime holds it; the minimum is the current size.
    pub(crate) fn raw_type(&self, store: &VmStore) -> artifact::TableType {
        check_store(self.store, store);
        let table = store.table(self.index);
        artifact::TableType { minimum: table.len(), ..table.ty() }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}
