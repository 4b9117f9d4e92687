//! Structured control: blocks, branches, and code that cannot be reached.
//!
//! A label is a CLIF block whose parameters are the values that a branch to it carries. A loop's label is its head;
//! the end of a loop needs no block, because only falling through leads there. The function itself is the outermost
//! label, and returning is a branch to it, so each function has one epilogue.
//!
//! Where a branch hint says that code will rarely run, its blocks are cold: they are laid out behind the others.

use std::collections::HashMap;

use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, JumpTableData, Value};
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{FuncType, ValType};
use smallvec::SmallVec;
use wasmparser::{BlockType, BrTable, Operator};

use super::Translator;
use super::env::clif_type;
use super::exception::{Handlers, TryTable};
use super::legacy::Try;
use super::meter::Fuel;
use crate::Error;

/// A control structure that has not ended yet.
pub(super) struct Frame {
    /// Where a branch to the structure goes.
    label: Block,
    /// How many values such a branch carries.
    arity: usize,
    /// Height of the operand stack below the structure's parameters.
    height: usize,
    /// Whether anything jumps to the label.
    branched: bool,
    /// Whether the code around the structure is not expected to run.
    cold: bool,
    /// The handlers that hold directly inside of it.
    handlers: Handlers,
    /// Marks of what was proven of indices: before the structure, on all ways to the label so far, and the least that
    /// was ever known inside.
    proven_before: usize,
    proven_at_label: usize,
    proven_least: usize,
    /// What fuel is owed before the structure, and at the label, if anything leads there.
    owed_before: i64,
    owed_at_label: Option<i64>,
    kind: Kind,
}

enum Kind {
    /// The label is at the end.
    Block,
    /// The label is at the start.
    Loop { preloaded: bool },
    /// As a block, with an arm still to come that starts from these operands.
    If { otherwise: Block, params: Box<[Value]>, cold_otherwise: bool },
    /// As a block, with handlers to be written when it ends.
    TryTable(Box<TryTable>),
    /// As a block, with clauses that begin with handlers.
    Try(Box<Try>),
    /// The body of the function; the label returns.
    Function,
}

type Types = SmallVec<[ValType; 4]>;
type Arguments = SmallVec<[BlockArg; 4]>;

impl Translator<'_, '_> {
    /// Opens the outermost label.
    pub(super) fn open_function(&mut self, ty: &FuncType) {
        self.open(&ty.results, 0, Kind::Function);
    }

    /// Opens the outermost label of an inlined function.
    pub(super) fn open_inlined(&mut self, ty: &FuncType) {
        self.open(&ty.results, 0, Kind::Block);
    }

    /// Opens the label at which ways meet that call functions of a type with the operands on the stack.
    pub(super) fn open_ways(&mut self, ty: &FuncType) {
        self.open(&ty.results, ty.params.len(), Kind::Block);
    }

    /// Ends such a way, and begins another in a block with the same operands.
    pub(super) fn next_way(&mut self, block: Block, operands: &[Value]) {
        if self.reachable {
            self.jump(0);
        }
        self.forget_inside();
        let height = self.control.last().map_or(0, |frame| frame.height);
        self.stack.truncate(height);
        self.stack.extend_from_slice(operands);
        self.builder.switch_to_block(block);
        self.reachable = true;
    }

    /// How many structures are around.
    pub(super) fn labels(&self) -> usize {
        self.control.len()
    }

    /// Whether the code here is not expected to run.
    pub(super) fn is_cold(&self) -> bool {
        self.cold
    }

    fn block_types(&self, ty: BlockType) -> Result<(Types, Types), Error> {
        Ok(match ty {
            BlockType::Empty => Default::default(),
            BlockType::Type(ty) => {
                (Types::new(), Types::from_slice(&[self.env.module.types.val_type(ty, self.offset)?]))
            }
            BlockType::FuncType(index) => {
                let ty = self.env.func_type(index);
                (Types::from_slice(&ty.params), Types::from_slice(&ty.results))
            }
        })
    }

    /// A block that is as cold as the code around it.
    pub(super) fn new_block(&mut self) -> Block {
        let block = self.builder.create_block();
        if self.cold {
            self.builder.set_cold_block(block);
        }
        block
    }

