//! The seam for whoever waits for a compilation: how much there is to do, and how much is done.

/// Is told how far a compilation is, by the threads that compile and while they do; so it should answer quickly.
///
/// `()` is an observer that does not care.
pub trait Observer: Sync {
    /// The functions of a module begin to be compiled: how many, and the bytes of all their bodies.
    fn begin(&self, functions: usize, body_bytes: u64);

    /// One more function is compiled, whose body has so many bytes.
    fn advance(&self, body_bytes: u64);
}

impl Observer for () {
    fn begin(&self, _functions: usize, _body_bytes: u64) {}
    fn advance(&self, _body_bytes: u64) {}
}
