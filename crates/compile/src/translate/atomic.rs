//! Atomic operations on memory, and waiting for other threads.
//!
//! Operations on a shared memory are sequentially consistent instructions of the processor. A memory that is not shared
//! is used by one thread at a time, so there they are ordinary loads and stores next to each other, which is quicker and
//! which nobody can tell apart. Alignment is checked in both cases.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp as Rmw, InstBuilder, MemFlagsData, Type, Value};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::trap::TrapCode;
use wasmparser::{MemArg, MemArgTarget, Operator};

use super::Translator;

/// An atomic access whose address was checked.
struct Place {
    address: Value,
    flags: MemFlagsData,
    /// What is accessed: narrower than the operands, or the same.
    ty: Type,
    shared: bool,
}

impl Translator<'_, '_> {
    /// Translates an atomic operator; false if the operator is something else.
    pub(super) fn atomic(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        match op {
            O::AtomicFence { .. } => {
                self.builder.ins().fence();
            }
            O::MemoryAtomicNotify { memarg } => self.atomic_notify(memarg),
            O::MemoryAtomicWait32 { memarg } => self.atomic_wait(Builtin::AtomicWait32, memarg),
            O::MemoryAtomicWait64 { memarg } => self.atomic_wait(Builtin::AtomicWait64, memarg),

            O::I32AtomicLoad { memarg } => self.atomic_load(memarg, I32, I32),
            O::I32AtomicLoad8U { memarg } => self.atomic_load(memarg, I32, I8),
            O::I32AtomicLoad16U { memarg } => self.atomic_load(memarg, I32, I16),
            O::I64AtomicLoad { memarg } => self.atomic_load(memarg, I64, I64),
            O::I64AtomicLoad8U { memarg } => self.atomic_load(memarg, I64, I8),
            O::I64AtomicLoad16U { memarg } => self.atomic_load(memarg, I64, I16),
            O::I64AtomicLoad32U { memarg } => self.atomic_load(memarg, I64, I32),

            O::I32AtomicStore { memarg } | O::I64AtomicStore { memarg } => self.atomic_store(memarg, None),
            O::I32AtomicStore8 { memarg } | O::I64AtomicStore8 { memarg } => self.atomic_store(memarg, Some(I8)),
            O::I32AtomicStore16 { memarg } | O::I64AtomicStore16 { memarg } => self.atomic_store(memarg, Some(I16)),
            O::I64AtomicStore32 { memarg } => self.atomic_store(memarg, Some(I32)),

            O::I32AtomicRmwCmpxchg { memarg } | O::I64AtomicRmwCmpxchg { memarg } => self.atomic_exchange(memarg, None),
            O::I32AtomicRmw8CmpxchgU { memarg } | O::I64AtomicRmw8CmpxchgU { memarg } => {
                self.atomic_exchange(memarg, Some(I8));
            }
            O::I32AtomicRmw16CmpxchgU { memarg } | O::I64AtomicRmw16CmpxchgU { memarg } => {
                self.atomic_exchange(memarg, Some(I16));
            }
            O::I64AtomicRmw32CmpxchgU { memarg } => self.atomic_exchange(memarg, Some(I32)),
            _ => return self.atomic_update(op),
        }
        true
    }

