//! Values for places that cannot be null and are filled later: any value of their type, as small as there is one.

use wasm_encoder::Instruction;
use wasmparser::{AbstractHeapType, CompositeInnerType, FieldType, HeapType, StorageType, UnpackedIndex, ValType};

use crate::input::Input;

/// How many types are looked at for one value.
const MAX_TRIES: u32 = 100_000;
/// How deep such a value may be.
const MAX_DEPTH: u32 = 16;

/// Instructions that make some value of a heap type; `None` if none is found.
pub fn placeholder(input: &Input<'_>, heap: HeapType) -> Option<Vec<Instruction<'static>>> {
    let mut search = Search { input, tries: MAX_TRIES, found: Vec::new() };
    search.heap(heap, 0).then_some(search.found)
}

struct Search<'i, 'a> {
    input: &'i Input<'a>,
    tries: u32,
    found: Vec<Instruction<'static>>,
}

impl Search<'_, '_> {
    fn heap(&mut self, heap: HeapType, depth: u32) -> bool {
        let integer = [Instruction::I32Const(0), Instruction::RefI31];
        match heap {
            HeapType::Abstract { ty, .. } => match ty {
                AbstractHeapType::Any | AbstractHeapType::Eq | AbstractHeapType::I31 => self.found.extend(integer),
                AbstractHeapType::Extern => {
                    self.found.extend(integer);
                    self.found.push(Instruction::ExternConvertAny);
                }
                AbstractHeapType::Func if !self.input.funcs.is_empty() => self.found.push(Instruction::RefFunc(0)),
                AbstractHeapType::Struct => {
                    return self.one_of(depth, |ty| matches!(ty, CompositeInnerType::Struct(_)));
                }
                AbstractHeapType::Array => return self.one_of(depth, |ty| matches!(ty, CompositeInnerType::Array(_))),
                _ => return false,
            },
            HeapType::Concrete(UnpackedIndex::Module(ty)) => {
                let types = 0..self.input.types.len() as u32;
                return self.ty(ty, depth)
                    || types.into_iter().any(|sub| sub != ty && self.input.is_subtype(sub, ty) && self.ty(sub, depth));
            }
            HeapType::Concrete(_) | HeapType::Exact(_) => return false,
        }
        true
    }

    fn one_of(&mut self, depth: u32, is_right: fn(&CompositeInnerType) -> bool) -> bool {
        let input = self.input;
        (0..).zip(&input.types).any(|(index, ty)| is_right(&ty.composite_type.inner) && self.ty(index, depth))
    }

    /// A value of a defined type; leaves nothing behind where there is none.
    fn ty(&mut self, ty: u32, depth: u32) -> bool {
        self.tries = self.tries.saturating_sub(1);
        if self.tries == 0 || depth == MAX_DEPTH {
            return false;
        }
        let before = self.found.len();
        let input = self.input;
        let is_found = match &input.types[ty as usize].composite_type.inner {
            CompositeInnerType::Array(_) => {
                self.found.push(Instruction::ArrayNewFixed { array_type_index: ty, array_size: 0 });
                true
            }
            CompositeInnerType::Struct(fields) => {
                let is_found = fields.fields.iter().all(|field| self.field(*field, depth + 1));
                self.found.push(Instruction::StructNew(ty));
                is_found
            }
            CompositeInnerType::Func(_) => {
                let function = input.funcs.iter().position(|own| input.is_subtype(*own, ty));
                self.found.extend(function.map(|function| Instruction::RefFunc(function as u32)));
                function.is_some()
            }
            CompositeInnerType::Cont(_) => false,
        };
        if !is_found {
            self.found.truncate(before);
        }
        is_found
    }

    fn field(&mut self, field: FieldType, depth: u32) -> bool {
        let zero = match field.element_type {
            StorageType::I8 | StorageType::I16 | StorageType::Val(ValType::I32) => Instruction::I32Const(0),
            StorageType::Val(ValType::I64) => Instruction::I64Const(0),
            StorageType::Val(ValType::F32) => Instruction::F32Const(0.0.into()),
            StorageType::Val(ValType::F64) => Instruction::F64Const(0.0.into()),
            StorageType::Val(ValType::V128) => Instruction::V128Const(0),
            StorageType::Val(ValType::Ref(ty)) if ty.is_nullable() => match null(ty.heap_type()) {
                Some(null) => null,
                None => return false,
            },
            StorageType::Val(ValType::Ref(ty)) => return self.heap(ty.heap_type(), depth),
        };
        self.found.push(zero);
        true
    }
}

/// The null of a heap type.
pub fn null(heap: HeapType) -> Option<Instruction<'static>> {
    use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
    RoundtripReencoder.heap_type(heap).ok().map(Instruction::RefNull)
}
