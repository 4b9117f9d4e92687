//! Globals: sixteen bytes each, in the VM context or, for imported ones, where it points.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use hotfoot_artifact::ConstOp;

use super::Translator;
use super::env::{clif_type, is_collected};

impl Translator<'_, '_> {
    /// Address of a global, as a base and an offset from it.
    fn global_place(&mut self, global: u32) -> (Value, i32) {
        let module = self.env.module;
        match global.checked_sub(module.counts.imported_globals) {
            Some(defined) => (self.vmctx, module.layout.defined_global(defined) as i32),
            None => {
                let offset = module.layout.imported_global(global) as i32;
                (self.builder.ins().load(types::I64, self.access.constant, self.vmctx, offset), 0)
            }
        }
    }

    pub(super) fn global_get(&mut self, global: u32) {
        let ty = self.env.module.info.globals[global as usize];
        if let Some(value) = self.known_global(global) {
            return self.push(value);
        }
        // The collector moves what an immutable global refers to.
        let constant = !ty.mutable && !is_collected(ty.content);
        let flags = if constant { self.access.constant } else { self.access.global };
        let (base, offset) = self.global_place(global);
        let value = self.builder.ins().load(clif_type(ty.content), flags, base, offset);
        self.push_rooted(value, ty.content);
    }

    /// The value of a global that is the same in all instances.
    fn known_global(&mut self, global: u32) -> Option<Value> {
        let module = self.env.module;
        let defined = global.checked_sub(module.counts.imported_globals)?;
        if module.info.globals[global as usize].mutable {
            return None;
        }
        let [op] = module.info.global_inits[defined as usize].ops.as_slice() else { return None };
        Some(match *op {
            ConstOp::I32(value) => self.iconst(types::I32, i64::from(value)),
            ConstOp::I64(value) => self.iconst(types::I64, value),
            ConstOp::F32(bits) => self.f32const(bits),
            ConstOp::F64(bits) => self.f64const(bits),
            _ => return None,
        })
    }

    pub(super) fn global_set(&mut self, global: u32) {
        let value = self.pop();
        let value = self.canonical(value);
        let (base, offset) = self.global_place(global);
        self.builder.ins().store(self.access.global, value, base, offset);
    }
}
