//! The operators that are exactly one CLIF instruction, as a table.
//!
//! CLIF's vector instructions were defined with WebAssembly in mind, so that the semantics agree to the bit: `fmin`
//! and `fmax` propagate NaNs and order zeroes, conversions saturate, shift counts wrap.

use cranelift_codegen::ir::Opcode::{
    self, AvgRound, Band, Bor, Bxor, Ceil, Fabs, Fadd, FcvtFromSint, FcvtFromUint, FcvtToSintSat, FcvtToUintSat, Fdiv,
    Floor, Fmax, Fmin, Fmul, Fneg, Fsub, Iabs, Iadd, Imul, Ineg, Ishl, Isub, Nearest, Popcnt, SaddSat, Smax, Smin,
    Snarrow, SqmulRoundSat, Sqrt, Sshr, SsubSat, SwidenHigh, SwidenLow, Trunc, UaddSat, Umax, Umin, Unarrow, Ushr,
    UsubSat, UwidenHigh, UwidenLow,
};
use cranelift_codegen::ir::Type;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use wasmparser::Operator;

/// What one instruction takes and gives. The type is that of the operands, which also fixes that of the result.
#[derive(Copy, Clone, Debug)]
pub(super) enum Shape {
    /// One vector.
    Unary(Opcode, Type),
    /// Two vectors.
    Binary(Opcode, Type),
    /// One vector of the first type to one of the second.
    Convert(Opcode, Type, Type),
    /// A vector and an `i32`.
    Shift(Opcode, Type),
    /// Two vectors of integers, to a mask.
    CompareIntegers(IntCC, Type),
    /// Two vectors of floats, to a mask.
    CompareFloats(FloatCC, Type),
}

use Shape::{Binary, CompareFloats, CompareIntegers, Convert, Shift, Unary};

/// The single instruction that `op` is, if it is one.
pub(super) fn shape(op: &Operator<'_>) -> Option<Shape> {
    arithmetic(op).or_else(|| comparison(op))
}

