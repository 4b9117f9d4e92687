//! WebAssembly to CLIF, one function at a time.
//!
//! [`Translator`] walks a body once, validating each operator just before it is translated, and keeps the operand
//! stack of the specification as a stack of CLIF values. Each file beside this one holds the operators of one kind;
//! [`Translator::operator`] is the table that says where each belongs.
//!
//! Invariants: nothing recurses, so nesting costs heap and not stack; code that cannot be reached is validated and
//! not translated; vectors lie on the operand stack with whatever lanes made them and become sixteen bytes
//! ([`types::I8X16`]) wherever they cross a local, a block, a call or memory that outlives the function.

mod atomic;
mod bounds;
mod bulk;
mod call;
mod control;
pub(crate) mod env;
mod exception;
pub(crate) mod gc;
mod global;
mod indirect;
pub(crate) mod inline;
mod legacy;
mod local;
mod memory;
mod meter;
mod numeric;
mod product;
mod reference;
mod simd;
mod size;
mod table;
mod widen;

use std::collections::HashMap;

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{
    AliasRegionData, Block, Endianness, FuncRef, GlobalValueData, InstBuilder, InstructionData, MemFlagsData, Opcode,
    SigRef, SourceLoc, StackSlot, Type, UserFuncName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::ValType;
use wasmparser::{
    FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, ValidatorResources,
};

use crate::Error;
use bounds::{Preloaded, Proofs};
use control::Frame;
use env::{Env, is_collected};
use exception::Handlers;
use gc::Operand;
use inline::{Activation, InlinedPlace};
use meter::Fuel;

/// What a thread keeps from one function to the next, so that its buffers are allocated once.
#[derive(Default)]
pub(crate) struct Scratch {
    builder: FunctionBuilderContext,
    validator: FuncValidatorAllocations,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    stack: Vec<Value>,
    control: Vec<Frame>,
    locals: Vec<(local::Kind, Variable)>,
    signatures: HashMap<(u32, bool), SigRef>,
    functions: HashMap<u32, FuncRef>,
}

/// The kinds of memory access that compiled code makes.
#[derive(Copy, Clone)]
pub(super) struct Access {
    /// Parts of the VM context that never change while a function runs.
    pub(super) constant: MemFlagsData,
    /// Parts of the VM context that calls may change: lengths and movable bases.
    pub(super) context: MemFlagsData,
    /// What a reference to a function points to: constant, but only there once the reference is known not to be null.
    pub(super) reference: MemFlagsData,
    /// Globals.
    pub(super) global: MemFlagsData,
    /// Elements of tables, where the bounds check was explicit.
    pub(super) table: MemFlagsData,
    /// Linear memory, where the bounds check was explicit.
    pub(super) memory: MemFlagsData,
    /// Objects of the collected heap, whose null was found out or trapped before.
    pub(super) object: MemFlagsData,
}

/// The translation of one function.
pub(crate) struct Translator<'a, 'f> {
    pub(super) builder: FunctionBuilder<'f>,
    /// The operand stack.
    pub(super) stack: Vec<Value>,
    pub(super) env: &'a Env<'a>,
    /// Offset of the current operator in the binary.
    pub(super) offset: u64,
    pub(super) access: Access,
    pub(super) vmctx: Value,
    /// Where this function's results go, when its type uses a result area.
    area: Option<Value>,
    /// Memory for values that cross the calls that this function makes.
    callee_area: Option<StackSlot>,
    control: Vec<Frame>,
    /// Handlers of the structures that the current operator is inside of.
    handlers: Handlers,
    /// What each `try` is followed by, if the function has one, and how many were come upon.
    tries: Vec<legacy::Shape>,
    tries_seen: usize,
    /// How many calls with handlers were made so far.
    guarded_calls: usize,
    reachable: bool,
    /// What is known of the topmost operand's type, before the current operator.
    operand: Operand,
    /// Whether anything looks into the collected heap.
    uses_heap: bool,
    /// How many blocks were entered since code became unreachable.
    skipped_blocks: u32,
    /// The locals of the functions around, outermost first.
    locals: Vec<(local::Kind, Variable)>,
    /// Variables that no function uses any more, with what was declared of them.
    free_locals: Vec<(local::Kind, Variable)>,
    /// The function whose body is being translated.
    current: Activation<'a>,
    /// Where the outermost function begins when it replaces itself, if it seems to.
    again: Option<Block>,
    /// The functions that the current one is inlined into, outermost first.
    callers: Vec<u32>,
    /// Places in inlined functions.
    inlined: Vec<InlinedPlace>,
    /// Bytes of bodies that were inlined.
    inlined_bytes: usize,
    /// Most locals and operands at once, so far.
    deepest: usize,
    /// Whether there was a `table.set`.
    sets_tables: bool,
    /// Whether the current code is not expected to run.
    cold: bool,
    /// Whether instructions are being given a source location.
    marked: bool,
    /// What is known of indices of memories.
    proofs: Proofs,
    /// What was loaded before a loop around for the checks in it.
    preloaded: Option<Preloaded>,
    /// What is known of the fuel.
    fuel: Fuel,
    /// Fuel on all ways to the head of a loop.
    fuel_variable: Option<Variable>,
    signatures: HashMap<(u32, bool), SigRef>,
    functions: HashMap<u32, FuncRef>,
    builtins: [Option<FuncRef>; Builtin::COUNT],
}

/// What is known of a function once it is translated.
pub(crate) struct Translated {
    /// Whether it is small enough to be optimised.
    pub(crate) is_optimisable: bool,
    /// Whether it has a `table.set`, the one change to a table that the runtime does not see.
    pub(crate) sets_tables: bool,
    /// Whether it looks into the collected heap.
    pub(crate) uses_heap: bool,
    /// Places in functions that were inlined into it.
    pub(crate) inlined: Vec<InlinedPlace>,
}

/// Validates a function and translates it into `context`.
pub(crate) fn translate(
    scratch: &mut Scratch,
    context: &mut Context,
    env: &Env<'_>,
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<Translated, Error> {
    let index = function.index;
    let mut validator = function.into_validator(std::mem::take(&mut scratch.validator));
    context.clear();
    let ty = env.function_type(index);
    let is_local = env.is_local(index);
    context.func.signature = if is_local { env::local_signature(ty) } else { env::wasm_signature(ty) };
    context.func.name = UserFuncName::user(env::NAMESPACE_FUNCTION, index);
    let buffers = std::mem::take(&mut scratch.buffers);
    let mut builder = FunctionBuilder::new(&mut context.func, &mut scratch.builder);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let arguments = builder.block_params(entry).to_vec();
    let area = if is_local { 1 } else { 2 };
    let hidden = area + usize::from(ty.results_use_area());
    let mut translator = Translator {
        access: Access::new(&mut builder),
        vmctx: arguments[0],
        area: ty.results_use_area().then(|| arguments[area]),
        builder,
        stack: buffers.stack,
        env,
        offset: body.range().start,
        callee_area: None,
        control: buffers.control,
        handlers: Handlers::default(),
        tries: Vec::new(),
        tries_seen: 0,
        guarded_calls: 0,
        reachable: true,
        operand: Operand::UNKNOWN,
        uses_heap: false,
        skipped_blocks: 0,
        locals: buffers.locals,
        free_locals: Vec::new(),
        current: Activation::outermost(env, index, body)?,
        again: None,
        callers: Vec::new(),
        inlined: Vec::new(),
        inlined_bytes: 0,
        deepest: 0,
        sets_tables: false,
        cold: false,
        marked: false,
        proofs: Proofs::default(),
        preloaded: None,
        fuel: Fuel::default(),
        fuel_variable: None,
        signatures: buffers.signatures,
        functions: buffers.functions,
        builtins: [None; Builtin::COUNT],
    };
    let tunables = env.tunables;
    let asks = tunables.consume_fuel || tunables.epoch_interruption || !tunables.signals_based_traps;
    let is_leaf = asks && !meter::calls_others(body)?;
    translator.check_stack(is_leaf);
    translator.open_function(ty);
    let mut locals = body.get_locals_reader()?;
    translator.define_arguments(ty, &arguments[hidden..]);
    translator.open_again(body);
    if !is_leaf {
        translator.check_meters();
    }
    for _ in 0..locals.get_count() {
        let offset = locals.original_position();
        let (count, ty) = locals.read()?;
        validator.define_locals(offset, count, ty)?;
        translator.define_locals(offset, count, ty)?;
    }
    let mut operators = OperatorsReader::new(locals.get_binary_reader());
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        let operand = validator.get_operand_type(0).flatten();
        validator.op(offset, &operator)?;
        let resources = validator.resources();
        translator.operand = operand.map_or(Operand::UNKNOWN, |ty| Operand::of(ty, &operator, resources, offset));
        if translator.tries.is_empty() && matches!(operator, Operator::Try { .. }) {
            translator.tries = legacy::shapes(body)?;
        }
        translator.step(&operator, offset)?;
    }
    operators.finish()?;
    scratch.validator = validator.into_allocations();
    let is_optimisable = size::is_optimisable(&translator.builder.func.dfg, translator.deepest);
    let (sets_tables, uses_heap) = (translator.sets_tables, translator.uses_heap);
    let inlined = std::mem::take(&mut translator.inlined);
    scratch.buffers = translator.finish();
    Ok(Translated { is_optimisable, sets_tables, uses_heap, inlined })
}

impl Access {
    fn new(builder: &mut FunctionBuilder<'_>) -> Access {
        let mut region = |user_id, description: &'static str| {
            let data = AliasRegionData { user_id, description: description.into() };
            Some(builder.func.dfg.alias_regions.insert(data))
        };
        let trusted = MemFlagsData::trusted();
        let little = MemFlagsData::new().with_notrap().with_endianness(Endianness::Little);
        Access {
            constant: trusted.with_readonly().with_can_move(),
            context: trusted.with_alias_region(region(0, "vmctx")),
            reference: trusted.with_readonly(),
            global: trusted.with_alias_region(region(1, "global")),
            table: trusted.with_alias_region(region(2, "table")),
            memory: little.with_alias_region(region(3, "memory")),
            object: little.with_alias_region(region(4, "object")),
        }
    }
}

