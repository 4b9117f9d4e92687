//! Puts instructions where their operands are, after the code generator's optimiser.
//!
//! The optimiser puts an instruction without side effects where its result is first needed. In a long run of loads, sums and
//! stores all loads come first, then all sums, and what was loaded waits in registers, of which there are too few. Here
//! such an instruction moves up to the last of its operands, if one of them is needed nowhere else: then no more values
//! wait than before, and mostly fewer. A load next to its only use can also become part of that instruction.
//!
//! ```text
//!  a = load; b = load; c = load; d = load; e = a * b; f = c * d        four values wait
//!  a = load; b = load; e = a * b; c = load; d = load; f = c * d        three
//! ```
//!
//! Invariant: an instruction moves within its block only, and never before one of its operands.

use cranelift_codegen::ir::{Block, Function, Inst, Opcode, Value, ValueDef, types};

/// Buffers that are kept from one function to the next.
#[derive(Default)]
pub(crate) struct Scheduler {
    /// How often each value is used, up to two.
    uses: Vec<u8>,
    /// Where each instruction is.
    places: Vec<Place>,
    /// The instructions of one block, with what they stand behind.
    order: Vec<(u32, Inst, bool)>,
}

/// Where an instruction is.
#[derive(Copy, Clone)]
struct Place {
    /// Its block; none yet if it is the highest number.
    block: u32,
    /// How many instructions were before it.
    number: u32,
    /// The number of the instruction that it stands behind now; its own, if it has not moved.
    anchor: u32,
}

const NOWHERE: Place = Place { block: u32::MAX, number: 0, anchor: 0 };

impl Scheduler {
    /// Moves the instructions of a function.
    pub(crate) fn run(&mut self, func: &mut Function) {
        self.count_uses(func);
        self.places.clear();
        self.places.resize(func.dfg.num_insts(), NOWHERE);
        let mut next = func.layout.entry_block();
        while let Some(block) = next {
            self.block(func, block);
            next = func.layout.next_block(block);
        }
    }

    fn count_uses(&mut self, func: &Function) {
        self.uses.clear();
        self.uses.resize(func.dfg.num_values(), 0);
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for value in func.dfg.inst_values(inst) {
                    let uses = &mut self.uses[func.dfg.resolve_aliases(value).as_u32() as usize];
                    *uses = (*uses + 1).min(2);
                }
            }
        }
    }

    fn block(&mut self, func: &mut Function, block: Block) {
        self.order.clear();
        let mut moved = false;
        for (number, inst) in (0..).zip(func.layout.block_insts(block)) {
            let anchor = self.anchor(func, block, inst).filter(|anchor| *anchor + 1 < number);
            if let Some(anchor) = anchor {
                moved = true;
                self.take_constants_along(func, block, inst, anchor);
            }
            let place = Place { block: block.as_u32(), number, anchor: anchor.unwrap_or(number) };
            self.places[inst.as_u32() as usize] = place;
            self.order.push((anchor.unwrap_or(number), inst, anchor.is_some()));
        }
        if !moved {
            return;
        }
        self.order.sort_by_key(|(anchor, ..)| *anchor);
        for at in (0..self.order.len() - 1).rev() {
            let (_, inst, moves) = self.order[at];
            if moves {
                func.layout.remove_inst(inst);
                func.layout.insert_inst(inst, self.order[at + 1].1);
            }
        }
    }

    /// Moves the constants among the operands of an instruction that moves.
    fn take_constants_along(&mut self, func: &Function, block: Block, inst: Inst, anchor: u32) {
        for value in func.dfg.inst_args(inst) {
            let ValueDef::Result(def, _) = func.dfg.value_def(func.dfg.resolve_aliases(*value)) else { continue };
            let place = &mut self.places[def.as_u32() as usize];
            if is_constant(func.dfg.insts[def].opcode()) && place.block == block.as_u32() && place.anchor > anchor {
                place.anchor = anchor;
                self.order[place.number as usize] = (anchor, def, true);
            }
        }
    }

    /// What an instruction is to stand behind, if it should move.
    fn anchor(&self, func: &Function, block: Block, inst: Inst) -> Option<u32> {
        let dfg = &func.dfg;
        let opcode = dfg.insts[inst].opcode();
        if !is_free(opcode) {
            return None;
        }
        let [result] = dfg.inst_results(inst) else { return None };
        if dfg.value_type(*result) == types::I128 {
            return None;
        }
        let (mut last, mut ends) = (None, false);
        for value in dfg.inst_args(inst) {
            let value = dfg.resolve_aliases(*value);
            let ValueDef::Result(def, _) = dfg.value_def(value) else {
                ends |= self.is_used_once(value);
                continue;
            };
            if is_constant(dfg.insts[def].opcode()) {
                continue;
            }
            ends |= self.is_used_once(value);
            let place = self.places[def.as_u32() as usize];
            if place.block == block.as_u32() {
                last = last.max(Some(place.anchor));
            }
        }
        last.filter(|_| ends)
    }

    fn is_used_once(&self, value: Value) -> bool {
        self.uses[value.as_u32() as usize] == 1
    }
}

