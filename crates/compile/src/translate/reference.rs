//! References: a `funcref` is the address of a `VmFuncRef` or 0, an `externref` or `exnref` is an index or 0.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use hotfoot_abi::trap::TrapCode;
use wasmparser::HeapType;

use super::Translator;
use super::env;
use crate::Error;

impl Translator<'_, '_> {
    pub(super) fn ref_null(&mut self, ty: HeapType) -> Result<(), Error> {
        let ty = env::heap_type(self.env.module.types.heap_type(ty, self.offset)?);
        let null = self.iconst(ty, 0);
        self.push(null);
        Ok(())
    }

    /// Whether a reference is null.
    pub(super) fn is_null(&mut self, reference: Value) -> Value {
        let null = self.iconst(self.value_type(reference), 0);
        self.builder.ins().icmp(IntCC::Equal, reference, null)
    }

    pub(super) fn ref_is_null(&mut self) {
        let reference = self.pop();
        let is_null = self.is_null(reference);
        let is_null = self.builder.ins().uextend(types::I32, is_null);
        self.push(is_null);
    }

    pub(super) fn ref_as_non_null(&mut self) {
        let reference = self.pop();
        let is_null = self.is_null(reference);
        self.trap_if(is_null, TrapCode::NullReference);
        self.push(reference);
    }

    pub(super) fn ref_func(&mut self, function: u32) {
        let module = self.env.module;
        let offset = if function < module.counts.imported_funcs {
            module.layout.imported_func(function)
        } else {
            let slot = module.escaping.binary_search(&function);
            module.layout.escaping_func(slot.expect("validation asks that `ref.func` names a declared function") as u32)
        };
        let offset = self.iconst(types::I64, i64::from(offset));
        let reference = self.builder.ins().iadd(self.vmctx, offset);
        self.push(reference);
    }
}
