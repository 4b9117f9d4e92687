//! Captured values as constant expressions.

use wasm_encoder::{AbstractHeapType, ConstExpr, HeapType, Ieee32, Ieee64, Instruction, ValType};
use wasmparser::{RefType, StorageType, UnpackedIndex};

use crate::state::Value;

/// An expression that gives a value of a type, if that is no object.
pub fn constant(value: Value, ty: ValType) -> ConstExpr {
    match ty {
        ValType::Ref(ty) => reference(value, ty.heap_type),
        _ => ConstExpr::extended([number(value)]),
    }
}

/// An expression that gives a reference of a type, if that is no object.
pub fn reference(value: Value, heap: HeapType) -> ConstExpr {
    let is_external = matches!(heap, HeapType::Abstract { ty: AbstractHeapType::Extern, .. });
    match value {
        Value::Func(index) => ConstExpr::ref_func(index),
        Value::I31(value) => {
            let convert = is_external.then_some(Instruction::ExternConvertAny);
            ConstExpr::extended([Instruction::I32Const(value), Instruction::RefI31].into_iter().chain(convert))
        }
        _ => ConstExpr::ref_null(heap),
    }
}

/// The instruction that gives a number or vector.
pub fn number(value: Value) -> Instruction<'static> {
    match value {
        Value::I32(value) => Instruction::I32Const(value),
        Value::I64(value) => Instruction::I64Const(value),
        Value::F32(bits) => Instruction::F32Const(Ieee32::new(bits)),
        Value::F64(bits) => Instruction::F64Const(Ieee64::new(bits)),
        Value::V128(bits) => Instruction::V128Const(bits as i128),
        Value::Null | Value::Func(_) | Value::I31(_) | Value::Object(_) => Instruction::I32Const(0),
    }
}

/// The instruction that gives an element of an array of numbers.
pub fn little_endian(bytes: &[u8], storage: StorageType) -> Instruction<'static> {
    let bits = bytes.iter().rev().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    number(match storage {
        StorageType::I8 | StorageType::I16 => Value::I32(bits as i32),
        StorageType::Val(ty) => match ty {
            wasmparser::ValType::I64 => Value::I64(bits as i64),
            wasmparser::ValType::F32 => Value::F32(bits as u32),
            wasmparser::ValType::F64 => Value::F64(bits as u64),
            wasmparser::ValType::V128 => Value::V128(bits),
            wasmparser::ValType::I32 | wasmparser::ValType::Ref(_) => Value::I32(bits as i32),
        },
    })
}

/// Whether a type is of the hierarchy `extern`.
pub fn is_external(heap: wasmparser::HeapType) -> bool {
    use wasmparser::AbstractHeapType::{Extern, NoExtern};
    matches!(heap, wasmparser::HeapType::Abstract { ty: Extern | NoExtern, .. })
}

/// The type of references to objects of a type that the module defines.
pub fn reference_to(ty: u32) -> RefType {
    let heap = wasmparser::HeapType::Concrete(UnpackedIndex::Module(ty));
    RefType::new(false, heap).unwrap_or(RefType::STRUCTREF)
}
