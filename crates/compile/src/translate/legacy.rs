//! Exceptions in their older encoding: `try`, `catch`, `catch_all`, `delegate` and `rethrow`.
//!
//! It says at the end of a `try` what its beginning needs to know, so a function that has one is read ahead once. From
//! there on everything is as for `try_table` ([`super::exception`]): calls list the same handlers, which begin the bodies
//! of the `catch` clauses instead of jumping to a label. What `delegate` names is a place whose handlers a call lists
//! instead of those around it. A clause whose exception is thrown again takes a reference to it.

use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::exception::Catch;
use hotfoot_artifact::ValType;
use wasmparser::{BlockType, FunctionBody, Operator};

use super::Translator;
use super::exception::{Handlers, shadows};
use crate::Error;

/// What a `try` of a function is followed by.
#[derive(Clone, Default)]
pub(super) struct Shape {
    catches: Vec<Catch>,
    delegate: Option<u32>,
}

/// A `try` that has not ended yet.
pub(super) struct Try {
    /// A handler for each clause that an exception can reach.
    handlers: Vec<Option<(Catch, Block)>>,
    /// The clause that comes next.
    next: usize,
    /// The handlers outside of the structure.
    outer: Handlers,
    /// How many calls with handlers came before; `None` once the guarded part has ended without any.
    guarded_calls: Option<usize>,
    /// In a clause whose exception is thrown again: a reference to it.
    caught: Option<Value>,
}

impl Try {
    /// The handlers outside of the structure, which hold in its clauses and behind it.
    pub(super) fn outer(&self) -> Handlers {
        self.outer.clone()
    }
}

/// Reads a function ahead, which need not be valid: the shape of each `try`, in order.
pub(super) fn shapes(body: &FunctionBody<'_>) -> Result<Vec<Shape>, Error> {
    let mut shapes: Vec<Shape> = Vec::new();
    // For each structure around: of a `try`, its number and the clause that is being read.
    let mut open: Vec<Option<(usize, Option<usize>)>> = Vec::new();
    for op in body.get_operators_reader()? {
        let mut clause = |tag: Option<u32>, open: &mut Vec<Option<(usize, Option<usize>)>>| {
            if let Some(Some((number, clause))) = open.last_mut() {
                *clause = Some(shapes[*number].catches.len());
                shapes[*number].catches.push(Catch { tag, reference: false });
            }
        };
        match op? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                open.push(None);
            }
            Operator::Try { .. } => {
                open.push(Some((shapes.len(), None)));
                shapes.push(Shape::default());
            }
            Operator::Catch { tag_index } => clause(Some(tag_index), &mut open),
            Operator::CatchAll => clause(None, &mut open),
            Operator::Rethrow { relative_depth } => {
                let at = open.len().checked_sub(1 + relative_depth as usize);
                if let Some(Some((number, Some(clause)))) = at.map(|at| open[at]) {
                    shapes[number].catches[clause].reference = true;
                }
            }
            Operator::Delegate { relative_depth } => {
                if let Some(Some((number, _))) = open.pop() {
                    shapes[number].delegate = Some(relative_depth);
                }
            }
            Operator::End => drop(open.pop()),
            _ => {}
        }
    }
    Ok(shapes)
}

impl Translator<'_, '_> {
    /// The shape of the next `try` of the function.
    pub(super) fn next_try(&mut self) -> Shape {
        self.tries_seen += 1;
        self.tries.get(self.tries_seen - 1).cloned().unwrap_or_default()
    }

    pub(super) fn try_(&mut self, ty: BlockType) -> Result<(), Error> {
        let shape = self.next_try();
        let outer = self.handlers.clone();
        let mut handlers: Vec<Option<(Catch, Block)>> = Vec::new();
        match shape.delegate {
            Some(depth) => self.handlers = self.handlers_at(depth),
            None => {
                for catch in shape.catches {
                    let known = catch.tag.is_none_or(|tag| (tag as usize) < self.env.module.info.tags.len());
                    let reached = handlers.iter().flatten().all(|(earlier, _)| !shadows(*earlier, catch));
                    handlers.push((known && reached).then(|| (catch, self.builder.create_block())));
                }
                let inner: Vec<(Catch, Block)> = handlers.iter().flatten().copied().collect();
                self.guard_by(&inner)?;
            }
        }
        let guarded_calls = Some(self.guarded_calls);
        self.open_try(ty, Try { handlers, next: 0, outer, guarded_calls, caught: None })
    }

    /// Begins a clause.
    pub(super) fn catch(&mut self, tag: Option<u32>) {
        let mut frame = self.leave_arm();
        if frame.next == 0 {
            frame.guarded_calls = frame.guarded_calls.filter(|before| *before != self.guarded_calls);
        }
        self.handlers = frame.outer.clone();
        let handler = frame.handlers.get(frame.next).copied().flatten();
        frame.next += 1;
        frame.caught = None;
        match handler.filter(|_| frame.guarded_calls.is_some()) {
            Some((catch, block)) => frame.caught = self.begin_clause(catch, block, tag),
            None => self.diverge(),
        }
        self.enter_arm(frame);
    }

    /// Goes on in a clause with the exception's values; gives the reference to it, if it is thrown again.
    fn begin_clause(&mut self, catch: Catch, block: Block, tag: Option<u32>) -> Option<Value> {
        let reference = self.builder.append_block_param(block, types::I64);
        let payload = self.builder.append_block_param(block, types::I64);
        self.builder.set_cold_block(block);
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
        let fields = self.payload_fields(tag, payload);
        self.stack.extend_from_slice(&fields);
        self.revive();
        catch.reference.then(|| {
            let reference = self.builder.ins().ireduce(types::I32, reference);
            self.root(reference, ValType::EXNREF);
            reference
        })
    }

    /// Ends a `try` whose exceptions go on elsewhere.
    pub(super) fn delegate(&mut self) {
        self.end();
    }

    /// Throws what the clause `depth` structures out has caught.
    pub(super) fn rethrow(&mut self, depth: u32) {
        let caught = self.caught_at(depth).and_then(|frame| frame.caught);
        let caught = caught.expect("validation finds a clause, and reading ahead found this instruction");
        self.call_throwing(Builtin::ThrowRef, &[caught]);
    }
}
