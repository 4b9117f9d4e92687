//! Linear memory: addresses, bounds checks, loads and stores.
//!
//! Which check an access needs follows from the tunables (see [`hotfoot_abi::tunables`]); from cheapest to dearest:
//!
//! ```text
//!  none                                    32-bit index, reservation and guard cover every address it can form
//!  index >= byte_len                       the guard covers offset + size
//!  index >= byte_len                       single bytes
//!  index > byte_len - (offset + size)      offset + size fit the memory's smallest size; in loops, which compute it before
//!  index + (offset + size) > byte_len      otherwise; for 64-bit indices a carry also fails
//! ```
//!
//! The first two need a memory that ends where pages of the processor end, so not one whose own pages are single bytes.
//!
//! A check is made once for all accesses that it covers, see [`super::bounds`]. Where the Spectre mitigation is on, and an
//! index could lead out of what the memory reserves, the index becomes zero if the check fails under speculation.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::MemoryType;
use wasmparser::{MemArg, MemArgTarget, Operator};

use super::Translator;

/// Sign or zero extension of a narrow load.
#[derive(Copy, Clone)]
enum Widen {
    Signed,
    Unsigned,
}

/// Size of the memory in bytes, if it is the same for ever.
fn fixed_byte_len(memory: &MemoryType) -> Option<u64> {
    let fixed = memory.maximum == Some(memory.minimum);
    fixed.then(|| memory.minimum.checked_mul(memory.page_size())).flatten()
}

impl Translator<'_, '_> {
    pub(super) fn memory_type(&self, memory: u32) -> MemoryType {
        self.env.module.info.memories[memory as usize]
    }

    /// Address of a memory's `VmMemory`, as a base and an offset from it.
    fn memory_place(&mut self, memory: u32) -> (Value, i32) {
        let module = self.env.module;
        let pointer = match memory.checked_sub(module.counts.imported_memories) {
            Some(defined) if self.memory_type(memory).shared => module.layout.defined_memory(defined),
            Some(defined) => return (self.vmctx, module.layout.defined_memory(defined) as i32),
            None => module.layout.imported_memory(memory),
        };
        (self.builder.ins().load(types::I64, self.access.constant, self.vmctx, pointer as i32), 0)
    }

    pub(super) fn memory_base(&mut self, memory: u32) -> Value {
        if let Some(base) = self.preloaded_base(memory) {
            return base;
        }
        let moves = self.env.tunables.base_may_move(self.memory_type(memory).shape());
        let flags = if moves { self.access.context } else { self.access.constant };
        let (place, offset) = self.memory_place(memory);
        self.builder.ins().load(types::I64, flags, place, offset + offsets::MEMORY_BASE as i32)
    }

    /// The size in bytes, to check an access. That of a shared memory may be out of date: it was true after the last
    /// atomic operation, and memories only grow.
    pub(super) fn memory_byte_len(&mut self, memory: u32) -> Value {
        if let Some(len) = fixed_byte_len(&self.memory_type(memory)) {
            return self.iconst(types::I64, len as i64);
        }
        if let Some(len) = self.preloaded_len(memory) {
            return len;
        }
        let (place, offset) = self.memory_place(memory);
        self.builder.ins().load(types::I64, self.access.context, place, offset + offsets::MEMORY_BYTE_LEN as i32)
    }

    pub(super) fn memory_size(&mut self, memory: u32) {
        let ty = self.memory_type(memory);
        let bytes = if ty.shared {
            let (place, offset) = self.memory_place(memory);
            let place = self.offset_address(place, offset + offsets::MEMORY_BYTE_LEN as i32);
            self.builder.ins().atomic_load(types::I64, self.access.context, place)
        } else {
            self.memory_byte_len(memory)
        };
        let shift = self.iconst(types::I32, ty.page_size_log2.into());
        let pages = self.builder.ins().ushr(bytes, shift);
        self.push_index(pages, ty.index64);
    }

