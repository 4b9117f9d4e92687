//! Arrays: what the instructions on many elements do, for the builtins and the host.

use anyhow::{Context, Result};
use hotfoot_abi::gc::{ARRAY_ELEMENTS, ARRAY_LENGTH, Kind, Storage, array_size};
use hotfoot_abi::trap::TrapCode;

use super::shape::Shape;
use crate::vm::slot::Slot;
use crate::vm::store::VmStore;

/// Part of an array.
#[derive(Copy, Clone, Debug)]
pub struct Part {
    /// The array; may be null.
    pub array: u32,
    /// Its first element.
    pub at: u32,
    /// How many elements.
    pub len: u32,
}

impl VmStore {
    /// Makes an array whose elements are zero or null.
    ///
    /// # Errors
    /// As [`VmStore::allocate`].
    pub(in crate::vm) fn new_array(&mut self, type_id: u32, len: u32) -> Result<u32> {
        let size = array_size(self.element_storage(type_id), len);
        let array = self.allocate(size)?;
        let heap = self.heap_mut();
        heap.bytes_mut(array, size as u32).fill(0);
        heap.set_word(array, Kind::Array.header(type_id));
        heap.set_word(array + ARRAY_LENGTH, len);
        Ok(array)
    }

    /// How the elements of a type of arrays are kept.
    pub(in crate::vm) fn element_storage(&mut self, type_id: u32) -> Storage {
        match self.shape(type_id) {
            Shape::Array(element) => element,
            Shape::Fixed { .. } => unreachable!("the type is not one of arrays"),
        }
    }

    /// Elements of an array.
    pub(in crate::vm) fn array_len(&self, array: u32) -> u32 {
        self.heap().word(array + ARRAY_LENGTH)
    }

    /// An element of an array.
    pub(in crate::vm) fn element(&mut self, array: u32, index: u32) -> Option<Slot> {
        let storage = self.element_storage(self.type_of(array));
        let inside = index < self.array_len(array);
        inside.then(|| self.heap().load(place(array, index, storage), storage))
    }

    /// Sets an element of an array; false when there is none.
    pub(in crate::vm) fn set_element(&mut self, array: u32, index: u32, value: Slot) -> bool {
        let storage = self.element_storage(self.type_of(array));
        let inside = index < self.array_len(array);
        if inside {
            self.heap_mut().store(place(array, index, storage), storage, value);
        }
        inside
    }

    /// Checks that an array is there and has these elements, and says how they are kept.
    fn check_part(&mut self, part: Part) -> Result<Storage> {
        VmStore::trap_unless(part.array != 0, TrapCode::NullReference)?;
        let end = u64::from(part.at) + u64::from(part.len);
        VmStore::trap_unless(end <= self.array_len(part.array).into(), TrapCode::ArrayOutOfBounds)?;
        Ok(self.element_storage(self.type_of(part.array)))
    }

    /// The bytes of elements that were checked.
    fn part_bytes(&mut self, part: Part, storage: Storage) -> &mut [u8] {
        self.heap_mut().bytes_mut(place(part.array, part.at, storage), part.len * storage.size())
    }

    /// All bytes of an array of bytes.
    pub(super) fn array_bytes(&mut self, array: u32) -> &mut [u8] {
        let part = Part { array, at: 0, len: self.array_len(array) };
        self.part_bytes(part, Storage::I8)
    }

    /// `array.fill`
    ///
    /// # Errors
    /// Traps.
    pub(in crate::vm) fn fill_array(&mut self, part: Part, value: Slot) -> Result<()> {
        let storage = self.check_part(part)?;
        let value = &value.bytes()[..storage.size() as usize];
        for element in self.part_bytes(part, storage).chunks_exact_mut(value.len()) {
            element.copy_from_slice(value);
        }
        Ok(())
    }

    /// `array.copy`, between parts of one length, of one array or of two whose elements are kept alike.
    ///
    /// # Errors
    /// Traps.
    pub(in crate::vm) fn copy_array(&mut self, to: Part, from: Part) -> Result<()> {
        VmStore::trap_unless(to.array != 0 && from.array != 0, TrapCode::NullReference)?;
        let storage = self.check_part(to)?;
        self.check_part(from)?;
        let source = place(from.array, from.at, storage);
        let target = place(to.array, to.at, storage);
        self.heap_mut().copy_within(source, target, to.len * storage.size());
        Ok(())
    }

    /// `array.init_data`
    ///
    /// # Errors
    /// Traps.
    pub(in crate::vm) fn array_init_data(&mut self, instance: u32, part: Part, segment: u32, src: u32) -> Result<()> {
        let storage = self.check_part(part)?;
        let range = self.data_range(instance, segment, src, part.len, storage)?;
        let module = self.instance(instance).module().clone();
        let bytes = module.code().artifact().data.get(range).context("a data segment has no bytes")?;
        self.part_bytes(part, storage).copy_from_slice(bytes);
        Ok(())
    }

    /// Where in the data section the bytes of so many elements are.
    fn data_range(
        &self,
        instance: u32,
        segment: u32,
        src: u32,
        len: u32,
        storage: Storage,
    ) -> Result<std::ops::Range<usize>> {
        let data = self.instance(instance).data_range(segment);
        let start = data.start + u64::from(src);
        let end = start + u64::from(len) * u64::from(storage.size());
        VmStore::trap_unless(end <= data.end, TrapCode::MemoryOutOfBounds)?;
        Ok(start as usize..end as usize)
    }

    /// `array.init_elem`
    ///
    /// # Errors
    /// Traps.
    pub(in crate::vm) fn array_init_elem(&mut self, instance: u32, part: Part, segment: u32, src: u32) -> Result<()> {
        let storage = self.check_part(part)?;
        self.check_elements(instance, segment, src, part.len)?;
        for index in 0..part.len {
            let value = self.element_value(instance, segment, (src + index) as usize)?;
            let at = place(part.array, part.at + index, storage);
            self.heap_mut().store(at, storage, Slot::from_u64(value));
        }
        Ok(())
    }

    fn check_elements(&self, instance: u32, segment: u32, src: u32, len: u32) -> Result<()> {
        let end = u64::from(src) + u64::from(len);
        VmStore::trap_unless(end <= self.instance(instance).element_len(segment), TrapCode::TableOutOfBounds)
    }

    /// `array.new_data`
    ///
    /// # Errors
    /// Traps, and as [`VmStore::allocate`].
    pub(in crate::vm) fn array_new_data(
        &mut self,
        instance: u32,
        type_id: u32,
        segment: u32,
        src: u32,
        len: u32,
    ) -> Result<u32> {
        let storage = self.element_storage(type_id);
        self.data_range(instance, segment, src, len, storage)?;
        let array = self.new_array(type_id, len)?;
        self.array_init_data(instance, Part { array, at: 0, len }, segment, src)?;
        Ok(array)
    }

    /// `array.new_elem`
    ///
    /// # Errors
    /// Traps, and as [`VmStore::allocate`].
    pub(in crate::vm) fn array_new_elem(
        &mut self,
        instance: u32,
        type_id: u32,
        segment: u32,
        src: u32,
        len: u32,
    ) -> Result<u32> {
        self.check_elements(instance, segment, src, len)?;
        let array = self.new_array(type_id, len)?;
        self.array_init_elem(instance, Part { array, at: 0, len }, segment, src)?;
        Ok(array)
    }
}

/// Where an element is in the heap; it is inside of the array, or none is touched, so that this fits.
fn place(array: u32, index: u32, storage: Storage) -> u32 {
    array + ARRAY_ELEMENTS + index * storage.size()
}
