//! Function, struct and array types. They belong to an engine, which gives equal types one number.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use hotfoot_artifact::{self as artifact, CompositeType, Mutability};

use super::handle::{Finality, RegisteredType};
use super::registry::TypeRegistry;
use super::value::ValType;
use crate::engine::Engine;

macro_rules! defined_type {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(RegisteredType);

        impl $name {
            #[doc = concat!("Whether other ", $kind, " types can be declared as its subtypes.")]
            pub fn finality(&self) -> Finality {
                self.0.finality()
            }

            /// The type that it declares as its supertype.
            pub fn supertype(&self) -> Option<$name> {
                self.0.supertype().map($name)
            }

            /// Whether it is `other` or a subtype of it. Types of different engines never are.
            pub fn matches(&self, other: &$name) -> bool {
                self.0.is_subtype(&other.0)
            }

            pub(crate) fn from_number(types: &Arc<TypeRegistry>, number: u32) -> $name {
                $name(RegisteredType::new(types, number))
            }

            pub(crate) fn registered(&self) -> &RegisteredType {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    )*};
}

defined_type! {
    /// A function type of an engine.
    ///
    /// ```
    /// use hotfoot::{Engine, FuncType, ValType};
    /// let engine = Engine::default();
    /// let ty = FuncType::new(&engine, [ValType::I32, ValType::I32], [ValType::I64]);
    /// assert_eq!(ty.to_string(), "(func (param i32 i32) (result i64))");
    /// ```
    FuncType, "function";
    /// A struct type of an engine.
    ///
    /// ```
    /// use hotfoot::{Engine, FieldType, Mutability, StorageType, StructType, ValType};
    /// let engine = Engine::default();
    /// let counter = FieldType::new(Mutability::Var, StorageType::ValType(ValType::I64));
    /// let ty = StructType::new(&engine, [counter])?;
    /// assert_eq!(ty.to_string(), "(struct (field (mut i64)))");
    /// # Ok::<(), hotfoot::Error>(())
    /// ```
    StructType, "struct";
    /// An array type of an engine.
    ///
    /// ```
    /// use hotfoot::{ArrayType, Engine, FieldType, Mutability, StorageType};
    /// let ty = ArrayType::new(&Engine::default(), FieldType::new(Mutability::Var, StorageType::I8));
    /// assert_eq!(ty.to_string(), "(array (mut i8))");
    /// ```
    ArrayType, "array";
}

impl FuncType {
    /// A function type with these parameters and results.
    ///
    /// # Panics
    /// When the engine has as many types as it can have (67 million).
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        FuncType::with_finality_and_supertype(engine, Finality::Final, None, params, results)
            .expect("a type without a supertype has nothing to contradict")
    }

    /// A function type that can have subtypes, or is one.
    ///
    /// # Errors
    /// When the supertype is final, takes other parameters or returns other results than a subtype may.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&FuncType>,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Result<FuncType> {
        let types = engine.types();
        let params = params.into_iter().map(|ty| ty.to_raw(types)).collect();
        let results = results.into_iter().map(|ty| ty.to_raw(types)).collect();
        let ty = CompositeType::Func(artifact::FuncType { params, results });
        RegisteredType::register(types, finality, supertype.map(|ty| &ty.0), ty).map(FuncType)
    }

    /// The type as this engine's own, whichever engine it was made with: numbers of another engine mean other types.
    pub(crate) fn adopted_by(self, engine: &Engine) -> FuncType {
        FuncType::from_number(engine.types(), self.0.number_in(engine.types()))
    }

    pub(crate) fn from_raw(engine: &Engine, ty: artifact::FuncType) -> FuncType {
        RegisteredType::register(engine.types(), Finality::Final, None, CompositeType::Func(ty))
            .map(FuncType)
            .expect("a type without a supertype has nothing to contradict")
    }

    /// Parameter types.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.raw().params.iter().map(|ty| ValType::from_raw(self.0.registry(), *ty))
    }

    /// A parameter's type.
    pub fn param(&self, index: usize) -> Option<ValType> {
        self.params().nth(index)
    }

    /// Result types.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.raw().results.iter().map(|ty| ValType::from_raw(self.0.registry(), *ty))
    }

    /// A result's type.
    pub fn result(&self, index: usize) -> Option<ValType> {
        self.results().nth(index)
    }

    /// As the runtime holds it.
    pub(crate) fn raw(&self) -> &artifact::FuncType {
        self.0.entry().func()
    }

    /// The number that its engine gave to the type.
    pub(crate) fn number(&self) -> u32 {
        self.0.number()
    }
}