    /// Pushes a 64-bit size as the index type of its memory or table.
    pub(super) fn push_index(&mut self, size: Value, index64: bool) {
        let size = if index64 { size } else { self.builder.ins().ireduce(types::I32, size) };
        self.push(size);
    }

    /// Checks an access of `size` bytes and returns how to make it: an address, an offset to add to it in the
    /// instruction itself, and flags that say that it is little endian and how it traps.
    pub(super) fn address(&mut self, arg: &MemArg, index: Value, size: u32) -> (Value, i32, MemFlagsData) {
        self.locate();
        let MemArgTarget::Memory(memory) = arg.target else {
            unreachable!("instructions on arrays are refused before they are translated");
        };
        let ty = self.memory_type(memory);
        let tunables = self.env.tunables;
        let size = u64::from(size);
        let trap = tunables.signals_based_traps.then(|| self.owing_trap_code(TrapCode::MemoryOutOfBounds));
        let flags = self.access.memory.with_trap_code(trap);
        let (index, offset) = match tunables.access_needs_no_check(ty.shape(), arg.offset, size) {
            true => (self.extend_index(index), arg.offset),
            false => self.checked_index(memory, index, arg.offset, size),
        };
        let base = self.memory_base(memory);
        let address = self.builder.ins().iadd(base, index);
        let (address, offset) = self.split_offset(address, offset);
        (address, offset, flags)
    }

    /// An address with an offset added, for instructions that take none.
    pub(super) fn offset_address(&mut self, address: Value, offset: i32) -> Value {
        if offset == 0 {
            return address;
        }
        let offset = self.iconst(types::I64, offset.into());
        self.builder.ins().iadd(address, offset)
    }

    /// Leaves as much of the offset to the instruction as it can hold.
    fn split_offset(&mut self, address: Value, offset: u64) -> (Value, i32) {
        match i32::try_from(offset) {
            Ok(offset) => (address, offset),
            Err(_) => {
                let offset = self.iconst(types::I64, offset as i64);
                (self.builder.ins().iadd(address, offset), 0)
            }
        }
    }

