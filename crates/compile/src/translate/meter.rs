//! Fuel and epochs: how code that cooperates is stopped.
//!
//! Fuel lives in the target's pinned register while compiled code runs, so charging it is a subtraction and calls pass it
//! on for nothing; the trampolines to and from the host move it to the store and back. What operators cost is summed up
//! and charged where a straight run of them ends, so what a program has consumed depends on the program only. For bytes of
//! memories and elements of tables, the runtime charges; for elements of arrays, code does.
//!
//! Whether fuel is used up, or a new epoch has begun, is looked at where every endless computation passes again and
//! again: at the head of a loop, and at the start of each function that calls another. A function that does neither
//! runs to its end, of which there is only so much.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::fuel::{OperatorCost, VariableOperatorCost};
use hotfoot_abi::vmctx::offsets;
use wasmparser::{FunctionBody, Operator, OperatorsReader};

use super::Translator;
use crate::Error;

/// Finds the cost of an operator, in a field of its name.
macro_rules! find_cost {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        /// Fuel that an operator costs.
        pub(super) fn cost(costs: &OperatorCost, op: &Operator<'_>) -> i64 {
            match op {
                $(Operator::$op { .. } => costs.$op.into(),)*
                // Operators of versions of the decoder that are not this one.
                _ => 1,
            }
        }
    };
}

wasmparser::for_each_operator!(find_cost);

/// Whether control may go elsewhere, come from elsewhere, or leave compiled code at this operator.
fn ends_straight_run(op: &Operator<'_>) -> bool {
    matches!(
        op,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::BrOnCastDescEq { .. }
            | Operator::BrOnCastDescEqFail { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Try { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
            | Operator::Rethrow { .. }
            | Operator::MemoryGrow { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryInit { .. }
            | Operator::MemoryAtomicWait32 { .. }
            | Operator::MemoryAtomicWait64 { .. }
            | Operator::MemoryAtomicNotify { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
    ) || calls(op)
}

/// Whether the operator calls a function.
pub(super) fn calls(op: &Operator<'_>) -> bool {
    matches!(
        op,
        Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
    )
}

impl Translator<'_, '_> {
    /// At the start of a function: looks at the meters if the function calls others.
    pub(super) fn meter_entry(&mut self, body: &FunctionBody<'_>) -> Result<(), Error> {
        if !self.env.tunables.consume_fuel && !self.env.tunables.epoch_interruption {
            return Ok(());
        }
        let mut operators: OperatorsReader<'_> = body.get_operators_reader()?;
        while !operators.eof() {
            if calls(&operators.read()?) {
                self.check_meters();
                break;
            }
        }
        Ok(())
    }

    /// Before an operator that can be reached: notes what it costs.
    pub(super) fn charge(&mut self, op: &Operator<'_>) {
        if !self.env.tunables.consume_fuel {
            return;
        }
        self.uncharged += cost(self.env.operator_cost, op);
        if self.uncharged > 0 && ends_straight_run(op) {
            let fuel = self.builder.ins().get_pinned_reg(types::I64);
            let amount = -std::mem::take(&mut self.uncharged);
            let amount = self.iconst(types::I64, amount);
            let fuel = self.builder.ins().iadd(fuel, amount);
            self.builder.ins().set_pinned_reg(fuel);
        }
    }

    /// Notes what an operator costs besides, for each of `count` elements.
    pub(super) fn charge_elements(&mut self, count: Value, cost: impl FnOnce(&VariableOperatorCost) -> u8) {
        let cost = cost(&self.env.operator_cost.variable);
        if !self.env.tunables.consume_fuel || cost == 0 {
            return;
        }
        let count = self.extend_index(count);
        let cost = self.iconst(types::I64, cost.into());
        let amount = self.builder.ins().imul(count, cost);
        let fuel = self.builder.ins().get_pinned_reg(types::I64);
        let fuel = self.builder.ins().isub(fuel, amount);
        self.builder.ins().set_pinned_reg(fuel);
    }

    /// Goes on only with fuel that is not used up, in an epoch that may still run.
    pub(super) fn check_meters(&mut self) {
        if self.env.tunables.consume_fuel {
            let fuel = self.builder.ins().get_pinned_reg(types::I64);
            let zero = self.iconst(types::I64, 0);
            let used_up = self.builder.ins().icmp(IntCC::SignedLessThan, fuel, zero);
            self.call_if(used_up, Builtin::OutOfFuel);
        }
        if self.env.tunables.epoch_interruption {
            let constant = self.access.constant;
            let store = self.builder.ins().load(types::I64, constant, self.vmctx, offsets::VMCTX_STORE as i32);
            let epoch = self.builder.ins().load(types::I64, constant, store, offsets::STORE_EPOCH as i32);
            let context = self.access.context;
            let now = self.builder.ins().load(types::I64, context, epoch, 0);
            let deadline = self.builder.ins().load(types::I64, context, store, offsets::STORE_EPOCH_DEADLINE as i32);
            let over = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, now, deadline);
            self.call_if(over, Builtin::NewEpoch);
        }
    }

    fn call_if(&mut self, condition: Value, builtin: Builtin) {
        let call = self.builder.create_block();
        let next = self.builder.create_block();
        self.builder.set_cold_block(call);
        self.builder.ins().brif(condition, call, &[], next, &[]);
        self.builder.seal_block(call);
        self.builder.switch_to_block(call);
        self.call_builtin(builtin, &[]);
        self.builder.ins().jump(next, &[]);
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
        self.unmark();
    }
}
