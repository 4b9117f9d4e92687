//! Exceptions, on their way from where they are thrown to their handler.
//!
//! ```text
//!  throw ──▶ Thrown ──find──▶ a frame of this activation has a handler ──▶ resume there
//!                     └─────▶ none has: leave the activation with a ThrownException as its error
//!                               └─ a host function returns that error: it is thrown again one activation further out
//! ```
//!
//! Frames are found by their frame pointers, handlers by binary search for the frame's return address in the table of
//! the module's artifact ([`hotfoot_abi::exception`]). Traps and errors of the host's have no handlers.
//!
//! An exception is an object in the store's heap once an `exnref` to it was made, or once it leaves the guest with
//! references in it; without a reference it is gone when it is caught.
//!
//! Invariant S8: what is skipped when a handler is resumed are compiled frames, which own nothing, and the frame of the
//! builtin that resumes, which has dropped everything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use anyhow::{Result, ensure};
use hotfoot_abi::exception::Catch;
use hotfoot_abi::gc::{Kind, Storage, StructLayout};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::{VmContext, VmTag};
use hotfoot_artifact::FuncType;

use super::activation;
use super::gc::handles::RootIndex;
use super::gc::holds_objects;
use super::slot::Slot;
use super::store::VmStore;
use super::sys::arch;
use super::trap::{self, Pending};
use crate::exn_ref::{ExnRef, ThrownException};
use crate::rooting::OwnedRooted;
use crate::rooting::sealed::Reference;
use crate::value::Val;

/// A pointer to a tag of some store; tags are the same when these are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagPtr(NonNull<VmTag>);

// SAFETY: S3, only dereferenced together with a borrow of the store that owns the pointee.
unsafe impl Send for TagPtr {}
// SAFETY: S3, as above.
unsafe impl Sync for TagPtr {}

impl TagPtr {
    pub(super) fn new(pointer: NonNull<VmTag>) -> TagPtr {
        TagPtr(pointer)
    }

    pub(super) fn as_non_null(self) -> NonNull<VmTag> {
        self.0
    }
}

/// An exception on its way.
#[derive(Debug)]
pub enum Thrown {
    /// One that no reference was made to.
    New {
        /// Its tag.
        tag: TagPtr,
        /// Values of the types that the tag says.
        payload: Vec<Slot>,
    },
    /// One in the heap, by its `exnref`, which is not null. Nothing is allocated while it is on its way.
    Referenced(u32),
}

/// An exception that left the guest: it may be kept for any time.
#[derive(Debug)]
pub enum Carried {
    /// One without references in it.
    Values(TagPtr, Vec<Slot>),
    /// One in the heap.
    Object(OwnedRooted<ExnRef>),
}

/// What a store keeps for its exceptions.
#[derive(Debug, Default)]
pub struct Exceptions {
    /// Payload of what was caught last; the handler reads it before anything else happens.
    caught: Vec<Slot>,
}

impl Exceptions {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.caught.clear();
    }
}

/// Where compiled code goes on, and with what.
#[derive(Copy, Clone, Debug)]
pub struct Landing {
    pc: usize,
    sp: usize,
    fp: usize,
    words: [u64; 2],
}

/// A handler in a frame that is being called from.
struct Handler {
    pc: usize,
    sp: usize,
    fp: usize,
    by_reference: bool,
}

