//! Types that a module defines: functions, structs, arrays, and how they refer to each other.
//!
//! Source: WebAssembly 3.0, section 2.3.8 "Recursive Types".
//!
//! A type is named by a number. In an artifact that is its index in the module; the runtime replaces it by the number
//! that the engine gave to the type, so that equal types of all modules have one number ([`SubType::map_types`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{HeapType, RefType, ValType};

/// A function type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FuncType {
    /// Parameter types.
    pub params: Vec<ValType>,
    /// Result types.
    pub results: Vec<ValType>,
}

impl FuncType {
    /// Whether results are returned through a result area, see [`hotfoot_abi::call`].
    pub fn results_use_area(&self) -> bool {
        let floats = self.results.iter().filter(|ty| ty.is_float_or_vector()).count();
        hotfoot_abi::call::results_use_area(self.results.len() - floats, floats)
    }

    /// Slots that a call from or to the host needs.
    pub fn slots(&self) -> usize {
        self.params.len().max(self.results.len())
    }
}

/// What a field of an object holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StorageType {
    /// An integer of 8 bits.
    I8,
    /// An integer of 16 bits.
    I16,
    /// A value.
    Val(ValType),
}

impl FieldType {
    /// Whether it may stand in a subtype where a supertype has `expected`: fields that can be set must be equal.
    fn matches(self, expected: FieldType, is_subtype: &impl Fn(u32, u32) -> bool) -> bool {
        match (self.storage, expected.storage) {
            (StorageType::Val(sub), StorageType::Val(sup)) if self.mutable == expected.mutable => {
                sub.matches(sup, is_subtype) && (!self.mutable || sup.matches(sub, is_subtype))
            }
            _ => self == expected,
        }
    }
}

impl StorageType {
    /// The type of a value that is read from or written to such a field.
    pub fn unpack(self) -> ValType {
        match self {
            StorageType::I8 | StorageType::I16 => ValType::I32,
            StorageType::Val(ty) => ty,
        }
    }

    /// Whether it is narrower than any value.
    pub fn is_packed(self) -> bool {
        !matches!(self, StorageType::Val(_))
    }
}

/// A field of a struct, or the elements of an array.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldType {
    /// What it holds.
    pub storage: StorageType,
    /// Whether it can be set.
    pub mutable: bool,
}

/// A struct type: its fields in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructType {
    /// The fields.
    pub fields: Vec<FieldType>,
}

/// An array type.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArrayType {
    /// Its elements.
    pub element: FieldType,
}

/// What a defined type is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompositeType {
    /// A function.
    Func(FuncType),
    /// A struct.
    Struct(StructType),
    /// An array.
    Array(ArrayType),
}

impl CompositeType {
    /// How many values, fields or elements it has.
    pub fn part_count(&self) -> usize {
        match self {
            CompositeType::Func(ty) => ty.params.len() + ty.results.len(),
            CompositeType::Struct(ty) => ty.fields.len(),
            CompositeType::Array(_) => 1,
        }
    }

    /// Whether it may be declared as a subtype of `expected` (section 3.3.9 "Composite Types"); `is_subtype` answers for
    /// two numbers.
    pub fn matches(&self, expected: &CompositeType, is_subtype: &impl Fn(u32, u32) -> bool) -> bool {
        let all = |sub: &[ValType], sup: &[ValType]| {
            sub.len() == sup.len() && sub.iter().zip(sup).all(|(sub, sup)| sub.matches(*sup, is_subtype))
        };
        match (self, expected) {
            (CompositeType::Func(sub), CompositeType::Func(sup)) => {
                all(&sup.params, &sub.params) && all(&sub.results, &sup.results)
            }
            (CompositeType::Struct(sub), CompositeType::Struct(sup)) => {
                sub.fields.len() >= sup.fields.len()
                    && sub.fields.iter().zip(&sup.fields).all(|(sub, sup)| sub.matches(*sup, is_subtype))
            }
            (CompositeType::Array(sub), CompositeType::Array(sup)) => sub.element.matches(sup.element, is_subtype),
            _ => false,
        }
    }
}

/// A defined type and its place among others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubType {
    /// Whether it can have no subtypes.
    pub is_final: bool,
    /// The type that it declares as its supertype.
    pub supertype: Option<u32>,
    /// What it is made of.
    pub composite: CompositeType,
}

