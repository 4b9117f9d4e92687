//! Runs a module in an engine and writes down all that can be seen of it, a line for each thing that happens.
//!
//! This file is compiled once for each engine: `super::engine` says which. Everything that the host gives to the guest
//! (imports, arguments) follows from the module's bytes, so two engines that agree write the same lines.

use super::engine::{
    AsContextMut, Caller, Engine, Error, Extern, ExternType, Func, FuncType, GcHeapOutOfMemory, Global, Instance,
    Memory, Module, Result, SharedMemory, Store, StoreLimits, StoreLimitsBuilder, Table, Tag, Trap, Val, throw, thrown,
};
use super::values::{Random, make, reference, show, show_all};

/// Most bytes of a memory, and of the heap of objects.
const MEMORY_BYTES: usize = 16 << 20;
/// Most elements of a table.
const TABLE_ELEMENTS: usize = 20_000;
/// How many exports are called, and how often each.
const CALLED: usize = 10;
const TIMES: usize = 2;
/// How many calls the host answers.
const HOST_CALLS: u32 = 100;
/// Most elements of a table that are looked at.
const ELEMENTS: u64 = 256;

/// Begins the last line of a run in which an engine came to the end of something whose size nobody prescribes: its
/// stack, its heap. What another engine does from there on says nothing.
pub const EXHAUSTED: &str = "exhausted";
/// Begins the line of a module or instance that was refused; the words after it are the engine's own.
pub const REFUSED: &str = "refused";

/// The first line in which two runs differ.
pub fn difference(ours: &[String], other: &[String]) -> Option<usize> {
    for at in 0..ours.len().max(other.len()) {
        let [ours, other] = [ours, other].map(|lines| lines.get(at).map_or("", String::as_str));
        if ours.starts_with(EXHAUSTED) || other.starts_with(EXHAUSTED) {
            return None;
        }
        if !is_same(ours, other) {
            return Some(at);
        }
    }
    None
}

fn is_same(ours: &str, other: &str) -> bool {
    let both = |is: &dyn Fn(&str) -> bool| is(ours) && is(other);
    // An atomic access that is neither aligned nor in bounds may be called either.
    let atomic = |line: &str| ["traps: HeapMisaligned", "traps: MemoryOutOfBounds"].contains(&line);
    ours == other || both(&|line| line.starts_with(REFUSED)) || both(&atomic)
}

/// What a store carries.
pub struct State {
    limits: StoreLimits,
    random: Random,
    host_calls: u32,
    tags: Vec<Tag>,
    lines: Vec<String>,
}

/// A store for this module.
pub fn store(engine: &Engine, wasm: &[u8]) -> Store<State> {
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).table_elements(TABLE_ELEMENTS).build();
    let random = Random::new(u64::from_le_bytes(digest(wasm)));
    let mut store = Store::new(engine, State { limits, random, host_calls: 0, tags: Vec::new(), lines: Vec::new() });
    store.limiter(|state| &mut state.limits);
    // For an engine that meters its guests: more than any of them uses.
    let _ = store.set_fuel(1 << 60);
    store.set_epoch_deadline(1 << 60);
    store
}

fn digest(bytes: &[u8]) -> [u8; 8] {
    let mut digest = [0; 8];
    digest.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    digest
}

/// Runs a module in a fresh store.
pub fn observe(engine: &Engine, wasm: &[u8]) -> Vec<String> {
    let module = match Module::new(engine, wasm) {
        Ok(module) => module,
        Err(error) => return vec![format!("{REFUSED}: {error:#}")],
    };
    let mut store = store(engine, wasm);
    let Some(imports) = imports(&mut store, &module) else {
        return vec![format!("{REFUSED}: there are no values for its imports")];
    };
    let instance = Instance::new(&mut store, &module, &imports);
    observe_instance(store, &module, instance)
}

