//! The vector instructions: every operator of the SIMD and of the relaxed SIMD proposal.
//!
//! A `v128` of WebAssembly is 128 bits without a lane type; a CLIF vector has one. So each operator names the lanes
//! that it sees, what it pops is reinterpreted as those ([`Translator::vector`], no machine code), and what it pushes
//! keeps the type that fell out of it. Lane 0 is the lowest on both sides, and both are little endian.
//!
//! Most operators are exactly one CLIF instruction: [`shape`] lists those. The rest is code: [`memory`] for loads and
//! stores, [`lanes`] for what moves or inspects lanes, [`compound`] for what takes several instructions, and
//! [`relaxed`] for what may differ between processors. Several combinations are spelled as they are because a backend
//! recognises that very combination; the comment there says so.
//!
//! Invariant: nothing here becomes a library call on aarch64, or on x86-64 with SSSE3 and SSE4.1.

use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::Operator;

use self::shape::Shape;
use super::Translator;
use crate::Error;

mod compound;
mod lanes;
mod memory;
mod relaxed;
mod shape;

impl Translator<'_, '_> {
    /// Translates one vector instruction.
    ///
    /// Fails with [`Error::Unsupported`] if `op` is not one.
    pub(super) fn simd(&mut self, op: &Operator<'_>) -> Result<(), Error> {
        if let Some(shape) = shape::shape(op) {
            self.vector_shape(shape);
            return Ok(());
        }
        let known = self.simd_lanes(op) || self.simd_compound(op) || self.simd_relaxed(op) || self.simd_memory(op);
        if known {
            return Ok(());
        }
        // `Name { immediates }`
        let text = format!("{op:?}");
        let name = text.split(' ').next().unwrap_or_default();
        Err(Error::unsupported(format!("the instruction {name}"), self.offset))
    }

    /// Translates an operator that is one CLIF instruction.
    fn vector_shape(&mut self, shape: Shape) {
        let result = match shape {
            Shape::Unary(opcode, lanes) => {
                let x = self.pop_vector(lanes);
                let (inst, dfg) = self.builder.ins().Unary(opcode, lanes, x);
                dfg.first_result(inst)
            }
            Shape::Binary(opcode, lanes) => {
                let (x, y) = self.pop2_vectors(lanes);
                let (inst, dfg) = self.builder.ins().Binary(opcode, lanes, x, y);
                dfg.first_result(inst)
            }
            Shape::Convert(opcode, from, to) => {
                let x = self.pop_vector(from);
                let (inst, dfg) = self.builder.ins().Unary(opcode, to, x);
                dfg.first_result(inst)
            }
            // CLIF takes the count modulo the lane width, as WebAssembly does.
            Shape::Shift(opcode, lanes) => {
                let count = self.pop();
                let x = self.pop_vector(lanes);
                let (inst, dfg) = self.builder.ins().Binary(opcode, lanes, x, count);
                dfg.first_result(inst)
            }
            Shape::CompareIntegers(condition, lanes) => {
                let (x, y) = self.pop2_vectors(lanes);
                self.builder.ins().icmp(condition, x, y)
            }
            Shape::CompareFloats(condition, lanes) => {
                let (x, y) = self.pop2_vectors(lanes);
                self.builder.ins().fcmp(condition, x, y)
            }
        };
        self.push(result);
    }

    /// Pops a vector and sees it as these lanes.
    fn pop_vector(&mut self, lanes: Type) -> Value {
        let x = self.pop();
        self.vector(x, lanes)
    }

    /// Pops the two vectors that were pushed first and second.
    fn pop2_vectors(&mut self, lanes: Type) -> (Value, Value) {
        let y = self.pop_vector(lanes);
        let x = self.pop_vector(lanes);
        (x, y)
    }

    /// Pops the three vectors that were pushed first, second and third.
    fn pop3_vectors(&mut self, lanes: Type) -> (Value, Value, Value) {
        let z = self.pop_vector(lanes);
        let (x, y) = self.pop2_vectors(lanes);
        (x, y, z)
    }
}