/// Finds the innermost handler for a tag in the newest activation.
///
/// # Safety
/// S1, S9: compiled code of this store waits in a call of the runtime, and its trampoline recorded where.
unsafe fn find(store: NonNull<VmStore>, tag: TagPtr) -> Option<Handler> {
    // SAFETY: S1, the store is alive; S9, the references are dropped before this returns.
    let (vm, activation) = unsafe { (store.as_ref(), activation::chain().next()?) };
    // SAFETY: S9, no module is added while this runs.
    let index = unsafe { VmStore::code_index(store) };
    let (mut fp, mut pc) = (vm.ctx.last_exit_fp, vm.ctx.last_exit_pc);
    let end = activation.entry_frame();
    while fp != end && fp != 0 {
        // The call instruction is before the address that it returns to, which may be behind the text.
        let module = index.find(pc.wrapping_sub(1));
        let code = module.map(|module| module.code());
        let offset = code.and_then(|code| Some((code, code.offset_of(pc.wrapping_sub(1))? + 1)));
        if let Some((code, offset)) = offset
            && let Some((site, handlers)) = code.handlers_at(offset)
        {
            let sp = fp - site.frame_size.get() as usize;
            // SAFETY: S6, the compiler keeps the function's context at this place of the frame during the call.
            let context = unsafe { *((sp + site.context.get() as usize) as *const NonNull<VmContext>) };
            // SAFETY: S3, S4: contexts live as long as the store.
            let instance = vm.instance(unsafe { context.as_ref().instance });
            let matching = handlers.iter().find_map(|handler| {
                let catch = Catch::decode(handler.catch.get());
                let caught = catch.tag.is_none_or(|index| instance.tag(index) == tag);
                caught.then_some((code.address(handler.code.get()) as usize, catch.reference))
            });
            if let Some((pc, by_reference)) = matching {
                return Some(Handler { pc, sp, fp, by_reference });
            }
        }
        // SAFETY: S6, compiled code keeps frame pointers: `fp` points to the caller's and the return address.
        (fp, pc) = unsafe { (*(fp as *const usize), *(fp as *const usize).add(1)) };
    }
    None
}

/// Looks for a handler; without one, the exception becomes the error with which the activation is left.
///
/// # Safety
/// As [`find`]; S2: nobody borrows the store.
unsafe fn throw(store: NonNull<VmStore>, thrown: Thrown) -> Result<Option<Landing>> {
    // SAFETY: S2, by the caller's promise; the borrow ends before frames are walked.
    let tag = unsafe { (*store.as_ptr()).tag_of(&thrown) };
    // SAFETY: S1, S9, by the caller's promise.
    let handler = unsafe { find(store, tag) };
    // SAFETY: S2, the only borrow until this returns.
    let vm = unsafe { &mut *store.as_ptr() };
    let Some(handler) = handler else {
        let carried = vm.carry(thrown)?;
        let error = ThrownException::from_parts(vm, tag, carried);
        // SAFETY: S9, by the caller's promise.
        let frames = unsafe { trap::capture(store, None) };
        vm.set_pending(Pending::Exception(error.into(), frames));
        return Ok(None);
    };
    land(vm, thrown, &handler).map(Some)
}

fn land(vm: &mut VmStore, thrown: Thrown, handler: &Handler) -> Result<Landing> {
    let words = vm.catch(thrown, handler.by_reference)?;
    Ok(Landing { pc: handler.pc, sp: handler.sp, fp: handler.fp, words })
}

/// Looks for a handler if what is pending is an exception, which a host function returned.
///
/// # Safety
/// As [`throw`].
unsafe fn throw_pending(store: NonNull<VmStore>) -> Result<Option<Landing>> {
    // SAFETY: S2, by the caller's promise.
    let Some(tag) = (unsafe { (*store.as_ptr()).pending_exception() }) else { return Ok(None) };
    // SAFETY: S1, S9, by the caller's promise.
    let Some(handler) = (unsafe { find(store, tag) }) else { return Ok(None) };
    // SAFETY: S2, the only borrow until this returns.
    let vm = unsafe { &mut *store.as_ptr() };
    match vm.take_pending() {
        Pending::Exception(error, _) => {
            let thrown = vm.throw_again(error.downcast::<ThrownException>()?.into_carried())?;
            land(vm, thrown, &handler).map(Some)
        }
        other => {
            vm.set_pending(other);
            Ok(None)
        }
    }
}

/// Goes on at the handler that `f` finds, or leaves the activation with the pending error.
///
/// # Safety
/// S8: called by a builtin that compiled code called through its trampoline, and that owns nothing. S2: nobody borrows
/// the store.
unsafe fn depart(store: NonNull<VmStore>, f: impl FnOnce() -> Result<Option<Landing>>) -> ! {
    let landing = match catch_unwind(AssertUnwindSafe(|| {
        let landing = f()?;
        // SAFETY: S1, a short borrow. A guest that only throws and catches passes no other place that looks.
        unsafe { (*store.as_ptr()).check_interrupt()? };
        Ok(landing)
    })) {
        Ok(Ok(landing)) => landing,
        Ok(Err(error)) => {
            // SAFETY: S9, the trampoline recorded where the guest stands.
            unsafe { VmStore::set_pending_error(store, error) };
            None
        }
        Err(panic) => {
            // SAFETY: S2, a short exclusive borrow.
            unsafe { (*store.as_ptr()).set_pending(Pending::Panic(panic)) };
            None
        }
    };
    // SAFETY: S8, everything owned was dropped above; a landing is in a frame of the newest activation, as compiled code
    // left it, and at a handler of the call that the frame is in.
    unsafe {
        match landing {
            Some(Landing { pc, sp, fp, words: [first, second] }) => {
                arch::resume(pc, sp, fp, first, second, (*store.as_ptr()).ctx.fuel)
            }
            None => activation::unwind(),
        }
    }
}

