//! Instructions that the runtime carries out: growing, and bulk operations on memories and tables.
//!
//! Indices and lengths of 32 bits are widened without sign; references travel as the eight bytes of a table element.

use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, InstBuilder, UserExternalName, Value, types};
use hotfoot_abi::builtin::Builtin;

use super::Translator;
use super::env::{NAMESPACE_BUILTIN, builtin_signature, trampoline_convention};

impl Translator<'_, '_> {
    pub(super) fn builtin(&mut self, builtin: Builtin) -> FuncRef {
        if let Some(known) = self.builtins[builtin as usize] {
            return known;
        }
        let signature = self.builder.import_signature(builtin_signature(builtin, trampoline_convention(builtin)));
        let name = UserExternalName::new(NAMESPACE_BUILTIN, builtin as u32);
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let function = self.builder.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        self.builtins[builtin as usize] = Some(function);
        function
    }

    /// Calls a function of the runtime by way of its trampoline; the VM context is passed first.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, arguments: &[Value]) -> Option<Value> {
        self.mark();
        self.calls += 1;
        let function = self.builtin(builtin);
        let mut all = vec![self.vmctx];
        all.extend_from_slice(arguments);
        let call = self.builder.ins().call(function, &all);
        self.builder.inst_results(call).first().copied()
    }

    pub(super) fn number(&mut self, index: u32) -> Value {
        self.iconst(types::I32, i64::from(index))
    }

    pub(super) fn memory_grow(&mut self, memory: u32) {
        let delta = self.pop();
        let delta = self.extend_index(delta);
        let number = self.number(memory);
        let old = self.call_builtin(Builtin::MemoryGrow, &[number, delta]).expect("growing has a result");
        self.push_index(old, self.env.module.info.memories[memory as usize].index64);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let (to, byte, len) = self.pop3();
        let (to, len) = (self.extend_index(to), self.extend_index(len));
        let number = self.number(memory);
        self.call_builtin(Builtin::MemoryFill, &[number, to, byte, len]);
    }

    pub(super) fn memory_copy(&mut self, to_memory: u32, from_memory: u32) {
        self.copy(Builtin::MemoryCopy, to_memory, from_memory);
    }

    pub(super) fn table_copy(&mut self, to_table: u32, from_table: u32) {
        self.copy(Builtin::TableCopy, to_table, from_table);
    }

    fn copy(&mut self, builtin: Builtin, to_space: u32, from_space: u32) {
        let (to, from, len) = self.pop3();
        let (to, from, len) = (self.extend_index(to), self.extend_index(from), self.extend_index(len));
        let (to_space, from_space) = (self.number(to_space), self.number(from_space));
        self.call_builtin(builtin, &[to_space, from_space, to, from, len]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, segment: u32) {
        self.init(Builtin::MemoryInit, memory, segment);
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) {
        self.init(Builtin::TableInit, table, segment);
    }

    fn init(&mut self, builtin: Builtin, space: u32, segment: u32) {
        let (to, from, len) = self.pop3();
        let to = self.extend_index(to);
        let (space, segment) = (self.number(space), self.number(segment));
        self.call_builtin(builtin, &[space, segment, to, from, len]);
    }

    /// `data.drop` and `elem.drop`.
    pub(super) fn drop_segment(&mut self, builtin: Builtin, segment: u32) {
        let number = self.number(segment);
        self.call_builtin(builtin, &[number]);
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        let (value, delta) = self.pop2();
        let (value, delta) = (self.extend_index(value), self.extend_index(delta));
        let number = self.number(table);
        let old = self.call_builtin(Builtin::TableGrow, &[number, delta, value]).expect("growing has a result");
        self.push_index(old, self.table_type(table).index64);
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let (to, value, len) = self.pop3();
        let (to, value, len) = (self.extend_index(to), self.extend_index(value), self.extend_index(len));
        let number = self.number(table);
        self.call_builtin(Builtin::TableFill, &[number, to, value, len]);
    }
}
