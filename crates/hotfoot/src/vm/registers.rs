//! Values in registers: which functions can be called with their arguments where compiled code takes them.
//!
//! The C convention and that of compiled code put arguments in the same registers, as long as there are any, and then on
//! the stack in the same order; one result is where C returns it (`vm/sys/arch`). [`Shape`] counts.

use super::slot::Slot;
use super::sys::arch;

/// Which registers a value is passed in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Register {
    /// Of integers and references.
    Integer,
    /// Of floats, and of vectors of 128 bits.
    Float {
        /// Whether it takes one word when it is passed on the stack.
        is_word: bool,
    },
}

/// What a value of compiled code is in Rust, in a register.
///
/// # Safety
/// S7: in the C convention it is passed in such a register, and all bits that compiled code can leave there are valid.
pub unsafe trait Abi: NativeResult {
    /// The kind of register.
    const REGISTER: Register;

    /// As an argument: a whole word where it may be put on the stack, because part of one that was written cannot be read as a
    /// whole at once.
    type Argument: Copy;

    /// The value as an argument.
    fn to_argument(self) -> Self::Argument;

    /// The value in a slot.
    fn to_slot(self) -> Slot;

    /// The value that is in a slot.
    fn from_slot(slot: Slot) -> Self;
}

/// What a C function returns where compiled code expects the results of a function type with one at most.
///
/// # Safety
/// S7: as [`Abi`], or nothing.
pub unsafe trait NativeResult: Copy {
    /// The result that slots hold.
    ///
    /// # Safety
    /// S7: they hold one of this type.
    unsafe fn load(slots: *const Slot) -> Self;
}

// SAFETY: S7, no result.
unsafe impl NativeResult for () {
    #[inline]
    unsafe fn load(_slots: *const Slot) {}
}

macro_rules! abi {
    ($($ty:ty as $argument:ty, $register:expr, $value:ident => $to:expr, $slot:ident => $from:expr;)*) => {$(
        // SAFETY: S7, a number, of which any bits are valid.
        unsafe impl Abi for $ty {
            const REGISTER: Register = $register;

            type Argument = $argument;

            #[inline]
            fn to_argument(self) -> $argument {
                self.into()
            }

            #[inline]
            fn to_slot(self) -> Slot {
                let $value = self;
                $to
            }

            #[inline]
            fn from_slot($slot: Slot) -> Self {
                $from
            }
        }

        // SAFETY: S7, as an `Abi`.
        unsafe impl NativeResult for $ty {
            #[inline]
            unsafe fn load(slots: *const Slot) -> Self {
                // SAFETY: S7, by the caller's promise.
                Self::from_slot(unsafe { slots.read() })
            }
        }
    )*};
}

abi! {
    u32 as u64, Register::Integer, value => Slot::from_u32(value), slot => slot.as_u32();
    u64 as u64, Register::Integer, value => Slot::from_u64(value), slot => slot.as_u64();
    f32 as f32, Register::Float { is_word: true }, value => Slot::from_u32(value.to_bits()), slot => f32::from_bits(slot.as_u32());
    f64 as f64, Register::Float { is_word: true }, value => Slot::from_u64(value.to_bits()), slot => f64::from_bits(slot.as_u64());
    arch::Vector as arch::Vector, Register::Float { is_word: false }, value => Slot::from_u128(arch::vector_to_bits(value)),
        slot => arch::vector_from_bits(slot.as_u128());
}

/// How values of some types are passed without a trampoline.
#[derive(Copy, Clone, Debug)]
pub struct Shape {
    /// Words on the stack, or that it cannot be done.
    pub stack_words: Option<usize>,
}

impl Shape {
    /// Of parameters in these registers.
    pub const fn new(registers: &[Register]) -> Shape {
        let (mut integers, mut floats, mut words, mut index) = (0, 0, 0, 0);
        while index < registers.len() {
            let (in_register, is_word) = match registers[index] {
                Register::Integer => {
                    integers += 1;
                    (integers <= arch::INTEGER_REGISTERS, true)
                }
                Register::Float { is_word } => {
                    floats += 1;
                    (floats <= arch::FLOAT_REGISTERS, is_word)
                }
            };
            if !in_register {
                words += 1;
                if !is_word {
                    return Shape { stack_words: None };
                }
            }
            index += 1;
        }
        Shape { stack_words: if words <= arch::MAX_STACK_WORDS { Some(words) } else { None } }
    }

    /// Words on the stack, none if it cannot be done.
    pub const fn words(self) -> usize {
        match self.stack_words {
            Some(words) => words,
            None => 0,
        }
    }
}

/// Whether calls with these parameters and so many results need no trampoline.
pub const fn is_native(params: Shape, results: usize) -> bool {
    params.stack_words.is_some() && results <= 1
}
