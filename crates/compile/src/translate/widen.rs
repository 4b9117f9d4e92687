//! Indices of 32 bits as 64 bits, without an instruction where there is a value already.
//!
//! What is loaded as an index (a pointer, to the language that the guest was written in) was loaded to a register of 64
//! bits, of which the upper half is zero. The code generator knows that of sums, but extends what it loaded once
//! more, which pointer-chasing programs wait for. So the load itself becomes one of 64 bits, and whoever wants the 32 gets its
//! lower half, which is the same register.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value, types};

use super::Translator;

impl Translator<'_, '_> {
    /// An index or length as 64 bits: those of 32 bits are unsigned.
    pub(super) fn extend_index(&mut self, value: Value) -> Value {
        if self.value_type(value) != types::I32 {
            return value;
        }
        match wide_load(self.builder.func, value) {
            Some(wide) => wide,
            None => self.builder.ins().uextend(types::I64, value),
        }
    }
}

/// The result of a load of 64 bits whose lower half the value is, if there is such a load or can be one.
fn wide_load(func: &mut Function, value: Value) -> Option<Value> {
    let value = func.dfg.resolve_aliases(value);
    let inst = func.dfg.value_def(value).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::Unary { opcode: Opcode::Ireduce, arg } => {
            let load = func.dfg.value_def(arg).inst()?;
            wide_opcode(func, load).filter(|wide| *wide == func.dfg.insts[load].opcode()).map(|_| arg)
        }
        InstructionData::Load { flags, arg, offset, .. } => {
            let opcode = wide_opcode(func, inst)?;
            func.dfg.insts[inst] = InstructionData::Load { opcode, flags, arg, offset };
            let wide = func.dfg.replace_result(value, types::I64);
            let mut cursor = FuncCursor::new(func).after_inst(inst);
            cursor.ins().with_result(value).ireduce(types::I32, wide);
            Some(wide)
        }
        _ => None,
    }
}

/// How to load the same to 64 bits.
fn wide_opcode(func: &Function, load: Inst) -> Option<Opcode> {
    match func.dfg.insts[load].opcode() {
        Opcode::Load | Opcode::Uload32 => Some(Opcode::Uload32),
        narrow @ (Opcode::Uload8 | Opcode::Uload16) => Some(narrow),
        _ => None,
    }
}
