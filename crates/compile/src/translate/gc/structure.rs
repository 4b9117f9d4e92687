//! Structs: fields at offsets that the type decides.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use hotfoot_abi::gc::Kind;
use hotfoot_artifact::{FieldType, HeapType};

use super::super::Translator;
use super::super::env::clif_type;
use super::{Extension, reference_to, storage};

impl Translator<'_, '_> {
    /// A field's type, and where it is in the object.
    fn field(&self, ty: u32, field: u32) -> (FieldType, u32) {
        let module = self.env.module;
        let fields = module.info.types[ty as usize].struct_().expect("validation asks for a struct type");
        (fields.fields[field as usize], module.struct_layout(ty).offsets[field as usize])
    }

    fn field_count(&self, ty: u32) -> u32 {
        self.env.module.struct_layout(ty).offsets.len() as u32
    }

    /// Makes a struct whose fields `value` gives, which makes no call.
    fn make_struct(&mut self, ty: u32, value: impl Fn(&mut Self, u32, FieldType) -> Value) {
        let size = self.env.module.struct_layout(ty).size;
        let size = self.iconst(types::I64, i64::from(size));
        let (reference, address) = self.allocate(size);
        let header = self.header(Kind::Struct, ty);
        let flags = self.access.object;
        self.builder.ins().store(flags, header, address, 0);
        for index in 0..self.field_count(ty) {
            let (field, offset) = self.field(ty, index);
            let value = value(self, index, field);
            self.store_field(field.storage, flags, value, address, offset as i32);
        }
        self.push_rooted(reference, reference_to(HeapType::ConcreteStruct(ty)));
    }

    pub(super) fn struct_new(&mut self, ty: u32) {
        let first = self.stack.len() - self.field_count(ty) as usize;
        let values = self.stack.split_off(first);
        self.make_struct(ty, |this, index, _| this.canonical(values[index as usize]));
    }

    pub(super) fn struct_new_default(&mut self, ty: u32) {
        self.make_struct(ty, |this, _, field| this.zero(clif_type(field.storage.unpack())));
    }

    pub(super) fn struct_get(&mut self, ty: u32, field: u32, extension: Extension) {
        let reference = self.pop();
        let (field, offset) = self.field(ty, field);
        let (address, flags) = self.non_null_object(reference, offset + storage(field.storage).size());
        let value = self.load_field(field.storage, extension, flags, address, offset as i32);
        self.push_rooted(value, field.storage.unpack());
    }

    pub(super) fn struct_set(&mut self, ty: u32, field: u32) {
        let (reference, value) = self.pop2();
        let value = self.canonical(value);
        let (field, offset) = self.field(ty, field);
        let (address, flags) = self.non_null_object(reference, offset + storage(field.storage).size());
        self.store_field(field.storage, flags, value, address, offset as i32);
    }
}
