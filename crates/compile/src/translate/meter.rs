//! Fuel and epochs: how code that cooperates is stopped.
//!
//! Fuel lives in the target's pinned register while compiled code runs, so charging it is a subtraction and calls pass it
//! on for nothing; the trampolines to and from the host move it to the store and back. What operators cost is summed up
//! and charged where a straight run of them ends, so what a program has consumed depends on the program only. For bytes of
//! memories and elements of tables, the runtime charges; for elements of arrays, code does.
//!
//! To charge is not to pay at once: what is *owed* is known wherever code is translated, and is paid, by subtracting it
//! from the register, where someone could see the difference: before calls and what traps, and at the end of the function.
//! An access to memory may trap and does not pay, but says what is owed ([`hotfoot_abi::trap::at_access`]). At a label as
//! much is owed on all ways to it: the first one decides, and others pay the difference, or take it back.
//!
//! ```text
//!  if          owed 5           owed 5
//!  then 3      owed 8           owed 8, and so at the label
//!  else 2      owed 7           register + 1
//!  end         owed 8
//! ```
//!
//! Whether fuel is used up, or a new epoch has begun, is looked at where every endless computation passes again and
//! again: at the head of a loop, and at the start of each function that calls another. A function that does neither
//! runs to its end, of which there is only so much; nor does one need it that is inlined into another.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::fuel::{OperatorCost, VariableOperatorCost};
use hotfoot_abi::trap::{self, TrapCode};
use hotfoot_abi::vmctx::offsets;
use smallvec::SmallVec;
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

/// What is known of the fuel where code is being translated.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Fuel {
    /// Of the operators since a straight run of them began.
    run: i64,
    /// Of the runs before, as far as it is not paid yet.
    pub(super) owed: i64,
    /// What the register holds, if that is at hand.
    register: Option<Value>,
}

impl Fuel {
    /// So much is owed where a straight run begins.
    pub(super) fn owing(owed: i64) -> Fuel {
        Fuel { owed, ..Fuel::default() }
    }
}

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

/// Whether any operator of a function calls one.
pub(super) fn calls_others(body: &FunctionBody<'_>) -> Result<bool, Error> {
    let mut operators: OperatorsReader<'_> = body.get_operators_reader()?;
    while !operators.eof() {
        if calls(&operators.read()?) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Translator<'_, '_> {
    /// Before an operator that can be reached: notes what it costs.
    pub(super) fn charge(&mut self, op: &Operator<'_>) {
        if self.env.tunables.consume_fuel {
            self.spend(cost(self.env.operator_cost, op));
            if ends_straight_run(op) {
                self.settle();
            }
        }
    }

    /// Notes that a straight run costs so much more, if code consumes fuel. If it does not, nothing is ever owed.
    pub(super) fn spend(&mut self, fuel: i64) {
        if self.env.tunables.consume_fuel {
            self.fuel.run += fuel;
        }
    }

    /// Ends a straight run.
    pub(super) fn settle(&mut self) {
        self.fuel.owed += std::mem::take(&mut self.fuel.run);
    }

    /// What the register holds.
    fn register(&mut self) -> Value {
        match self.fuel.register {
            Some(fuel) => fuel,
            None => self.builder.ins().get_pinned_reg(types::I64),
        }
    }

    fn set_register(&mut self, fuel: Value) {
        self.builder.ins().set_pinned_reg(fuel);
        self.fuel.register = Some(fuel);
    }

    /// Pays what is owed, before the register may change.
    pub(super) fn pay(&mut self) {
        self.owe(0);
        self.fuel.register = None;
    }

    /// Pays what is owed but for this amount, or takes back what that lacks.
    pub(super) fn owe(&mut self, owed: i64) {
        let amount = owed - std::mem::replace(&mut self.fuel.owed, owed);
        if amount != 0 {
            let fuel = self.register();
            let amount = self.iconst(types::I64, amount);
            let fuel = self.builder.ins().iadd(fuel, amount);
            self.set_register(fuel);
        }
    }

    /// Before a jump to the head of a loop: keeps the fuel in a variable, for the check there.
    pub(super) fn keep_fuel(&mut self) {
        if self.env.tunables.consume_fuel {
            let fuel = self.register();
            let variable = match self.fuel_variable {
                Some(variable) => variable,
                None => *self.fuel_variable.insert(self.builder.declare_var(types::I64)),
            };
            self.builder.def_var(variable, fuel);
        }
    }

    /// At the head of a loop: takes the fuel from the variable.
    pub(super) fn fuel_at_head(&mut self) {
        self.fuel.register = self.fuel_variable.map(|variable| self.builder.use_var(variable));
    }

    /// Where what was thrown is caught: whoever throws has paid.
    pub(super) fn begin_handler(&mut self) {
        self.fuel = Fuel::default();
    }

    /// The code of an instruction that traps, which says what is owed then. Pays what it cannot say.
    pub(super) fn owing_trap_code(&mut self, code: TrapCode) -> ir::TrapCode {
        let known = if code == TrapCode::MemoryOutOfBounds { trap::at_access(self.fuel.owed) } else { None };
        let number = known.unwrap_or_else(|| {
            self.pay();
            code as u8
        });
        ir::TrapCode::unwrap_user(number)
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
        let fuel = self.register();
        let fuel = self.builder.ins().isub(fuel, amount);
        self.set_register(fuel);
    }

    /// Goes on only with fuel that is not used up, in an epoch that may still run.
    pub(super) fn check_meters(&mut self) {
        if self.env.tunables.consume_fuel {
            let fuel = self.register();
            self.fuel.register = Some(fuel);
            let owed = self.iconst(types::I64, self.fuel.owed);
            let used_up = self.builder.ins().icmp(IntCC::SignedLessThan, fuel, owed);
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

    /// Calls a builtin, which may change the fuel, if the condition holds.
    fn call_if(&mut self, condition: Value, builtin: Builtin) {
        let call = self.builder.create_block();
        let next = self.builder.create_block();
        let (before, mut fuel) = (self.fuel, self.fuel);
        if before.register.is_some() {
            fuel.register = Some(self.builder.append_block_param(next, types::I64));
        }
        let passed: SmallVec<[BlockArg; 1]> = before.register.into_iter().map(BlockArg::Value).collect();
        self.builder.set_cold_block(call);
        self.builder.ins().brif(condition, call, &[], next, &passed);
        self.builder.seal_block(call);
        self.builder.switch_to_block(call);
        self.call_builtin(builtin, &[]);
        self.owe(before.owed);
        let passed: SmallVec<[BlockArg; 1]> =
            before.register.map(|_| BlockArg::Value(self.register())).into_iter().collect();
        self.builder.ins().jump(next, &passed);
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
        self.fuel = fuel;
        self.unmark();
    }
}