    /// Whether an access at `index + offset` leaves the memory, as a condition. `offset + size` fits 64 bits.
    pub(super) fn out_of_bounds(&mut self, memory: u32, index: Value, offset: u64, size: u64) -> Value {
        let ty = self.memory_type(memory);
        if self.env.tunables.guard_covers(ty.shape(), offset, size) {
            let len = self.memory_byte_len(memory);
            return self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        }
        let reach = offset + size;
        let len = self.memory_byte_len(memory);
        if reach == 1 {
            return self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        }
        let constant = self.iconst(types::I64, reach as i64);
        let is_at_hand = ty.index64 || self.preloaded.is_some() || fixed_byte_len(&ty).is_some();
        if reach <= ty.minimum.saturating_mul(ty.page_size()) && is_at_hand {
            let last = self.last_index(&ty, len, reach);
            return self.builder.ins().icmp(IntCC::UnsignedGreaterThan, index, last);
        }
        if !ty.index64 {
            let end = self.builder.ins().iadd(index, constant);
            return self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, len);
        }
        let (end, carry) = self.builder.ins().uadd_overflow(index, constant);
        let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, len);
        self.builder.ins().bor(carry, beyond)
    }

    /// The last index from which an access that reaches so far stays inside of a memory, which is at least as long.
    fn last_index(&mut self, ty: &MemoryType, len: Value, reach: u64) -> Value {
        if ty.index64 {
            let reach = self.iconst(types::I64, reach as i64);
            return self.builder.ins().isub(len, reach);
        }
        // In 32 bits, which all lengths and the difference fit, but for one length whose lower half is right, too. The code
        // generator computes a difference of 64 bits again for each use, and an extended one of 32 once, before the loop.
        let len = self.builder.ins().ireduce(types::I32, len);
        let reach = self.iconst(types::I32, reach as i64);
        let last = self.builder.ins().isub(len, reach);
        self.builder.ins().uextend(types::I64, last)
    }

    fn load(&mut self, arg: &MemArg, ty: Type) {
        let index = self.pop();
        let (address, offset, flags) = self.address(arg, index, ty.bytes());
        let value = self.builder.ins().load(ty, flags, address, offset);
        self.push(value);
    }

    fn load_narrow(&mut self, arg: &MemArg, ty: Type, bytes: u32, extend: Widen) {
        let index = self.pop();
        let (address, offset, flags) = self.address(arg, index, bytes);
        let ins = self.builder.ins();
        let value = match (bytes, extend) {
            (1, Widen::Signed) => ins.sload8(ty, flags, address, offset),
            (1, Widen::Unsigned) => ins.uload8(ty, flags, address, offset),
            (2, Widen::Signed) => ins.sload16(ty, flags, address, offset),
            (2, Widen::Unsigned) => ins.uload16(ty, flags, address, offset),
            (_, Widen::Signed) => ins.sload32(flags, address, offset),
            (_, Widen::Unsigned) => ins.uload32(flags, address, offset),
        };
        self.push(value);
    }

    fn store(&mut self, arg: &MemArg) {
        let (index, value) = self.pop2();
        let bytes = self.value_type(value).bytes();
        let (address, offset, flags) = self.address(arg, index, bytes);
        self.builder.ins().store(flags, value, address, offset);
    }

    fn store_narrow(&mut self, arg: &MemArg, bytes: u32) {
        let (index, value) = self.pop2();
        let (address, offset, flags) = self.address(arg, index, bytes);
        let ins = self.builder.ins();
        match bytes {
            1 => ins.istore8(flags, value, address, offset),
            2 => ins.istore16(flags, value, address, offset),
            _ => ins.istore32(flags, value, address, offset),
        };
    }

    /// Translates a scalar load or store; false if the operator is something else.
    pub(super) fn load_or_store(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        use Widen::{Signed, Unsigned};
        use types::{F32, F64, I32, I64};
        match op {
            O::I32Load { memarg } => self.load(memarg, I32),
            O::I64Load { memarg } => self.load(memarg, I64),
            O::F32Load { memarg } => self.load(memarg, F32),
            O::F64Load { memarg } => self.load(memarg, F64),
            O::I32Load8S { memarg } => self.load_narrow(memarg, I32, 1, Signed),
            O::I32Load8U { memarg } => self.load_narrow(memarg, I32, 1, Unsigned),
            O::I32Load16S { memarg } => self.load_narrow(memarg, I32, 2, Signed),
            O::I32Load16U { memarg } => self.load_narrow(memarg, I32, 2, Unsigned),
            O::I64Load8S { memarg } => self.load_narrow(memarg, I64, 1, Signed),
            O::I64Load8U { memarg } => self.load_narrow(memarg, I64, 1, Unsigned),
            O::I64Load16S { memarg } => self.load_narrow(memarg, I64, 2, Signed),
            O::I64Load16U { memarg } => self.load_narrow(memarg, I64, 2, Unsigned),
            O::I64Load32S { memarg } => self.load_narrow(memarg, I64, 4, Signed),
            O::I64Load32U { memarg } => self.load_narrow(memarg, I64, 4, Unsigned),
            O::I32Store { memarg } | O::I64Store { memarg } | O::F32Store { memarg } | O::F64Store { memarg } => {
                self.store(memarg)
            }
            O::I32Store8 { memarg } | O::I64Store8 { memarg } => self.store_narrow(memarg, 1),
            O::I32Store16 { memarg } | O::I64Store16 { memarg } => self.store_narrow(memarg, 2),
            O::I64Store32 { memarg } => self.store_narrow(memarg, 4),
            _ => return false,
        }
        true
    }
}
