//! The code between compiled functions and the host.
//!
//! ```text
//!  entry    C → Tail   one per function type   the host calls a compiled function
//!  host     Tail → C   one per function type   a compiled function calls the host's
//!  builtin  Tail → C   one per builtin         a compiled function calls the runtime
//! ```
//!
//! A trampoline out of compiled code first records in the store where the guest stands: `last_exit_fp` is the frame
//! pointer (`rbp`, `x29`) of the compiled function that called the trampoline, and `last_exit_pc` the address in that
//! function to which the call will return. After a tail call to a trampoline these are those of the frame that is left,
//! which may be an entry trampoline's. (Short copies are done without leaving compiled code, see [`copying`].) The result that means failure makes the trampoline call
//! [`Builtin::Raise`], which does not come back.

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::{FuncType, ValType};

use crate::copying;
use crate::translate::env::{builtin_signature, clif_type, trampoline_convention, wasm_signature};
use crate::translate::trap_code;

/// A trampoline being built.
struct Trampoline<'a> {
    builder: FunctionBuilder<'a>,
    params: Vec<Value>,
    /// Whether compiled code keeps fuel in the pinned register.
    fuel: bool,
}

/// Flags of everything that a trampoline reads and writes: slots, results and the VM context, all aligned and mapped.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

impl<'a> Trampoline<'a> {
    fn new(
        function: &'a mut Function,
        scratch: &'a mut FunctionBuilderContext,
        isa: &dyn TargetIsa,
        signature: Signature,
    ) -> Self {
        function.signature = signature;
        let mut builder = FunctionBuilder::new(function, scratch);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let params = builder.block_params(entry).to_vec();
        Trampoline { builder, params, fuel: isa.flags().enable_pinned_reg() }
    }

    fn load(&mut self, ty: types::Type, base: Value, offset: u32) -> Value {
        self.builder.ins().load(ty, TRUSTED, base, offset as i32)
    }

    fn store(&mut self, value: Value, base: Value, offset: u32) {
        self.builder.ins().store(TRUSTED, value, base, offset as i32);
    }

    /// Reads values of these types from consecutive slots.
    fn load_slots(&mut self, types: &[ValType], slots: Value) -> Vec<Value> {
        let places = types.iter().zip(0..);
        places.map(|(ty, slot): (_, u32)| self.load(clif_type(*ty), slots, slot * SLOT_SIZE)).collect()
    }

    /// Writes values to consecutive slots.
    fn store_slots(&mut self, values: &[Value], slots: Value) {
        for (value, slot) in values.iter().zip(0..) {
            self.store(*value, slots, slot * SLOT_SIZE);
        }
    }

    /// Memory on the stack for so many slots.
    fn stack_slots(&mut self, count: usize) -> Value {
        let size = count as u32 * SLOT_SIZE;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, SLOT_SIZE.trailing_zeros() as u8);
        let slot = self.builder.create_sized_stack_slot(data);
        self.builder.ins().stack_addr(types::I64, slot, 0)
    }

    /// Records where the calling compiled function stands.
    fn record_exit(&mut self, vmctx: Value) {
        let frame = self.builder.ins().get_frame_pointer(types::I64);
        let caller_frame = self.load(types::I64, frame, 0);
        let caller_pc = self.builder.ins().get_return_address(types::I64);
        let store = self.load(types::I64, vmctx, offsets::VMCTX_STORE);
        self.store(caller_frame, store, offsets::STORE_LAST_EXIT_FP);
        self.store(caller_pc, store, offsets::STORE_LAST_EXIT_PC);
        self.fuel_to_store(vmctx);
    }

    /// Leaves the fuel where the runtime finds it.
    fn fuel_to_store(&mut self, vmctx: Value) {
        if self.fuel {
            let store = self.load(types::I64, vmctx, offsets::VMCTX_STORE);
            let fuel = self.builder.ins().get_pinned_reg(types::I64);
            self.store(fuel, store, offsets::STORE_FUEL);
        }
    }

    /// Takes the fuel to where compiled code keeps it.
    fn fuel_to_register(&mut self, vmctx: Value) {
        if self.fuel {
            let store = self.load(types::I64, vmctx, offsets::VMCTX_STORE);
            let fuel = self.load(types::I64, store, offsets::STORE_FUEL);
            self.builder.ins().set_pinned_reg(fuel);
        }
    }

    /// Calls a function of the runtime; the VM context is the first argument.
    fn call_builtin(&mut self, builtin: Builtin, arguments: &[Value]) -> Option<Value> {
        let table = self.load(types::I64, arguments[0], offsets::VMCTX_BUILTINS);
        let code = self.load(types::I64, table, builtin as u32 * 8);
        let signature = self.builder.import_signature(builtin_signature(builtin, CallConv::SystemV));
        let call = self.builder.ins().call_indirect(signature, code, arguments);
        self.builder.inst_results(call).first().copied()
    }

    /// Leaves compiled code if the condition is not zero: an error is pending.
    fn raise_if(&mut self, failed: Value, vmctx: Value) {
        let raise = self.builder.create_block();
        let done = self.builder.create_block();
        self.builder.set_cold_block(raise);
        self.builder.ins().brif(failed, raise, &[], done, &[]);
        self.builder.seal_block(raise);
        self.builder.seal_block(done);
        self.builder.switch_to_block(raise);
        self.call_builtin(Builtin::Raise, &[vmctx]);
        self.builder.ins().trap(trap_code(TrapCode::UnreachableCodeReached));
        self.builder.switch_to_block(done);
    }

    fn finish(self, isa: &dyn TargetIsa) {
        self.builder.finalize(isa.frontend_config());
    }
}

