//! The error of a heap of garbage-collected objects that is full.

use std::fmt;

/// There was no room for an object, even after a collection, and the store's limits allow no larger heap.
///
/// Holds the host's value that was to be put into the store, if there was one:
///
/// ```
/// use hotfoot::{Engine, ExternRef, GcHeapOutOfMemory, Store, StoreLimits, StoreLimitsBuilder};
/// let mut store = Store::new(&Engine::default(), StoreLimitsBuilder::new().memory_size(0).build());
/// store.limiter(|limits| limits);
/// let error = ExternRef::new(&mut store, "a value").unwrap_err();
/// let error = error.downcast::<GcHeapOutOfMemory<&str>>().unwrap();
/// assert_eq!(error.into_inner(), "a value");
/// ```
pub struct GcHeapOutOfMemory<T> {
    value: T,
    bytes_needed: u64,
}

impl<T> GcHeapOutOfMemory<T> {
    pub(crate) fn new(value: T, bytes_needed: u64) -> GcHeapOutOfMemory<T> {
        GcHeapOutOfMemory { value, bytes_needed }
    }

    /// Size of the object that there was no room for.
    pub fn bytes_needed(&self) -> u64 {
        self.bytes_needed
    }

    /// The host's value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The host's value, and the error without it.
    pub fn take_inner(self) -> (T, GcHeapOutOfMemory<()>) {
        (self.value, GcHeapOutOfMemory { value: (), bytes_needed: self.bytes_needed })
    }
}

impl<T> fmt::Debug for GcHeapOutOfMemory<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GcHeapOutOfMemory").field("bytes_needed", &self.bytes_needed).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for GcHeapOutOfMemory<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the heap of garbage-collected objects is full: there is no room for {} bytes; raise the limit in the store's \
             ResourceLimiter or `Config::gc_heap_reservation`, or refer to fewer objects",
            self.bytes_needed
        )
    }
}

impl<T> std::error::Error for GcHeapOutOfMemory<T> {}
