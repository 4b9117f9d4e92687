//! Tags: what kinds of exceptions there are.

use anyhow::{Result, ensure};

use crate::externs::check_store;
use crate::store::{AsContext, AsContextMut};
use crate::types::{FuncType, TagType};
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
        let ty = ty.ty().clone().adopted_by(store.engine());
        let pointer = store.vm().new_tag(ty.number());
        Ok(Tag { store: store.vm().id(), pointer })
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> TagType {
        let store = store.as_context();
        TagType::new(FuncType::from_number(store.engine().types(), self.type_number(store.vm())))
    }

    /// Whether both are the same tag.
    pub fn eq(a: &Tag, b: &Tag, store: impl AsContext) -> bool {
        check_store(a.store, store.as_context().vm());
        check_store(b.store, store.as_context().vm());
        a.pointer == b.pointer
    }

    /// The engine's number of the function type whose parameters exceptions carry.
    pub(crate) fn type_number(&self, store: &VmStore) -> u32 {
        check_store(self.store, store);
        store.tag_type_id(self.pointer)
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
