//! The host's page size.

use std::sync::OnceLock;

/// Bytes of a page of the host, a power of two.
pub fn size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(rustix::param::page_size)
}

/// Rounds up to whole pages, or `None` when that does not fit the address space.
pub fn round_up(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(size())
}

/// How many bytes of address space this process may have, if there is a limit (`ulimit -v`).
pub fn address_space_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}
