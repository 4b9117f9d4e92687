//! Locals: each is a variable of the function builder, with the local's index.

use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::Variable;
use hotfoot_artifact::{FuncType, ValType};

use super::Translator;
use super::env::{clif_type, is_collected};
use crate::Error;

/// What is declared of a variable: its type, and whether the collector must find it.
pub(super) type Kind = (Type, bool);

impl Translator<'_, '_> {
    /// Declares the parameters as the first locals.
    pub(super) fn define_arguments(&mut self, ty: &FuncType, arguments: &[Value]) {
        for (argument, ty) in arguments.iter().zip(&ty.params) {
            self.root(*argument, *ty);
            self.define_argument(*argument, *ty);
        }
    }

    /// Declares a local that begins with a value.
    pub(super) fn define_argument(&mut self, argument: Value, ty: ValType) {
        let variable = self.declare(ty);
        self.builder.def_var(variable, argument);
    }

    /// Adds a local of the current function: a variable that an inlined function no longer needs, or a new one.
    fn declare(&mut self, ty: ValType) -> Variable {
        let kind = (clif_type(ty), is_collected(ty));
        let free = self.free_locals.iter().position(|(free, _)| *free == kind);
        let variable = match free {
            Some(at) => self.free_locals.swap_remove(at).1,
            None => {
                let variable = self.builder.declare_var(kind.0);
                if kind.1 {
                    self.builder.declare_var_needs_stack_map(variable);
                }
                variable
            }
        };
        self.locals.push((kind, variable));
        variable
    }

    /// Ends the life of all locals but the first `count`; their variables can be used again.
    pub(super) fn release_locals(&mut self, count: usize) {
        self.free_locals.extend(self.locals.drain(count..));
    }

    fn local(&self, index: u32) -> Variable {
        self.locals[self.current.locals + index as usize].1
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
        let variable = self.local(index);
        let value = self.builder.use_var(variable);
        self.push(value);
    }

    pub(super) fn local_set(&mut self, index: u32) {
        let value = self.pop();
        let value = self.canonical(value);
        let variable = self.local(index);
        self.builder.def_var(variable, value);
    }

    pub(super) fn local_tee(&mut self, index: u32) {
        self.local_set(index);
        self.local_get(index);
    }
}
