//! What the runtime knows of a type of objects: how large they are, and what is where in them.
//!
//! Each store keeps its own copy for the types that it has seen, in plain vectors, so that a collection shares nothing.

use std::ops::Range;

use hotfoot_abi::gc::{Storage, StructLayout};

/// The objects of one type.
#[derive(Copy, Clone, Debug)]
pub enum Shape {
    /// A struct, or an exception.
    Fixed {
        /// Bytes of an object.
        size: u32,
        /// First of its fields in [`Shapes::field`], and behind the last.
        fields: (u32, u32),
        /// First of its references in [`Shapes::reference`], and behind the last.
        references: (u32, u32),
    },
    /// An array of such elements.
    Array(Storage),
}

/// A field of a struct or exception.
#[derive(Copy, Clone, Debug)]
pub struct Field {
    /// From the start of the object.
    pub offset: u32,
    /// How it is kept there.
    pub storage: Storage,
}

/// The shapes of the types that a store has seen.
#[derive(Debug, Default)]
pub struct Shapes {
    /// For each type number: its place in `shapes`, plus one; 0 if it has not been seen.
    places: Vec<u32>,
    shapes: Vec<Shape>,
    /// Type after type.
    fields: Vec<Field>,
    /// Offsets of references, type after type.
    references: Vec<u32>,
}

impl Shapes {
    /// The shape of a type that was added.
    #[inline]
    pub fn get(&self, type_id: u32) -> Option<Shape> {
        let place = *self.places.get(type_id as usize)?;
        self.shapes.get((place as usize).checked_sub(1)?).copied()
    }

    /// Where a reference is in the objects of a type.
    #[inline]
    pub fn reference(&self, index: u32) -> u32 {
        self.references[index as usize]
    }

    /// The fields of a shape.
    pub fn fields(&self, (first, last): (u32, u32)) -> &[Field] {
        &self.fields[Range { start: first as usize, end: last as usize }]
    }

    /// Adds a type of struct or exception with these fields.
    pub fn add_fields(&mut self, type_id: u32, fields: &[Storage]) -> Shape {
        let layout = StructLayout::new(fields.iter().copied());
        let (first_field, first_reference) = (self.fields.len() as u32, self.references.len() as u32);
        for (storage, offset) in fields.iter().zip(layout.offsets) {
            self.fields.push(Field { offset, storage: *storage });
            if *storage == Storage::Ref {
                self.references.push(offset);
            }
        }
        let fields = (first_field, self.fields.len() as u32);
        let references = (first_reference, self.references.len() as u32);
        self.add(type_id, Shape::Fixed { size: layout.size, fields, references })
    }

    /// Adds a type of array with such elements.
    pub fn add_array(&mut self, type_id: u32, element: Storage) -> Shape {
        self.add(type_id, Shape::Array(element))
    }

    fn add(&mut self, type_id: u32, shape: Shape) -> Shape {
        let index = type_id as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, 0);
        }
        self.shapes.push(shape);
        self.places[index] = self.shapes.len() as u32;
        shape
    }

    /// Whether no type has been seen.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets all types.
    pub fn clear(&mut self) {
        self.places.clear();
        self.shapes.clear();
        self.fields.clear();
        self.references.clear();
    }
}
