//! What is known of the indices of memories, so that an explicit check is made once and not at each access.
//!
//! A check proves that `index + reach` is within a memory. Values of CLIF never change and memories never shrink, so that
//! stays true wherever the check dominates, whatever happens meanwhile; accesses that reach less far need no check.
//! [`Proofs`] follows the nesting of structures: what was proven on one way to a label is forgotten at the label, unless
//! it was proven on all of them.
//!
//! Some indices need no proof: constants, and what masks, shifts and narrow loads keep small ([`largest`]).
//!
//! Size and base of a memory are loaded at each access and merged by the code generator. It does not know of most loops
//! that both stay the same in them; where nothing in a loop calls, they are loaded before it ([`Preloaded`]).

use std::collections::HashMap;

use cranelift_codegen::ir::{DataFlowGraph, InstBuilder, InstructionData, Opcode, Type, Value, ValueDef, types};
use hotfoot_abi::trap::TrapCode;
use wasmparser::{FunctionBody, Operator, OperatorsReader};

use super::env::Env;
use super::{Translator, meter};
use crate::Error;

/// How many instructions back [`largest`] looks.
const DEPTH_MAX: u32 = 6;

/// What was proven of an index.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Proof {
    /// Accesses that end so many bytes behind the index, or fewer, are inside of the memory, or fault in its guard.
    reach: u64,
    /// The index as 64 bits; where the Spectre mitigation asks for it, zero if the check fails under speculation.
    index: Value,
}

/// A memory, and an index as the program has it.
type Key = (u32, Value);

/// What was proven on every way that leads here.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    known: HashMap<Key, Proof>,
    /// What `known` had before each change, oldest first.
    changes: Vec<(Key, Option<Proof>)>,
}

impl Proofs {
    /// A mark of what is known now, for [`Proofs::forget`]. Marks of what was known earlier are smaller.
    pub(super) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Forgets all that was proven since the mark.
    pub(super) fn forget(&mut self, mark: usize) {
        while self.changes.len() > mark {
            let Some((key, before)) = self.changes.pop() else { return };
            match before {
                Some(proof) => self.known.insert(key, proof),
                None => self.known.remove(&key),
            };
        }
    }

    fn add(&mut self, key: Key, proof: Proof) {
        let before = self.known.insert(key, proof);
        self.changes.push((key, before));
    }
}

/// Size and base of the first memory, loaded before a loop in which they stay the same.
#[derive(Debug)]
pub(super) struct Preloaded {
    len: Value,
    base: Value,
    len_is_used: bool,
    base_is_used: bool,
}

/// Where in the binary those loops of a function begin in which nothing is called that could change a memory, in order;
/// none where no check needs to know.
pub(super) fn quiet_loops(env: &Env<'_>, body: &FunctionBody<'_>) -> Result<Vec<u64>, Error> {
    let (tunables, mut quiet) = (env.tunables, Vec::new());
    let Some(memory) = env.module.info.memories.first() else { return Ok(quiet) };
    // Who is asked at a deadline may do anything. What other threads do shows at each access, or not.
    let may_change = tunables.consume_fuel || tunables.epoch_interruption || memory.shared;
    if may_change || tunables.access_needs_no_check(memory.shape(), 0, 1) {
        return Ok(quiet);
    }
    let (mut open, mut calls) = (Vec::new(), 0);
    let mut operators: OperatorsReader<'_> = body.get_operators_reader()?;
    while !operators.eof() {
        let (op, offset) = operators.read_with_offset()?;
        match op {
            Operator::Loop { .. } => open.push(Some((offset, calls))),
            Operator::Block { .. } | Operator::If { .. } | Operator::Try { .. } | Operator::TryTable { .. } => {
                open.push(None);
            }
            Operator::End | Operator::Delegate { .. } => {
                if let Some(Some((offset, _))) = open.pop().filter(|top| top.is_some_and(|(_, before)| before == calls))
                {
                    quiet.push(offset);
                }
            }
            op => calls += usize::from(meter::calls(&op) || matches!(op, Operator::MemoryGrow { .. })),
        }
    }
    quiet.sort_unstable();
    Ok(quiet)
}

