//! Which index of the output stands for which of the input.
//!
//! Imports that become the module's own stay where they were, at the beginning of their index space. Only the second
//! name of a thing that is imported twice goes away, and what comes after it moves up.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode};

use crate::input::{Imported, Input};
use crate::state::State;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Indices {
    tables: Vec<u32>,
    memories: Vec<u32>,
    globals: Vec<u32>,
}

impl Indices {
    pub fn new(input: &Input<'_>, state: &State, kept: Imported) -> Indices {
        let identity = |count: usize| (0..count as u32).collect();
        let map = |same: &[u32], kept: u32| if kept > 0 { identity(same.len()) } else { compacted(same) };
        debug_assert_eq!(input.globals.len(), state.same_globals.len());
        Indices {
            tables: map(&state.same_tables, kept.tables),
            memories: map(&state.same_memories, kept.memories),
            globals: map(&state.same_globals, kept.globals),
        }
    }

    /// The number of a table.
    pub fn table(&self, index: u32) -> u32 {
        self.tables[index as usize]
    }

    /// The number of a global.
    pub fn global(&self, index: u32) -> u32 {
        self.globals[index as usize]
    }

    /// How many globals there are.
    pub fn count_globals(&self) -> u32 {
        self.globals.iter().max().map_or(0, |last| last + 1)
    }

    /// Whether all indices stay the same.
    pub fn is_identity(&self) -> bool {
        [&self.tables, &self.memories, &self.globals].into_iter().all(|map| map.iter().copied().eq(0..map.len() as u32))
    }
}

/// New numbers, without gaps, for those that are the first of their kind; the others get their first one's.
fn compacted(same: &[u32]) -> Vec<u32> {
    let mut map: Vec<u32> = Vec::with_capacity(same.len());
    let mut next = 0;
    for (index, first) in same.iter().enumerate() {
        match map.get(*first as usize) {
            Some(number) if (*first as usize) < index => map.push(*number),
            _ => {
                map.push(next);
                next += 1;
            }
        }
    }
    map
}

impl Reencode for Indices {
    type Error = Infallible;

    fn table_index(&mut self, table: u32) -> Result<u32, Error<Infallible>> {
        Ok(self.tables[table as usize])
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Infallible>> {
        Ok(self.memories[memory as usize])
    }

    fn global_index(&mut self, global: u32) -> Result<u32, Error<Infallible>> {
        Ok(self.globals[global as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_go_away() {
        assert_eq!(compacted(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(compacted(&[0, 0, 2, 0, 4]), [0, 0, 1, 0, 2]);
        assert_eq!(compacted(&[]), []);
    }
}
