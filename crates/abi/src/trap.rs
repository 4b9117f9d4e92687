//! Why compiled code stopped: the trap codes that cross from machine code to the runtime.
//!
//! The compiler attaches a code to each instruction that may fault and to each explicit trap; the runtime finds it
//! again from the program counter. A code is one byte so that the table in an artifact stays small:
//!
//! ```text
//!  1 ..= 17     a [`TrapCode`]
//!  24 + n       a memory access, before which fuel was consumed that is not charged yet: n, at most 226
//! ```

use std::fmt;

/// The reason for a trap, as the WebAssembly specification and the field name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum TrapCode {
    /// The guest used up the stack that it was given.
    StackOverflow = 1,
    /// A memory access outside of the memory's current size.
    MemoryOutOfBounds = 2,
    /// An atomic access whose address is not naturally aligned.
    HeapMisaligned = 3,
    /// A table access outside of the table's current size.
    TableOutOfBounds = 4,
    /// An indirect call through a null table entry.
    IndirectCallToNull = 5,
    /// An indirect call whose callee has another type than the call names.
    BadSignature = 6,
    /// Signed division overflow.
    IntegerOverflow = 7,
    /// Division or remainder by zero.
    IntegerDivisionByZero = 8,
    /// A float that has no integer value, or one out of range.
    BadConversionToInteger = 9,
    /// The `unreachable` instruction.
    UnreachableCodeReached = 10,
    /// The code was interrupted from outside.
    Interrupt = 11,
    /// The store's fuel is used up.
    OutOfFuel = 12,
    /// A wait on a memory that is not shared.
    AtomicWaitNonSharedMemory = 13,
    /// A null reference where a value was needed.
    NullReference = 14,
    /// An array access outside of the array.
    ArrayOutOfBounds = 15,
    /// An allocation too large to ever succeed.
    AllocationTooLarge = 16,
    /// A reference cast to a type that the value does not have.
    CastFailure = 17,
}

impl TrapCode {
    /// Every code, in order of its number.
    pub const ALL: [TrapCode; 17] = [
        TrapCode::StackOverflow,
        TrapCode::MemoryOutOfBounds,
        TrapCode::HeapMisaligned,
        TrapCode::TableOutOfBounds,
        TrapCode::IndirectCallToNull,
        TrapCode::BadSignature,
        TrapCode::IntegerOverflow,
        TrapCode::IntegerDivisionByZero,
        TrapCode::BadConversionToInteger,
        TrapCode::UnreachableCodeReached,
        TrapCode::Interrupt,
        TrapCode::OutOfFuel,
        TrapCode::AtomicWaitNonSharedMemory,
        TrapCode::NullReference,
        TrapCode::ArrayOutOfBounds,
        TrapCode::AllocationTooLarge,
        TrapCode::CastFailure,
    ];

    /// The code with this number, if there is one.
    pub fn from_u8(number: u8) -> Option<TrapCode> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// The number from which an access's stands beside the fuel that is owed there.
const ACCESS_OWING: u8 = 24;
/// Most fuel that an access can owe: the code generator keeps the last numbers for itself.
const OWED_MAX: u8 = 250 - ACCESS_OWING;

/// The number of a memory access, before which so much fuel was consumed that is not charged yet; none if that is too much.
pub fn at_access(owed: i64) -> Option<u8> {
    match u8::try_from(owed).ok()? {
        0 => Some(TrapCode::MemoryOutOfBounds as u8),
        owed => (owed <= OWED_MAX).then_some(ACCESS_OWING + owed),
    }
}

/// The code that an instruction's number stands for, and the fuel that is owed there.
pub fn of_number(number: u8) -> Option<(TrapCode, u8)> {
    let owed = number.checked_sub(ACCESS_OWING).filter(|owed| (1..=OWED_MAX).contains(owed));
    match owed {
        Some(owed) => Some((TrapCode::MemoryOutOfBounds, owed)),
        None => Some((TrapCode::from_u8(number)?, 0)),
    }
}

impl fmt::Display for TrapCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            TrapCode::StackOverflow => "call stack exhausted",
            TrapCode::MemoryOutOfBounds => "out of bounds memory access",
            TrapCode::HeapMisaligned => "unaligned atomic access",
            TrapCode::TableOutOfBounds => "undefined element: out of bounds table access",
            TrapCode::IndirectCallToNull => "uninitialized element",
            TrapCode::BadSignature => "indirect call type mismatch",
            TrapCode::IntegerOverflow => "integer overflow",
            TrapCode::IntegerDivisionByZero => "integer divide by zero",
            TrapCode::BadConversionToInteger => "invalid conversion to integer",
            TrapCode::UnreachableCodeReached => "wasm `unreachable` instruction executed",
            TrapCode::Interrupt => "interrupt",
            TrapCode::OutOfFuel => "all fuel consumed by WebAssembly",
            TrapCode::AtomicWaitNonSharedMemory => "atomic wait on non-shared memory",
            TrapCode::NullReference => "null reference",
            TrapCode::ArrayOutOfBounds => "out of bounds array access",
            TrapCode::AllocationTooLarge => "allocation size too large",
            TrapCode::CastFailure => "cast failure",
        };
        write!(formatter, "wasm trap: {what}")
    }
}

impl std::error::Error for TrapCode {}

#[cfg(test)]
mod tests {
    use super::{OWED_MAX, TrapCode, at_access, of_number};

    #[test]
    fn numbers_round_trip() {
        for code in TrapCode::ALL {
            assert_eq!(TrapCode::from_u8(code as u8), Some(code));
        }
        assert_eq!(TrapCode::from_u8(0), None);
        assert_eq!(TrapCode::from_u8(18), None);
    }

    #[test]
    fn an_access_says_what_is_owed_up_to_the_limit() {
        for owed in 0..=OWED_MAX {
            let number = at_access(owed.into()).unwrap();
            assert!(number <= 250, "the code generator has the rest");
            assert_eq!(of_number(number), Some((TrapCode::MemoryOutOfBounds, owed)));
        }
        assert_eq!(at_access(i64::from(OWED_MAX) + 1), None);
        assert_eq!(at_access(-1), None);
        for code in TrapCode::ALL {
            assert_eq!(of_number(code as u8), Some((code, 0)));
        }
        assert_eq!([0, 18, 24, 251].map(of_number), [None; 4]);
    }
}
