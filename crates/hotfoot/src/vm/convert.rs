//! Values as they cross between host and compiled code: Rust types to registers and slots, and back.
//!
//! The traits here are what makes host functions and typed calls type-safe (S7): what a Rust type gives as its `Abi`, in
//! a register or a slot, is what its `valtype()` says.

use std::ptr::NonNull;

use anyhow::{Result, ensure};
use hotfoot_abi::vmctx::{VmContext, VmFuncRef, VmHostContext};
use hotfoot_artifact::{HeapType, RefType, ValType};

use super::activation::Activation;
use super::hostcall::{self, Caller, HostFunc};
use super::registers::{Abi, NativeResult, Shape};
use super::slot::Slot;
use super::store::{FuncPtr, VmStore};
use super::sys::arch;
use crate::func::Func;
use crate::i31::I31;
use crate::rooting::{GcRef, Rooted};
use crate::value::V128;

#[inline]
pub(super) fn func_to_abi(func: Option<&Func>, store: &VmStore) -> Result<u64> {
    let Some(func) = func else { return Ok(0) };
    ensure!(func.store_id() == store.id(), "a function of another store was used");
    Ok(func.pointer().to_raw())
}

#[inline]
pub(super) fn func_from_abi(store: &VmStore, raw: u64) -> Option<Func> {
    FuncPtr::from_raw(raw).map(|func| Func::from_parts(store.id(), func))
}

pub(super) fn reference_to_abi<R: GcRef>(reference: Option<&Rooted<R>>, store: &VmStore) -> Result<u32> {
    let Some(reference) = reference else { return Ok(0) };
    store.reference(reference.root())
}

pub(super) fn reference_from_abi<R: GcRef>(store: &mut VmStore, reference: u32) -> Option<Rooted<R>> {
    (reference != 0).then(|| Rooted::from_root(store.root(reference)))
}

/// A Rust type that stands for one WebAssembly value type.
///
/// # Safety
/// S7: `into_abi` makes, and `from_abi` expects, a value of `valtype()`.
pub unsafe trait WasmTy: Send + Sized + 'static {
    /// The value in a register.
    #[doc(hidden)]
    type Abi: Abi;

    /// The type.
    #[doc(hidden)]
    fn valtype() -> ValType;

    /// The value as it crosses to compiled code.
    #[doc(hidden)]
    fn into_abi(self, store: &VmStore) -> Result<Self::Abi>;

    /// The value that compiled code left.
    ///
    /// # Safety
    /// S7: it is a value of this type; a reference is of this store.
    #[doc(hidden)]
    unsafe fn from_abi(store: &mut VmStore, value: Self::Abi) -> Self;
}

macro_rules! number {
    ($($rust:ty, $wasm:ident, $abi:ty, $value:ident => $to:expr, $given:ident => $from:expr;)*) => {$(
        // SAFETY: S7, both directions use the bits of the one number.
        unsafe impl WasmTy for $rust {
            type Abi = $abi;

            fn valtype() -> ValType {
                ValType::$wasm
            }

            #[inline]
            fn into_abi(self, _store: &VmStore) -> Result<$abi> {
                let $value = self;
                Ok($to)
            }

            #[inline]
            unsafe fn from_abi(_store: &mut VmStore, $given: $abi) -> Self {
                $from
            }
        }
    )*};
}

number! {
    i32, I32, u32, value => value as u32, given => given as i32;
    u32, I32, u32, value => value, given => given;
    i64, I64, u64, value => value as u64, given => given as i64;
    u64, I64, u64, value => value, given => given;
    f32, F32, f32, value => value, given => given;
    f64, F64, f64, value => value, given => given;
    V128, V128, arch::Vector, value => arch::vector_from_bits(value.as_u128()),
        given => V128::from(arch::vector_to_bits(given));
}

// SAFETY: S7, null or a function of the store, which `func_to_abi` checks.
unsafe impl WasmTy for Option<Func> {
    type Abi = u64;

    fn valtype() -> ValType {
        ValType::FUNCREF
    }

    #[inline]
    fn into_abi(self, store: &VmStore) -> Result<u64> {
        func_to_abi(self.as_ref(), store)
    }

    #[inline]
    unsafe fn from_abi(store: &mut VmStore, value: u64) -> Self {
        func_from_abi(store, value)
    }
}

// SAFETY: S7, a function of the store, which `func_to_abi` checks.
unsafe impl WasmTy for Func {
    type Abi = u64;

    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::Func })
    }

    #[inline]
    fn into_abi(self, store: &VmStore) -> Result<u64> {
        func_to_abi(Some(&self), store)
    }

    #[inline]
    unsafe fn from_abi(store: &mut VmStore, value: u64) -> Self {
        func_from_abi(store, value).expect("a reference of this type is never null")
    }
}