    /// What the module's producer expects of the current branch: whether its condition holds.
    fn hint(&self) -> Option<bool> {
        let offset = self.offset - self.current.start;
        let at = self.current.hints.binary_search_by_key(&offset, |hint| hint.offset.into()).ok()?;
        Some(self.current.hints[at].likely)
    }

    /// Opens a structure whose label takes values of these types.
    fn open(&mut self, label_types: &[ValType], params: usize, kind: Kind) -> Block {
        let label = self.new_block();
        for ty in label_types {
            let value = self.builder.append_block_param(label, clif_type(*ty));
            self.root(value, *ty);
        }
        let height = self.stack.len() - params;
        let arity = label_types.len();
        let (handlers, proven) = (self.handlers.clone(), self.proofs.mark());
        let owed_at_label = match kind {
            Kind::Loop { .. } => Some(self.fuel.owed),
            Kind::Function => Some(0),
            _ => None,
        };
        self.control.push(Frame {
            label,
            arity,
            height,
            branched: false,
            cold: self.cold,
            handlers,
            proven_before: proven,
            proven_at_label: usize::MAX,
            proven_least: usize::MAX,
            owed_before: self.fuel.owed,
            owed_at_label,
            kind,
        });
        label
    }

    /// Notes that control goes from here to the label at this place in the list of labels, and sees to it that there as much
    /// fuel is owed as on other ways.
    fn leads_to(&mut self, at: usize) {
        let frame = &mut self.control[at];
        let owed = *frame.owed_at_label.get_or_insert(self.fuel.owed);
        let is_loop = matches!(frame.kind, Kind::Loop { .. });
        self.owe(owed);
        if is_loop {
            self.keep_fuel();
        }
        let proven = self.proofs.mark();
        let frame = &mut self.control[at];
        frame.branched = true;
        frame.proven_at_label = frame.proven_at_label.min(proven);
    }

    /// Forgets what was proven inside of the innermost structure, whose next part begins.
    fn forget_inside(&mut self) {
        if let Some(frame) = self.control.last_mut() {
            frame.proven_least = frame.proven_before;
            self.proofs.forget(frame.proven_before);
        }
    }

    /// Takes the innermost structure, which ends, off the list; the structure around it knew no more than was ever known
    /// inside.
    fn close(&mut self) -> Frame {
        let mut frame = self.control.pop().expect("`end` closes a structure");
        if !matches!(frame.kind, Kind::Loop { .. }) {
            frame.proven_least = frame.proven_least.min(frame.proven_at_label);
            self.proofs.forget(frame.proven_least);
        }
        if let Some(around) = self.control.last_mut() {
            around.proven_least = around.proven_least.min(frame.proven_least);
        }
        self.cold = frame.cold;
        frame
    }

    pub(super) fn block(&mut self, ty: BlockType) -> Result<(), Error> {
        let (params, results) = self.block_types(ty)?;
        self.open(&results, params.len(), Kind::Block);
        Ok(())
    }

    pub(super) fn loop_(&mut self, ty: BlockType) -> Result<(), Error> {
        let (params, _) = self.block_types(ty)?;
        let arguments = self.arguments(params.len());
        let preloaded = self.preload();
        self.keep_fuel();
        let head = self.open(&params, params.len(), Kind::Loop { preloaded });
        self.builder.ins().jump(head, &arguments);
        self.builder.switch_to_block(head);
        self.stack.truncate(self.stack.len() - params.len());
        self.stack.extend_from_slice(self.builder.block_params(head));
        self.fuel_at_head();
        self.check_meters();
        Ok(())
    }

    /// Opens a block that has handlers.
    pub(super) fn open_try_table(&mut self, ty: BlockType, table: TryTable) -> Result<(), Error> {
        let (params, results) = self.block_types(ty)?;
        self.open(&results, params.len(), Kind::TryTable(Box::new(table)));
        Ok(())
    }

    /// Opens a block that has clauses.
    pub(super) fn open_try(&mut self, ty: BlockType, state: Try) -> Result<(), Error> {
        let (params, results) = self.block_types(ty)?;
        self.open(&results, params.len(), Kind::Try(Box::new(state)));
        Ok(())
    }

