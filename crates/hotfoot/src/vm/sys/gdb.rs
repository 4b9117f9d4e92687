//! The GDB JIT interface: a list of ELF files in memory, and a function where debuggers stop to look at it.
//!
//! Both symbols are weak, because other code generators in the process define them, too; then all share one list.
//!
//! Source: [GDB's manual](https://sourceware.org/gdb/current/onlinedocs/gdb.html/JIT-Interface.html).

use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `struct jit_code_entry`
#[derive(Debug)]
#[repr(C)]
struct Entry {
    next: *mut Entry,
    previous: *mut Entry,
    file: *const u8,
    len: u64,
}

/// `struct jit_descriptor`
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

/// Values of `action`.
const NOTHING: u32 = 0;
const REGISTER: u32 = 1;
const UNREGISTER: u32 = 2;

std::arch::global_asm!(
    ".pushsection .text.__jit_debug_register_code, \"ax\", %progbits",
    ".weak __jit_debug_register_code",
    ".type __jit_debug_register_code, %function",
    "__jit_debug_register_code:",
    "ret",
    ".size __jit_debug_register_code, . - __jit_debug_register_code",
    ".popsection",
    ".pushsection .data.__jit_debug_descriptor, \"aw\", %progbits",
    ".weak __jit_debug_descriptor",
    ".type __jit_debug_descriptor, %object",
    ".p2align 3",
    "__jit_debug_descriptor:",
    // Version 1, no action, no entries.
    ".4byte 1, 0",
    ".8byte 0, 0",
    ".size __jit_debug_descriptor, . - __jit_debug_descriptor",
    ".popsection",
);

unsafe extern "C" {
    static mut __jit_debug_descriptor: Descriptor;
    fn __jit_debug_register_code();
}

static LOCK: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that debuggers can see, as long as this lives.
#[derive(Debug)]
pub struct Registered {
    entry: *mut Entry,
    /// What the entry points to.
    _file: Vec<u8>,
}

// SAFETY: S21, the entry is only touched under the lock.
unsafe impl Send for Registered {}
// SAFETY: S21, as above.
unsafe impl Sync for Registered {}

impl Registered {
    /// Shows debuggers a file.
    pub fn new(file: Vec<u8>) -> Registered {
        let _guard = lock();
        // SAFETY: S21, the lock makes us the only one who changes the list; the entry and the file stay until `drop`.
        unsafe {
            let descriptor = &raw mut __jit_debug_descriptor;
            let next = (*descriptor).first;
            let entry = Entry { next, previous: ptr::null_mut(), file: file.as_ptr(), len: file.len() as u64 };
            let entry = Box::into_raw(Box::new(entry));
            if !next.is_null() {
                (*next).previous = entry;
            }
            (*descriptor).first = entry;
            tell(descriptor, entry, REGISTER);
            Registered { entry, _file: file }
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _guard = lock();
        // SAFETY: S21, as in `new`; the entry is in the list, and is freed when nothing points to it any more.
        unsafe {
            let descriptor = &raw mut __jit_debug_descriptor;
            let Entry { next, previous, .. } = *self.entry;
            match previous.is_null() {
                true => (*descriptor).first = next,
                false => (*previous).next = next,
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
            tell(descriptor, self.entry, UNREGISTER);
            drop(Box::from_raw(self.entry));
        }
    }
}

/// Lets a debugger know, if there is one.
///
/// # Safety
/// S21: the caller holds the lock, and the entry is alive.
unsafe fn tell(descriptor: *mut Descriptor, entry: *mut Entry, action: u32) {
    // SAFETY: S21, by the caller's promise; the function returns at once.
    unsafe {
        (*descriptor).relevant = entry;
        (*descriptor).action = action;
        __jit_debug_register_code();
        (*descriptor).action = NOTHING;
        (*descriptor).relevant = ptr::null_mut();
    }
}
