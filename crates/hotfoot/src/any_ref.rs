//! References of the `any` hierarchy: structs, arrays, small integers, and host values that were converted.

use anyhow::{Context, Result};
use hotfoot_artifact as artifact;

use crate::array_ref::ArrayRef;
use crate::extern_ref::ExternRef;
use crate::i31::I31;
use crate::rooting::sealed::Reference;
use crate::rooting::{GcRef, OwnedRooted, Rooted};
use crate::store::{AsContext, AsContextMut};
use crate::struct_ref::StructRef;
use crate::types::HeapType;
use crate::vm::gc::handles::RootIndex;

/// A reference of the `any` hierarchy. Lives in a store as long as anything refers to it.
///
/// ```
/// use hotfoot::{AnyRef, Engine, I31, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let mut store = Store::new(&Engine::default(), ());
/// let five = AnyRef::from_i31(&mut store, I31::wrapping_i32(5));
/// assert_eq!(five.as_i31(&store)?.unwrap().get_i32(), 5);
/// assert!(!five.is_struct(&store)?);
/// # Ok(()) }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct AnyRef(RootIndex);

/// A reference that can be compared: a struct, an array or an i31.
#[derive(Copy, Clone, Debug)]
pub struct EqRef(RootIndex);

impl Reference for AnyRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Any;

    fn from_root(root: RootIndex) -> Self {
        AnyRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
    }
}

impl Reference for EqRef {
    const HEAP: hotfoot_artifact::HeapType = hotfoot_artifact::HeapType::Eq;

    fn from_root(root: RootIndex) -> Self {
        EqRef(root)
    }

    fn root(&self) -> RootIndex {
        self.0
    }
}

/// Makes a handle to an i31.
fn root_i31<T: GcRef>(mut store: impl AsContextMut, value: I31) -> Rooted<T> {
    Rooted::from_root(store.as_context_mut().vm().root(value.to_reference()))
}

/// The reference as another kind, if it is of a type.
fn cast<T: GcRef>(reference: &impl GcRef, store: impl AsContext, ty: artifact::HeapType) -> Result<Option<Rooted<T>>> {
    let root = reference.root();
    let is = store.as_context().vm().is_of_type(root, ty)?;
    Ok(is.then(|| Rooted::from_root(root)))
}

impl AnyRef {
    /// An i31 as a reference.
    pub fn from_i31(store: impl AsContextMut, value: I31) -> Rooted<AnyRef> {
        root_i31(store, value)
    }

    /// What `any.convert_extern` makes of an external reference: the same reference, of the hierarchy `any`.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn convert_extern(mut store: impl AsContextMut, value: Rooted<ExternRef>) -> Result<Rooted<AnyRef>> {
        let mut store = store.as_context_mut();
        let reference = store.vm().reference(value.root())?;
        Ok(Rooted::from_root(store.vm().root(reference)))
    }

    /// Its type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<HeapType> {
        let store = store.as_context().vm();
        Ok(HeapType::from_raw(store.engine().types(), store.heap_type(self.0)?))
    }

    /// Whether it is of a type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn matches_ty(&self, store: impl AsContext, ty: &HeapType) -> Result<bool> {
        let store = store.as_context().vm();
        store.is_of_type(self.0, ty.to_raw(store.engine().types()))
    }

    /// Whether it can be compared.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn is_eqref(&self, store: impl AsContext) -> Result<bool> {
        Ok(self.as_eqref(store)?.is_some())
    }

    /// The same reference, if it can be compared.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn as_eqref(&self, store: impl AsContext) -> Result<Option<Rooted<EqRef>>> {
        cast(self, store, artifact::HeapType::Eq)
    }

    /// The same reference, which can be compared.
    ///
    /// # Errors
    /// When it cannot, the handle is of another store, or its scope has ended.
    pub fn unwrap_eqref(&self, store: impl AsContext) -> Result<Rooted<EqRef>> {
        self.as_eqref(store)?.context("the reference is no eqref: a host value was converted to it")
    }
}

