//! The host's values that guests hold references to.
//!
//! In the heap, such a reference leads to an object of 8 bytes with the value's place in the list here. The list knows
//! where each object is; after a collection, a value whose object was not copied is dropped.

use std::any::Any;

/// A value, and its object in the heap.
struct Entry {
    object: u32,
    value: Box<dyn Any + Send + Sync>,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Externs {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl std::fmt::Debug for Externs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Externs").field("len", &(self.entries.len() - self.free.len())).finish()
    }
}

impl Externs {
    /// Adds a value whose object is there, and returns its place.
    pub fn add(&mut self, object: u32, value: Box<dyn Any + Send + Sync>) -> u32 {
        let entry = Some(Entry { object, value });
        match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        }
    }

    /// The value at a place.
    pub fn get(&self, place: u32) -> Option<&(dyn Any + Send + Sync)> {
        Some(&*self.entries.get(place as usize)?.as_ref()?.value)
    }

    /// The value at a place.
    pub fn get_mut(&mut self, place: u32) -> Option<&mut (dyn Any + Send + Sync)> {
        Some(&mut *self.entries.get_mut(place as usize)?.as_mut()?.value)
    }

    /// Asks where each object is now. Returns the values of those that are gone, for the caller to drop when everything
    /// is in order again: what their destructors do is the host's affair.
    pub fn sweep(&mut self, forwarded: impl Fn(u32) -> Option<u32>) -> Vec<Box<dyn Any + Send + Sync>> {
        let mut gone = Vec::new();
        for (place, slot) in self.entries.iter_mut().enumerate() {
            let Some(entry) = slot else { continue };
            match forwarded(entry.object) {
                Some(object) => entry.object = object,
                None => {
                    gone.extend(slot.take().map(|entry| entry.value));
                    self.free.push(place as u32);
                }
            }
        }
        gone
    }

    /// Whether no value was added since the last [`Externs::clear`].
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all values out.
    pub fn clear(&mut self) {
        self.free.clear();
        self.entries.clear();
    }
}
