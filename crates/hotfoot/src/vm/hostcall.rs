//! Wasm → host: host functions as compiled code calls them.
//!
//! A host function is one reference-counted block that begins with the context compiled code passes as callee:
//!
//! ```text
//!  HostFunc<F>   ┌ VmHostContext { magic, host: thunk::<F> } ┐
//!                │ type                                      │
//!                └ F: the closure                            ┘
//! ```
//!
//! The block belongs to no store: the same one serves every store whose data is a `T`. The store is found through the
//! caller's context, so importing a host function costs a copy of 32 bytes.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::Result;
use hotfoot_abi::vmctx::{HOST_MAGIC, VmContext, VmFuncRef, VmHostContext};
use hotfoot_artifact as artifact;

use super::activation;
use super::border;
use super::context::StoreContextMut;
use super::convert::{WasmParams, WasmRet};
use super::fiber;
use super::slot::Slot;
use super::store::VmStore;
use super::trap::Pending;
use crate::engine::Engine;
use crate::types::FuncType;
use crate::value::Val;

/// See the module's documentation.
#[repr(C)]
pub struct HostFunc<F: ?Sized> {
    context: VmHostContext,
    ty: FuncType,
    func: F,
}

/// A host function of any closure type.
pub type AnyHostFunc = HostFunc<dyn Any + Send + Sync>;

// SAFETY: S10, the context is constant and the closure is `Send`.
unsafe impl<F: Send + ?Sized> Send for HostFunc<F> {}
// SAFETY: S10, the context is constant and the closure is `Sync`.
unsafe impl<F: Sync + ?Sized> Sync for HostFunc<F> {}

impl<F: ?Sized> fmt::Debug for HostFunc<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HostFunc").field("ty", &self.ty).finish_non_exhaustive()
    }
}

impl AnyHostFunc {
    /// Its type.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Its type's number in the engine.
    pub fn type_id(&self) -> u32 {
        self.ty.number()
    }

    /// The function as a value, called from wasm through the trampoline at `code`.
    pub(super) fn reference(&self, code: *const u8) -> VmFuncRef {
        VmFuncRef {
            code,
            vmctx: (&raw const self.context).cast_mut().cast(),
            entry: std::ptr::null(),
            type_id: self.type_id(),
            reserved: 0,
        }
    }
}

/// What `VmHostContext::host` points to: given the block, the caller's context, and the values.
type Thunk = unsafe extern "C" fn(*const VmHostContext, NonNull<VmContext>, *mut Slot, usize) -> u8;

/// What a host function knows about its call: the calling store, and the instance that called.
pub struct Caller<'a, T: 'static> {
    pub(crate) store: StoreContextMut<'a, T>,
    /// The calling instance's number; none when the host called.
    pub(crate) instance: Option<u32>,
}

impl<T: 'static> Caller<'_, T> {
    /// # Safety
    /// As [`StoreContextMut::from_caller`].
    unsafe fn new(context: NonNull<VmContext>) -> Self {
        // SAFETY: S1, S10, by the caller's promise.
        let (store, context) = unsafe { (StoreContextMut::from_caller(context), context.as_ref()) };
        let instance = (!activation::is_host_context(context)).then_some(context.instance);
        Caller { store, instance }
    }
}

fn new_block<F: Send + Sync + 'static>(ty: FuncType, host: *const u8, func: F) -> Arc<AnyHostFunc> {
    Arc::new(HostFunc { context: VmHostContext { magic: HOST_MAGIC, reserved: 0, host }, ty, func })
}

/// A host function from a closure whose Rust type says the function type.
pub fn typed<T, P, R, F>(engine: &Engine, func: F) -> Arc<AnyHostFunc>
where
    T: 'static,
    P: WasmParams,
    R: WasmRet,
    F: Fn(Caller<'_, T>, P) -> R + Send + Sync + 'static,
{
    let ty = FuncType::from_raw(engine, artifact::FuncType { params: P::valtypes(), results: R::valtypes() });
    new_block(ty, typed_thunk::<T, P, R, F> as *const u8, func)
}

/// What a host function that may wait returns: its results, or that the call ended before.
struct Awaited<R>(Result<R>);

// SAFETY: S7, as the results; nothing is written for an error.
unsafe impl<R: WasmRet> WasmRet for Awaited<R> {
    fn valtypes() -> Vec<artifact::ValType> {
        R::valtypes()
    }

    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { self.0?.store(store, slots) }
    }
}

/// A host function from a closure that makes futures.
pub fn typed_async<T, P, R, F>(engine: &Engine, func: F) -> Arc<AnyHostFunc>
where
    T: 'static,
    P: WasmParams,
    R: WasmRet,
    F: for<'a> Fn(Caller<'a, T>, P) -> Box<dyn Future<Output = R> + Send + 'a> + Send + Sync + 'static,
{
    engine.stacks().want();
    typed(engine, move |caller: Caller<'_, T>, params: P| {
        let store = caller.store.pointer();
        let mut future = Pin::from(func(caller, params));
        // SAFETY: S2, the borrow went into the future; S15, the stack holds the closure and the future, which can be sent.
        Awaited(unsafe { fiber::block_on(store, future.as_mut()) })
    })
}

/// A host function from a type and a closure that makes futures over values.
pub fn untyped_async<T, F>(engine: &Engine, ty: FuncType, func: F) -> Arc<AnyHostFunc>
where
    T: 'static,
    F: for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> Box<dyn Future<Output = Result<()>> + Send + 'a>
        + Send
        + Sync
        + 'static,
{
    engine.stacks().want();
    untyped(ty, move |caller: Caller<'_, T>, params: &[Val], results: &mut [Val]| {
        let store = caller.store.pointer();
        let mut future = Pin::from(func(caller, params, results));
        // SAFETY: S2, S15: as in `typed_async`; values can be sent.
        unsafe { fiber::block_on(store, future.as_mut()) }?
    })
}

