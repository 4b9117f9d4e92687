//! Garbage-collected objects: how references to them look, and how they lie in a store's heap.
//!
//! A reference of the hierarchies `any`, `extern` and `exn` is 32 bits wide wherever it is held:
//!
//! ```text
//!  0                     null
//!  value << 1 | 1        an i31
//!  a multiple of 8       offset of an object from the start of its store's heap, at least NULL_GUARD
//! ```
//!
//! The hierarchies share the form, so converting between `extern` and `any` changes nothing. References to functions
//! are pointers ([`VmFuncRef`](crate::vmctx::VmFuncRef)) and live outside of the heap.
//!
//! An object begins on a multiple of [`OBJECT_ALIGN`] and with its header, which says what it is:
//!
//! ```text
//!  31        30…29   28…0                      offset 0   header
//!  ┌─────────┬──────┬──────────────────────┐     struct   fields from offset 4 on, see StructLayout
//!  │ moved   │ Kind │ number of the type   │     array    length at 4, elements from 8, packed
//!  └─────────┴──────┴──────────────────────┘     extern   number of the host's value at 4
//!                                                exn      values from 4 on, like a struct's after the tag's address
//! ```
//!
//! Bit 31 belongs to the collector, and is clear whenever anything else looks.

/// The first bytes of the heap, which nothing can access: a field of null that lies within them faults.
pub const NULL_GUARD: u32 = 0x1_0000;

/// Objects begin at multiples of this, and their sizes are multiples of it.
pub const OBJECT_ALIGN: u32 = 8;

/// Offset of an array's length, a `u32`.
pub const ARRAY_LENGTH: u32 = 4;

/// Offset of an array's first element.
pub const ARRAY_ELEMENTS: u32 = 8;

/// Offset of the number of the host's value in an external object.
pub const EXTERN_VALUE: u32 = 4;

/// The bits of a header that hold the type's number; an engine has fewer types.
pub const TYPE_MASK: u32 = (1 << KIND_SHIFT) - 1;

/// Where the kind is in a header: `header >> KIND_SHIFT`.
pub const KIND_SHIFT: u32 = 29;

/// What an object is.
///
/// The order makes the abstract casts one comparison of the header: structs are below `1 << KIND_SHIFT`, and what
/// `eq` contains is below `2 << KIND_SHIFT`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A struct.
    Struct = 0,
    /// An array.
    Array = 1,
    /// A value of the host's, which is external and, converted, of type `any`.
    Extern = 2,
    /// An exception.
    Exn = 3,
}

impl Kind {
    /// The header of an object of this kind and type.
    pub const fn header(self, type_id: u32) -> u32 {
        (self as u32) << KIND_SHIFT | type_id
    }

    /// The kind that a header names.
    pub const fn of(header: u32) -> Kind {
        match header >> KIND_SHIFT & 3 {
            0 => Kind::Struct,
            1 => Kind::Array,
            2 => Kind::Extern,
            _ => Kind::Exn,
        }
    }
}

/// How a field or an element is kept in an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32` or `f32`
    I32,
    /// `i64` or `f64`
    I64,
    /// `v128`
    V128,
    /// A reference to something that the collector may move.
    Ref,
    /// A reference to a function.
    Func,
}

impl Storage {
    /// Bytes that it takes.
    pub const fn size(self) -> u32 {
        match self {
            Storage::I8 => 1,
            Storage::I16 => 2,
            Storage::I32 | Storage::Ref => 4,
            Storage::I64 | Storage::Func => 8,
            Storage::V128 => 16,
        }
    }

    /// Its offset is a multiple of this; vectors may lie at any multiple of 8.
    pub const fn align(self) -> u32 {
        if self.size() < OBJECT_ALIGN { self.size() } else { OBJECT_ALIGN }
    }
}

/// Where the fields of a struct are.
///
/// Each field, in order, takes the lowest aligned place that is free, so small ones fill what larger ones left over, and
/// a field's place depends only on the fields before it: a subtype begins like its supertype.
///
/// ```
/// use hotfoot_abi::gc::{Storage, StructLayout};
/// let layout = StructLayout::new([Storage::I64, Storage::Ref, Storage::I8]);
/// assert_eq!(layout.offsets, [8, 4, 16]);
/// assert_eq!(layout.size, 24);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructLayout {
    /// Offset of each field from the start of the object.
    pub offsets: Vec<u32>,
    /// Size of the object with its header.
    pub size: u32,
}

impl StructLayout {
    /// The layout of a struct with these fields.
    pub fn new(fields: impl IntoIterator<Item = Storage>) -> StructLayout {
        let mut offsets = Vec::new();
        // Free places below `end`, for each power of two at most one: an aligned field never leaves two of one size.
        let mut gaps = Gaps { end: size_of::<u32>() as u32, free: [None; 3] };
        for field in fields {
            offsets.push(gaps.take(field));
        }
        StructLayout { offsets, size: gaps.end.next_multiple_of(OBJECT_ALIGN) }
    }
}

