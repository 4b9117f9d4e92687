//! A value as it crosses between host and compiled code: 16 bytes, see [`hotfoot_abi::call`]; and [`Val`] as one.

use anyhow::Result;
use hotfoot_abi::call::SLOT_SIZE;
use hotfoot_artifact::{HeapType, ValType};

use super::convert::{func_from_abi, func_to_abi, reference_from_abi, reference_to_abi};
use super::store::VmStore;
use crate::value::{V128, Val};

/// One value, little endian in its low bytes.
#[derive(Copy, Clone, Debug, Default)]
#[repr(C, align(16))]
pub struct Slot([u8; 16]);

const _: () = assert!(size_of::<Slot>() == SLOT_SIZE as usize);

macro_rules! accessors {
    ($($get:ident $from:ident $ty:ty),*) => {
        impl Slot {$(
            #[doc = concat!("The low bytes as `", stringify!($ty), "`.")]
            #[inline]
            pub fn $get(self) -> $ty {
                let mut bytes = [0; size_of::<$ty>()];
                bytes.copy_from_slice(&self.0[..size_of::<$ty>()]);
                <$ty>::from_le_bytes(bytes)
            }

            #[doc = concat!("A slot that holds this `", stringify!($ty), "`.")]
            #[inline]
            pub fn $from(value: $ty) -> Slot {
                let mut bytes = [0; 16];
                bytes[..size_of::<$ty>()].copy_from_slice(&value.to_le_bytes());
                Slot(bytes)
            }
        )*}
    };
}

accessors!(as_u32 from_u32 u32, as_u64 from_u64 u64, as_u128 from_u128 u128);

impl Slot {
    /// The raw bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A slot with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Slot {
        Slot(bytes)
    }
}

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
            Val::FuncRef(func) => Slot::from_u64(func_to_abi(func.as_ref(), store)?),
            Val::ExternRef(reference) => Slot::from_u32(reference_to_abi(reference.as_ref(), store)?),
            Val::ExnRef(reference) => Slot::from_u32(reference_to_abi(reference.as_ref(), store)?),
            Val::AnyRef(reference) => Slot::from_u32(reference_to_abi(reference.as_ref(), store)?),
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
                HeapType::Func => Val::FuncRef(func_from_abi(store, slot.as_u64())),
                HeapType::Extern => Val::ExternRef(reference_from_abi(store, slot.as_u32())),
                HeapType::Exn => Val::ExnRef(reference_from_abi(store, slot.as_u32())),
                _ => Val::AnyRef(reference_from_abi(store, slot.as_u32())),
            },
        }
    }
}
