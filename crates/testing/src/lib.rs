//! Tests that are data: the harness for specification scripts, and what it needs to know about the official suites.
//!
//! [`wast::run`] takes a script and an engine and says of each assertion whether it holds. Around it:
//! [`features`] selects the parts of the language that a version of the specification has, [`engines`] the settings
//! under which everything must hold, [`suite`] where scripts come from, [`exceptions`] which assertions contradict a
//! later rule, and [`table`] how results are shown.
//!
//! Invariant: the harness uses the public interface of `hotfoot` only, so it tests what an embedder gets.
#![forbid(unsafe_code)]

pub mod engines;
pub mod exceptions;
pub mod features;
#[cfg(feature = "suites")]
pub mod official;
pub mod suite;
pub mod table;
pub mod wast;
