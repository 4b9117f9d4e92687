//! Tests of the pre-initialiser: what is captured, what is refused, what the options do, and random modules.

mod dump;
mod options;
mod random;
mod refusals;
mod same;
mod states;
