//! Code that is compiled while its module already runs.
//!
//! The module's artifact is a *skeleton*: whole but for its functions, each of which is a stub (see
//! [`hotfoot_abi::stub`]). Its mapping goes on behind the artifact:
//!
//! ```text
//!   the artifact: tables,  .text, tables, names  │ slots: a pointer  │ bodies: code of functions,
//!                          stubs, trampolines    │ per function      │ in the order in which it came
//!   read                   execute               │ read, write       │ execute; written through another mapping of
//!                                                │                   │ the same memory, which cannot be executed
//!                          └───────────────── text, to which all code offsets refer ─────────────┘
//! ```
//!
//! A slot first leads to [`arch::compile_and_jump`], which saves the arguments, calls [`resolve`], which waits for the
//! code, and jumps there. Code is complete, and its tables are published, before its slot is changed. Nothing that was
//! published ever changes, so a signal handler may read it.

use std::fs::File;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use hotfoot_abi::stub::STUB_SIZE;
use hotfoot_abi::vmctx::VmContext;
use hotfoot_artifact::{CodeTables, DebugSections};

use super::activation;
use super::builtins::guard_store;
use super::store::VmStore;
use super::sys::mmap::Mmap;
use super::sys::{arch, barrier, memfd, page};

/// Who compiles the functions of a module, once they are asked for or before.
pub trait Supplier: std::fmt::Debug + Send + Sync {
    /// Returns when a function, counting defined functions only, has been [placed](LazyCode::place).
    ///
    /// # Errors
    /// When it cannot be compiled.
    fn demand(&self, function: u32) -> Result<()>;

    /// Waits until all functions are compiled, and returns the artifact that they make.
    ///
    /// # Errors
    /// When one cannot be compiled.
    fn artifact(&self) -> Result<Vec<u8>>;

    /// Whether all functions are compiled.
    fn is_complete(&self) -> bool;

    /// What the module says of its source, which stays where it is as long as this.
    fn debug_sections(&self) -> DebugSections<'_>;
}

/// How much more memory the file of the bodies gets at a time.
const GROWTH: usize = 1 << 20;

/// What a lazily compiled module has beside its artifact. Offsets count from the start of the text.
#[derive(Debug)]
pub struct LazyCode {
    supplier: Box<dyn Supplier>,
    /// Address of the text.
    text: usize,
    /// Address of the first slot.
    slots: usize,
    /// The place of the bodies.
    place: Range<u32>,
    /// Published bodies, ascending by start; as many places as there are functions.
    bodies: Box<[OnceLock<Box<PlacedBody>>]>,
    /// How many are published.
    published: AtomicUsize,
    end: Mutex<End>,
}

/// Where the next body goes.
#[derive(Debug)]
struct End {
    /// Behind the last body.
    offset: u32,
    file: File,
    /// Bytes of the file.
    len: usize,
    /// The bodies, writable.
    view: Mmap,
}

/// A function's code behind the skeleton.
#[derive(Debug)]
struct PlacedBody {
    range: Range<u32>,
    function: u32,
    tables: CodeTables<'static>,
}

/// Where the parts of a lazily compiled module are in its mapping.
pub struct Places {
    /// The slots.
    slots: Range<usize>,
    /// The bodies.
    bodies: Range<usize>,
}

impl Places {
    /// For an artifact of so many bytes, in which the text begins and these many functions are.
    pub fn new(artifact_len: usize, text_start: usize, functions: usize) -> Option<Places> {
        let slots_start = page::round_up(artifact_len)?;
        let slots = slots_start..page::round_up(slots_start + functions * size_of::<usize>())?;
        let end = text_start + arch::CALL_REACH;
        (slots.end < end).then(|| Places { bodies: slots.end..end & !(page::size() - 1), slots })
    }

    /// Bytes of the mapping.
    pub fn len(&self) -> usize {
        self.bodies.end
    }
}

