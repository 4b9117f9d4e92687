//! The VM context: the memory that compiled code sees of an instance.
//!
//! Each function receives a pointer to its instance's [`VmContext`]; everything it needs is at an offset from there
//! that [`VmLayout`] computes from the module's counts. All parts are `repr(C)`.
//!
//! ```text
//!  offset 0          VmContext                     fixed header
//!                    [VmFuncRef; imported funcs]
//!                    [*mut VmTable; imported tables]
//!                    [*mut VmMemory; imported memories]
//!                    [*mut VmGlobal; imported globals]
//!                    [*mut VmTag; imported tags]
//!                    [VmTable; defined tables]
//!                    [VmMemory; defined memories]
//!  aligned to 16     [VmGlobal; defined globals]
//!                    [VmTag; defined tags]
//!                    [VmFuncRef; escaping functions]   defined functions that a reference can name
//! ```
//!
//! The pointers are `*mut u8` where the pointee is not part of the contract.

use core::mem::offset_of;

/// First field of a [`VmContext`] that belongs to a wasm instance.
pub const INSTANCE_MAGIC: u32 = u32::from_le_bytes(*b"hfvm");
/// First field of a [`VmHostContext`].
pub const HOST_MAGIC: u32 = u32::from_le_bytes(*b"hfho");

/// The fixed header of an instance's context.
#[repr(C, align(16))]
pub struct VmContext {
    /// [`INSTANCE_MAGIC`].
    pub magic: u32,
    /// The instance's index in its store; belongs to the runtime.
    pub instance: u32,
    /// The store's part that code reads and writes.
    pub store: *mut VmStoreContext,
    /// Function pointers, indexed by [`Builtin`](crate::builtin::Builtin).
    pub builtins: *const *const u8,
    /// The engine-wide type number (`u32`) of each of the module's types.
    pub type_ids: *const u32,
    /// The engine's displays, see [`types`](crate::types).
    pub type_displays: *const u32,
}

/// What compiled code reads and writes of its store.
#[repr(C)]
pub struct VmStoreContext {
    /// A function whose frame would reach below this address traps with a stack overflow.
    pub stack_limit: usize,
    /// Frame pointer of the wasm function that last left compiled code through a trampoline.
    pub last_exit_fp: usize,
    /// Address in that function to which the call it made will return.
    pub last_exit_pc: usize,
    /// Address of the heap of garbage-collected objects ([`gc`](crate::gc)); constant while an instance that needs it
    /// lives.
    pub gc_base: *mut u8,
    /// Offset in the heap at which the next object will be; compiled code advances it.
    pub gc_next: u64,
    /// An object that would end beyond this offset is allocated by [`GcAllocate`](crate::builtin::Builtin::GcAllocate).
    pub gc_limit: u64,
    /// Fuel that is left, outside of compiled code; below zero it is used up. While code that consumes fuel runs, the
    /// pinned register of the target holds it.
    pub fuel: i64,
    /// The epoch at which code stops and asks the runtime what to do.
    pub epoch_deadline: u64,
    /// Where the engine's current epoch is.
    pub epoch: *const u64,
}

/// The context of a host function: passed where an instance's context is passed to a wasm function.
#[repr(C)]
pub struct VmHostContext {
    /// [`HOST_MAGIC`].
    pub magic: u32,
    /// Reserved, zero.
    pub reserved: u32,
    /// The C function that the wasm→host trampoline calls, see [`call`](crate::call).
    pub host: *const u8,
    /// The C function that takes its arguments as the guest passes them, if it can; the runtime's own business.
    pub native: *const u8,
}

/// A function as a value: what a `funcref` points to, and the form of an imported function.
#[repr(C)]
#[derive(Copy, Clone, Debug)]
pub struct VmFuncRef {
    /// The function's code in the `tail` convention. For a host function: a trampoline of the calling module.
    pub code: *const u8,
    /// The callee's own context: a [`VmContext`] or a [`VmHostContext`].
    pub vmctx: *mut VmContext,
    /// The host→wasm trampoline for this function's type; null for a host function.
    pub entry: *const u8,
    /// Engine-wide number of the function's type.
    pub type_id: u32,
    /// Reserved, zero.
    pub reserved: u32,
}

/// A linear memory as code sees it.
#[repr(C)]
#[derive(Copy, Clone, Debug)]
pub struct VmMemory {
    /// Address of byte 0.
    pub base: *mut u8,
    /// Current size in bytes.
    pub byte_len: u64,
}

/// A shared memory that the module defines, as code sees it: in the place of its [`VmMemory`], which lies elsewhere
/// because instances of other threads use it too.
#[repr(C)]
#[derive(Copy, Clone, Debug)]
pub struct VmSharedMemory {
    /// Where base and size are. The base never changes; the size only grows, and is read and written atomically.
    pub definition: *mut VmMemory,
    /// Reserved, zero.
    pub reserved: u64,
}

const _: () = assert!(size_of::<VmSharedMemory>() == size_of::<VmMemory>());

