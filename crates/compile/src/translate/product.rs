//! Functions that multiply two 128-bit integers, as compilers of other languages bring them along (`__multi3`).
//!
//! WebAssembly has no product of 64-bit integers that is wider than they are, so such a function puts it together from
//! products of halves: a dozen instructions where the processor has one. A body is recognised by what it computes: it is
//! carried out with expressions in place of numbers, and what it stores must be the same expressions that one of the
//! known ways leads to. Names mean nothing, and neither does the order in which it computes.
//!
//! With `a` and `b` the operands, `l` and `h` the low and high 32 bits of their low halves, and all sums modulo 2^64:
//!
//! ```text
//!  t = l(a) h(b) + (l(a) l(b) >> 32)      u = h(a) l(b) + (t & low)        neither can overflow
//!  high = a.high b.low + a.low b.high + h(a) h(b) + (t >> 32) + (u >> 32)
//!  low  = (u << 32) | (l(a) l(b) & low)
//!
//!  s = l(a) h(b) + h(a) l(b)              overflows if it is less than one of them
//!  low  = l(a) l(b) + (s << 32)
//!  high = a.high b.low + a.low b.high + h(a) h(b) + ((s overflowed) << 32 | s >> 32) + (low < l(a) l(b))
//! ```

use std::collections::HashMap;

use hotfoot_abi::fuel::OperatorCost;
use wasmparser::{FunctionBody, MemArg, Operator};

use super::meter;

/// A function `(address, a.low, a.high, b.low, b.high)` that stores the product of two 128-bit integers.
#[derive(Copy, Clone, Debug)]
pub(super) struct WideProduct {
    /// The stores in the order in which it makes them: where in the binary, how, and whether it is the high half.
    pub(super) stores: [(u64, MemArg, bool); 2],
    /// Fuel that a call of it costs, beside that of the call.
    pub(super) fuel: i64,
}

/// An expression, as its number.
type Id = u32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Expression {
    Parameter(u32),
    Constant(i64),
    /// Operands ascending, none of them a sum.
    Sum(Vec<Id>),
    Product(Id, Id),
    And(Id, Id),
    Or(Id, Id),
    ShiftedLeft(Id, Id),
    ShiftedRight(Id, Id),
    Less(Id, Id),
}

/// Expressions, equal ones once.
#[derive(Default)]
struct Expressions {
    all: Vec<Expression>,
    known: HashMap<Expression, Id>,
}

impl Expressions {
    fn id(&mut self, expression: Expression) -> Id {
        *self.known.entry(expression).or_insert_with_key(|expression| {
            self.all.push(expression.clone());
            self.all.len() as Id - 1
        })
    }

    fn constant(&mut self, value: i64) -> Id {
        self.id(Expression::Constant(value))
    }

    fn sum(&mut self, operands: &[Id]) -> Id {
        let mut flat = Vec::new();
        for operand in operands {
            match &self.all[*operand as usize] {
                Expression::Sum(inner) => flat.extend(inner),
                _ => flat.push(*operand),
            }
        }
        flat.sort_unstable();
        self.id(Expression::Sum(flat))
    }

    /// An operation whose operands may change places.
    fn symmetric(&mut self, make: fn(Id, Id) -> Expression, x: Id, y: Id) -> Id {
        self.id(make(x.min(y), x.max(y)))
    }

    fn product(&mut self, x: Id, y: Id) -> Id {
        self.symmetric(Expression::Product, x, y)
    }

    fn low_bits(&mut self, x: Id) -> Id {
        let mask = self.constant(0xffff_ffff);
        self.symmetric(Expression::And, x, mask)
    }

    fn high_bits(&mut self, x: Id) -> Id {
        let bits = self.constant(32);
        self.id(Expression::ShiftedRight(x, bits))
    }

    fn raised(&mut self, x: Id) -> Id {
        let bits = self.constant(32);
        self.id(Expression::ShiftedLeft(x, bits))
    }

