//! Values as they cross between host and compiled code: Rust types and [`Val`] to slots and back.
//!
//! The traits here are what makes host functions and typed calls type-safe (S7): what a Rust type writes to a slot is
//! what its `valtype()` says.

use anyhow::{Result, ensure};
use hotfoot_artifact::{HeapType, RefType, ValType};

use super::slot::Slot;
use super::store::{FuncPtr, VmStore};
use crate::func::Func;
use crate::i31::I31;
use crate::rooting::{GcRef, Rooted};
use crate::value::{V128, Val};

impl Val {
    /// The value as it crosses to compiled code.
    ///
    /// # Errors
    /// When it is a reference of another store.
    pub(super) fn to_slot(self, store: &VmStore) -> Result<Slot> {
        Ok(match self {
            Val::I32(value) => Slot::from_u32(value as u32),
            Val::I64(value) => Slot::from_u64(value as u64),
            Val::F32(bits) => Slot::from_u32(bits),
            Val::F64(bits) => Slot::from_u64(bits),
            Val::V128(value) => Slot::from_u128(value.as_u128()),
            Val::FuncRef(func) => return func_to_slot(func.as_ref(), store),
            Val::ExternRef(reference) => return reference_to_slot(reference.as_ref(), store),
            Val::ExnRef(reference) => return reference_to_slot(reference.as_ref(), store),
            Val::AnyRef(reference) => return reference_to_slot(reference.as_ref(), store),
        })
    }

    /// The value that compiled code left.
    ///
    /// # Safety
    /// S7: the slot holds a value of this type; a reference is of this store.
    pub(super) unsafe fn from_slot(store: &mut VmStore, slot: Slot, ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(slot.as_u32() as i32),
            ValType::I64 => Val::I64(slot.as_u64() as i64),
            ValType::F32 => Val::F32(slot.as_u32()),
            ValType::F64 => Val::F64(slot.as_u64()),
            ValType::V128 => Val::V128(V128::from(slot.as_u128())),
            ValType::Ref(reference) => match reference.heap.top() {
                HeapType::Func => {
                    Val::FuncRef(FuncPtr::from_raw(slot.as_u64()).map(|func| Func::from_parts(store.id(), func)))
                }
                HeapType::Extern => Val::ExternRef(reference_from_slot(store, slot)),
                HeapType::Exn => Val::ExnRef(reference_from_slot(store, slot)),
                _ => Val::AnyRef(reference_from_slot(store, slot)),
            },
        }
    }
}

fn func_to_slot(func: Option<&Func>, store: &VmStore) -> Result<Slot> {
    let Some(func) = func else { return Ok(Slot::default()) };
    ensure!(func.store_id() == store.id(), "a function of another store was used");
    Ok(Slot::from_u64(func.pointer().to_raw()))
}

fn reference_to_slot<R: GcRef>(reference: Option<&Rooted<R>>, store: &VmStore) -> Result<Slot> {
    let Some(reference) = reference else { return Ok(Slot::default()) };
    Ok(Slot::from_u32(store.reference(reference.root())?))
}

fn reference_from_slot<R: GcRef>(store: &mut VmStore, slot: Slot) -> Option<Rooted<R>> {
    let reference = slot.as_u32();
    (reference != 0).then(|| Rooted::from_root(store.root(reference)))
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
    unsafe fn from_slot(store: &mut VmStore, slot: Slot) -> Self;
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
            unsafe fn from_slot(_store: &mut VmStore, $slot: Slot) -> Self {
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

    unsafe fn from_slot(store: &mut VmStore, slot: Slot) -> Self {
        FuncPtr::from_raw(slot.as_u64()).map(|func| Func::from_parts(store.id(), func))
    }
}

// SAFETY: S7, a function of the store, which `func_to_slot` checks.
unsafe impl WasmTy for Func {
    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::Func })
    }

    fn into_slot(self, store: &VmStore) -> Result<Slot> {
        func_to_slot(Some(&self), store)
    }

    unsafe fn from_slot(store: &mut VmStore, slot: Slot) -> Self {
        let pointer = FuncPtr::from_raw(slot.as_u64()).expect("a reference of this type is never null");
        Func::from_parts(store.id(), pointer)
    }
}

// SAFETY: S7, null or a reference of the store, which `reference_to_slot` checks; a handle is of its type.
unsafe impl<R: GcRef> WasmTy for Option<Rooted<R>> {
    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: true, heap: R::HEAP })
    }

    fn into_slot(self, store: &VmStore) -> Result<Slot> {
        reference_to_slot(self.as_ref(), store)
    }

    unsafe fn from_slot(store: &mut VmStore, slot: Slot) -> Self {
        reference_from_slot(store, slot)
    }
}

// SAFETY: S7, a reference of the store, which `reference_to_slot` checks; a handle is of its type.
unsafe impl<R: GcRef> WasmTy for Rooted<R> {
    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: R::HEAP })
    }

    fn into_slot(self, store: &VmStore) -> Result<Slot> {
        reference_to_slot(Some(&self), store)
    }

    unsafe fn from_slot(store: &mut VmStore, slot: Slot) -> Self {
        reference_from_slot(store, slot).expect("a reference of this type is never null")
    }
}

// SAFETY: S7, an i31 is the same in every store.
unsafe impl WasmTy for I31 {
    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::I31 })
    }

    fn into_slot(self, _store: &VmStore) -> Result<Slot> {
        Ok(Slot::from_u32(self.to_reference()))
    }

    unsafe fn from_slot(_store: &mut VmStore, slot: Slot) -> Self {
        I31::from_reference(slot.as_u32()).expect("a reference of this type is an i31")
    }
}

// SAFETY: S7, null or an i31, which is the same in every store.
unsafe impl WasmTy for Option<I31> {
    fn valtype() -> ValType {
        ValType::Ref(RefType { nullable: true, heap: HeapType::I31 })
    }

    fn into_slot(self, _store: &VmStore) -> Result<Slot> {
        Ok(Slot::from_u32(self.map_or(0, I31::to_reference)))
    }

    unsafe fn from_slot(_store: &mut VmStore, slot: Slot) -> Self {
        I31::from_reference(slot.as_u32())
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
    fn matches(types: &[ValType], fits: impl Fn(ValType, ValType) -> bool) -> bool {
        types.len() == 1 && fits(A::valtype(), types[0])
    }

    #[inline]
    unsafe fn store(self, store: &VmStore, slots: *mut Slot) -> Result<()> {
        // SAFETY: S7, by the caller's promise.
        unsafe { slots.write(self.into_slot(store)?) };
        Ok(())
    }

    #[inline]
    unsafe fn load(store: &mut VmStore, slots: *const Slot) -> Self {
        // SAFETY: S7, by the caller's promise.
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
        // SAFETY: S7, by the caller's promise.
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
        // SAFETY: S7, by the caller's promise.
        unsafe { WasmParams::store(self?, store, slots) }
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
                    unsafe { slots.add(index).write($A.into_slot(store)?) };
                    index += 1;
                )*
                Ok(())
            }

            #[inline]
            unsafe fn load(store: &mut VmStore, slots: *const Slot) -> Self {
                let mut index = 0;
                $(
                    // SAFETY: S7, by the caller's promise there are as many values.
                    let $A = unsafe { $A::from_slot(store, slots.add(index).read()) };
                    index += 1;
                )*
                ($($A,)*)
            }
        }
    };
}

for_each_arity!(tuple);
