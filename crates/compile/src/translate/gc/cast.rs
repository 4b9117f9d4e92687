//! Casts: what an object is, found out from its header.
//!
//! A cast is a chain of tests that each lead to one of two blocks. Only what the operand's static type leaves open is
//! tested: null, small integers, and then the header; nothing, if it is the type that is asked for or a subtype. Types with subtypes are compared for equality first and by one
//! load of the display if that fails, see [`hotfoot_abi::types`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value, types};
use hotfoot_abi::gc::{KIND_SHIFT, Kind, TYPE_MASK};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::{HeapType, RefType};
use wasmparser::{AbstractHeapType, Operator, WasmModuleResources};

use super::super::Translator;
use crate::Error;

/// What the operand's static type leaves open.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Operand {
    nullable: bool,
    maybe_i31: bool,
    /// Whether each value that is not null has the type that the operator asks for.
    fits: bool,
}

impl Operand {
    /// Of the operand that this operator takes, with the type that the validator knows.
    pub(crate) fn of(
        ty: wasmparser::ValType,
        operator: &Operator<'_>,
        resources: &impl WasmModuleResources,
        offset: u64,
    ) -> Operand {
        let wasmparser::ValType::Ref(ty) = ty else { return Operand::UNKNOWN };
        let maybe_i31 = match ty.heap_type() {
            wasmparser::HeapType::Abstract { ty, .. } => {
                matches!(ty, AbstractHeapType::Any | AbstractHeapType::Eq | AbstractHeapType::I31)
            }
            _ => false,
        };
        let fits = asked_for(operator).is_some_and(|mut asked| {
            // As the validator writes types: equal ones have one name.
            resources.check_ref_type(&mut asked, offset).is_ok()
                && resources.is_subtype(ty.as_non_null().into(), asked.into())
        });
        Operand { nullable: ty.is_nullable(), maybe_i31, fits }
    }

    /// Of an operand about which nothing is known.
    pub(crate) const UNKNOWN: Operand = Operand { nullable: true, maybe_i31: true, fits: false };
}

/// The type that an operator compares its operand's with.
fn asked_for(operator: &Operator<'_>) -> Option<wasmparser::RefType> {
    match operator {
        Operator::RefTestNonNull { hty }
        | Operator::RefTestNullable { hty }
        | Operator::RefCastNonNull { hty }
        | Operator::RefCastNullable { hty } => wasmparser::RefType::new(true, *hty),
        Operator::BrOnCast { to_ref_type, .. } | Operator::BrOnCastFail { to_ref_type, .. } => Some(*to_ref_type),
        _ => None,
    }
}

impl Translator<'_, '_> {
    fn target_type(&self, ty: wasmparser::RefType) -> Result<RefType, Error> {
        self.env.module.types.ref_type(ty, self.offset)
    }

    /// Continues in `yes` if the reference is of the type, otherwise in `no`; neither takes parameters.
    fn branch_on_type(&mut self, reference: Value, target: RefType, yes: Block, no: Block) {
        self.branch_on_null(reference, target, yes, no);
        if self.operand.fits {
            self.builder.ins().jump(yes, &[]);
            return;
        }
        match target.heap {
            HeapType::Any | HeapType::Func | HeapType::Extern | HeapType::Exn => {
                self.builder.ins().jump(yes, &[]);
            }
            HeapType::None | HeapType::NoFunc | HeapType::NoExtern | HeapType::NoExn => {
                self.builder.ins().jump(no, &[]);
            }
            HeapType::ConcreteFunc(ty) => {
                let at = offsets::FUNCREF_TYPE_ID as i32;
                let found = self.builder.ins().load(types::I32, self.access.reference, reference, at);
                let fits = self.is_subtype(found, ty);
                self.builder.ins().brif(fits, yes, &[], no, &[]);
            }
            HeapType::I31 => {
                let is_i31 = self.lowest_bit(reference);
                self.builder.ins().brif(is_i31, yes, &[], no, &[]);
            }
            HeapType::Eq => self.branch_on_header(reference, yes, yes, no, |this, header| {
                this.header_below(header, Kind::Array as u32 + 1)
            }),
            HeapType::Struct => self.branch_on_header(reference, no, yes, no, |this, header| {
                this.header_below(header, Kind::Struct as u32 + 1)
            }),
            HeapType::Array => self.branch_on_header(reference, no, yes, no, |this, header| {
                let shift = this.iconst(types::I32, i64::from(KIND_SHIFT));
                let kind = this.builder.ins().ushr(header, shift);
                let array = this.iconst(types::I32, Kind::Array as i64);
                this.builder.ins().icmp(IntCC::Equal, kind, array)
            }),
            HeapType::ConcreteStruct(ty) => self.branch_on_defined(reference, Kind::Struct, ty, yes, no),
            HeapType::ConcreteArray(ty) => self.branch_on_defined(reference, Kind::Array, ty, yes, no),
        }
    }

    /// Leads null where it belongs and goes on with what is not null.
    fn branch_on_null(&mut self, reference: Value, target: RefType, yes: Block, no: Block) {
        if self.operand.nullable {
            let next = self.new_block();
            let null = if target.nullable { yes } else { no };
            self.builder.ins().brif(reference, next, &[], null, &[]);
            self.builder.seal_block(next);
            self.builder.switch_to_block(next);
        }
    }

