//! The host's references: what keeps an object in use, and finds it again after it moved.
//!
//! A [`RootIndex`] is what a handle of the API holds: a place in one of two lists of its store. Scoped places are a stack:
//! they go when their scope ends, a call of a host function or a `RootScope`. Owned places are freed one by one, some time
//! after the last clone of their handle was dropped. Both carry a generation, so that a handle whose place is gone, or
//! is another's now, is found out.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::vm::store::StoreId;

/// Where a handle's reference is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RootIndex {
    store: StoreId,
    /// Place in its list; [`OWNED`] says in which.
    place: u32,
    generation: u32,
}

const OWNED: u32 = 1 << 31;

impl RootIndex {
    /// The store that the reference is of.
    pub fn store_id(&self) -> StoreId {
        self.store
    }
}

#[derive(Debug)]
struct Scoped {
    reference: u32,
    generation: u32,
}

#[derive(Debug)]
struct Owned {
    reference: u32,
    generation: u32,
    /// Also held by the handles; none if the place is free.
    alive: Option<Arc<()>>,
}

/// The references that the host holds into a store.
#[derive(Debug, Default)]
pub struct Handles {
    scoped: Vec<Scoped>,
    /// That of the scoped places that are made now.
    generation: u32,
    owned: Vec<Owned>,
    free: Vec<u32>,
    /// Owned places to fill before it is looked whether some can be freed.
    next_sweep: usize,
}

/// Owned places that are filled before dropped ones are looked for.
const FIRST_SWEEP: usize = 64;

impl Handles {
    /// Keeps a reference, which is not null, until the current scope ends.
    #[inline]
    pub fn push(&mut self, store: StoreId, reference: u32) -> RootIndex {
        let place = self.scoped.len() as u32;
        self.scoped.push(Scoped { reference, generation: self.generation });
        RootIndex { store, place, generation: self.generation }
    }

    /// How far the current scope goes, to be ended with [`Handles::leave`].
    #[inline]
    pub fn enter(&self) -> usize {
        self.scoped.len()
    }

    /// Ends a scope: what was kept in it no longer is.
    #[inline]
    pub fn leave(&mut self, scope: usize) {
        if self.scoped.len() > scope {
            self.scoped.truncate(scope);
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// Takes back what was pushed last, as it is now.
    pub fn pop(&mut self) -> u32 {
        self.scoped.pop().map_or(0, |root| root.reference)
    }

    /// Keeps a reference, which is not null, as long as a clone of the second result lives.
    pub fn own(&mut self, store: StoreId, reference: u32) -> (RootIndex, Arc<()>) {
        if self.owned.len() - self.free.len() >= self.next_sweep {
            self.sweep();
        }
        let alive = Arc::new(());
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.owned.push(Owned { reference: 0, generation: 0, alive: None });
                self.owned.len() as u32 - 1
            }
        };
        let root = &mut self.owned[place as usize];
        (root.reference, root.alive) = (reference, Some(alive.clone()));
        (RootIndex { store, place: place | OWNED, generation: root.generation }, alive)
    }

    /// Frees owned places whose handles are gone.
    pub fn sweep(&mut self) {
        for (place, root) in self.owned.iter_mut().enumerate() {
            if root.alive.as_ref().is_some_and(|alive| Arc::strong_count(alive) == 1) {
                root.alive = None;
                root.generation = root.generation.wrapping_add(1);
                self.free.push(place as u32);
            }
        }
        self.next_sweep = (2 * (self.owned.len() - self.free.len())).max(FIRST_SWEEP);
    }

    /// The reference that a handle stands for.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn get(&self, store: StoreId, index: RootIndex) -> Result<u32> {
        ensure!(index.store == store, "a reference of another store was used");
        let found = if index.place & OWNED == 0 {
            self.scoped.get(index.place as usize).map(|root| (root.reference, root.generation))
        } else {
            let root = self.owned.get((index.place & !OWNED) as usize).filter(|root| root.alive.is_some());
            root.map(|root| (root.reference, root.generation))
        };
        match found {
            Some((reference, generation)) if generation == index.generation => Ok(reference),
            _ => bail!(
                "a reference was used after its scope had ended: the call of a host function, or a `RootScope`; keep it \
                 with `Rooted::to_owned_rooted`"
            ),
        }
    }

    /// All references, to be visited by a collection.
    pub fn references(&mut self) -> impl Iterator<Item = &mut u32> {
        let owned = self.owned.iter_mut().filter(|root| root.alive.is_some()).map(|root| &mut root.reference);
        self.scoped.iter_mut().map(|root| &mut root.reference).chain(owned)
    }

    /// Whether there is nothing to forget.
    pub fn is_empty(&self) -> bool {
        self.scoped.is_empty() && self.owned.is_empty()
    }

    /// Forgets everything; no handle made before is good for anything afterwards.
    pub fn clear(&mut self) {
        self.leave(0);
        self.owned.clear();
        self.free.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> StoreId {
        StoreId::next()
    }

    #[test]
    fn scoped_handles_end_with_their_scope() {
        let (mut handles, store) = (Handles::default(), store());
        let outer = handles.push(store, 8);
        let scope = handles.enter();
        let inner = handles.push(store, 16);
        assert_eq!(handles.get(store, inner).unwrap(), 16);
        handles.leave(scope);
        let other = handles.push(store, 24);
        assert!(handles.get(store, inner).is_err(), "the place is another's now");
        assert_eq!((handles.get(store, outer).unwrap(), handles.get(store, other).unwrap()), (8, 24));
    }

    #[test]
    fn owned_handles_live_as_long_as_a_clone() {
        let (mut handles, store) = (Handles::default(), store());
        let (index, alive) = handles.own(store, 8);
        let clone = alive.clone();
        drop(alive);
        handles.sweep();
        assert_eq!(handles.get(store, index).unwrap(), 8);
        drop(clone);
        handles.sweep();
        assert!(handles.get(store, index).is_err());
        let (again, _alive) = handles.own(store, 16);
        assert!(handles.get(store, index).is_err(), "the place is another's now");
        assert_eq!(handles.get(store, again).unwrap(), 16);
    }

    #[test]
    fn dropped_owned_handles_do_not_pile_up() {
        let (mut handles, store) = (Handles::default(), store());
        for _ in 0..100_000 {
            handles.own(store, 8);
        }
        assert!(handles.owned.len() <= 2 * FIRST_SWEEP, "{} places", handles.owned.len());
    }

    #[test]
    fn handles_of_another_store_are_refused() {
        let (mut handles, own, other) = (Handles::default(), store(), store());
        let index = handles.push(other, 8);
        assert!(handles.get(own, index).is_err());
    }
}