/// Looks at an instance and calls its exports.
pub fn observe_instance(mut store: Store<State>, module: &Module, instance: Result<Instance>) -> Vec<String> {
    match instance {
        Ok(instance) => {
            let exports =
                module.exports().filter_map(|export| instance.get_export(&mut store, export.name())).collect();
            let mut run = Run { store, exports, shown: Vec::new() };
            run.all();
            store = run.store;
        }
        Err(error) => {
            let line = ending(&mut store, &error);
            store.data_mut().lines.push(line);
        }
    }
    store.into_data().lines
}

/// An instance while it is looked at.
struct Run {
    store: Store<State>,
    exports: Vec<Extern>,
    /// How each export looked the last time.
    shown: Vec<String>,
}

impl Run {
    fn all(&mut self) {
        let tags = self.exports.iter().filter_map(|export| export.clone().into_tag());
        self.store.data_mut().tags.extend(tags.collect::<Vec<Tag>>());
        self.line("instantiated".to_owned());
        self.look();
        let funcs: Vec<Func> =
            self.exports.iter().filter_map(|export| export.clone().into_func()).take(CALLED).collect();
        for _ in 0..TIMES {
            for (number, func) in funcs.iter().enumerate() {
                if !self.call(number, func) {
                    return;
                }
                self.look();
            }
        }
    }

    fn line(&mut self, line: String) {
        self.store.data_mut().lines.push(line);
    }

    /// Calls a function; whether the run goes on.
    fn call(&mut self, number: usize, func: &Func) -> bool {
        let ty = func.ty(&self.store);
        let Some(arguments) = self.arguments(&ty) else { return true };
        let shown = show_all(&mut self.store.as_context_mut(), &arguments);
        self.line(format!("call {number}{shown}"));
        let mut results = vec![Val::I32(0); ty.results().len()];
        let line = match func.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => format!("returns{}", show_all(&mut self.store.as_context_mut(), &results)),
            Err(error) => ending(&mut self.store, &error),
        };
        let goes_on = !line.starts_with(EXHAUSTED);
        self.line(line);
        goes_on
    }

    fn arguments(&mut self, ty: &FuncType) -> Option<Vec<Val>> {
        let mut random = self.store.data().random.clone();
        let arguments = ty.params().map(|ty| make(&mut self.store.as_context_mut(), &ty, &mut random)).collect();
        self.store.data_mut().random = random;
        arguments
    }

    /// Writes down each export that looks otherwise than before.
    fn look(&mut self) {
        let shown: Vec<String> = self.exports.iter().map(|export| look_at(&mut self.store, export)).collect();
        for (at, now) in shown.iter().enumerate() {
            if self.shown.get(at) != Some(now) && !now.is_empty() {
                self.store.data_mut().lines.push(format!("export {at}: {now}"));
            }
        }
        self.shown = shown;
    }
}

fn look_at(store: &mut Store<State>, export: &Extern) -> String {
    match export {
        Extern::Func(_) | Extern::Tag(_) => String::new(),
        Extern::Global(global) => {
            let value = global.get(&mut *store);
            show(&mut store.as_context_mut(), &value)
        }
        Extern::Memory(memory) => {
            let digest = digest(memory.data(&*store));
            format!("{} pages {:016x}", memory.size(&*store), u64::from_le_bytes(digest))
        }
        // Its bytes cannot be read as a slice.
        Extern::SharedMemory(memory) => format!("{} shared pages", memory.size()),
        Extern::Table(table) => {
            let size = table.size(&*store);
            let elements = (0..size.min(ELEMENTS)).map(|at| table.get(&mut *store, at));
            let marks: String = elements
                .map(|element| if element.is_some_and(|element| !element.is_null()) { 'x' } else { '.' })
                .collect();
            format!("{size} elements {}", marks.trim_end_matches('.'))
        }
    }
}

