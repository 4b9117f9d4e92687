//! Traps, as the API shows them.

/// Why a guest trapped. Found in an error with `error.downcast_ref::<Trap>()`.
///
/// ```
/// use hotfoot::{Engine, Instance, Module, Store, Trap};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func (export "f") unreachable))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let f = instance.get_typed_func::<(), ()>(&mut store, "f")?;
/// let error = f.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
/// # Ok(()) }
/// ```
pub use hotfoot_abi::trap::TrapCode as Trap;
