//! Growing, and bulk operations on memories and tables: the runtime carries them out.
//!
//! Indices and lengths of 32 bits are widened without sign; references travel as the eight bytes of a table element.
//!
//! What is copied or filled is mostly short, so `memory.copy` and `memory.fill` look at their bounds here, and pass addresses
//! to trampolines that do short ones themselves (`crate::copying`). A length that is known to be small becomes loads and
//! stores in place. All loads come first, and then the store that reaches furthest: if the operation is out of
//! bounds, one of these traps before anything is written, so most memories need no other check.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, InstBuilder, Type, UserExternalName, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::trap::TrapCode;
use smallvec::SmallVec;
use wasmparser::{MemArg, MemArgTarget};

use super::Translator;
use super::env::{NAMESPACE_BUILTIN, builtin_signature, trampoline_convention};
use crate::copying::{self, Piece};

/// Most bytes that are copied or filled in place.
const IN_PLACE_MAX: u64 = 128;

impl Translator<'_, '_> {
    pub(super) fn builtin(&mut self, builtin: Builtin) -> FuncRef {
        if let Some(known) = self.builtins[builtin as usize] {
            return known;
        }
        let signature = self.builder.import_signature(builtin_signature(builtin, trampoline_convention(builtin)));
        let name = UserExternalName::new(NAMESPACE_BUILTIN, builtin as u32);
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let function = self.builder.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        self.builtins[builtin as usize] = Some(function);
        function
    }

