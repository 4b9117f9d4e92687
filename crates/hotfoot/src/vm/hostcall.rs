//! Wasm → host: host functions as compiled code calls them.
//!
//! A host function is one reference-counted block that begins with the context compiled code passes as callee:
//!
//! ```text
//!  HostFunc<F>   ┌ VmHostContext { magic, host, native } ┐
//!                │ type                                  │
//!                └ F: the closure                        ┘
//! ```
//!
//! There are two ways to call it. `host` is a thunk that takes its values in slots: for the trampoline of its type, and
//! for the host. `native`, where the closure's Rust type says the values' types and they fit, takes them in registers as
//! the guest passes them; the guest calls it by way of `arch::host_entry`, and no trampoline is needed.
//!
//! The block belongs to no store: the same one serves every store whose data is a `T`. The store is found through the
//! caller's context, so importing a host function costs a copy of 32 bytes.

use std::any::Any;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use hotfoot_abi::vmctx::{HOST_MAGIC, VmContext, VmFuncRef, VmHostContext};
use hotfoot_artifact as artifact;

use super::activation;
use super::border;
use super::context::StoreContextMut;
use super::convert::{WasmParams, WasmRet};
use super::exception;
use super::fiber::{self, Asker};
use super::registers::{NativeResult, is_native};
use super::slot::Slot;
use super::store::VmStore;
use super::sys::arch;
use super::trap::Pending;
use crate::engine::Engine;
use crate::types::FuncType;
use crate::value::Val;

/// See the module's documentation.
#[repr(C)]
pub struct HostFunc<F: ?Sized> {
    context: VmHostContext,
    /// How a guest calls `native`; null if there is none.
    entry: *const u8,
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

    /// The function as a value, called from wasm through the trampoline at `code` if it needs one.
    pub(super) fn reference(&self, code: *const u8) -> VmFuncRef {
        VmFuncRef {
            code: if self.entry.is_null() { code } else { self.entry },
            vmctx: (&raw const self.context).cast_mut().cast(),
            entry: ptr::null(),
            type_id: self.type_id(),
            reserved: 0,
        }
    }
}

/// Whether guests of any module call this host function without a trampoline, as it is.
///
/// # Safety
/// S3: it is a host function, kept alive by a store.
pub(super) unsafe fn needs_no_trampoline(func: &VmFuncRef) -> bool {
    // SAFETY: S3, by the caller's promise.
    unsafe { !(*func.vmctx.cast::<VmHostContext>()).native.is_null() }
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

/// How a guest can call a host function without a trampoline.
struct Native {
    entry: *const u8,
    thunk: *const u8,
}

impl Native {
    const NONE: Native = Native { entry: ptr::null(), thunk: ptr::null() };
}

fn new_block<F: Send + Sync + 'static>(ty: FuncType, host: *const u8, native: Native, func: F) -> Arc<AnyHostFunc> {
    let context = VmHostContext { magic: HOST_MAGIC, reserved: 0, host, native: native.thunk };
    Arc::new(HostFunc { context, entry: native.entry, ty, func })
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
    let native = match P::SHAPE.stack_words {
        // Fuel is passed by trampolines only.
        Some(words) if is_native(P::SHAPE, R::RESULTS) && !engine.tunables().consume_fuel => {
            Native { entry: arch::host_entry_with_stack(words), thunk: P::thunk::<T, R, F>() }
        }
        _ => Native::NONE,
    };
    new_block(ty, typed_thunk::<T, P, R, F> as *const u8, native, func)
}

/// What a host function that may wait returns: its results, or that the call ended before.
struct Awaited<R>(Result<R>);

// SAFETY: S7, as the results; nothing is written for an error.
unsafe impl<R: WasmRet> WasmRet for Awaited<R> {
    const RESULTS: usize = R::RESULTS;

    type NativeResult = R::NativeResult;

    fn valtypes() -> Vec<artifact::ValType> {
        R::valtypes()
    }

    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { self.0?.store(store, slots) }
    }

    fn into_native_result(self, store: &VmStore) -> Result<R::NativeResult> {
        self.0?.into_native_result(store)
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
        Awaited(unsafe { fiber::block_on(store, future.as_mut(), Asker::HostFunction) })
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
        unsafe { fiber::block_on(store, future.as_mut(), Asker::HostFunction) }?
    })
}

