//! Inlining: a small function is translated where it is called.
//!
//! The callee's body is read again and translated in place, so nothing is kept of a function but how large it is, and
//! memory does not depend on the number of functions. Its locals are variables of their own, its outermost label is a
//! block, and everything else works as if the body were written there: fuel is counted as in the callee,
//! exceptions reach the handlers around the call, and a trap's place is the instruction's in the callee, called from
//! the instruction's in the caller ([`InlinedPlace`]).
//!
//! What is inlined depends on the module alone: on the callee's size, on how many calls lead here, and on how much was
//! inlined into the function already.

use std::sync::OnceLock;

use cranelift_codegen::ir::{InstBuilder, Value, types};
use hotfoot_abi::fuel::OperatorCost;
use hotfoot_artifact::{FuncType, INLINED, ValType};
use wasmparser::{FuncToValidate, FunctionBody, Operator, OperatorsReader};

use super::env::Env;
use super::gc::Operand;
use super::product::WideProduct;
use super::{Translator, bounds, meter, product};
use crate::Error;
use crate::decode::Body;
use crate::metadata::BranchHint;

/// A place in a function that was inlined.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct InlinedPlace {
    /// The function; imports counted first.
    pub(crate) function: u32,
    /// Offset of the instruction in the binary.
    pub(crate) wasm: u32,
    /// The place of the call of the function: an offset in the binary or, with [`INLINED`], the number of such a place.
    pub(crate) caller: u32,
}

/// Largest body, in bytes, of a function that is looked at: there is no instruction that does more in fewer.
const MAX_BYTES: usize = 400;
/// Most operators that do something in a function that is inlined.
const MAX_WORK: u32 = 24;
/// The same where the callee calls nothing.
const MAX_WORK_OF_LEAF: u32 = 40;
/// How much less each level of inlining may inline.
const DEPTH_DISCOUNT: u32 = 4;
/// Most levels.
const MAX_DEPTH: usize = 6;
/// How often a function may be on the way to its own call.
const MAX_RECURSION: usize = 2;
/// Bytes of bodies that may be inlined into any function.
const GROWTH: usize = 1000;
/// Most values in a function that anything is inlined into.
const MAX_VALUES: usize = 1 << 16;

/// Where bodies of functions come from.
pub(crate) trait BodySource: Sync {
    /// The body of a defined function; counts defined functions only.
    fn body(&self, function: u32) -> Body<'_>;
}

impl BodySource for &[Body<'_>] {
    fn body(&self, function: u32) -> Body<'_> {
        let (function, body) = &self[function as usize];
        (again(function), body.clone())
    }
}

/// The functions of a module as those that others might be inlined into see them.
#[derive(Copy, Clone)]
pub(crate) struct Inlinees<'a> {
    pub(crate) bodies: &'a dyn BodySource,
    pub(crate) shapes: &'a Shapes,
}

/// What is known of each function; it is looked at when the first call of it is seen.
pub(crate) struct Shapes(Vec<OnceLock<Option<Shape>>>);

impl Shapes {
    /// Nothing is known yet of so many functions.
    pub(crate) fn new(functions: usize) -> Shapes {
        Shapes(std::iter::repeat_with(OnceLock::new).take(functions).collect())
    }
}

/// How large a function is that could be inlined.
#[derive(Copy, Clone, Debug)]
struct Shape {
    /// Operators that become instructions.
    work: u32,
    /// Whether it calls functions.
    calls: bool,
    /// What it does, where that is known.
    product: Option<WideProduct>,
}

/// The function whose body is being translated: the outermost one, or one that is inlined.
pub(super) struct Activation<'a> {
    /// Imports counted first.
    function: u32,
    /// Where its call is, as [`Translator::location`] says; none for the outermost function.
    caller: Option<u32>,
    /// The place of its own label among the labels.
    pub(super) label: usize,
    /// The place of its first local among the variables.
    pub(super) locals: usize,
    /// What the module's producer expects of its branches.
    pub(super) hints: &'a [BranchHint],
    /// Where loops begin in which memories stay as they are.
    pub(super) quiet_loops: Vec<u64>,
    /// Offset of its body in the binary.
    pub(super) start: u64,
}