/// Whether instructions of a kind do nothing but compute their results.
fn is_free(opcode: Opcode) -> bool {
    !(opcode.is_terminator()
        || opcode.is_branch()
        || opcode.is_call()
        || opcode.is_return()
        || opcode.can_trap()
        || opcode.other_side_effects()
        || opcode.can_load()
        || opcode.can_store())
}

/// Whether the results of such instructions are made again wherever they are needed.
fn is_constant(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Iconst | Opcode::F32const | Opcode::F64const | Opcode::Vconst)
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::cursor::{Cursor, FuncCursor};
    use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature};
    use cranelift_codegen::isa::CallConv;
    use cranelift_codegen::settings::{Flags, builder};
    use cranelift_codegen::verify_function;

    use super::*;

    /// The opcodes of a function of an address and a number, before and after; both are valid.
    fn order(fill: impl FnOnce(&mut FuncCursor<'_>, Value, Value)) -> [Vec<Opcode>; 2] {
        let mut func = Function::new();
        func.signature = Signature::new(CallConv::SystemV);
        func.signature.params.extend([types::I64, types::F64].map(AbiParam::new));
        let block = func.dfg.make_block();
        let [address, number] = [types::I64, types::F64].map(|ty| func.dfg.append_block_param(block, ty));
        let mut cursor = FuncCursor::new(&mut func);
        cursor.insert_block(block);
        fill(&mut cursor, address, number);
        cursor.ins().return_(&[]);
        let opcodes = |func: &Function| {
            let insts = func.layout.block_insts(block);
            insts.map(|inst| func.dfg.insts[inst].opcode()).collect::<Vec<_>>()
        };
        let before = opcodes(&func);
        Scheduler::default().run(&mut func);
        verify_function(&func, &Flags::new(builder())).unwrap();
        [before, opcodes(&func)]
    }

    fn load(cursor: &mut FuncCursor<'_>, address: Value, offset: i32) -> Value {
        cursor.ins().load(types::F64, MemFlagsData::new(), address, offset)
    }

    #[test]
    fn what_uses_up_its_operands_moves_up_to_them_and_takes_constants_along() {
        let [_, after] = order(|cursor, address, number| {
            let [a, b, c] = [0, 8, 16].map(|offset| load(cursor, address, offset));
            let constant = cursor.ins().f64const(0.5);
            let product = cursor.ins().fmul(a, b);
            let half = cursor.ins().fmul(product, constant);
            let sum = cursor.ins().fadd(half, number);
            let sum = cursor.ins().fadd(sum, c);
            cursor.ins().store(MemFlagsData::new(), sum, address, 24);
        });
        use Opcode::{F64const, Fadd, Fmul, Load, Return, Store};
        assert_eq!(after, [Load, Load, F64const, Fmul, Fmul, Fadd, Load, Fadd, Store, Return]);
    }

    #[test]
    fn what_is_needed_again_or_has_effects_stays() {
        let [before, after] = order(|cursor, address, number| {
            let [a, b] = [0, 8].map(|offset| load(cursor, address, offset));
            let loaded = cursor.ins().load(types::I64, MemFlagsData::new(), address, 16);
            // Both operands are stored later.
            let sum = cursor.ins().fadd(a, number);
            let quotient = cursor.ins().udiv(loaded, address);
            for (offset, value) in (24..).step_by(8).zip([sum, a, b, number, quotient]) {
                cursor.ins().store(MemFlagsData::new(), value, address, offset);
            }
        });
        assert_eq!(before, after);
    }
}
