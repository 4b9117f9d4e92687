//! Numbers: constants, arithmetic, comparisons, conversions.
//!
//! Division and conversion trap through Cranelift's own checks where hardware faults may be used, and otherwise
//! through explicit branches that come first.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;
use hotfoot_abi::trap::TrapCode;
use wasmparser::Operator;

use super::Translator;

/// What a division computes and how it reads its operands.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Division {
    SignedQuotient,
    UnsignedQuotient,
    SignedRemainder,
    UnsignedRemainder,
}

impl<'f> Translator<'_, 'f> {
    fn unary(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, 'f>, Value) -> Value) {
        let value = self.pop();
        let value = emit(self.builder.ins(), value);
        self.push(value);
    }

    fn binary(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value) {
        let (first, second) = self.pop2();
        let value = emit(self.builder.ins(), first, second);
        self.push(value);
    }

    /// Pushes a condition as the 32-bit integer that it is in WebAssembly.
    fn push_condition(&mut self, condition: Value) {
        let value = self.builder.ins().uextend(types::I32, condition);
        self.push(value);
    }

    fn compare(&mut self, condition: IntCC) {
        let (first, second) = self.pop2();
        let condition = self.builder.ins().icmp(condition, first, second);
        self.push_condition(condition);
    }

    fn compare_float(&mut self, condition: FloatCC) {
        let (first, second) = self.pop2();
        let condition = self.builder.ins().fcmp(condition, first, second);
        self.push_condition(condition);
    }

    fn is_zero(&mut self) {
        let value = self.pop();
        let zero = self.iconst(self.value_type(value), 0);
        let condition = self.builder.ins().icmp(IntCC::Equal, value, zero);
        self.push_condition(condition);
    }

    /// Keeps the low bits of an integer and extends their sign.
    fn extend_low(&mut self, low: Type) {
        let value = self.pop();
        let ty = self.value_type(value);
        let narrow = self.builder.ins().ireduce(low, value);
        let value = self.builder.ins().sextend(ty, narrow);
        self.push(value);
    }

    fn reinterpret(&mut self, ty: Type) {
        self.unary(|ins, value| ins.bitcast(ty, MemFlagsData::new(), value));
    }

    pub(super) fn f32const(&mut self, bits: u32) -> Value {
        self.builder.ins().f32const(Ieee32::with_bits(bits))
    }

    pub(super) fn f64const(&mut self, bits: u64) -> Value {
        self.builder.ins().f64const(Ieee64::with_bits(bits))
    }

    fn divide(&mut self, division: Division) {
        self.mark();
        let (dividend, divisor) = self.pop2();
        if !self.env.tunables.signals_based_traps {
            self.check_division(division, dividend, divisor);
        }
        let ins = self.builder.ins();
        let value = match division {
            Division::SignedQuotient => ins.sdiv(dividend, divisor),
            Division::UnsignedQuotient => ins.udiv(dividend, divisor),
            Division::SignedRemainder => ins.srem(dividend, divisor),
            Division::UnsignedRemainder => ins.urem(dividend, divisor),
        };
        self.push(value);
    }

    fn check_division(&mut self, division: Division, dividend: Value, divisor: Value) {
        let ty = self.value_type(dividend);
        let zero = self.iconst(ty, 0);
        let by_zero = self.builder.ins().icmp(IntCC::Equal, divisor, zero);
        self.trap_if(by_zero, TrapCode::IntegerDivisionByZero);
        if division == Division::SignedQuotient {
            let least = self.iconst(ty, if ty == types::I32 { i64::from(i32::MIN) } else { i64::MIN });
            let minus_one = self.iconst(ty, -1);
            let is_least = self.builder.ins().icmp(IntCC::Equal, dividend, least);
            let is_minus_one = self.builder.ins().icmp(IntCC::Equal, divisor, minus_one);
            let overflow = self.builder.ins().band(is_least, is_minus_one);
            self.trap_if(overflow, TrapCode::IntegerOverflow);
        }
    }

    /// Float to integer, trapping where there is no such integer.
    fn truncate(&mut self, to: Type, signed: bool) {
        self.mark();
        let value = self.pop();
        let checked = !self.env.tunables.signals_based_traps;
        if checked {
            self.check_truncation(value, to, signed);
        }
        let ins = self.builder.ins();
        let value = match (checked, signed) {
            (false, true) => ins.fcvt_to_sint(to, value),
            (false, false) => ins.fcvt_to_uint(to, value),
            (true, true) => ins.fcvt_to_sint_sat(to, value),
            (true, false) => ins.fcvt_to_uint_sat(to, value),
        };
        self.push(value);
    }

    fn check_truncation(&mut self, value: Value, to: Type, signed: bool) {
        let not_a_number = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        self.trap_if(not_a_number, TrapCode::BadConversionToInteger);
        let single = self.value_type(value) == types::F32;
        // The least float that is too large, and the greatest one that is too small: for a signed integer that is
        // one less than the least integer, or, where rounding lost that difference, what precedes the least integer.
        let (small, large) = match (to == types::I32, signed) {
            (true, true) if single => (-2_147_483_904.0, 2_147_483_648.0),
            (true, true) => (-2_147_483_649.0, 2_147_483_648.0),
            (true, false) => (-1.0, 4_294_967_296.0),
            (false, true) if single => (f64::from((-9_223_372_036_854_775_808.0_f32).next_down()), 2f64.powi(63)),
            (false, true) => ((-9_223_372_036_854_775_808.0_f64).next_down(), 2f64.powi(63)),
            (false, false) => (-1.0, 2f64.powi(64)),
        };
        let mut bound = |bound: f64| {
            if single { self.f32const((bound as f32).to_bits()) } else { self.f64const(bound.to_bits()) }
        };
        let (small, large) = (bound(small), bound(large));
        let too_small = self.builder.ins().fcmp(FloatCC::LessThanOrEqual, value, small);
        let too_large = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, value, large);
        let outside = self.builder.ins().bor(too_small, too_large);
        self.trap_if(outside, TrapCode::IntegerOverflow);
    }

    /// Translates an operator on numbers; false if the operator is something else.
    pub(super) fn numeric(&mut self, op: &Operator<'_>) -> bool {
        self.constant(op) || self.integer(op) || self.float(op) || self.conversion(op) || self.wide(op)
    }

    /// 128-bit arithmetic; a 128-bit integer is two operands, its low half first.
    fn wide(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        match op {
            O::I64Add128 => self.wide_sum(|ins, x, y| ins.iadd(x, y)),
            O::I64Sub128 => self.wide_sum(|ins, x, y| ins.isub(x, y)),
            O::I64MulWideS => self.wide_product(|ins, x| ins.sextend(types::I128, x)),
            O::I64MulWideU => self.wide_product(|ins, x| ins.uextend(types::I128, x)),
            _ => return false,
        }
        true
    }

    fn pop_wide(&mut self) -> Value {
        let (low, high) = self.pop2();
        self.builder.ins().iconcat(low, high)
    }

    fn push_wide(&mut self, value: Value) {
        let (low, high) = self.builder.ins().isplit(value);
        self.push(low);
        self.push(high);
    }

    fn wide_sum(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, 'f>, Value, Value) -> Value) {
        let second = self.pop_wide();
        let first = self.pop_wide();
        let sum = emit(self.builder.ins(), first, second);
        self.push_wide(sum);
    }

    /// The whole product of two extended integers: one instruction where the processor has it.
    fn wide_product(&mut self, extend: impl Fn(FuncInstBuilder<'_, 'f>, Value) -> Value) {
        let (first, second) = self.pop2();
        let first = extend(self.builder.ins(), first);
        let second = extend(self.builder.ins(), second);
        let product = self.builder.ins().imul(first, second);
        self.push_wide(product);
    }

    fn constant(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        let value = match *op {
            O::I32Const { value } => self.iconst(types::I32, i64::from(value)),
            O::I64Const { value } => self.iconst(types::I64, value),
            O::F32Const { value } => self.f32const(value.bits()),
            O::F64Const { value } => self.f64const(value.bits()),
            _ => return false,
        };
        self.push(value);
        true
    }

    fn integer(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        match op {
            O::I32Eqz | O::I64Eqz => self.is_zero(),
            O::I32Eq | O::I64Eq => self.compare(IntCC::Equal),
            O::I32Ne | O::I64Ne => self.compare(IntCC::NotEqual),
            O::I32LtS | O::I64LtS => self.compare(IntCC::SignedLessThan),
            O::I32LtU | O::I64LtU => self.compare(IntCC::UnsignedLessThan),
            O::I32GtS | O::I64GtS => self.compare(IntCC::SignedGreaterThan),
            O::I32GtU | O::I64GtU => self.compare(IntCC::UnsignedGreaterThan),
            O::I32LeS | O::I64LeS => self.compare(IntCC::SignedLessThanOrEqual),
            O::I32LeU | O::I64LeU => self.compare(IntCC::UnsignedLessThanOrEqual),
            O::I32GeS | O::I64GeS => self.compare(IntCC::SignedGreaterThanOrEqual),
            O::I32GeU | O::I64GeU => self.compare(IntCC::UnsignedGreaterThanOrEqual),
            O::I32Clz | O::I64Clz => self.unary(|ins, value| ins.clz(value)),
            O::I32Ctz | O::I64Ctz => self.unary(|ins, value| ins.ctz(value)),
            O::I32Popcnt | O::I64Popcnt => self.unary(|ins, value| ins.popcnt(value)),
            O::I32Add | O::I64Add => self.binary(|ins, x, y| ins.iadd(x, y)),
            O::I32Sub | O::I64Sub => self.binary(|ins, x, y| ins.isub(x, y)),
            O::I32Mul | O::I64Mul => self.binary(|ins, x, y| ins.imul(x, y)),
            O::I32DivS | O::I64DivS => self.divide(Division::SignedQuotient),
            O::I32DivU | O::I64DivU => self.divide(Division::UnsignedQuotient),
            O::I32RemS | O::I64RemS => self.divide(Division::SignedRemainder),
            O::I32RemU | O::I64RemU => self.divide(Division::UnsignedRemainder),
            O::I32And | O::I64And => self.binary(|ins, x, y| ins.band(x, y)),
            O::I32Or | O::I64Or => self.binary(|ins, x, y| ins.bor(x, y)),
            O::I32Xor | O::I64Xor => self.binary(|ins, x, y| ins.bxor(x, y)),
            O::I32Shl | O::I64Shl => self.binary(|ins, x, y| ins.ishl(x, y)),
            O::I32ShrS | O::I64ShrS => self.binary(|ins, x, y| ins.sshr(x, y)),
            O::I32ShrU | O::I64ShrU => self.binary(|ins, x, y| ins.ushr(x, y)),
            O::I32Rotl | O::I64Rotl => self.binary(|ins, x, y| ins.rotl(x, y)),
            O::I32Rotr | O::I64Rotr => self.binary(|ins, x, y| ins.rotr(x, y)),
            O::I32Extend8S | O::I64Extend8S => self.extend_low(types::I8),
            O::I32Extend16S | O::I64Extend16S => self.extend_low(types::I16),
            O::I64Extend32S => self.extend_low(types::I32),
            _ => return false,
        }
        true
    }

    fn float(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        match op {
            O::F32Eq | O::F64Eq => self.compare_float(FloatCC::Equal),
            O::F32Ne | O::F64Ne => self.compare_float(FloatCC::NotEqual),
            O::F32Lt | O::F64Lt => self.compare_float(FloatCC::LessThan),
            O::F32Gt | O::F64Gt => self.compare_float(FloatCC::GreaterThan),
            O::F32Le | O::F64Le => self.compare_float(FloatCC::LessThanOrEqual),
            O::F32Ge | O::F64Ge => self.compare_float(FloatCC::GreaterThanOrEqual),
            O::F32Abs | O::F64Abs => self.unary(|ins, value| ins.fabs(value)),
            O::F32Neg | O::F64Neg => self.unary(|ins, value| ins.fneg(value)),
            O::F32Ceil | O::F64Ceil => self.unary(|ins, value| ins.ceil(value)),
            O::F32Floor | O::F64Floor => self.unary(|ins, value| ins.floor(value)),
            O::F32Trunc | O::F64Trunc => self.unary(|ins, value| ins.trunc(value)),
            O::F32Nearest | O::F64Nearest => self.unary(|ins, value| ins.nearest(value)),
            O::F32Sqrt | O::F64Sqrt => self.unary(|ins, value| ins.sqrt(value)),
            O::F32Add | O::F64Add => self.binary(|ins, x, y| ins.fadd(x, y)),
            O::F32Sub | O::F64Sub => self.binary(|ins, x, y| ins.fsub(x, y)),
            O::F32Mul | O::F64Mul => self.binary(|ins, x, y| ins.fmul(x, y)),
            O::F32Div | O::F64Div => self.binary(|ins, x, y| ins.fdiv(x, y)),
            O::F32Min | O::F64Min => self.binary(|ins, x, y| ins.fmin(x, y)),
            O::F32Max | O::F64Max => self.binary(|ins, x, y| ins.fmax(x, y)),
            O::F32Copysign | O::F64Copysign => self.binary(|ins, x, y| ins.fcopysign(x, y)),
            _ => return false,
        }
        true
    }

    fn conversion(&mut self, op: &Operator<'_>) -> bool {
        use Operator as O;
        use types::{F32, F64, I32, I64};
        match op {
            O::I32WrapI64 => self.unary(|ins, value| ins.ireduce(I32, value)),
            O::I64ExtendI32S => self.unary(|ins, value| ins.sextend(I64, value)),
            O::I64ExtendI32U => self.unary(|ins, value| ins.uextend(I64, value)),
            O::I32TruncF32S | O::I32TruncF64S => self.truncate(I32, true),
            O::I32TruncF32U | O::I32TruncF64U => self.truncate(I32, false),
            O::I64TruncF32S | O::I64TruncF64S => self.truncate(I64, true),
            O::I64TruncF32U | O::I64TruncF64U => self.truncate(I64, false),
            O::I32TruncSatF32S | O::I32TruncSatF64S => self.unary(|ins, value| ins.fcvt_to_sint_sat(I32, value)),
            O::I32TruncSatF32U | O::I32TruncSatF64U => self.unary(|ins, value| ins.fcvt_to_uint_sat(I32, value)),
            O::I64TruncSatF32S | O::I64TruncSatF64S => self.unary(|ins, value| ins.fcvt_to_sint_sat(I64, value)),
            O::I64TruncSatF32U | O::I64TruncSatF64U => self.unary(|ins, value| ins.fcvt_to_uint_sat(I64, value)),
            O::F32ConvertI32S | O::F32ConvertI64S => self.unary(|ins, value| ins.fcvt_from_sint(F32, value)),
            O::F32ConvertI32U | O::F32ConvertI64U => self.unary(|ins, value| ins.fcvt_from_uint(F32, value)),
            O::F64ConvertI32S | O::F64ConvertI64S => self.unary(|ins, value| ins.fcvt_from_sint(F64, value)),
            O::F64ConvertI32U | O::F64ConvertI64U => self.unary(|ins, value| ins.fcvt_from_uint(F64, value)),
            O::F32DemoteF64 => self.unary(|ins, value| ins.fdemote(F32, value)),
            O::F64PromoteF32 => self.unary(|ins, value| ins.fpromote(F64, value)),
            O::I32ReinterpretF32 => self.reinterpret(I32),
            O::I64ReinterpretF64 => self.reinterpret(I64),
            O::F32ReinterpretI32 => self.reinterpret(F32),
            O::F64ReinterpretI64 => self.reinterpret(F64),
            _ => return false,
        }
        true
    }
}
