//! Objects of the collected heap: where they are, how they are made. See [`hotfoot_abi::gc`] for how they look.
//!
//! A reference is an offset into the store's heap, whose start never moves while an instance needs it. Making an object
//! is an addition and a comparison; only where there is no room does the code call the runtime, which collects. Whatever
//! refers to objects across that call, or any other, is in a stack map ([`Translator::root`]).
//!
//! The first bytes of the heap cannot be accessed, so with signals the first access through a reference is also the
//! check for null.

mod array;
mod cast;
mod i31;
mod structure;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::gc::{Kind, NULL_GUARD, Storage};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::{HeapType, RefType, StorageType, ValType};
use wasmparser::Operator;

pub(super) use cast::Operand;

use super::env::clif_type;
use super::{Translator, trap_code};
use crate::Error;

/// Whether a small integer is widened with its sign when it is read.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Extension {
    Signed,
    Unsigned,
}

/// How a field of this type is kept in an object.
pub(crate) fn storage(ty: StorageType) -> Storage {
    match ty {
        StorageType::I8 => Storage::I8,
        StorageType::I16 => Storage::I16,
        StorageType::Val(ValType::I32 | ValType::F32) => Storage::I32,
        StorageType::Val(ValType::I64 | ValType::F64) => Storage::I64,
        StorageType::Val(ValType::V128) => Storage::V128,
        StorageType::Val(ValType::Ref(reference)) if reference.heap.is_collected() => Storage::Ref,
        StorageType::Val(ValType::Ref(_)) => Storage::Func,
    }
}

/// The type of references to the objects of a defined type.
fn reference_to(heap: HeapType) -> ValType {
    ValType::Ref(RefType { nullable: false, heap })
}

