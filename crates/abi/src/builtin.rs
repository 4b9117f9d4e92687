//! The functions of the runtime that compiled code calls.
//!
//! Each has the C calling convention and takes the caller's VM context first. Compiled code reaches them through
//! [`VmContext::builtins`](crate::vmctx::VmContext), an array of function pointers indexed by [`Builtin`], by way of
//! one small compiled trampoline per builtin that first records where the guest stands (so that a trap inside the
//! builtin has a backtrace). When a builtin returns its failure value, the trampoline calls [`Builtin::Raise`].

/// The type of a builtin's parameter or result.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ty {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer, or a pointer.
    I64,
}

/// How a builtin is called; the VM context is the first parameter of all of them and not listed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Parameter types after the VM context.
    pub params: &'static [Ty],
    /// Result type, if there is one.
    pub result: Option<Ty>,
    /// The result that means: an error is pending, unwind now.
    pub failure: Option<i64>,
    /// Whether the result matters to the caller once it is known not to be the failure.
    pub returns_value: bool,
}

/// A function of the runtime that compiled code may call. The number is its index in the array of pointers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Builtin {
    /// `()`: continue at a handler if the pending error is an exception and one is found; otherwise unwind to the entry
    /// of this activation. Never returns.
    Raise = 0,
    /// `(code: i32)`: trap with a [`TrapCode`](crate::trap::TrapCode). Never returns.
    Trap = 1,
    /// `(memory: i32, delta_pages: i64) -> i64`: the old size in pages, or -1; -2 fails.
    MemoryGrow = 2,
    /// `(dst: i64, byte: i32, len: i64, races: i32) -> i32`: `dst` is the address of a range inside of a memory, which
    /// other threads may use meanwhile if `races` is not 0.
    MemoryFill = 3,
    /// `(dst: i64, src: i64, len: i64, races: i32) -> i32`: addresses of ranges inside of memories, as for a fill.
    MemoryCopy = 4,
    /// `(memory: i32, segment: i32, dst: i64, src: i32, len: i32) -> i32`.
    MemoryInit = 5,
    /// `(segment: i32)`.
    DataDrop = 6,
    /// `(table: i32, delta: i64, init: i64) -> i64`: the old size in elements, or -1; -2 fails.
    TableGrow = 7,
    /// `(table: i32, dst: i64, value: i64, len: i64) -> i32`.
    TableFill = 8,
    /// `(dst_table: i32, src_table: i32, dst: i64, src: i64, len: i64) -> i32`.
    TableCopy = 9,
    /// `(table: i32, segment: i32, dst: i64, src: i32, len: i32) -> i32`.
    TableInit = 10,
    /// `(segment: i32)`.
    ElemDrop = 11,
    /// `(tag: i32, payload: i64)`: throws an exception with the values in the slots at `payload`. Never returns.
    Throw = 12,
    /// `(exception: i32)`: throws what an `exnref` refers to, or traps if it is null. Never returns.
    ThrowRef = 13,
    /// `() -> i32`: the fuel is below zero.
    OutOfFuel = 14,
    /// `() -> i32`: the epoch's deadline has passed.
    NewEpoch = 15,
    /// `(size: i64) -> i32`: room for an object of so many bytes, for which there was none before. Collects garbage.
    GcAllocate = 16,
    /// `(type: i32, segment: i32, src: i32, len: i32) -> i32`: a new array. Collects garbage.
    ArrayNewData = 17,
    /// `(type: i32, segment: i32, src: i32, len: i32) -> i32`: a new array. Collects garbage.
    ArrayNewElem = 18,
    /// `(array: i32, segment: i32, dst: i32, src: i32, len: i32) -> i32`.
    ArrayInitData = 19,
    /// `(array: i32, segment: i32, dst: i32, src: i32, len: i32) -> i32`.
    ArrayInitElem = 20,
    /// `(dst_array: i32, dst: i32, src_array: i32, src: i32, len: i32) -> i32`.
    ArrayCopy = 21,
    /// `(array: i32, dst: i32, value: i64, len: i32) -> i32`: for elements of at most 8 bytes.
    ArrayFill = 22,
    /// `(memory: i32, index: i64, offset: i64, count: i32) -> i64`: how many were woken, or -1 fails.
    AtomicNotify = 23,
    /// `(memory: i32, index: i64, offset: i64, expected: i32, timeout_ns: i64) -> i64`: 0, 1 or 2, or -1 fails.
    AtomicWait32 = 24,
    /// `(memory: i32, index: i64, offset: i64, expected: i64, timeout_ns: i64) -> i64`: 0, 1 or 2, or -1 fails.
    AtomicWait64 = 25,
}

