//! Calls between WebAssembly functions, see [`hotfoot_abi::call`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, SigRef, StackSlotData, StackSlotKind, UserExternalName,
    Value, types,
};
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use smallvec::SmallVec;

use super::env::{NAMESPACE_FUNCTION, clif_type, wasm_signature};
use super::exception::{Code, Results};
use super::{Translator, trap_code};

/// Whom a call reaches.
#[derive(Copy, Clone)]
enum Callee {
    /// A function of this module.
    Direct(FuncRef),
    /// The function whose code and context these are.
    Indirect { code: Value, vmctx: Value },
}

type Arguments = SmallVec<[Value; 8]>;

impl Translator<'_, '_> {
    fn signature(&mut self, ty: u32) -> SigRef {
        let ty = self.env.module.canonical_types[ty as usize];
        if let Some(known) = self.signatures.get(&ty) {
            return *known;
        }
        let signature = self.builder.import_signature(wasm_signature(self.env.func_type(ty)));
        self.signatures.insert(ty, signature);
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
            let signature = self.signature(module.function_types[function as usize]);
            return Callee::Direct(self.function(function, signature));
        }
        let offset = module.layout.imported_func(function);
        let mut field = |at: u32| {
            let offset = (offset + at) as i32;
            self.builder.ins().load(types::I64, self.access.constant, self.vmctx, offset)
        };
        Callee::Indirect { code: field(offsets::FUNCREF_CODE), vmctx: field(offsets::FUNCREF_VMCTX) }
    }

    /// Takes an index, and finds the function there if it has the type.
    fn table_callee(&mut self, ty: u32, table: u32) -> Callee {
        let index = self.pop();
        let (address, flags) = self.element(table, index);
        let reference = self.builder.ins().load(types::I64, flags, address, 0);
        // A null reference has no type: with signals, reading it is the check.
        let mut flags = self.access.reference;
        if self.env.tunables.signals_based_traps {
            flags = flags.with_trap_code(Some(trap_code(TrapCode::IndirectCallToNull)));
        } else {
            let null = self.iconst(types::I64, 0);
            let is_null = self.builder.ins().icmp(IntCC::Equal, reference, null);
            self.trap_if(is_null, TrapCode::IndirectCallToNull);
        }
        let found = self.builder.ins().load(types::I32, flags, reference, offsets::FUNCREF_TYPE_ID as i32);
        let constant = self.access.constant;
        let ids = self.builder.ins().load(types::I64, constant, self.vmctx, offsets::VMCTX_TYPE_IDS as i32);
        let wanted = self.builder.ins().load(types::I32, constant, ids, ty as i32 * 4);
        let differs = self.builder.ins().icmp(IntCC::NotEqual, found, wanted);
        self.trap_if(differs, TrapCode::BadSignature);
        let fields = self.access.reference;
        let mut field = |at: u32| self.builder.ins().load(types::I64, fields, reference, at as i32);
        Callee::Indirect { code: field(offsets::FUNCREF_CODE), vmctx: field(offsets::FUNCREF_VMCTX) }
    }

    /// The arguments of a call, taken off the stack, after the hidden ones.
    fn call_arguments(&mut self, ty: u32, callee: Callee, area: Option<Value>) -> Arguments {
        let vmctx = match callee {
            Callee::Direct(_) => self.vmctx,
            Callee::Indirect { vmctx, .. } => vmctx,
        };
        let mut arguments = Arguments::from_slice(&[vmctx, self.vmctx]);
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

    fn emit_call(&mut self, ty: u32, callee: Callee) {
        self.mark();
        let area = self.result_area(ty);
        let arguments = self.call_arguments(ty, callee, area);
        let results: Results = if self.is_guarded() {
            let (code, signature) = match callee {
                Callee::Direct(function) => {
                    (Code::Known(function), self.builder.func.dfg.ext_funcs[function].signature)
                }
                Callee::Indirect { code, .. } => (Code::Computed(code), self.signature(ty)),
            };
            self.guarded_call(code, signature, &arguments)
        } else {
            let call: Inst = match callee {
                Callee::Direct(function) => self.builder.ins().call(function, &arguments),
                Callee::Indirect { code, .. } => {
                    let signature = self.signature(ty);
                    self.builder.ins().call_indirect(signature, code, &arguments)
                }
            };
            Results::from_slice(self.builder.inst_results(call))
        };
        let Some(area) = area else {
            self.stack.extend_from_slice(&results);
            return;
        };
        for (slot, ty) in self.env.func_type(ty).results.iter().enumerate() {
            let offset = slot as i32 * SLOT_SIZE as i32;
            let value = self.builder.ins().load(clif_type(*ty), self.access.context, area, offset);
            self.push(value);
        }
    }

    /// Replaces this function by the callee, whose results have the same types.
    fn emit_return_call(&mut self, ty: u32, callee: Callee) {
        self.mark();
        let area = self.caller_area();
        let arguments = self.call_arguments(ty, callee, area);
        match callee {
            Callee::Direct(function) => self.builder.ins().return_call(function, &arguments),
            Callee::Indirect { code, .. } => {
                let signature = self.signature(ty);
                self.builder.ins().return_call_indirect(signature, code, &arguments)
            }
        };
        self.diverge();
    }

    pub(super) fn call(&mut self, function: u32) {
        let callee = self.known_callee(function);
        self.emit_call(self.env.module.function_types[function as usize], callee);
    }

    pub(super) fn call_indirect(&mut self, ty: u32, table: u32) {
        let callee = self.table_callee(ty, table);
        self.emit_call(ty, callee);
    }

    pub(super) fn return_call(&mut self, function: u32) {
        let callee = self.known_callee(function);
        self.emit_return_call(self.env.module.function_types[function as usize], callee);
    }

    pub(super) fn return_call_indirect(&mut self, ty: u32, table: u32) {
        let callee = self.table_callee(ty, table);
        self.emit_return_call(ty, callee);
    }
}