/// What a field of an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// An integer of 8 bits.
    I8,
    /// An integer of 16 bits.
    I16,
    /// A value.
    ValType(ValType),
}

impl StorageType {
    /// The type of a value that is read from or written to such a field.
    pub fn unpack(&self) -> &ValType {
        match self {
            StorageType::I8 | StorageType::I16 => &ValType::I32,
            StorageType::ValType(ty) => ty,
        }
    }

    /// The value type, if it is one.
    pub fn as_val_type(&self) -> Option<&ValType> {
        if let StorageType::ValType(ty) = self { Some(ty) } else { None }
    }
}

impl From<ValType> for StorageType {
    fn from(ty: ValType) -> StorageType {
        StorageType::ValType(ty)
    }
}

/// A field of a struct, or the elements of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    mutability: Mutability,
    element_type: StorageType,
}

impl FieldType {
    /// A field.
    pub fn new(mutability: Mutability, element_type: StorageType) -> FieldType {
        FieldType { mutability, element_type }
    }

    /// Whether it can be set.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }

    /// What it holds.
    pub fn element_type(&self) -> &StorageType {
        &self.element_type
    }

    fn to_raw(&self, types: &Arc<TypeRegistry>) -> artifact::FieldType {
        let storage = match &self.element_type {
            StorageType::I8 => artifact::StorageType::I8,
            StorageType::I16 => artifact::StorageType::I16,
            StorageType::ValType(ty) => artifact::StorageType::Val(ty.to_raw(types)),
        };
        artifact::FieldType { storage, mutable: self.mutability == Mutability::Var }
    }

    fn from_raw(types: &Arc<TypeRegistry>, raw: artifact::FieldType) -> FieldType {
        let element_type = match raw.storage {
            artifact::StorageType::I8 => StorageType::I8,
            artifact::StorageType::I16 => StorageType::I16,
            artifact::StorageType::Val(ty) => StorageType::ValType(ValType::from_raw(types, ty)),
        };
        let mutability = if raw.mutable { Mutability::Var } else { Mutability::Const };
        FieldType { mutability, element_type }
    }
}

impl StructType {
    /// A struct type with these fields.
    ///
    /// # Errors
    /// When the engine has as many types as it can have.
    pub fn new(engine: &Engine, fields: impl IntoIterator<Item = FieldType>) -> Result<StructType> {
        StructType::with_finality_and_supertype(engine, Finality::Final, None, fields)
    }

    /// A struct type that can have subtypes, or is one.
    ///
    /// # Errors
    /// When the supertype is final, or its fields are not the first fields of this one.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&StructType>,
        fields: impl IntoIterator<Item = FieldType>,
    ) -> Result<StructType> {
        let types = engine.types();
        let fields = fields.into_iter().map(|field| field.to_raw(types)).collect();
        let ty = CompositeType::Struct(artifact::StructType { fields });
        RegisteredType::register(types, finality, supertype.map(|ty| &ty.0), ty).map(StructType)
    }

    fn raw(&self) -> &artifact::StructType {
        self.0.entry().ty.struct_().expect("the handle was made for a struct type")
    }

    /// A field's type.
    pub fn field(&self, index: usize) -> Option<FieldType> {
        self.fields().nth(index)
    }

    /// The fields in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldType> + '_ {
        self.raw().fields.iter().map(|field| FieldType::from_raw(self.0.registry(), *field))
    }
}

impl ArrayType {
    /// An array type with these elements.
    ///
    /// # Panics
    /// When the engine has as many types as it can have (67 million).
    pub fn new(engine: &Engine, field_type: FieldType) -> ArrayType {
        ArrayType::with_finality_and_supertype(engine, Finality::Final, None, field_type)
            .expect("a type without a supertype has nothing to contradict")
    }

    /// An array type that can have subtypes, or is one.
    ///
    /// # Errors
    /// When the supertype is final, or has other elements than a supertype may.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&ArrayType>,
        field_type: FieldType,
    ) -> Result<ArrayType> {
        let types = engine.types();
        let ty = CompositeType::Array(artifact::ArrayType { element: field_type.to_raw(types) });
        RegisteredType::register(types, finality, supertype.map(|ty| &ty.0), ty).map(ArrayType)
    }

    /// The elements.
    pub fn field_type(&self) -> FieldType {
        let raw = self.0.entry().ty.array().expect("the handle was made for an array type");
        FieldType::from_raw(self.0.registry(), raw.element)
    }

    /// What an element holds.
    pub fn element_type(&self) -> StorageType {
        self.field_type().element_type
    }

    /// Whether elements can be set.
    pub fn mutability(&self) -> Mutability {
        self.field_type().mutability
    }
}
