//! What every function of a module is translated against, and the shapes of the calls between them.

use std::path::Path;

use cranelift_codegen::ir::{AbiParam, ArgumentPurpose, Signature, Type, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use hotfoot_abi::builtin::{Builtin, Ty};
use hotfoot_abi::fuel::OperatorCost;
use hotfoot_abi::tunables::Tunables;
use hotfoot_artifact::{FuncType, HeapType, ValType};

use super::inline::Inlinees;
use crate::decode::Module;

/// Namespace of the names of defined functions in relocations; the index counts defined functions.
pub(crate) const NAMESPACE_FUNCTION: u32 = 0;
/// Namespace of the names of builtin trampolines in relocations; the index is the builtin's number.
pub(crate) const NAMESPACE_BUILTIN: u32 = 1;

/// What every function of a module is translated against. Shared by all threads.
pub(crate) struct Env<'a> {
    pub(crate) isa: &'a dyn TargetIsa,
    /// The same target, for functions that are too large to be optimised.
    pub(crate) simple_isa: &'a dyn TargetIsa,
    pub(crate) module: &'a Module,
    pub(crate) tunables: Tunables,
    /// What operators cost, where code consumes fuel.
    pub(crate) operator_cost: &'a OperatorCost,
    /// What may be inlined, if anything.
    pub(crate) inlinees: Option<Inlinees<'a>>,
    /// Relaxed SIMD instructions do the same on every host.
    pub(crate) relaxed_simd_deterministic: bool,
    /// Bounds checks of memories also hold under speculation.
    pub(crate) memory_spectre: bool,
    /// Bounds checks of tables also hold under speculation.
    pub(crate) table_spectre: bool,
    /// Every instruction has its place in the binary, not only those that may trap or call.
    pub(crate) full_address_map: bool,
    /// Where to write the functions in the code generator's language.
    pub(crate) emit_clif: Option<&'a Path>,
}

impl Env<'_> {
    /// The type of a function, imports counted first.
    pub(crate) fn function_type(&self, function: u32) -> &FuncType {
        let ty = self.module.function_types[function as usize];
        self.module.info.func_type(ty)
    }

    /// Whether only functions of this module can call a defined function, as no reference can name it.
    pub(crate) fn is_local(&self, function: u32) -> bool {
        self.module.escaping.binary_search(&function).is_err()
    }

    /// The type whose parameters are the payload of exceptions with a tag; imports counted first.
    pub(crate) fn tag_type(&self, tag: u32) -> &FuncType {
        self.func_type(self.module.info.tags[tag as usize])
    }

    pub(crate) fn func_type(&self, ty: u32) -> &FuncType {
        self.module.info.func_type(ty)
    }
}

/// The type that holds a value in code. Vectors cross locals, blocks and calls as sixteen bytes.
pub(crate) fn clif_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
        ValType::Ref(reference) => heap_type(reference.heap),
    }
}

/// The type that holds a reference in code.
pub(crate) fn heap_type(heap: HeapType) -> Type {
    if heap.is_collected() { types::I32 } else { types::I64 }
}

/// Whether values of the type may refer to what the collector moves, so that it must find them on the stack. An `i31` is
/// no address, and neither is null.
pub(crate) fn is_collected(ty: ValType) -> bool {
    let ValType::Ref(reference) = ty else { return false };
    reference.heap.is_collected() && reference.heap != HeapType::I31 && reference.heap != reference.heap.bottom()
}

/// How compiled functions of a type are called, see [`hotfoot_abi::call`].
pub(crate) fn wasm_signature(ty: &FuncType) -> Signature {
    let mut signature = local_signature(ty);
    signature.params.insert(1, AbiParam::new(types::I64));
    signature
}

/// How functions are called that only functions of the same module call: their caller's context is their own.
pub(crate) fn local_signature(ty: &FuncType) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
    let area = ty.results_use_area();
    if area {
        signature.params.push(AbiParam::new(types::I64));
    }
    signature.params.extend(ty.params.iter().map(|ty| AbiParam::new(clif_type(*ty))));
    if !area {
        signature.returns.extend(ty.results.iter().map(|ty| AbiParam::new(clif_type(*ty))));
    }
    signature
}

/// The convention of a builtin's trampoline. Those that hardly ever run, in the middle of loops, save all registers, so
/// that nothing that a loop computes with has to leave its register for them.
pub(crate) fn trampoline_convention(builtin: Builtin) -> CallConv {
    match builtin {
        Builtin::OutOfFuel | Builtin::NewEpoch => CallConv::PreserveAll,
        _ => CallConv::Tail,
    }
}

/// How a builtin is called: in [`trampoline_convention`] its trampoline, in `SystemV` the runtime's function.
pub(crate) fn builtin_signature(builtin: Builtin, convention: CallConv) -> Signature {
    let clif = |ty: &Ty| match ty {
        Ty::I32 => AbiParam::new(types::I32),
        Ty::I64 => AbiParam::new(types::I64),
    };
    let shape = builtin.signature();
    let mut signature = Signature::new(convention);
    signature.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
    signature.params.extend(shape.params.iter().map(clif));
    if convention == CallConv::SystemV || shape.returns_value {
        signature.returns.extend(shape.result.iter().map(clif));
    }
    signature
}
