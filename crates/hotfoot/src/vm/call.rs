//! Host → wasm: calling a function of a store, with values whose types were checked.
//!
//! [`call_values`] checks each value against the function's type, and passes them in an array of slots. [`call_typed`]
//! relies on a check that was made once ([`TypedHandle::new`]), and passes them in registers where it can.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Poll;

use anyhow::{Result, ensure};
use hotfoot_abi::vmctx::{VmContext, VmFuncRef, VmHostContext};
use hotfoot_artifact::{RefType, ValType};

use super::activation::{self, Activation, Kind};
use super::context::StoreContextMut;
use super::convert::{WasmParams, WasmResults};
use super::fiber::{self, Fiber, Hosted, Run};
use super::gc::holds_objects;
use super::growth;
use super::instance::ImportValue;
use super::pre::Member;
use super::registers::is_native;
use super::slot::Slot;
use super::snapshot::Snapshot;
use super::store::{FuncPtr, GlobalPtr, StoreId, VmStore};
use super::sys::arch;
use super::trap::Pending;
use crate::engine::Engine;
use crate::externs::check_store;
use crate::module::Module;
use crate::value::Val;

/// Slots of a typed call, which cannot have more.
const INLINE_SLOTS: usize = 16;
/// Slots on the stack, of calls with values; those with more use the heap.
const FEW_SLOTS: usize = 8;

type Host = unsafe extern "C" fn(*mut VmHostContext, *mut VmContext, *mut Slot, usize) -> u8;

/// Calls `func` with its arguments in `slots`, as the host.
///
/// # Safety
/// S1, S2: `store` is `func`'s store, and no Rust reference into it is alive. S7: the slots hold the arguments and have
/// room for the results.
unsafe fn call_slots(store: NonNull<VmStore>, func: FuncPtr, slots: *mut Slot, count: usize) -> Result<()> {
    // SAFETY: S1, S2, S7: by the caller's promise.
    unsafe { call_slots_from(VmStore::host_context(store), store, func, slots, count) }
}

/// As [`call_slots`]; a function of the host's sees `caller` as who called it.
///
/// # Safety
/// As [`call_slots`]; S1: `caller` belongs to the store.
unsafe fn call_slots_from(
    caller: *mut VmContext,
    store: NonNull<VmStore>,
    func: FuncPtr,
    slots: *mut Slot,
    count: usize,
) -> Result<()> {
    // SAFETY: S3, a function reference lives as long as its store.
    let func = unsafe { func.as_non_null().read() };
    if !func.entry.is_null() {
        // SAFETY: S1, S2, S7: by the caller's promise; a wasm function's entry is its type's trampoline.
        return unsafe {
            let run = |link| {
                arch::enter(func.entry, func.vmctx, VmStore::host_context(store), func.code, slots.cast(), link);
                Some(())
            };
            activation::enter(store, run, |()| ())
        };
    }
    let callee: *mut VmHostContext = func.vmctx.cast();
    // SAFETY: S3, without an entry it is a host function, kept alive by its store; S10, its thunk is of this store's
    // data type.
    unsafe {
        let host: Host = std::mem::transmute((*callee).host);
        match fiber::host_call(|| host(callee, caller, slots, count)) {
            0 => {
                let pending = (*store.as_ptr()).take_pending();
                Err(pending.into_error(store.as_ref()))
            }
            _ => Ok(()),
        }
    }
}

/// Calls a function with checked values.
///
/// # Errors
/// When the values do not fit the function's type, when it traps, or when a host function below it fails.
pub fn call_values<T>(
    mut store: StoreContextMut<'_, T>,
    func: FuncPtr,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let ty = store.types().get(store.vm().func_type_id(func)).func();
    let (num_params, num_results) = (ty.params.len(), ty.results.len());
    ensure!(params.len() == num_params, "expected {num_params} arguments, got {}", params.len());
    ensure!(results.len() == num_results, "expected room for {num_results} results, got {}", results.len());
    let count = num_params.max(num_results);
    let (mut few, mut many) = ([Slot::default(); FEW_SLOTS], Vec::new());
    let slots = match few.get_mut(..count) {
        Some(slots) => slots,
        None => {
            many.resize(count, Slot::default());
            &mut many[..]
        }
    };
    for (index, (value, ty)) in params.iter().zip(&ty.params).enumerate() {
        ensure!(value.matches(store.vm(), *ty), "argument {index} has the wrong type: {value:?}, expected {ty}");
        slots[index] = value.to_slot(store.vm())?;
    }
    // SAFETY: S2, only a raw pointer to the store is alive; S7, the arguments were checked against the type.
    unsafe { call_slots(store.pointer(), func, slots.as_mut_ptr(), count) }?;
    for ((result, ty), slot) in results.iter_mut().zip(&ty.results).zip(slots.iter().copied()) {
        // SAFETY: S7, the callee left a value of this type.
        *result = unsafe { Val::from_slot(store.vm(), slot, *ty) };
    }
    Ok(())
}

