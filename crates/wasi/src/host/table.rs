//! A table of numbered things where a new one always gets the lowest free number, as file descriptors do.
//!
//! Its size is bounded: how many things a guest can keep open is the host's to say.

/// The table is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Numbered slots.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Option<T>>,
    /// No slot below this one is free.
    lowest_free: usize,
    len_max: usize,
}

impl<T> Table<T> {
    /// An empty table for at most `len_max` things.
    pub fn new(len_max: usize) -> Table<T> {
        Table { slots: Vec::new(), lowest_free: 0, len_max }
    }

    /// Puts `value` at the lowest free number.
    pub fn insert(&mut self, value: T) -> Result<u32, Full> {
        let free = (self.lowest_free..self.slots.len()).find(|&at| self.slots[at].is_none());
        let at = free.unwrap_or(self.slots.len());
        if at >= self.len_max {
            return Err(Full);
        }
        let number = u32::try_from(at).map_err(|_| Full)?;
        if at == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[at] = Some(value);
        self.lowest_free = at + 1;
        Ok(number)
    }

    /// The thing with this number.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.slots.get(number as usize)?.as_ref()
    }

    /// The thing with this number, to change it.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    /// All things with their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| Some((number, slot.as_ref()?)))
    }

    /// Takes the thing with this number out.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.slots.get_mut(number as usize)?.take()?;
        self.lowest_free = self.lowest_free.min(number as usize);
        Some(value)
    }

    /// Moves the thing numbered `from` over the one numbered `to`, which is handed back; `None` if either is missing.
    pub fn renumber(&mut self, from: u32, to: u32) -> Option<Option<T>> {
        self.get(to)?;
        if from == to {
            return Some(None);
        }
        let value = self.remove(from)?;
        Some(self.slots[to as usize].replace(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_lowest_free() {
        let mut table = Table::new(4);
        assert_eq!([table.insert('a'), table.insert('b'), table.insert('c')], [Ok(0), Ok(1), Ok(2)]);
        assert_eq!(table.remove(1), Some('b'));
        assert_eq!(table.remove(0), Some('a'));
        assert_eq!([table.insert('d'), table.insert('e'), table.insert('f')], [Ok(0), Ok(1), Ok(3)]);
        assert_eq!(table.insert('g'), Err(Full));
        assert_eq!((table.get(4), table.get(u32::MAX)), (None, None));
    }

    #[test]
    fn renumber_needs_both_ends() {
        let mut table = Table::new(4);
        table.insert('a').unwrap();
        table.insert('b').unwrap();
        assert_eq!(table.renumber(0, 7), None);
        assert_eq!(table.renumber(7, 0), None);
        assert_eq!(table.renumber(0, 0), Some(None));
        assert_eq!(table.renumber(0, 1), Some(Some('b')));
        assert_eq!((table.get(0), table.get(1)), (None, Some(&'a')));
        assert_eq!(table.insert('c'), Ok(0));
    }
}
