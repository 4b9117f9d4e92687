//! Calls between WebAssembly functions, see [`hotfoot_abi::call`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, SigRef, StackSlotData, StackSlotKind, UserExternalName,
    Value, types,
};
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::{HeapType, RefType};
use smallvec::SmallVec;
use wasmparser::FunctionBody;

use super::env::{NAMESPACE_FUNCTION, clif_type, local_signature, wasm_signature};
use super::exception::{Code, Results};
use super::{Translator, trap_code};
use crate::Error;

/// Whom a call reaches.
#[derive(Copy, Clone)]
pub(super) enum Callee {
    /// A function of this module, and whether only its own functions call it.
    Direct(FuncRef, bool),
    /// The function whose code and context these are.
    Indirect { code: Value, vmctx: Value },
}

type Arguments = SmallVec<[Value; 8]>;

/// The type of references to functions of a type.
fn callee_type(ty: u32) -> RefType {
    RefType { nullable: true, heap: HeapType::ConcreteFunc(ty) }
}

/// Whether a body has the bytes of a `return_call` of a function, by which others may mean something else.
fn seems_to_replace_itself(body: &[u8], function: u32) -> bool {
    const RETURN_CALL: u8 = 0x12;
    let mut wanted = SmallVec::<[u8; 6]>::from_slice(&[RETURN_CALL]);
    let mut rest = function;
    while rest >= 0x80 {
        wanted.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    wanted.push(rest as u8);
    body.windows(wanted.len()).any(|bytes| bytes == &wanted[..])
}

impl Translator<'_, '_> {
    fn signature(&mut self, ty: u32) -> SigRef {
        self.signature_of(ty, false)
    }

    fn signature_of(&mut self, ty: u32, is_local: bool) -> SigRef {
        let key = (self.env.module.canonical_types[ty as usize], is_local);
        if let Some(known) = self.signatures.get(&key) {
            return *known;
        }
        let ty = self.env.func_type(ty);
        let signature = if is_local { local_signature(ty) } else { wasm_signature(ty) };
        let signature = self.builder.import_signature(signature);
        self.signatures.insert(key, signature);
        signature
    }

    /// A function of this module as the target of a direct call; `function` counts imports first.
    fn function(&mut self, function: u32, signature: SigRef) -> FuncRef {
        if let Some(known) = self.functions.get(&function) {
            return *known;
        }
        let defined = function - self.env.module.counts.imported_funcs;
        let name = UserExternalName::new(NAMESPACE_FUNCTION, defined);
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: true, patchable: false };
        let reference = self.builder.import_function(data);
        self.functions.insert(function, reference);
        reference
    }

    fn known_callee(&mut self, function: u32) -> Callee {
        let module = self.env.module;
        if function >= module.counts.imported_funcs {
            let is_local = self.env.is_local(function);
            let signature = self.signature_of(module.function_types[function as usize], is_local);
            return Callee::Direct(self.function(function, signature), is_local);
        }
        let offset = module.layout.imported_func(function);
        let mut field = |at: u32| {
            let offset = (offset + at) as i32;
            self.builder.ins().load(types::I64, self.access.constant, self.vmctx, offset)
        };
        Callee::Indirect { code: field(offsets::FUNCREF_CODE), vmctx: field(offsets::FUNCREF_VMCTX) }
    }

    /// Code and context of the function that a reference names; null traps.
    fn referenced_callee(&mut self, reference: Value, null: TrapCode) -> Callee {
        self.mark();
        // With signals, reading through a null reference is the check.
        let mut flags = self.access.reference;
        if self.env.tunables.signals_based_traps {
            flags = flags.with_trap_code(Some(trap_code(null)));
        } else {
            let is_null = self.is_null(reference);
            self.trap_if(is_null, null);
        }
        let code = self.builder.ins().load(types::I64, flags, reference, offsets::FUNCREF_CODE as i32);
        let flags = self.access.reference;
        let vmctx = self.builder.ins().load(types::I64, flags, reference, offsets::FUNCREF_VMCTX as i32);
        Callee::Indirect { code, vmctx }
    }

    /// The engine-wide number of a type.
    pub(super) fn type_number(&mut self, ty: u32) -> Value {
        let constant = self.access.constant;
        let ids = self.builder.ins().load(types::I64, constant, self.vmctx, offsets::VMCTX_TYPE_IDS as i32);
        self.builder.ins().load(types::I32, constant, ids, ty as i32 * 4)
    }

    /// Whether the type with the number `found` is this type or a subtype of it, see [`hotfoot_abi::types`].
    pub(super) fn is_subtype(&mut self, found: Value, ty: u32) -> Value {
        let wanted = self.type_number(ty);
        let info = &self.env.module.info;
        if info.types[ty as usize].is_final {
            return self.builder.ins().icmp(IntCC::Equal, found, wanted);
        }
        let depth = info.type_depth(ty);
        let constant = self.access.constant;
        let displays = self.builder.ins().load(types::I64, constant, self.vmctx, offsets::VMCTX_TYPE_DISPLAYS as i32);
        let found = self.builder.ins().uextend(types::I64, found);
        let shift = self.iconst(types::I32, 2);
        let scaled = self.builder.ins().ishl(found, shift);
        let display = self.builder.ins().iadd(displays, scaled);
        let flags = self.access.reference;
        let ancestor = self.builder.ins().load(types::I32, flags, display, depth as i32 * 4);
        self.builder.ins().icmp(IntCC::Equal, ancestor, wanted)
    }

    /// Takes an index, and loads the reference there.
    pub(super) fn table_reference(&mut self, table: u32) -> Value {
        let index = self.pop();
        let (address, flags) = self.element(table, index);
        self.builder.ins().load(types::I64, flags, address, 0)
    }

    /// The function that a table's element names, if it has the type.
    pub(super) fn typed_callee(&mut self, reference: Value, ty: u32, table: u32) -> Callee {
        self.mark();
        let element = self.table_type(table).element;
        if element.matches(callee_type(ty), |sub, sup| self.env.module.info.declares_subtype(sub, sup)) {
            return self.referenced_callee(reference, TrapCode::IndirectCallToNull);
        }
        // A null reference has no type: with signals, reading it is the check.
        let mut flags = self.access.reference;
        if self.env.tunables.signals_based_traps {
            flags = flags.with_trap_code(Some(trap_code(TrapCode::IndirectCallToNull)));
        } else {
            let is_null = self.is_null(reference);
            self.trap_if(is_null, TrapCode::IndirectCallToNull);
        }
        let found = self.builder.ins().load(types::I32, flags, reference, offsets::FUNCREF_TYPE_ID as i32);
        let fits = self.is_subtype(found, ty);
        self.trap_unless(fits, TrapCode::BadSignature);
        let fields = self.access.reference;
        let mut field = |at: u32| self.builder.ins().load(types::I64, fields, reference, at as i32);
        Callee::Indirect { code: field(offsets::FUNCREF_CODE), vmctx: field(offsets::FUNCREF_VMCTX) }
    }

    /// The arguments of a call, taken off the stack, after the hidden ones.
    fn call_arguments(&mut self, ty: u32, callee: Callee, area: Option<Value>) -> Arguments {
        let mut arguments = match callee {
            Callee::Direct(_, true) => Arguments::from_slice(&[self.vmctx]),
            Callee::Direct(_, false) => Arguments::from_slice(&[self.vmctx, self.vmctx]),
            Callee::Indirect { vmctx, .. } => Arguments::from_slice(&[vmctx, self.vmctx]),
        };
        arguments.extend(area);
        let first = self.stack.len() - self.env.func_type(ty).params.len();
        for at in first..self.stack.len() {
            let value = self.stack[at];
            arguments.push(self.canonical(value));
        }
        self.stack.truncate(first);
        arguments
    }

    /// Memory for the results of a call that does not return them in registers.
    fn result_area(&mut self, ty: u32) -> Option<Value> {
        let ty = self.env.func_type(ty);
        ty.results_use_area().then(|| self.call_area(ty.results.len()))
    }

    /// Memory for so many values that cross a call. One stack slot serves all calls of a function, because results are
    /// read as soon as a call returns.
    pub(super) fn call_area(&mut self, values: usize) -> Value {
        let size = values as u32 * SLOT_SIZE;
        let slot = *self.callee_area.get_or_insert_with(|| {
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, SLOT_SIZE.trailing_zeros() as u8);
            self.builder.create_sized_stack_slot(data)
        });
        let data = &mut self.builder.func.sized_stack_slots[slot];
        data.size = data.size.max(size);
        self.builder.ins().stack_addr(types::I64, slot, 0)
    }

    pub(super) fn emit_call(&mut self, ty: u32, callee: Callee) {
        self.mark();
        let area = self.result_area(ty);
        let arguments = self.call_arguments(ty, callee, area);
        let results: Results = if self.is_guarded() {
            let (code, signature) = match callee {
                Callee::Direct(function, _) => {
                    (Code::Known(function), self.builder.func.dfg.ext_funcs[function].signature)
                }
                Callee::Indirect { code, .. } => (Code::Computed(code), self.signature(ty)),
            };
            self.guarded_call(code, signature, &arguments)
        } else {
            let call: Inst = match callee {
                Callee::Direct(function, _) => self.builder.ins().call(function, &arguments),
                Callee::Indirect { code, .. } => {
                    let signature = self.signature(ty);
                    self.builder.ins().call_indirect(signature, code, &arguments)
                }
            };
            Results::from_slice(self.builder.inst_results(call))
        };
        for (slot, ty) in self.env.func_type(ty).results.iter().enumerate() {
            let value = match area {
                None => results[slot],
                Some(area) => {
                    let offset = slot as i32 * SLOT_SIZE as i32;
                    self.builder.ins().load(clif_type(*ty), self.access.context, area, offset)
                }
            };
            self.push_rooted(value, *ty);
        }
    }

    /// Replaces this function by the callee, whose results have the same types.
    pub(super) fn emit_return_call(&mut self, ty: u32, callee: Callee) {
        self.mark();
        let area = self.caller_area();
        let arguments = self.call_arguments(ty, callee, area);
        match callee {
            Callee::Direct(function, _) => self.builder.ins().return_call(function, &arguments),
            Callee::Indirect { code, .. } => {
                let signature = self.signature(ty);
                self.builder.ins().return_call_indirect(signature, code, &arguments)
            }
        };
        self.diverge();
    }

    pub(super) fn call(&mut self, function: u32) -> Result<(), Error> {
        if !self.inline(function)? {
            let callee = self.known_callee(function);
            self.emit_call(self.env.module.function_types[function as usize], callee);
        }
        Ok(())
    }

    pub(super) fn call_ref(&mut self, ty: u32) {
        let reference = self.pop();
        let callee = self.referenced_callee(reference, TrapCode::NullReference);
        self.emit_call(ty, callee);
    }

    pub(super) fn return_call_ref(&mut self, ty: u32) {
        let reference = self.pop();
        let callee = self.referenced_callee(reference, TrapCode::NullReference);
        self.emit_return_call(ty, callee);
    }

    /// A function that replaces itself is a loop: here it begins again, with other values of its parameters.
    pub(super) fn open_again(&mut self, body: &FunctionBody<'_>) {
        if seems_to_replace_itself(body.as_bytes(), self.current.function()) {
            let again = self.builder.create_block();
            self.builder.ins().jump(again, &[]);
            self.builder.switch_to_block(again);
            self.again = Some(again);
        }
    }

    pub(super) fn return_call(&mut self, function: u32) {
        if let Some(again) = self.again.filter(|_| function == self.current.function()) {
            self.pay();
            for index in (0..self.env.function_type(function).params.len() as u32).rev() {
                self.local_set(index);
            }
            self.builder.ins().jump(again, &[]);
            return self.diverge();
        }
        let callee = self.known_callee(function);
        self.emit_return_call(self.env.module.function_types[function as usize], callee);
    }
}