/// What is not taken yet: everything from `end` on, and below it at most one place of 1, one of 2 and one of 4 bytes.
struct Gaps {
    end: u32,
    free: [Option<u32>; 3],
}

impl Gaps {
    fn take(&mut self, field: Storage) -> u32 {
        let size = field.size();
        if size >= OBJECT_ALIGN {
            self.close(OBJECT_ALIGN);
            let offset = self.end;
            self.end += size;
            return offset;
        }
        let fitting = (size.ilog2()..3).find(|class| self.free[*class as usize].is_some());
        let Some(class) = fitting else {
            self.close(size);
            let offset = self.end;
            self.end += size;
            return offset;
        };
        let offset = self.free[class as usize].take().unwrap_or_default();
        self.release(offset + size, offset + (1 << class));
        offset
    }

    /// Moves `end` to a multiple of `align`; what is skipped is free.
    fn close(&mut self, align: u32) {
        let end = self.end.next_multiple_of(align);
        self.release(self.end, end);
        self.end = end;
    }

    /// Notes that what lies between is free.
    fn release(&mut self, mut start: u32, end: u32) {
        while start < end {
            let class = start.trailing_zeros().min(2).min((end - start).ilog2());
            self.free[class as usize] = Some(start);
            start += 1 << class;
        }
    }
}

/// Size of an array of so many elements, with its header and length.
pub const fn array_size(element: Storage, len: u32) -> u64 {
    let bytes = ARRAY_ELEMENTS as u64 + len as u64 * element.size() as u64;
    bytes.next_multiple_of(OBJECT_ALIGN as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Storage; 7] =
        [Storage::I8, Storage::I16, Storage::I32, Storage::I64, Storage::V128, Storage::Ref, Storage::Func];

    /// Every list of up to five fields.
    fn lists() -> impl Iterator<Item = Vec<Storage>> {
        (0..6u32).flat_map(|len| {
            (0..7usize.pow(len)).map(move |mut number| {
                let digit = |_| {
                    let field = ALL[number % 7];
                    number /= 7;
                    field
                };
                (0..len).map(digit).collect()
            })
        })
    }

    #[test]
    fn fields_are_aligned_and_do_not_overlap() {
        for fields in lists() {
            let layout = StructLayout::new(fields.iter().copied());
            let mut taken = vec![false; layout.size as usize];
            taken[..4].fill(true);
            for (field, offset) in fields.iter().zip(&layout.offsets) {
                assert_eq!(offset % field.align(), 0, "{fields:?}");
                for byte in &mut taken[*offset as usize..(*offset + field.size()) as usize] {
                    assert!(!std::mem::replace(byte, true), "{fields:?} overlap: {layout:?}");
                }
            }
        }
    }

    #[test]
    fn a_subtype_begins_like_its_supertype() {
        for fields in lists() {
            let whole = StructLayout::new(fields.iter().copied());
            for len in 0..fields.len() {
                let prefix = StructLayout::new(fields[..len].iter().copied());
                assert_eq!(prefix.offsets, whole.offsets[..len]);
                assert!(prefix.size <= whole.size);
            }
        }
    }

    #[test]
    fn no_byte_is_wasted_that_a_field_could_take() {
        for fields in lists() {
            let layout = StructLayout::new(fields.iter().copied());
            let used: u32 = 4 + fields.iter().map(|field| field.size()).sum::<u32>();
            assert!(layout.size - used < 2 * OBJECT_ALIGN, "{fields:?}: {layout:?}");
        }
        assert_eq!(StructLayout::new([Storage::I8; 4]).size, 8);
        assert_eq!(StructLayout::new([Storage::I8, Storage::I32, Storage::I16, Storage::I8]).size, 16);
        assert_eq!(StructLayout::new([]).size, 8);
    }

    #[test]
    fn headers_say_what_they_were_made_from() {
        for kind in [Kind::Struct, Kind::Array, Kind::Extern, Kind::Exn] {
            for type_id in [0, 1, TYPE_MASK] {
                let header = kind.header(type_id);
                assert_eq!((Kind::of(header), header & TYPE_MASK, header >> 31), (kind, type_id, 0));
            }
        }
    }

    #[test]
    fn sizes_of_arrays_count_header_and_padding() {
        assert_eq!(array_size(Storage::I8, 0), 8);
        assert_eq!(array_size(Storage::I8, 1), 16);
        assert_eq!(array_size(Storage::Ref, 3), 24);
        assert_eq!(array_size(Storage::V128, u32::MAX), 8 + 16 * u64::from(u32::MAX));
    }
}