// SAFETY: S7, null or a reference of the store, which `reference_to_abi` checks; a handle is of its type.
unsafe impl<R: GcRef> WasmTy for Option<Rooted<R>> {
    type Abi = u32;

    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: true, heap: R::HEAP })
    }

    fn into_abi(self, store: &VmStore) -> Result<u32> {
        reference_to_abi(self.as_ref(), store)
    }

    unsafe fn from_abi(store: &mut VmStore, value: u32) -> Self {
        reference_from_abi(store, value)
    }
}

// SAFETY: S7, a reference of the store, which `reference_to_abi` checks; a handle is of its type.
unsafe impl<R: GcRef> WasmTy for Rooted<R> {
    type Abi = u32;

    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: R::HEAP })
    }

    fn into_abi(self, store: &VmStore) -> Result<u32> {
        reference_to_abi(Some(&self), store)
    }

    unsafe fn from_abi(store: &mut VmStore, value: u32) -> Self {
        reference_from_abi(store, value).expect("a reference of this type is never null")
    }
}

// SAFETY: S7, an i31 is the same in every store.
unsafe impl WasmTy for I31 {
    type Abi = u32;

    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::I31 })
    }

    fn into_abi(self, _store: &VmStore) -> Result<u32> {
        Ok(self.to_reference())
    }

    unsafe fn from_abi(_store: &mut VmStore, value: u32) -> Self {
        I31::from_reference(value).expect("a reference of this type is an i31")
    }
}

// SAFETY: S7, null or an i31, which is the same in every store.
unsafe impl WasmTy for Option<I31> {
    type Abi = u32;

    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: true, heap: HeapType::I31 })
    }

    fn into_abi(self, _store: &VmStore) -> Result<u32> {
        Ok(self.map_or(0, I31::to_reference))
    }

    unsafe fn from_abi(_store: &mut VmStore, value: u32) -> Self {
        I31::from_reference(value)
    }
}

/// Parameters of a function as one Rust type: a [`WasmTy`] or a tuple of them.
///
/// # Safety
/// S7: `store` writes, and `load` reads, `COUNT` slots of the types of `valtypes()`; `call_in_registers` and `thunk` pass values of
/// those types as `SHAPE` says.
pub unsafe trait WasmParams: Send + Sized + 'static {
    /// How many there are.
    #[doc(hidden)]
    const COUNT: usize;

    /// How they are passed in registers.
    #[doc(hidden)]
    const SHAPE: Shape;

    /// As results of a C function, if there are not several.
    #[doc(hidden)]
    type Native: NativeResult;

    /// Their types.
    #[doc(hidden)]
    fn valtypes() -> Vec<ValType>;

    /// Whether there are as many of these types, and each fits: `fits` gets the Rust type's own type first.
    #[doc(hidden)]
    fn matches(types: &[ValType], fits: impl Fn(ValType, ValType) -> bool) -> bool;

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
    unsafe fn load(store: &mut VmStore, slots: *const Slot) -> Self;

    /// The values as a result.
    #[doc(hidden)]
    fn into_native(self, store: &VmStore) -> Result<Self::Native>;

    /// The values that were a result.
    ///
    /// # Safety
    /// S7: a result of these types, of which there are not several; a reference is of this store.
    #[doc(hidden)]
    unsafe fn from_native(store: &mut VmStore, result: Self::Native) -> Self;

    /// Calls a function of a guest with the values in registers, by what `arch::enter_with_stack` or `arch::enter_on_fiber` gives for
    /// the words of `SHAPE`.
    ///
    /// # Safety
    /// S1, S2, S7, S8, S15: as these ask, of a function that takes these types, and returns `R`'s, of which there are not
    /// several.
    #[doc(hidden)]
    unsafe fn call_in_registers<R: WasmResults>(
        self,
        store: &VmStore,
        func: *const VmFuncRef,
        activation: *mut Activation,
        enter: unsafe extern "C" fn(*const VmFuncRef, *mut Activation),
    ) -> Result<R::Native>;

    /// The C function that takes these values in registers and calls a host function of type `F`.
    #[doc(hidden)]
    fn thunk<T: 'static, R: WasmRet, F: Fn(Caller<'_, T>, Self) -> R>() -> *const u8;
}

/// Results of a function as one Rust type: a [`WasmTy`] or a tuple of them.
pub trait WasmResults: WasmParams {}

impl<P: WasmParams> WasmResults for P {}