/// The store of the instance whose code called.
///
/// # Safety
/// S1: the context is an instance's.
unsafe fn store_of(context: *mut VmContext) -> NonNull<VmStore> {
    // SAFETY: S1, a context's store pointer is never null.
    unsafe { NonNull::new_unchecked((*context).store.cast()) }
}

/// [`Builtin::Raise`](hotfoot_abi::builtin::Builtin::Raise), also called by host functions that a guest called without a
/// trampoline. Not inlined there, so that it asks for the newest activation of the thread that runs it.
#[cold]
#[inline(never)]
pub unsafe extern "C" fn raise(context: *mut VmContext) -> ! {
    // SAFETY: S1, S8: called by compiled code; this frame owns nothing.
    unsafe {
        let store = store_of(context);
        depart(store, || throw_pending(store))
    }
}

/// [`Builtin::Throw`](hotfoot_abi::builtin::Builtin::Throw)
pub unsafe extern "C" fn throw_new(context: *mut VmContext, tag: u32, slots: *const Slot) -> ! {
    // SAFETY: S1, S8: called by compiled code; S7, the slots hold what the tag of this index says, so the types are
    // those of the module; this frame owns nothing.
    unsafe {
        let store = store_of(context);
        depart(store, || {
            let vm = &mut *store.as_ptr();
            // The buffer of the last exception, which its handler has read.
            let mut payload = std::mem::take(&mut vm.exceptions.caught);
            let instance = vm.instance((*context).instance);
            let tag = instance.tag(tag);
            let count = vm.tag_type(tag).params.len();
            payload.clear();
            payload.extend_from_slice(std::slice::from_raw_parts(slots, count));
            throw(store, Thrown::New { tag, payload })
        })
    }
}

/// [`Builtin::ThrowRef`](hotfoot_abi::builtin::Builtin::ThrowRef)
pub unsafe extern "C" fn throw_ref(context: *mut VmContext, reference: u32) -> ! {
    // SAFETY: S1, S8: called by compiled code; this frame owns nothing.
    unsafe {
        let store = store_of(context);
        depart(store, || {
            VmStore::trap_unless(reference != 0, TrapCode::NullReference)?;
            throw(store, Thrown::Referenced(reference))
        })
    }
}

impl VmStore {
    /// The engine's number of the function type whose parameters are the payload.
    pub fn tag_type_id(&self, tag: TagPtr) -> u32 {
        // SAFETY: S3, a tag lives as long as its store, which is borrowed.
        unsafe { tag.as_non_null().as_ref().type_id }
    }

    /// The function type whose parameters are the payload.
    pub fn tag_type(&self, tag: TagPtr) -> &FuncType {
        self.engine().types().get(self.tag_type_id(tag)).func()
    }

    /// Tag of the exception that a host function returned as its error, if it did.
    fn pending_exception(&self) -> Option<TagPtr> {
        let Some(Pending::Exception(error, _)) = self.pending() else { return None };
        self.carried_tag(error.downcast_ref::<ThrownException>()?.carried()).ok()
    }

    /// An exception with these values, which are compared with the tag's type.
    pub fn new_exception(&self, tag: TagPtr, fields: &[Val]) -> Result<Thrown> {
        let ty = self.tag_type(tag);
        let expected = ty.params.len();
        ensure!(fields.len() == expected, "the tag has {expected} values, got {}", fields.len());
        let mut payload = Vec::with_capacity(expected);
        for (index, (value, ty)) in fields.iter().zip(&ty.params).enumerate() {
            ensure!(value.matches(self, *ty), "value {index} has the wrong type: {value:?}, expected {ty}");
            payload.push(value.to_slot(self)?);
        }
        Ok(Thrown::New { tag, payload })
    }

