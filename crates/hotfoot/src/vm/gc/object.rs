//! Fields and elements of objects, as the host and the builtins read and write them.

use anyhow::Result;
use hotfoot_abi::gc::{Kind, Storage, TYPE_MASK};

use super::heap::Heap;
use super::shape::{Field, Shape};
use super::{describe, is_object};
use crate::vm::slot::Slot;
use crate::vm::store::VmStore;

impl Heap {
    /// What is kept at an offset, the value in the slot's low bytes and zeros above.
    pub fn load(&self, at: u32, storage: Storage) -> Slot {
        let mut bytes = [0; 16];
        let size = storage.size();
        bytes[..size as usize].copy_from_slice(self.bytes(at, size));
        Slot::from_bytes(bytes)
    }

    /// Keeps the low bytes of a slot at an offset.
    pub fn store(&mut self, at: u32, storage: Storage, value: Slot) {
        let size = storage.size();
        self.bytes_mut(at, size).copy_from_slice(&value.bytes()[..size as usize]);
    }
}

impl VmStore {
    /// The shape of a type's objects.
    pub(in crate::vm) fn shape(&mut self, type_id: u32) -> Shape {
        match self.gc.shapes.get(type_id) {
            Some(shape) => shape,
            None => describe(self.engine.types(), &mut self.gc.shapes, type_id),
        }
    }

    /// Makes a struct or exception with these fields, which may be references: they are looked after.
    ///
    /// # Errors
    /// As [`VmStore::allocate`].
    pub(in crate::vm) fn new_object(&mut self, kind: Kind, type_id: u32, values: &[Slot]) -> Result<u32> {
        let Shape::Fixed { size, fields, .. } = self.shape(type_id) else {
            unreachable!("arrays are made by `new_array`")
        };
        let mut values = values.to_vec();
        let references = self
            .gc
            .shapes
            .fields(fields)
            .iter()
            .zip(&values)
            .enumerate()
            .filter(|(_, (field, value))| field.storage == Storage::Ref && is_object(value.as_u32()));
        let references: Vec<usize> = references.map(|(index, _)| index).collect();
        for index in &references {
            self.root(values[*index].as_u32());
        }
        let allocated = self.allocate(size.into());
        for index in references.iter().rev() {
            values[*index] = Slot::from_u32(self.gc.handles.pop());
        }
        let object = allocated?;
        let heap = self.gc.heap.as_mut().expect("an object was allocated");
        heap.set_word(object, kind.header(type_id));
        for (Field { offset, storage }, value) in self.gc.shapes.fields(fields).iter().zip(values) {
            heap.store(object + offset, *storage, value);
        }
        Ok(object)
    }

    /// What is kept at an offset in the heap.
    pub(in crate::vm) fn load(&self, at: u32, storage: Storage) -> Slot {
        self.heap().load(at, storage)
    }

    /// The number of an object's type in the engine.
    pub(in crate::vm) fn type_of(&self, object: u32) -> u32 {
        self.heap().word(object) & TYPE_MASK
    }

    /// A field of a struct or exception.
    pub(in crate::vm) fn field(&mut self, object: u32, index: usize) -> Option<Slot> {
        let Field { offset, storage } = self.field_place(object, index)?;
        Some(self.heap().load(object + offset, storage))
    }

    /// Sets a field of a struct.
    pub(in crate::vm) fn set_field(&mut self, object: u32, index: usize, value: Slot) {
        if let Some(Field { offset, storage }) = self.field_place(object, index) {
            self.heap_mut().store(object + offset, storage, value);
        }
    }

    fn field_place(&mut self, object: u32, index: usize) -> Option<Field> {
        let type_id = self.type_of(object);
        match self.shape(type_id) {
            Shape::Fixed { fields, .. } => self.gc.shapes.fields(fields).get(index).copied(),
            Shape::Array(_) => None,
        }
    }
}