impl Inlinees<'_> {
    /// What a defined function looks like, if it is valid and could be inlined.
    fn shape(&self, defined: u32, ty: &FuncType, costs: &OperatorCost) -> Option<Shape> {
        *self.shapes.0[defined as usize].get_or_init(|| {
            let body = self.bodies.body(defined);
            let mut shape = shape(&body)?;
            use ValType::{I32, I64};
            if ty.params[..] == [I32, I64, I64, I64, I64] && ty.results.is_empty() {
                shape.product = product::recognise(&body.1, costs);
            }
            Some(shape)
        })
    }
}

/// The same again.
pub(crate) fn again<T: Clone>(function: &FuncToValidate<T>) -> FuncToValidate<T> {
    let FuncToValidate { resources, index, ty, features } = function;
    FuncToValidate { resources: resources.clone(), index: *index, ty: *ty, features: *features }
}

/// Looks at a body, and validates it.
fn shape((function, body): &Body<'_>) -> Option<Shape> {
    if body.as_bytes().len() > MAX_BYTES {
        return None;
    }
    let mut validator = again(function).into_validator(Default::default());
    validator.validate(body).ok()?;
    let mut shape = Shape { work: 0, calls: false, product: None };
    let mut ends_in_trap = false;
    for op in body.get_operators_reader().ok()? {
        let op = op.ok()?;
        if !can_be_inlined(&op) {
            return None;
        }
        shape.work += work(&op);
        shape.calls |= meter::calls(&op);
        ends_in_trap = matches!(op, Operator::Unreachable | Operator::Throw { .. } | Operator::ThrowRef)
            || ends_in_trap && matches!(op, Operator::End);
    }
    // What does not return is not called often.
    (!ends_in_trap).then_some(shape)
}

