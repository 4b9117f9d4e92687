//! Core dumps: the state of a store's instances when a guest was stopped, in the [format] that tools for them read.
//!
//! ```text
//!  \0asm, version 1
//!  core           the name of the program
//!  coremodules    the name of each module
//!  coreinstances  of each instance: its module, and the numbers of its memories and globals below
//!  corestack      the frames, newest first: instance, function, offset in the function, locals (unknown)
//!  memory section, global section, data section: what they hold, zeros left out
//! ```
//!
//! What an error carries is handles; the bytes are read from the store when the dump is written.
//!
//! [format]: https://github.com/WebAssembly/tool-conventions/blob/main/Coredump.md

mod encode;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use hotfoot_artifact::{EntityIndex, EntityType};

use crate::backtrace::{FrameInfo, WasmBacktrace};
use crate::externs::check_store;
use crate::global::Global;
use crate::instance::Instance;
use crate::memory::Memory;
use crate::module::Module;
use crate::store::AsContextMut;
use crate::value::Val;
use crate::vm::store::{GlobalPtr, StoreId, VmStore};
use crate::vm::trap::RawFrame;

/// What a stopped guest left behind. Found in an error with `error.downcast_ref::<WasmCoreDump>()` where
/// [`Config::coredump_on_trap`](crate::Config::coredump_on_trap) is on.
///
/// ```
/// use hotfoot::{Config, Engine, Instance, Module, Store, WasmCoreDump};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::new(Config::new().coredump_on_trap(true))?;
/// let module = Module::new(&engine, r#"(module (memory 1) (func (export "f") unreachable))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let error = instance.get_typed_func::<(), ()>(&mut store, "f")?.call(&mut store, ()).unwrap_err();
/// let dump = error.downcast_ref::<WasmCoreDump>().unwrap();
/// let bytes = dump.serialize(&mut store, "program");
/// assert!(bytes.starts_with(b"\0asm"));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct WasmCoreDump {
    store: StoreId,
    modules: Vec<Module>,
    instances: Vec<Instance>,
    memories: Vec<Memory>,
    globals: Vec<Global>,
    backtrace: WasmBacktrace,
}

impl WasmCoreDump {
    /// What there is in a store, and where its guests stood.
    pub(crate) fn new(store: &VmStore, frames: &[RawFrame]) -> WasmCoreDump {
        let id = store.id();
        let numbers = 0..store.num_instances() as u32;
        let instances: Vec<Instance> = numbers.map(|number| Instance::from_parts(id, number)).collect();
        let (mut modules, mut globals) = (Vec::new(), Vec::new());
        let (mut known_modules, mut known_globals) = (HashSet::new(), HashSet::new());
        for instance in &instances {
            let module = store.instance(instance.number()).module();
            if known_modules.insert(module.key()) {
                modules.push(module.clone());
            }
            globals.extend(globals_of(*instance, store).filter(|global| known_globals.insert(global.pointer())));
        }
        let memories = (0..store.num_memories() as u32).map(|number| Memory::from_parts(id, number)).collect();
        WasmCoreDump { store: id, modules, instances, memories, globals, backtrace: WasmBacktrace::new(frames) }
    }

    /// The modules of the instances.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The store's instances, in the order in which they were made.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The store's memories.
    pub fn memories(&self) -> &[Memory] {
        &self.memories
    }

    /// The globals of the instances.
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// Where the guests stood.
    pub fn backtrace(&self) -> &WasmBacktrace {
        &self.backtrace
    }