/// A host function from a type and a closure over values.
pub fn untyped<T, F>(ty: FuncType, func: F) -> Arc<AnyHostFunc>
where
    T: 'static,
    F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
{
    new_block(ty, untyped_thunk::<T, F> as *const u8, Native::NONE, func)
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
    new_block(ty, observed_thunk::<T, O> as *const u8, Native::NONE, Observed { func, observer })
}

/// Runs the body of a thunk; an error or panic becomes pending, and the answer is false.
///
/// # Safety
/// S1, S2: `caller` is the context of the guest, or host, that called and now waits.
#[inline]
unsafe fn guard(caller: NonNull<VmContext>, body: impl FnOnce() -> Result<()>) -> bool {
    // SAFETY: S1, S2, by the caller's promise: short borrows, none while others run.
    unsafe {
        let store = store_of(caller);
        (*store.as_ptr()).host_was_seen = true;
        let scope = store.as_ref().enter_scope();
        if (*store.as_ptr()).watches.any() && !cross(store, scope) {
            return false;
        }
        let outcome = catch_unwind(AssertUnwindSafe(body));
        // Most calls leave nothing behind. The function may have changed what is watched.
        let is_settled = matches!(outcome, Ok(Ok(()))) && store.as_ref().enter_scope() == scope;
        is_settled && !(*store.as_ptr()).watches.any() || settle(store, scope, outcome)
    }
}

/// Tells whoever watches that the host is called; false if the guest is to be left.
///
/// # Safety
/// As [`guard`]: the caller's store; `scope` is that of the call.
#[cold]
#[inline(never)]
unsafe fn cross(store: NonNull<VmStore>, scope: usize) -> bool {
    // SAFETY: S1, S2: by the caller's promise; only raw pointers to the store are alive at the border.
    unsafe {
        let told = catch_unwind(AssertUnwindSafe(|| border::before_host(store)));
        end_call(store, scope, told)
    }
}

/// Ends a call of the host that somebody watches, that made handles, or that failed; false if the guest is to be left.
///
/// # Safety
/// As [`cross`].
#[cold]
#[inline(never)]
unsafe fn settle(store: NonNull<VmStore>, scope: usize, outcome: thread::Result<Result<()>>) -> bool {
    // SAFETY: S1, S2: by the caller's promise; only raw pointers to the store are alive at the border.
    unsafe {
        let outcome = match outcome {
            Ok(outcome) if (*store.as_ptr()).watches.any() => {
                catch_unwind(AssertUnwindSafe(|| border::after_host(store, outcome)))
            }
            outcome => outcome,
        };
        end_call(store, scope, outcome)
    }
}

/// Forgets the handles of a call, and keeps why it failed, if it did.
///
/// # Safety
/// As [`cross`].
unsafe fn end_call(store: NonNull<VmStore>, scope: usize, outcome: thread::Result<Result<()>>) -> bool {
    // SAFETY: S2, short exclusive borrows; what the host function was given or made is no longer used. S9, the trampoline
    // recorded where the guest stands.
    unsafe {
        (*store.as_ptr()).leave_scope(scope);
        match outcome {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => VmStore::set_pending_host_error(store, error),
            Err(panic) => (*store.as_ptr()).set_pending(Pending::Panic(panic)),
        }
    }
    false
}

/// Whether the store of a context watches the border.
///
/// # Safety
/// S1, S2: the context is alive, and nobody has borrowed the store.
#[inline(always)]
pub(super) unsafe fn is_watched(caller: NonNull<VmContext>) -> bool {
    // SAFETY: S1, S2, by the caller's promise.
    unsafe { (*store_of(caller).as_ptr()).watches.any() }
}