impl LazyCode {
    /// Completes a mapping that holds a skeleton: writes the stubs, which are not executable yet, and maps what is behind.
    ///
    /// # Safety
    /// S6: `text` is where in the mapping the text of a skeleton with so many functions is, and nobody else knows of it.
    pub unsafe fn new(
        map: &mut Mmap,
        text: usize,
        places: &Places,
        functions: usize,
        supplier: Box<dyn Supplier>,
    ) -> Result<LazyCode> {
        barrier::prepare().context("the system cannot make all threads see new code")?;
        map.make_writable(places.slots.clone())?;
        let file = memfd::create("hotfoot-code")?;
        map.map_code(places.bodies.clone(), &file)?;
        let view = Mmap::shared_file(&file, places.bodies.len())?;
        let base = map.base().as_ptr() as usize;
        let (text, slots) = (base + text, base + places.slots.start);
        let place = (base + places.bodies.start - text) as u32..(base + places.bodies.end - text) as u32;
        for function in 0..functions {
            let stub = text + function * STUB_SIZE as usize;
            let slot = slots + function * size_of::<usize>();
            // SAFETY: S6, by the caller's promise there is room for as many stubs, and the slots are ours and writable.
            unsafe {
                *(stub as *mut [u8; STUB_SIZE as usize]) = arch::stub(stub, slot);
                *(slot as *mut usize) = arch::compile_and_jump as *const () as usize;
            }
        }
        Ok(LazyCode {
            supplier,
            text,
            slots,
            bodies: std::iter::repeat_with(OnceLock::new).take(functions).collect(),
            published: AtomicUsize::new(0),
            end: Mutex::new(End { offset: place.start, file, len: 0, view }),
            place,
        })
    }

    /// Who compiles.
    pub fn supplier(&self) -> &dyn Supplier {
        &*self.supplier
    }