impl SubType {
    /// A final type without a supertype.
    pub fn of(composite: CompositeType) -> SubType {
        SubType { is_final: true, supertype: None, composite }
    }

    /// The function type, if it is one.
    pub fn func(&self) -> Option<&FuncType> {
        if let CompositeType::Func(ty) = &self.composite { Some(ty) } else { None }
    }

    /// The struct type, if it is one.
    pub fn struct_(&self) -> Option<&StructType> {
        if let CompositeType::Struct(ty) = &self.composite { Some(ty) } else { None }
    }

    /// The array type, if it is one.
    pub fn array(&self) -> Option<&ArrayType> {
        if let CompositeType::Array(ty) = &self.composite { Some(ty) } else { None }
    }

    /// The heap type of references to it, when `number` is its own.
    pub fn heap_type(&self, number: u32) -> HeapType {
        match self.composite {
            CompositeType::Func(_) => HeapType::ConcreteFunc(number),
            CompositeType::Struct(_) => HeapType::ConcreteStruct(number),
            CompositeType::Array(_) => HeapType::ConcreteArray(number),
        }
    }

    /// The same type with other numbers for the types that it names.
    pub fn map_types(&self, number: &impl Fn(u32) -> u32) -> SubType {
        let values = |types: &[ValType]| types.iter().map(|ty| ty.map_types(number)).collect();
        let field = |field: &FieldType| FieldType {
            storage: match field.storage {
                StorageType::Val(ty) => StorageType::Val(ty.map_types(number)),
                packed => packed,
            },
            mutable: field.mutable,
        };
        let composite = match &self.composite {
            CompositeType::Func(ty) => {
                CompositeType::Func(FuncType { params: values(&ty.params), results: values(&ty.results) })
            }
            CompositeType::Struct(ty) => {
                CompositeType::Struct(StructType { fields: ty.fields.iter().map(field).collect() })
            }
            CompositeType::Array(ty) => CompositeType::Array(ArrayType { element: field(&ty.element) }),
        };
        SubType { is_final: self.is_final, supertype: self.supertype.map(number), composite }
    }

    /// Calls back with each type that this one names.
    pub fn for_each_type(&self, mut visit: impl FnMut(u32)) {
        self.supertype.into_iter().for_each(&mut visit);
        let mut value = |ty: &ValType| {
            if let ValType::Ref(RefType { heap, .. }) = ty {
                heap.concrete().into_iter().for_each(&mut visit);
            }
        };
        let storage = |field: &FieldType| field.storage.unpack();
        match &self.composite {
            CompositeType::Func(ty) => ty.params.iter().chain(&ty.results).for_each(value),
            CompositeType::Struct(ty) => ty.fields.iter().map(storage).for_each(|ty| value(&ty)),
            CompositeType::Array(ty) => value(&storage(&ty.element)),
        }
    }
}

/// In the text format: `(func (param i32 i32) (result i64))`.
impl fmt::Display for FuncType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(func")?;
        for (keyword, types) in [("param", &self.params), ("result", &self.results)] {
            if !types.is_empty() {
                write!(formatter, " ({keyword}")?;
                types.iter().try_for_each(|ty| write!(formatter, " {ty}"))?;
                formatter.write_str(")")?;
            }
        }
        formatter.write_str(")")
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageType::I8 => formatter.write_str("i8"),
            StorageType::I16 => formatter.write_str("i16"),
            StorageType::Val(ty) => ty.fmt(formatter),
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutable {
            true => write!(formatter, "(mut {})", self.storage),
            false => self.storage.fmt(formatter),
        }
    }
}

impl fmt::Display for StructType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(struct")?;
        self.fields.iter().try_for_each(|field| write!(formatter, " (field {field})"))?;
        formatter.write_str(")")
    }
}

impl fmt::Display for ArrayType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "(array {})", self.element)
    }
}

impl fmt::Display for CompositeType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompositeType::Func(ty) => ty.fmt(formatter),
            CompositeType::Struct(ty) => ty.fmt(formatter),
            CompositeType::Array(ty) => ty.fmt(formatter),
        }
    }
}

impl fmt::Display for SubType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_final, self.supertype) {
            (true, None) => self.composite.fmt(formatter),
            (true, Some(supertype)) => write!(formatter, "(sub final {supertype} {})", self.composite),
            (false, None) => write!(formatter, "(sub {})", self.composite),
            (false, Some(supertype)) => write!(formatter, "(sub {supertype} {})", self.composite),
        }
    }
}