/// The operand stack and what all operators need.
impl Translator<'_, '_> {
    pub(super) fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Makes the value one that the collector finds and updates where it is live across a call, if the type asks for it.
    pub(super) fn root(&mut self, value: Value, ty: ValType) {
        if is_collected(ty) {
            self.builder.declare_value_needs_stack_map(value);
        }
    }

    /// Pushes a value of this type that came from elsewhere.
    pub(super) fn push_rooted(&mut self, value: Value, ty: ValType) {
        self.root(value, ty);
        self.push(value);
    }

    /// Takes the topmost operand.
    pub(super) fn pop(&mut self) -> Value {
        self.stack.pop().expect("a validated operator finds its operands")
    }

    /// Takes two operands; the second result was on top.
    pub(super) fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    /// Takes three operands; the third result was on top.
    pub(super) fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    pub(super) fn value_type(&self, value: Value) -> Type {
        self.builder.func.dfg.value_type(value)
    }

    /// The vector with lanes of the given type; the bits stay.
    pub(super) fn vector(&mut self, value: Value, ty: Type) -> Value {
        if self.value_type(value) == ty {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(ty, flags, value)
    }

    /// Where this function's own results go, when its type uses a result area.
    pub(super) fn caller_area(&self) -> Option<Value> {
        self.area
    }

    /// The value as it crosses locals, blocks and calls: vectors become sixteen bytes.
    pub(super) fn canonical(&mut self, value: Value) -> Value {
        if self.value_type(value).is_vector() { self.vector(value, types::I8X16) } else { value }
    }

    /// What an integer is, if it is known here.
    pub(super) fn known_integer(&self, value: Value) -> Option<i64> {
        let dfg = &self.builder.func.dfg;
        let InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } = dfg.insts[dfg.value_def(value).inst()?] else {
            return None;
        };
        Some(imm.bits())
    }