/// A function whose type was compared with `P` and `R`.
pub struct TypedHandle<P, R> {
    func: FuncPtr,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Copy for TypedHandle<P, R> {}

impl<P, R> Clone for TypedHandle<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: WasmParams, R: WasmResults> TypedHandle<P, R> {
    /// Compares the types.
    ///
    /// # Errors
    /// When values of the Rust types are not always what the function takes, or what it returns is not always what
    /// they stand for, with both.
    pub fn new(func: FuncPtr, engine: &Engine, type_id: u32) -> Result<Self> {
        let ty = engine.types().get(type_id).func();
        let is_subtype = |sub, sup| engine.types().is_subtype(sub, sup);
        let fits = P::matches(&ty.params, |own, asked| own.matches(asked, is_subtype))
            && R::matches(&ty.results, |own, given| given.matches(own, is_subtype));
        let list = |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        ensure!(
            fits,
            "the function has the type {ty}, but was asked for as (param {}) (result {})",
            list(P::valtypes()),
            list(R::valtypes())
        );
        Ok(TypedHandle { func, types: PhantomData })
    }

    /// Whether the function is a guest's that can be called without a trampoline.
    #[inline]
    fn is_native(self, store: &VmStore) -> bool {
        // SAFETY: S3, a function reference lives as long as its store, which is borrowed.
        let is_guest = || unsafe { !self.func.as_non_null().as_ref().entry.is_null() };
        // Fuel is passed by trampolines only.
        let fits = const { is_native(P::SHAPE, R::COUNT) };
        fits && is_guest() && !store.consumes_fuel()
    }

    /// Calls it; nothing if an argument does not fit, which is pending then.
    ///
    /// # Safety
    /// As [`WasmParams::call_in_registers`]; S2: nobody else uses the store.
    #[inline]
    unsafe fn enter(
        self,
        store: NonNull<VmStore>,
        params: P,
        link: *mut Activation,
        enter: unsafe extern "C" fn(*const VmFuncRef, *mut Activation),
    ) -> Option<R::Native> {
        // SAFETY: S2, S7, S8, by the caller's promise; short borrows, none while the guest runs.
        unsafe {
            let func = self.func.as_non_null().as_ptr();
            let entered = params.call_in_registers::<R>(store.as_ref(), func, link, enter);
            entered.map_err(|error| (*store.as_ptr()).set_pending(Pending::Error(error, Vec::new()))).ok()
        }
    }
}

/// A call of a function whose type was checked before, that may run on a fiber.
pub struct TypedCall<P, R> {
    handle: TypedHandle<P, R>,
    params: P,
    store: StoreId,
}

impl<P: WasmParams, R: WasmResults> TypedCall<P, R> {
    /// Of a function of this store.
    pub fn new(store: StoreId, handle: TypedHandle<P, R>, params: P) -> TypedCall<P, R> {
        TypedCall { handle, params, store }
    }
}

// A guest that can be called without a trampoline is entered on the fiber's stack as on any other: nothing else is on it. So one
// that is not suspended costs hardly more than on its caller's stack.
impl<T: 'static, P: WasmParams, R: WasmResults> Run<T> for TypedCall<P, R> {
    type Output = R;

    #[inline]
    fn run(self, mut store: StoreContextMut<'_, T>) -> Result<R> {
        check_store(self.store, store.vm());
        call_typed(store, self.handle, self.params)
    }