/// A table as code sees it. Each element takes 8 bytes: a `*mut VmFuncRef`, or any other reference in the low 32 bits.
#[repr(C)]
#[derive(Copy, Clone, Debug)]
pub struct VmTable {
    /// Address of element 0.
    pub base: *mut u64,
    /// Current number of elements.
    pub len: u64,
}

/// The value of a global, in its low bytes.
#[repr(C, align(16))]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct VmGlobal {
    /// Little endian.
    pub bytes: [u8; 16],
}

/// A tag of exceptions. Its address is its identity: two tags are the same when they lie at one address.
#[repr(C)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VmTag {
    /// Engine-wide number of the function type whose parameters are the payload.
    pub type_id: u32,
    /// Reserved, zero.
    pub reserved: u32,
}

/// Offsets of fields that compiled code reads.
pub mod offsets {
    use super::*;

    /// `VmContext::store`
    pub const VMCTX_STORE: u32 = offset_of!(VmContext, store) as u32;
    /// `VmContext::builtins`
    pub const VMCTX_BUILTINS: u32 = offset_of!(VmContext, builtins) as u32;
    /// `VmContext::type_ids`
    pub const VMCTX_TYPE_IDS: u32 = offset_of!(VmContext, type_ids) as u32;
    /// `VmContext::type_displays`
    pub const VMCTX_TYPE_DISPLAYS: u32 = offset_of!(VmContext, type_displays) as u32;
    /// `VmStoreContext::stack_limit`
    pub const STORE_STACK_LIMIT: u32 = offset_of!(VmStoreContext, stack_limit) as u32;
    /// `VmStoreContext::last_exit_fp`
    pub const STORE_LAST_EXIT_FP: u32 = offset_of!(VmStoreContext, last_exit_fp) as u32;
    /// `VmStoreContext::last_exit_pc`
    pub const STORE_LAST_EXIT_PC: u32 = offset_of!(VmStoreContext, last_exit_pc) as u32;
    /// `VmStoreContext::gc_base`
    pub const STORE_GC_BASE: u32 = offset_of!(VmStoreContext, gc_base) as u32;
    /// `VmStoreContext::gc_next`
    pub const STORE_GC_NEXT: u32 = offset_of!(VmStoreContext, gc_next) as u32;
    /// `VmStoreContext::gc_limit`
    pub const STORE_GC_LIMIT: u32 = offset_of!(VmStoreContext, gc_limit) as u32;
    /// `VmStoreContext::fuel`
    pub const STORE_FUEL: u32 = offset_of!(VmStoreContext, fuel) as u32;
    /// `VmStoreContext::epoch_deadline`
    pub const STORE_EPOCH_DEADLINE: u32 = offset_of!(VmStoreContext, epoch_deadline) as u32;
    /// `VmStoreContext::epoch`
    pub const STORE_EPOCH: u32 = offset_of!(VmStoreContext, epoch) as u32;
    /// `VmHostContext::host`
    pub const HOST_FUNCTION: u32 = offset_of!(VmHostContext, host) as u32;
    /// `VmFuncRef::code`
    pub const FUNCREF_CODE: u32 = offset_of!(VmFuncRef, code) as u32;
    /// `VmFuncRef::vmctx`
    pub const FUNCREF_VMCTX: u32 = offset_of!(VmFuncRef, vmctx) as u32;
    /// `VmFuncRef::type_id`
    pub const FUNCREF_TYPE_ID: u32 = offset_of!(VmFuncRef, type_id) as u32;
    /// `VmMemory::base`
    pub const MEMORY_BASE: u32 = offset_of!(VmMemory, base) as u32;
    /// `VmMemory::byte_len`
    pub const MEMORY_BYTE_LEN: u32 = offset_of!(VmMemory, byte_len) as u32;
    /// `VmTable::base`
    pub const TABLE_BASE: u32 = offset_of!(VmTable, base) as u32;
    /// `VmTable::len`
    pub const TABLE_LEN: u32 = offset_of!(VmTable, len) as u32;
}

/// How many of each thing a module has: all that the layout depends on.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Imported functions.
    pub imported_funcs: u32,
    /// Imported tables.
    pub imported_tables: u32,
    /// Imported memories.
    pub imported_memories: u32,
    /// Imported globals.
    pub imported_globals: u32,
    /// Imported tags.
    pub imported_tags: u32,
    /// Tables that the module defines.
    pub defined_tables: u32,
    /// Memories that the module defines.
    pub defined_memories: u32,
    /// Globals that the module defines.
    pub defined_globals: u32,
    /// Tags that the module defines.
    pub defined_tags: u32,
    /// Defined functions that a reference can name.
    pub escaping_funcs: u32,
}