    pub(super) fn iconst(&mut self, ty: Type, value: i64) -> Value {
        let value = if ty == types::I32 { i64::from(value as u32) } else { value };
        self.builder.ins().iconst(ty, value)
    }

    /// Before what may trap or call: gives the instructions that follow, until the operator ends, the operator's place in
    /// the binary, and pays what fuel is owed.
    pub(super) fn mark(&mut self) {
        self.locate();
        self.pay();
    }

    /// As [`Translator::mark`], before what may only trap, and says itself what is owed then.
    pub(super) fn locate(&mut self) {
        if !self.marked {
            self.marked = true;
            let location = self.location();
            self.builder.set_srcloc(SourceLoc::new(location));
        }
    }

    fn unmark(&mut self) {
        if self.marked {
            self.marked = false;
            self.builder.set_srcloc(SourceLoc::default());
        }
    }

    /// Traps here and now; what follows cannot be reached.
    pub(super) fn trap(&mut self, code: TrapCode) {
        let fuel = self.fuel;
        self.mark();
        if !self.env.tunables.signals_based_traps {
            let number = self.iconst(types::I32, i64::from(code as u8));
            self.call_builtin(Builtin::Trap, &[number]);
        }
        self.builder.ins().trap(trap_code(code));
        self.fuel = fuel;
    }

