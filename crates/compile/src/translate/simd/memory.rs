//! Vector loads and stores.
//!
//! A lane access is a scalar access next to a lane move; the backends merge the two where the processor can.

use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Opcode, Type, Value};
use wasmparser::{MemArg, Operator};

use super::super::Translator;

impl Translator<'_, '_> {
    /// Translates a vector load or store. Returns false if `op` is neither.
    pub(super) fn simd_memory(&mut self, op: &Operator<'_>) -> bool {
        use Operator as Op;
        match op {
            Op::V128Load { memarg } => {
                let loaded = self.load_for_vector(memarg, I8X16);
                self.push(loaded);
            }
            Op::V128Store { memarg } => {
                let value = self.pop_vector(I8X16);
                self.store_from_vector(memarg, value);
            }

            Op::V128Load8x8S { memarg } => self.load_extend(memarg, Opcode::Sload8x8),
            Op::V128Load8x8U { memarg } => self.load_extend(memarg, Opcode::Uload8x8),
            Op::V128Load16x4S { memarg } => self.load_extend(memarg, Opcode::Sload16x4),
            Op::V128Load16x4U { memarg } => self.load_extend(memarg, Opcode::Uload16x4),
            Op::V128Load32x2S { memarg } => self.load_extend(memarg, Opcode::Sload32x2),
            Op::V128Load32x2U { memarg } => self.load_extend(memarg, Opcode::Uload32x2),

            Op::V128Load8Splat { memarg } => self.load_splat(memarg, I8X16),
            Op::V128Load16Splat { memarg } => self.load_splat(memarg, I16X8),
            Op::V128Load32Splat { memarg } => self.load_splat(memarg, I32X4),
            Op::V128Load64Splat { memarg } => self.load_splat(memarg, I64X2),

            Op::V128Load32Zero { memarg } => self.load_zero(memarg, I32X4),
            Op::V128Load64Zero { memarg } => self.load_zero(memarg, I64X2),

            Op::V128Load8Lane { memarg, lane } => self.load_lane(memarg, I8X16, *lane),
            Op::V128Load16Lane { memarg, lane } => self.load_lane(memarg, I16X8, *lane),
            Op::V128Load32Lane { memarg, lane } => self.load_lane(memarg, I32X4, *lane),
            Op::V128Load64Lane { memarg, lane } => self.load_lane(memarg, I64X2, *lane),

            Op::V128Store8Lane { memarg, lane } => self.store_lane(memarg, I8X16, *lane),
            Op::V128Store16Lane { memarg, lane } => self.store_lane(memarg, I16X8, *lane),
            Op::V128Store32Lane { memarg, lane } => self.store_lane(memarg, I32X4, *lane),
            Op::V128Store64Lane { memarg, lane } => self.store_lane(memarg, I64X2, *lane),

            _ => return false,
        }
        true
    }

    /// Loads 8 bytes and widens their lanes to twice the width.
    fn load_extend(&mut self, memarg: &MemArg, opcode: Opcode) {
        let index = self.pop();
        let (address, offset, flags) = self.address(memarg, index, 8);
        let ins = self.builder.ins();
        let loaded = match opcode {
            Opcode::Sload8x8 => ins.sload8x8(flags, address, offset),
            Opcode::Uload8x8 => ins.uload8x8(flags, address, offset),
            Opcode::Sload16x4 => ins.sload16x4(flags, address, offset),
            Opcode::Uload16x4 => ins.uload16x4(flags, address, offset),
            Opcode::Sload32x2 => ins.sload32x2(flags, address, offset),
            _ => ins.uload32x2(flags, address, offset),
        };
        self.push(loaded);
    }

    /// Loads one lane and repeats it in all.
    fn load_splat(&mut self, memarg: &MemArg, lanes: Type) {
        let lane = self.load_for_vector(memarg, lanes.lane_type());
        let result = self.builder.ins().splat(lanes, lane);
        self.push(result);
    }

    /// Loads lane 0; the others are zero.
    fn load_zero(&mut self, memarg: &MemArg, lanes: Type) {
        let lane = self.load_for_vector(memarg, lanes.lane_type());
        let result = self.builder.ins().scalar_to_vector(lanes, lane);
        self.push(result);
    }

    /// Loads one lane of the vector on top of the stack.
    fn load_lane(&mut self, memarg: &MemArg, lanes: Type, lane: u8) {
        let vector = self.pop_vector(lanes);
        let loaded = self.load_for_vector(memarg, lanes.lane_type());
        let result = self.builder.ins().insertlane(vector, loaded, lane);
        self.push(result);
    }

    /// Stores one lane of the vector on top of the stack.
    fn store_lane(&mut self, memarg: &MemArg, lanes: Type, lane: u8) {
        let vector = self.pop_vector(lanes);
        let value = self.builder.ins().extractlane(vector, lane);
        self.store_from_vector(memarg, value);
    }

    /// Pops an index and loads a whole vector or one lane from there.
    fn load_for_vector(&mut self, memarg: &MemArg, ty: Type) -> Value {
        let index = self.pop();
        let (address, offset, flags) = self.address(memarg, index, ty.bytes());
        self.builder.ins().load(ty, flags, address, offset)
    }

    /// Pops an index and stores a whole vector or one lane there.
    fn store_from_vector(&mut self, memarg: &MemArg, value: Value) {
        let index = self.pop();
        let bytes = self.value_type(value).bytes();
        let (address, offset, flags) = self.address(memarg, index, bytes);
        self.builder.ins().store(flags, value, address, offset);
    }
}
