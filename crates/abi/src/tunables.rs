//! What compiled code assumes about the address space around a linear memory, and how it can be stopped.
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

/// The promises that code is compiled under.
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
    /// Whether code consumes the fuel of its store.
    pub consume_fuel: bool,
    /// Whether code looks at the engine's epoch.
    pub epoch_interruption: bool,
}

impl Default for Tunables {
    fn default() -> Self {
        Tunables {
            memory_reservation: 1 << 32,
            memory_guard_size: 32 << 20,
            memory_may_move: true,
            signals_based_traps: true,
            consume_fuel: false,
            epoch_interruption: false,
        }
    }
}

/// The parts of a memory's type that decide how it is accessed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    /// Addressed with 64-bit indices.
    pub index64: bool,
    /// Used by several threads at once: such a memory never moves.
    pub shared: bool,
    /// Bytes of a page, as a power of two.
    pub page_size_log2: u8,
    /// Declared maximum in pages, if any.
    pub maximum_pages: Option<u64>,
}

impl MemoryShape {
    /// Whether the memory ends where pages of the processor end, so that what lies behind can be made inaccessible.
    /// Its pages are at least as large as any processor's (64 KiB), or else it may end anywhere.
    pub fn ends_at_a_page(&self) -> bool {
        1 << self.page_size_log2 >= WASM_PAGE_SIZE
    }

    /// Most bytes that the memory can have.
    pub fn maximum_bytes(&self) -> u64 {
        let reach = if self.index64 { u64::MAX } else { 1 << 32 };
        self.maximum_pages.map_or(reach, |pages| pages.saturating_mul(1 << self.page_size_log2).min(reach))
    }
}

impl Tunables {
    /// Whether the base address of a memory of this shape may change while an instance lives.
    pub fn base_may_move(&self, memory: MemoryShape) -> bool {
        self.memory_may_move && !memory.shared && memory.maximum_bytes() > self.memory_reservation
    }

    /// Whether an access of `size` bytes at `index + offset` with any `index` stays inside the memory's own address
    /// space, so that no check is needed: what is out of bounds faults.
    pub fn access_needs_no_check(&self, memory: MemoryShape, offset: u64, size: u64) -> bool {
        self.signals_based_traps && memory.ends_at_a_page() && self.stays_in_reservation(memory, offset, size)
    }

    /// Whether an access of `size` bytes at `index + offset` with any `index` reaches the memory's own address space and
    /// nothing else, whether or not what it reaches is accessible.
    pub fn stays_in_reservation(&self, memory: MemoryShape, offset: u64, size: u64) -> bool {
        let end = (1u64 << 32).saturating_add(offset).saturating_add(size);
        !memory.index64 && end <= self.memory_reservation.saturating_add(self.memory_guard_size)
    }

    /// Whether an access that ends `offset + size` bytes past a checked `index < byte_len` can only reach the memory
    /// or its guard, so that checking `index` alone is enough.
    pub fn guard_covers(&self, memory: MemoryShape, offset: u64, size: u64) -> bool {
        let covered = offset.saturating_add(size) <= self.memory_guard_size;
        self.signals_based_traps && covered && memory.ends_at_a_page()
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryShape, Tunables};

    fn shape(index64: bool, maximum_pages: Option<u64>) -> MemoryShape {
        MemoryShape { index64, shared: false, page_size_log2: 16, maximum_pages }
    }

    #[test]
    fn default_elides_checks_of_small_offsets_only() {
        let tunables = Tunables::default();
        let needs_none = |offset, size| tunables.access_needs_no_check(shape(false, None), offset, size);
        assert!(needs_none(0, 16));
        assert!(needs_none((32 << 20) - 8, 8));
        assert!(!needs_none((32 << 20) - 8, 9));
        assert!(!needs_none(u64::MAX, 8));
        assert!(!tunables.access_needs_no_check(shape(true, None), 0, 1));
    }

    #[test]
    fn a_memory_that_ends_anywhere_is_always_checked_to_its_last_byte() {
        let tunables = Tunables::default();
        let bytes = MemoryShape { page_size_log2: 0, ..shape(false, None) };
        assert!(!tunables.access_needs_no_check(bytes, 0, 1));
        assert!(!tunables.guard_covers(bytes, 0, 1));
        assert!(tunables.guard_covers(shape(false, None), 0, 1));
        assert_eq!(MemoryShape { maximum_pages: Some(5), ..bytes }.maximum_bytes(), 5);
    }

    #[test]
    fn only_memories_that_can_outgrow_their_reservation_move() {
        let tunables = Tunables::default();
        assert!(!tunables.base_may_move(shape(false, None)));
        assert!(!tunables.base_may_move(shape(true, Some(65536))));
        assert!(tunables.base_may_move(shape(true, Some(65537))));
        assert!(tunables.base_may_move(shape(true, None)));
        assert!(!tunables.base_may_move(MemoryShape { shared: true, ..shape(true, Some(65537)) }));
        let pinned = Tunables { memory_may_move: false, ..tunables };
        assert!(!pinned.base_may_move(shape(true, None)));
    }
}