/// The items of a `WasmParams` that have the values in registers: of a type `$P`, made by `$make` and taken apart by
/// `$take`, and of the types `$A`.
macro_rules! in_registers {
    ($P:ty, $make:expr, $take:pat, $($A:ident)*) => {
        const SHAPE: Shape = Shape::new(&[$($A::Abi::REGISTER),*]);

        #[inline]
        unsafe fn call_in_registers<R: WasmResults>(
            self,
            store: &VmStore,
            func: *const VmFuncRef,
            activation: *mut Activation,
            enter: unsafe extern "C" fn(*const VmFuncRef, *mut Activation),
        ) -> Result<R::Native> {
            type Enter<R $(, $A)*> = unsafe extern "C" fn(*const VmFuncRef, *mut Activation $(, $A)*) -> R;
            let $take = self;
            $(let $A = $A.into_abi(store)?.to_argument();)*
            // SAFETY: S7, S8, by the caller's promise; `arch` passes on registers and words on the stack as they are.
            unsafe {
                let enter: Enter<R::Native $(, <$A::Abi as Abi>::Argument)*> = std::mem::transmute(enter);
                Ok(enter(func, activation $(, $A)*))
            }
        }

        fn thunk<T: 'static, R: WasmRet, F: Fn(Caller<'_, T>, Self) -> R>() -> *const u8 {
            /// For a store that watches the border.
            #[cold]
            #[inline(never)]
            unsafe extern "C" fn watched<R: NativeResult $(, $A: WasmTy)*>(
                callee: NonNull<VmHostContext>,
                caller: NonNull<VmContext>
                $(, $A: $A::Abi)*
            ) -> R {
                let mut slots = [$($A.to_slot(),)* Slot::default()];
                // SAFETY: S7, S8, S10: as the thunk below; there is a slot for each argument, and for one result.
                unsafe { hostcall::call_slots(callee, caller, &mut slots) }
            }
            #[inline(always)]
            unsafe extern "C" fn thunk<T: 'static, R: WasmRet, F: Fn(Caller<'_, T>, $P) -> R $(, $A: WasmTy)*>(
                callee: NonNull<HostFunc<F>>,
                caller: NonNull<VmContext>
                $(, $A: $A::Abi)*
            ) -> R::NativeResult {
                // SAFETY: S7, S10: called by a guest, with a function of this type, by way of its context.
                unsafe {
                    if hostcall::is_watched(caller) {
                        return watched::<R::NativeResult $(, $A)*>(callee.cast(), caller $(, $A)*);
                    }
                    hostcall::call_native(callee, caller, |store: &mut VmStore| {
                        $(let $A = <$A as WasmTy>::from_abi(store, $A);)*
                        $make
                    })
                }
            }
            /// As `thunk`, with arguments on the stack.
            unsafe extern "C" fn framed<T: 'static, R: WasmRet, F: Fn(Caller<'_, T>, $P) -> R $(, $A: WasmTy)*>(
                _frame: arch::HostEntryFrame,
                callee: NonNull<HostFunc<F>>,
                caller: NonNull<VmContext>
                $(, $A: $A::Abi)*
            ) -> R::NativeResult {
                // SAFETY: S7, S10: as `thunk`.
                unsafe { thunk::<T, R, F $(, $A)*>(callee, caller $(, $A)*) }
            }
            if const { Self::SHAPE.words() == 0 } {
                thunk::<T, R, F $(, $A)*> as *const u8
            } else {
                framed::<T, R, F $(, $A)*> as *const u8
            }
        }
    };
}

// SAFETY: S7, one value in the first slot.
#[allow(non_snake_case, non_camel_case_types)]
unsafe impl<A: WasmTy> WasmParams for A {
    const COUNT: usize = 1;

    type Native = A::Abi;

    fn valtypes() -> Vec<ValType> {
        vec![A::valtype()]
    }

    #[inline]
    fn matches(types: &[ValType], fits: impl Fn(ValType, ValType) -> bool) -> bool {
        types.len() == 1 && fits(A::valtype(), types[0])
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { slots.write(self.into_abi(store)?.to_slot()) };
        Ok(())
    }

    #[inline]
    unsafe fn load(store: &mut VmStore, slots: *const Slot) -> Self {
        // SAFETY: S7, by the caller's promise.
        unsafe { A::from_abi(store, A::Abi::from_slot(slots.read())) }
    }

    #[inline]
    fn into_native(self, store: &VmStore) -> Result<A::Abi> {
        self.into_abi(store)
    }

    #[inline]
    unsafe fn from_native(store: &mut VmStore, result: A::Abi) -> Self {
        // SAFETY: S7, by the caller's promise.
        unsafe { A::from_abi(store, result) }
    }

    in_registers!(A, A, A, A);
}

/// What a host function may return: results, or a `Result` of them.
///
/// # Safety
/// S7: `store` writes as many slots, of such types, as `valtypes()` says, and `into_native_result` makes the result that they say
/// if there are not several.
pub unsafe trait WasmRet: Sized {
    /// How many results there are.
    #[doc(hidden)]
    const RESULTS: usize;

    /// The result of a C function.
    #[doc(hidden)]
    type NativeResult: NativeResult;

