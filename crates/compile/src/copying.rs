//! Short runs of `memory.copy` and `memory.fill`, in compiled code.
//!
//! A run is cut into pieces of one size, the largest that fits, of which the last two may overlap: everything from 17 to 32
//! bytes, say, is two pieces of 16, one from the start and one that ends at the end. A copy loads all pieces before it
//! stores any, so its ranges may overlap; one that is too long for that goes through a loop, upwards or downwards.
//!
//! Bounds have been checked. A store may still fault, as the first write to a page of a tracked memory does; it then runs
//! again. Longer runs are the runtime's, which looks now and then whether the guest is to stop.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use hotfoot_abi::trap::TrapCode;

use crate::translate::trap_code;

/// Most bytes that are copied or filled without calling the runtime.
pub(crate) const SHORT_MAX: u64 = 512;
/// Bytes that a loop moves at a time: four pieces.
const STRIDE: i32 = 64;
/// The largest piece, which is also the size of those in loops.
const VECTOR: Type = types::I8X16;
/// Largest runs that are some pieces of one size from the start and as many from the end, with that size.
const CLASSES: [(i64, Type, i32); 7] = [
    (1, types::I8, 1),
    (3, types::I16, 1),
    (7, types::I32, 1),
    (16, types::I64, 1),
    (32, VECTOR, 1),
    (64, VECTOR, 2),
    (128, VECTOR, 4),
];

/// One load or store of a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) ty: Type,
    /// From the start of the run.
    pub(crate) offset: i32,
}

/// The pieces of a run whose length is known and not zero, ascending.
pub(crate) fn pieces(len: u64) -> impl Iterator<Item = Piece> {
    let ty = match len {
        0..2 => types::I8,
        2..4 => types::I16,
        4..8 => types::I32,
        8..16 => types::I64,
        _ => VECTOR,
    };
    let size = u64::from(ty.bytes());
    (0..len.div_ceil(size)).map(move |index| Piece { ty, offset: (index * size).min(len - size) as i32 })
}

/// A byte as often as it fits into a type.
pub(crate) fn repeat(builder: &mut FunctionBuilder<'_>, byte: Value, ty: Type) -> Value {
    if ty == types::I8 {
        return byte;
    }
    if ty.is_vector() {
        return builder.ins().splat(ty, byte);
    }
    let ones = builder.ins().iconst(ty, (0x0101_0101_0101_0101 & ty.bounds(false).1) as i64);
    let wide = builder.ins().uextend(ty, byte);
    builder.ins().imul(wide, ones)
}

/// Copies a short run and returns; goes on with what is too long.
pub(crate) fn copy_short(builder: &mut FunctionBuilder<'_>, to: Value, from: Value, len: Value) {
    let mut runs = Runs { builder, len };
    let next = runs.if_at_most(0);
    runs.done(next);
    for (most, ty, pieces) in CLASSES {
        let next = runs.if_at_most(most);
        let from_end = runs.end_of(from, pieces, ty);
        let first = runs.load(from, pieces, ty);
        let last = runs.load(from_end, pieces, ty);
        runs.store(to, &first);
        let to_end = runs.end_of(to, pieces, ty);
        runs.store(to_end, &last);
        runs.done(next);
    }
    let next = runs.if_at_most(SHORT_MAX as i64);
    let distance = runs.builder.ins().isub(to, from);
    let upwards = runs.builder.create_block();
    let downwards = runs.builder.create_block();
    let hits = runs.builder.ins().icmp(IntCC::UnsignedLessThan, distance, len);
    runs.builder.ins().brif(hits, downwards, &[], upwards, &[]);
    runs.enter(upwards);
    runs.copy_upwards(to, from);
    runs.enter(downwards);
    runs.copy_downwards(to, from);
    runs.enter(next);
}

/// Fills a short run and returns; goes on with what is too long.
pub(crate) fn fill_short(builder: &mut FunctionBuilder<'_>, to: Value, byte: Value, len: Value) {
    let byte = builder.ins().ireduce(types::I8, byte);
    let mut runs = Runs { builder, len };
    let next = runs.if_at_most(0);
    runs.done(next);
    for (most, ty, pieces) in CLASSES {
        let next = runs.if_at_most(most);
        let values = vec![repeat(runs.builder, byte, ty); pieces as usize];
        runs.store(to, &values);
        let to_end = runs.end_of(to, pieces, ty);
        runs.store(to_end, &values);
        runs.done(next);
    }
    let next = runs.if_at_most(SHORT_MAX as i64);
    let values = [repeat(runs.builder, byte, VECTOR); 4];
    let last = runs.end_of(to, 4, VECTOR);
    let (head, [to]) = runs.loop_over([to]);
    runs.store(to, &values);
    let to = runs.advance(to, STRIDE);
    runs.repeat_below(head, [to], to, last);
    runs.store(last, &values);
    runs.done(next);
}

