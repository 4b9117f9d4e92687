//! Functions: of guests, and of the host.

use anyhow::Result;

use crate::externs::{Extern, check_store};
use crate::instance::Instance;
use crate::store::{AsContext, AsContextMut};
use crate::typed::{IntoFunc, TypedFunc};
use crate::types::FuncType;
use crate::value::Val;
use crate::vm::call::{self, TypedHandle};
use crate::vm::convert::{WasmParams, WasmResults, WasmRet};
use crate::vm::fiber;
use crate::vm::hostcall::{self, Caller};
use crate::vm::store::{FuncPtr, StoreId, VmStore};

/// A function in a store.
#[derive(Copy, Clone, Debug)]
pub struct Func {
    store: StoreId,
    pointer: FuncPtr,
}

impl Func {
    /// A host function of a type that is known only at run time.
    ///
    /// ```
    /// use hotfoot::{Engine, Func, FuncType, Store, Val, ValType};
    /// # fn main() -> hotfoot::Result<()> {
    /// let engine = Engine::default();
    /// let mut store = Store::new(&engine, ());
    /// let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    /// let double = Func::new(&mut store, ty, |_caller, params, results| {
    ///     results[0] = Val::I32(params[0].unwrap_i32() * 2);
    ///     Ok(())
    /// });
    /// let mut results = [Val::I32(0)];
    /// double.call(&mut store, &[Val::I32(21)], &mut results)?;
    /// assert_eq!(results[0].i32(), Some(42));
    /// # Ok(()) }
    /// ```
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        let mut store = store.as_context_mut();
        let ty = ty.adopted_by(store.engine());
        let pointer = store.vm().new_host_func(hostcall::untyped(ty, func));
        Func { store: store.vm().id(), pointer }
    }

    /// A host function from a closure; its parameters and results say the type.
    ///
    /// The first parameter may be a [`Caller`]; a result may be a [`Result`], whose error traps the guest and comes
    /// back to whoever called it.
    pub fn wrap<T: 'static, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Func {
        let mut store = store.as_context_mut();
        let func = func.into_host_func(store.engine());
        let pointer = store.vm().new_host_func(func);
        Func { store: store.vm().id(), pointer }
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = store.as_context();
        FuncType::from_number(store.engine().types(), self.type_number(store.vm()))
    }

    /// Calls the function.
    ///
    /// # Errors
    /// When the values do not fit the type, when the guest traps ([`Trap`](crate::Trap)), or when a host function that
    /// it called fails, with that function's error.
    ///
    /// # Panics
    /// When a host function that it called panicked, with that panic.
    pub fn call(&self, mut store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        call::call_values(store, self.pointer, params, results)
    }

    /// A host function that may wait, of a type that is known only at run time; see [`Func::wrap_async`].
    pub fn new_async<T: Send + 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Func {
        let mut store = store.as_context_mut();
        let ty = ty.adopted_by(store.engine());
        let func = hostcall::untyped_async(store.engine(), ty, func);
        let pointer = store.vm().new_host_func(func);
        Func { store: store.vm().id(), pointer }
    }

    /// A host function that may wait: it gives a future, and the guest is suspended until that is done. Guests that call
    /// it must be called by [`Func::call_async`] or [`TypedFunc::call_async`].
    pub fn wrap_async<T: Send + 'static, Params: WasmParams, Results: WasmRet>(
        mut store: impl AsContextMut<Data = T>,
        func: impl for<'a> Fn(Caller<'a, T>, Params) -> Box<dyn Future<Output = Results> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> Func {
        let mut store = store.as_context_mut();
        let func = hostcall::typed_async(store.engine(), func);
        let pointer = store.vm().new_host_func(func);
        Func { store: store.vm().id(), pointer }
    }

    /// Calls the function; host functions that it calls may wait, and it may yield at deadlines. A future that is dropped
    /// before it is done stops the guest.
    ///
    /// # Errors
    /// As [`Func::call`].
    ///
    /// # Panics
    /// As [`Func::call`].
    pub async fn call_async<T: Send + 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let store = store.as_context_mut();
        fiber::run(store, |store| self.call(store, params, results)).await
    }

    /// The function as one of a Rust type, which makes calls fast.
    ///
    /// # Errors
    /// When its type is another.
    pub fn typed<Params, Results>(&self, store: impl AsContext) -> Result<TypedFunc<Params, Results>>
    where
        Params: WasmParams,
        Results: WasmResults,
    {
        let store = store.as_context();
        check_store(self.store, store.vm());
        let handle = TypedHandle::new(self.pointer, store.engine(), self.type_number(store.vm()))?;
        Ok(TypedFunc::from_parts(*self, handle))
    }

    /// The engine's number of its type.
    pub(crate) fn type_number(&self, store: &VmStore) -> u32 {
        check_store(self.store, store);
        store.func_type_id(self.pointer)
    }

    #[inline]
    pub(crate) fn from_parts(store: StoreId, pointer: FuncPtr) -> Func {
        Func { store, pointer }
    }

    #[inline]
    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    #[inline]
    pub(crate) fn pointer(&self) -> FuncPtr {
        self.pointer
    }
}

impl<T: 'static> Caller<'_, T> {
    /// The host's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The host's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The store's engine.
    pub fn engine(&self) -> &crate::Engine {
        self.store.engine()
    }

    /// An export of the instance that called; `None` also when the host called.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let instance = self.instance?;
        Instance::from_parts(self.store.vm().id(), instance).export_in(self.store.vm(), name)
    }
}
