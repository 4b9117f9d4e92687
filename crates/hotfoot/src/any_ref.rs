//! Values of a guest's own: structs, arrays, small integers.

/// A value of the `any` hierarchy, as the host sees it: an `anyref`. Lives in a store; handles are [`Rooted`](crate::Rooted).
#[derive(Debug)]
pub struct AnyRef(());