    #[inline]
    unsafe fn start(self, mut store: StoreContextMut<'_, T>, fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
        check_store(self.store, store.vm());
        if !self.handle.is_native(store.vm()) {
            let call = Hosted(move |store: StoreContextMut<'_, T>| call_typed(store, self.handle, self.params));
            // SAFETY: S2, S15, by the caller's promise.
            return unsafe { call.start(store, fiber) };
        }
        let (link, store) = (fiber::first_link(fiber), store.pointer());
        // SAFETY: S1, S2, S7, S9, S15: as in `call_typed`, with the upper end of a stack that nobody uses.
        unsafe {
            if let Err(error) = activation::prepare(store) {
                return Poll::Ready(Err(error));
            }
            activation::begin(link, store, Kind::FiberOfGuest);
            let enter = const { arch::enter_on_fiber(P::SHAPE.words()) };
            let native = self.handle.enter(store, self.params, link, enter);
            end_of_poll(fiber, native)
        }
    }

    unsafe fn go_on(fiber: &mut Option<Fiber<R>>) -> Poll<Result<R>> {
        let link = fiber::first_link(fiber);
        // SAFETY: S7, S15, by the caller's promise: the guest returns by this switch, or is suspended again.
        unsafe {
            if (*link).kind() != Kind::FiberOfGuest {
                return fiber::go_on_hosted(fiber);
            }
            let switch: unsafe extern "C" fn(*mut usize) -> R::Native =
                std::mem::transmute(arch::switch_stacks as unsafe extern "C" fn(*mut usize));
            let native = switch(Activation::other_stack(link));
            end_of_poll(fiber, Some(native))
        }
    }
}

/// What comes of a guest on a fiber of its own, that has ended or was suspended. The stack is given back before the result is made,
/// so that this is written where it stays.
///
/// # Safety
/// S15: it is of these types, and was entered or continued just now.
#[inline]
unsafe fn end_of_poll<R: WasmResults>(fiber: &mut Option<Fiber<R>>, native: Option<R::Native>) -> Poll<Result<R>> {
    // SAFETY: S1, S2, S9, S15: by the caller's promise.
    unsafe {
        let store = (*fiber::first_link(fiber)).store();
        let Some(end) = fiber::stop(fiber) else { return Poll::Pending };
        *fiber = None;
        Poll::Ready(activation::conclude(store, end, native, |native| R::from_native(&mut *store.as_ptr(), native)))
    }
}

/// Calls a function whose type was checked before.
///
/// # Errors
/// When it traps, or when a host function below it fails.
pub fn call_typed<T, P: WasmParams, R: WasmResults>(
    mut store: StoreContextMut<'_, T>,
    handle: TypedHandle<P, R>,
    params: P,
) -> Result<R> {
    if handle.is_native(store.vm()) {
        let store = store.pointer();
        // SAFETY: S1, S2, only a raw pointer to the store is alive but for short borrows; S7, the types were compared when
        // the handle was made.
        return unsafe {
            let enter = const { arch::enter_with_stack(P::SHAPE.words()) };
            let run = |link| handle.enter(store, params, link, enter);
            activation::enter(store, run, |result| R::from_native(&mut *store.as_ptr(), result))
        };
    }
    const { assert!(P::COUNT <= INLINE_SLOTS && R::COUNT <= INLINE_SLOTS) };
    let mut slots = [const { MaybeUninit::<Slot>::uninit() }; INLINE_SLOTS];
    let pointer: *mut Slot = slots.as_mut_ptr().cast();
    let count = P::COUNT.max(R::COUNT);
    // SAFETY: S7, the slots hold as many values as either side has (asserted above), of the types that were compared
    // when the handle was made; S2, only a raw pointer to the store is alive during the call.
    unsafe {
        params.store(store.vm(), pointer)?;
        call_slots(store.pointer(), handle.func, pointer, count)?;
        Ok(R::load(store.vm(), pointer))
    }
}

/// Makes an instance and runs its start function.
///
/// `imports` must be of this store and of the types that the module's imports ask for, in their order;
/// [`crate::linker`] is the only caller and compares them.
///
/// # Errors
/// When limits or the host refuse, a segment does not fit, or the start function traps.
pub fn instantiate<T>(mut store: StoreContextMut<'_, T>, module: &Module, imports: &[ImportValue]) -> Result<u32> {
    growth::check_module(store.reborrow(), module)?;
    // SAFETY: S7, S10: the linker compared types and stores.
    let number = unsafe { store.vm().instantiate(module, imports)? };
    run_start(store, number)?;
    Ok(number)
}

/// Makes a pooled instance what it was when it had just been made.
///
/// # Errors
/// When it is not pooled or a guest of the store is on the stack, and as [`instantiate`].
pub fn reset<T>(mut store: StoreContextMut<'_, T>, number: u32) -> Result<()> {
    match store.vm().reset_instance(number)? {
        true => run_start(store, number),
        false => Ok(()),
    }
}

/// Captures an instance between calls; what it is made of comes with it.
///
/// # Errors
/// When something of its state cannot be captured; the error names it.
pub fn capture<T>(mut store: StoreContextMut<'_, T>, number: u32) -> Result<(Snapshot, Arc<[Member]>)> {
    store.vm().capture(number)
}

/// Runs the start function of an instance, if it has one.
pub(super) fn run_start<T>(mut store: StoreContextMut<'_, T>, number: u32) -> Result<()> {
    let start = store.vm().instance(number).module().info().start;
    if let Some(start) = start
        && let Some(func) = store.vm().instance(number).func(start)
    {
        let caller = store.vm().instance(number).context().as_ptr();
        let slots = NonNull::<Slot>::dangling().as_ptr();
        // SAFETY: S2, only raw pointers into the store are alive; S7, a start function takes and returns nothing.
        unsafe { call_slots_from(caller, store.pointer(), func, slots, 0) }?;
    }
    Ok(())
}

impl VmStore {
    /// The engine-wide number of a function's type.
    pub fn func_type_id(&self, func: FuncPtr) -> u32 {
        // SAFETY: S3, a function reference lives as long as its store, which is borrowed.
        unsafe { func.as_non_null().as_ref().type_id }
    }