/// Everything but comparisons. A table, hence its length.
fn arithmetic(op: &Operator<'_>) -> Option<Shape> {
    use Operator as Op;
    Some(match op {
        Op::V128And => Binary(Band, I8X16),
        Op::V128Or => Binary(Bor, I8X16),
        Op::V128Xor => Binary(Bxor, I8X16),

        Op::I8x16Abs => Unary(Iabs, I8X16),
        Op::I8x16Neg => Unary(Ineg, I8X16),
        Op::I8x16Popcnt => Unary(Popcnt, I8X16),
        Op::I8x16Shl => Shift(Ishl, I8X16),
        Op::I8x16ShrS => Shift(Sshr, I8X16),
        Op::I8x16ShrU => Shift(Ushr, I8X16),
        Op::I8x16Add => Binary(Iadd, I8X16),
        Op::I8x16AddSatS => Binary(SaddSat, I8X16),
        Op::I8x16AddSatU => Binary(UaddSat, I8X16),
        Op::I8x16Sub => Binary(Isub, I8X16),
        Op::I8x16SubSatS => Binary(SsubSat, I8X16),
        Op::I8x16SubSatU => Binary(UsubSat, I8X16),
        Op::I8x16MinS => Binary(Smin, I8X16),
        Op::I8x16MinU => Binary(Umin, I8X16),
        Op::I8x16MaxS => Binary(Smax, I8X16),
        Op::I8x16MaxU => Binary(Umax, I8X16),
        Op::I8x16AvgrU => Binary(AvgRound, I8X16),
        Op::I8x16NarrowI16x8S => Binary(Snarrow, I16X8),
        Op::I8x16NarrowI16x8U => Binary(Unarrow, I16X8),

        Op::I16x8Abs => Unary(Iabs, I16X8),
        Op::I16x8Neg => Unary(Ineg, I16X8),
        Op::I16x8Shl => Shift(Ishl, I16X8),
        Op::I16x8ShrS => Shift(Sshr, I16X8),
        Op::I16x8ShrU => Shift(Ushr, I16X8),
        Op::I16x8Add => Binary(Iadd, I16X8),
        Op::I16x8AddSatS => Binary(SaddSat, I16X8),
        Op::I16x8AddSatU => Binary(UaddSat, I16X8),
        Op::I16x8Sub => Binary(Isub, I16X8),
        Op::I16x8SubSatS => Binary(SsubSat, I16X8),
        Op::I16x8SubSatU => Binary(UsubSat, I16X8),
        Op::I16x8Mul => Binary(Imul, I16X8),
        Op::I16x8MinS => Binary(Smin, I16X8),
        Op::I16x8MinU => Binary(Umin, I16X8),
        Op::I16x8MaxS => Binary(Smax, I16X8),
        Op::I16x8MaxU => Binary(Umax, I16X8),
        Op::I16x8AvgrU => Binary(AvgRound, I16X8),
        Op::I16x8Q15MulrSatS => Binary(SqmulRoundSat, I16X8),
        Op::I16x8NarrowI32x4S => Binary(Snarrow, I32X4),
        Op::I16x8NarrowI32x4U => Binary(Unarrow, I32X4),
        Op::I16x8ExtendLowI8x16S => Unary(SwidenLow, I8X16),
        Op::I16x8ExtendHighI8x16S => Unary(SwidenHigh, I8X16),
        Op::I16x8ExtendLowI8x16U => Unary(UwidenLow, I8X16),
        Op::I16x8ExtendHighI8x16U => Unary(UwidenHigh, I8X16),

        Op::I32x4Abs => Unary(Iabs, I32X4),
        Op::I32x4Neg => Unary(Ineg, I32X4),
        Op::I32x4Shl => Shift(Ishl, I32X4),
        Op::I32x4ShrS => Shift(Sshr, I32X4),
        Op::I32x4ShrU => Shift(Ushr, I32X4),
        Op::I32x4Add => Binary(Iadd, I32X4),
        Op::I32x4Sub => Binary(Isub, I32X4),
        Op::I32x4Mul => Binary(Imul, I32X4),
        Op::I32x4MinS => Binary(Smin, I32X4),
        Op::I32x4MinU => Binary(Umin, I32X4),
        Op::I32x4MaxS => Binary(Smax, I32X4),
        Op::I32x4MaxU => Binary(Umax, I32X4),
        Op::I32x4ExtendLowI16x8S => Unary(SwidenLow, I16X8),
        Op::I32x4ExtendHighI16x8S => Unary(SwidenHigh, I16X8),
        Op::I32x4ExtendLowI16x8U => Unary(UwidenLow, I16X8),
        Op::I32x4ExtendHighI16x8U => Unary(UwidenHigh, I16X8),
        Op::I32x4TruncSatF32x4S => Convert(FcvtToSintSat, F32X4, I32X4),
        Op::I32x4TruncSatF32x4U => Convert(FcvtToUintSat, F32X4, I32X4),

        Op::I64x2Abs => Unary(Iabs, I64X2),
        Op::I64x2Neg => Unary(Ineg, I64X2),
        Op::I64x2Shl => Shift(Ishl, I64X2),
        Op::I64x2ShrS => Shift(Sshr, I64X2),
        Op::I64x2ShrU => Shift(Ushr, I64X2),
        Op::I64x2Add => Binary(Iadd, I64X2),
        Op::I64x2Sub => Binary(Isub, I64X2),
        Op::I64x2Mul => Binary(Imul, I64X2),
        Op::I64x2ExtendLowI32x4S => Unary(SwidenLow, I32X4),
        Op::I64x2ExtendHighI32x4S => Unary(SwidenHigh, I32X4),
        Op::I64x2ExtendLowI32x4U => Unary(UwidenLow, I32X4),
        Op::I64x2ExtendHighI32x4U => Unary(UwidenHigh, I32X4),

        Op::F32x4Ceil => Unary(Ceil, F32X4),
        Op::F32x4Floor => Unary(Floor, F32X4),
        Op::F32x4Trunc => Unary(Trunc, F32X4),
        Op::F32x4Nearest => Unary(Nearest, F32X4),
        Op::F32x4Abs => Unary(Fabs, F32X4),
        Op::F32x4Neg => Unary(Fneg, F32X4),
        Op::F32x4Sqrt => Unary(Sqrt, F32X4),
        Op::F32x4Add => Binary(Fadd, F32X4),
        Op::F32x4Sub => Binary(Fsub, F32X4),
        Op::F32x4Mul => Binary(Fmul, F32X4),
        Op::F32x4Div => Binary(Fdiv, F32X4),
        Op::F32x4Min => Binary(Fmin, F32X4),
        Op::F32x4Max => Binary(Fmax, F32X4),
        Op::F32x4ConvertI32x4S => Convert(FcvtFromSint, I32X4, F32X4),
        Op::F32x4ConvertI32x4U => Convert(FcvtFromUint, I32X4, F32X4),

        Op::F64x2Ceil => Unary(Ceil, F64X2),
        Op::F64x2Floor => Unary(Floor, F64X2),
        Op::F64x2Trunc => Unary(Trunc, F64X2),
        Op::F64x2Nearest => Unary(Nearest, F64X2),
        Op::F64x2Abs => Unary(Fabs, F64X2),
        Op::F64x2Neg => Unary(Fneg, F64X2),
        Op::F64x2Sqrt => Unary(Sqrt, F64X2),
        Op::F64x2Add => Binary(Fadd, F64X2),
        Op::F64x2Sub => Binary(Fsub, F64X2),
        Op::F64x2Mul => Binary(Fmul, F64X2),
        Op::F64x2Div => Binary(Fdiv, F64X2),
        Op::F64x2Min => Binary(Fmin, F64X2),
        Op::F64x2Max => Binary(Fmax, F64X2),

        _ => return None,
    })
}

