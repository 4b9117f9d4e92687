//! Values of WebAssembly, with their types.

use hotfoot_artifact as artifact;

use crate::any_ref::AnyRef;
use crate::array_ref::ArrayRef;
use crate::exn_ref::ExnRef;
use crate::extern_ref::ExternRef;
use crate::func::Func;
use crate::rooting::Rooted;
use crate::rooting::sealed::Reference;
use crate::struct_ref::StructRef;
use crate::types::{HeapType, ValType};
use crate::vm::store::VmStore;

/// A 128-bit vector.
///
/// ```
/// use hotfoot::V128;
/// assert_eq!(V128::from(7).as_u128(), 7);
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct V128(u128);

impl V128 {
    /// The bits as one little-endian number.
    pub fn as_u128(&self) -> u128 {
        self.0
    }
}

impl From<u128> for V128 {
    fn from(bits: u128) -> V128 {
        V128(bits)
    }
}

impl From<V128> for u128 {
    fn from(vector: V128) -> u128 {
        vector.0
    }
}

/// A value of any type. Floats are kept as their bits, so that no NaN is changed on the way.
///
/// ```
/// use hotfoot::Val;
/// assert_eq!(Val::from(2.5f64).f64(), Some(2.5));
/// assert_eq!(Val::I32(1).i64(), None);
/// ```
#[derive(Copy, Clone, Debug)]
pub enum Val {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A 32-bit float, as bits.
    F32(u32),
    /// A 64-bit float, as bits.
    F64(u64),
    /// A 128-bit vector.
    V128(V128),
    /// A function, or null.
    FuncRef(Option<Func>),
    /// A value of the host's, or null.
    ExternRef(Option<Rooted<ExternRef>>),
    /// An exception, or null.
    ExnRef(Option<Rooted<ExnRef>>),
    /// A value of the guest's own, or null.
    AnyRef(Option<Rooted<AnyRef>>),
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident $unwrap:ident $ty:ty, $pattern:pat => $value:expr;)*) => {
        impl Val {$(
            $(#[$doc])*
            pub fn $name(&self) -> Option<$ty> {
                if let $pattern = self { Some($value) } else { None }
            }

            /// The same, when the type is known.
            ///
            /// # Panics
            /// When the value has another type.
            pub fn $unwrap(&self) -> $ty {
                self.$name().expect(concat!("the value is not of the type asked for: ", stringify!($name)))
            }
        )*}
    };
}

getters! {
    /// The 32-bit integer, if it is one.
    i32 unwrap_i32 i32, Val::I32(value) => *value;
    /// The 64-bit integer, if it is one.
    i64 unwrap_i64 i64, Val::I64(value) => *value;
    /// The 32-bit float, if it is one.
    f32 unwrap_f32 f32, Val::F32(bits) => f32::from_bits(*bits);
    /// The 64-bit float, if it is one.
    f64 unwrap_f64 f64, Val::F64(bits) => f64::from_bits(*bits);
    /// The vector, if it is one.
    v128 unwrap_v128 V128, Val::V128(value) => *value;
    /// The function or null, if it is a function reference.
    func_ref unwrap_func_ref Option<&Func>, Val::FuncRef(func) => func.as_ref();
    /// The host value or null, if it is an external reference.
    extern_ref unwrap_extern_ref Option<&Rooted<ExternRef>>, Val::ExternRef(value) => value.as_ref();
    /// The guest's value or null, if it is a reference to one.
    any_ref unwrap_any_ref Option<&Rooted<AnyRef>>, Val::AnyRef(value) => value.as_ref();
    /// The exception or null, if it is a reference to an exception.
    exn_ref unwrap_exn_ref Option<&Rooted<ExnRef>>, Val::ExnRef(value) => value.as_ref();
}

impl Val {
    /// Null of a reference type's hierarchy.
    pub fn null_ref(heap: &HeapType) -> Val {
        Ref::null(heap).into()
    }

    /// Zero, or null; nothing for references that cannot be null.
    pub fn default_for_ty(ty: &ValType) -> Option<Val> {
        Some(match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128::default()),
            ValType::Ref(reference) if reference.is_nullable() => Val::null_ref(reference.heap_type()),
            ValType::Ref(_) => return None,
        })
    }

    /// Zero, or null also where the type does not allow it: a place for a value that is still to come.
    pub(crate) fn zero(ty: artifact::ValType) -> Val {
        match ty {
            artifact::ValType::I32 => Val::I32(0),
            artifact::ValType::I64 => Val::I64(0),
            artifact::ValType::F32 => Val::F32(0),
            artifact::ValType::F64 => Val::F64(0),
            artifact::ValType::V128 => Val::V128(V128::default()),
            artifact::ValType::Ref(reference) => match reference.heap.top() {
                artifact::HeapType::Func => Val::FuncRef(None),
                artifact::HeapType::Extern => Val::ExternRef(None),
                artifact::HeapType::Exn => Val::ExnRef(None),
                _ => Val::AnyRef(None),
            },
        }
    }

    /// The smallest type that the value has in this store; `None` for a reference of another store.
    fn raw_type(&self, store: &VmStore) -> Option<artifact::ValType> {
        use artifact::HeapType as H;
        let (heap, owner) = match self {
            Val::I32(_) => return Some(artifact::ValType::I32),
            Val::I64(_) => return Some(artifact::ValType::I64),
            Val::F32(_) => return Some(artifact::ValType::F32),
            Val::F64(_) => return Some(artifact::ValType::F64),
            Val::V128(_) => return Some(artifact::ValType::V128),
            Val::FuncRef(None) => (H::NoFunc, None),
            Val::ExternRef(None) => (H::NoExtern, None),
            Val::ExnRef(None) => (H::NoExn, None),
            Val::AnyRef(None) => (H::None, None),
            Val::FuncRef(Some(func)) if func.store_id() != store.id() => return None,
            Val::FuncRef(Some(func)) => (H::ConcreteFunc(func.type_number(store)), Some(func.store_id())),
            Val::ExternRef(Some(value)) => (H::Extern, Some(value.store_id())),
            Val::ExnRef(Some(value)) => (H::Exn, Some(value.store_id())),
            Val::AnyRef(Some(value)) => (store.heap_type(value.root()).ok()?, Some(value.store_id())),
        };
        let nullable = owner.is_none();
        let own = owner.is_none_or(|owner| owner == store.id());
        own.then_some(artifact::ValType::Ref(artifact::RefType { nullable, heap }))
    }

    /// Whether the value is of this type, in this store.
    pub(crate) fn matches(&self, store: &VmStore, ty: artifact::ValType) -> bool {
        let is_subtype = |sub, sup| store.engine().types().is_subtype(sub, sup);
        self.raw_type(store).is_some_and(|actual| actual.matches(ty, is_subtype))
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Val {
        Val::I32(value)
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val::I64(value)
    }
}