    /// Calls a function of the runtime by way of its trampoline; the VM context is passed first.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, arguments: &[Value]) -> Option<Value> {
        self.mark();
        let function = self.builtin(builtin);
        let mut all = vec![self.vmctx];
        all.extend_from_slice(arguments);
        let call = self.builder.ins().call(function, &all);
        self.builder.inst_results(call).first().copied()
    }

    pub(super) fn number(&mut self, index: u32) -> Value {
        self.iconst(types::I32, i64::from(index))
    }

    pub(super) fn memory_grow(&mut self, memory: u32) {
        let delta = self.pop();
        let delta = self.extend_index(delta);
        let number = self.number(memory);
        let old = self.call_builtin(Builtin::MemoryGrow, &[number, delta]).expect("growing has a result");
        self.push_index(old, self.env.module.info.memories[memory as usize].index64);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let (to, byte, len) = self.pop3();
        if let Some(len) = self.small_length(len) {
            return self.fill_in_place(memory, to, byte, len);
        }
        let len = self.extend_index(len);
        let to = self.checked_range(memory, to, len);
        let races = self.races(&[memory]);
        self.call_builtin(Builtin::MemoryFill, &[to, byte, len, races]);
    }

    pub(super) fn memory_copy(&mut self, to_memory: u32, from_memory: u32) {
        let (to, from, len) = self.pop3();
        if let Some(len) = self.small_length(len) {
            return self.copy_in_place(to_memory, to, from_memory, from, len);
        }
        let len = self.extend_index(len);
        let from = self.checked_range(from_memory, from, len);
        let to = self.checked_range(to_memory, to, len);
        let races = self.races(&[to_memory, from_memory]);
        self.call_builtin(Builtin::MemoryCopy, &[to, from, len, races]);
    }

    /// Whether other threads may use one of the memories, as a constant.
    fn races(&mut self, memories: &[u32]) -> Value {
        let races = memories.iter().any(|memory| self.memory_type(*memory).shared);
        self.iconst(types::I32, races.into())
    }

    /// A length that is known, and small enough to be copied or filled in place.
    fn small_length(&self, len: Value) -> Option<u64> {
        let len = self.known_integer(len)? as u64;
        (1..=IN_PLACE_MAX).contains(&len).then_some(len)
    }

    fn copy_in_place(&mut self, to_memory: u32, to: Value, from_memory: u32, from: Value, len: u64) {
        let (from, from_offset, load) = self.address(&all_of(from_memory), from, len as u32);
        let (to, to_offset, store) = self.address(&all_of(to_memory), to, len as u32);
        let mut pieces: SmallVec<[(Value, Piece); 8]> = SmallVec::new();
        for piece in copying::pieces(len) {
            let value = self.builder.ins().load(piece.ty, load, from, from_offset + piece.offset);
            pieces.push((value, piece));
        }
        for (value, piece) in pieces.into_iter().rev() {
            self.builder.ins().store(store, value, to, to_offset + piece.offset);
        }
        self.spend(len as i64 * i64::from(self.env.operator_cost.variable.memory_copy_per_byte));
    }

    fn fill_in_place(&mut self, memory: u32, to: Value, byte: Value, len: u64) {
        let (to, offset, flags) = self.address(&all_of(memory), to, len as u32);
        let byte = self.builder.ins().ireduce(types::I8, byte);
        let pieces: SmallVec<[Piece; 8]> = copying::pieces(len).collect();
        let mut filled: Option<(Type, Value)> = None;
        for piece in pieces.into_iter().rev() {
            let value = match filled {
                Some((ty, value)) if ty == piece.ty => value,
                _ => copying::repeat(&mut self.builder, byte, piece.ty),
            };
            filled = Some((piece.ty, value));
            self.builder.ins().store(flags, value, to, offset + piece.offset);
        }
        self.spend(len as i64 * i64::from(self.env.operator_cost.variable.memory_fill_per_byte));
    }

    /// Traps if not all of a range is inside of a memory, and returns the address of its first byte.
    fn checked_range(&mut self, memory: u32, start: Value, len: Value) -> Value {
        let ty = self.memory_type(memory);
        let start = self.extend_index(start);
        let size = self.memory_byte_len(memory);
        let failed = if ty.index64 {
            let (end, carry) = self.builder.ins().uadd_overflow(start, len);
            let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, size);
            self.builder.ins().bor(carry, beyond)
        } else {
            let end = self.builder.ins().iadd(start, len);
            self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, size)
        };
        self.trap_if(failed, TrapCode::MemoryOutOfBounds);
        let base = self.memory_base(memory);
        let address = self.builder.ins().iadd(base, start);
        // What is copied under speculation before the check is known to fail is short.
        let reachable = self.env.tunables.access_needs_no_check(ty.shape(), 0, copying::SHORT_MAX);
        if reachable || !self.env.memory_spectre {
            return address;
        }
        let null = self.iconst(types::I64, 0);
        self.builder.ins().select_spectre_guard(failed, null, address)
    }

    pub(super) fn table_copy(&mut self, to_table: u32, from_table: u32) {
        let (to, from, len) = self.pop3();
        let (to, from, len) = (self.extend_index(to), self.extend_index(from), self.extend_index(len));
        let (to_table, from_table) = (self.number(to_table), self.number(from_table));
        self.call_builtin(Builtin::TableCopy, &[to_table, from_table, to, from, len]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, segment: u32) {
        self.init(Builtin::MemoryInit, memory, segment);
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) {
        self.init(Builtin::TableInit, table, segment);
    }

    fn init(&mut self, builtin: Builtin, space: u32, segment: u32) {
        let (to, from, len) = self.pop3();
        let to = self.extend_index(to);
        let (space, segment) = (self.number(space), self.number(segment));
        self.call_builtin(builtin, &[space, segment, to, from, len]);
    }

    /// `data.drop` and `elem.drop`.
    pub(super) fn drop_segment(&mut self, builtin: Builtin, segment: u32) {
        let number = self.number(segment);
        self.call_builtin(builtin, &[number]);
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        let (value, delta) = self.pop2();
        let (value, delta) = (self.extend_index(value), self.extend_index(delta));
        let number = self.number(table);
        let old = self.call_builtin(Builtin::TableGrow, &[number, delta, value]).expect("growing has a result");
        self.push_index(old, self.table_type(table).index64);
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let (to, value, len) = self.pop3();
        let (to, value, len) = (self.extend_index(to), self.extend_index(value), self.extend_index(len));
        let number = self.number(table);
        self.call_builtin(Builtin::TableFill, &[number, to, value, len]);
    }
}

/// An access to a memory without an offset.
fn all_of(memory: u32) -> MemArg {
    MemArg { align: 0, max_align: 0, offset: 0, target: MemArgTarget::Memory(memory), ordering: None }
}
