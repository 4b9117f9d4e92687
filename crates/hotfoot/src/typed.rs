//! Functions whose types are Rust types.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;

use crate::engine::Engine;
use crate::externs::check_store;
use crate::func::Func;
use crate::store::AsContextMut;
use crate::vm::call::{self, TypedCall, TypedHandle};
use crate::vm::convert::{WasmParams, WasmResults, WasmRet, WasmTy, for_each_arity};
use crate::vm::fiber;
use crate::vm::hostcall::{self, AnyHostFunc, Caller};

/// A function of a known type; see [`Func::typed`].
pub struct TypedFunc<Params, Results> {
    func: Func,
    handle: TypedHandle<Params, Results>,
}

impl<Params, Results> Copy for TypedFunc<Params, Results> {}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Params, Results> fmt::Debug for TypedFunc<Params, Results> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("TypedFunc").field(&self.func).finish()
    }
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    pub(crate) fn from_parts(func: Func, handle: TypedHandle<Params, Results>) -> Self {
        TypedFunc { func, handle }
    }

    /// The function without its Rust type.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls the function.
    ///
    /// # Errors
    /// When the guest traps ([`Trap`](crate::Trap)), or when a host function that it called fails, with that
    /// function's error.
    ///
    /// # Panics
    /// When a host function that it called panicked, with that panic.
    pub fn call(&self, mut store: impl AsContextMut, params: Params) -> Result<Results> {
        let mut store = store.as_context_mut();
        check_store(self.func.store_id(), store.vm());
        call::call_typed(store, self.handle, params)
    }

    /// Calls the function; host functions that it calls may wait, and it may yield at deadlines. A future that is dropped
    /// before it is done stops the guest.
    ///
    /// # Errors
    /// As [`TypedFunc::call`].
    ///
    /// # Panics
    /// As [`TypedFunc::call`].
    #[inline]
    pub fn call_async<T: Send + 'static>(
        &self,
        store: impl AsContextMut<Data = T>,
        params: Params,
    ) -> impl Future<Output = Result<Results>> {
        fiber::call(store, TypedCall::new(self.func.store_id(), self.handle, params))
    }
}

/// Closures that can be host functions: with up to sixteen parameters, and a [`Caller`] before them or not.
///
/// `Params` and `Results` only tell the implementations apart.
pub trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    /// The function, ready for any store of this engine whose data is a `T`.
    #[doc(hidden)]
    fn into_host_func(self, engine: &Engine) -> HostFuncHandle;
}

/// A host function that belongs to no store.
#[doc(hidden)]
pub type HostFuncHandle = Arc<AnyHostFunc>;

macro_rules! into_func {
    ($($A:ident)*) => {
        #[allow(non_snake_case)]
        impl<T: 'static, F, $($A: WasmTy,)* R: WasmRet> IntoFunc<T, ($($A,)*), R> for F
        where
            F: Fn($($A),*) -> R + Send + Sync + 'static,
        {
            fn into_host_func(self, engine: &Engine) -> HostFuncHandle {
                hostcall::typed::<T, ($($A,)*), R, _>(engine, move |_, ($($A,)*)| self($($A),*))
            }
        }

        #[allow(non_snake_case)]
        impl<T: 'static, F, $($A: WasmTy,)* R: WasmRet> IntoFunc<T, (Caller<'_, T>, $($A,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($A),*) -> R + Send + Sync + 'static,
        {
            fn into_host_func(self, engine: &Engine) -> HostFuncHandle {
                hostcall::typed::<T, ($($A,)*), R, _>(engine, move |caller, ($($A,)*)| self(caller, $($A),*))
            }
        }
    };
}

for_each_arity!(into_func);
