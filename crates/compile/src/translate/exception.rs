//! Exceptions: `try_table`, `throw` and `throw_ref`, see [`hotfoot_abi::exception`].
//!
//! Inside a `try_table` a call is the end of its block: it goes on in a block of its own when it returns, and in one of
//! the handlers when it does not. A handler is a block that takes the two words of the convention, reads the payload
//! and jumps to the clause's label; all calls inside the structure share it. Nothing is executed on the way in or out.

use std::sync::Arc;

use cranelift_codegen::ir::{
    Block, BlockArg, ExceptionTableData, ExceptionTableItem, ExceptionTag, FuncRef, InstBuilder, SigRef, Value, types,
};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_abi::exception::Catch;
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::ValType;
use smallvec::SmallVec;

use super::env::clif_type;
use super::{Translator, trap_code};
use crate::Error;

/// Most handlers that one call can be inside of: each call inside lists them all.
const HANDLERS_PER_CALL_LIMIT: usize = 1000;

/// What a call reaches when it does not return: innermost first, none twice. Empty outside of every `try_table`.
pub(super) type Handlers = Arc<[(Catch, Block)]>;

/// Results of a call.
pub(super) type Results = SmallVec<[Value; 8]>;

/// Whose code a call runs.
pub(super) enum Code {
    /// A function that the linker knows.
    Known(FuncRef),
    /// The code at this address.
    Computed(Value),
}

/// A `try_table` that has not ended yet.
pub(super) struct TryTable {
    clauses: Vec<Clause>,
    /// The handlers outside of the structure.
    outer: Handlers,
    /// How many calls with handlers came before.
    guarded_calls: usize,
}

/// A catch clause that some exception can reach.
struct Clause {
    catch: Catch,
    handler: Block,
    /// Its label's place in the list of labels.
    label: usize,
}

/// Splits a clause of the binary format into what is caught and the label's depth.
fn parts(clause: &wasmparser::Catch) -> (Catch, u32) {
    match *clause {
        wasmparser::Catch::One { tag, label } => (Catch { tag: Some(tag), reference: false }, label),
        wasmparser::Catch::OneRef { tag, label } => (Catch { tag: Some(tag), reference: true }, label),
        wasmparser::Catch::All { label } => (Catch { tag: None, reference: false }, label),
        wasmparser::Catch::AllRef { label } => (Catch { tag: None, reference: true }, label),
    }
}

impl Translator<'_, '_> {
    pub(super) fn try_table(&mut self, table: &wasmparser::TryTable) -> Result<(), Error> {
        let mut clauses: Vec<Clause> = Vec::new();
        for clause in &table.catches {
            let (catch, depth) = parts(clause);
            if clauses.iter().all(|earlier| !shadows(earlier.catch, catch)) {
                clauses.push(Clause { catch, handler: self.builder.create_block(), label: self.label_at(depth) });
            }
        }
        let inner: Vec<(Catch, Block)> = clauses.iter().map(|clause| (clause.catch, clause.handler)).collect();
        let outer = self.guard_by(&inner)?;
        self.open_try_table(table.ty, TryTable { clauses, outer, guarded_calls: self.guarded_calls })
    }

    /// Puts these handlers in front of those around; gives the latter back.
    pub(super) fn guard_by(&mut self, inner: &[(Catch, Block)]) -> Result<Handlers, Error> {
        let mut handlers = inner.to_vec();
        for (catch, handler) in self.handlers.iter() {
            if inner.iter().all(|(inner, _)| !shadows(*inner, *catch)) {
                handlers.push((*catch, *handler));
            }
        }
        if handlers.len() > HANDLERS_PER_CALL_LIMIT {
            let what = "the number of exception handlers around one call";
            let (value, limit) = (handlers.len() as u64, HANDLERS_PER_CALL_LIMIT as u64);
            return Err(Error::Limit { what, value, limit });
        }
        Ok(std::mem::replace(&mut self.handlers, handlers.into()))
    }

    /// The values of an exception with a tag.
    pub(super) fn payload_fields(&mut self, tag: Option<u32>, payload: Value) -> Results {
        let env = self.env;
        let fields = tag.map(|tag| &env.tag_type(tag).params).into_iter().flatten();
        let mut values = Results::new();
        for (slot, ty) in fields.enumerate() {
            let offset = (slot * SLOT_SIZE as usize) as i32;
            let field = self.builder.ins().load(clif_type(*ty), self.access.context, payload, offset);
            self.root(field, *ty);
            values.push(field);
        }
        values
    }