    /// Traps if the condition is not zero.
    pub(super) fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.locate();
        if self.env.tunables.signals_based_traps {
            let code = self.owing_trap_code(code);
            self.builder.ins().trapnz(condition, code);
            return;
        }
        let failed = self.builder.create_block();
        let passed = self.new_block();
        self.builder.set_cold_block(failed);
        self.builder.ins().brif(condition, failed, &[], passed, &[]);
        self.builder.seal_block(failed);
        self.builder.seal_block(passed);
        self.builder.switch_to_block(failed);
        self.trap(code);
        self.builder.switch_to_block(passed);
    }

    /// Traps if the condition is zero.
    pub(super) fn trap_unless(&mut self, condition: Value, code: TrapCode) {
        if self.env.tunables.signals_based_traps {
            self.mark();
            self.builder.ins().trapz(condition, trap_code(code));
        } else {
            let zero = self.iconst(self.value_type(condition), 0);
            let failed = self.builder.ins().icmp(IntCC::Equal, condition, zero);
            self.trap_if(failed, code);
        }
    }

    /// Stops a function whose frame would reach below the store's stack limit. Without signals, one that calls no other may:
    /// whatever frame is allowed (`driver::MAX_CHECKED_FRAME`) fits what is there below the limit.
    fn check_stack(&mut self, is_leaf: bool) {
        let store = Offset32::new(offsets::VMCTX_STORE as i32);
        let limit = Offset32::new(offsets::STORE_STACK_LIMIT as i32);
        if self.env.tunables.signals_based_traps {
            let func = &mut self.builder.func;
            let flags = func.dfg.mem_flags.insert_unchecked(self.access.constant);
            let vmctx = func.create_global_value(GlobalValueData::VMContext);
            let load = |base, offset| GlobalValueData::Load { base, offset, global_type: types::I64, flags };
            let store = func.create_global_value(load(vmctx, store));
            let limit = func.create_global_value(load(store, limit));
            func.stack_limit = Some(limit);
        } else if !is_leaf {
            let store = self.builder.ins().load(types::I64, self.access.constant, self.vmctx, store);
            let limit = self.builder.ins().load(types::I64, self.access.constant, store, limit);
            let pointer = self.builder.ins().get_stack_pointer(types::I64);
            let overflow = self.builder.ins().icmp(IntCC::UnsignedLessThan, pointer, limit);
            self.trap_if(overflow, TrapCode::StackOverflow);
            self.unmark();
        }
    }

    /// Completes the function and gives the buffers back, empty.
    fn finish(mut self) -> Buffers {
        self.builder.seal_all_blocks();
        self.builder.finalize(self.env.isa.frontend_config());
        self.stack.clear();
        self.control.clear();
        self.locals.clear();
        self.signatures.clear();
        self.functions.clear();
        let Translator { stack, control, locals, signatures, functions, .. } = self;
        Buffers { stack, control, locals, signatures, functions }
    }
}

/// The code that Cranelift carries for one of our traps: the same number.
pub(crate) fn trap_code(code: TrapCode) -> cranelift_codegen::ir::TrapCode {
    cranelift_codegen::ir::TrapCode::unwrap_user(code as u8)
}