/// Host→wasm: `entry(callee_vmctx, caller_vmctx, code, slots)`. All arguments are read before the call, so that the
/// results may go to the same slots.
pub(crate) fn entry(context: &mut Context, scratch: &mut FunctionBuilderContext, isa: &dyn TargetIsa, ty: &FuncType) {
    context.clear();
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let mut trampoline = Trampoline::new(&mut context.func, scratch, isa, signature);
    let [callee_vmctx, caller_vmctx, code, slots] = trampoline.params[..] else {
        unreachable!("the signature has four parameters");
    };
    let mut arguments = vec![callee_vmctx, caller_vmctx];
    if ty.results_use_area() {
        arguments.push(slots);
    }
    arguments.extend(trampoline.load_slots(&ty.params, slots));
    let signature = trampoline.builder.import_signature(wasm_signature(ty));
    trampoline.fuel_to_register(caller_vmctx);
    let call = trampoline.builder.ins().call_indirect(signature, code, &arguments);
    trampoline.fuel_to_store(caller_vmctx);
    let results = trampoline.builder.inst_results(call).to_vec();
    trampoline.store_slots(&results, slots);
    trampoline.builder.ins().return_(&[]);
    trampoline.finish(isa);
}

/// Wasm→host: calls `host(callee_vmctx, caller_vmctx, slots, count)`, where `count` is how many slots there are.
pub(crate) fn host(context: &mut Context, scratch: &mut FunctionBuilderContext, isa: &dyn TargetIsa, ty: &FuncType) {
    context.clear();
    let mut trampoline = Trampoline::new(&mut context.func, scratch, isa, wasm_signature(ty));
    let (callee_vmctx, caller_vmctx) = (trampoline.params[0], trampoline.params[1]);
    let area = ty.results_use_area().then(|| trampoline.params[2]);
    let arguments = trampoline.params.split_off(if area.is_some() { 3 } else { 2 });
    let slots = trampoline.stack_slots(ty.slots());
    trampoline.store_slots(&arguments, slots);
    trampoline.record_exit(caller_vmctx);
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature.returns.push(AbiParam::new(types::I8));
    let signature = trampoline.builder.import_signature(signature);
    let code = trampoline.load(types::I64, callee_vmctx, offsets::HOST_FUNCTION);
    let count = trampoline.builder.ins().iconst(types::I64, ty.slots() as i64);
    let arguments = [callee_vmctx, caller_vmctx, slots, count];
    let call = trampoline.builder.ins().call_indirect(signature, code, &arguments);
    let succeeded = trampoline.builder.inst_results(call)[0];
    let zero = trampoline.builder.ins().iconst(types::I8, 0);
    let failed = trampoline.builder.ins().icmp(IntCC::Equal, succeeded, zero);
    trampoline.raise_if(failed, caller_vmctx);
    trampoline.fuel_to_register(caller_vmctx);
    let results = trampoline.load_slots(&ty.results, slots);
    match area {
        Some(area) => {
            trampoline.store_slots(&results, area);
            trampoline.builder.ins().return_(&[]);
        }
        None => {
            trampoline.builder.ins().return_(&results);
        }
    }
    trampoline.finish(isa);
}

/// Wasm→runtime, for one builtin.
pub(crate) fn builtin(
    context: &mut Context,
    scratch: &mut FunctionBuilderContext,
    isa: &dyn TargetIsa,
    builtin: Builtin,
) {
    context.clear();
    let shape = builtin.signature();
    let signature = builtin_signature(builtin, trampoline_convention(builtin));
    let mut trampoline = Trampoline::new(&mut context.func, scratch, isa, signature);
    let arguments = trampoline.params.clone();
    let vmctx = arguments[0];
    // The runtime charges for what is copied.
    if !trampoline.fuel {
        match (builtin, &arguments[1..]) {
            (Builtin::MemoryCopy, [to, from, len, _]) => {
                copying::copy_short(&mut trampoline.builder, *to, *from, *len);
            }
            (Builtin::MemoryFill, [to, byte, len, _]) => {
                copying::fill_short(&mut trampoline.builder, *to, *byte, *len);
            }
            _ => {}
        }
    }
    trampoline.record_exit(vmctx);
    let result = trampoline.call_builtin(builtin, &arguments);
    if builtin.diverges() {
        trampoline.builder.ins().trap(trap_code(TrapCode::UnreachableCodeReached));
        return trampoline.finish(isa);
    }
    if let (Some(result), Some(failure)) = (result, shape.failure) {
        let ty = trampoline.builder.func.dfg.value_type(result);
        let failure = trampoline.builder.ins().iconst(ty, failure);
        let failed = trampoline.builder.ins().icmp(IntCC::Equal, result, failure);
        trampoline.raise_if(failed, vmctx);
    }
    trampoline.fuel_to_register(vmctx);
    let results = if shape.returns_value { result } else { None };
    trampoline.builder.ins().return_(results.as_slice());
    trampoline.finish(isa);
}