    /// Translates a read-modify-write operator; false if the operator is something else.
    #[rustfmt::skip]
    fn atomic_update(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        let (arg, narrow, operation) = match op {
            O::I32AtomicRmwAdd { memarg } | O::I64AtomicRmwAdd { memarg } => (memarg, None, Rmw::Add),
            O::I32AtomicRmw8AddU { memarg } | O::I64AtomicRmw8AddU { memarg } => (memarg, Some(I8), Rmw::Add),
            O::I32AtomicRmw16AddU { memarg } | O::I64AtomicRmw16AddU { memarg } => (memarg, Some(I16), Rmw::Add),
            O::I64AtomicRmw32AddU { memarg } => (memarg, Some(I32), Rmw::Add),
            O::I32AtomicRmwSub { memarg } | O::I64AtomicRmwSub { memarg } => (memarg, None, Rmw::Sub),
            O::I32AtomicRmw8SubU { memarg } | O::I64AtomicRmw8SubU { memarg } => (memarg, Some(I8), Rmw::Sub),
            O::I32AtomicRmw16SubU { memarg } | O::I64AtomicRmw16SubU { memarg } => (memarg, Some(I16), Rmw::Sub),
            O::I64AtomicRmw32SubU { memarg } => (memarg, Some(I32), Rmw::Sub),
            O::I32AtomicRmwAnd { memarg } | O::I64AtomicRmwAnd { memarg } => (memarg, None, Rmw::And),
            O::I32AtomicRmw8AndU { memarg } | O::I64AtomicRmw8AndU { memarg } => (memarg, Some(I8), Rmw::And),
            O::I32AtomicRmw16AndU { memarg } | O::I64AtomicRmw16AndU { memarg } => (memarg, Some(I16), Rmw::And),
            O::I64AtomicRmw32AndU { memarg } => (memarg, Some(I32), Rmw::And),
            O::I32AtomicRmwOr { memarg } | O::I64AtomicRmwOr { memarg } => (memarg, None, Rmw::Or),
            O::I32AtomicRmw8OrU { memarg } | O::I64AtomicRmw8OrU { memarg } => (memarg, Some(I8), Rmw::Or),
            O::I32AtomicRmw16OrU { memarg } | O::I64AtomicRmw16OrU { memarg } => (memarg, Some(I16), Rmw::Or),
            O::I64AtomicRmw32OrU { memarg } => (memarg, Some(I32), Rmw::Or),
            O::I32AtomicRmwXor { memarg } | O::I64AtomicRmwXor { memarg } => (memarg, None, Rmw::Xor),
            O::I32AtomicRmw8XorU { memarg } | O::I64AtomicRmw8XorU { memarg } => (memarg, Some(I8), Rmw::Xor),
            O::I32AtomicRmw16XorU { memarg } | O::I64AtomicRmw16XorU { memarg } => (memarg, Some(I16), Rmw::Xor),
            O::I64AtomicRmw32XorU { memarg } => (memarg, Some(I32), Rmw::Xor),
            O::I32AtomicRmwXchg { memarg } | O::I64AtomicRmwXchg { memarg } => (memarg, None, Rmw::Xchg),
            O::I32AtomicRmw8XchgU { memarg } | O::I64AtomicRmw8XchgU { memarg } => (memarg, Some(I8), Rmw::Xchg),
            O::I32AtomicRmw16XchgU { memarg } | O::I64AtomicRmw16XchgU { memarg } => (memarg, Some(I16), Rmw::Xchg),
            O::I64AtomicRmw32XchgU { memarg } => (memarg, Some(I32), Rmw::Xchg),
            _ => return false,
        };
        self.read_modify_write(arg, narrow, operation);
        true
    }

    /// Checks an access of `ty` at an index: its alignment first, then its bounds.
    fn atomic_place(&mut self, arg: &MemArg, index: Value, ty: Type) -> Place {
        self.check_alignment(arg, index, ty.bytes());
        let (address, offset, flags) = self.address(arg, index, ty.bytes());
        let address = self.offset_address(address, offset);
        Place { address, flags, ty, shared: self.memory_type(memory(arg)).shared }
    }

    fn check_alignment(&mut self, arg: &MemArg, index: Value, size: u32) {
        let mask = u64::from(size) - 1;
        if mask == 0 {
            return;
        }
        let ty = self.value_type(index);
        let mut sum = index;
        if arg.offset & mask != 0 {
            let offset = self.iconst(ty, (arg.offset & mask) as i64);
            sum = self.builder.ins().iadd(index, offset);
        }
        let mask = self.iconst(ty, mask as i64);
        let rest = self.builder.ins().band(sum, mask);
        self.trap_if(rest, TrapCode::HeapMisaligned);
    }

    /// What is at a place, when the place is known not to change meanwhile; or at some moment, when it is shared.
    fn atomic_read(&mut self, place: &Place) -> Value {
        match place.shared {
            true => self.builder.ins().atomic_load(place.ty, place.flags, place.address),
            false => self.builder.ins().load(place.ty, place.flags, place.address, 0),
        }
    }

    /// An operand as wide as the access.
    fn narrowed(&mut self, value: Value, ty: Type) -> Value {
        if self.value_type(value) == ty { value } else { self.builder.ins().ireduce(ty, value) }
    }

