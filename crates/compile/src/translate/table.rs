//! Tables: eight bytes per element, always bounds-checked.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use hotfoot_abi::trap::TrapCode;
use hotfoot_abi::vmctx::offsets;
use hotfoot_artifact::{TableType, ValType};

use super::env::heap_type;
use super::{Translator, trap_code};

fn can_grow(table: &TableType) -> bool {
    table.maximum != Some(table.minimum)
}

impl Translator<'_, '_> {
    pub(super) fn table_type(&self, table: u32) -> TableType {
        self.env.module.info.tables[table as usize]
    }

    /// Address of a table's `VmTable`, as a base and an offset from it.
    fn table_place(&mut self, table: u32) -> (Value, i32) {
        let module = self.env.module;
        match table.checked_sub(module.counts.imported_tables) {
            Some(defined) => (self.vmctx, module.layout.defined_table(defined) as i32),
            None => {
                let offset = module.layout.imported_table(table) as i32;
                (self.builder.ins().load(types::I64, self.access.constant, self.vmctx, offset), 0)
            }
        }
    }

    fn table_len(&mut self, table: u32) -> Value {
        let ty = self.table_type(table);
        if !can_grow(&ty) {
            return self.iconst(types::I64, ty.minimum as i64);
        }
        let (place, offset) = self.table_place(table);
        self.builder.ins().load(types::I64, self.access.context, place, offset + offsets::TABLE_LEN as i32)
    }

    /// Checks an index and returns the address of its element and flags to access it with.
    pub(super) fn element(&mut self, table: u32, index: Value) -> (Value, MemFlagsData) {
        self.mark();
        let index = self.extend_index(index);
        let len = self.table_len(table);
        let failed = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, len);
        let masked = self.env.table_spectre;
        let faults = masked && self.env.tunables.signals_based_traps;
        if !faults {
            self.trap_if(failed, TrapCode::TableOutOfBounds);
        }
        let (place, offset) = self.table_place(table);
        let fixed = !can_grow(&self.table_type(table));
        let flags = if fixed { self.access.constant } else { self.access.context };
        let base = self.builder.ins().load(types::I64, flags, place, offset + offsets::TABLE_BASE as i32);
        let shift = self.iconst(types::I32, 3);
        let scaled = self.builder.ins().ishl(index, shift);
        let mut address = self.builder.ins().iadd(base, scaled);
        if masked {
            let null = self.iconst(types::I64, 0);
            address = self.builder.ins().select_spectre_guard(failed, null, address);
        }
        let trap = faults.then(|| trap_code(TrapCode::TableOutOfBounds));
        (address, self.access.table.with_trap_code(trap))
    }

    pub(super) fn table_get(&mut self, table: u32) {
        let index = self.pop();
        let (address, flags) = self.element(table, index);
        let element = self.table_type(table).element;
        let value = self.builder.ins().load(heap_type(element.heap), flags, address, 0);
        self.push_rooted(value, ValType::Ref(element));
    }

    pub(super) fn table_set(&mut self, table: u32) {
        let (index, value) = self.pop2();
        let (address, flags) = self.element(table, index);
        let value = self.extend_index(value);
        self.builder.ins().store(flags, value, address, 0);
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let len = self.table_len(table);
        self.push_index(len, self.table_type(table).index64);
    }
}
