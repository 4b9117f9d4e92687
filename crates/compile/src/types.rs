//! Types as the binary format writes them, to types as the artifact holds them.
//!
//! A reference to a defined type says there whether it is to a function, a struct or an array, so [`Types`] keeps the
//! kind of each type that was decoded so far, those of its own group included.

use hotfoot_artifact::{
    ArrayType, CompositeType, FieldType, FuncType, HeapType, RefType, StorageType, StructType, SubType, ValType,
};
use wasmparser::{AbstractHeapType, CompositeInnerType, UnpackedIndex};

use crate::Error;

/// What a defined type is.
#[derive(Copy, Clone, Debug)]
enum Kind {
    Func,
    Struct,
    Array,
}

/// The types that a module defines, as far as references to them need it.
#[derive(Debug, Default)]
pub(crate) struct Types {
    kinds: Vec<Kind>,
}

impl Types {
    /// Decodes a group of recursive types; the validator has accepted it.
    pub(crate) fn group(&mut self, group: wasmparser::RecGroup) -> Result<Vec<SubType>, Error> {
        for ty in group.types() {
            self.kinds.push(match ty.composite_type.inner {
                CompositeInnerType::Func(_) | CompositeInnerType::Cont(_) => Kind::Func,
                CompositeInnerType::Struct(_) => Kind::Struct,
                CompositeInnerType::Array(_) => Kind::Array,
            });
        }
        group.into_types_and_offsets().map(|(offset, ty)| self.sub_type(&ty, offset)).collect()
    }

    fn sub_type(&self, ty: &wasmparser::SubType, offset: u64) -> Result<SubType, Error> {
        if ty.composite_type.shared {
            return Err(Error::unsupported("shared types", offset));
        }
        let values = |types: &[wasmparser::ValType]| {
            types.iter().map(|ty| self.val_type(*ty, offset)).collect::<Result<Vec<_>, _>>()
        };
        let composite = match &ty.composite_type.inner {
            CompositeInnerType::Func(ty) => {
                CompositeType::Func(FuncType { params: values(ty.params())?, results: values(ty.results())? })
            }
            CompositeInnerType::Struct(ty) => {
                let fields = ty.fields.iter().map(|field| self.field_type(*field, offset));
                CompositeType::Struct(StructType { fields: fields.collect::<Result<_, _>>()? })
            }
            CompositeInnerType::Array(ty) => {
                CompositeType::Array(ArrayType { element: self.field_type(ty.0, offset)? })
            }
            CompositeInnerType::Cont(_) => return Err(Error::unsupported("stack switching (a continuation)", offset)),
        };
        let supertype = ty.supertype_idxs.first().map(|index| self.index(index.unpack(), offset)).transpose()?;
        Ok(SubType { is_final: ty.is_final, supertype, composite })
    }

    fn field_type(&self, field: wasmparser::FieldType, offset: u64) -> Result<FieldType, Error> {
        let storage = match field.element_type {
            wasmparser::StorageType::I8 => StorageType::I8,
            wasmparser::StorageType::I16 => StorageType::I16,
            wasmparser::StorageType::Val(ty) => StorageType::Val(self.val_type(ty, offset)?),
        };
        Ok(FieldType { storage, mutable: field.mutable })
    }

    /// Converts a value type; `offset` is where to say that an unsupported one is.
    pub(crate) fn val_type(&self, ty: wasmparser::ValType, offset: u64) -> Result<ValType, Error> {
        Ok(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => ValType::Ref(self.ref_type(ty, offset)?),
        })
    }

    /// Converts a reference type.
    pub(crate) fn ref_type(&self, ty: wasmparser::RefType, offset: u64) -> Result<RefType, Error> {
        Ok(RefType { nullable: ty.is_nullable(), heap: self.heap_type(ty.heap_type(), offset)? })
    }

    /// Converts a heap type.
    pub(crate) fn heap_type(&self, ty: wasmparser::HeapType, offset: u64) -> Result<HeapType, Error> {
        use AbstractHeapType as A;
        let ty = match ty {
            wasmparser::HeapType::Abstract { shared: false, ty } => ty,
            wasmparser::HeapType::Abstract { .. } => return Err(Error::unsupported("shared references", offset)),
            wasmparser::HeapType::Exact(_) => return Err(Error::unsupported("exact references", offset)),
            wasmparser::HeapType::Concrete(index) => {
                let index = self.index(index, offset)?;
                return Ok(match self.kinds[index as usize] {
                    Kind::Func => HeapType::ConcreteFunc(index),
                    Kind::Struct => HeapType::ConcreteStruct(index),
                    Kind::Array => HeapType::ConcreteArray(index),
                });
            }
        };
        Ok(match ty {
            A::Any => HeapType::Any,
            A::Eq => HeapType::Eq,
            A::I31 => HeapType::I31,
            A::Struct => HeapType::Struct,
            A::Array => HeapType::Array,
            A::None => HeapType::None,
            A::Func => HeapType::Func,
            A::NoFunc => HeapType::NoFunc,
            A::Extern => HeapType::Extern,
            A::NoExtern => HeapType::NoExtern,
            A::Exn => HeapType::Exn,
            A::NoExn => HeapType::NoExn,
            A::Cont | A::NoCont => return Err(Error::unsupported("stack switching (a continuation)", offset)),
        })
    }

    /// The index in the module of a type that its binary names.
    fn index(&self, index: UnpackedIndex, offset: u64) -> Result<u32, Error> {
        match index {
            UnpackedIndex::Module(index) => Ok(index),
            other => Err(Error::unsupported(format!("the type {other}"), offset)),
        }
    }
}
