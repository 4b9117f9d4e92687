//! Integers of 31 bits, which are references without an object: their lowest bit is 1.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};
use hotfoot_abi::trap::TrapCode;

use super::super::Translator;
use super::Extension;

impl Translator<'_, '_> {
    pub(super) fn ref_i31(&mut self) {
        let value = self.pop();
        let one = self.iconst(types::I32, 1);
        let shifted = self.builder.ins().ishl(value, one);
        let reference = self.builder.ins().bor(shifted, one);
        self.push(reference);
    }

    pub(super) fn i31_get(&mut self, extension: Extension) {
        let reference = self.pop();
        let is_null = self.is_null(reference);
        self.trap_if(is_null, TrapCode::NullReference);
        let one = self.iconst(types::I32, 1);
        let value = match extension {
            Extension::Signed => self.builder.ins().sshr(reference, one),
            Extension::Unsigned => self.builder.ins().ushr(reference, one),
        };
        self.push(value);
    }

    /// References are equal when their bits are, integers included.
    pub(super) fn ref_eq(&mut self) {
        let (first, second) = self.pop2();
        let equal = self.builder.ins().icmp(IntCC::Equal, first, second);
        let equal = self.builder.ins().uextend(types::I32, equal);
        self.push(equal);
    }
}