/// Whether the operator means the same in a function that was inlined.
fn can_be_inlined(op: &Operator<'_>) -> bool {
    !matches!(
        op,
        Operator::Try { .. }
            | Operator::TryTable { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            // These are translated by what validation knows of their operand.
            | Operator::RefTestNonNull { .. }
            | Operator::RefTestNullable { .. }
            | Operator::RefCastNonNull { .. }
            | Operator::RefCastNullable { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
    )
}

/// How much code the operator becomes, about, in instructions.
fn work(op: &Operator<'_>) -> u32 {
    match op {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Else
        | Operator::End
        | Operator::Return
        | Operator::Unreachable
        | Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::LocalTee { .. }
        | Operator::I32Const { .. }
        | Operator::I64Const { .. }
        | Operator::F32Const { .. }
        | Operator::F64Const { .. } => 0,
        Operator::Call { .. } => 4,
        Operator::CallIndirect { .. } | Operator::CallRef { .. } => 10,
        Operator::BrTable { targets } => 4 + targets.len(),
        _ => 1,
    }
}

impl<'a> Activation<'a> {
    /// A function that no other is translated around.
    pub(super) fn outermost(env: &Env<'a>, function: u32, body: &FunctionBody<'_>) -> Result<Activation<'a>, Error> {
        let (hints, quiet_loops) = (env.module.hints_of(function), bounds::quiet_loops(env, body)?);
        let start = body.range().start;
        Ok(Activation { function, caller: None, label: 0, locals: 0, hints, quiet_loops, start })
    }

    /// The function's index, imports counted first.
    pub(super) fn function(&self) -> u32 {
        self.function
    }
}

impl<'a> Translator<'a, '_> {
    /// The place of the current operator: its offset in the binary, or, in an inlined function, what [`INLINED`] says.
    pub(super) fn location(&mut self) -> u32 {
        let wasm = self.offset as u32;
        let Some(caller) = self.current.caller else { return wasm };
        let place = InlinedPlace { function: self.current.function, wasm, caller };
        if self.inlined.last() != Some(&place) {
            self.inlined.push(place);
        }
        INLINED | (self.inlined.len() - 1) as u32
    }

    /// Calls a function by translating it here, if that is worth it. Its arguments are on the stack.
    pub(super) fn inline(&mut self, function: u32) -> Result<bool, Error> {
        let env = self.env;
        let Some(defined) = function.checked_sub(env.module.counts.imported_funcs) else { return Ok(false) };
        let Some(inlinees) = &env.inlinees else { return Ok(false) };
        let Some(shape) = inlinees.shape(defined, env.function_type(function), env.operator_cost) else {
            return Ok(false);
        };
        let (_, body) = inlinees.bodies.body(defined);
        let bytes = body.as_bytes().len();
        if !self.is_worth_inlining(function, shape, bytes) {
            return Ok(false);
        }
        self.inlined_bytes += if shape.product.is_some() { 0 } else { bytes };
        self.unmark();
        let caller = Some(self.location());
        let start = body.range().start;
        let (label, locals) = (self.labels(), self.locals.len());
        let (hints, quiet_loops) = (env.module.hints_of(function), bounds::quiet_loops(env, &body)?);
        let callee = Activation { function, caller, label, locals, hints, quiet_loops, start };
        let outer = std::mem::replace(&mut self.current, callee);
        let offset = std::mem::replace(&mut self.offset, start);
        self.callers.push(outer.function);
        self.body_of_inlined(env.function_type(function), shape, &body)?;
        self.callers.pop();
        self.release_locals(locals);
        self.current = outer;
        self.offset = offset;
        Ok(true)
    }

    fn body_of_inlined(&mut self, ty: &FuncType, shape: Shape, body: &FunctionBody<'_>) -> Result<(), Error> {
        let arguments = self.stack.split_off(self.stack.len() - ty.params.len());
        if let Some(product) = shape.product {
            self.wide_product_of(product, &arguments);
            return Ok(());
        }
        self.open_inlined(ty);
        for (argument, ty) in arguments.into_iter().zip(&ty.params) {
            let argument = self.canonical(argument);
            self.define_argument(argument, *ty);
        }
        let mut locals = body.get_locals_reader()?;
        for _ in 0..locals.get_count() {
            let offset = locals.original_position();
            let (count, ty) = locals.read()?;
            self.define_locals(offset, count, ty)?;
        }
        let mut operators = OperatorsReader::new(locals.get_binary_reader());
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            self.operand = Operand::UNKNOWN;
            self.step(&operator, offset)?;
        }
        Ok(())
    }

    /// In place of a function that puts a product together from small ones.
    fn wide_product_of(&mut self, product: WideProduct, arguments: &[Value]) {
        let [address, a_low, a_high, b_low, b_high] = arguments[..] else {
            unreachable!("the function has five parameters");
        };
        let is_zero = |this: &Self, value| this.known_integer(value) == Some(0);
        let a = self.builder.ins().uextend(types::I128, a_low);
        let b = self.builder.ins().uextend(types::I128, b_low);
        let whole = self.builder.ins().imul(a, b);
        let (low, mut high) = self.builder.ins().isplit(whole);
        for (x, y) in [(a_high, b_low), (b_high, a_low)] {
            if !is_zero(self, x) {
                let product = self.builder.ins().imul(x, y);
                high = self.builder.ins().iadd(high, product);
            }
        }
        for (offset, memarg, is_high) in product.stores {
            self.offset = offset;
            let (address, offset, flags) = self.address(&memarg, address, 8);
            self.builder.ins().store(flags, if is_high { high } else { low }, address, offset);
            self.unmark();
        }
        self.spend(product.fuel);
    }

    fn is_worth_inlining(&self, function: u32, shape: Shape, bytes: usize) -> bool {
        let depth = self.callers.len();
        let same = |other: &u32| *other == function;
        let recursion =
            self.callers.iter().filter(|caller| same(caller)).count() + usize::from(same(&self.current.function));
        let limit = if shape.calls { MAX_WORK } else { MAX_WORK_OF_LEAF };
        let is_small = shape.work + DEPTH_DISCOUNT * depth as u32 <= limit && self.inlined_bytes + bytes <= GROWTH;
        !self.is_cold()
            && depth < MAX_DEPTH
            && recursion <= MAX_RECURSION
            && (is_small || shape.product.is_some())
            && self.builder.func.dfg.num_values() <= MAX_VALUES
    }
}
