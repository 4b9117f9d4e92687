//! Everything from the host when it is needed, and returned at once.

use anyhow::{Context, Result};
use hotfoot_abi::tunables::Tunables;
use hotfoot_abi::vmctx::VmLayout;
use hotfoot_artifact::{MemoryType, TableType};

use super::{ContextBlock, InstanceAllocator};
use crate::vm::memory::LinearMemory;
use crate::vm::table;

/// See the module's documentation.
#[derive(Debug)]
pub struct OnDemand {
    /// Address space that a memory has to grow before it moves, in bytes.
    pub headroom: usize,
}

impl InstanceAllocator for OnDemand {
    fn context(&self, layout: &VmLayout) -> Result<ContextBlock> {
        ContextBlock::on_heap(layout).context("cannot get memory for an instance")
    }

    fn memory(&self, ty: &MemoryType, tunables: &Tunables) -> Result<LinearMemory> {
        LinearMemory::new(ty, self.headroom, tunables)
    }

    fn table(&self, ty: &TableType) -> Result<Vec<u64>> {
        table::new_elements(ty)
    }
}