    /// The two words that a handler gets.
    fn catch(&mut self, thrown: Thrown, by_reference: bool) -> Result<[u64; 2]> {
        let reference = match thrown {
            Thrown::New { payload, .. } if !by_reference => {
                self.exceptions.caught = payload;
                return Ok([0, self.exceptions.caught.as_ptr() as u64]);
            }
            thrown => self.exception_object(thrown)?,
        };
        self.exceptions.caught = self.exception_payload(reference);
        Ok([reference.into(), self.exceptions.caught.as_ptr() as u64])
    }

    /// The `exnref` of an exception, which is in the heap from now on.
    ///
    /// # Errors
    /// When there is no room.
    pub fn exception_object(&mut self, thrown: Thrown) -> Result<u32> {
        let (tag, mut payload) = match thrown {
            Thrown::Referenced(reference) => return Ok(reference),
            Thrown::New { tag, payload } => (tag, payload),
        };
        payload.insert(0, Slot::from_u64(tag.as_non_null().as_ptr() as u64));
        // SAFETY: S3, a tag lives as long as its store, which is borrowed.
        let type_id = unsafe { tag.as_non_null().as_ref().type_id };
        self.new_object(Kind::Exn, type_id, &payload)
    }

    /// The values in an exception.
    fn exception_payload(&mut self, object: u32) -> Vec<Slot> {
        (1..).map_while(|field| self.field(object, field)).collect()
    }

    /// The tag of an exception in the heap.
    fn object_tag(&self, object: u32) -> TagPtr {
        let field = StructLayout::new([Storage::I64]).offsets[0];
        let address = self.load(object + field, Storage::I64).as_u64() as *mut VmTag;
        TagPtr(NonNull::new(address).expect("an exception without a tag; this is a bug in hotfoot"))
    }

    fn tag_of(&self, thrown: &Thrown) -> TagPtr {
        match thrown {
            Thrown::New { tag, .. } => *tag,
            Thrown::Referenced(object) => self.object_tag(*object),
        }
    }

    fn carried_tag(&self, carried: &Carried) -> Result<TagPtr> {
        match carried {
            Carried::Values(tag, _) => Ok(*tag),
            Carried::Object(exception) => Ok(self.object_tag(self.reference(exception.root())?)),
        }
    }

    /// Makes an exception one that may be kept while other things are allocated.
    ///
    /// # Errors
    /// When it has to go to the heap and there is no room.
    pub fn carry(&mut self, thrown: Thrown) -> Result<Carried> {
        match thrown {
            Thrown::New { tag, payload } if !self.tag_type(tag).params.iter().any(|ty| holds_objects(*ty)) => {
                Ok(Carried::Values(tag, payload))
            }
            thrown => {
                let object = self.exception_object(thrown)?;
                Ok(Carried::Object(OwnedRooted::from_parts(self.own(object))))
            }
        }
    }

    /// The reverse of [`VmStore::carry`].
    fn throw_again(&self, carried: Carried) -> Result<Thrown> {
        Ok(match carried {
            Carried::Values(tag, payload) => Thrown::New { tag, payload },
            Carried::Object(exception) => Thrown::Referenced(self.reference(exception.root())?),
        })
    }

    /// The tag and values of an exception that left the guest.
    ///
    /// # Errors
    /// When it is of another store.
    pub fn carried_parts(&mut self, carried: &Carried) -> Result<(TagPtr, Vec<Val>)> {
        match carried {
            Carried::Values(tag, payload) => Ok((*tag, self.payload_values(*tag, payload))),
            Carried::Object(exception) => self.exception_parts(exception.root()),
        }
    }

    /// The tag and values of an exception in the heap.
    ///
    /// # Errors
    /// When the handle is of another store, or its scope has ended.
    pub fn exception_parts(&mut self, root: RootIndex) -> Result<(TagPtr, Vec<Val>)> {
        let object = self.reference(root)?;
        let (tag, payload) = (self.object_tag(object), self.exception_payload(object));
        Ok((tag, self.payload_values(tag, &payload)))
    }

    fn payload_values(&mut self, tag: TagPtr, payload: &[Slot]) -> Vec<Val> {
        let types = self.tag_type(tag).params.clone();
        // SAFETY: S7, the payload holds values of the tag's types.
        types.iter().zip(payload).map(|(ty, slot)| unsafe { Val::from_slot(self, *slot, *ty) }).collect()
    }
}