    /// The handlers that hold directly inside of the structure `depth` out from here, if there is one.
    pub(super) fn handlers_at(&self, depth: u32) -> Handlers {
        let at = self.control.len().checked_sub(1 + depth as usize);
        at.map(|at| self.control[at].handlers.clone()).unwrap_or_default()
    }

    /// Ends the guarded part or a clause of the innermost `try`, whose state is to be given back.
    pub(super) fn leave_arm(&mut self) -> Box<Try> {
        if self.reachable {
            self.jump(0);
        }
        let frame = self.control.last_mut().expect("`catch` follows `try`");
        let Kind::Try(state) = std::mem::replace(&mut frame.kind, Kind::Block) else {
            unreachable!("validation pairs `catch` with `try`");
        };
        self.stack.truncate(frame.height);
        state
    }

    /// Begins a clause of the innermost `try`.
    pub(super) fn enter_arm(&mut self, state: Box<Try>) {
        self.forget_inside();
        let frame = self.control.last_mut().expect("`catch` follows `try`");
        frame.handlers = state.outer();
        frame.kind = Kind::Try(state);
        self.cold = true;
        self.begin_handler();
    }

    /// Something leads here, after nothing did.
    pub(super) fn revive(&mut self) {
        self.reachable = true;
    }

    /// The state of the `try` that is `depth` structures out.
    pub(super) fn caught_at(&self, depth: u32) -> Option<&Try> {
        if let Kind::Try(state) = &self.control[self.label_at(depth)].kind { Some(state) } else { None }
    }

    /// Where the label `depth` structures out lies in the list of labels.
    pub(super) fn label_at(&self, depth: u32) -> usize {
        self.control.len() - 1 - depth as usize
    }

    pub(super) fn if_(&mut self, ty: BlockType) -> Result<(), Error> {
        let condition = self.pop();
        let (params, results) = self.block_types(ty)?;
        let (hint, outside) = (self.hint(), self.cold);
        let (cold_then, cold_otherwise) = (outside || hint == Some(false), outside || hint == Some(true));
        self.cold = cold_then;
        let then = self.new_block();
        self.cold = cold_otherwise;
        let otherwise = self.new_block();
        self.cold = outside;
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.builder.seal_block(then);
        self.builder.seal_block(otherwise);
        let operands = self.stack[self.stack.len() - params.len()..].into();
        self.open(&results, params.len(), Kind::If { otherwise, params: operands, cold_otherwise });
        self.cold = cold_then;
        self.builder.switch_to_block(then);
        Ok(())
    }

    pub(super) fn else_(&mut self) {
        let reachable = self.reachable;
        if reachable {
            self.jump(0);
        }
        self.forget_inside();
        let frame = self.control.last_mut().expect("`else` follows `if`");
        let Kind::If { otherwise, params, cold_otherwise } = std::mem::replace(&mut frame.kind, Kind::Block) else {
            unreachable!("validation pairs `else` with `if`");
        };
        self.cold = cold_otherwise;
        self.fuel = Fuel::owing(frame.owed_before);
        self.stack.truncate(frame.height);
        self.stack.extend_from_slice(&params);
        self.builder.switch_to_block(otherwise);
        self.reachable = true;
    }

    pub(super) fn end(&mut self) {
        if let Some(Frame { kind: Kind::Loop { preloaded }, .. }) = self.control.last() {
            if *preloaded {
                self.end_preloaded();
            }
            let frame = self.close();
            self.builder.seal_block(frame.label);
            if !self.reachable {
                self.stack.truncate(frame.height);
            }
            return;
        }
        let frame = self.control.last_mut().expect("`end` closes a structure");
        if matches!(frame.kind, Kind::If { .. }) {
            // Whoever skips the arm owes what was owed before, and the arm pays for itself.
            frame.owed_at_label.get_or_insert(frame.owed_before);
        }
        if self.reachable {
            self.jump(0);
        }
        let frame = self.control.last_mut().expect("`end` closes a structure");
        match std::mem::replace(&mut frame.kind, Kind::Block) {
            kind @ Kind::If { .. } => {
                frame.kind = kind;
                self.else_();
                self.jump(0);
            }
            Kind::TryTable(table) => {
                self.forget_inside();
                self.close_try_table(*table);
            }
            Kind::Try(state) => self.handlers = state.outer(),
            kind => frame.kind = kind,
        }
        let frame = self.close();
        self.stack.truncate(frame.height);
        self.builder.seal_block(frame.label);
        self.reachable = frame.branched;
        if self.reachable {
            self.fuel = Fuel::owing(frame.owed_at_label.unwrap_or(0));
            self.builder.switch_to_block(frame.label);
            self.stack.extend_from_slice(self.builder.block_params(frame.label));
            if matches!(frame.kind, Kind::Function) {
                self.leave();
            }
        }
    }