/// A call, or an instantiation, that ended with an error.
fn ending(store: &mut Store<State>, error: &Error) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::StackOverflow | Trap::AllocationTooLarge | Trap::OutOfFuel | Trap::Interrupt => {
                format!("{EXHAUSTED}: {trap:?}")
            }
            _ => format!("traps: {trap:?}"),
        };
    }
    if error.is::<GcHeapOutOfMemory<()>>() {
        return format!("{EXHAUSTED}: heap");
    }
    if error.is::<HostError>() {
        return "the host fails".to_owned();
    }
    match thrown(store, error) {
        Some((tag, fields)) => {
            let known = store.data().tags.clone();
            let number = known.iter().position(|known| Tag::eq(known, &tag, &*store));
            let fields = show_all(&mut store.as_context_mut(), &fields);
            format!("throws {}{fields}", number.map_or("a tag of its own".to_owned(), |number| format!("tag {number}")))
        }
        None => format!("{REFUSED}: {error:#}"),
    }
}

/// What a module imports, if values of all types can be made.
pub fn imports(store: &mut Store<State>, module: &Module) -> Option<Vec<Extern>> {
    let types: Vec<ExternType> = module.imports().map(|import| import.ty()).collect();
    types.into_iter().map(|ty| import(store, ty)).collect()
}

fn import(store: &mut Store<State>, ty: ExternType) -> Option<Extern> {
    let mut random = store.data().random.clone();
    let import = match ty {
        ExternType::Func(ty) => {
            let made = ty.clone();
            Extern::Func(Func::new(&mut *store, ty, move |caller, params, results| {
                host_function(caller, &made, params, results)
            }))
        }
        ExternType::Global(ty) => {
            let value = make(&mut store.as_context_mut(), ty.content(), &mut random)?;
            Extern::Global(Global::new(&mut *store, ty, value).ok()?)
        }
        ExternType::Table(ty) => {
            let element = super::engine::ValType::Ref(ty.element().clone());
            let value = make(&mut store.as_context_mut(), &element, &mut random)?;
            Extern::Table(Table::new(&mut *store, ty, reference(value)?).ok()?)
        }
        ExternType::Memory(ty) if ty.is_shared() => Extern::SharedMemory(SharedMemory::new(store.engine(), ty).ok()?),
        ExternType::Memory(ty) => Extern::Memory(Memory::new(&mut *store, ty).ok()?),
        ExternType::Tag(ty) => {
            let tag = Tag::new(&mut *store, &ty).ok()?;
            store.data_mut().tags.push(tag);
            Extern::Tag(tag)
        }
    };
    store.data_mut().random = random;
    Some(import)
}

/// Every function of the host: notes what it was called with, and returns, fails or throws, as its state says.
pub fn host_function(mut caller: Caller<'_, State>, ty: &FuncType, params: &[Val], results: &mut [Val]) -> Result<()> {
    let shown = show_all(&mut caller.as_context_mut(), params);
    let state = caller.data_mut();
    state.lines.push(format!("  host{shown}"));
    state.host_calls += 1;
    let mut random = state.random.clone();
    let choice = random.below(24);
    let tag = if state.tags.is_empty() { None } else { Some(state.tags[random.below(state.tags.len())]) };
    let enough = state.host_calls > HOST_CALLS;
    let outcome = match tag {
        _ if choice == 0 || enough => Err(HostError.into()),
        Some(tag) if choice < 4 => {
            let types: Vec<_> = tag.ty(&caller).ty().params().collect();
            let fields: Option<Vec<Val>> =
                types.iter().map(|ty| make(&mut caller.as_context_mut(), ty, &mut random)).collect();
            match fields {
                Some(fields) => throw(&mut caller, tag, &fields),
                None => Err(HostError.into()),
            }
        }
        _ => ty.results().zip(results).try_for_each(|(ty, result)| {
            *result = make(&mut caller.as_context_mut(), &ty, &mut random).ok_or(HostError)?;
            Ok(())
        }),
    };
    caller.data_mut().random = random;
    outcome
}

/// The error of a host function that fails.
#[derive(Debug)]
struct HostError;

impl std::fmt::Display for HostError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the host fails")
    }
}

impl std::error::Error for HostError {}
