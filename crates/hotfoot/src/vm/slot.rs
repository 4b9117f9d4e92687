//! A value as it crosses between host and compiled code: 16 bytes, see [`hotfoot_abi::call`].

use hotfoot_abi::call::SLOT_SIZE;

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