    /// Returns the values on the stack.
    fn leave(&mut self) {
        let results = std::mem::take(&mut self.stack);
        if let Some(area) = self.area {
            for (slot, result) in results.iter().enumerate() {
                let offset = slot as i32 * SLOT_SIZE as i32;
                self.builder.ins().store(self.access.context, *result, area, offset);
            }
            self.builder.ins().return_(&[]);
        } else {
            self.builder.ins().return_(&results);
        }
        self.stack = results;
        self.reachable = false;
    }

    /// The topmost operands, as a branch carries them.
    fn arguments(&mut self, count: usize) -> Arguments {
        let first = self.stack.len() - count;
        (first..self.stack.len())
            .map(|at| {
                let value = self.stack[at];
                BlockArg::Value(self.canonical(value))
            })
            .collect()
    }

    /// The label `depth` structures out, and what a branch to it carries now.
    pub(super) fn target(&mut self, depth: u32) -> (Block, Arguments) {
        let at = self.label_at(depth);
        self.leads_to(at);
        let (label, arity) = (self.control[at].label, self.control[at].arity);
        (label, self.arguments(arity))
    }

    /// Jumps to the label at this place in the list of labels.
    pub(super) fn jump_to(&mut self, at: usize, arguments: &[BlockArg]) {
        self.leads_to(at);
        self.builder.ins().jump(self.control[at].label, arguments);
    }

    fn jump(&mut self, depth: u32) {
        let (label, arguments) = self.target(depth);
        self.builder.ins().jump(label, &arguments);
        self.reachable = false;
    }

    /// Whether on other ways to the label `depth` structures out another amount of fuel is owed than here.
    fn owes_otherwise(&self, depth: u32) -> bool {
        self.control[self.label_at(depth)].owed_at_label.is_some_and(|owed| owed != self.fuel.owed)
    }

    /// Whether a conditional branch there is to pay on its way and not before. A branch back is mostly taken.
    fn pays_on_the_way(&self, depth: u32) -> bool {
        self.owes_otherwise(depth) && !matches!(self.control[self.label_at(depth)].kind, Kind::Loop { .. })
    }

    pub(super) fn br(&mut self, depth: u32) {
        self.jump(depth);
    }

    pub(super) fn return_(&mut self) {
        self.jump((self.control.len() - 1 - self.current.label) as u32);
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        let condition = self.pop();
        let hint = self.hint();
        let is_rare = hint == Some(false) && !self.cold;
        if !is_rare && !self.pays_on_the_way(depth) {
            let (label, arguments) = self.target(depth);
            self.cold |= hint == Some(true);
            self.branch_if(condition, label, &arguments);
            return;
        }
        // The label may be reached in other ways as well, so what is cold or pays is a block on the way there.
        let way = self.new_block();
        if is_rare {
            self.builder.set_cold_block(way);
        }
        self.cold |= hint == Some(true);
        let (next, fuel) = (self.new_block(), self.fuel);
        self.builder.ins().brif(condition, way, &[], next, &[]);
        self.builder.seal_block(way);
        self.builder.switch_to_block(way);
        let (label, arguments) = self.target(depth);
        self.builder.ins().jump(label, &arguments);
        self.fuel = fuel;
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
    }

    /// Branches, without the reference, if it is null; otherwise keeps it.
    pub(super) fn br_on_null(&mut self, depth: u32) {
        let reference = self.pop();
        let (label, arguments) = self.target(depth);
        let is_null = self.is_null(reference);
        self.branch_if(is_null, label, &arguments);
        self.push(reference);
    }

