//! Captured values as constant expressions.

use wasm_encoder::{AbstractHeapType, ConstExpr, Encode, HeapType, Ieee32, Ieee64, Instruction, ValType};

use crate::state::Value;

/// An expression that gives a value of a type.
pub fn constant(value: Value, ty: ValType) -> ConstExpr {
    match value {
        Value::I32(value) => ConstExpr::i32_const(value),
        Value::I64(value) => ConstExpr::i64_const(value),
        Value::F32(bits) => ConstExpr::f32_const(Ieee32::new(bits)),
        Value::F64(bits) => ConstExpr::f64_const(Ieee64::new(bits)),
        Value::V128(bits) => ConstExpr::v128_const(bits as i128),
        Value::Null | Value::Func(_) | Value::I31(_) => {
            let heap = match ty {
                ValType::Ref(reference) => reference.heap_type,
                _ => HeapType::Abstract { shared: false, ty: AbstractHeapType::Func },
            };
            reference(value, heap)
        }
    }
}

/// An expression that gives a reference of a type.
pub fn reference(value: Value, heap: HeapType) -> ConstExpr {
    match value {
        Value::Func(index) => ConstExpr::ref_func(index),
        Value::I31(value) => ConstExpr::extended([Instruction::I32Const(value), Instruction::RefI31]),
        _ => ConstExpr::ref_null(heap),
    }
}

/// The instructions of an expression, without its `end`.
pub fn instructions(expression: &ConstExpr) -> Vec<u8> {
    let mut bytes = Vec::new();
    expression.encode(&mut bytes);
    bytes.pop();
    bytes
}