    /// The dump as a file, of the program called `name`. Memories and globals are as they are now: nothing of the store
    /// should have run since. It takes as much of the host's memory as the guest's memories hold that is not zero.
    ///
    /// The values of a frame's parameters are written as missing, and its other locals not at all. If a store has several
    /// instances of one module, its frames are said to be of the first. References are written as null.
    ///
    /// # Panics
    /// When the store is not the one that the guest was in.
    pub fn serialize(&self, mut store: impl AsContextMut, name: &str) -> Vec<u8> {
        let mut store = store.as_context_mut();
        check_store(self.store, store.vm());
        let values: Vec<Val> = self.globals.iter().map(|global| global.get(&mut store)).collect();
        let vm = &*store.vm();
        let mut file = encode::HEADER.to_vec();
        encode::custom(&mut file, "core", &encode::tagged_name(name));
        let modules = encode::list(&self.modules, |module, out| out.extend(encode::tagged_name(module_name(module))));
        encode::custom(&mut file, "coremodules", &modules);
        encode::custom(&mut file, "coreinstances", &self.instance_list(vm));
        encode::custom(&mut file, "corestack", &self.stack(vm));
        let types = |memory: &Memory, out: &mut Vec<u8>| encode::memory_type(out, &memory.type_in(vm));
        encode::section(&mut file, encode::MEMORY, &encode::list(&self.memories, types));
        let globals = encode::list(&values, |value, out| encode::global(out, value));
        encode::section(&mut file, encode::GLOBAL, &globals);
        let contents = |memory: &Memory| (memory.type_in(vm), contents(*memory, vm));
        encode::data(&mut file, &self.memories.iter().map(contents).collect::<Vec<_>>());
        file
    }

    fn instance_list(&self, store: &VmStore) -> Vec<u8> {
        let modules: HashMap<usize, u32> = self.modules.iter().map(Module::key).zip(0..).collect();
        let globals: HashMap<GlobalPtr, u32> = self.globals.iter().map(Global::pointer).zip(0..).collect();
        encode::list(&self.instances, |instance, out| {
            let data = store.instance(instance.number());
            let number = |number: &u32, out: &mut Vec<u8>| encode::number(out, (*number).into());
            let memories: Vec<u32> =
                (0..data.module().info().memories.len() as u32).map(|index| data.memory(index)).collect();
            let globals: Vec<u32> = globals_of(*instance, store).map(|global| globals[&global.pointer()]).collect();
            out.push(0);
            encode::number(out, modules[&data.module().key()].into());
            out.extend(encode::list(&memories, number));
            out.extend(encode::list(&globals, number));
        })
    }

    fn stack(&self, store: &VmStore) -> Vec<u8> {
        let mut stack = encode::tagged_name("main");
        stack.extend(encode::list(self.backtrace.frames(), |frame, out| {
            let of_module =
                |instance: &Instance| store.instance(instance.number()).module().key() == frame.module().key();
            out.push(0);
            encode::number(out, self.instances.iter().position(of_module).unwrap_or(0) as u64);
            encode::number(out, frame.func_index().into());
            encode::number(out, frame.func_offset().unwrap_or(0) as u64);
            let params = vec![(); param_count(frame)];
            out.extend(encode::list(&params, |(), out| out.push(encode::MISSING)));
            // The operand stack.
            encode::number(out, 0);
        }));
        stack
    }
}

/// All globals of an instance, imported ones first.
fn globals_of(instance: Instance, store: &VmStore) -> impl Iterator<Item = Global> {
    let count = store.instance(instance.number()).module().info().globals.len() as u32;
    (0..count).filter_map(move |index| instance.entity_in(store, EntityIndex::Global(index)).into_global())
}

/// What a memory holds; a copy if other threads may be writing to it.
fn contents(memory: Memory, store: &VmStore) -> Cow<'_, [u8]> {
    let data = store.memory(memory.index());
    let Some(shared) = data.shared() else { return Cow::Borrowed(data.bytes()) };
    let mut copy = vec![0; shared.byte_len()];
    shared.read(0, &mut copy);
    Cow::Owned(copy)
}

fn param_count(frame: &FrameInfo) -> usize {
    match frame.module().raw_type_of(EntityIndex::Func(frame.func_index())) {
        EntityType::Func(number) => frame.module().engine().types().get(number).func().params.len(),
        _ => 0,
    }
}

fn module_name(module: &Module) -> &str {
    module.name().unwrap_or("<unnamed module>")
}

impl fmt::Display for WasmCoreDump {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.modules.len(), self.instances.len(), self.memories.len(), self.globals.len());
        let (modules, instances, memories, globals) = counts;
        write!(
            formatter,
            "a core dump of {modules} modules, {instances} instances, {memories} memories and {globals} globals"
        )
    }
}
