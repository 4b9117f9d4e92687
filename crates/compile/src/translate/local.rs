//! Locals: each is a variable of the function builder, with the local's index.

use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::Variable;
use wasmparser::ValType;

use super::Translator;
use super::env::clif_type;
use crate::Error;
use crate::decode::val_type;

impl Translator<'_, '_> {
    /// Declares the parameters as the first locals.
    pub(super) fn define_arguments(&mut self, arguments: &[Value]) {
        for argument in arguments {
            let variable = self.builder.declare_var(self.value_type(*argument));
            self.builder.def_var(variable, *argument);
        }
    }

    /// Declares locals that begin as zero or null.
    pub(super) fn define_locals(&mut self, offset: u64, count: u32, ty: ValType) -> Result<(), Error> {
        let ty = clif_type(val_type(ty, offset)?);
        if count > 0 {
            let zero = self.zero(ty);
            for _ in 0..count {
                let variable = self.builder.declare_var(ty);
                self.builder.def_var(variable, zero);
            }
        }
        Ok(())
    }

    /// The zero or null of a type.
    pub(super) fn zero(&mut self, ty: Type) -> Value {
        match ty {
            types::F32 => self.builder.ins().f32const(0.0),
            types::F64 => self.builder.ins().f64const(0.0),
            types::I8X16 => {
                let zeros = self.builder.func.dfg.constants.insert([0; 16].as_slice().into());
                self.builder.ins().vconst(ty, zeros)
            }
            _ => self.builder.ins().iconst(ty, 0),
        }
    }

    pub(super) fn local_get(&mut self, index: u32) {
        let value = self.builder.use_var(Variable::from_u32(index));
        self.push(value);
    }

    pub(super) fn local_set(&mut self, index: u32) {
        let value = self.pop();
        let value = self.canonical(value);
        self.builder.def_var(Variable::from_u32(index), value);
    }

    pub(super) fn local_tee(&mut self, index: u32) {
        self.local_set(index);
        self.local_get(index);
    }
}
