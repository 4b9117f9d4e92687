//! hotfoot, by the names that `observe.rs` and `values.rs` use; `fuzz/src/peer.rs` is the same of the peer.

pub use hotfoot::*;

/// What a host function returns to throw an exception.
///
/// # Errors
/// Always.
pub fn throw<T: 'static>(caller: &mut Caller<'_, T>, tag: Tag, fields: &[Val]) -> Result<()> {
    Err(ThrownException::new(&mut *caller, &tag, fields)?.into())
}

/// The exception that a call ended with, if it did: its tag and its values.
pub fn thrown<T: 'static>(store: &mut Store<T>, error: &Error) -> Option<(Tag, Vec<Val>)> {
    let exception = error.downcast_ref::<ThrownException>()?;
    Some((exception.tag(&mut *store).ok()?, exception.fields(store).ok()?.collect()))
}