    /// Branches with the reference if it is not null; otherwise drops it.
    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        let (label, arguments) = self.target(depth);
        let reference = self.pop();
        self.branch_if(reference, label, &arguments);
    }

    /// Branches if the condition is not zero, and goes on in a block of its own otherwise.
    pub(super) fn branch_if(&mut self, condition: Value, label: Block, arguments: &[BlockArg]) {
        let next = self.new_block();
        self.builder.ins().brif(condition, label, arguments, next, &[]);
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
    }

    pub(super) fn br_table(&mut self, targets: &BrTable<'_>) -> Result<(), Error> {
        let index = self.pop();
        let depths = targets.targets().collect::<Result<Vec<u32>, _>>()?;
        let arity = self.control[self.label_at(targets.default())].arity;
        let arguments = self.arguments(arity);
        let all = depths.iter().copied().chain([targets.default()]);
        let is_direct = arguments.is_empty() && all.into_iter().all(|depth| !self.owes_otherwise(depth));
        let fuel = self.fuel;
        // One block per distinct label carries the values, however many entries of the table lead there.
        let mut carriers: Vec<(u32, Block)> = Vec::new();
        let mut known = HashMap::new();
        if is_direct {
            let label = self.target(targets.default()).0;
            let table = depths.iter().map(|depth| self.target(*depth).0).collect::<Vec<_>>();
            self.emit_br_table(index, label, &table);
        } else {
            let mut carrier = |this: &mut Self, depth: u32| {
                *known.entry(depth).or_insert_with(|| {
                    let block = this.builder.create_block();
                    carriers.push((depth, block));
                    block
                })
            };
            let default = carrier(self, targets.default());
            let table = depths.iter().map(|depth| carrier(self, *depth)).collect::<Vec<_>>();
            self.emit_br_table(index, default, &table);
        }
        for (depth, block) in carriers {
            let at = self.label_at(depth);
            self.fuel = fuel;
            self.builder.switch_to_block(block);
            self.builder.seal_block(block);
            self.jump_to(at, &arguments);
        }
        self.reachable = false;
        Ok(())
    }

    fn emit_br_table(&mut self, index: Value, default: Block, table: &[Block]) {
        let dfg = &mut self.builder.func.dfg;
        let default = dfg.block_call(default, &[]);
        let table: Vec<_> = table.iter().map(|block| dfg.block_call(*block, &[])).collect();
        let table = self.builder.create_jump_table(JumpTableData::new(default, &table));
        self.builder.ins().br_table(index, table);
    }

    pub(super) fn unreachable(&mut self) {
        // Without the barrier Cranelift turns the branch that leads here into the trap, at the branch's place in the
        // binary, and a backtrace would name the wrong instruction.
        self.builder.ins().sequence_point();
        self.trap(TrapCode::UnreachableCodeReached);
        self.reachable = false;
    }

    /// Nothing more runs until the current structure ends.
    pub(super) fn diverge(&mut self) {
        self.reachable = false;
    }

    pub(super) fn select(&mut self) {
        let (first, second, condition) = self.pop3();
        let (first, second) = (self.canonical(first), self.canonical(second));
        let value = self.builder.ins().select(condition, first, second);
        self.push(value);
    }

    /// A `select` that says what it selects, which may be references.
    pub(super) fn typed_select(&mut self, ty: wasmparser::ValType) -> Result<(), Error> {
        let ty = self.env.module.types.val_type(ty, self.offset)?;
        self.select();
        let value = self.pop();
        self.push_rooted(value, ty);
        Ok(())
    }

    /// Follows the nesting of code that cannot be reached.
    pub(super) fn skip(&mut self, op: &Operator<'_>) {
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                self.skipped_blocks += 1
            }
            Operator::Try { .. } => {
                self.next_try();
                self.skipped_blocks += 1;
            }
            Operator::End | Operator::Delegate { .. } if self.skipped_blocks > 0 => self.skipped_blocks -= 1,
            Operator::Delegate { .. } => self.delegate(),
            Operator::Catch { tag_index } if self.skipped_blocks == 0 => self.catch(Some(*tag_index)),
            Operator::CatchAll if self.skipped_blocks == 0 => self.catch(None),
            Operator::End => self.end(),
            Operator::Else if self.skipped_blocks == 0 => self.else_(),
            _ => {}
        }
    }
}
