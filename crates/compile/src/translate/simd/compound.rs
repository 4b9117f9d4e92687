//! Operators that take several CLIF instructions.
//!
//! The backends know most of these groups and make one or two machine instructions of each, so the order of operands
//! matters here even where arithmetic does not care.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Opcode, Type, Value};
use wasmparser::Operator;

use super::super::Translator;

impl Translator<'_, '_> {
    /// Translates an operator that takes several instructions. Returns false if `op` is none.
    pub(super) fn simd_compound(&mut self, op: &Operator<'_>) -> bool {
        let result = match op {
            Operator::V128Not => self.bits_not(),
            Operator::V128AndNot => self.bits_and_not(),
            Operator::V128Bitselect => self.bits_select(),
            Operator::I32x4DotI16x8S => self.dot(),
            _ => match self.widening(op).or_else(|| self.float_conversion(op)).or_else(|| self.pseudo_min_max(op)) {
                Some(result) => result,
                None => return false,
            },
        };
        self.push(result);
        true
    }

    fn bits_not(&mut self) -> Value {
        let x = self.pop_vector(I8X16);
        self.builder.ins().bnot(x)
    }

    fn bits_and_not(&mut self) -> Value {
        let (x, y) = self.pop2_vectors(I8X16);
        let not_y = self.builder.ins().bnot(y);
        self.builder.ins().band(x, not_y)
    }

    /// Selects bits, in lanes of the mask's own type: a backend then sees that a mask comes from a comparison and
    /// blends whole lanes.
    fn bits_select(&mut self) -> Value {
        let mask = self.pop();
        let lanes = self.value_type(mask).as_int();
        let mask = self.vector(mask, lanes);
        let (x, y) = self.pop2_vectors(lanes);
        self.builder.ins().bitselect(mask, x, y)
    }

    fn dot(&mut self) -> Value {
        let (x, y) = self.pop2_vectors(I16X8);
        self.dot_product(x, y)
    }

    /// Multiplies lanes and adds the products of neighbours, in lanes of twice the width.
    pub(super) fn dot_product(&mut self, x: Value, y: Value) -> Value {
        let low = self.product(x, y, Opcode::SwidenLow);
        let high = self.product(x, y, Opcode::SwidenHigh);
        self.builder.ins().iadd_pairwise(low, high)
    }

    /// Products and pairwise sums of widened lanes.
    fn widening(&mut self, op: &Operator<'_>) -> Option<Value> {
        use Opcode::{SwidenHigh, SwidenLow, UwidenHigh, UwidenLow};
        use Operator as Op;
        Some(match op {
            Op::I16x8ExtMulLowI8x16S => self.extended_product(I8X16, SwidenLow),
            Op::I16x8ExtMulHighI8x16S => self.extended_product(I8X16, SwidenHigh),
            Op::I16x8ExtMulLowI8x16U => self.extended_product(I8X16, UwidenLow),
            Op::I16x8ExtMulHighI8x16U => self.extended_product(I8X16, UwidenHigh),
            Op::I32x4ExtMulLowI16x8S => self.extended_product(I16X8, SwidenLow),
            Op::I32x4ExtMulHighI16x8S => self.extended_product(I16X8, SwidenHigh),
            Op::I32x4ExtMulLowI16x8U => self.extended_product(I16X8, UwidenLow),
            Op::I32x4ExtMulHighI16x8U => self.extended_product(I16X8, UwidenHigh),
            Op::I64x2ExtMulLowI32x4S => self.extended_product(I32X4, SwidenLow),
            Op::I64x2ExtMulHighI32x4S => self.extended_product(I32X4, SwidenHigh),
            Op::I64x2ExtMulLowI32x4U => self.extended_product(I32X4, UwidenLow),
            Op::I64x2ExtMulHighI32x4U => self.extended_product(I32X4, UwidenHigh),

            Op::I16x8ExtAddPairwiseI8x16S => self.extended_sum(I8X16, SwidenLow, SwidenHigh),
            Op::I16x8ExtAddPairwiseI8x16U => self.extended_sum(I8X16, UwidenLow, UwidenHigh),
            Op::I32x4ExtAddPairwiseI16x8S => self.extended_sum(I16X8, SwidenLow, SwidenHigh),
            Op::I32x4ExtAddPairwiseI16x8U => self.extended_sum(I16X8, UwidenLow, UwidenHigh),
            _ => return None,
        })
    }

    fn extended_product(&mut self, lanes: Type, widen: Opcode) -> Value {
        let (x, y) = self.pop2_vectors(lanes);
        self.product(x, y, widen)
    }

