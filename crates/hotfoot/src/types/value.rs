//! Value, reference and heap types.

use std::fmt;
use std::sync::Arc;

use hotfoot_artifact as artifact;

use super::composite::{ArrayType, FuncType, StructType};
use super::handle::RegisteredType;
use super::registry::TypeRegistry;

/// A heap type: what a reference may refer to. Concrete types belong to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeapType {
    /// Any value of the host.
    Extern,
    /// Nothing, below `extern`.
    NoExtern,
    /// Any function.
    Func,
    /// Functions of one type and its subtypes.
    ConcreteFunc(FuncType),
    /// Nothing, below `func`.
    NoFunc,
    /// Any value of the guest's own: what `eq` has, and host values that were converted.
    Any,
    /// What can be compared with `ref.eq`.
    Eq,
    /// Integers of 31 bits.
    I31,
    /// Any array.
    Array,
    /// Arrays of one type and its subtypes.
    ConcreteArray(ArrayType),
    /// Any struct.
    Struct,
    /// Structs of one type and its subtypes.
    ConcreteStruct(StructType),
    /// Any exception.
    Exn,
    /// Nothing, below `exn`.
    NoExn,
    /// Nothing, below `any`.
    None,
}

impl HeapType {
    /// The largest type of its hierarchy: `any`, `func`, `extern` or `exn`.
    pub fn top(&self) -> HeapType {
        match self.raw().top() {
            artifact::HeapType::Func => HeapType::Func,
            artifact::HeapType::Extern => HeapType::Extern,
            artifact::HeapType::Exn => HeapType::Exn,
            _ => HeapType::Any,
        }
    }

    /// Whether it is the type of one defined type and its subtypes.
    pub fn is_concrete(&self) -> bool {
        self.registered().is_some()
    }

    /// Whether it is `other` or a subtype of it.
    pub fn matches(&self, other: &HeapType) -> bool {
        let (Some(sub), Some(sup)) = (self.registered(), other.registered()) else {
            return self.raw().matches(other.raw(), |_, _| false);
        };
        sub.is_subtype(sup)
    }

    fn registered(&self) -> Option<&RegisteredType> {
        match self {
            HeapType::ConcreteFunc(ty) => Some(ty.registered()),
            HeapType::ConcreteArray(ty) => Some(ty.registered()),
            HeapType::ConcreteStruct(ty) => Some(ty.registered()),
            _ => None,
        }
    }

    /// With the number that a concrete type has in its own engine.
    fn raw(&self) -> artifact::HeapType {
        use artifact::HeapType as Raw;
        match self {
            HeapType::Extern => Raw::Extern,
            HeapType::NoExtern => Raw::NoExtern,
            HeapType::Func => Raw::Func,
            HeapType::ConcreteFunc(ty) => Raw::ConcreteFunc(ty.registered().number()),
            HeapType::NoFunc => Raw::NoFunc,
            HeapType::Any => Raw::Any,
            HeapType::Eq => Raw::Eq,
            HeapType::I31 => Raw::I31,
            HeapType::Array => Raw::Array,
            HeapType::ConcreteArray(ty) => Raw::ConcreteArray(ty.registered().number()),
            HeapType::Struct => Raw::Struct,
            HeapType::ConcreteStruct(ty) => Raw::ConcreteStruct(ty.registered().number()),
            HeapType::Exn => Raw::Exn,
            HeapType::NoExn => Raw::NoExn,
            HeapType::None => Raw::None,
        }
    }

    /// As the runtime of the engine with these types holds it.
    pub(crate) fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::HeapType {
        match self.registered() {
            Some(ty) => self.raw().map_types(&|_| ty.number_in(types)),
            None => self.raw(),
        }
    }

    /// From what the runtime of the engine with these types holds.
    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::HeapType) -> HeapType {
        use artifact::HeapType as Raw;
        match raw {
            Raw::Extern => HeapType::Extern,
            Raw::NoExtern => HeapType::NoExtern,
            Raw::Func => HeapType::Func,
            Raw::ConcreteFunc(number) => HeapType::ConcreteFunc(FuncType::from_number(types, number)),
            Raw::NoFunc => HeapType::NoFunc,
            Raw::Any => HeapType::Any,
            Raw::Eq => HeapType::Eq,
            Raw::I31 => HeapType::I31,
            Raw::Array => HeapType::Array,
            Raw::ConcreteArray(number) => HeapType::ConcreteArray(ArrayType::from_number(types, number)),
            Raw::Struct => HeapType::Struct,
            Raw::ConcreteStruct(number) => HeapType::ConcreteStruct(StructType::from_number(types, number)),
            Raw::Exn => HeapType::Exn,
            Raw::NoExn => HeapType::NoExn,
            Raw::None => HeapType::None,
        }
    }
}

impl From<FuncType> for HeapType {
    fn from(ty: FuncType) -> HeapType {
        HeapType::ConcreteFunc(ty)
    }
}

impl From<StructType> for HeapType {
    fn from(ty: StructType) -> HeapType {
        HeapType::ConcreteStruct(ty)
    }
}

impl From<ArrayType> for HeapType {
    fn from(ty: ArrayType) -> HeapType {
        HeapType::ConcreteArray(ty)
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw().fmt(formatter)
    }
}

/// A reference type.
///
/// ```
/// use hotfoot::{Engine, FuncType, HeapType, RefType};
/// let callback = FuncType::new(&Engine::default(), [], []);
/// let ty = RefType::new(false, HeapType::ConcreteFunc(callback));
/// assert!(ty.matches(&RefType::FUNCREF) && !RefType::FUNCREF.matches(&ty));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    nullable: bool,
    heap: HeapType,
}