    /// The value of a global of this type.
    pub fn global_get(&mut self, global: GlobalPtr, ty: ValType) -> Val {
        // SAFETY: S3, the global lives as long as its store, which is borrowed; S7, it holds a value of its type.
        unsafe {
            let slot = Slot::from_bytes(global.as_non_null().as_ref().bytes);
            Val::from_slot(self, slot, ty)
        }
    }

    /// Sets a global to a value that the caller compared with its type.
    pub fn global_set(&mut self, global: GlobalPtr, value: &Val) -> Result<()> {
        let bytes = value.to_slot(self)?.bytes();
        // SAFETY: S3, the global lives as long as its store, which is borrowed exclusively.
        unsafe { (*global.as_non_null().as_ptr()).bytes = bytes };
        Ok(())
    }

    /// A new global of the host's with a value that the caller compared with its type.
    pub fn global_new(&mut self, ty: ValType, value: &Val) -> Result<GlobalPtr> {
        let bytes = value.to_slot(self)?.bytes();
        Ok(self.new_global(bytes, holds_objects(ty)))
    }

    /// An element of a table, as a value.
    pub fn table_get(&mut self, table: u32, index: u64) -> Option<Val> {
        let element = self.table(table).get(index)?;
        let ty = ValType::Ref(self.table(table).ty().element);
        // SAFETY: S7, an element is of its table's type.
        Some(unsafe { Val::from_slot(self, Slot::from_u64(element), ty) })
    }

    /// Sets an element; false when there is none at this index.
    pub fn table_set(&mut self, table: u32, index: u64, value: &Val) -> Result<bool> {
        let element = self.checked_element(self.table(table).ty().element, value)?;
        // SAFETY: S7, compared just now.
        Ok(unsafe { self.tables[table as usize].set(index, element) })
    }

    /// Fills a part of a table; false when some of it is outside.
    pub fn table_fill(&mut self, table: u32, start: u64, value: &Val, len: u64) -> Result<bool> {
        let element = self.checked_element(self.table(table).ty().element, value)?;
        // SAFETY: S7, compared just now.
        Ok(unsafe { self.tables[table as usize].fill(start, element, len) })
    }

    /// Copies between tables whose element types the caller compared; false when some of it is outside.
    pub fn table_copy(&mut self, dst: u32, dst_start: u64, src: u32, src_start: u64, len: u64) -> Result<bool> {
        let (to, from) = (self.table(dst).ty().element, self.table(src).ty().element);
        let fits = from.matches(to, |sub, sup| self.engine().types().is_subtype(sub, sup));
        ensure!(fits, "cannot copy elements of type {from} to a table of {to}");
        let tables = self.tables.as_mut_ptr();
        // SAFETY: S7, both of this store, types compared; the indices were taken from it.
        unsafe {
            let table = |index: u32| NonNull::new_unchecked(tables.add(index as usize));
            Ok(super::table::TableData::copy(table(dst), dst_start, table(src), src_start, len))
        }
    }

    /// A value as an element of tables of this type.
    pub(super) fn checked_element(&self, ty: RefType, value: &Val) -> Result<u64> {
        let ty = ValType::Ref(ty);
        ensure!(value.matches(self, ty), "a table of {ty} cannot hold this value: {value:?}");
        Ok(value.to_slot(self)?.as_u64())
    }
}
