//! Structs and arrays through the host's handles and values, with every type compared.

use anyhow::{Context, Result, bail, ensure};
use hotfoot_abi::gc::{Kind, Storage};
use hotfoot_artifact::{FieldType, HeapType, StorageType};

use super::array::Part;
use super::handles::RootIndex;
use super::{field_storage, is_object};
use crate::value::Val;
use crate::vm::slot::Slot;
use crate::vm::store::VmStore;

impl VmStore {
    /// The smallest type that what a handle refers to has.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn heap_type(&self, root: RootIndex) -> Result<HeapType> {
        let reference = self.reference(root)?;
        if !is_object(reference) {
            return Ok(HeapType::I31);
        }
        let type_id = self.type_of(reference);
        Ok(match self.kind_of(reference) {
            Some(Kind::Struct) => HeapType::ConcreteStruct(type_id),
            Some(Kind::Array) => HeapType::ConcreteArray(type_id),
            Some(Kind::Exn) => HeapType::Exn,
            Some(Kind::Extern) | None => HeapType::Any,
        })
    }

    /// Whether what a handle refers to is of a type.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn is_of_type(&self, root: RootIndex, ty: HeapType) -> Result<bool> {
        let types = self.engine().types();
        Ok(self.heap_type(root)?.matches(ty, |sub, sup| types.is_subtype(sub, sup)))
    }

    fn object(&self, root: RootIndex, kind: Kind) -> Result<(u32, u32)> {
        let object = self.reference(root)?;
        ensure!(self.kind_of(object) == Some(kind), "a handle refers to something else than its type says");
        Ok((object, self.type_of(object)))
    }

    /// A value as it is kept in a field.
    fn checked(&self, value: Val, field: FieldType, what: &dyn Fn() -> String) -> Result<Slot> {
        let ty = field.storage.unpack();
        ensure!(value.matches(self, ty), "{} cannot hold this value: {value:?}, its type is {ty}", what());
        value.to_slot(self)
    }

    /// The value of a field.
    fn unchecked(&mut self, slot: Slot, field: FieldType) -> Val {
        // SAFETY: S17, a field holds a value of its type; narrow ones are read with zeros above.
        unsafe { Val::from_slot(self, slot, field.storage.unpack()) }
    }

    // ---- structs ----

    fn struct_field_type(&self, type_id: u32, index: usize) -> Result<FieldType> {
        let ty = self.engine().types().get(type_id).ty.struct_().context("the type is not one of structs")?;
        let field = ty.fields.get(index).copied();
        field.with_context(|| format!("the struct has {} fields, but field {index} was asked for", ty.fields.len()))
    }

    /// Makes a struct.
    ///
    /// # Errors
    /// When the values are not of the fields' types, or there is no room.
    pub fn new_struct(&mut self, type_id: u32, values: &[Val]) -> Result<RootIndex> {
        let ty = self.engine().types().get(type_id).ty.struct_().context("the type is not one of structs")?;
        let expected = ty.fields.len();
        ensure!(values.len() == expected, "the struct has {expected} fields, but {} values were given", values.len());
        let fields = values.iter().zip(&ty.fields).enumerate();
        let checked = fields.map(|(index, (value, field))| self.checked(*value, *field, &|| format!("field {index}")));
        let slots = checked.collect::<Result<Vec<_>>>()?;
        let object = self.new_object(Kind::Struct, type_id, &slots)?;
        Ok(self.root(object))
    }

    /// The number of a struct's type.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn struct_type(&self, root: RootIndex) -> Result<u32> {
        Ok(self.object(root, Kind::Struct)?.1)
    }

    /// A field.
    ///
    /// # Errors
    /// When there is none, and as [`VmStore::heap_type`].
    pub fn struct_field(&mut self, root: RootIndex, index: usize) -> Result<Val> {
        let (object, type_id) = self.object(root, Kind::Struct)?;
        let field = self.struct_field_type(type_id, index)?;
        let slot = self.field(object, index).context("the struct has no such field")?;
        Ok(self.unchecked(slot, field))
    }

    /// All fields.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn struct_fields(&mut self, root: RootIndex) -> Result<Vec<Val>> {
        let (_, type_id) = self.object(root, Kind::Struct)?;
        let count = self.engine().types().get(type_id).ty.struct_().map_or(0, |ty| ty.fields.len());
        (0..count).map(|index| self.struct_field(root, index)).collect()
    }

    /// Sets a field.
    ///
    /// # Errors
    /// When there is none, it cannot be set or the value is not of its type, and as [`VmStore::heap_type`].
    pub fn set_struct_field(&mut self, root: RootIndex, index: usize, value: Val) -> Result<()> {
        let (object, type_id) = self.object(root, Kind::Struct)?;
        let field = self.struct_field_type(type_id, index)?;
        ensure!(field.mutable, "field {index} is immutable and cannot be set");
        let slot = self.checked(value, field, &|| format!("field {index}"))?;
        self.set_field(object, index, slot);
        Ok(())
    }

    // ---- arrays ----

    fn element_type(&self, type_id: u32) -> Result<FieldType> {
        let ty = self.engine().types().get(type_id).ty.array().context("the type is not one of arrays")?;
        Ok(ty.element)
    }

    /// Makes an array whose elements are all the same.
    ///
    /// # Errors
    /// When the value is not of the elements' type, or there is no room.
    pub fn new_filled_array(&mut self, type_id: u32, value: Val, len: u32) -> Result<RootIndex> {
        let element = self.element_type(type_id)?;
        self.checked(value, element, &|| "an element".into())?;
        let array = self.new_array(type_id, len)?;
        let slot = value.to_slot(self)?;
        self.fill_array(Part { array, at: 0, len }, slot)?;
        Ok(self.root(array))
    }

    /// Makes an array of these elements.
    ///
    /// # Errors
    /// As [`VmStore::new_filled_array`].
    pub fn new_array_of(&mut self, type_id: u32, values: &[Val]) -> Result<RootIndex> {
        let element = self.element_type(type_id)?;
        let checked = |(index, value): (usize, &Val)| self.checked(*value, element, &|| format!("element {index}"));
        values.iter().enumerate().try_for_each(|value| checked(value).map(drop))?;
        let len = u32::try_from(values.len()).context("an array has 2^32 elements at most")?;
        let array = self.new_array(type_id, len)?;
        for (index, value) in (0..).zip(values) {
            let slot = value.to_slot(self)?;
            self.set_element(array, index, slot);
        }
        Ok(self.root(array))
    }

    /// Makes an array of bytes.
    ///
    /// # Errors
    /// When the type is another, or there is no room.
    pub fn new_array_of_bytes(&mut self, type_id: u32, bytes: &[u8]) -> Result<RootIndex> {
        let element = self.element_type(type_id)?;
        ensure!(element.storage == StorageType::I8, "the elements of the array are no bytes");
        let len = u32::try_from(bytes.len()).context("an array has 2^32 elements at most")?;
        let array = self.new_array(type_id, len)?;
        self.array_bytes(array).copy_from_slice(bytes);
        Ok(self.root(array))
    }

    /// Copies all elements of an array of bytes.
    ///
    /// # Errors
    /// When it is another, or has another length, and as [`VmStore::heap_type`].
    pub fn copy_array_bytes(&mut self, root: RootIndex, bytes: &mut [u8]) -> Result<()> {
        let (array, type_id) = self.object(root, Kind::Array)?;
        ensure!(field_storage(self.element_type(type_id)?) == Storage::I8, "the elements of the array are no bytes");
        let len = self.array_len(array) as usize;
        ensure!(len == bytes.len(), "the array has {len} elements, but room for {} was given", bytes.len());
        bytes.copy_from_slice(self.array_bytes(array));
        Ok(())
    }

    /// The number of an array's type.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn array_type(&self, root: RootIndex) -> Result<u32> {
        Ok(self.object(root, Kind::Array)?.1)
    }

    /// How many elements an array has.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn len_of_array(&self, root: RootIndex) -> Result<u32> {
        Ok(self.array_len(self.object(root, Kind::Array)?.0))
    }

    /// An element.
    ///
    /// # Errors
    /// When there is none, and as [`VmStore::heap_type`].
    pub fn array_element(&mut self, root: RootIndex, index: u32) -> Result<Val> {
        let (array, type_id) = self.object(root, Kind::Array)?;
        let field = self.element_type(type_id)?;
        let Some(slot) = self.element(array, index) else { bail!(no_element(self.array_len(array), index)) };
        Ok(self.unchecked(slot, field))
    }

    /// All elements.
    ///
    /// # Errors
    /// As [`VmStore::heap_type`].
    pub fn array_elements(&mut self, root: RootIndex) -> Result<Vec<Val>> {
        (0..self.len_of_array(root)?).map(|index| self.array_element(root, index)).collect()
    }

    /// Sets an element.
    ///
    /// # Errors
    /// When there is none, it cannot be set or the value is not of its type, and as [`VmStore::heap_type`].
    pub fn set_array_element(&mut self, root: RootIndex, index: u32, value: Val) -> Result<()> {
        let (array, type_id) = self.object(root, Kind::Array)?;
        let field = self.element_type(type_id)?;
        ensure!(field.mutable, "the elements of the array are immutable and cannot be set");
        let slot = self.checked(value, field, &|| format!("element {index}"))?;
        ensure!(self.set_element(array, index, slot), no_element(self.array_len(array), index));
        Ok(())
    }
}

fn no_element(len: u32, index: u32) -> String {
    format!("the array has {len} elements, but element {index} was asked for")
}
