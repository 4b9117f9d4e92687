//! Instructions that make objects, and those that find them again.
//!
//! The same code writes constant expressions and functions. In a constant expression only earlier globals can be named,
//! so everything that is new is made in place, and references that cannot be given yet are filled in later, by code.

use wasm_encoder::{HeapType, Instruction};
use wasmparser::{CompositeInnerType, FieldType, RefType, StorageType, ValType};

use super::graph::MAX_FIXED;
use super::placeholder::{null, placeholder};
use super::{Builder, Patch, Place};
use crate::objects::{Contents, element_size, element_type, field_type};
use crate::rewrite::values;
use crate::state::Value;

/// How deep objects are nested in one constant expression.
const MAX_CONSTANT_DEPTH: u32 = 256;
/// Elements of an array of numbers that are rather instructions than data.
const MAX_SHORT: usize = 8;

/// Why something cannot be made here.
pub type Made = Result<(), String>;

impl<'w> Builder<'w, '_> {
    /// A value of a type.
    pub(super) fn value(&mut self, value: Value, ty: StorageType, depth: u32) -> Made {
        let StorageType::Val(ValType::Ref(ty)) = ty else {
            self.push(values::number(value));
            return Ok(());
        };
        match value {
            Value::Func(function) => self.push(Instruction::RefFunc(function)),
            Value::I31(value) => {
                self.push(Instruction::I32Const(value));
                self.push(Instruction::RefI31);
            }
            Value::Object(object) if self.places[object as usize].is_some() => self.get(object, ty)?,
            Value::Object(object) if self.graph.inline[object as usize] || self.constant.is_some() => {
                self.make(object, depth)?;
            }
            Value::Object(_) => return Err("an object that is made later".to_owned()),
            _ => return self.null(ty),
        }
        if values::is_external(ty.heap_type()) {
            self.push(Instruction::ExternConvertAny);
        }
        Ok(())
    }

    fn null(&mut self, ty: RefType) -> Made {
        let null = null(ty.heap_type()).ok_or("null of an unknown type")?;
        self.push(null);
        Ok(())
    }

    /// A value for a place that is filled later.
    pub(super) fn filler(&mut self, ty: StorageType) -> Made {
        match ty {
            StorageType::Val(ValType::Ref(ty)) if ty.is_nullable() => self.null(ty),
            StorageType::Val(ValType::Ref(ty)) => {
                let instructions = placeholder(self.input, ty.heap_type());
                let none = || format!("a circle of references of type {ty}, which cannot be null");
                instructions.ok_or_else(none)?.into_iter().for_each(|instruction| self.push(instruction));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Makes an object.
    pub(super) fn make(&mut self, object: u32, depth: u32) -> Made {
        if self.constant.is_some() && depth > MAX_CONSTANT_DEPTH {
            return Err(format!("objects that are nested deeper than {MAX_CONSTANT_DEPTH}"));
        }
        let state = self.state;
        let ty = state.objects[object as usize].ty;
        match (&state.objects[object as usize].contents, element_type(self.input, ty)) {
            (Contents::Bytes(bytes), Some(element)) => self.numbers(object, bytes, element),
            (Contents::Values(elements), Some(element)) => self.array(object, elements, element, depth),
            (Contents::Values(fields), None) => {
                for (index, value) in fields.iter().enumerate() {
                    self.part(object, index, *value, depth)?;
                }
                self.push(Instruction::StructNew(ty));
                Ok(())
            }
            (Contents::Bytes(_), None) => Err("a struct of bytes".to_owned()),
        }
    }

    /// A field or element of an object that is being made.
    fn part(&mut self, object: u32, index: usize, value: Value, depth: u32) -> Made {
        let ty = self.state.objects[object as usize].ty;
        let field = field_type(self.input, ty, index).ok_or("a field that its type does not have")?;
        if field.mutable && !self.is_available(value, field.element_type) {
            self.patches.push(Patch::Part { object, index });
            return self.filler(field.element_type);
        }
        let new = value.object().filter(|child| self.places[*child as usize].is_none());
        self.value(value, field.element_type, depth + 1)?;
        if let Some(child) = new.filter(|_| self.constant.is_some()) {
            self.places[child as usize] = Some(Place::Part { owner: object, index });
            self.placed.push(child);
        }
        Ok(())
    }

    /// Whether a value can be given now.
    fn is_available(&self, value: Value, ty: StorageType) -> bool {
        let (Value::Object(object), StorageType::Val(ValType::Ref(ty))) = (value, ty) else { return true };
        match &self.places[object as usize] {
            Some(place) => self.constant.is_none_or(|before| self.is_constant(place, before, ty)),
            None => self.graph.inline[object as usize],
        }
    }

    fn array(&mut self, array: u32, elements: &'w [Value], element: FieldType, depth: u32) -> Made {
        let ty = self.state.objects[array as usize].ty;
        if elements.len() <= MAX_FIXED {
            for (index, value) in elements.iter().enumerate() {
                self.part(array, index, *value, depth)?;
            }
            self.push(Instruction::ArrayNewFixed { array_type_index: ty, array_size: elements.len() as u32 });
            return Ok(());
        }
        let first = elements[0];
        let is_same = first.object().is_none() && elements.iter().all(|value| *value == first);
        if is_same {
            self.value(first, element.element_type, depth)?;
        } else if element.mutable {
            self.filler(element.element_type)?;
            let set = elements.iter().enumerate().filter(|(_, value)| **value != Value::Null);
            self.patches.extend(set.map(|(index, _)| Patch::Part { object: array, index }));
        } else {
            let len = elements.len();
            return Err(format!("an immutable array of {len} references, and engines make {MAX_FIXED} at most"));
        }
        self.push(Instruction::I32Const(elements.len() as i32));
        self.push(Instruction::ArrayNew(ty));
        Ok(())
    }

    /// An array of numbers.
    fn numbers(&mut self, array: u32, bytes: &[u8], element: FieldType) -> Made {
        let ty = self.state.objects[array as usize].ty;
        let size = element_size(element.element_type);
        let len = bytes.len() / size;
        let at_once = if self.constant.is_some() { MAX_FIXED } else { MAX_SHORT };
        if bytes.iter().all(|byte| *byte == 0) {
            self.push(Instruction::I32Const(len as i32));
            self.push(Instruction::ArrayNewDefault(ty));
        } else if len <= at_once {
            bytes.chunks_exact(size).for_each(|bytes| self.push(values::little_endian(bytes, element.element_type)));
            self.push(Instruction::ArrayNewFixed { array_type_index: ty, array_size: len as u32 });
        } else if self.constant.is_none() {
            let offset = self.data(bytes)?;
            self.push(Instruction::I32Const(offset));
            self.push(Instruction::I32Const(len as i32));
            self.push(Instruction::ArrayNewData { array_type_index: ty, array_data_index: self.data_segment });
        } else if element.mutable {
            self.patches.push(Patch::Numbers { array });
            self.push(Instruction::I32Const(len as i32));
            self.push(Instruction::ArrayNewDefault(ty));
        } else {
            return Err(format!("an immutable array of {len} numbers, and a constant expression makes {MAX_FIXED}"));
        }
        Ok(())
    }

    /// Keeps bytes in the data segment, and says where.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<i32, String> {
        let offset = i32::try_from(self.bytes.len()).map_err(|_| "arrays of numbers of more than 2 GiB in all")?;
        self.bytes.extend_from_slice(bytes);
        Ok(offset)
    }

    /// An object that is made already, as a value of a type (of `any`, where the type is of `extern`).
    fn get(&mut self, object: u32, wanted: RefType) -> Made {
        let Some(place) = self.places[object as usize] else { return Err("an object without a place".to_owned()) };
        match (place, self.constant) {
            (Place::Global { index, .. }, Some(before)) if self.is_constant(&place, before, wanted) => {
                self.push(Instruction::GlobalGet(index));
                Ok(())
            }
            (_, Some(_)) => Err("an object that another place holds, too".to_owned()),
            (place, None) => self.find(object, place),
        }
    }

    /// Whether a constant expression that can name the globals before some can name an object as a value of a type.
    fn is_constant(&self, place: &Place, before: u32, wanted: RefType) -> bool {
        let wanted = if values::is_external(wanted.heap_type()) { RefType::ANYREF } else { wanted };
        match *place {
            Place::Global { index, ty, is_constant: true } => index < before && self.input.flows(ty, wanted),
            _ => false,
        }
    }

    /// An object, of its own type, for code.
    pub(super) fn find(&mut self, object: u32, place: Place) -> Made {
        let own = self.state.objects[object as usize].ty;
        let ty = match place {
            Place::Global { index, ty, .. } => {
                self.push(Instruction::GlobalGet(index));
                ty
            }
            Place::Scratch(index) => {
                self.push(Instruction::LocalGet(0));
                self.push(Instruction::I32Const(index as i32));
                self.push(Instruction::ArrayGet(self.scratch_type()));
                RefType::ANYREF
            }
            Place::Part { owner, index } => {
                let Some(place) = self.places[owner as usize] else {
                    return Err("an object without a place".to_owned());
                };
                self.find(owner, place)?;
                let owner = self.state.objects[owner as usize].ty;
                let field = field_type(self.input, owner, index).map(|field| field.element_type);
                let Some(StorageType::Val(ValType::Ref(ty))) = field else { return Err("a number".to_owned()) };
                if element_type(self.input, owner).is_some() {
                    self.push(Instruction::I32Const(index as i32));
                    self.push(Instruction::ArrayGet(owner));
                } else {
                    self.push(Instruction::StructGet { struct_type_index: owner, field_index: index as u32 });
                }
                ty
            }
        };
        if values::is_external(ty.heap_type()) {
            self.push(Instruction::AnyConvertExtern);
        }
        if ty != values::reference_to(own) {
            self.push(Instruction::RefCastNonNull(HeapType::Concrete(own)));
        }
        Ok(())
    }

    /// Fills what could not be filled when its object was made.
    pub(super) fn patch(&mut self, patch: Patch) -> Made {
        let (Patch::Part { object, .. } | Patch::Numbers { array: object }) = patch;
        let Some(place) = self.places[object as usize] else { return Err("an object without a place".to_owned()) };
        self.find(object, place)?;
        let state = self.state;
        let ty = state.objects[object as usize].ty;
        match (patch, &state.objects[object as usize].contents) {
            (Patch::Part { index, .. }, Contents::Values(values)) => {
                let field = field_type(self.input, ty, index).ok_or("a field that its type does not have")?;
                let is_struct =
                    matches!(self.input.types[ty as usize].composite_type.inner, CompositeInnerType::Struct(_));
                if !is_struct {
                    self.push(Instruction::I32Const(index as i32));
                }
                self.value(values[index], field.element_type, 0)?;
                self.push(match is_struct {
                    true => Instruction::StructSet { struct_type_index: ty, field_index: index as u32 },
                    false => Instruction::ArraySet(ty),
                });
            }
            (Patch::Numbers { .. }, Contents::Bytes(bytes)) => {
                let size = element_type(self.input, ty).map_or(1, |element| element_size(element.element_type));
                let offset = self.data(bytes)?;
                for number in [0, offset, (bytes.len() / size) as i32] {
                    self.push(Instruction::I32Const(number));
                }
                self.push(Instruction::ArrayInitData { array_type_index: ty, array_data_index: self.data_segment });
            }
            _ => return Err("an object that holds something else".to_owned()),
        }
        Ok(())
    }
}
