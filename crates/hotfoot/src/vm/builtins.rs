//! The runtime's side of [`hotfoot_abi::builtin`].
//!
//! Each function here is called by a trampoline in compiled code with arguments that the compiler chose: indices are
//! valid for the module of the context that is passed, references are of the right type. Amounts and addresses are the
//! guest's and are checked. Nothing may unwind into compiled code: [`guard`] turns errors and panics into a pending
//! error and the builtin's failure value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::VmContext;

use super::activation;
use super::bulk;
use super::exception;
use super::fiber::Asker;
use super::gc;
use super::meter;
use super::parking::{Waiter, Wake};
use super::shared::SharedLinearMemory;
use super::store::VmStore;
use super::table::TableData;
use super::trap::{self, Pending};

/// The function pointers, by number of the builtin.
pub static TABLE: BuiltinTable = BuiltinTable([
    exception::raise as *const u8,
    raise_trap as *const u8,
    memory_grow as *const u8,
    bulk::memory_fill as *const u8,
    bulk::memory_copy as *const u8,
    memory_init as *const u8,
    data_drop as *const u8,
    table_grow as *const u8,
    table_fill as *const u8,
    table_copy as *const u8,
    table_init as *const u8,
    elem_drop as *const u8,
    exception::throw_new as *const u8,
    exception::throw_ref as *const u8,
    meter::out_of_fuel as *const u8,
    meter::new_epoch as *const u8,
    gc::builtins::allocate as *const u8,
    gc::builtins::array_new_data as *const u8,
    gc::builtins::array_new_elem as *const u8,
    gc::builtins::array_init_data as *const u8,
    gc::builtins::array_init_elem as *const u8,
    gc::builtins::array_copy as *const u8,
    gc::builtins::array_fill as *const u8,
    atomic_notify as *const u8,
    atomic_wait32 as *const u8,
    atomic_wait64 as *const u8,
]);

/// An array of addresses of functions.
#[repr(transparent)]
pub struct BuiltinTable([*const u8; Builtin::COUNT]);

// SAFETY: S6, addresses of code never change.
unsafe impl Sync for BuiltinTable {}

impl BuiltinTable {
    /// Address of the first pointer.
    pub fn as_ptr(&self) -> *const *const u8 {
        self.0.as_ptr()
    }
}

/// Runs `f` with the calling instance's store and number; its error or panic becomes pending and the result is `failure`.
///
/// # Safety
/// S1, S2: `context` is the instance's whose code called, and that code waits for the result.
pub(super) unsafe fn guard<R>(
    context: *mut VmContext,
    failure: R,
    f: impl FnOnce(&mut VmStore, u32) -> Result<R>,
) -> R {
    // SAFETY: S1, by the caller's promise; S2, the guest waits, so the borrow is exclusive while `f` runs.
    unsafe { guard_store(context, failure, |store| f(&mut *store.as_ptr(), (*context).instance)) }
}

/// As [`guard`], for what may take as long as a guest likes. A signal that arrives meanwhile finds no code of the guest, and so may
/// the next ones, if that does nothing else; so this looks, too, whether the guest is to stop.
///
/// # Safety
/// As [`guard`].
pub(super) unsafe fn guard_bulk(context: *mut VmContext, f: impl FnOnce(&mut VmStore, u32) -> Result<()>) -> u32 {
    // SAFETY: S1, S2, by the caller's promise.
    unsafe {
        guard(context, 0, |store, instance| {
            f(store, instance)?;
            store.check_interrupt()?;
            Ok(1)
        })
    }
}

/// As [`guard`], without borrowing the store.
///
/// # Safety
/// As [`guard`].
pub(super) unsafe fn guard_store<R>(
    context: *mut VmContext,
    failure: R,
    f: impl FnOnce(NonNull<VmStore>) -> Result<R>,
) -> R {
    // SAFETY: S1, a context's store pointer is never null.
    let store = unsafe { NonNull::new_unchecked((*context).store.cast::<VmStore>()) };
    match catch_unwind(AssertUnwindSafe(|| f(store))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            // SAFETY: S9, the trampoline recorded where the guest stands.
            unsafe { VmStore::set_pending_error(store, error) };
            failure
        }
        Err(panic) => {
            // SAFETY: S2, a short exclusive borrow.
            unsafe { (*store.as_ptr()).set_pending(Pending::Panic(panic)) };
            failure
        }
    }
}