    /// Ends the structure: the handlers are written, if any call can reach them.
    pub(super) fn close_try_table(&mut self, table: TryTable) {
        self.handlers = table.outer;
        if self.guarded_calls == table.guarded_calls {
            return;
        }
        for clause in table.clauses {
            self.begin_handler();
            self.handler(&clause);
        }
    }

    /// Reads the exception and jumps to the clause's label.
    fn handler(&mut self, clause: &Clause) {
        let reference = self.builder.append_block_param(clause.handler, types::I64);
        let payload = self.builder.append_block_param(clause.handler, types::I64);
        self.builder.set_cold_block(clause.handler);
        self.builder.switch_to_block(clause.handler);
        self.builder.seal_block(clause.handler);
        let fields = self.payload_fields(clause.catch.tag, payload);
        let mut arguments: SmallVec<[BlockArg; 8]> = fields.into_iter().map(BlockArg::Value).collect();
        if clause.catch.reference {
            let reference = self.builder.ins().ireduce(types::I32, reference);
            self.root(reference, ValType::EXNREF);
            arguments.push(BlockArg::Value(reference));
        }
        self.jump_to(clause.label, &arguments);
    }

    /// Whether exceptions of a call made here have handlers in this function.
    pub(super) fn is_guarded(&self) -> bool {
        !self.handlers.is_empty()
    }

    /// Makes a call whose exceptions have handlers here, and goes on in the block to which it returns.
    pub(super) fn guarded_call(&mut self, code: Code, signature: SigRef, arguments: &[Value]) -> Results {
        self.guarded_calls += 1;
        let next = self.builder.create_block();
        let returns = &self.builder.func.dfg.signatures[signature].returns;
        let types: SmallVec<[_; 8]> = returns.iter().map(|result| result.value_type).collect();
        let results: Results = types.iter().map(|ty| self.builder.append_block_param(next, *ty)).collect();
        let handlers = self.handlers.clone();
        let dfg = &mut self.builder.func.dfg;
        let returned: SmallVec<[BlockArg; 8]> = (0..types.len() as u32).map(BlockArg::TryCallRet).collect();
        let returned = dfg.block_call(next, &returned);
        let mut items = vec![ExceptionTableItem::Context(self.vmctx)];
        for (catch, handler) in handlers.iter() {
            let handler = dfg.block_call(*handler, &[BlockArg::TryCallExn(0), BlockArg::TryCallExn(1)]);
            items.push(ExceptionTableItem::Tag(ExceptionTag::from_u32(catch.encode()), handler));
        }
        let table = dfg.exception_tables.push(ExceptionTableData::new(signature, returned, items));
        match code {
            Code::Known(function) => self.builder.ins().try_call(function, arguments, table),
            Code::Computed(code) => self.builder.ins().try_call_indirect(code, arguments, table),
        };
        self.builder.seal_block(next);
        self.builder.switch_to_block(next);
        results
    }

    /// Calls a builtin that throws and so never returns.
    pub(super) fn call_throwing(&mut self, builtin: Builtin, arguments: &[Value]) {
        if self.is_guarded() {
            self.mark();
            let function = self.builtin(builtin);
            let signature = self.builder.func.dfg.ext_funcs[function].signature;
            let mut all: SmallVec<[Value; 4]> = SmallVec::from_slice(&[self.vmctx]);
            all.extend_from_slice(arguments);
            self.guarded_call(Code::Known(function), signature, &all);
        } else {
            self.call_builtin(builtin, arguments);
        }
        self.builder.ins().trap(trap_code(TrapCode::UnreachableCodeReached));
        self.diverge();
    }

    pub(super) fn throw(&mut self, tag: u32) {
        let count = self.env.tag_type(tag).params.len();
        let payload = self.call_area(count);
        let first = self.stack.len() - count;
        for slot in 0..count {
            let value = self.stack[first + slot];
            let value = self.canonical(value);
            self.builder.ins().store(self.access.context, value, payload, (slot * SLOT_SIZE as usize) as i32);
        }
        self.stack.truncate(first);
        let tag = self.number(tag);
        self.call_throwing(Builtin::Throw, &[tag, payload]);
    }

    pub(super) fn throw_ref(&mut self) {
        let exception = self.pop();
        self.call_throwing(Builtin::ThrowRef, &[exception]);
    }
}

/// Whether an exception that the later clause would catch never reaches it because of the earlier one.
pub(super) fn shadows(earlier: Catch, later: Catch) -> bool {
    earlier.tag.is_none() || earlier.tag == later.tag
}