    /// Leads small integers to `integer` and objects whose header fulfils the condition to `yes`.
    fn branch_on_header(
        &mut self,
        reference: Value,
        integer: Block,
        yes: Block,
        no: Block,
        condition: impl FnOnce(&mut Self, Value) -> Value,
    ) {
        let header = self.header_of(reference, integer);
        let condition = condition(self, header);
        self.builder.ins().brif(condition, yes, &[], no, &[]);
    }

    /// The header of what is not null; small integers, which have none, go to `integer`.
    fn header_of(&mut self, reference: Value, integer: Block) -> Value {
        if self.operand.maybe_i31 {
            let next = self.new_block();
            let is_i31 = self.lowest_bit(reference);
            self.builder.ins().brif(is_i31, integer, &[], next, &[]);
            self.builder.seal_block(next);
            self.builder.switch_to_block(next);
        }
        let address = self.object(reference);
        self.builder.ins().load(types::I32, self.access.object, address, 0)
    }

    fn lowest_bit(&mut self, reference: Value) -> Value {
        let one = self.iconst(types::I32, 1);
        self.builder.ins().band(reference, one)
    }

    /// Whether the kind that a header names has a number below `kind`.
    fn header_below(&mut self, header: Value, kind: u32) -> Value {
        let bound = self.iconst(types::I32, i64::from(kind << KIND_SHIFT));
        self.builder.ins().icmp(IntCC::UnsignedLessThan, header, bound)
    }

    fn branch_on_defined(&mut self, reference: Value, kind: Kind, ty: u32, yes: Block, no: Block) {
        let header = self.header_of(reference, no);
        let wanted = self.header(kind, ty);
        let same = self.builder.ins().icmp(IntCC::Equal, header, wanted);
        if self.env.module.info.types[ty as usize].is_final {
            self.builder.ins().brif(same, yes, &[], no, &[]);
            return;
        }
        let next = self.new_block();
        self.builder.ins().brif(same, yes, &[], next, &[]);
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
        let mask = self.iconst(types::I32, i64::from(TYPE_MASK));
        let found = self.builder.ins().band(header, mask);
        let fits = self.is_subtype(found, ty);
        self.builder.ins().brif(fits, yes, &[], no, &[]);
    }

    /// Two blocks to which [`Translator::branch_on_type`] leads.
    fn outcomes(&mut self, reference: Value, target: RefType) -> (Block, Block) {
        let (yes, no) = (self.new_block(), self.new_block());
        self.branch_on_type(reference, target, yes, no);
        self.builder.seal_block(yes);
        self.builder.seal_block(no);
        (yes, no)
    }

    pub(super) fn ref_test(&mut self, heap: wasmparser::HeapType, nullable: bool) -> Result<(), Error> {
        let reference = self.pop();
        let heap = self.env.module.types.heap_type(heap, self.offset)?;
        let (yes, no) = self.outcomes(reference, RefType { nullable, heap });
        let done = self.new_block();
        let result = self.builder.append_block_param(done, types::I32);
        for (block, value) in [(yes, 1), (no, 0)] {
            self.builder.switch_to_block(block);
            let value = self.iconst(types::I32, value);
            self.builder.ins().jump(done, &[BlockArg::Value(value)]);
        }
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
        self.push(result);
        Ok(())
    }

    pub(super) fn ref_cast(&mut self, heap: wasmparser::HeapType, nullable: bool) -> Result<(), Error> {
        let reference = self.pop();
        let heap = self.env.module.types.heap_type(heap, self.offset)?;
        let (yes, no) = self.outcomes(reference, RefType { nullable, heap });
        self.builder.set_cold_block(no);
        self.builder.switch_to_block(no);
        self.trap(TrapCode::CastFailure);
        self.builder.switch_to_block(yes);
        self.push(reference);
        Ok(())
    }

    pub(super) fn br_on_cast(&mut self, depth: u32, to: wasmparser::RefType) -> Result<(), Error> {
        let (yes, no) = self.cast_blocks(to)?;
        self.branch_from(yes, depth, no);
        Ok(())
    }

    pub(super) fn br_on_cast_fail(&mut self, depth: u32, to: wasmparser::RefType) -> Result<(), Error> {
        let (yes, no) = self.cast_blocks(to)?;
        self.branch_from(no, depth, yes);
        Ok(())
    }

    fn cast_blocks(&mut self, to: wasmparser::RefType) -> Result<(Block, Block), Error> {
        let target = self.target_type(to)?;
        let reference = *self.stack.last().expect("a validated operator finds its operands");
        Ok(self.outcomes(reference, target))
    }

    /// Branches with the operands from one block, and goes on with them in another.
    fn branch_from(&mut self, from: Block, depth: u32, next: Block) {
        let fuel = self.fuel;
        self.builder.switch_to_block(from);
        let (label, arguments) = self.target(depth);
        self.builder.ins().jump(label, &arguments);
        self.builder.switch_to_block(next);
        self.fuel = fuel;
    }
}