/// Calls a host function with what `load` makes of its arguments, for a store that does not watch the border; if it fails, the
/// guest that called is left. What is rare is done by functions that return where this would, so that this keeps no register for
/// them.
///
/// # Safety
/// S3, S10: as in [`typed_thunk`]. S7: `load` gives the parameters of the function's type. S8: called by a thunk that owns
/// nothing and that a guest called through `arch::host_entry`, which recorded where the guest stands.
#[inline(always)]
pub(super) unsafe fn call_native<T, P, R, F>(
    callee: NonNull<HostFunc<F>>,
    caller: NonNull<VmContext>,
    load: impl FnOnce(&mut VmStore) -> P,
) -> R::NativeResult
where
    T: 'static,
    R: WasmRet,
    F: Fn(Caller<'_, T>, P) -> R,
{
    // SAFETY: S1, S2, S3, S7, S8, S10: by the caller's promise; short borrows, none while the function runs.
    unsafe {
        let store = store_of(caller);
        (*store.as_ptr()).host_was_seen = true;
        let scope = store.as_ref().enter_scope();
        // Beside what catches panics: that packs what it returns, and reading a whole that was just written in parts stalls.
        let mut result = MaybeUninit::uninit();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut call = Caller::new(caller);
            let params = load(call.store.vm());
            let results = (callee.as_ref().func)(call, params);
            result.write(results.into_native_result(StoreContextMut::<T>::from_caller(caller).vm())?);
            Ok(())
        }));
        if !matches!(outcome, Ok(Ok(()))) {
            settle(store, scope, outcome);
            exception::raise(caller.as_ptr());
        }
        let result = result.assume_init();
        // The function may have made handles, or changed what is watched.
        if store.as_ref().enter_scope() != scope || is_watched(caller) {
            return settle_with(caller, scope, result);
        }
        result
    }
}

/// Ends a call that succeeded, and returns its result.
///
/// # Safety
/// As [`call_native`]; `scope` is that of the call.
#[cold]
#[inline(never)]
unsafe fn settle_with<R: NativeResult>(caller: NonNull<VmContext>, scope: usize, result: R) -> R {
    // SAFETY: S1, S2, S8: by the caller's promise.
    unsafe {
        if !settle(store_of(caller), scope, Ok(Ok(()))) {
            exception::raise(caller.as_ptr());
        }
    }
    result
}

/// Calls a host function with its arguments in slots, of which there is one more than that; if it fails, the guest that called is
/// left.
///
/// # Safety
/// S3: the context is that of a host function; S7, the slots hold its arguments. S8: as [`call_native`].
pub(super) unsafe fn call_slots<R: NativeResult>(
    callee: NonNull<VmHostContext>,
    caller: NonNull<VmContext>,
    slots: &mut [Slot],
) -> R {
    // SAFETY: S3, S7, S8, S10: by the caller's promise.
    unsafe {
        let thunk: Thunk = std::mem::transmute(callee.as_ref().host);
        if thunk(callee.as_ptr(), caller, slots.as_mut_ptr(), slots.len()) == 0 {
            exception::raise(caller.as_ptr());
        }
        R::load(slots.as_ptr())
    }
}

/// The store of a context.
///
/// # Safety
/// S1: the context is alive.
#[inline(always)]
unsafe fn store_of(caller: NonNull<VmContext>) -> NonNull<VmStore> {
    // SAFETY: S1, a context's store pointer is never null.
    unsafe { NonNull::new_unchecked(caller.as_ref().store.cast()) }
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
        .into()
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
        if !told {
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
            // One that calls this again meanwhile has another.
            let mut values = std::mem::take(&mut store.values);
            let params = ty.params.iter().enumerate();
            values.extend(params.map(|(index, ty)| Val::from_slot(store, *slots.add(index), *ty)));
            values.extend(ty.results.iter().map(|ty| Val::zero(*ty)));
            let (params, results) = values.split_at_mut(ty.params.len());
            (block.func)(call, params, results)?;
            let mut store = StoreContextMut::<T>::from_caller(caller);
            for (index, (value, ty)) in results.iter().zip(&ty.results).enumerate() {
                anyhow::ensure!(
                    value.matches(store.vm(), *ty),
                    "a host function returned a value of another type than it declares: result {index} is {value:?}, expected {ty}"
                );
                slots.add(index).write(value.to_slot(store.vm())?);
            }
            values.clear();
            store.vm().values = values;
            Ok(())
        })
        .into()
    }
}