    fn extended_sum(&mut self, lanes: Type, widen_low: Opcode, widen_high: Opcode) -> Value {
        let x = self.pop_vector(lanes);
        self.pairwise_sum(x, widen_low, widen_high)
    }

    /// The products of the low, or high, lanes of two vectors in lanes of twice the width.
    pub(super) fn product(&mut self, x: Value, y: Value, widen: Opcode) -> Value {
        let x = self.widen(x, widen);
        let y = self.widen(y, widen);
        self.builder.ins().imul(x, y)
    }

    /// The sums of neighbouring lanes, in lanes of twice the width.
    pub(super) fn pairwise_sum(&mut self, x: Value, widen_low: Opcode, widen_high: Opcode) -> Value {
        let low = self.widen(x, widen_low);
        let high = self.widen(x, widen_high);
        self.builder.ins().iadd_pairwise(low, high)
    }

    pub(super) fn widen(&mut self, x: Value, widen: Opcode) -> Value {
        let lanes = self.value_type(x);
        let (inst, dfg) = self.builder.ins().Unary(widen, lanes, x);
        dfg.first_result(inst)
    }

    /// Conversions between lanes of different width.
    fn float_conversion(&mut self, op: &Operator<'_>) -> Option<Value> {
        use Operator as Op;
        Some(match op {
            Op::I32x4TruncSatF64x2SZero => self.trunc_sat_zero(Opcode::FcvtToSintSat, Opcode::Snarrow),
            Op::I32x4TruncSatF64x2UZero => self.trunc_sat_zero(Opcode::FcvtToUintSat, Opcode::Uunarrow),
            Op::F64x2ConvertLowI32x4S => {
                let x = self.pop_vector(I32X4);
                let wide = self.builder.ins().swiden_low(x);
                self.builder.ins().fcvt_from_sint(F64X2, wide)
            }
            Op::F64x2ConvertLowI32x4U => {
                let x = self.pop_vector(I32X4);
                let wide = self.builder.ins().uwiden_low(x);
                self.builder.ins().fcvt_from_uint(F64X2, wide)
            }
            Op::F32x4DemoteF64x2Zero => {
                let x = self.pop_vector(F64X2);
                self.builder.ins().fvdemote(x)
            }
            Op::F64x2PromoteLowF32x4 => {
                let x = self.pop_vector(F32X4);
                self.builder.ins().fvpromote_low(x)
            }
            _ => return None,
        })
    }

    /// Converts two floats to integers of 64 bits and narrows those to 32, which saturates a second time, so that the
    /// result is right; the upper two lanes are zero. On x86-64 only this group exists, not its parts.
    pub(super) fn trunc_sat_zero(&mut self, convert: Opcode, narrow: Opcode) -> Value {
        let x = self.pop_vector(F64X2);
        let (inst, dfg) = self.builder.ins().Unary(convert, I64X2, x);
        let wide = dfg.first_result(inst);
        let zero = self.vector_constant(I64X2, &[0; 16]);
        let (inst, dfg) = self.builder.ins().Binary(narrow, I64X2, wide, zero);
        dfg.first_result(inst)
    }

    fn pseudo_min_max(&mut self, op: &Operator<'_>) -> Option<Value> {
        let lanes = match op {
            Operator::F32x4PMin | Operator::F32x4PMax => F32X4,
            Operator::F64x2PMin | Operator::F64x2PMax => F64X2,
            _ => return None,
        };
        let (x, y) = self.pop2_vectors(lanes);
        let max = matches!(op, Operator::F32x4PMax | Operator::F64x2PMax);
        Some(if max { self.pseudo_max(x, y) } else { self.pseudo_min(x, y) })
    }

    /// `y < x ? y : x`, so `x` where either is a NaN or both are zero.
    pub(super) fn pseudo_min(&mut self, x: Value, y: Value) -> Value {
        let less = self.builder.ins().fcmp(FloatCC::LessThan, y, x);
        self.select_lanes(less, y, x)
    }

    /// `x < y ? y : x`, so `x` where either is a NaN or both are zero.
    pub(super) fn pseudo_max(&mut self, x: Value, y: Value) -> Value {
        let less = self.builder.ins().fcmp(FloatCC::LessThan, x, y);
        self.select_lanes(less, y, x)
    }

    /// Selects floats by the mask of a comparison.
    fn select_lanes(&mut self, mask: Value, x: Value, y: Value) -> Value {
        let lanes = self.value_type(x);
        let mask = self.vector(mask, lanes);
        self.builder.ins().bitselect(mask, x, y)
    }
}
