//! Arrays, as the host makes and reads them.

use anyhow::Result;

use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::store::{AsContext, AsContextMut};
use crate::types::ArrayType;
use crate::value::Val;
use crate::vm::context::StoreContextMut;
use crate::vm::fiber;
use crate::vm::gc::handles::RootIndex;
use crate::vm::gc::{NewObject, make_room_for};

/// What [`ArrayRef::new`] needs to know of a type, worked out once.
#[derive(Clone, Debug)]
pub struct ArrayRefPre {
    ty: ArrayType,
    number: u32,
}

impl ArrayRefPre {
    /// For arrays of this type.
    pub fn new(mut store: impl AsContextMut, ty: ArrayType) -> ArrayRefPre {
        let number = ty.registered().number_in(store.as_context_mut().engine().types());
        ArrayRefPre { ty, number }
    }

    /// The type.
    pub fn ty(&self) -> &ArrayType {
        &self.ty
    }
}

/// An array. Lives in a store as long as anything refers to it.
///
/// ```
/// use hotfoot::{ArrayRef, ArrayRefPre, ArrayType, Engine, FieldType, Mutability, StorageType, Store, Val};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ());
/// let ty = ArrayType::new(&engine, FieldType::new(Mutability::Var, StorageType::I8));
/// let pre = ArrayRefPre::new(&mut store, ty);
/// let text = ArrayRef::new_from_i8_slice(&mut store, &pre, b"hello")?;
/// text.set(&mut store, 0, Val::I32(b'j'.into()))?;
/// let mut bytes = [0; 5];
/// text.copy_to_i8_slice(&mut store, &mut bytes)?;
/// assert_eq!(&bytes, b"jello");
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct ArrayRef(RootIndex);

impl Reference for ArrayRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Array;

    fn from_root(root: RootIndex) -> Self {
        ArrayRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
    }
}

impl ArrayRef {
    /// Makes an array of `len` elements that are all `element`.
    ///
    /// # Errors
    /// When the value is not of the elements' type; [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory) when there is no room.
    // A constructor of what is held: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(mut store: impl AsContextMut, pre: &ArrayRefPre, element: &Val, len: u32) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        Ok(Rooted::from_root(store.vm().new_filled_array(pre.number, *element, len)?))
    }

    /// As [`ArrayRef::new`], where the limiter may wait; see [`Store::limiter_async`](crate::Store::limiter_async).
    ///
    /// # Errors
    /// As [`ArrayRef::new`].
    pub async fn new_async(
        mut store: impl AsContextMut<Data: Send>,
        pre: &ArrayRefPre,
        element: &Val,
        len: u32,
    ) -> Result<Rooted<ArrayRef>> {
        let make = |mut store: StoreContextMut<'_, _>| {
            make_room_for(store.reborrow(), NewObject::Typed(pre.number, len as usize))?;
            ArrayRef::new(store, pre, element, len)
        };
        fiber::run(store.as_context_mut(), make).await
    }

    /// Makes an array of these elements.
    ///
    /// # Errors
    /// As [`ArrayRef::new`].
    pub fn new_fixed(mut store: impl AsContextMut, pre: &ArrayRefPre, elements: &[Val]) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        Ok(Rooted::from_root(store.vm().new_array_of(pre.number, elements)?))
    }

    /// As [`ArrayRef::new_fixed`], where the limiter may wait; see [`Store::limiter_async`](crate::Store::limiter_async).
    ///
    /// # Errors
    /// As [`ArrayRef::new_fixed`].
    pub async fn new_fixed_async(
        mut store: impl AsContextMut<Data: Send>,
        pre: &ArrayRefPre,
        elements: &[Val],
    ) -> Result<Rooted<ArrayRef>> {
        let make = |mut store: StoreContextMut<'_, _>| {
            make_room_for(store.reborrow(), NewObject::Typed(pre.number, elements.len()))?;
            ArrayRef::new_fixed(store, pre, elements)
        };
        fiber::run(store.as_context_mut(), make).await
    }

    /// Makes an array of bytes.
    ///
    /// # Errors
    /// When the type is not one of bytes; [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory) when there is no room.
    pub fn new_from_i8_slice(
        mut store: impl AsContextMut,
        pre: &ArrayRefPre,
        bytes: &[u8],
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        Ok(Rooted::from_root(store.vm().new_array_of_bytes(pre.number, bytes)?))
    }

    /// Copies an array of bytes.
    ///
    /// # Errors
    /// When it is no array of bytes, has another length than `bytes`, the handle is of another store, or its scope has ended.
    pub fn copy_to_i8_slice(&self, mut store: impl AsContextMut, bytes: &mut [u8]) -> Result<()> {
        store.as_context_mut().vm().copy_array_bytes(self.0, bytes)
    }

    /// Its type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<ArrayType> {
        let store = store.as_context().vm();
        Ok(ArrayType::from_number(store.engine().types(), store.array_type(self.0)?))
    }

    /// Whether it is of a type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn matches_ty(&self, store: impl AsContext, ty: &ArrayType) -> Result<bool> {
        Ok(self.ty(store)?.matches(ty))
    }

    /// How many elements it has.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self, store: impl AsContext) -> Result<u32> {
        store.as_context().vm().len_of_array(self.0)
    }

    /// Its elements, in order. Those that are narrower than 32 bits are not negative.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn elems(&self, mut store: impl AsContextMut) -> Result<std::vec::IntoIter<Val>> {
        Ok(store.as_context_mut().vm().array_elements(self.0)?.into_iter())
    }

    /// An element.
    ///
    /// # Errors
    /// When there is no such element, the handle is of another store, or its scope has ended.
    pub fn get(&self, mut store: impl AsContextMut, index: u32) -> Result<Val> {
        store.as_context_mut().vm().array_element(self.0, index)
    }

    /// Sets an element.
    ///
    /// # Errors
    /// When there is no such element, it cannot be set, the value is not of its type, the handle is of another store, or
    /// its scope has ended.
    pub fn set(&self, mut store: impl AsContextMut, index: u32, value: Val) -> Result<()> {
        store.as_context_mut().vm().set_array_element(self.0, index, value)
    }
}
