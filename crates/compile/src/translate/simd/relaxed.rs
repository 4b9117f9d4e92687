//! The relaxed SIMD operators: those whose result may differ between processors.
//!
//! For unusual inputs (an index out of range, a NaN, a sum that overflows) the exact result costs more than what the
//! processor would give by itself. Each operator here takes the cheap instruction where the target has it. Where it
//! has none, or translation is to be deterministic, the result is that of the specification's deterministic profile.
//! [`Translator::may_relax`] is the one place that asks.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Opcode, Type, Value};
use cranelift_codegen::isa::TargetIsa;
use target_lexicon::Architecture;
use wasmparser::Operator;

use super::super::Translator;

impl Translator<'_, '_> {
    /// Translates a relaxed operator. Returns false if `op` is none.
    pub(super) fn simd_relaxed(&mut self, op: &Operator<'_>) -> bool {
        use Operator as Op;
        let result = match op {
            Op::I8x16RelaxedSwizzle => self.relaxed_swizzle(),

            Op::I32x4RelaxedTruncF32x4S => self.relaxed_trunc(),
            Op::I32x4RelaxedTruncF32x4U => {
                let x = self.pop_vector(F32X4);
                self.builder.ins().fcvt_to_uint_sat(I32X4, x)
            }
            Op::I32x4RelaxedTruncF64x2SZero => {
                let convert = if self.may_relax(is_x64) { Opcode::X86Cvtt2dq } else { Opcode::FcvtToSintSat };
                self.trunc_sat_zero(convert, Opcode::Snarrow)
            }
            Op::I32x4RelaxedTruncF64x2UZero => self.trunc_sat_zero(Opcode::FcvtToUintSat, Opcode::Uunarrow),

            Op::F32x4RelaxedMadd => self.multiply_add(F32X4),
            Op::F64x2RelaxedMadd => self.multiply_add(F64X2),
            Op::F32x4RelaxedNmadd => self.negated_multiply_add(F32X4),
            Op::F64x2RelaxedNmadd => self.negated_multiply_add(F64X2),

            Op::I8x16RelaxedLaneselect => self.lane_select(I8X16),
            Op::I16x8RelaxedLaneselect => self.lane_select(I16X8),
            Op::I32x4RelaxedLaneselect => self.lane_select(I32X4),
            Op::I64x2RelaxedLaneselect => self.lane_select(I64X2),

            Op::F32x4RelaxedMin => self.relaxed_min(F32X4),
            Op::F64x2RelaxedMin => self.relaxed_min(F64X2),
            Op::F32x4RelaxedMax => self.relaxed_max(F32X4),
            Op::F64x2RelaxedMax => self.relaxed_max(F64X2),

            Op::I16x8RelaxedQ15mulrS => self.relaxed_q15mulr(),
            Op::I16x8RelaxedDotI8x16I7x16S => {
                let (x, y) = self.pop2_vectors(I8X16);
                self.byte_dot_product(x, y)
            }
            Op::I32x4RelaxedDotI8x16I7x16AddS => self.byte_dot_product_add(),

            _ => return false,
        };
        self.push(result);
        true
    }

    /// Whether results may differ between processors and this one has what it takes.
    fn may_relax(&self, has: impl FnOnce(&dyn TargetIsa) -> bool) -> bool {
        !self.env.relaxed_simd_deterministic && has(self.env.isa)
    }

    fn relaxed_swizzle(&mut self) -> Value {
        let (x, indices) = self.pop2_vectors(I8X16);
        if self.may_relax(|isa| isa.has_x86_pshufb_lowering()) {
            self.builder.ins().x86_pshufb(x, indices)
        } else {
            self.builder.ins().swizzle(x, indices)
        }
    }

    fn relaxed_trunc(&mut self) -> Value {
        let x = self.pop_vector(F32X4);
        if self.may_relax(is_x64) {
            self.builder.ins().x86_cvtt2dq(I32X4, x)
        } else {
            self.builder.ins().fcvt_to_sint_sat(I32X4, x)
        }
    }

    /// `x * y + z`, rounded once if that is one instruction, else twice: a library call would cost far more.
    fn multiply_add(&mut self, lanes: Type) -> Value {
        let (x, y, z) = self.pop3_vectors(lanes);
        if self.may_relax(|isa| isa.has_native_fma()) {
            return self.builder.ins().fma(x, y, z);
        }
        let product = self.builder.ins().fmul(x, y);
        self.builder.ins().fadd(product, z)
    }

    /// `-(x * y) + z`.
    fn negated_multiply_add(&mut self, lanes: Type) -> Value {
        let (x, y, z) = self.pop3_vectors(lanes);
        if self.may_relax(|isa| isa.has_native_fma()) {
            let negated = self.builder.ins().fneg(x);
            return self.builder.ins().fma(negated, y, z);
        }
        let product = self.builder.ins().fmul(x, y);
        self.builder.ins().fsub(z, product)
    }

