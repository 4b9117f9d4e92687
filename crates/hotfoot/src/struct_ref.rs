//! Structs, as the host makes and reads them.

use anyhow::Result;

use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::store::{AsContext, AsContextMut};
use crate::types::StructType;
use crate::value::Val;
use crate::vm::context::StoreContextMut;
use crate::vm::fiber;
use crate::vm::gc::handles::RootIndex;
use crate::vm::gc::{NewObject, make_room_for};

/// What [`StructRef::new`] needs to know of a type, worked out once.
#[derive(Clone, Debug)]
pub struct StructRefPre {
    ty: StructType,
    number: u32,
}

impl StructRefPre {
    /// For structs of this type.
    pub fn new(mut store: impl AsContextMut, ty: StructType) -> StructRefPre {
        let number = ty.registered().number_in(store.as_context_mut().engine().types());
        StructRefPre { ty, number }
    }

    /// The type.
    pub fn ty(&self) -> &StructType {
        &self.ty
    }
}

/// A struct. Lives in a store as long as anything refers to it.
///
/// ```
/// use hotfoot::{Engine, FieldType, Mutability, Store, StructRef, StructRefPre, StructType, Val, ValType};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ());
/// let field = FieldType::new(Mutability::Var, ValType::I32.into());
/// let pre = StructRefPre::new(&mut store, StructType::new(&engine, [field.clone(), field])?);
/// let point = StructRef::new(&mut store, &pre, &[Val::I32(3), Val::I32(4)])?;
/// point.set_field(&mut store, 0, Val::I32(5))?;
/// let values: Vec<_> = point.fields(&mut store)?.map(|value| value.unwrap_i32()).collect();
/// assert_eq!(values, [5, 4]);
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct StructRef(RootIndex);

impl Reference for StructRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Struct;

    fn from_root(root: RootIndex) -> Self {
        StructRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
    }
}

impl StructRef {
    /// Makes a struct with these fields.
    ///
    /// # Errors
    /// When the values are not of the fields' types; [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory) when there is no room.
    // A constructor of what is held: the name and shape that embedders know.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(mut store: impl AsContextMut, pre: &StructRefPre, fields: &[Val]) -> Result<Rooted<StructRef>> {
        let mut store = store.as_context_mut();
        let root = store.vm().new_struct(pre.number, fields)?;
        Ok(Rooted::from_root(root))
    }

    /// As [`StructRef::new`], where the limiter may wait; see [`Store::limiter_async`](crate::Store::limiter_async).
    ///
    /// # Errors
    /// As [`StructRef::new`].
    pub async fn new_async(
        mut store: impl AsContextMut<Data: Send>,
        pre: &StructRefPre,
        fields: &[Val],
    ) -> Result<Rooted<StructRef>> {
        let make = |mut store: StoreContextMut<'_, _>| {
            make_room_for(store.reborrow(), NewObject::Typed(pre.number, 0))?;
            StructRef::new(store, pre, fields)
        };
        fiber::run(store.as_context_mut(), make).await
    }

    /// Its type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<StructType> {
        let store = store.as_context().vm();
        Ok(StructType::from_number(store.engine().types(), store.struct_type(self.0)?))
    }

    /// Whether it is of a type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn matches_ty(&self, store: impl AsContext, ty: &StructType) -> Result<bool> {
        Ok(self.ty(store)?.matches(ty))
    }

    /// The values of its fields, in order. Those that are narrower than 32 bits are not negative.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<std::vec::IntoIter<Val>> {
        Ok(store.as_context_mut().vm().struct_fields(self.0)?.into_iter())
    }

    /// The value of a field.
    ///
    /// # Errors
    /// When there is no such field, the handle is of another store, or its scope has ended.
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val> {
        store.as_context_mut().vm().struct_field(self.0, index)
    }

    /// Sets a field.
    ///
    /// # Errors
    /// When there is no such field, it cannot be set, the value is not of its type, the handle is of another store, or its
    /// scope has ended.
    pub fn set_field(&self, mut store: impl AsContextMut, index: usize, value: Val) -> Result<()> {
        store.as_context_mut().vm().set_struct_field(self.0, index, value)
    }
}