/// The code for runs of different lengths, one after the other.
struct Runs<'a, 'f> {
    builder: &'a mut FunctionBuilder<'f>,
    len: Value,
}

/// Flags of an access that can fault as one of a guest can.
fn flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little).with_trap_code(Some(trap_code(TrapCode::MemoryOutOfBounds)))
}

impl Runs<'_, '_> {
    /// Goes on for runs of at most so many bytes. Longer ones go to the block that is returned.
    fn if_at_most(&mut self, most: i64) -> Block {
        let short = self.builder.create_block();
        let next = self.builder.create_block();
        let most = self.builder.ins().iconst(types::I64, most);
        let longer = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, self.len, most);
        self.builder.ins().brif(longer, next, &[], short, &[]);
        self.enter(short);
        next
    }

    /// Goes on in a block that nothing else will jump to.
    fn enter(&mut self, block: Block) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
    }

    /// Ends a run; what follows is for longer ones.
    fn done(&mut self, next: Block) {
        self.builder.ins().return_(&[]);
        self.enter(next);
    }

    fn advance(&mut self, address: Value, bytes: i32) -> Value {
        let bytes = self.builder.ins().iconst(types::I64, i64::from(bytes));
        self.builder.ins().iadd(address, bytes)
    }

    /// Where the last pieces of a run begin.
    fn end_of(&mut self, start: Value, pieces: i32, ty: Type) -> Value {
        let end = self.builder.ins().iadd(start, self.len);
        self.advance(end, -(pieces * ty.bytes() as i32))
    }

    fn load(&mut self, address: Value, pieces: i32, ty: Type) -> Vec<Value> {
        let offsets = (0..pieces).map(|piece| piece * ty.bytes() as i32);
        offsets.map(|offset| self.builder.ins().load(ty, flags(), address, offset)).collect()
    }

    fn store(&mut self, address: Value, values: &[Value]) {
        let mut offset = 0;
        for value in values {
            self.builder.ins().store(flags(), *value, address, offset);
            offset += self.builder.func.dfg.value_type(*value).bytes() as i32;
        }
    }

    /// Goes on in the head of a loop over addresses that change.
    fn loop_over<const N: usize>(&mut self, start: [Value; N]) -> (Block, [Value; N]) {
        let head = self.builder.create_block();
        let places = start.map(|_| self.builder.append_block_param(head, types::I64));
        self.builder.ins().jump(head, &start.map(BlockArg::Value));
        self.builder.switch_to_block(head);
        (head, places)
    }

    /// Ends a loop that goes on while one number is below another.
    fn repeat_below<const N: usize>(&mut self, head: Block, places: [Value; N], at: Value, end: Value) {
        let after = self.builder.create_block();
        let again = self.builder.ins().icmp(IntCC::UnsignedLessThan, at, end);
        self.builder.ins().brif(again, head, &places.map(BlockArg::Value), after, &[]);
        self.builder.seal_block(head);
        self.enter(after);
    }

    /// Copies a run of more than [`STRIDE`] bytes whose target does not begin inside of it.
    fn copy_upwards(&mut self, to: Value, from: Value) {
        let (from_last, to_last) = (self.end_of(from, 4, VECTOR), self.end_of(to, 4, VECTOR));
        let last = self.load(from_last, 4, VECTOR);
        let (head, [to, from]) = self.loop_over([to, from]);
        let values = self.load(from, 4, VECTOR);
        self.store(to, &values);
        let (to, from) = (self.advance(to, STRIDE), self.advance(from, STRIDE));
        self.repeat_below(head, [to, from], to, to_last);
        self.store(to_last, &last);
        self.builder.ins().return_(&[]);
    }

    /// Copies a run of more than [`STRIDE`] bytes whose target begins inside of it.
    fn copy_downwards(&mut self, to: Value, from: Value) {
        let first = self.load(from, 4, VECTOR);
        let (from_last, to_last) = (self.end_of(from, 4, VECTOR), self.end_of(to, 4, VECTOR));
        let (head, [to_place, from_place]) = self.loop_over([to_last, from_last]);
        let values = self.load(from_place, 4, VECTOR);
        self.store(to_place, &values);
        let (to_place, from_place) = (self.advance(to_place, -STRIDE), self.advance(from_place, -STRIDE));
        self.repeat_below(head, [to_place, from_place], to, to_place);
        self.store(to, &first);
        self.builder.ins().return_(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_run_and_nothing_else() {
        for len in 1..=300u64 {
            let mut covered = vec![false; len as usize];
            let mut last = -1;
            for piece in pieces(len) {
                assert!(piece.offset > last, "ascending: {len}");
                last = piece.offset;
                covered[piece.offset as usize..][..piece.ty.bytes() as usize].fill(true);
            }
            assert!(covered.into_iter().all(|covered| covered), "{len}");
        }
    }
}
