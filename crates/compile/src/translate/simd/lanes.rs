//! Operators that make vectors of scalars, move lanes, or ask about all lanes at once.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{ConstantData, InstBuilder, Opcode, Type, Value};
use wasmparser::Operator;

use super::super::Translator;

impl Translator<'_, '_> {
    /// Translates an operator on lanes. Returns false if `op` is none.
    pub(super) fn simd_lanes(&mut self, op: &Operator<'_>) -> bool {
        use Operator as Op;
        match op {
            Op::V128Const { value } => {
                let result = self.vector_constant(I8X16, value.bytes());
                self.push(result);
            }

            Op::I8x16Splat => self.splat(I8X16),
            Op::I16x8Splat => self.splat(I16X8),
            Op::I32x4Splat => self.splat(I32X4),
            Op::I64x2Splat => self.splat(I64X2),
            Op::F32x4Splat => self.splat(F32X4),
            Op::F64x2Splat => self.splat(F64X2),

            Op::I8x16ExtractLaneS { lane } => self.extract_narrow(I8X16, *lane, Opcode::Sextend),
            Op::I8x16ExtractLaneU { lane } => self.extract_narrow(I8X16, *lane, Opcode::Uextend),
            Op::I16x8ExtractLaneS { lane } => self.extract_narrow(I16X8, *lane, Opcode::Sextend),
            Op::I16x8ExtractLaneU { lane } => self.extract_narrow(I16X8, *lane, Opcode::Uextend),
            Op::I32x4ExtractLane { lane } => self.extract(I32X4, *lane),
            Op::I64x2ExtractLane { lane } => self.extract(I64X2, *lane),
            Op::F32x4ExtractLane { lane } => self.extract(F32X4, *lane),
            Op::F64x2ExtractLane { lane } => self.extract(F64X2, *lane),

            Op::I8x16ReplaceLane { lane } => self.replace(I8X16, *lane),
            Op::I16x8ReplaceLane { lane } => self.replace(I16X8, *lane),
            Op::I32x4ReplaceLane { lane } => self.replace(I32X4, *lane),
            Op::I64x2ReplaceLane { lane } => self.replace(I64X2, *lane),
            Op::F32x4ReplaceLane { lane } => self.replace(F32X4, *lane),
            Op::F64x2ReplaceLane { lane } => self.replace(F64X2, *lane),

            Op::I8x16Shuffle { lanes } => self.shuffle(lanes),
            Op::I8x16Swizzle => {
                let (x, indices) = self.pop2_vectors(I8X16);
                let result = self.builder.ins().swizzle(x, indices);
                self.push(result);
            }

            Op::V128AnyTrue => self.test_lanes(Opcode::VanyTrue, I8X16),
            Op::I8x16AllTrue => self.test_lanes(Opcode::VallTrue, I8X16),
            Op::I16x8AllTrue => self.test_lanes(Opcode::VallTrue, I16X8),
            Op::I32x4AllTrue => self.test_lanes(Opcode::VallTrue, I32X4),
            Op::I64x2AllTrue => self.test_lanes(Opcode::VallTrue, I64X2),

            Op::I8x16Bitmask => self.bitmask(I8X16),
            Op::I16x8Bitmask => self.bitmask(I16X8),
            Op::I32x4Bitmask => self.bitmask(I32X4),
            Op::I64x2Bitmask => self.bitmask(I64X2),

            _ => return false,
        }
        true
    }

    /// A vector of these 16 bytes, lowest first.
    pub(super) fn vector_constant(&mut self, lanes: Type, bytes: &[u8; 16]) -> Value {
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
        self.builder.ins().vconst(lanes, constant)
    }

    fn splat(&mut self, lanes: Type) {
        let scalar = self.pop_lane(lanes);
        let result = self.builder.ins().splat(lanes, scalar);
        self.push(result);
    }

    fn extract(&mut self, lanes: Type, lane: u8) {
        let x = self.pop_vector(lanes);
        let result = self.builder.ins().extractlane(x, lane);
        self.push(result);
    }

    /// Extracts a lane of fewer than 32 bits and extends it.
    fn extract_narrow(&mut self, lanes: Type, lane: u8, extend: Opcode) {
        let x = self.pop_vector(lanes);
        let narrow = self.builder.ins().extractlane(x, lane);
        let (inst, dfg) = self.builder.ins().Unary(extend, I32, narrow);
        let result = dfg.first_result(inst);
        self.push(result);
    }

    fn replace(&mut self, lanes: Type, lane: u8) {
        let scalar = self.pop_lane(lanes);
        let x = self.pop_vector(lanes);
        let result = self.builder.ins().insertlane(x, scalar, lane);
        self.push(result);
    }

    /// Pops a scalar; lanes of fewer than 32 bits come as an `i32` of which the upper bits do not count.
    fn pop_lane(&mut self, lanes: Type) -> Value {
        let scalar = self.pop();
        let lane = lanes.lane_type();
        if lane.bits() < 32 { self.builder.ins().ireduce(lane, scalar) } else { scalar }
    }

    fn shuffle(&mut self, lanes: &[u8; 16]) {
        let (x, y) = self.pop2_vectors(I8X16);
        let mask = self.builder.func.dfg.immediates.push(ConstantData::from(&lanes[..]));
        let result = self.builder.ins().shuffle(x, y, mask);
        self.push(result);
    }

    /// Pushes whether any lane, or every lane, is not zero.
    fn test_lanes(&mut self, opcode: Opcode, lanes: Type) {
        let x = self.pop_vector(lanes);
        let (inst, dfg) = self.builder.ins().Unary(opcode, lanes, x);
        let truth = dfg.first_result(inst);
        let result = self.builder.ins().uextend(I32, truth);
        self.push(result);
    }

    fn bitmask(&mut self, lanes: Type) {
        let x = self.pop_vector(lanes);
        let result = self.builder.ins().vhigh_bits(I32, x);
        self.push(result);
    }
}
