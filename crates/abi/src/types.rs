//! How compiled code asks whether one type is a subtype of another.
//!
//! An engine gives equal types of all modules one number, and keeps for each type its *display*: the numbers of its
//! supertypes from the outermost inwards, and its own last. All displays lie in one array that never moves, and the
//! number of a type is where in it its display begins:
//!
//! ```text
//!  number       1   2   3     5
//!  array    0 ┊ 1 ┊ 2 ┊ 2 3 ┊ 2 3 5 ┊ 0 0 0 …        5 is a subtype of 3, and 3 of 2
//! ```
//!
//! So `a` is `t` or a subtype of it if `array[a + depth(t)] == t`, where `depth` is how many supertypes `t` has, which
//! the compiler knows: one load and no look at a length. Reading past the display of `a` is harmless, because a type
//! stands in displays at one place only, its depth, and what is read past the end of `a`'s lies less deep in another's
//! display, or is 0 behind the last. No type has the number 0.

/// Most supertypes of a type, directly and through others: a limit of validation.
pub const MAX_TYPE_DEPTH: u32 = 63;

/// Type numbers are smaller than this.
pub const MAX_TYPE_NUMBER: u32 = 1 << 24;