/// A host function from a type and a closure over values.
pub fn untyped<T, F>(ty: FuncType, func: F) -> Arc<AnyHostFunc>
where
    T: 'static,
    F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
{
    new_block(ty, untyped_thunk::<T, F> as *const u8, func)
}

/// What an [`observed`] host function holds.
struct Observed<O> {
    func: Arc<AnyHostFunc>,
    observer: O,
}

/// A host function that does what `func` does, and tells an observer before.
pub fn observed<T, O>(func: Arc<AnyHostFunc>, observer: O) -> Arc<AnyHostFunc>
where
    T: 'static,
    O: Fn(&mut Caller<'_, T>) + Send + Sync + 'static,
{
    let ty = func.ty().clone();
    new_block(ty, observed_thunk::<T, O> as *const u8, Observed { func, observer })
}

/// Runs the body of a thunk; an error or panic becomes pending, and the result tells the trampoline to unwind.
///
/// # Safety
/// S1, S2: `caller` is the context of the guest, or host, that called and now waits.
unsafe fn guard(caller: NonNull<VmContext>, body: impl FnOnce() -> Result<()>) -> u8 {
    // SAFETY: S1, a context's store pointer is never null.
    let store = unsafe { NonNull::new_unchecked(caller.as_ref().store.cast::<VmStore>()) };
    // SAFETY: S2, one field, and nobody else uses it now.
    unsafe { (*store.as_ptr()).host_was_seen = true };
    // SAFETY: S2, a short borrow.
    let scope = unsafe { store.as_ref().enter_scope() };
    // SAFETY: S1, S2: by the caller's promise; only raw pointers to the store are alive at the border.
    let outcome = catch_unwind(AssertUnwindSafe(|| unsafe {
        if (*store.as_ptr()).watches.any() {
            border::before_host(store)?;
        }
        let outcome = body();
        // Looked at again: the function may have changed what is wanted.
        if (*store.as_ptr()).watches.any() {
            return border::after_host(store, outcome);
        }
        outcome
    }));
    // SAFETY: S2, a short exclusive borrow; what the host function was given or made is no longer used.
    unsafe { (*store.as_ptr()).leave_scope(scope) };
    match outcome {
        Ok(Ok(())) => return 1,
        // SAFETY: S9, the trampoline recorded where the guest stands.
        Ok(Err(error)) => unsafe { VmStore::set_pending_host_error(store, error) },
        // SAFETY: S2, a short exclusive borrow.
        Err(panic) => unsafe { (*store.as_ptr()).set_pending(Pending::Panic(panic)) },
    }
    0
}

unsafe extern "C" fn typed_thunk<T, P, R, F>(
    callee: NonNull<HostFunc<F>>,
    caller: NonNull<VmContext>,
    slots: *mut Slot,
    _count: usize,
) -> u8
where
    T: 'static,
    P: WasmParams,
    R: WasmRet,
    F: Fn(Caller<'_, T>, P) -> R,
{
    // SAFETY: S3, the block lives as long as the stores that refer to it; S10, its store's data is a `T`; S7, the slots
    // hold the parameters of the function's type, which is what `P` says, and have room for the results.
    unsafe {
        guard(caller, || {
            let mut call = Caller::new(caller);
            let params = P::load(call.store.vm(), slots);
            let results = (callee.as_ref().func)(call, params);
            results.store(StoreContextMut::<T>::from_caller(caller).vm(), slots)
        })
    }
}

unsafe extern "C" fn observed_thunk<T, O>(
    callee: NonNull<HostFunc<Observed<O>>>,
    caller: NonNull<VmContext>,
    slots: *mut Slot,
    count: usize,
) -> u8
where
    T: 'static,
    O: Fn(&mut Caller<'_, T>),
{
    // SAFETY: S3, the block lives as long as the stores that refer to it, and holds the function that it stands for;
    // S10, both were made for a store whose data is a `T`; S7, both have one type, so the slots are right for both.
    unsafe {
        let observed = &callee.as_ref().func;
        let told = guard(caller, || {
            (observed.observer)(&mut Caller::new(caller));
            Ok(())
        });
        if told == 0 {
            return 0;
        }
        let context = &raw const observed.func.context;
        let thunk: Thunk = std::mem::transmute((*context).host);
        thunk(context, caller, slots, count)
    }
}

unsafe extern "C" fn untyped_thunk<T, F>(
    callee: NonNull<HostFunc<F>>,
    caller: NonNull<VmContext>,
    slots: *mut Slot,
    _count: usize,
) -> u8
where
    T: 'static,
    F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()>,
{
    // SAFETY: S3, S7, S10, as in `typed_thunk`; the parameters' types are those of the function type.
    unsafe {
        guard(caller, || {
            let block = callee.as_ref();
            let mut call = Caller::new(caller);
            let store = call.store.vm();
            let ty = block.ty.raw();
            let params = ty.params.iter().enumerate();
            let params: Vec<Val> = params.map(|(index, ty)| Val::from_slot(store, *slots.add(index), *ty)).collect();
            let mut results: Vec<Val> = ty.results.iter().map(|ty| Val::zero(*ty)).collect();
            (block.func)(call, &params, &mut results)?;
            let mut store = StoreContextMut::<T>::from_caller(caller);
            for (index, (value, ty)) in results.iter().zip(&ty.results).enumerate() {
                anyhow::ensure!(
                    value.matches(store.vm(), *ty),
                    "a host function returned a value of another type than it declares: result {index} is {value:?}, expected {ty}"
                );
                slots.add(index).write(value.to_slot(store.vm())?);
            }
            Ok(())
        })
    }
}