impl Builtin {
    /// How many builtins there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every builtin, in order of its number.
    pub const ALL: [Builtin; 26] = [
        Builtin::Raise,
        Builtin::Trap,
        Builtin::MemoryGrow,
        Builtin::MemoryFill,
        Builtin::MemoryCopy,
        Builtin::MemoryInit,
        Builtin::DataDrop,
        Builtin::TableGrow,
        Builtin::TableFill,
        Builtin::TableCopy,
        Builtin::TableInit,
        Builtin::ElemDrop,
        Builtin::Throw,
        Builtin::ThrowRef,
        Builtin::OutOfFuel,
        Builtin::NewEpoch,
        Builtin::GcAllocate,
        Builtin::ArrayNewData,
        Builtin::ArrayNewElem,
        Builtin::ArrayInitData,
        Builtin::ArrayInitElem,
        Builtin::ArrayCopy,
        Builtin::ArrayFill,
        Builtin::AtomicNotify,
        Builtin::AtomicWait32,
        Builtin::AtomicWait64,
    ];

    /// How this builtin is called.
    pub const fn signature(self) -> Signature {
        use Ty::{I32, I64};
        const fn procedure(params: &'static [Ty]) -> Signature {
            Signature { params, result: None, failure: None, returns_value: false }
        }
        /// Returns 1 when done, 0 when an error is pending.
        const fn fallible(params: &'static [Ty]) -> Signature {
            Signature { params, result: Some(I32), failure: Some(0), returns_value: false }
        }
        const fn grow(params: &'static [Ty]) -> Signature {
            Signature { params, result: Some(I64), failure: Some(-2), returns_value: true }
        }
        /// Returns a reference that is not null; null when an error is pending.
        const fn reference(params: &'static [Ty]) -> Signature {
            Signature { params, result: Some(I32), failure: Some(0), returns_value: true }
        }
        const fn answer(params: &'static [Ty]) -> Signature {
            Signature { params, result: Some(I64), failure: Some(-1), returns_value: true }
        }
        match self {
            Builtin::Raise => procedure(&[]),
            Builtin::Trap => procedure(&[I32]),
            Builtin::MemoryGrow => grow(&[I32, I64]),
            Builtin::MemoryFill => fallible(&[I64, I32, I64, I32]),
            Builtin::MemoryCopy => fallible(&[I64, I64, I64, I32]),
            Builtin::MemoryInit => fallible(&[I32, I32, I64, I32, I32]),
            Builtin::DataDrop => procedure(&[I32]),
            Builtin::TableGrow => grow(&[I32, I64, I64]),
            Builtin::TableFill => fallible(&[I32, I64, I64, I64]),
            Builtin::TableCopy => fallible(&[I32, I32, I64, I64, I64]),
            Builtin::TableInit => fallible(&[I32, I32, I64, I32, I32]),
            Builtin::ElemDrop => procedure(&[I32]),
            Builtin::Throw => procedure(&[I32, I64]),
            Builtin::ThrowRef => procedure(&[I32]),
            Builtin::OutOfFuel | Builtin::NewEpoch => fallible(&[]),
            Builtin::GcAllocate => reference(&[I64]),
            Builtin::ArrayNewData | Builtin::ArrayNewElem => reference(&[I32, I32, I32, I32]),
            Builtin::ArrayInitData | Builtin::ArrayInitElem | Builtin::ArrayCopy => {
                fallible(&[I32, I32, I32, I32, I32])
            }
            Builtin::ArrayFill => fallible(&[I32, I32, I64, I32]),
            Builtin::AtomicNotify => answer(&[I32, I64, I64, I32]),
            Builtin::AtomicWait32 => answer(&[I32, I64, I64, I32, I64]),
            Builtin::AtomicWait64 => answer(&[I32, I64, I64, I64, I64]),
        }
    }

    /// Whether the builtin never returns to compiled code.
    pub const fn diverges(self) -> bool {
        matches!(self, Builtin::Raise | Builtin::Trap | Builtin::Throw | Builtin::ThrowRef)
    }
}

#[cfg(test)]
mod tests {
    use super::Builtin;

    #[test]
    fn numbers_are_indices() {
        for (index, builtin) in Builtin::ALL.into_iter().enumerate() {
            assert_eq!(builtin as usize, index);
        }
    }
}
