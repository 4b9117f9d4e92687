//! Locals: each is a variable of the function builder, with the local's index.

use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::Variable;
use hotfoot_artifact::{FuncType, ValType};

use super::Translator;
use super::env::{clif_type, is_collected};
use crate::Error;

impl Translator<'_, '_> {
    /// Declares the parameters as the first locals.
    pub(super) fn define_arguments(&mut self, ty: &FuncType, arguments: &[Value]) {
        for (argument, ty) in arguments.iter().zip(&ty.params) {
            self.root(*argument, *ty);
            let variable = self.declare(*ty);
            self.builder.def_var(variable, *argument);
        }
    }

    fn declare(&mut self, ty: ValType) -> Variable {
        let variable = self.builder.declare_var(clif_type(ty));
        if is_collected(ty) {
            self.builder.declare_var_needs_stack_map(variable);
        }
        variable
    }

    /// Declares locals that begin as zero or null; those that have no such value are set before they are read.
    pub(super) fn define_locals(&mut self, offset: u64, count: u32, ty: wasmparser::ValType) -> Result<(), Error> {
        let ty = self.env.module.types.val_type(ty, offset)?;
        if count > 0 {
            let zero = self.zero(clif_type(ty));
            for _ in 0..count {
                let variable = self.declare(ty);
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
