//! What compiled code assumes about the address space around a linear memory.
//!
//! The compiler leaves out a bounds check where the runtime promises that every address the check would refuse is
//! unmapped. Both sides take that promise from the same [`Tunables`], which an artifact carries and the runtime
//! compares with its engine's before it maps the code.
//!
//! ```text
//!  base            base + byte_len          base + reservation        base + reservation + guard
//!   │  readable & writable  │   no access          │       no access            │
//!   └───────────────────────┴──────────────────────┴────────────────────────────┘
//! ```
//!
//! Every memory of an engine (also one that the host made) reserves at least `memory_reservation` bytes followed by
//! `memory_guard_size` bytes, whatever its type says.

/// Bytes of a WebAssembly page.
pub const WASM_PAGE_SIZE: u64 = 0x1_0000;

/// The promises about memory that code is compiled under.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunables {
    /// Address space reserved for each memory, in bytes, not counting the guard. A multiple of the host's page size.
    pub memory_reservation: u64,
    /// Address space after the reservation that is never accessible, in bytes.
    pub memory_guard_size: u64,
    /// Whether a memory that outgrows its reservation may move; otherwise such growth fails.
    pub memory_may_move: bool,
    /// Whether hardware faults may be used to detect traps. Otherwise every check is explicit.
    pub signals_based_traps: bool,
}

impl Default for Tunables {
    fn default() -> Self {
        Tunables {
            memory_reservation: 1 << 32,
            memory_guard_size: 32 << 20,
            memory_may_move: true,
            signals_based_traps: true,
        }
    }
}

/// The parts of a memory's type that decide how it is accessed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    /// Addressed with 64-bit indices.
    pub index64: bool,
    /// Declared maximum in pages, if any.
    pub maximum_pages: Option<u64>,
}

impl Tunables {
    /// Whether the base address of a memory of this shape may change while an instance lives.
    pub fn base_may_move(&self, memory: MemoryShape) -> bool {
        let type_limit = if memory.index64 { u64::MAX } else { 1 << 32 };
        let limit = match memory.maximum_pages {
            Some(pages) => pages.saturating_mul(WASM_PAGE_SIZE).min(type_limit),
            None => type_limit,
        };
        self.memory_may_move && limit > self.memory_reservation
    }

    /// Whether an access of `size` bytes at `index + offset` with any 32-bit `index` stays inside the memory's own
    /// address space, so that no check is needed: what is out of bounds faults.
    pub fn access32_needs_no_check(&self, offset: u64, size: u64) -> bool {
        let end = (1u64 << 32).saturating_add(offset).saturating_add(size);
        self.signals_based_traps && end <= self.memory_reservation.saturating_add(self.memory_guard_size)
    }

    /// Whether an access that ends `offset + size` bytes past a checked `index < byte_len` can only reach the memory
    /// or its guard, so that checking `index` alone is enough.
    pub fn guard_covers(&self, offset: u64, size: u64) -> bool {
        self.signals_based_traps && offset.saturating_add(size) <= self.memory_guard_size
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryShape, Tunables};

    #[test]
    fn default_elides_checks_of_small_offsets_only() {
        let tunables = Tunables::default();
        assert!(tunables.access32_needs_no_check(0, 16));
        assert!(tunables.access32_needs_no_check((32 << 20) - 8, 8));
        assert!(!tunables.access32_needs_no_check((32 << 20) - 8, 9));
        assert!(!tunables.access32_needs_no_check(u64::MAX, 8));
    }

    #[test]
    fn only_memories_that_can_outgrow_their_reservation_move() {
        let tunables = Tunables::default();
        let shape = |index64, maximum_pages| MemoryShape { index64, maximum_pages };
        assert!(!tunables.base_may_move(shape(false, None)));
        assert!(!tunables.base_may_move(shape(true, Some(65536))));
        assert!(tunables.base_may_move(shape(true, Some(65537))));
        assert!(tunables.base_may_move(shape(true, None)));
        let pinned = Tunables { memory_may_move: false, ..tunables };
        assert!(!pinned.base_may_move(shape(true, None)));
    }
}