unsafe extern "C" fn raise_trap(context: *mut VmContext, code: u32) -> ! {
    // SAFETY: S1, S9, called by compiled code through its trampoline; S8, everything owned is dropped in the block.
    unsafe {
        {
            let store = NonNull::new_unchecked((*context).store.cast::<VmStore>());
            let code = TrapCode::from_u8(code as u8).unwrap_or(TrapCode::UnreachableCodeReached);
            let backtrace = trap::capture(store, None);
            (*store.as_ptr()).set_pending(Pending::Trap(code, backtrace));
        }
        activation::unwind()
    }
}

/// What the compiler expects of a grow builtin: the old size, or -1.
fn grown(old: Option<u64>) -> u64 {
    old.unwrap_or(u64::MAX)
}

/// [`Builtin::signature`]'s failure value for a grow builtin.
const GROW_FAILED: u64 = -2i64 as u64;

unsafe extern "C" fn memory_grow(context: *mut VmContext, memory: u32, delta: u64) -> u64 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_store(context, GROW_FAILED, |store| {
            let memory = store.as_ref().instance((*context).instance).memory(memory);
            (*store.as_ptr()).charge_fuel(delta, |cost| cost.memory_grow_per_page)?;
            VmStore::grow_memory(store, memory, delta, Asker::Guest).map(grown)
        })
    }
}

unsafe extern "C" fn memory_init(
    context: *mut VmContext,
    memory: u32,
    segment: u32,
    dst: u64,
    src: u32,
    len: u32,
) -> u32 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard_bulk(context, |store, instance| {
            store.memory_init(instance, memory, segment, dst, src.into(), len.into())?;
            store.charge_fuel(len.into(), |cost| cost.memory_init_per_byte)
        })
    }
}

unsafe extern "C" fn data_drop(context: *mut VmContext, segment: u32) {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, (), |store, instance| {
            store.instances[instance as usize].drop_data(segment);
            Ok(())
        })
    }
}

unsafe extern "C" fn table_grow(context: *mut VmContext, table: u32, delta: u64, element: u64) -> u64 {
    // SAFETY: S1, called by compiled code; S7, the compiler passes an element of the table's type.
    unsafe {
        guard_store(context, GROW_FAILED, |store| {
            let table = store.as_ref().instance((*context).instance).table(table);
            (*store.as_ptr()).charge_fuel(delta, |cost| cost.table_grow_per_element)?;
            VmStore::grow_table(store, table, delta, element, Asker::Guest).map(grown)
        })
    }
}

unsafe extern "C" fn table_fill(context: *mut VmContext, table: u32, dst: u64, element: u64, len: u64) -> u32 {
    // SAFETY: S1, called by compiled code; S7, the compiler passes an element of the table's type.
    unsafe {
        guard_bulk(context, |store, instance| {
            let table = store.instance(instance).table(table);
            let filled = store.tables[table as usize].fill(dst, element, len);
            VmStore::trap_unless(filled, TrapCode::TableOutOfBounds)?;
            store.charge_fuel(len, |cost| cost.table_fill_per_element)
        })
    }
}

unsafe extern "C" fn table_copy(
    context: *mut VmContext,
    dst_table: u32,
    src_table: u32,
    dst: u64,
    src: u64,
    len: u64,
) -> u32 {
    // SAFETY: S1, called by compiled code; S7, validation compared the tables' types.
    unsafe {
        guard_bulk(context, |store, instance| {
            let instance = store.instance(instance);
            let (to, from) = (instance.table(dst_table), instance.table(src_table));
            let tables = store.tables.as_mut_ptr();
            let table = |index: u32| NonNull::new_unchecked(tables.add(index as usize));
            let copied = TableData::copy(table(to), dst, table(from), src, len);
            VmStore::trap_unless(copied, TrapCode::TableOutOfBounds)?;
            store.charge_fuel(len, |cost| cost.table_copy_per_element)
        })
    }
}

