//! What is known of code by its addresses: which instructions may trap, which calls have handlers, where frames keep
//! references, what an address comes from.
//!
//! An artifact has one such set of tables, read in place; code that is compiled while a module already runs has one per
//! function. Both answer the same questions with a binary search, without a lock and without allocating, so that signal
//! handlers may ask them.

use std::borrow::Cow;

use hotfoot_abi::trap::TrapCode;
use zerocopy::little_endian::U32;

use crate::write::{Address, CallSite, Handler, StackMap};

/// The tables. All offsets count from the start of the text that the code is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeTables<'a> {
    /// Code offsets that may trap, ascending.
    pub trap_offsets: Cow<'a, [U32]>,
    /// Trap code of each.
    pub trap_codes: Cow<'a, [u8]>,
    /// Code offset to module offset, ascending.
    pub addresses: Cow<'a, [Address]>,
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
        let index = self.trap_offsets.binary_search_by_key(&code_offset, |offset| offset.get()).ok()?;
        TrapCode::from_u8(*self.trap_codes.get(index)?)
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
        let next = self.addresses.partition_point(|address| address.code.get() <= code_offset);
        let wasm = self.addresses.get(next.checked_sub(1)?)?.wasm.get();
        (wasm != crate::NONE).then_some(wasm)
    }
}
