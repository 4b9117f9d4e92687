//! A table: an array of references in the form that compiled code reads, 8 bytes each.
//!
//! Invariant S7: an element is null (0), a pointer to a function reference of the same store, or any other
//! reference of the same store, as the table's type says.

use std::ptr::NonNull;

use anyhow::{Context, Result, ensure};
use hotfoot_abi::vmctx::VmTable;
use hotfoot_artifact::{TableType, ValType};

use super::gc::holds_objects;

/// Most elements that a table may have, whatever its type says: an implementation limit, the one that the JavaScript
/// embedding has too.
pub const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// A table of a store, and where compiled code finds its definition.
#[derive(Debug)]
pub struct TableData {
    elements: Vec<u64>,
    ty: TableType,
    definition: NonNull<VmTable>,
    /// Whether an element may have changed since [`TableData::keep_elements`] or [`TableData::reset`].
    changed: bool,
    /// Whether compiled code may set elements, which nobody notices.
    settable: bool,
}

/// Elements of a new table, all null.
///
/// # Errors
/// When the table is larger than [`MAX_TABLE_ELEMENTS`] or the host has not enough memory.
pub fn new_elements(ty: &TableType) -> Result<Vec<u64>> {
    ensure!(
        ty.minimum <= MAX_TABLE_ELEMENTS,
        "a table of {} elements is larger than the limit of {MAX_TABLE_ELEMENTS}",
        ty.minimum
    );
    let len = ty.minimum as usize;
    let mut elements = Vec::new();
    elements.try_reserve_exact(len).with_context(|| format!("cannot get memory for a table of {len} elements"))?;
    elements.resize(len, 0);
    Ok(elements)
}

impl TableData {
    /// Publishes a table at `definition`.
    ///
    /// # Safety
    /// S3: `definition` is writable, aligned, and lives as long as the store that will own this.
    pub unsafe fn new(elements: Vec<u64>, ty: TableType, definition: NonNull<VmTable>) -> TableData {
        let mut table = TableData { elements, ty, definition, changed: true, settable: true };
        table.publish();
        table
    }

    fn publish(&mut self) {
        let definition = VmTable { base: self.elements.as_mut_ptr(), len: self.elements.len() as u64 };
        // SAFETY: S3, the definition lives as long as the store; S2, nobody else writes it.
        unsafe { self.definition.write(definition) };
    }

    /// Its type as declared; `minimum` is the initial size.
    pub fn ty(&self) -> TableType {
        self.ty
    }

    /// Where compiled code finds base and length.
    pub fn definition(&self) -> NonNull<VmTable> {
        self.definition
    }

    /// Current number of elements.
    pub fn len(&self) -> u64 {
        self.elements.len() as u64
    }

    fn base(&self) -> *mut u64 {
        // SAFETY: S3, the definition lives as long as the store. Compiled code writes elements through this pointer,
        // so everyone else goes through it too.
        unsafe { self.definition.as_ref().base }
    }

    /// The element at `index`.
    pub fn get(&self, index: u64) -> Option<u64> {
        // SAFETY: S3, the index is inside the array, which nobody writes meanwhile (S2).
        (index < self.len()).then(|| unsafe { *self.base().add(index as usize) })
    }

    /// Sets the element at `index`; false when there is none.
    ///
    /// # Safety
    /// S7: the element is of the table's type and store.
    pub unsafe fn set(&mut self, index: u64, element: u64) -> bool {
        self.changed = true;
        let inside = index < self.len();
        if inside {
            // SAFETY: S3, the index is inside the array, which nobody else uses meanwhile (S2).
            unsafe { *self.base().add(index as usize) = element };
        }
        inside
    }