impl Translator<'_, '_> {
    /// Translates the operator at an offset in the binary, which has been validated, and keeps count.
    fn step(&mut self, op: &Operator<'_>, offset: u64) -> Result<(), Error> {
        self.offset = offset;
        if self.env.full_address_map {
            self.locate();
        }
        self.operator(op)?;
        self.sets_tables |= matches!(op, Operator::TableSet { .. });
        self.deepest = self.deepest.max(self.locals.len() + self.stack.len());
        if size::is_bounded(&self.builder.func.dfg, self.deepest) {
            return Ok(());
        }
        let function = self.callers.first().copied().unwrap_or(self.current.function());
        Err(Error::FunctionTooLarge { function: self.env.module.describe(function) })
    }

    /// Translates one operator, which has been validated.
    fn operator(&mut self, op: &Operator<'_>) -> Result<(), Error> {
        if !self.reachable {
            self.skip(op);
            return Ok(());
        }
        self.charge(op);
        use Operator as O;
        match *op {
            O::Nop => {}
            O::Unreachable => self.unreachable(),
            O::Block { blockty } => self.block(blockty)?,
            O::Loop { blockty } => self.loop_(blockty)?,
            O::If { blockty } => self.if_(blockty)?,
            O::TryTable { ref try_table } => self.try_table(try_table)?,
            O::Try { blockty } => self.try_(blockty)?,
            O::Catch { tag_index } => self.catch(Some(tag_index)),
            O::CatchAll => self.catch(None),
            O::Delegate { .. } => self.delegate(),
            O::Rethrow { relative_depth } => self.rethrow(relative_depth),
            O::Throw { tag_index } => self.throw(tag_index),
            O::ThrowRef => self.throw_ref(),
            O::Else => self.else_(),
            O::End => self.end(),
            O::Br { relative_depth } => self.br(relative_depth),
            O::BrIf { relative_depth } => self.br_if(relative_depth),
            O::BrTable { ref targets } => self.br_table(targets)?,
            O::Return => self.return_(),
            O::Call { function_index } => self.call(function_index)?,
            O::CallIndirect { type_index, table_index } => self.call_indirect(type_index, table_index)?,
            O::ReturnCall { function_index } => self.return_call(function_index),
            O::CallRef { type_index } => self.call_ref(type_index),
            O::ReturnCallRef { type_index } => self.return_call_ref(type_index),
            O::ReturnCallIndirect { type_index, table_index } => self.return_call_indirect(type_index, table_index),
            O::Drop => drop(self.pop()),
            O::Select => self.select(),
            O::TypedSelect { ty } => self.typed_select(ty)?,
            O::LocalGet { local_index } => self.local_get(local_index),
            O::LocalSet { local_index } => self.local_set(local_index),
            O::LocalTee { local_index } => self.local_tee(local_index),
            O::GlobalGet { global_index } => self.global_get(global_index),
            O::GlobalSet { global_index } => self.global_set(global_index),
            O::RefNull { hty } => self.ref_null(hty)?,
            O::RefIsNull => self.ref_is_null(),
            O::RefFunc { function_index } => self.ref_func(function_index),
            O::RefAsNonNull => self.ref_as_non_null(),
            O::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            O::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            O::TableGet { table } => self.table_get(table),
            O::TableSet { table } => self.table_set(table),
            O::TableSize { table } => self.table_size(table),
            O::TableGrow { table } => self.table_grow(table),
            O::TableFill { table } => self.table_fill(table),
            O::TableCopy { dst_table, src_table } => self.table_copy(dst_table, src_table),
            O::TableInit { elem_index, table } => self.table_init(table, elem_index),
            O::ElemDrop { elem_index } => self.drop_segment(Builtin::ElemDrop, elem_index),
            O::MemorySize { mem } => self.memory_size(mem),
            O::MemoryGrow { mem } => self.memory_grow(mem),
            O::MemoryFill { mem } => self.memory_fill(mem),
            O::MemoryCopy { dst_mem, src_mem } => self.memory_copy(dst_mem, src_mem),
            O::MemoryInit { data_index, mem } => self.memory_init(mem, data_index),
            O::DataDrop { data_index } => self.drop_segment(Builtin::DataDrop, data_index),
            _ => {
                let scalar = self.load_or_store(op) || self.numeric(op) || self.atomic(op);
                if !scalar && !self.object_operator(op)? {
                    self.simd(op)?;
                }
            }
        }
        self.unmark();
        Ok(())
    }
}
