//! Arrays: a length and packed elements. What works on many elements at once is done by the runtime.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value, types};
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::gc::{ARRAY_ELEMENTS, ARRAY_LENGTH, Kind, OBJECT_ALIGN, Storage, array_size};
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{FieldType, HeapType};

use super::super::env::clif_type;
use super::super::{Translator, trap_code};
use super::{Extension, reference_to, storage};

/// Most elements of a new array that code writes itself.
const MOST_IN_LOOP: i64 = 32;

impl Translator<'_, '_> {
    fn array_element(&self, ty: u32) -> FieldType {
        self.env.module.info.types[ty as usize].array().expect("validation asks for an array type").element
    }

    /// A new array with its header and length; its elements are still to be written.
    fn make_array(&mut self, ty: u32, len: Value, size: Value) -> (Value, Value) {
        let (reference, address) = self.allocate(size);
        let header = self.header(Kind::Array, ty);
        let flags = self.access.object;
        self.builder.ins().store(flags, header, address, 0);
        self.builder.ins().store(flags, len, address, ARRAY_LENGTH as i32);
        (reference, address)
    }

    /// The bytes of so many elements.
    fn scaled(&mut self, count: Value, element: Storage) -> Value {
        let count = self.extend_index(count);
        let shift = self.iconst(types::I32, i64::from(element.size().ilog2()));
        self.builder.ins().ishl(count, shift)
    }

    /// A new array of `len` elements that all are `value`.
    fn make_filled(&mut self, ty: u32, value: Value, len: Value) {
        let element = self.array_element(ty);
        let kept = storage(element.storage);
        let bytes = self.scaled(len, kept);
        let padding = self.iconst(types::I64, i64::from(ARRAY_ELEMENTS + OBJECT_ALIGN - 1));
        let unaligned = self.builder.ins().iadd(bytes, padding);
        let mask = self.iconst(types::I64, -i64::from(OBJECT_ALIGN));
        let size = self.builder.ins().band(unaligned, mask);
        let (reference, address) = self.make_array(ty, len, size);
        if kept == Storage::V128 {
            self.fill_elements(element, address, None, value, len);
        } else {
            self.fill_new(element, reference, address, value, len);
        }
        self.push_rooted(reference, reference_to(HeapType::ConcreteArray(ty)));
    }