impl RefType {
    /// `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType { nullable: true, heap: HeapType::Extern };
    /// `(ref null noextern)`.
    pub const NULLEXTERNREF: RefType = RefType { nullable: true, heap: HeapType::NoExtern };
    /// `(ref null func)`.
    pub const FUNCREF: RefType = RefType { nullable: true, heap: HeapType::Func };
    /// `(ref null nofunc)`.
    pub const NULLFUNCREF: RefType = RefType { nullable: true, heap: HeapType::NoFunc };
    /// `(ref null any)`.
    pub const ANYREF: RefType = RefType { nullable: true, heap: HeapType::Any };
    /// `(ref null eq)`.
    pub const EQREF: RefType = RefType { nullable: true, heap: HeapType::Eq };
    /// `(ref null i31)`.
    pub const I31REF: RefType = RefType { nullable: true, heap: HeapType::I31 };
    /// `(ref null array)`.
    pub const ARRAYREF: RefType = RefType { nullable: true, heap: HeapType::Array };
    /// `(ref null struct)`.
    pub const STRUCTREF: RefType = RefType { nullable: true, heap: HeapType::Struct };
    /// `(ref null none)`.
    pub const NULLREF: RefType = RefType { nullable: true, heap: HeapType::None };
    /// `(ref null exn)`.
    pub const EXNREF: RefType = RefType { nullable: true, heap: HeapType::Exn };
    /// `(ref null noexn)`.
    pub const NULLEXNREF: RefType = RefType { nullable: true, heap: HeapType::NoExn };

    /// A reference type.
    pub fn new(is_nullable: bool, heap_type: HeapType) -> RefType {
        RefType { nullable: is_nullable, heap: heap_type }
    }

    /// Whether null belongs to the type.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What is referred to.
    pub fn heap_type(&self) -> &HeapType {
        &self.heap
    }

    /// Whether it is `other` or a subtype of it.
    pub fn matches(&self, other: &RefType) -> bool {
        (other.nullable || !self.nullable) && self.heap.matches(&other.heap)
    }

    pub(crate) fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::RefType {
        artifact::RefType { nullable: self.nullable, heap: self.heap.to_raw(types) }
    }

    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::RefType) -> RefType {
        RefType { nullable: raw.nullable, heap: HeapType::from_raw(types, raw.heap) }
    }

    /// With the number that a concrete type has in its own engine.
    pub(super) fn raw(&self) -> artifact::RefType {
        artifact::RefType { nullable: self.nullable, heap: self.heap.raw() }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw().fmt(formatter)
    }
}

/// A value type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// `(ref null extern)`.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// `(ref null noextern)`.
    pub const NULLEXTERNREF: ValType = ValType::Ref(RefType::NULLEXTERNREF);
    /// `(ref null func)`.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `(ref null nofunc)`.
    pub const NULLFUNCREF: ValType = ValType::Ref(RefType::NULLFUNCREF);
    /// `(ref null any)`.
    pub const ANYREF: ValType = ValType::Ref(RefType::ANYREF);
    /// `(ref null eq)`.
    pub const EQREF: ValType = ValType::Ref(RefType::EQREF);
    /// `(ref null i31)`.
    pub const I31REF: ValType = ValType::Ref(RefType::I31REF);
    /// `(ref null array)`.
    pub const ARRAYREF: ValType = ValType::Ref(RefType::ARRAYREF);
    /// `(ref null struct)`.
    pub const STRUCTREF: ValType = ValType::Ref(RefType::STRUCTREF);
    /// `(ref null none)`.
    pub const NULLREF: ValType = ValType::Ref(RefType::NULLREF);
    /// `(ref null exn)`.
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);
    /// `(ref null noexn)`.
    pub const NULLEXNREF: ValType = ValType::Ref(RefType::NULLEXNREF);

    /// Whether it is an integer or float.
    pub fn is_num(&self) -> bool {
        matches!(self, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64)
    }

    /// Whether it is a reference.
    pub fn is_ref(&self) -> bool {
        matches!(self, ValType::Ref(_))
    }

    /// The reference type, if it is one.
    pub fn as_ref(&self) -> Option<&RefType> {
        if let ValType::Ref(ty) = self { Some(ty) } else { None }
    }

    /// Whether it is `other` or a subtype of it.
    pub fn matches(&self, other: &ValType) -> bool {
        match (self, other) {
            (ValType::Ref(sub), ValType::Ref(sup)) => sub.matches(sup),
            (a, b) => a == b,
        }
    }

    pub(crate) fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::ValType {
        match self {
            ValType::Ref(ty) => artifact::ValType::Ref(ty.to_raw(types)),
            number => number.raw(),
        }
    }

    /// With the number that a concrete type has in its own engine.
    pub(super) fn raw(&self) -> artifact::ValType {
        match self {
            ValType::I32 => artifact::ValType::I32,
            ValType::I64 => artifact::ValType::I64,
            ValType::F32 => artifact::ValType::F32,
            ValType::F64 => artifact::ValType::F64,
            ValType::V128 => artifact::ValType::V128,
            ValType::Ref(ty) => artifact::ValType::Ref(ty.raw()),
        }
    }

    pub(crate) fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::ValType) -> ValType {
        match raw {
            artifact::ValType::I32 => ValType::I32,
            artifact::ValType::I64 => ValType::I64,
            artifact::ValType::F32 => ValType::F32,
            artifact::ValType::F64 => ValType::F64,
            artifact::ValType::V128 => ValType::V128,
            artifact::ValType::Ref(ty) => ValType::Ref(RefType::from_raw(types, ty)),
        }
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw().fmt(formatter)
    }
}