unsafe extern "C" fn table_init(
    context: *mut VmContext,
    table: u32,
    segment: u32,
    dst: u64,
    src: u32,
    len: u32,
) -> u32 {
    // SAFETY: S1, called by compiled code; S7, validation compared the types.
    unsafe {
        guard_bulk(context, |store, instance| {
            store.table_init(instance, table, segment, dst, src.into(), len.into())?;
            store.charge_fuel(len.into(), |cost| cost.table_init_per_element)
        })
    }
}

unsafe extern "C" fn elem_drop(context: *mut VmContext, segment: u32) {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, (), |store, instance| {
            store.instances[instance as usize].drop_elements(segment);
            Ok(())
        })
    }
}

/// The address of an atomic operation of so many bytes: aligned, then inside.
fn atomic_address(store: &VmStore, memory: u32, index: u64, offset: u64, size: u64) -> Result<u64> {
    let address = index.wrapping_add(offset);
    VmStore::trap_unless(address.is_multiple_of(size), TrapCode::HeapMisaligned)?;
    let end = index.checked_add(offset).and_then(|address| address.checked_add(size));
    let inside = end.is_some_and(|end| end <= store.memory(memory).byte_len() as u64);
    VmStore::trap_unless(inside, TrapCode::MemoryOutOfBounds).map(|()| address)
}

unsafe extern "C" fn atomic_notify(context: *mut VmContext, memory: u32, index: u64, offset: u64, count: u32) -> i64 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, -1, |store, instance| {
            let memory = store.instance(instance).memory(memory);
            let address = atomic_address(store, memory, index, offset, 4)?;
            // Nobody can wait in a memory that is not shared.
            let Some(shared) = store.memory(memory).shared() else { return Ok(0) };
            Ok(shared.notify(address, count)?.into())
        })
    }
}

/// Waits in a shared memory; a negative timeout is none.
fn atomic_wait(
    store: &mut VmStore,
    instance: u32,
    memory: u32,
    (index, offset, size): (u64, u64, u64),
    timeout_ns: i64,
    wait: impl Fn(&SharedLinearMemory, u64, Option<Duration>, &Arc<Waiter>) -> Result<Wake, TrapCode>,
) -> Result<i64> {
    let memory = store.instance(instance).memory(memory);
    let address = atomic_address(store, memory, index, offset, size)?;
    let shared = store.memory(memory).shared().cloned().ok_or(TrapCode::AtomicWaitNonSharedMemory)?;
    let timeout = u64::try_from(timeout_ns).ok().map(Duration::from_nanos);
    let (start, waiter) = (Instant::now(), store.waiter());
    loop {
        store.check_interrupt()?;
        let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        match wait(&shared, address, left, &waiter)? {
            Wake::Notified => return Ok(0),
            Wake::Mismatch => return Ok(1),
            Wake::TimedOut => return Ok(2),
            // Perhaps of a request that the guest has met before it waited.
            Wake::Interrupted => {}
        }
    }
}

unsafe extern "C" fn atomic_wait32(
    context: *mut VmContext,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u32,
    timeout_ns: i64,
) -> i64 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, -1, |store, instance| {
            atomic_wait(store, instance, memory, (index, offset, 4), timeout_ns, |shared, address, timeout, waiter| {
                shared.wait32(address, expected, timeout, waiter)
            })
        })
    }
}

unsafe extern "C" fn atomic_wait64(
    context: *mut VmContext,
    memory: u32,
    index: u64,
    offset: u64,
    expected: u64,
    timeout_ns: i64,
) -> i64 {
    // SAFETY: S1, called by compiled code.
    unsafe {
        guard(context, -1, |store, instance| {
            atomic_wait(store, instance, memory, (index, offset, 8), timeout_ns, |shared, address, timeout, waiter| {
                shared.wait64(address, expected, timeout, waiter)
            })
        })
    }
}
