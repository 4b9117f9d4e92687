//! Runs a module in an engine and writes down all that can be seen of it, a line for each thing that happens.
//!
//! This file is compiled once for each engine: `super::engine` says which. Everything that the host gives to the guest
//! (imports, arguments) follows from the module's bytes, so two engines that agree write the same lines.

use super::engine::{
    AsContextMut, Caller, Engine, Error, Extern, ExternType, Func, FuncType, GcHeapOutOfMemory, Global, Instance,
    Memory, Module, Result, SharedMemory, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder, Table, Tag, Trap,
    Val, ValType, throw, thrown,
};
use super::values::{Random, make, reference, show, show_all};

/// Most bytes of a memory, and of the heap of objects.
const MEMORY_BYTES: usize = 16 << 20;
/// Most elements of a table.
const TABLE_ELEMENTS: usize = 20_000;
/// How many exports of an instance are called.
const CALLED: usize = 10;
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
    /// What the host calls back.
    funcs: Vec<Func>,
    lines: Vec<String>,
}

/// A store for this module.
pub fn store(engine: &Engine, wasm: &[u8]) -> Store<State> {
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).table_elements(TABLE_ELEMENTS).build();
    let random = Random::new(u64::from_le_bytes(digest(wasm)));
    let mut store = Store::new(
        engine,
        State { limits, random, host_calls: 0, tags: Vec::new(), funcs: Vec::new(), lines: Vec::new() },
    );
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
    observe_instances(store(engine, wasm), &module, |store| {
        let imports = imports(store, &module)?;
        Some(Instance::new(store, &module, &imports))
    })
}

/// Makes two instances, one after the other, looks at them and calls their exports: those of the second from the last to
/// the first, as a module may do only so much in its life. `None` of `instantiate` is an import that cannot be made.
pub fn observe_instances(
    mut store: Store<State>,
    module: &Module,
    mut instantiate: impl FnMut(&mut Store<State>) -> Option<Result<Instance>>,
) -> Vec<String> {
    for backwards in [false, true] {
        let line = match instantiate(&mut store) {
            None => format!("{REFUSED}: there are no values for its imports"),
            Some(Err(error)) => ending(&mut store, &error),
            Some(Ok(instance)) => {
                let exports = module.exports().filter_map(|export| instance.get_export(&mut store, export.name()));
                let exports = exports.collect();
                let mut run = Run { store, exports, shown: Vec::new() };
                let exhausted = run.all(backwards);
                store = run.store;
                exhausted.unwrap_or_else(|| "the instance has done all".to_owned())
            }
        };
        store.data_mut().lines.push(line.clone());
        if line.starts_with(EXHAUSTED) || line.starts_with(REFUSED) {
            break;
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
    /// Calls all functions; the last line, if an engine was exhausted.
    fn all(&mut self, backwards: bool) -> Option<String> {
        let mut funcs: Vec<Func> =
            self.exports.iter().filter_map(|export| export.clone().into_func()).take(CALLED).collect();
        if backwards {
            funcs.reverse();
        }
        let tags = self.exports.iter().filter_map(|export| export.clone().into_tag());
        let state = self.store.data_mut();
        state.tags.extend(tags);
        state.funcs = funcs.clone();
        self.line("instantiated".to_owned());
        self.look();
        for (number, func) in funcs.iter().enumerate() {
            let line = self.call(number, func);
            if line.starts_with(EXHAUSTED) {
                return Some(line);
            }
            self.line(line);
            self.look();
        }
        None
    }

    fn line(&mut self, line: String) {
        self.store.data_mut().lines.push(line);
    }

    /// Calls a function; what came of it.
    fn call(&mut self, number: usize, func: &Func) -> String {
        let ty = func.ty(&self.store);
        let Some(arguments) = self.arguments(&ty) else { return format!("call {number}: there are no values for it") };
        let shown = show_all(&mut self.store.as_context_mut(), &arguments);
        self.line(format!("call {number}{shown}"));
        let mut results = vec![Val::I32(0); ty.results().len()];
        match func.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => format!("returns{}", show_all(&mut self.store.as_context_mut(), &results)),
            Err(error) => ending(&mut self.store, &error),
        }
    }

    fn arguments(&mut self, ty: &FuncType) -> Option<Vec<Val>> {
        make_all(&mut self.store.as_context_mut(), ty.params())
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
            let element = ValType::Ref(ty.element().clone());
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

/// Values of these types, if they can be made.
fn make_all(store: &mut StoreContextMut<'_, State>, types: impl Iterator<Item = ValType>) -> Option<Vec<Val>> {
    let mut random = store.data().random.clone();
    let values = types.map(|ty| make(store, &ty, &mut random)).collect();
    store.data_mut().random = random;
    values
}

/// Every function of the host: notes what it was called with, and returns, fails, throws or calls the guest, as its state
/// says.
pub fn host_function(mut caller: Caller<'_, State>, ty: &FuncType, params: &[Val], results: &mut [Val]) -> Result<()> {
    let shown = show_all(&mut caller.as_context_mut(), params);
    let state = caller.data_mut();
    state.lines.push(format!("  host{shown}"));
    state.host_calls += 1;
    let enough = state.host_calls > HOST_CALLS;
    let choice = state.random.below(24);
    let tag = pick(&state.tags, &mut state.random);
    let func = pick(&state.funcs, &mut state.random);
    match (choice, tag, func) {
        _ if enough => return Err(HostError.into()),
        (0, ..) => return Err(HostError.into()),
        (1..4, Some(tag), _) => {
            let ty = tag.ty(&caller);
            let fields = make_all(&mut caller.as_context_mut(), ty.ty().params()).ok_or(HostError)?;
            return throw(&mut caller, tag, &fields);
        }
        (4..8, _, Some(func)) => call_back(&mut caller, func)?,
        _ => {}
    }
    let values = make_all(&mut caller.as_context_mut(), ty.results()).ok_or(HostError)?;
    results.iter_mut().zip(values).for_each(|(result, value)| *result = value);
    Ok(())
}

fn pick<T: Copy>(from: &[T], random: &mut Random) -> Option<T> {
    if from.is_empty() { None } else { Some(from[random.below(from.len())]) }
}

/// Calls a function of the guest in the middle of a call of the host; what ends it ends the host's function, too.
fn call_back(caller: &mut Caller<'_, State>, func: Func) -> Result<()> {
    let ty = func.ty(&*caller);
    let arguments = make_all(&mut caller.as_context_mut(), ty.params()).ok_or(HostError)?;
    let shown = show_all(&mut caller.as_context_mut(), &arguments);
    caller.data_mut().lines.push(format!("  host calls{shown}"));
    let mut results = vec![Val::I32(0); ty.results().len()];
    func.call(&mut *caller, &arguments, &mut results)?;
    let shown = show_all(&mut caller.as_context_mut(), &results);
    caller.data_mut().lines.push(format!("  host gets{shown}"));
    Ok(())
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