    /// Pushes what was read, as wide as the operands.
    fn push_widened(&mut self, value: Value, ty: Type) {
        let value = if self.value_type(value) == ty { value } else { self.builder.ins().uextend(ty, value) };
        self.push(value);
    }

    fn atomic_load(&mut self, arg: &MemArg, ty: Type, accessed: Type) {
        let index = self.pop();
        let place = self.atomic_place(arg, index, accessed);
        let value = self.atomic_read(&place);
        self.push_widened(value, ty);
    }

    fn atomic_store(&mut self, arg: &MemArg, narrow: Option<Type>) {
        let (index, value) = self.pop2();
        let ty = narrow.unwrap_or(self.value_type(value));
        let place = self.atomic_place(arg, index, ty);
        let value = self.narrowed(value, ty);
        match place.shared {
            true => self.builder.ins().atomic_store(place.flags, value, place.address),
            false => self.builder.ins().store(place.flags, value, place.address, 0),
        };
    }

    fn read_modify_write(&mut self, arg: &MemArg, narrow: Option<Type>, operation: Rmw) {
        let (index, operand) = self.pop2();
        let wide = self.value_type(operand);
        let ty = narrow.unwrap_or(wide);
        let place = self.atomic_place(arg, index, ty);
        let operand = self.narrowed(operand, ty);
        if place.shared {
            let old = self.builder.ins().atomic_rmw(ty, place.flags, operation, place.address, operand);
            return self.push_widened(old, wide);
        }
        let old = self.atomic_read(&place);
        let ins = self.builder.ins();
        let new = match operation {
            Rmw::Add => ins.iadd(old, operand),
            Rmw::Sub => ins.isub(old, operand),
            Rmw::And => ins.band(old, operand),
            Rmw::Or => ins.bor(old, operand),
            Rmw::Xor => ins.bxor(old, operand),
            _ => operand,
        };
        self.builder.ins().store(place.flags, new, place.address, 0);
        self.push_widened(old, wide);
    }

    /// Compare and exchange: as many bits as are accessed are compared.
    fn atomic_exchange(&mut self, arg: &MemArg, narrow: Option<Type>) {
        let (index, expected, replacement) = self.pop3();
        let wide = self.value_type(expected);
        let ty = narrow.unwrap_or(wide);
        let place = self.atomic_place(arg, index, ty);
        let (expected, replacement) = (self.narrowed(expected, ty), self.narrowed(replacement, ty));
        if place.shared {
            let old = self.builder.ins().atomic_cas(place.flags, place.address, expected, replacement);
            return self.push_widened(old, wide);
        }
        let old = self.atomic_read(&place);
        let equal = self.builder.ins().icmp(IntCC::Equal, old, expected);
        let new = self.builder.ins().select(equal, replacement, old);
        self.builder.ins().store(place.flags, new, place.address, 0);
        self.push_widened(old, wide);
    }

    fn atomic_notify(&mut self, arg: &MemArg) {
        let (index, count) = self.pop2();
        let [memory, index, offset] = self.waiting_place(arg, index);
        self.call_waiting(Builtin::AtomicNotify, &[memory, index, offset, count]);
    }

    fn atomic_wait(&mut self, builtin: Builtin, arg: &MemArg) {
        let (index, expected, timeout) = self.pop3();
        let [memory, index, offset] = self.waiting_place(arg, index);
        self.call_waiting(builtin, &[memory, index, offset, expected, timeout]);
    }

    /// A place as the builtins take it, who check it.
    fn waiting_place(&mut self, arg: &MemArg, index: Value) -> [Value; 3] {
        let index = self.extend_index(index);
        [self.number(memory(arg)), index, self.iconst(I64, arg.offset as i64)]
    }

    fn call_waiting(&mut self, builtin: Builtin, arguments: &[Value]) {
        let answer = self.call_builtin(builtin, arguments).expect("waiting and notifying have a result");
        let answer = self.builder.ins().ireduce(I32, answer);
        self.push(answer);
    }
}

fn memory(arg: &MemArg) -> u32 {
    let MemArgTarget::Memory(memory) = arg.target else {
        unreachable!("instructions on arrays are refused before they are translated");
    };
    memory
}