    /// Selects by the highest bit of each lane of the mask if that is one instruction, else bit by bit.
    fn lane_select(&mut self, lanes: Type) -> Value {
        let (x, y, mask) = self.pop3_vectors(lanes);
        if self.may_relax(|isa| isa.has_blendv_lowering(lanes)) {
            self.builder.ins().blendv(mask, x, y)
        } else {
            self.builder.ins().bitselect(mask, x, y)
        }
    }

    /// On x86-64 the pseudo-minimum is one instruction and the true one is several; on aarch64 it is the reverse.
    fn relaxed_min(&mut self, lanes: Type) -> Value {
        let (x, y) = self.pop2_vectors(lanes);
        if self.may_relax(is_x64) { self.pseudo_min(x, y) } else { self.builder.ins().fmin(x, y) }
    }

    /// As [`relaxed_min`](Self::relaxed_min).
    fn relaxed_max(&mut self, lanes: Type) -> Value {
        let (x, y) = self.pop2_vectors(lanes);
        if self.may_relax(is_x64) { self.pseudo_max(x, y) } else { self.builder.ins().fmax(x, y) }
    }

    fn relaxed_q15mulr(&mut self) -> Value {
        let (x, y) = self.pop2_vectors(I16X8);
        if self.may_relax(|isa| isa.has_x86_pmulhrsw_lowering()) {
            self.builder.ins().x86_pmulhrsw(x, y)
        } else {
            self.builder.ins().sqmul_round_sat(x, y)
        }
    }

    /// The sums of the products of neighbouring bytes, in 16 bits. They are exact if no byte of `y` has its highest
    /// bit set; otherwise x86-64 sees that byte as unsigned.
    fn byte_dot_product(&mut self, x: Value, y: Value) -> Value {
        if self.may_relax(|isa| isa.has_x86_pmaddubsw_lowering()) {
            return self.builder.ins().x86_pmaddubsw(x, y);
        }
        // Only two products of -128 by -128 exceed 16 bits. The specification saturates their sum.
        if self.may_relax(|_| true) {
            return self.dot_product(x, y);
        }
        let (x_low, y_low) = (self.widen(x, Opcode::SwidenLow), self.widen(y, Opcode::SwidenLow));
        let low = self.dot_product(x_low, y_low);
        let (x_high, y_high) = (self.widen(x, Opcode::SwidenHigh), self.widen(y, Opcode::SwidenHigh));
        let high = self.dot_product(x_high, y_high);
        self.builder.ins().snarrow(low, high)
    }

    /// The sums of the products of four neighbouring bytes in 32 bits, plus a third vector.
    fn byte_dot_product_add(&mut self) -> Value {
        let z = self.pop_vector(I32X4);
        let (x, y) = self.pop2_vectors(I8X16);
        let sum = if self.may_relax(has_four_byte_dot_product) {
            self.four_byte_dot_product(x, y)
        } else {
            let pairs = self.byte_dot_product(x, y);
            self.pairwise_sum(pairs, Opcode::SwidenLow, Opcode::SwidenHigh)
        };
        self.builder.ins().iadd(sum, z)
    }

    /// The sums of four products without a step in 16 bits. With the addition that follows, this tree is what the
    /// backends recognise as `vpdpbusd` and `sdot`. The former sees `y` as unsigned.
    fn four_byte_dot_product(&mut self, x: Value, y: Value) -> Value {
        let (widen_low, widen_high) = if is_x64(self.env.isa) {
            (Opcode::UwidenLow, Opcode::UwidenHigh)
        } else {
            (Opcode::SwidenLow, Opcode::SwidenHigh)
        };
        let (x_low, y_low) = (self.widen(x, Opcode::SwidenLow), self.widen(y, widen_low));
        let low = self.builder.ins().imul(x_low, y_low);
        let low = self.pairwise_sum(low, Opcode::SwidenLow, Opcode::SwidenHigh);
        let (x_high, y_high) = (self.widen(x, Opcode::SwidenHigh), self.widen(y, widen_high));
        let high = self.builder.ins().imul(x_high, y_high);
        let high = self.pairwise_sum(high, Opcode::SwidenLow, Opcode::SwidenHigh);
        self.builder.ins().iadd_pairwise(low, high)
    }
}

fn is_x64(isa: &dyn TargetIsa) -> bool {
    isa.triple().architecture == Architecture::X86_64
}

/// Whether the sum of four products of bytes is cheap without a step in 16 bits: one instruction with these extensions
/// of x86-64, six at worst on aarch64.
fn has_four_byte_dot_product(isa: &dyn TargetIsa) -> bool {
    if !is_x64(isa) {
        return true;
    }
    let flags = isa.isa_flags();
    let has = |name| flags.iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    (has("has_avx") && has("has_avx_vnni")) || (has("has_avx512vl") && has("has_avx512vnni"))
}
