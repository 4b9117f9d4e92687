//! Stacks that are no thread's: for fibers, and for the compiler when a guest's thread compiles.
//!
//! An engine keeps idle ones of its fibers, which are used again, and pooling limits how many there are.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::sys::arch;
use super::sys::mmap::Mmap;
use crate::config::{Config, InstanceAllocationStrategy};

/// Idle stacks that an engine keeps.
const MAX_IDLE_STACKS: usize = 256;

/// A stack, with a page below it that nothing can access. It is one word, because it is passed on with each call that may wait.
#[derive(Debug)]
pub struct Stack(NonNull<Upper>);

/// What is at the upper end of a stack.
#[repr(align(16))]
struct Upper {
    mapping: Mmap,
}

// SAFETY: S15, whoever has a stack is the only one who uses its memory.
unsafe impl Send for Stack {}
// SAFETY: S15, nothing can be done with a shared one.
unsafe impl Sync for Stack {}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: S15, nobody uses the stack; moved out before its memory is unmapped.
        drop(unsafe { self.0.read() }.mapping);
    }
}

impl Stack {
    /// One of at least so many bytes.
    pub fn new(bytes: usize) -> io::Result<Stack> {
        let bytes = bytes.checked_add(size_of::<Upper>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mmap::stack(bytes)?;
        // SAFETY: S15, inside of the mapping, whose end is that of a page, and which nobody else uses.
        unsafe {
            let upper = mapping.base().add(mapping.len()).cast::<Upper>().sub(1);
            upper.write(Upper { mapping });
            Ok(Stack(upper))
        }
    }

    /// Where a value lies at the upper end, and the rest of the stack below it.
    #[inline]
    pub(super) fn place<V>(&self) -> NonNull<V> {
        const { assert!(size_of::<V>() <= 4096, "most of a stack must be left") };
        const { assert!(align_of::<V>() <= 16, "a stack is aligned to 16 bytes") };
        // SAFETY: S15, inside of the mapping, which is larger than the values that are let in above.
        unsafe { self.0.cast::<u8>().sub(size_of::<V>().next_multiple_of(16)).cast() }
    }

    /// Calls a function on this stack.
    pub fn call<F: FnOnce() -> R, R>(&mut self, function: F) -> R {
        struct Call<F, R> {
            other: usize,
            function: Option<F>,
            result: Option<thread::Result<R>>,
        }
        unsafe extern "C" fn run<F: FnOnce() -> R, R>(call: *mut u8) {
            // SAFETY: S15, that of the caller below, which waits for this.
            let call = unsafe { &mut *call.cast::<Call<F, R>>() };
            call.result = call.function.take().map(|function| catch_unwind(AssertUnwindSafe(function)));
        }
        let mut call = Call { other: 0, function: Some(function), result: None };
        let pointer = &raw mut call;
        // SAFETY: S15, the stack is borrowed exclusively, and what is called catches panics.
        unsafe {
            let top = self.place::<()>().as_ptr().cast();
            arch::call_on_stack(&raw mut (*pointer).other, top, run::<F, R>, pointer.cast());
        }
        match call.result.expect("the function returned") {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// See the module's documentation.
#[derive(Default)]
pub struct Stacks {
    /// Whether a host function was made that may wait; without, nobody needs a stack.
    wanted: AtomicBool,
    idle: Mutex<Vec<Stack>>,
    /// How many there are, in use and idle.
    count: AtomicU32,
}

impl std::fmt::Debug for Stacks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stacks").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Stacks {
    /// From now on asynchronous calls run on fibers.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether asynchronous calls run on fibers.
    #[inline]
    pub fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// A stack for a fiber.
    ///
    /// # Errors
    /// When the pool has no more, or the host.
    pub fn take(&self, config: &Config) -> Result<Stack> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(stack) = idle {
            return Ok(stack);
        }
        let limit = match &config.allocation_strategy {
            InstanceAllocationStrategy::Pooling(pool) => pool.total_stacks,
            InstanceAllocationStrategy::OnDemand => u32::MAX,
        };
        let one_more = |count| (count < limit).then_some(count + 1);
        let counted = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        ensure!(
            counted.is_ok(),
            "all stacks of the pool are in use by asynchronous calls: {limit}; raise \
             `PoolingAllocationConfig::total_stacks`"
        );
        let bytes = config.async_stack_size;
        Stack::new(bytes).with_context(|| {
            self.count.fetch_sub(1, Ordering::Relaxed);
            format!("cannot get a stack of {bytes} bytes for an asynchronous call; lower `Config::async_stack_size`")
        })
    }

    /// Keeps a stack for the next fiber.
    pub fn give(&self, stack: Stack) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE_STACKS {
            idle.push(stack);
        } else {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
