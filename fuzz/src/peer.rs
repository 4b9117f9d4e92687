//! Wasmtime, and the same program compiled for it.

#[path = "../../crates/testing/tests/differential/observe.rs"]
pub mod observe;
#[path = "../../crates/testing/tests/differential/values.rs"]
pub mod values;

/// Wasmtime, by the names that `observe.rs` and `values.rs` use.
pub mod engine {
    pub use wasmtime::*;

    /// What a host function returns to throw an exception.
    pub fn throw<T: 'static>(caller: &mut Caller<'_, T>, tag: Tag, fields: &[Val]) -> Result<()> {
        let ty = ExnType::from_tag_type(&tag.ty(&*caller))?;
        let pre = ExnRefPre::new(&mut *caller, ty);
        let exception = ExnRef::new(&mut *caller, &pre, &tag, fields)?;
        caller.as_context_mut().throw(exception)
    }

    /// The exception that a call ended with, if it did: its tag and its values.
    pub fn thrown<T: 'static>(store: &mut Store<T>, error: &Error) -> Option<(Tag, Vec<Val>)> {
        error.downcast_ref::<ThrownException>()?;
        let exception = store.take_pending_exception()?;
        let tag = exception.tag(&mut *store).ok()?;
        let fields = exception.fields(&mut *store).ok()?.collect();
        Some((tag, fields))
    }
}

use wasmtime::{Config, Engine, OptLevel};

/// An engine of the peer; `canonical` makes all NaNs the same.
pub fn engine(optimised: bool, canonical: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(if optimised { OptLevel::Speed } else { OptLevel::None })
        .cranelift_nan_canonicalization(canonical)
        .relaxed_simd_deterministic(true)
        .wasm_gc(true)
        .wasm_function_references(true)
        .wasm_exceptions(true)
        .wasm_tail_call(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_extended_const(true)
        .wasm_threads(true)
        .shared_memory(true)
        .wasm_wide_arithmetic(true)
        .wasm_custom_page_sizes(true);
    Engine::new(&config)
}
