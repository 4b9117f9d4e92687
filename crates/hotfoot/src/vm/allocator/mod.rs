//! Where instances get their parts from: the seam between "what an instance is" and "whose memory it uses".

mod on_demand;

pub use on_demand::OnDemand;

use std::alloc::Layout;
use std::fmt::Debug;
use std::ptr::NonNull;

use anyhow::Result;
use hotfoot_abi::tunables::Tunables;
use hotfoot_abi::vmctx::{VmContext, VmLayout};
use hotfoot_artifact::{MemoryType, TableType};

use super::memory::LinearMemory;

/// Hands out the parts of instances; what it hands out returns to it when dropped.
pub trait InstanceAllocator: Send + Sync + Debug {
    /// A zeroed VM context of this layout.
    ///
    /// # Errors
    /// When no more can be had.
    fn context(&self, layout: &VmLayout) -> Result<ContextBlock>;

    /// A zeroed memory of the type's minimum size.
    ///
    /// # Errors
    /// When no more can be had.
    fn memory(&self, ty: &MemoryType, tunables: &Tunables) -> Result<LinearMemory>;

    /// Null elements for a table of the type's minimum size.
    ///
    /// # Errors
    /// When no more can be had.
    fn table(&self, ty: &TableType) -> Result<Vec<u64>>;
}

/// Bytes that processors move between each other at once: two cache lines. What one thread writes for every instance
/// shares none with what another does.
const LINES: usize = 128;

/// The bytes of one VM context.
#[derive(Debug)]
pub struct ContextBlock {
    base: NonNull<u8>,
    layout: Layout,
}

impl ContextBlock {
    /// Zeroed bytes from the heap, or `None` when there are not enough.
    pub fn on_heap(layout: &VmLayout) -> Option<ContextBlock> {
        let size = (layout.size() as usize).next_multiple_of(LINES);
        let layout = Layout::from_size_align(size, LINES.max(align_of::<VmContext>())).ok()?;
        // SAFETY: S4, a context has at least its header, so the size is not zero.
        let base = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        Some(ContextBlock { base, layout })
    }

    /// Address of the context.
    pub fn base(&self) -> NonNull<VmContext> {
        self.base.cast()
    }

    /// Bytes of the context, rounded up.
    pub fn len(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for ContextBlock {
    fn drop(&mut self) {
        // SAFETY: S3, allocated with this layout; the store that held it is going away, so nobody uses it any more.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), self.layout) };
    }
}