impl From<f32> for Val {
    fn from(value: f32) -> Val {
        Val::F32(value.to_bits())
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Val {
        Val::F64(value.to_bits())
    }
}

impl From<V128> for Val {
    fn from(value: V128) -> Val {
        Val::V128(value)
    }
}

impl From<Func> for Val {
    fn from(func: Func) -> Val {
        Val::FuncRef(Some(func))
    }
}

impl From<Rooted<ExternRef>> for Val {
    fn from(value: Rooted<ExternRef>) -> Val {
        Val::ExternRef(Some(value))
    }
}

impl From<Rooted<AnyRef>> for Val {
    fn from(value: Rooted<AnyRef>) -> Val {
        Val::AnyRef(Some(value))
    }
}

impl From<Rooted<StructRef>> for Val {
    fn from(value: Rooted<StructRef>) -> Val {
        Val::AnyRef(Some(value.to_anyref()))
    }
}

impl From<Rooted<ArrayRef>> for Val {
    fn from(value: Rooted<ArrayRef>) -> Val {
        Val::AnyRef(Some(value.to_anyref()))
    }
}

impl From<Rooted<ExnRef>> for Val {
    fn from(value: Rooted<ExnRef>) -> Val {
        Val::ExnRef(Some(value))
    }
}

impl From<Ref> for Val {
    fn from(reference: Ref) -> Val {
        match reference {
            Ref::Func(func) => Val::FuncRef(func),
            Ref::Extern(value) => Val::ExternRef(value),
            Ref::Exn(value) => Val::ExnRef(value),
            Ref::Any(value) => Val::AnyRef(value),
        }
    }
}

/// A reference of any type.
#[derive(Copy, Clone, Debug)]
pub enum Ref {
    /// A function, or null.
    Func(Option<Func>),
    /// A value of the host's, or null.
    Extern(Option<Rooted<ExternRef>>),
    /// An exception, or null.
    Exn(Option<Rooted<ExnRef>>),
    /// A value of the guest's own, or null.
    Any(Option<Rooted<AnyRef>>),
}

impl Ref {
    /// Null of a reference type's hierarchy.
    pub fn null(heap: &HeapType) -> Ref {
        match heap.top() {
            HeapType::Func => Ref::Func(None),
            HeapType::Extern => Ref::Extern(None),
            HeapType::Exn => Ref::Exn(None),
            _ => Ref::Any(None),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Ref::Func(None) | Ref::Extern(None) | Ref::Exn(None) | Ref::Any(None))
    }

    /// The function or null, if it is a function reference.
    pub fn as_func(&self) -> Option<Option<&Func>> {
        if let Ref::Func(func) = self { Some(func.as_ref()) } else { None }
    }

    /// The host value or null, if it is an external reference.
    pub fn as_extern(&self) -> Option<Option<&Rooted<ExternRef>>> {
        if let Ref::Extern(value) = self { Some(value.as_ref()) } else { None }
    }

    /// The exception or null, if it is a reference to an exception.
    pub fn as_exn(&self) -> Option<Option<&Rooted<ExnRef>>> {
        if let Ref::Exn(value) = self { Some(value.as_ref()) } else { None }
    }

    /// The guest's value or null, if it is a reference to one.
    pub fn as_any(&self) -> Option<Option<&Rooted<AnyRef>>> {
        if let Ref::Any(value) = self { Some(value.as_ref()) } else { None }
    }

    /// The reference in a value, if it holds one.
    pub(crate) fn from_val(value: Val) -> Option<Ref> {
        match value {
            Val::FuncRef(func) => Some(Ref::Func(func)),
            Val::ExternRef(value) => Some(Ref::Extern(value)),
            Val::ExnRef(value) => Some(Ref::Exn(value)),
            Val::AnyRef(value) => Some(Ref::Any(value)),
            _ => None,
        }
    }
}

impl From<Func> for Ref {
    fn from(func: Func) -> Ref {
        Ref::Func(Some(func))
    }
}

impl From<Rooted<ExternRef>> for Ref {
    fn from(value: Rooted<ExternRef>) -> Ref {
        Ref::Extern(Some(value))
    }
}

impl From<Rooted<AnyRef>> for Ref {
    fn from(value: Rooted<AnyRef>) -> Ref {
        Ref::Any(Some(value))
    }
}

impl From<Rooted<ExnRef>> for Ref {
    fn from(value: Rooted<ExnRef>) -> Ref {
        Ref::Exn(Some(value))
    }
}