impl Translator<'_, '_> {
    /// Translates an operator on objects; false when it is none.
    pub(super) fn object_operator(&mut self, op: &Operator<'_>) -> Result<bool, Error> {
        use Extension::{Signed, Unsigned};
        use Operator as O;
        match *op {
            O::StructNew { struct_type_index } => self.struct_new(struct_type_index),
            O::StructNewDefault { struct_type_index } => self.struct_new_default(struct_type_index),
            O::StructGet { struct_type_index, field_index } | O::StructGetU { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Unsigned);
            }
            O::StructGetS { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Signed);
            }
            O::StructSet { struct_type_index, field_index } => self.struct_set(struct_type_index, field_index),
            O::ArrayNew { array_type_index } => self.array_new(array_type_index),
            O::ArrayNewDefault { array_type_index } => self.array_new_default(array_type_index),
            O::ArrayNewFixed { array_type_index, array_size } => self.array_new_fixed(array_type_index, array_size),
            O::ArrayNewData { array_type_index, array_data_index } => {
                self.array_new_segment(Builtin::ArrayNewData, array_type_index, array_data_index);
            }
            O::ArrayNewElem { array_type_index, array_elem_index } => {
                self.array_new_segment(Builtin::ArrayNewElem, array_type_index, array_elem_index);
            }
            O::ArrayGet { array_type_index } | O::ArrayGetU { array_type_index } => {
                self.array_get(array_type_index, Unsigned);
            }
            O::ArrayGetS { array_type_index } => self.array_get(array_type_index, Signed),
            O::ArraySet { array_type_index } => self.array_set(array_type_index),
            O::ArrayLen => self.array_len(),
            O::ArrayFill { array_type_index } => self.array_fill(array_type_index),
            O::ArrayCopy { .. } => self.array_copy(),
            O::ArrayInitData { array_data_index, .. } => self.array_init(Builtin::ArrayInitData, array_data_index),
            O::ArrayInitElem { array_elem_index, .. } => self.array_init(Builtin::ArrayInitElem, array_elem_index),
            O::RefI31 => self.ref_i31(),
            O::I31GetS => self.i31_get(Signed),
            O::I31GetU => self.i31_get(Unsigned),
            O::RefEq => self.ref_eq(),
            // The hierarchies `any` and `extern` share one form.
            O::AnyConvertExtern | O::ExternConvertAny => {}
            O::RefTestNonNull { hty } => self.ref_test(hty, false)?,
            O::RefTestNullable { hty } => self.ref_test(hty, true)?,
            O::RefCastNonNull { hty } => self.ref_cast(hty, false)?,
            O::RefCastNullable { hty } => self.ref_cast(hty, true)?,
            O::BrOnCast { relative_depth, to_ref_type, .. } => self.br_on_cast(relative_depth, to_ref_type)?,
            O::BrOnCastFail { relative_depth, to_ref_type, .. } => {
                self.br_on_cast_fail(relative_depth, to_ref_type)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn store_context(&mut self) -> Value {
        self.builder.ins().load(types::I64, self.access.constant, self.vmctx, offsets::VMCTX_STORE as i32)
    }

    /// The address of an object that is not null, or of what faults if it is.
    fn object(&mut self, reference: Value) -> Value {
        self.uses_heap = true;
        let store = self.store_context();
        let base = self.builder.ins().load(types::I64, self.access.constant, store, offsets::STORE_GC_BASE as i32);
        let offset = self.builder.ins().uextend(types::I64, reference);
        self.builder.ins().iadd(base, offset)
    }

    /// The address of an object, and flags for the first access to it, which ends `end` bytes into the object: it or
    /// a check before it traps if the reference is null.
    fn non_null_object(&mut self, reference: Value, end: u32) -> (Value, MemFlagsData) {
        self.mark();
        let mut flags = self.access.object;
        if self.env.tunables.signals_based_traps && end <= NULL_GUARD {
            flags = flags.with_trap_code(Some(trap_code(TrapCode::NullReference)));
        } else {
            let is_null = self.is_null(reference);
            self.trap_if(is_null, TrapCode::NullReference);
        }
        (self.object(reference), flags)
    }

    /// A new object of so many bytes, and its address. Nothing in it is written yet, so everything must be before the
    /// next call.
    fn allocate(&mut self, size: Value) -> (Value, Value) {
        self.mark();
        let store = self.store_context();
        let context = self.access.context;
        let next = self.builder.ins().load(types::I64, context, store, offsets::STORE_GC_NEXT as i32);
        let limit = self.builder.ins().load(types::I64, context, store, offsets::STORE_GC_LIMIT as i32);
        let end = self.builder.ins().iadd(next, size);
        let full = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        let (fast, slow, done) = (self.new_block(), self.builder.create_block(), self.new_block());
        self.builder.set_cold_block(slow);
        let reference = self.builder.append_block_param(done, types::I32);
        self.builder.declare_value_needs_stack_map(reference);
        self.builder.ins().brif(full, slow, &[], fast, &[]);
        self.builder.seal_block(slow);
        self.builder.seal_block(fast);
        self.builder.switch_to_block(slow);
        let made = self.call_builtin(Builtin::GcAllocate, &[size]).expect("allocating has a result");
        self.builder.ins().jump(done, &[BlockArg::Value(made)]);
        self.builder.switch_to_block(fast);
        self.builder.ins().store(context, end, store, offsets::STORE_GC_NEXT as i32);
        let made = self.builder.ins().ireduce(types::I32, next);
        self.builder.ins().jump(done, &[BlockArg::Value(made)]);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
        let address = self.object(reference);
        (reference, address)
    }

    /// The header of objects of a type.
    fn header(&mut self, kind: Kind, ty: u32) -> Value {
        let number = self.type_number(ty);
        match kind.header(0) {
            0 => number,
            bits => {
                let bits = self.iconst(types::I32, i64::from(bits));
                self.builder.ins().bor(number, bits)
            }
        }
    }

    /// Reads a field at an address.
    fn load_field(
        &mut self,
        ty: StorageType,
        extension: Extension,
        flags: MemFlagsData,
        base: Value,
        at: i32,
    ) -> Value {
        let narrow = match ty {
            StorageType::I8 => types::I8,
            StorageType::I16 => types::I16,
            StorageType::Val(ty) => return self.builder.ins().load(clif_type(ty), flags, base, at),
        };
        let value = self.builder.ins().load(narrow, flags, base, at);
        match extension {
            Extension::Signed => self.builder.ins().sextend(types::I32, value),
            Extension::Unsigned => self.builder.ins().uextend(types::I32, value),
        }
    }

    /// Writes a field at an address.
    fn store_field(&mut self, ty: StorageType, flags: MemFlagsData, value: Value, base: Value, at: i32) {
        match ty {
            StorageType::I8 => self.builder.ins().istore8(flags, value, base, at),
            StorageType::I16 => self.builder.ins().istore16(flags, value, base, at),
            StorageType::Val(_) => self.builder.ins().store(flags, value, base, at),
        };
    }
}