    /// The types of the results.
    #[doc(hidden)]
    fn valtypes() -> Vec<ValType>;

    /// Writes the results, or hands on the error.
    ///
    /// # Safety
    /// There is a writable slot for each result.
    #[doc(hidden)]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()>;

    /// Makes the result, or hands on the error.
    #[doc(hidden)]
    fn into_native_result(self, store: &VmStore) -> Result<Self::NativeResult>;
}

// SAFETY: S7, as `WasmParams`.
unsafe impl<R: WasmParams> WasmRet for R {
    const RESULTS: usize = R::COUNT;

    type NativeResult = R::Native;

    fn valtypes() -> Vec<ValType> {
        R::valtypes()
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { WasmParams::store(self, store, slots) }
    }

    #[inline]
    fn into_native_result(self, store: &VmStore) -> Result<Self::NativeResult> {
        WasmParams::into_native(self, store)
    }
}

// SAFETY: S7, as the results; nothing is written for an error.
unsafe impl<R: WasmParams> WasmRet for Result<R> {
    const RESULTS: usize = R::COUNT;

    type NativeResult = R::Native;

    fn valtypes() -> Vec<ValType> {
        R::valtypes()
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { WasmParams::store(self?, store, slots) }
    }

    #[inline]
    fn into_native_result(self, store: &VmStore) -> Result<Self::NativeResult> {
        WasmParams::into_native(self?, store)
    }
}

/// Calls a macro with each list of type names from none to sixteen.
macro_rules! for_each_arity {
    ($apply:ident) => {
        $crate::vm::convert::for_each_arity!(@ $apply A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 ;);
    };
    (@ $apply:ident ; $($done:ident)*) => { $apply!($($done)*); };
    (@ $apply:ident $first:ident $($rest:ident)* ; $($done:ident)*) => {
        $apply!($($done)*);
        $crate::vm::convert::for_each_arity!(@ $apply $($rest)* ; $($done)* $first);
    };
}
pub(crate) use for_each_arity;

/// The items of a `WasmParams` that have the values as one result.
macro_rules! as_result {
    ($A:ident) => {
        type Native = $A::Abi;

        #[inline]
        fn into_native(self, store: &VmStore) -> Result<$A::Abi> {
            self.0.into_abi(store)
        }

        #[inline]
        unsafe fn from_native(store: &mut VmStore, result: $A::Abi) -> Self {
            // SAFETY: S7, by the caller's promise.
            (unsafe { $A::from_abi(store, result) },)
        }
    };
    () => {
        type Native = ();

        #[inline]
        fn into_native(self, _store: &VmStore) -> Result<()> {
            Ok(())
        }

        #[inline]
        unsafe fn from_native(_store: &mut VmStore, _result: ()) -> Self {}
    };
    ($($A:ident)*) => {
        type Native = ();

        fn into_native(self, _store: &VmStore) -> Result<()> {
            unreachable!("several values are no result of a C function")
        }

        unsafe fn from_native(_store: &mut VmStore, _result: ()) -> Self {
            unreachable!("several values are no result of a C function")
        }
    };
}

macro_rules! tuple {
    ($($A:ident)*) => {
        // SAFETY: S7, one value a slot, in order.
        #[allow(non_snake_case, unused_variables, unused_assignments, unused_mut, clippy::unused_unit)]
        unsafe impl<$($A: WasmTy),*> WasmParams for ($($A,)*) {
            const COUNT: usize = 0 $(+ { let _ = size_of::<$A>(); 1 })*;

            fn valtypes() -> Vec<ValType> {
                vec![$($A::valtype()),*]
            }

            #[inline]
            fn matches(types: &[ValType], fits: impl Fn(ValType, ValType) -> bool) -> bool {
                let mut types = types.iter();
                types.len() == Self::COUNT $(&& types.next().is_some_and(|ty| fits($A::valtype(), *ty)))*
            }

            #[inline]
            unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
                let ($($A,)*) = self;
                let mut index = 0;
                $(
                    // SAFETY: S7, by the caller's promise there are as many slots.
                    unsafe { slots.add(index).write($A.into_abi(store)?.to_slot()) };
                    index += 1;
                )*
                Ok(())
            }

            #[inline]
            unsafe fn load(store: &mut VmStore, slots: *const Slot) -> Self {
                let mut index = 0;
                $(
                    // SAFETY: S7, by the caller's promise there are as many values.
                    let $A = unsafe { <$A as WasmTy>::from_abi(store, $A::Abi::from_slot(slots.add(index).read())) };
                    index += 1;
                )*
                ($($A,)*)
            }

            in_registers!(($($A,)*), ($($A,)*), ($($A,)*), $($A)*);
            as_result!($($A)*);
        }
    };
}

for_each_arity!(tuple);