    /// What the known ways compute of two operands in a certain order: `(low, high)`.
    fn known_ways(&mut self, [a_low, a_high]: [Id; 2], [b_low, b_high]: [Id; 2]) -> [(Id, Id); 3] {
        let (al, ah) = (self.low_bits(a_low), self.high_bits(a_low));
        let (bl, bh) = (self.low_bits(b_low), self.high_bits(b_low));
        let (low, high) = (self.product(al, bl), self.product(ah, bh));
        let (first, second) = (self.product(al, bh), self.product(ah, bl));
        let (left, right) = (self.product(a_high, b_low), self.product(a_low, b_high));

        let carried = self.high_bits(low);
        let t = self.sum(&[first, carried]);
        let t_low = self.low_bits(t);
        let u = self.sum(&[second, t_low]);
        let (t_high, u_high) = (self.high_bits(t), self.high_bits(u));
        let whole_high = self.sum(&[left, right, high, t_high, u_high]);
        let (u_up, low_low) = (self.raised(u), self.low_bits(low));
        let whole_low = self.symmetric(Expression::Or, u_up, low_low);

        let middle = self.sum(&[first, second]);
        let middle_up = self.raised(middle);
        let sum_low = self.sum(&[low, middle_up]);
        let carry = self.id(Expression::Less(sum_low, low));
        let middle_high = self.high_bits(middle);
        let mut with_overflow_of = |part: Id| {
            let overflowed = self.id(Expression::Less(middle, part));
            let overflowed = self.raised(overflowed);
            let middle = self.symmetric(Expression::Or, overflowed, middle_high);
            (sum_low, self.sum(&[left, right, high, middle, carry]))
        };
        let ways = [with_overflow_of(first), with_overflow_of(second)];
        [(whole_low, whole_high), ways[0], ways[1]]
    }
}

/// Looks whether a valid body, of a function that takes an `i32` and four `i64`, is such a function.
pub(super) fn recognise(body: &FunctionBody<'_>, costs: &OperatorCost) -> Option<WideProduct> {
    let mut expressions = Expressions::default();
    let parameters = [0, 1, 2, 3, 4].map(|index| expressions.id(Expression::Parameter(index)));
    let mut locals = parameters.to_vec();
    for declared in body.get_locals_reader().ok()? {
        let (count, _) = declared.ok()?;
        let zero = expressions.constant(0);
        locals.resize(locals.len() + usize::try_from(count).ok().filter(|count| *count < 64)?, zero);
    }
    let mut stores = Vec::new();
    let mut fuel = 0;
    let mut stack = Vec::new();
    let mut operators = body.get_operators_reader().ok()?;
    while !operators.eof() {
        let (op, offset) = operators.read_with_offset().ok()?;
        fuel += meter::cost(costs, &op);
        let value = match op {
            Operator::LocalGet { local_index } => locals[local_index as usize],
            Operator::LocalSet { local_index } => {
                locals[local_index as usize] = stack.pop()?;
                continue;
            }
            Operator::LocalTee { local_index } => {
                locals[local_index as usize] = *stack.last()?;
                continue;
            }
            Operator::I64Const { value } => expressions.constant(value),
            // What it extends is the outcome of a comparison, which is a number already.
            Operator::I64ExtendI32U if is_comparison(&expressions, *stack.last()?) => continue,
            Operator::I64Store { memarg } => {
                let (value, address) = (stack.pop()?, stack.pop()?);
                stores.push((offset, memarg, address, value));
                continue;
            }
            Operator::End => continue,
            _ => {
                let (y, x) = (stack.pop()?, stack.pop()?);
                match op {
                    Operator::I64Add => expressions.sum(&[x, y]),
                    Operator::I64Mul => expressions.product(x, y),
                    Operator::I64And => expressions.symmetric(Expression::And, x, y),
                    Operator::I64Or => expressions.symmetric(Expression::Or, x, y),
                    Operator::I64Shl => expressions.id(Expression::ShiftedLeft(x, y)),
                    Operator::I64ShrU => expressions.id(Expression::ShiftedRight(x, y)),
                    Operator::I64LtU => expressions.id(Expression::Less(x, y)),
                    _ => return None,
                }
            }
        };
        stack.push(value);
    }
    let [first, second] = stores.try_into().ok()?;
    let half = |store: &(u64, MemArg, Id, Id)| match store.1.offset {
        _ if store.2 != parameters[0] || store.1.target != first.1.target => None,
        0 => Some(false),
        8 => Some(true),
        _ => None,
    };
    let halves = (half(&first)?, half(&second)?);
    let stored = match halves {
        (false, true) => (first.3, second.3),
        (true, false) => (second.3, first.3),
        _ => return None,
    };
    let (a, b) = ([parameters[1], parameters[2]], [parameters[3], parameters[4]]);
    let known = expressions.known_ways(a, b).into_iter().chain(expressions.known_ways(b, a)).any(|way| way == stored);
    let stores = [(first.0, first.1, halves.0), (second.0, second.1, halves.1)];
    known.then_some(WideProduct { stores, fuel })
}

fn is_comparison(expressions: &Expressions, id: Id) -> bool {
    matches!(expressions.all[id as usize], Expression::Less(..))
}