/// The largest number that an index can be, as far as a look at the instructions that make it tells.
fn largest(dfg: &DataFlowGraph, value: Value, depth: u32) -> u64 {
    let any = all_ones(dfg.value_type(value));
    let ValueDef::Result(inst, 0) = dfg.value_def(dfg.resolve_aliases(value)) else { return any };
    let Some(depth) = depth.checked_sub(1) else { return any };
    let of = |value: Value| largest(dfg, value, depth);
    let found = match dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits() as u64 & any),
        InstructionData::Unary { opcode: Opcode::Uextend, arg } => Some(of(arg)),
        InstructionData::Load { opcode: Opcode::Uload8, .. } => Some(u64::from(u8::MAX)),
        InstructionData::Load { opcode: Opcode::Uload16, .. } => Some(u64::from(u16::MAX)),
        InstructionData::Load { opcode: Opcode::Uload32, .. } => Some(u64::from(u32::MAX)),
        InstructionData::Binary { opcode, args: [first, second] } => match opcode {
            Opcode::Band => Some(of(first).min(of(second))),
            Opcode::Bor | Opcode::Bxor => {
                Some(u64::MAX.checked_shr((of(first) | of(second)).leading_zeros()).unwrap_or(0))
            }
            Opcode::Iadd => of(first).checked_add(of(second)),
            Opcode::Imul => of(first).checked_mul(of(second)),
            Opcode::Ushr => {
                constant(dfg, second).map(|bits| of(first) >> (bits % u64::from(dfg.value_type(value).bits())))
            }
            Opcode::Ishl => constant(dfg, second).and_then(|bits| {
                let bits = bits % u64::from(dfg.value_type(value).bits());
                of(first).checked_mul(1 << bits)
            }),
            _ => None,
        },
        InstructionData::Ternary { opcode: Opcode::Select, args: [_, first, second] } => {
            Some(of(first).max(of(second)))
        }
        _ => None,
    };
    found.filter(|found| *found <= any).unwrap_or(any)
}

fn all_ones(ty: Type) -> u64 {
    u64::MAX.checked_shr(64 - ty.bits()).unwrap_or(0)
}

/// The constant that a value is.
fn constant(dfg: &DataFlowGraph, value: Value) -> Option<u64> {
    let ValueDef::Result(inst, 0) = dfg.value_def(dfg.resolve_aliases(value)) else { return None };
    match dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits() as u64),
        _ => None,
    }
}

impl Translator<'_, '_> {
    /// Traps unless an access of `size` bytes at `index + offset` stays inside of the memory, or faults. Gives the index
    /// to access, as 64 bits, and what is left to add to it.
    pub(super) fn checked_index(&mut self, memory: u32, index: Value, offset: u64, size: u64) -> (Value, u64) {
        let Some(reach) = offset.checked_add(size) else { return self.never_inside() };
        if self.is_always_inside(memory, index, offset, size) {
            return (self.extend_index(index), offset);
        }
        let key = (memory, self.builder.func.dfg.resolve_aliases(index));
        if let Some(proof) = self.proofs.known.get(&key).filter(|proof| reach <= proof.reach) {
            return (proof.index, offset);
        }
        let (tunables, shape) = (self.env.tunables, self.memory_type(memory).shape());
        let masked = self.env.memory_spectre && !tunables.stays_in_reservation(shape, offset, size);
        let index = self.extend_index(index);
        let failed = self.out_of_bounds(memory, index, offset, size);
        // What lies behind a memory faults, also under speculation. Others may make a shared memory longer meanwhile.
        if masked && tunables.guard_covers(shape, offset, size) && !shape.shared {
            let len = self.memory_byte_len(memory);
            let clamped = self.builder.ins().select_spectre_guard(failed, len, index);
            return (self.proven(key, clamped, reach), offset);
        }
        self.trap_if(failed, TrapCode::MemoryOutOfBounds);
        if !masked {
            return (self.proven(key, index, reach), offset);
        }
        // Under speculation, index 0 is accessed instead; with a large offset that were outside of the memory, too.
        let zero = self.iconst(types::I64, 0);
        if self.is_always_inside(memory, zero, offset, size) {
            let masked = self.builder.ins().select_spectre_guard(failed, zero, index);
            return (self.proven(key, masked, reach), offset);
        }
        let offset = self.iconst(types::I64, offset as i64);
        let place = self.builder.ins().iadd(index, offset);
        (self.builder.ins().select_spectre_guard(failed, zero, place), 0)
    }

    /// What no memory is large enough for.
    fn never_inside(&mut self) -> (Value, u64) {
        let always = self.iconst(types::I8, 1);
        self.trap_if(always, TrapCode::MemoryOutOfBounds);
        (self.iconst(types::I64, 0), 0)
    }

    /// Notes a proof, which is at hand where the current code dominates.
    fn proven(&mut self, key: Key, index: Value, reach: u64) -> Value {
        let tunables = self.env.tunables;
        let guarded = tunables.guard_covers(self.memory_type(key.0).shape(), 0, 0);
        let guard = if guarded { tunables.memory_guard_size } else { 0 };
        self.proofs.add(key, Proof { reach: reach.max(guard), index });
        index
    }

