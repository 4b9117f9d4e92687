//! What is known of code by its addresses: which instructions may trap, which calls have handlers, where frames keep
//! references, what an address comes from.
//!
//! An artifact has one such set of tables, read in place; code that is compiled while a module already runs has one per
//! function. Both answer the same questions with a binary search, without a lock and without allocating, so that signal
//! handlers may ask them.

use std::borrow::Cow;

use hotfoot_abi::trap::{self, TrapCode};
use zerocopy::little_endian::U32;

use crate::NONE;
use crate::write::{Address, CallSite, Handler, INLINED, Inlined, StackMap};

/// The tables. All offsets count from the start of the text that the code is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeTables<'a> {
    /// Code offsets that may trap, ascending.
    pub trap_offsets: Cow<'a, [U32]>,
    /// Trap code of each.
    pub trap_codes: Cow<'a, [u8]>,
    /// Code offset to place in the module, ascending.
    pub addresses: Cow<'a, [Address]>,
    /// Places in functions that were inlined; the place of its call comes before each.
    pub inlined: Cow<'a, [Inlined]>,
    /// Calls that exceptions can come back from, ascending.
    pub call_sites: Cow<'a, [CallSite]>,
    /// Handlers of those calls.
    pub handlers: Cow<'a, [Handler]>,
    /// Calls across which frames keep references, ascending.
    pub stack_maps: Cow<'a, [StackMap]>,
    /// Where in the frames they are: bytes below the frame pointer.
    pub roots: Cow<'a, [U32]>,
}

impl CodeTables<'_> {
    /// The trap code of the instruction at this code offset, if it may trap.
    pub fn trap_at(&self, code_offset: u32) -> Option<TrapCode> {
        Some(self.trap_and_fuel_at(code_offset)?.0)
    }

    /// The same, and how much fuel was consumed before it that is not charged yet.
    pub fn trap_and_fuel_at(&self, code_offset: u32) -> Option<(TrapCode, u8)> {
        let index = self.trap_offsets.binary_search_by_key(&code_offset, |offset| offset.get()).ok()?;
        trap::of_number(*self.trap_codes.get(index)?)
    }

    /// The call that returns to this code offset and its handlers, if it has any.
    pub fn handlers_at(&self, return_offset: u32) -> Option<(&CallSite, &[Handler])> {
        let index = self.call_sites.binary_search_by_key(&return_offset, |site| site.return_offset.get()).ok()?;
        let site = &self.call_sites[index];
        let first = site.first.get() as usize;
        Some((site, self.handlers.get(first..first.checked_add(site.count.get() as usize)?)?))
    }

    /// Where in its frame, in bytes below the frame pointer, the caller keeps references across the call that returns to
    /// this code offset.
    pub fn roots_at(&self, return_offset: u32) -> &[U32] {
        let found = self.stack_maps.binary_search_by_key(&return_offset, |map| map.return_offset.get());
        let Ok(index) = found else { return &[] };
        let first = self.stack_maps[index].first.get() as usize;
        let end = first.saturating_add(self.stack_maps[index].count.get() as usize);
        self.roots.get(first..end).unwrap_or_default()
    }

    /// The offset in the WebAssembly binary that the code at this offset comes from.
    pub fn wasm_offset_at(&self, code_offset: u32) -> Option<u32> {
        self.origins_at(code_offset).next()?.wasm_offset
    }

    /// What the code at this offset comes from: a place in the function whose code it is, preceded by those in the
    /// functions that were inlined there, the innermost one first.
    pub fn origins_at(&self, code_offset: u32) -> impl Iterator<Item = Origin> {
        let next = self.addresses.partition_point(|address| address.code.get() <= code_offset);
        let address = next.checked_sub(1).and_then(|at| self.addresses.get(at));
        let mut place = Some(address.map_or(NONE, |address| address.wasm.get()));
        std::iter::from_fn(move || {
            let of_call = place.take()?;
            if of_call & INLINED == 0 {
                return Some(Origin { function: None, wasm_offset: Some(of_call) });
            }
            let number = of_call & !INLINED;
            match self.inlined.get(number as usize).filter(|_| of_call != NONE) {
                Some(inlined) => {
                    // Only damaged tables lead on to a later place, and then round and round.
                    let caller = inlined.caller.get();
                    let precedes = caller & INLINED == 0 || caller & !INLINED < number;
                    place = Some(if precedes { caller } else { NONE });
                    Some(Origin { function: Some(inlined.function.get()), wasm_offset: Some(inlined.wasm.get()) })
                }
                None => Some(Origin { function: None, wasm_offset: None }),
            }
        })
    }
}

/// What code comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The function that was inlined, imports counted first; none for the function whose code it is.
    pub function: Option<u32>,
    /// The offset in the WebAssembly binary, if it is known.
    pub wasm_offset: Option<u32>,
}
