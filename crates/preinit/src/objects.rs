//! Structs and arrays: from what an instance holds to a list of objects that name each other by number.

use std::collections::{HashMap, VecDeque};

use hotfoot::{AnyRef, AsContextMut, ExternRef, Rooted, Val};
use wasmparser::{CompositeInnerType, FieldType, StorageType, ValType};

use crate::input::Input;
use crate::state::{Capture, Value};

/// Most objects that are captured.
pub const MAX_OBJECTS: usize = 1_000_000;

/// A struct or array.
#[derive(Clone, Debug)]
pub struct Object {
    /// Index of its type in the module.
    pub ty: u32,
    pub contents: Contents,
}

/// What an object holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// Fields of a struct, or elements of an array of references.
    Values(Vec<Value>),
    /// Elements of an array of numbers or vectors, little endian.
    Bytes(Vec<u8>),
}

impl Object {
    /// The values that it holds, if these can be references.
    pub fn values(&self) -> &[Value] {
        if let Contents::Values(values) = &self.contents { values } else { &[] }
    }
}

/// Objects that were found, and those of them that were not looked into yet.
#[derive(Debug, Default)]
pub struct Objects {
    found: Vec<Object>,
    /// By address: objects do not move while none is made.
    numbers: HashMap<u32, u32>,
    waiting: VecDeque<(u32, Rooted<AnyRef>)>,
}

impl Objects {
    /// All of them, in the order in which they were found.
    pub fn finish(self) -> Vec<Object> {
        self.found
    }
}

/// What a mistake of ours would say.
fn engine(error: hotfoot::Error) -> String {
    format!("what cannot be read: {error:#}")
}

impl<S: AsContextMut> Capture<'_, '_, S> {
    /// A reference of the hierarchy `any`, or what it is that cannot be kept.
    pub fn any(&mut self, value: Rooted<AnyRef>) -> Result<Value, String> {
        if let Some(value) = value.as_i31(&self.store).map_err(engine)? {
            return Ok(Value::I31(value.get_i32()));
        }
        let address = value.debug_address(&self.store).map_err(engine)?;
        if let Some(number) = self.objects.numbers.get(&address) {
            return Ok(Value::Object(*number));
        }
        if !value.is_eqref(&self.store).map_err(engine)? {
            return Err("a value of the host".to_owned());
        }
        let ty = self.instance.debug_type_index(&self.store, &value).map_err(engine)?;
        let ty = ty.ok_or("a struct or array of a type that the module does not define")?;
        let number = self.objects.found.len();
        if number == MAX_OBJECTS {
            return Err(format!("more than {MAX_OBJECTS} structs and arrays"));
        }
        self.objects.found.push(Object { ty, contents: Contents::Values(Vec::new()) });
        self.objects.numbers.insert(address, number as u32);
        self.objects.waiting.push_back((number as u32, value));
        Ok(Value::Object(number as u32))
    }

    /// A reference of the hierarchy `extern`: what `extern.convert_any` gave can be kept, a value of the host cannot.
    pub fn external(&mut self, value: Rooted<ExternRef>) -> Result<Value, String> {
        let value = AnyRef::convert_extern(&mut self.store, value).map_err(engine)?;
        self.any(value).map_err(|held| if held == "a value of the host" { "an externref".to_owned() } else { held })
    }

    /// Looks into all objects that were found.
    pub fn follow(&mut self) -> Result<(), String> {
        while let Some((number, object)) = self.objects.waiting.pop_front() {
            let ty = self.objects.found[number as usize].ty;
            let contents = match element_type(self.input, ty) {
                Some(element) => self.elements(object, element)?,
                None => {
                    let object = object.unwrap_struct(&self.store).map_err(engine)?;
                    let fields = object.fields(&mut self.store).map_err(engine)?;
                    Contents::Values(fields.map(|value| self.value(value)).collect::<Result<_, _>>()?)
                }
            };
            self.objects.found[number as usize].contents = contents;
        }
        Ok(())
    }

    fn elements(&mut self, array: Rooted<AnyRef>, element: FieldType) -> Result<Contents, String> {
        let array = array.unwrap_array(&self.store).map_err(engine)?;
        if element.element_type == StorageType::I8 {
            let mut bytes = vec![0; array.len(&self.store).map_err(engine)? as usize];
            array.copy_to_i8_slice(&mut self.store, &mut bytes).map_err(engine)?;
            return Ok(Contents::Bytes(bytes));
        }
        let elements = array.elems(&mut self.store).map_err(engine)?;
        if let StorageType::Val(ValType::Ref(_)) = element.element_type {
            return Ok(Contents::Values(elements.map(|value| self.value(value)).collect::<Result<_, _>>()?));
        }
        let mut bytes = Vec::with_capacity(elements.len() * element_size(element.element_type));
        for value in elements {
            match value {
                Val::I32(value) => bytes.extend(&value.to_le_bytes()[..element_size(element.element_type)]),
                Val::I64(value) => bytes.extend(value.to_le_bytes()),
                Val::F32(bits) => bytes.extend(bits.to_le_bytes()),
                Val::F64(bits) => bytes.extend(bits.to_le_bytes()),
                Val::V128(vector) => bytes.extend(vector.as_u128().to_le_bytes()),
                _ => return Err("an array whose elements are not of its type".to_owned()),
            }
        }
        Ok(Contents::Bytes(bytes))
    }
}

/// How many bytes an element of an array of numbers takes in [`Contents::Bytes`] and in data segments.
pub fn element_size(storage: StorageType) -> usize {
    match storage {
        StorageType::I8 => 1,
        StorageType::I16 => 2,
        StorageType::Val(ValType::I32 | ValType::F32 | ValType::Ref(_)) => 4,
        StorageType::Val(ValType::I64 | ValType::F64) => 8,
        StorageType::Val(ValType::V128) => 16,
    }
}

/// What the elements of an array type are; `None` for other types.
pub fn element_type(input: &Input<'_>, ty: u32) -> Option<FieldType> {
    match &input.types[ty as usize].composite_type.inner {
        CompositeInnerType::Array(array) => Some(array.0),
        _ => None,
    }
}

/// The type of the field of an object, or of the element of an array.
pub fn field_type(input: &Input<'_>, ty: u32, index: usize) -> Option<FieldType> {
    match &input.types.get(ty as usize)?.composite_type.inner {
        CompositeInnerType::Array(array) => Some(array.0),
        CompositeInnerType::Struct(fields) => fields.fields.get(index).copied(),
        _ => None,
    }
}