    /// What the module says of its source. To be forgotten before this is dropped.
    pub(super) fn debug_sections(&self) -> Option<DebugSections<'static>> {
        let DebugSections { code_start, sections } = self.supplier.debug_sections();
        // SAFETY: S19, the supplier does not move what it gives out, and is dropped with this.
        let forever = |(name, contents)| unsafe { (&*ptr::from_ref::<str>(name), &*ptr::from_ref::<[u8]>(contents)) };
        let sections: Vec<_> = sections.into_iter().map(forever).collect();
        (!sections.is_empty()).then_some(DebugSections { code_start, sections })
    }

    /// Where the text ends that the module may come to have.
    pub fn text_end(&self) -> usize {
        self.text + self.place.end as usize
    }

    fn slot(&self, function: u32) -> &AtomicUsize {
        assert!((function as usize) < self.bodies.len(), "a slot of a function that the module does not have");
        // SAFETY: S19, an aligned word of the mapping, which is there as long as this, and only accessed atomically.
        unsafe { &*((self.slots + function as usize * size_of::<usize>()) as *const AtomicUsize) }
    }

    /// The offset at which calls reach a function: its code, or its stub.
    pub fn call_offset(&self, function: u32) -> u32 {
        let code = self.slot(function).load(Ordering::Acquire);
        if code == arch::compile_and_jump as *const () as usize {
            return function * STUB_SIZE;
        }
        (code - self.text) as u32
    }

    /// Puts a function's code behind what there is and lets its slot lead there. `place` is given the offset, a multiple of
    /// `alignment`, and makes the code, which has `len` bytes, and its tables. Invariant S6: this engine's compiler made it.
    ///
    /// # Errors
    /// When there is no room, and those of `place`.
    pub fn place(
        &self,
        function: u32,
        len: usize,
        alignment: u32,
        place: impl FnOnce(u32) -> Result<(Vec<u8>, CodeTables<'static>)>,
    ) -> Result<()> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let start = end.offset.next_multiple_of(alignment);
        let behind = u32::try_from(len).ok().and_then(|len| start.checked_add(len));
        let behind = behind.filter(|behind| *behind <= self.place.end);
        let behind =
            behind.context("the module's machine code is too large to be compiled lazily; compile it whole")?;
        end.grow((behind - self.place.start) as usize)?;
        let (bytes, tables) = place(start)?;
        ensure!(bytes.len() == len, "the code of function {function} has changed its length");
        // SAFETY: S19, `grow` made the file long enough for `len` bytes there, and the lock makes us the only writer.
        unsafe {
            let target = end.view.base().as_ptr().add((start - self.place.start) as usize);
            ptr::copy_nonoverlapping(bytes.as_ptr(), target, len);
        }
        end.offset = behind;
        let code = self.text + start as usize;
        arch::synchronize_instructions(code as *const u8, len);
        barrier::all_threads_see_new_code();
        let number = self.published.load(Ordering::Relaxed);
        let body = PlacedBody { range: start..behind, function, tables };
        let place = self.bodies.get(number).context("more code was placed than there are functions")?;
        place.set(Box::new(body)).ok().context("two bodies were published at once")?;
        self.published.store(number + 1, Ordering::Release);
        self.slot(function).store(code, Ordering::Release);
        Ok(())
    }

    /// The body that an offset is in. Async-signal-safe.
    fn body_at(&self, offset: u32) -> Option<&PlacedBody> {
        if offset < self.place.start {
            return None;
        }
        let published = &self.bodies[..self.published.load(Ordering::Acquire)];
        let next = published.partition_point(|body| body.get().is_some_and(|body| body.range.start <= offset));
        let body = published.get(next.checked_sub(1)?)?.get()?;
        body.range.contains(&offset).then_some(body)
    }

    /// The function whose code behind the skeleton an offset is in, and where it begins. Async-signal-safe.
    pub fn function_at(&self, offset: u32) -> Option<(u32, u32)> {
        self.body_at(offset).map(|body| (body.function, body.range.start))
    }

    /// The tables of the code at an offset behind the skeleton. Async-signal-safe.
    pub fn tables_at(&self, offset: u32) -> Option<&CodeTables<'static>> {
        self.body_at(offset).map(|body| &body.tables)
    }

    /// Waits until the function with this slot is compiled, and tells where its code is.
    fn demand(&self, slot: usize) -> Result<usize> {
        let function = ((slot - self.slots) / size_of::<usize>()) as u32;
        self.supplier.demand(function)?;
        Ok(self.slot(function).load(Ordering::Acquire))
    }
}

impl End {
    /// Makes the file at least so long.
    fn grow(&mut self, needed: usize) -> Result<()> {
        if needed > self.len {
            let len = needed.next_multiple_of(GROWTH).min(self.view.len());
            self.file.set_len(len as u64).context("cannot get memory for compiled code")?;
            self.len = len;
        }
        Ok(())
    }
}

/// Called by [`arch::compile_and_jump`] for a function without code: returns when it has some, and where that is. If
/// there will be none, the guest is left with the error.
///
/// # Safety
/// S19: `callee` is the context with which a function of a lazily compiled module was called, and `slot` that function's
/// slot. `frame` points to the frame pointer of the calling function, and to where the call returns to.
pub unsafe extern "C" fn resolve(callee: *mut VmContext, slot: usize, frame: *const [usize; 2], fuel: i64) -> usize {
    // SAFETY: S1, S19: the guest waits; where it stands is recorded as trampolines do it. S8: nothing is owned here when the
    // guest is left.
    unsafe {
        let code = guard_store(callee, 0, |store| {
            let vm = store.as_ptr();
            [(*vm).ctx.last_exit_fp, (*vm).ctx.last_exit_pc] = *frame;
            VmStore::keep_fuel(store, fuel);
            // The instance keeps its module, which keeps the code.
            let module = (*vm).instance((*callee).instance).module();
            let lazy = module.code().lazy().context("a stub was called in a module that has none")?;
            let code = lazy.demand(slot)?;
            (*vm).check_interrupt()?;
            Ok(code)
        });
        if code == 0 { activation::unwind() } else { code }
    }
}