    /// Whether no index of this value can leave the memory, whatever its size.
    fn is_always_inside(&self, memory: u32, index: Value, offset: u64, size: u64) -> bool {
        let ty = self.memory_type(memory);
        let Some(least) = ty.minimum.checked_mul(ty.page_size()) else { return false };
        let largest = largest(&self.builder.func.dfg, index, DEPTH_MAX);
        let end = largest.saturating_add(offset).saturating_add(size);
        let covered = self.env.tunables.guard_covers(ty.shape(), offset, size);
        end <= least || covered && largest < least
    }

    /// Where a loop begins: loads what checks in it read of a memory, if that stays the same. Says whether it did.
    pub(super) fn preload(&mut self) -> bool {
        let is_quiet = self.current.quiet_loops.binary_search(&self.offset).is_ok();
        if !is_quiet || self.preloaded.is_some() || self.cold {
            return false;
        }
        let (len, base) = (self.memory_byte_len(0), self.memory_base(0));
        self.preloaded = Some(Preloaded { len, base, len_is_used: false, base_is_used: false });
        true
    }

    /// The size of a memory, and its base, as they were loaded before a loop around.
    pub(super) fn preloaded_len(&mut self, memory: u32) -> Option<Value> {
        let preloaded = self.preloaded.as_mut().filter(|_| memory == 0)?;
        preloaded.len_is_used = true;
        Some(preloaded.len)
    }

    /// See [`Translator::preloaded_len`].
    pub(super) fn preloaded_base(&mut self, memory: u32) -> Option<Value> {
        let preloaded = self.preloaded.as_mut().filter(|_| memory == 0)?;
        preloaded.base_is_used = true;
        Some(preloaded.base)
    }

    /// Where such a loop ends: takes back what was loaded before it and not used.
    pub(super) fn end_preloaded(&mut self) {
        let Some(preloaded) = self.preloaded.take() else { return };
        let loads = [(preloaded.len, preloaded.len_is_used), (preloaded.base, preloaded.base_is_used)];
        for (load, _) in loads.into_iter().filter(|(_, is_used)| !is_used) {
            if let Some(inst) = self.builder.func.dfg.value_def(load).inst() {
                self.builder.func.layout.remove_inst(inst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::cursor::{Cursor, FuncCursor};
    use cranelift_codegen::ir::{Function, MemFlagsData};

    use super::*;

    #[test]
    fn what_was_proven_since_a_mark_is_forgotten_and_the_rest_is_as_it_was() {
        let [first, second] = [1, 2].map(Value::from_u32);
        let proof = |reach| Proof { reach, index: first };
        let mut proofs = Proofs::default();
        proofs.add((0, first), proof(4));
        let mark = proofs.mark();
        proofs.add((0, first), proof(8));
        proofs.add((0, second), proof(2));
        proofs.add((0, second), proof(3));
        proofs.forget(mark);
        assert_eq!(proofs.known.get(&(0, first)), Some(&proof(4)));
        assert_eq!(proofs.known.get(&(0, second)), None);
        proofs.forget(usize::MAX);
        assert_eq!(proofs.mark(), mark);
    }

    #[test]
    fn the_largest_index_is_found_where_it_is_obvious_and_never_too_small() {
        let mut function = Function::new();
        let block = function.dfg.make_block();
        let any = function.dfg.append_block_param(block, types::I32);
        let mut cursor = FuncCursor::new(&mut function);
        cursor.insert_block(block);
        let mut number = |number: i64| cursor.ins().iconst(types::I32, number);
        let [two, minus_one, byte] = [number(2), number(0xffff_ffff), number(255)];
        let masked = cursor.ins().band(any, byte);
        let shifted = cursor.ins().ishl(masked, two);
        let out = cursor.ins().ishl(any, two);
        let sum = cursor.ins().iadd(shifted, byte);
        let wrapping = cursor.ins().iadd(sum, minus_one);
        let quarter = cursor.ins().ushr(any, two);
        let either = cursor.ins().bor(masked, two);
        let chosen = cursor.ins().select(any, two, sum);
        let wide = cursor.ins().uextend(types::I64, quarter);
        let loaded = cursor.ins().uload16(types::I32, MemFlagsData::new(), wide, 0);
        let expected = [
            (any, 0xffff_ffff),
            (minus_one, 0xffff_ffff),
            (masked, 255),
            (shifted, 1020),
            (out, 0xffff_ffff),
            (sum, 1275),
            (wrapping, 0xffff_ffff),
            (quarter, 0x3fff_ffff),
            (either, 255),
            (chosen, 1275),
            (wide, 0x3fff_ffff),
            (loaded, 0xffff),
        ];
        for (value, most) in expected {
            assert_eq!(largest(&function.dfg, value, DEPTH_MAX), most, "{}", function.dfg.display_value_inst(value));
        }
    }
}