/// Where each part of one module's VM context begins, in bytes from its start.
///
/// ```
/// use hotfoot_abi::vmctx::{Counts, VmLayout};
/// let layout = VmLayout::new(Counts { imported_funcs: 2, defined_memories: 1, ..Counts::default() });
/// assert_eq!(layout.defined_memory(0) % 8, 0);
/// assert!(layout.size() > layout.defined_memory(0));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VmLayout {
    imported_funcs: u32,
    imported_tables: u32,
    imported_memories: u32,
    imported_globals: u32,
    imported_tags: u32,
    defined_tables: u32,
    defined_memories: u32,
    defined_globals: u32,
    defined_tags: u32,
    escaping_funcs: u32,
    size: u32,
}

impl VmLayout {
    /// Computes the layout. Counts are bounded by the decoder (a million of each at most), so offsets fit 31 bits.
    pub fn new(counts: Counts) -> VmLayout {
        let mut end = size_of::<VmContext>() as u32;
        let mut part = |count: u32, size: usize, align: u32| {
            let start = end.next_multiple_of(align);
            end = start + count * size as u32;
            start
        };
        let imported_funcs = part(counts.imported_funcs, size_of::<VmFuncRef>(), 8);
        let imported_tables = part(counts.imported_tables, 8, 8);
        let imported_memories = part(counts.imported_memories, 8, 8);
        let imported_globals = part(counts.imported_globals, 8, 8);
        let imported_tags = part(counts.imported_tags, 8, 8);
        let defined_tables = part(counts.defined_tables, size_of::<VmTable>(), 8);
        let defined_memories = part(counts.defined_memories, size_of::<VmMemory>(), 8);
        let defined_globals = part(counts.defined_globals, size_of::<VmGlobal>(), 16);
        let defined_tags = part(counts.defined_tags, size_of::<VmTag>(), 8);
        let escaping_funcs = part(counts.escaping_funcs, size_of::<VmFuncRef>(), 8);
        VmLayout {
            imported_funcs,
            imported_tables,
            imported_memories,
            imported_globals,
            imported_tags,
            defined_tables,
            defined_memories,
            defined_globals,
            defined_tags,
            escaping_funcs,
            size: end.next_multiple_of(16),
        }
    }

    /// The imported function's [`VmFuncRef`].
    pub fn imported_func(&self, index: u32) -> u32 {
        self.imported_funcs + index * size_of::<VmFuncRef>() as u32
    }

    /// The pointer to an imported table's [`VmTable`].
    pub fn imported_table(&self, index: u32) -> u32 {
        self.imported_tables + index * 8
    }

    /// The pointer to an imported memory's [`VmMemory`].
    pub fn imported_memory(&self, index: u32) -> u32 {
        self.imported_memories + index * 8
    }

    /// The pointer to an imported global's [`VmGlobal`].
    pub fn imported_global(&self, index: u32) -> u32 {
        self.imported_globals + index * 8
    }

    /// The pointer to an imported tag's [`VmTag`].
    pub fn imported_tag(&self, index: u32) -> u32 {
        self.imported_tags + index * 8
    }

    /// A defined table's [`VmTable`]; `index` counts defined tables only.
    pub fn defined_table(&self, index: u32) -> u32 {
        self.defined_tables + index * size_of::<VmTable>() as u32
    }

    /// A defined memory's [`VmMemory`]; `index` counts defined memories only.
    pub fn defined_memory(&self, index: u32) -> u32 {
        self.defined_memories + index * size_of::<VmMemory>() as u32
    }

    /// A defined global's [`VmGlobal`]; `index` counts defined globals only.
    pub fn defined_global(&self, index: u32) -> u32 {
        self.defined_globals + index * size_of::<VmGlobal>() as u32
    }

    /// A defined tag's [`VmTag`]; `index` counts defined tags only.
    pub fn defined_tag(&self, index: u32) -> u32 {
        self.defined_tags + index * size_of::<VmTag>() as u32
    }

    /// The [`VmFuncRef`] of the `slot`th escaping function.
    pub fn escaping_func(&self, slot: u32) -> u32 {
        self.escaping_funcs + slot * size_of::<VmFuncRef>() as u32
    }

    /// Size of the whole context in bytes, a multiple of 16.
    pub fn size(&self) -> u32 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_and_are_aligned() {
        let layout = VmLayout::new(Counts {
            imported_funcs: 3,
            imported_tables: 1,
            imported_memories: 1,
            imported_globals: 1,
            imported_tags: 2,
            defined_tables: 2,
            defined_memories: 1,
            defined_globals: 5,
            defined_tags: 3,
            escaping_funcs: 7,
        });
        let starts = [
            size_of::<VmContext>() as u32,
            layout.imported_func(3),
            layout.imported_table(1),
            layout.imported_memory(1),
            layout.imported_global(1),
            layout.imported_tag(2),
            layout.defined_table(2),
            layout.defined_memory(1),
            layout.defined_global(5),
            layout.defined_tag(3),
            layout.escaping_func(7),
            layout.size(),
        ];
        assert!(starts.is_sorted());
        assert_eq!(layout.defined_global(0) % 16, 0);
        assert_eq!(layout.size() % 16, 0);
    }
}
