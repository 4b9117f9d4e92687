//! Tests of the pre-initialiser: what is captured, what is refused, what the options do, and random modules.

mod check;
mod dump;
mod objects;
mod options;
mod random;
mod refusals;
mod same;
mod states;