    /// Sets `len` elements from `start`; false, with nothing changed, when some are outside.
    ///
    /// # Safety
    /// S7: the element is of the table's type and store.
    pub unsafe fn fill(&mut self, start: u64, element: u64, len: u64) -> bool {
        self.changed = true;
        let inside = start.checked_add(len).is_some_and(|end| end <= self.len());
        if inside {
            // SAFETY: S3, the range is inside the array, which nobody else uses meanwhile (S2).
            unsafe { std::slice::from_raw_parts_mut(self.base().add(start as usize), len as usize) }.fill(element);
        }
        inside
    }

    /// Copies elements between two places of tables with the same element type (possibly the same table); false, with
    /// nothing changed, when some are outside.
    ///
    /// # Safety
    /// S7: both tables belong to one store, and the source's element type is a subtype of the destination's.
    pub unsafe fn copy(
        dst: NonNull<TableData>,
        dst_start: u64,
        src: NonNull<TableData>,
        src_start: u64,
        len: u64,
    ) -> bool {
        // SAFETY: S2, the caller holds the store exclusively.
        unsafe { (*dst.as_ptr()).changed = true };
        // SAFETY: S2, the caller holds the store exclusively; only lengths and bases are read here.
        let (dst, src) = unsafe { (dst.as_ref(), src.as_ref()) };
        let inside = |start: u64, table: &TableData| start.checked_add(len).is_some_and(|end| end <= table.len());
        let fits = inside(dst_start, dst) && inside(src_start, src);
        if fits {
            // SAFETY: S3, both ranges are inside their arrays; they may overlap, which `copy` allows.
            unsafe {
                std::ptr::copy(src.base().add(src_start as usize), dst.base().add(dst_start as usize), len as usize);
            }
        }
        fits
    }

    /// Visits all references to objects, if its elements are of such a type.
    pub(super) fn visit_references(&mut self, visit: &mut dyn FnMut(&mut u32)) {
        if !holds_objects(ValType::Ref(self.ty.element)) {
            return;
        }
        // SAFETY: S3, the whole array, which nobody else uses meanwhile (S2).
        let elements = unsafe { std::slice::from_raw_parts_mut(self.base(), self.elements.len()) };
        for element in elements.iter_mut().filter(|element| **element != 0) {
            let mut reference = *element as u32;
            visit(&mut reference);
            *element = reference.into();
        }
    }

    /// Says whether compiled code may set elements.
    pub fn set_settable(&mut self, settable: bool) {
        self.settable = settable;
    }

    /// A copy of all elements, to reset to.
    pub fn keep_elements(&mut self) -> Box<[u64]> {
        self.changed = false;
        self.elements()
    }

    /// A copy of all elements.
    pub fn elements(&self) -> Box<[u64]> {
        // SAFETY: S3, the whole array, which nobody writes meanwhile (S2).
        unsafe { std::slice::from_raw_parts(self.base(), self.elements.len()) }.into()
    }

    /// Makes the table what it was when [`TableData::keep_elements`] was asked.
    pub fn reset(&mut self, elements: &[u64]) {
        if !self.changed && !self.settable {
            return;
        }
        self.changed = false;
        if self.elements.len() != elements.len() {
            self.elements.resize(elements.len(), 0);
            self.publish();
        }
        // SAFETY: S3, the whole array, just made as long; S2, nobody else uses it.
        unsafe { std::slice::from_raw_parts_mut(self.base(), elements.len()) }.copy_from_slice(elements);
    }

    /// Whether the type and the implementation's limit allow this size.
    pub fn allows_len(&self, len: u64) -> bool {
        len <= self.ty.maximum.unwrap_or(u64::MAX).min(MAX_TABLE_ELEMENTS)
    }

    /// Grows to `new_len` elements; false, with nothing changed, when the host has not enough memory.
    ///
    /// # Safety
    /// S7: the element is of the table's type and store.
    pub unsafe fn grow(&mut self, new_len: u64, element: u64) -> bool {
        self.changed = true;
        let additional = new_len.saturating_sub(self.len()) as usize;
        let reserved = self.elements.try_reserve(additional).is_ok();
        if reserved {
            self.elements.resize(new_len as usize, element);
            self.publish();
        }
        reserved
    }
}