impl EqRef {
    /// An i31 as a reference.
    pub fn from_i31(store: impl AsContextMut, value: I31) -> Rooted<EqRef> {
        root_i31(store, value)
    }

    /// Its type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn ty(&self, store: impl AsContext) -> Result<HeapType> {
        AnyRef(self.0).ty(store)
    }

    /// Whether it is of a type.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn matches_ty(&self, store: impl AsContext, ty: &HeapType) -> Result<bool> {
        AnyRef(self.0).matches_ty(store, ty)
    }
}

macro_rules! downcasts {
    ($($kind:ident),*) => {$(
        impl $kind {
            /// Whether it is an i31.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn is_i31(&self, store: impl AsContext) -> Result<bool> {
                Ok(self.as_i31(store)?.is_some())
            }

            /// The i31, if it is one.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn as_i31(&self, store: impl AsContext) -> Result<Option<I31>> {
                Ok(I31::from_reference(store.as_context().vm().reference(self.0)?))
            }

            /// The i31 that it is.
            ///
            /// # Errors
            /// When it is none, the handle is of another store, or its scope has ended.
            pub fn unwrap_i31(&self, store: impl AsContext) -> Result<I31> {
                self.as_i31(store)?.context("the reference is no i31")
            }

            /// Whether it is a struct.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn is_struct(&self, store: impl AsContext) -> Result<bool> {
                Ok(self.as_struct(store)?.is_some())
            }

            /// The struct, if it is one.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn as_struct(&self, store: impl AsContext) -> Result<Option<Rooted<StructRef>>> {
                cast(self, store, artifact::HeapType::Struct)
            }

            /// The struct that it is.
            ///
            /// # Errors
            /// When it is none, the handle is of another store, or its scope has ended.
            pub fn unwrap_struct(&self, store: impl AsContext) -> Result<Rooted<StructRef>> {
                self.as_struct(store)?.context("the reference is no struct")
            }

            /// Whether it is an array.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn is_array(&self, store: impl AsContext) -> Result<bool> {
                Ok(self.as_array(store)?.is_some())
            }

            /// The array, if it is one.
            ///
            /// # Errors
            /// When the handle is of another store, or its scope has ended.
            pub fn as_array(&self, store: impl AsContext) -> Result<Option<Rooted<ArrayRef>>> {
                cast(self, store, artifact::HeapType::Array)
            }

            /// The array that it is.
            ///
            /// # Errors
            /// When it is none, the handle is of another store, or its scope has ended.
            pub fn unwrap_array(&self, store: impl AsContext) -> Result<Rooted<ArrayRef>> {
                self.as_array(store)?.context("the reference is no array")
            }
        }
    )*};
}

downcasts!(AnyRef, EqRef);

macro_rules! upcasts {
    ($($from:ident => $to:ident $method:ident;)*) => {$(
        impl Rooted<$from> {
            /// The same reference as one of a larger type.
            pub fn $method(self) -> Rooted<$to> {
                self.cast()
            }
        }

        impl OwnedRooted<$from> {
            /// The same reference as one of a larger type.
            pub fn $method(self) -> OwnedRooted<$to> {
                self.cast()
            }
        }

        impl From<Rooted<$from>> for Rooted<$to> {
            fn from(reference: Rooted<$from>) -> Rooted<$to> {
                reference.cast()
            }
        }

        impl From<OwnedRooted<$from>> for OwnedRooted<$to> {
            fn from(reference: OwnedRooted<$from>) -> OwnedRooted<$to> {
                reference.cast()
            }
        }
    )*};
}

upcasts! {
    EqRef => AnyRef to_anyref;
    StructRef => AnyRef to_anyref;
    StructRef => EqRef to_eqref;
    ArrayRef => AnyRef to_anyref;
    ArrayRef => EqRef to_eqref;
}
