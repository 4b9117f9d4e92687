//! Host → wasm: calling a function of a store, with values whose types were checked.
//!
//! Values cross in an array of slots. [`call_values`] checks each value against the function's type; [`call_typed`]
//! relies on a check that was made once ([`TypedHandle::new`]).

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use anyhow::{Result, ensure};
use hotfoot_abi::vmctx::VmHostContext;

use super::activation;
use super::instance::ImportValue;
use super::slot::Slot;
use super::store::{FuncPtr, GlobalPtr, StoreContextMut, VmStore};
use super::trap::Pending;
use crate::extern_ref::{ExternRef, Rooted};
use crate::func::Func;
use crate::module::Module;
use crate::types::{FuncType, RefType, ValType};
use crate::value::{V128, Val};

/// Slots on the stack; calls with more use the heap.
const INLINE_SLOTS: usize = 16;

type Host = unsafe extern "C" fn(*mut VmHostContext, *mut hotfoot_abi::vmctx::VmContext, *mut Slot, usize) -> u8;

/// Calls `func` with its arguments in `slots`.
///
/// # Safety
/// S1, S2: `store` is `func`'s store, and no Rust reference into it is alive. S7: the slots hold the arguments and have
/// room for the results.
unsafe fn call_slots(store: NonNull<VmStore>, func: FuncPtr, slots: *mut Slot, count: usize) -> Result<(), Pending> {
    // SAFETY: S3, a function reference lives as long as its store.
    let reference = unsafe { func.as_non_null().read() };
    if !reference.entry.is_null() {
        // SAFETY: S1, S2, S7: by the caller's promise; a wasm function's entry is its type's trampoline.
        return unsafe { activation::enter(store, reference, slots) };
    }
    let callee: *mut VmHostContext = reference.vmctx.cast();
    // SAFETY: S3, without an entry it is a host function, kept alive by its store; S10, its thunk is of this store's
    // data type.
    unsafe {
        let host: Host = std::mem::transmute((*callee).host);
        match host(callee, VmStore::host_context(store), slots, count) {
            0 => Err((*store.as_ptr()).take_pending()),
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
    ty: &FuncType,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let (num_params, num_results) = (ty.params().len(), ty.results().len());
    ensure!(params.len() == num_params, "expected {num_params} arguments, got {}", params.len());
    ensure!(results.len() == num_results, "expected room for {num_results} results, got {}", results.len());
    let count = num_params.max(num_results);
    let mut slots = vec![Slot::default(); count];
    for (index, (value, ty)) in params.iter().zip(ty.params()).enumerate() {
        ensure!(value.matches(store.vm(), &ty), "argument {index} has the wrong type: {value:?}, expected {ty}");
        slots[index] = value.to_slot(store.vm())?;
    }
    // SAFETY: S2, only a raw pointer to the store is alive; S7, the arguments were checked against the type.
    unsafe { call_slots(store.pointer(), func, slots.as_mut_ptr(), count) }.map_err(Pending::into_error)?;
    for ((result, ty), slot) in results.iter_mut().zip(ty.results()).zip(slots) {
        // SAFETY: S7, the callee left a value of this type.
        *result = unsafe { Val::from_slot(store.vm(), slot, &ty) };
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
    /// When they differ, with both.
    pub fn new(func: FuncPtr, ty: &FuncType) -> Result<Self> {
        let same = ty.params().eq(P::valtypes()) && ty.results().eq(R::valtypes());
        let list = |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        ensure!(
            same,
            "the function has the type {ty}, but was asked for as (param {}) (result {})",
            list(P::valtypes()),
            list(R::valtypes())
        );
        Ok(TypedHandle { func, types: PhantomData })
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
    const { assert!(P::COUNT <= INLINE_SLOTS && R::COUNT <= INLINE_SLOTS) };
    let mut slots = [const { MaybeUninit::<Slot>::uninit() }; INLINE_SLOTS];
    let pointer: *mut Slot = slots.as_mut_ptr().cast();
    let count = P::COUNT.max(R::COUNT);
    // SAFETY: S7, the slots hold as many values as either side has (asserted above), of the types that were compared
    // when the handle was made; S2, only a raw pointer to the store is alive during the call.
    unsafe {
        params.store(store.vm(), pointer)?;
        call_slots(store.pointer(), handle.func, pointer, count).map_err(Pending::into_error)?;
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
    // SAFETY: S7, S10: the linker compared types and stores.
    let number = unsafe { store.vm().instantiate(module, imports)? };
    if let Some(start) = module.info().start
        && let Some(func) = store.vm().instance(number).func(start)
    {
        // SAFETY: S2, only a raw pointer to the store is alive; S7, a start function takes and returns nothing.
        unsafe { call_slots(store.pointer(), func, NonNull::<Slot>::dangling().as_ptr(), 0) }
            .map_err(Pending::into_error)?;
    }
    Ok(number)
}

impl VmStore {
    /// The engine-wide number of a function's type.
    pub fn func_type_id(&self, func: FuncPtr) -> u32 {
        // SAFETY: S3, a function reference lives as long as its store, which is borrowed.
        unsafe { func.as_non_null().as_ref().type_id }
    }

    /// The value of a global of this type.
    pub fn global_get(&mut self, global: GlobalPtr, ty: &ValType) -> Val {
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
    pub fn global_new(&mut self, value: &Val) -> Result<GlobalPtr> {
        let bytes = value.to_slot(self)?.bytes();
        Ok(self.new_global(bytes))
    }

    /// An element of a table, as a value.
    pub fn table_get(&mut self, table: u32, index: u64) -> Option<Val> {
        let element = self.table(table).get(index)?;
        let ty = ValType::Ref(self.table(table).ty().element);
        // SAFETY: S7, an element is of its table's type.
        Some(unsafe { Val::from_slot(self, Slot::from_u64(element), &ty) })
    }

    /// Sets an element; false when there is none at this index.
    pub fn table_set(&mut self, table: u32, index: u64, value: &Val) -> Result<bool> {
        let element = self.checked_element(&self.table(table).ty().element.clone(), value)?;
        // SAFETY: S7, compared just now.
        Ok(unsafe { self.tables[table as usize].set(index, element) })
    }

    /// Fills a part of a table; false when some of it is outside.
    pub fn table_fill(&mut self, table: u32, start: u64, value: &Val, len: u64) -> Result<bool> {
        let element = self.checked_element(&self.table(table).ty().element.clone(), value)?;
        // SAFETY: S7, compared just now.
        Ok(unsafe { self.tables[table as usize].fill(start, element, len) })
    }

    /// Copies between tables whose element types the caller compared; false when some of it is outside.
    pub fn table_copy(&mut self, dst: u32, dst_start: u64, src: u32, src_start: u64, len: u64) -> Result<bool> {
        let (to, from) = (self.table(dst).ty().element, self.table(src).ty().element);
        ensure!(to == from, "cannot copy elements of type {from} to a table of {to}");
        let tables = self.tables.as_mut_ptr();
        // SAFETY: S7, both of this store, types compared; the indices were taken from it.
        unsafe {
            let table = |index: u32| NonNull::new_unchecked(tables.add(index as usize));
            Ok(super::table::TableData::copy(table(dst), dst_start, table(src), src_start, len))
        }
    }

    /// Grows a table: the old size, or `None` when limits or the host refuse.
    pub fn table_grow(&mut self, table: u32, delta: u64, value: &Val) -> Result<Option<u64>> {
        let element = self.checked_element(&self.table(table).ty().element.clone(), value)?;
        // SAFETY: S7, compared just now.
        unsafe { self.grow_table(table, delta, element) }
    }

    /// A new table of the host's.
    pub fn table_new(&mut self, ty: hotfoot_artifact::TableType, value: &Val) -> Result<u32> {
        let element = self.checked_element(&ty.element, value)?;
        // SAFETY: S7, compared just now.
        unsafe { self.new_table(ty, element) }
    }

    fn checked_element(&self, ty: &RefType, value: &Val) -> Result<u64> {
        let ty = ValType::Ref(*ty);
        ensure!(value.matches(self, &ty), "a table of {ty} cannot hold this value: {value:?}");
        Ok(value.to_slot(self)?.as_u64())
    }
}

impl Val {
    /// The value as it crosses to compiled code.
    ///
    /// # Errors
    /// When it is a reference of another store.
    pub(super) fn to_slot(&self, store: &VmStore) -> Result<Slot> {
        Ok(match self {
            Val::I32(value) => Slot::from_u32(*value as u32),
            Val::I64(value) => Slot::from_u64(*value as u64),
            Val::F32(bits) => Slot::from_u32(*bits),
            Val::F64(bits) => Slot::from_u64(*bits),
            Val::V128(value) => Slot::from_u128(value.as_u128()),
            Val::FuncRef(func) => return func_to_slot(func.as_ref(), store),
            Val::ExternRef(reference) => return extern_to_slot(reference.as_ref(), store),
        })
    }

    /// The value that compiled code left.
    ///
    /// # Safety
    /// S7: the slot holds a value of this type; a reference is of this store.
    pub(super) unsafe fn from_slot(store: &VmStore, slot: Slot, ty: &ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(slot.as_u32() as i32),
            ValType::I64 => Val::I64(slot.as_u64() as i64),
            ValType::F32 => Val::F32(slot.as_u32()),
            ValType::F64 => Val::F64(slot.as_u64()),
            ValType::V128 => Val::V128(V128::from(slot.as_u128())),
            ValType::Ref(reference) => match reference.heap {
                crate::types::HeapType::Func => {
                    Val::FuncRef(FuncPtr::from_raw(slot.as_u64()).map(|func| Func::from_parts(store.id(), func)))
                }
                crate::types::HeapType::Extern => {
                    let index = slot.as_u32();
                    Val::ExternRef((index != 0).then(|| Rooted::from_parts(store.id(), index)))
                }
            },
        }
    }
}

fn func_to_slot(func: Option<&Func>, store: &VmStore) -> Result<Slot> {
    let Some(func) = func else { return Ok(Slot::default()) };
    ensure!(func.store_id() == store.id(), "a function of another store was used");
    Ok(Slot::from_u64(func.pointer().to_raw()))
}

fn extern_to_slot(reference: Option<&Rooted<ExternRef>>, store: &VmStore) -> Result<Slot> {
    let Some(reference) = reference else { return Ok(Slot::default()) };
    ensure!(reference.store_id() == store.id(), "an externref of another store was used");
    Ok(Slot::from_u32(reference.index()))
}

/// A Rust type that stands for one WebAssembly value type.
///
/// # Safety
/// S7: `into_slot` makes, and `from_slot` expects, a value of `valtype()`.
pub unsafe trait WasmTy: Send + Sized + 'static {
    /// The type.
    #[doc(hidden)]
    fn valtype() -> ValType;

    /// The value as it crosses to compiled code.
    #[doc(hidden)]
    fn into_slot(self, store: &VmStore) -> Result<Slot>;

    /// The value that compiled code left.
    ///
    /// # Safety
    /// S7: the slot holds a value of this type; a reference is of this store.
    #[doc(hidden)]
    unsafe fn from_slot(store: &VmStore, slot: Slot) -> Self;
}

macro_rules! number {
    ($($rust:ty, $wasm:ident, $value:ident => $to:expr, $slot:ident => $from:expr;)*) => {$(
        // SAFETY: S7, both directions use the bits of the one number.
        unsafe impl WasmTy for $rust {
            fn valtype() -> ValType {
                ValType::$wasm
            }

            #[inline]
            fn into_slot(self, _store: &VmStore) -> Result<Slot> {
                let $value = self;
                Ok($to)
            }

            #[inline]
            unsafe fn from_slot(_store: &VmStore, $slot: Slot) -> Self {
                $from
            }
        }
    )*};
}

number! {
    i32, I32, value => Slot::from_u32(value as u32), slot => slot.as_u32() as i32;
    u32, I32, value => Slot::from_u32(value), slot => slot.as_u32();
    i64, I64, value => Slot::from_u64(value as u64), slot => slot.as_u64() as i64;
    u64, I64, value => Slot::from_u64(value), slot => slot.as_u64();
    f32, F32, value => Slot::from_u32(value.to_bits()), slot => f32::from_bits(slot.as_u32());
    f64, F64, value => Slot::from_u64(value.to_bits()), slot => f64::from_bits(slot.as_u64());
    V128, V128, value => Slot::from_u128(value.as_u128()), slot => V128::from(slot.as_u128());
}

// SAFETY: S7, null or a function of the store, which `func_to_slot` checks.
unsafe impl WasmTy for Option<Func> {
    fn valtype() -> ValType {
        ValType::FUNCREF
    }

    fn into_slot(self, store: &VmStore) -> Result<Slot> {
        func_to_slot(self.as_ref(), store)
    }

    unsafe fn from_slot(store: &VmStore, slot: Slot) -> Self {
        FuncPtr::from_raw(slot.as_u64()).map(|func| Func::from_parts(store.id(), func))
    }
}

// SAFETY: S7, null or a reference of the store, which `extern_to_slot` checks.
unsafe impl WasmTy for Option<Rooted<ExternRef>> {
    fn valtype() -> ValType {
        ValType::EXTERNREF
    }

    fn into_slot(self, store: &VmStore) -> Result<Slot> {
        extern_to_slot(self.as_ref(), store)
    }

    unsafe fn from_slot(store: &VmStore, slot: Slot) -> Self {
        (slot.as_u32() != 0).then(|| Rooted::from_parts(store.id(), slot.as_u32()))
    }
}

/// Parameters of a function as one Rust type: a [`WasmTy`] or a tuple of them.
///
/// # Safety
/// S7: `store` writes, and `load` reads, `COUNT` slots of the types of `valtypes()`.
pub unsafe trait WasmParams: Send + Sized + 'static {
    /// How many there are.
    #[doc(hidden)]
    const COUNT: usize;

    /// Their types.
    #[doc(hidden)]
    fn valtypes() -> Vec<ValType>;

    /// Writes the values to slots.
    ///
    /// # Safety
    /// There are `COUNT` writable slots.
    #[doc(hidden)]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()>;

    /// Reads the values from slots.
    ///
    /// # Safety
    /// S7: there are `COUNT` slots that hold values of the types.
    #[doc(hidden)]
    unsafe fn load(store: &VmStore, slots: *const Slot) -> Self;
}

/// Results of a function as one Rust type: a [`WasmTy`] or a tuple of them.
pub trait WasmResults: WasmParams {}

impl<P: WasmParams> WasmResults for P {}

// SAFETY: S7, one value in the first slot.
unsafe impl<A: WasmTy> WasmParams for A {
    const COUNT: usize = 1;

    fn valtypes() -> Vec<ValType> {
        vec![A::valtype()]
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: by the caller's promise.
        unsafe { slots.write(self.into_slot(store)?) };
        Ok(())
    }

    #[inline]
    unsafe fn load(store: &VmStore, slots: *const Slot) -> Self {
        // SAFETY: by the caller's promise.
        unsafe { A::from_slot(store, slots.read()) }
    }
}

/// What a host function may return: results, or a `Result` of them.
///
/// # Safety
/// S7: `store` writes as many slots, of such types, as `valtypes()` says.
pub unsafe trait WasmRet: Sized {
    /// The types of the results.
    #[doc(hidden)]
    fn valtypes() -> Vec<ValType>;

    /// Writes the results, or hands on the error.
    ///
    /// # Safety
    /// There is a writable slot for each result.
    #[doc(hidden)]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()>;
}

// SAFETY: S7, as `WasmParams`.
unsafe impl<R: WasmParams> WasmRet for R {
    fn valtypes() -> Vec<ValType> {
        R::valtypes()
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: by the caller's promise.
        unsafe { WasmParams::store(self, store, slots) }
    }
}

// SAFETY: S7, as the results; nothing is written for an error.
unsafe impl<R: WasmParams> WasmRet for Result<R> {
    fn valtypes() -> Vec<ValType> {
        R::valtypes()
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: by the caller's promise.
        unsafe { WasmParams::store(self?, store, slots) }
    }
}

/// Calls a macro with each list of type names from none to sixteen.
macro_rules! for_each_arity {
    ($apply:ident) => {
        $crate::vm::call::for_each_arity!(@ $apply A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 ;);
    };
    (@ $apply:ident ; $($done:ident)*) => { $apply!($($done)*); };
    (@ $apply:ident $first:ident $($rest:ident)* ; $($done:ident)*) => {
        $apply!($($done)*);
        $crate::vm::call::for_each_arity!(@ $apply $($rest)* ; $($done)* $first);
    };
}
pub(crate) use for_each_arity;

macro_rules! tuple {
    ($($A:ident)*) => {
        // SAFETY: S7, one value a slot, in order.
        #[allow(non_snake_case, unused_variables, unused_assignments, unused_mut)]
        unsafe impl<$($A: WasmTy),*> WasmParams for ($($A,)*) {
            const COUNT: usize = 0 $(+ { let _ = size_of::<$A>(); 1 })*;

            fn valtypes() -> Vec<ValType> {
                vec![$($A::valtype()),*]
            }

            #[inline]
            unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
                let ($($A,)*) = self;
                let mut index = 0;
                $(
                    // SAFETY: by the caller's promise there are as many slots.
                    unsafe { slots.add(index).write($A.into_slot(store)?) };
                    index += 1;
                )*
                Ok(())
            }

            #[inline]
            unsafe fn load(store: &VmStore, slots: *const Slot) -> Self {
                let mut index = 0;
                $(
                    // SAFETY: by the caller's promise there are as many values.
                    let $A = unsafe { $A::from_slot(store, slots.add(index).read()) };
                    index += 1;
                )*
                ($($A,)*)
            }
        }
    };
}

for_each_arity!(tuple);
