//! Small integers as references.

use std::fmt;

/// An integer of 31 bits: a reference that needs no object.
///
/// ```
/// use hotfoot::I31;
/// assert_eq!(I31::new_i32(-5).unwrap().get_i32(), -5);
/// assert_eq!(I31::wrapping_u32(u32::MAX).get_u32(), u32::MAX >> 1);
/// assert_eq!(I31::new_u32(1 << 31), None);
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct I31(u32);

const MASK: u32 = u32::MAX >> 1;

impl fmt::Debug for I31 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("I31").field("as_u32", &self.get_u32()).field("as_i32", &self.get_i32()).finish()
    }
}

impl I31 {
    /// The unsigned integer, if it fits 31 bits.
    pub fn new_u32(value: u32) -> Option<I31> {
        (value <= MASK).then_some(I31(value))
    }

    /// The signed integer, if it fits 31 bits.
    pub fn new_i32(value: i32) -> Option<I31> {
        let wrapped = I31::wrapping_i32(value);
        (wrapped.get_i32() == value).then_some(wrapped)
    }

    /// The low 31 bits.
    pub fn wrapping_u32(value: u32) -> I31 {
        I31(value & MASK)
    }

    /// The low 31 bits.
    pub fn wrapping_i32(value: i32) -> I31 {
        I31::wrapping_u32(value as u32)
    }

    /// As an unsigned integer.
    pub fn get_u32(&self) -> u32 {
        self.0
    }

    /// As a signed integer.
    pub fn get_i32(&self) -> i32 {
        (self.0 << 1) as i32 >> 1
    }

    /// As a reference is held ([`hotfoot_abi::gc`]).
    pub(crate) fn to_reference(self) -> u32 {
        self.0 << 1 | 1
    }

    /// From a reference that is an i31.
    pub(crate) fn from_reference(reference: u32) -> Option<I31> {
        (reference & 1 == 1).then_some(I31(reference >> 1))
    }
}