/// Comparisons: each lane of the result is all ones or all zeroes. A table, hence its length.
fn comparison(op: &Operator<'_>) -> Option<Shape> {
    use Operator as Op;
    Some(match op {
        Op::I8x16Eq => CompareIntegers(IntCC::Equal, I8X16),
        Op::I8x16Ne => CompareIntegers(IntCC::NotEqual, I8X16),
        Op::I8x16LtS => CompareIntegers(IntCC::SignedLessThan, I8X16),
        Op::I8x16LtU => CompareIntegers(IntCC::UnsignedLessThan, I8X16),
        Op::I8x16GtS => CompareIntegers(IntCC::SignedGreaterThan, I8X16),
        Op::I8x16GtU => CompareIntegers(IntCC::UnsignedGreaterThan, I8X16),
        Op::I8x16LeS => CompareIntegers(IntCC::SignedLessThanOrEqual, I8X16),
        Op::I8x16LeU => CompareIntegers(IntCC::UnsignedLessThanOrEqual, I8X16),
        Op::I8x16GeS => CompareIntegers(IntCC::SignedGreaterThanOrEqual, I8X16),
        Op::I8x16GeU => CompareIntegers(IntCC::UnsignedGreaterThanOrEqual, I8X16),

        Op::I16x8Eq => CompareIntegers(IntCC::Equal, I16X8),
        Op::I16x8Ne => CompareIntegers(IntCC::NotEqual, I16X8),
        Op::I16x8LtS => CompareIntegers(IntCC::SignedLessThan, I16X8),
        Op::I16x8LtU => CompareIntegers(IntCC::UnsignedLessThan, I16X8),
        Op::I16x8GtS => CompareIntegers(IntCC::SignedGreaterThan, I16X8),
        Op::I16x8GtU => CompareIntegers(IntCC::UnsignedGreaterThan, I16X8),
        Op::I16x8LeS => CompareIntegers(IntCC::SignedLessThanOrEqual, I16X8),
        Op::I16x8LeU => CompareIntegers(IntCC::UnsignedLessThanOrEqual, I16X8),
        Op::I16x8GeS => CompareIntegers(IntCC::SignedGreaterThanOrEqual, I16X8),
        Op::I16x8GeU => CompareIntegers(IntCC::UnsignedGreaterThanOrEqual, I16X8),

        Op::I32x4Eq => CompareIntegers(IntCC::Equal, I32X4),
        Op::I32x4Ne => CompareIntegers(IntCC::NotEqual, I32X4),
        Op::I32x4LtS => CompareIntegers(IntCC::SignedLessThan, I32X4),
        Op::I32x4LtU => CompareIntegers(IntCC::UnsignedLessThan, I32X4),
        Op::I32x4GtS => CompareIntegers(IntCC::SignedGreaterThan, I32X4),
        Op::I32x4GtU => CompareIntegers(IntCC::UnsignedGreaterThan, I32X4),
        Op::I32x4LeS => CompareIntegers(IntCC::SignedLessThanOrEqual, I32X4),
        Op::I32x4LeU => CompareIntegers(IntCC::UnsignedLessThanOrEqual, I32X4),
        Op::I32x4GeS => CompareIntegers(IntCC::SignedGreaterThanOrEqual, I32X4),
        Op::I32x4GeU => CompareIntegers(IntCC::UnsignedGreaterThanOrEqual, I32X4),

        Op::I64x2Eq => CompareIntegers(IntCC::Equal, I64X2),
        Op::I64x2Ne => CompareIntegers(IntCC::NotEqual, I64X2),
        Op::I64x2LtS => CompareIntegers(IntCC::SignedLessThan, I64X2),
        Op::I64x2GtS => CompareIntegers(IntCC::SignedGreaterThan, I64X2),
        Op::I64x2LeS => CompareIntegers(IntCC::SignedLessThanOrEqual, I64X2),
        Op::I64x2GeS => CompareIntegers(IntCC::SignedGreaterThanOrEqual, I64X2),

        Op::F32x4Eq => CompareFloats(FloatCC::Equal, F32X4),
        Op::F32x4Ne => CompareFloats(FloatCC::NotEqual, F32X4),
        Op::F32x4Lt => CompareFloats(FloatCC::LessThan, F32X4),
        Op::F32x4Gt => CompareFloats(FloatCC::GreaterThan, F32X4),
        Op::F32x4Le => CompareFloats(FloatCC::LessThanOrEqual, F32X4),
        Op::F32x4Ge => CompareFloats(FloatCC::GreaterThanOrEqual, F32X4),

        Op::F64x2Eq => CompareFloats(FloatCC::Equal, F64X2),
        Op::F64x2Ne => CompareFloats(FloatCC::NotEqual, F64X2),
        Op::F64x2Lt => CompareFloats(FloatCC::LessThan, F64X2),
        Op::F64x2Gt => CompareFloats(FloatCC::GreaterThan, F64X2),
        Op::F64x2Le => CompareFloats(FloatCC::LessThanOrEqual, F64X2),
        Op::F64x2Ge => CompareFloats(FloatCC::GreaterThanOrEqual, F64X2),

        _ => return None,
    })
}
