//! Tags: what kinds of exceptions there are.

use anyhow::{Result, ensure};

use crate::externs::check_store;
use crate::store::{AsContext, AsContextMut};
use crate::types::TagType;
use crate::vm::exception::TagPtr;
use crate::vm::store::{StoreId, VmStore};

/// A tag in a store. Each is a kind of exception of its own, also when its type is another's.
///
/// ```
/// use hotfoot::{Engine, FuncType, Store, Tag, TagType, ValType};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ());
/// let ty = TagType::new(FuncType::new(&engine, [ValType::I32], []));
/// let (a, b) = (Tag::new(&mut store, &ty)?, Tag::new(&mut store, &ty)?);
/// assert!(Tag::eq(&a, &a, &store) && !Tag::eq(&a, &b, &store));
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Tag {
    store: StoreId,
    pointer: TagPtr,
}

impl Tag {
    /// A new tag.
    ///
    /// # Errors
    /// When the type has results, which exceptions cannot have.
    pub fn new(mut store: impl AsContextMut, ty: &TagType) -> Result<Tag> {
        let mut store = store.as_context_mut();
        ensure!(ty.ty().results().len() == 0, "the type of a tag cannot have results: {ty}");
        let ty = store.engine().types().adopt(ty.ty().clone());
        let pointer = store.vm().new_tag(ty.id());
        Ok(Tag { store: store.vm().id(), pointer })
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> TagType {
        self.type_in(store.as_context().vm())
    }

    /// Whether both are the same tag.
    pub fn eq(a: &Tag, b: &Tag, store: impl AsContext) -> bool {
        check_store(a.store, store.as_context().vm());
        check_store(b.store, store.as_context().vm());
        a.pointer == b.pointer
    }

    pub(crate) fn type_in(&self, store: &VmStore) -> TagType {
        check_store(self.store, store);
        TagType::new(store.tag_type(self.pointer))
    }

    pub(crate) fn from_parts(store: StoreId, pointer: TagPtr) -> Tag {
        Tag { store, pointer }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn pointer(&self) -> TagPtr {
        self.pointer
    }
}