    /// Writes `value` to all elements of a new array: many at once are the runtime's business.
    fn fill_new(&mut self, element: FieldType, reference: Value, address: Value, value: Value, len: Value) {
        let (few, many, done) = (self.new_block(), self.builder.create_block(), self.new_block());
        self.builder.set_cold_block(many);
        let most = self.iconst(types::I32, MOST_IN_LOOP);
        let is_many = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, len, most);
        self.builder.ins().brif(is_many, many, &[], few, &[]);
        self.builder.seal_block(few);
        self.builder.seal_block(many);
        self.builder.switch_to_block(few);
        self.fill_elements(element, address, None, value, len);
        self.builder.ins().jump(done, &[]);
        self.builder.switch_to_block(many);
        let (start, bits) = (self.iconst(types::I32, 0), self.as_bits(value));
        self.call_builtin(Builtin::ArrayFill, &[reference, start, bits, len]);
        self.builder.ins().jump(done, &[]);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
    }

    /// Writes `value` to `len` elements from the one with index `at`. The loop makes no call.
    fn fill_elements(&mut self, element: FieldType, address: Value, at: Option<Value>, value: Value, len: Value) {
        let kept = storage(element.storage);
        let elements = self.iconst(types::I64, i64::from(ARRAY_ELEMENTS));
        let mut start = self.builder.ins().iadd(address, elements);
        if let Some(at) = at {
            let before = self.scaled(at, kept);
            start = self.builder.ins().iadd(start, before);
        }
        let bytes = self.scaled(len, kept);
        let end = self.builder.ins().iadd(start, bytes);
        let (head, body, done) = (self.new_block(), self.new_block(), self.new_block());
        let place = self.builder.append_block_param(head, types::I64);
        self.builder.ins().jump(head, &[BlockArg::Value(start)]);
        self.builder.switch_to_block(head);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThan, place, end);
        self.builder.ins().brif(more, body, &[], done, &[]);
        self.builder.seal_block(body);
        self.builder.seal_block(done);
        self.builder.switch_to_block(body);
        self.store_field(element.storage, self.access.object, value, place, 0);
        let step = self.iconst(types::I64, i64::from(kept.size()));
        let next = self.builder.ins().iadd(place, step);
        self.builder.ins().jump(head, &[BlockArg::Value(next)]);
        self.builder.seal_block(head);
        self.builder.switch_to_block(done);
    }

    pub(super) fn array_new(&mut self, ty: u32) {
        let (value, len) = self.pop2();
        self.charge_elements(len, |cost| cost.array_new_per_element);
        let value = self.canonical(value);
        self.make_filled(ty, value, len);
    }

    pub(super) fn array_new_default(&mut self, ty: u32) {
        let len = self.pop();
        self.charge_elements(len, |cost| cost.array_new_default_per_element);
        let value = self.zero(clif_type(self.array_element(ty).storage.unpack()));
        self.make_filled(ty, value, len);
    }

    pub(super) fn array_new_fixed(&mut self, ty: u32, len: u32) {
        let element = self.array_element(ty);
        let kept = storage(element.storage);
        let values = self.stack.split_off(self.stack.len() - len as usize);
        let count = self.iconst(types::I32, i64::from(len));
        let size = self.iconst(types::I64, array_size(kept, len) as i64);
        let (reference, address) = self.make_array(ty, count, size);
        for (value, index) in values.into_iter().zip(0..) {
            let value = self.canonical(value);
            let at: u32 = ARRAY_ELEMENTS + index * kept.size();
            self.store_field(element.storage, self.access.object, value, address, at as i32);
        }
        self.push_rooted(reference, reference_to(HeapType::ConcreteArray(ty)));
    }

    /// `array.new_data` and `array.new_elem`.
    pub(super) fn array_new_segment(&mut self, builtin: Builtin, ty: u32, segment: u32) {
        let (start, len) = self.pop2();
        self.charge_elements(len, |cost| match builtin {
            Builtin::ArrayNewData => cost.array_new_data_per_element,
            _ => cost.array_new_elem_per_element,
        });
        let (number, segment) = (self.number(ty), self.number(segment));
        let made = self.call_builtin(builtin, &[number, segment, start, len]);
        let made = made.expect("making an array has a result");
        self.push_rooted(made, reference_to(HeapType::ConcreteArray(ty)));
    }

    /// `array.init_data` and `array.init_elem`.
    pub(super) fn array_init(&mut self, builtin: Builtin, segment: u32) {
        let (from, len) = self.pop2();
        let (array, to) = self.pop2();
        self.charge_elements(len, |cost| match builtin {
            Builtin::ArrayInitData => cost.array_init_data_per_element,
            _ => cost.array_init_elem_per_element,
        });
        let segment = self.number(segment);
        self.call_builtin(builtin, &[array, segment, to, from, len]);
    }

    pub(super) fn array_copy(&mut self) {
        let (from_array, from, len) = self.pop3();
        self.charge_elements(len, |cost| cost.array_copy_per_element);
        let (to_array, to) = self.pop2();
        self.call_builtin(Builtin::ArrayCopy, &[to_array, to, from_array, from, len]);
    }

    pub(super) fn array_fill(&mut self, ty: u32) {
        let (at, value, len) = self.pop3();
        let array = self.pop();
        self.charge_elements(len, |cost| cost.array_fill_per_element);
        let element = self.array_element(ty);
        if storage(element.storage) == Storage::V128 {
            return self.fill_vectors(element, array, at, value, len);
        }
        let value = self.as_bits(value);
        self.call_builtin(Builtin::ArrayFill, &[array, at, value, len]);
    }

    /// A value of at most eight bytes as the bits of an integer of eight.
    fn as_bits(&mut self, value: Value) -> Value {
        let flags = MemFlagsData::new();
        let bits = match self.value_type(value) {
            types::F32 => self.builder.ins().bitcast(types::I32, flags, value),
            types::F64 => self.builder.ins().bitcast(types::I64, flags, value),
            _ => value,
        };
        self.extend_index(bits)
    }

    fn fill_vectors(&mut self, element: FieldType, array: Value, at: Value, value: Value, len: Value) {
        let value = self.canonical(value);
        let (address, array_len) = self.array_header(array);
        let (start, count, array_len) = (self.extend_index(at), self.extend_index(len), self.extend_index(array_len));
        let end = self.builder.ins().iadd(start, count);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, array_len);
        self.trap_if(outside, TrapCode::ArrayOutOfBounds);
        self.fill_elements(element, address, Some(at), value, len);
    }

    /// The address and length of an array; null traps.
    fn array_header(&mut self, array: Value) -> (Value, Value) {
        let (address, flags) = self.non_null_object(array, ARRAY_ELEMENTS);
        let len = self.builder.ins().load(types::I32, flags, address, ARRAY_LENGTH as i32);
        (address, len)
    }

    pub(super) fn array_len(&mut self) {
        let array = self.pop();
        let (_, len) = self.array_header(array);
        self.push(len);
    }

    /// Checks an index and returns an address from which the element is [`ARRAY_ELEMENTS`] bytes away, and flags to
    /// access it with. As for tables, a failed check can make the address null, which then faults.
    fn checked_element(&mut self, array: Value, index: Value, element: Storage) -> (Value, MemFlagsData) {
        let (address, len) = self.array_header(array);
        let failed = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        let masked = self.env.table_spectre;
        let faults = masked && self.env.tunables.signals_based_traps;
        if !faults {
            self.trap_if(failed, TrapCode::ArrayOutOfBounds);
        }
        let scaled = self.scaled(index, element);
        let mut place = self.builder.ins().iadd(address, scaled);
        if masked {
            let null = self.iconst(types::I64, 0);
            place = self.builder.ins().select_spectre_guard(failed, null, place);
        }
        let trap = faults.then(|| trap_code(TrapCode::ArrayOutOfBounds));
        (place, self.access.object.with_trap_code(trap))
    }

    pub(super) fn array_get(&mut self, ty: u32, extension: Extension) {
        let (array, index) = self.pop2();
        let element = self.array_element(ty);
        let (place, flags) = self.checked_element(array, index, storage(element.storage));
        let value = self.load_field(element.storage, extension, flags, place, ARRAY_ELEMENTS as i32);
        self.push_rooted(value, element.storage.unpack());
    }

    pub(super) fn array_set(&mut self, ty: u32) {
        let (array, index, value) = self.pop3();
        let value = self.canonical(value);
        let element = self.array_element(ty);
        let (place, flags) = self.checked_element(array, index, storage(element.storage));
        self.store_field(element.storage, flags, value, place, ARRAY_ELEMENTS as i32);
    }
}
