//! What compiled code calls for objects, see [`hotfoot_abi::builtin`].
//!
//! References come as arguments and are good until the first allocation; a result is returned before the next.

use hotfoot_abi::vmctx::VmContext;

use super::array::Part;
use crate::vm::builtins::{guard, guard_bulk, guard_store};
use crate::vm::fiber::Asker;
use crate::vm::slot::Slot;
use crate::vm::store::VmStore;

/// The engine's number of one of the calling module's types.
fn type_id(store: &VmStore, instance: u32, ty: u32) -> u32 {
    store.instance(instance).module().type_ids()[ty as usize]
}

/// [`Builtin::GcAllocate`](hotfoot_abi::builtin::Builtin::GcAllocate)
pub unsafe extern "C" fn allocate(context: *mut VmContext, size: u64) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_store(context, 0, |store| {
            VmStore::make_room(store, size, Asker::Guest)?;
            // Collecting, and clearing much, takes long.
            store.as_ref().check_interrupt()?;
            (*store.as_ptr()).allocate(size)
        })
    }
}

/// [`Builtin::ArrayNewData`](hotfoot_abi::builtin::Builtin::ArrayNewData)
pub unsafe extern "C" fn array_new_data(context: *mut VmContext, ty: u32, segment: u32, src: u32, len: u32) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, 0, |store, instance| {
            let ty = type_id(store, instance, ty);
            store.array_new_data(instance, ty, segment, src, len)
        })
    }
}

/// [`Builtin::ArrayNewElem`](hotfoot_abi::builtin::Builtin::ArrayNewElem)
pub unsafe extern "C" fn array_new_elem(context: *mut VmContext, ty: u32, segment: u32, src: u32, len: u32) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, 0, |store, instance| {
            let ty = type_id(store, instance, ty);
            store.array_new_elem(instance, ty, segment, src, len)
        })
    }
}

/// [`Builtin::ArrayInitData`](hotfoot_abi::builtin::Builtin::ArrayInitData)
pub unsafe extern "C" fn array_init_data(
    context: *mut VmContext,
    array: u32,
    segment: u32,
    at: u32,
    src: u32,
    len: u32,
) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_bulk(context, |store, instance| store.array_init_data(instance, Part { array, at, len }, segment, src))
    }
}

/// [`Builtin::ArrayInitElem`](hotfoot_abi::builtin::Builtin::ArrayInitElem)
pub unsafe extern "C" fn array_init_elem(
    context: *mut VmContext,
    array: u32,
    segment: u32,
    at: u32,
    src: u32,
    len: u32,
) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_bulk(context, |store, instance| store.array_init_elem(instance, Part { array, at, len }, segment, src))
    }
}

/// [`Builtin::ArrayCopy`](hotfoot_abi::builtin::Builtin::ArrayCopy)
pub unsafe extern "C" fn array_copy(
    context: *mut VmContext,
    to: u32,
    to_at: u32,
    from: u32,
    from_at: u32,
    len: u32,
) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_bulk(context, |store, _| {
            let (to, from) = (Part { array: to, at: to_at, len }, Part { array: from, at: from_at, len });
            store.copy_array(to, from)
        })
    }
}

/// [`Builtin::ArrayFill`](hotfoot_abi::builtin::Builtin::ArrayFill)
pub unsafe extern "C" fn array_fill(context: *mut VmContext, array: u32, at: u32, value: u64, len: u32) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe { guard_bulk(context, |store, _| store.fill_array(Part { array, at, len }, Slot::from_u64(value))) }
}
