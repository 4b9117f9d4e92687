//! Where the initialisation runs: an engine, a linker with what the guest may use, and one instance.

use std::collections::BTreeMap;

use hotfoot::{AsContextMut, Caller, Extern, ExternType, Instance, Linker, Module, Store};
use hotfoot_wasi::{I32Exit, Random, VirtualClock, WasiCtx, WasiCtxBuilder};

use crate::builder::{DEFAULT_INIT_FUNCS, Preinit, Preload};
use crate::error::PreinitError;
use crate::input::Input;
use crate::report::{HostCall, Report};
use crate::rewrite;
use crate::state;
use crate::uses::Uses;

/// Runs before anything else in a reactor in the sense of WASI.
pub const INITIALIZE: &str = "_initialize";

/// When the guest's clock starts, in nanoseconds after 1970: a fixed time, 2001-09-09T01:46:40Z.
const CLOCK_START_NS: u64 = 1_000_000_000 * 1_000_000_000;
/// How far each look at the clock moves it.
const CLOCK_STEP_NS: u64 = 1_000;
/// Where the guest's random numbers start.
const RANDOM_SEED: u64 = 0;

/// The data of the store in which the initialisation runs.
#[derive(Debug)]
pub struct Host {
    wasi: WasiCtx,
    calls: BTreeMap<(String, String), u64>,
    /// The import that was called and is not provided.
    missing: Option<(String, String)>,
}

/// Initialises a module in an engine and writes the new one.
pub fn run(preinit: &Preinit, module: &Module, wasm: &[u8]) -> Result<(Vec<u8>, Report), PreinitError> {
    let funcs = init_funcs(preinit, module)?;
    let input = Input::new(wasm)?;
    rewrite::check_renames(preinit, &input)?;

    let mut store = Store::new(module.engine(), host(preinit)?);
    // An engine with fuel or epochs has them for later; nothing is limited now.
    let _ = store.set_fuel(u64::MAX);
    store.set_epoch_deadline(u64::MAX / 2);
    let linker = linker(preinit, &mut store, module)?;
    let instance = linker.instantiate(&mut store, module).map_err(|error| match store.data_mut().missing.take() {
        Some((module, name)) => PreinitError::CalledMissingImport { module, name },
        None => PreinitError::Instantiate(error),
    })?;
    for name in &funcs {
        call(&mut store, &instance, name)?;
    }
    if let Some((descriptor, kind)) = store.data().wasi.opened_descriptors().first() {
        return Err(PreinitError::OpenDescriptor { descriptor: *descriptor, kind });
    }
    let mut report = Report { input_bytes: wasm.len(), called: funcs, ..Report::default() };
    let calls = store.data().calls.iter();
    let host_call = |((module, name), count): (&(String, String), &u64)| HostCall {
        module: module.clone(),
        name: name.clone(),
        count: *count,
    };
    report.host_calls = calls.map(host_call).collect();
    report.warn_of_frozen_input();
    let output = write(preinit, &input, &mut store, &instance, &mut report)?;
    Ok((output, report))
}

/// Writes the module that begins as an instance of the input is now.
pub fn write(
    preinit: &Preinit,
    input: &Input<'_>,
    mut store: impl AsContextMut,
    instance: &Instance,
    report: &mut Report,
) -> Result<Vec<u8>, PreinitError> {
    let uses = Uses::new(input)?;
    let state = state::capture(input, &uses, &mut store, instance)?;
    let images: Vec<&[u8]> = state.memories.iter().map(|memory| memory.memory.data(&store)).collect();
    rewrite::rewrite(preinit, input, uses, &state, &images, report)
}

/// The exports to call, in order.
fn init_funcs(preinit: &Preinit, module: &Module) -> Result<Vec<String>, PreinitError> {
    let func_type = |name: &str| module.get_export(name).and_then(|ty| ty.func().cloned());
    let name = match &preinit.init_func {
        Some(name) => func_type(name).map(|_| name.as_str()),
        None => DEFAULT_INIT_FUNCS.into_iter().find(|name| func_type(name).is_some()),
    };
    let is_callable = |ty: &hotfoot::FuncType| ty.params().len() == 0 && ty.results().len() == 0;
    let Some(name) = name else {
        let exports = module.exports().filter(|export| export.ty().func().is_some_and(is_callable));
        let offered = exports.map(|export| export.name().to_owned()).collect();
        return Err(PreinitError::NoInitFunc { wanted: preinit.init_func.clone(), offered });
    };
    let mut names = vec![name.to_owned()];
    if name != INITIALIZE && func_type(INITIALIZE).is_some() {
        names.insert(0, INITIALIZE.to_owned());
    }
    for name in &names {
        if let Some(ty) = func_type(name).filter(|ty| !is_callable(ty)) {
            return Err(PreinitError::InitFuncType { name: name.clone(), ty: ty.to_string() });
        }
    }
    Ok(names)
}

fn host(preinit: &Preinit) -> Result<Host, PreinitError> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.clock(VirtualClock::new(CLOCK_START_NS, CLOCK_STEP_NS)).random(Random::seeded(RANDOM_SEED));
    if preinit.inherit_env {
        wasi.inherit_env();
    }
    if preinit.inherit_stdio {
        wasi.inherit_stdio();
    }
    for (host, guest, perms) in &preinit.dirs {
        wasi.preopened_dir(host, guest, *perms).map_err(PreinitError::Directory)?;
    }
    Ok(Host { wasi: wasi.build(), calls: BTreeMap::new(), missing: None })
}

/// Everything that the module imports: from the custom linker, WASI, and preloads; the rest as functions that fail.
fn linker(preinit: &Preinit, store: &mut Store<Host>, module: &Module) -> Result<Linker<Host>, PreinitError> {
    let engine = store.engine().clone();
    let mut linker = match &preinit.make_linker {
        Some(make_linker) => make_linker(&engine).map_err(PreinitError::Linker)?,
        None => Linker::new(&engine),
    };
    linker.observe_calls(count_call);
    if preinit.allow_wasi {
        let custom = linker;
        linker = Linker::new(&engine);
        hotfoot_wasi::p1::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi).map_err(PreinitError::Linker)?;
        linker.observe_calls(count_call);
        linker.allow_shadowing(true);
        let custom: Vec<(&str, &str, Extern)> = custom.iter(&mut *store).collect();
        for (module, name, item) in custom {
            linker.define(&*store, module, name, item).map_err(PreinitError::Linker)?;
        }
        linker.allow_shadowing(false);
    }
    preload(preinit, &mut linker, store)?;
    provide_missing(&mut linker, store, module)?;
    Ok(linker)
}

fn count_call(caller: &mut Caller<'_, Host>, module: &str, name: &str) {
    *caller.data_mut().calls.entry((module.to_owned(), name.to_owned())).or_default() += 1;
}

fn preload(preinit: &Preinit, linker: &mut Linker<Host>, store: &mut Store<Host>) -> Result<(), PreinitError> {
    for (name, source) in &preinit.preloads {
        let module = match source {
            Preload::File(path) => Module::from_file(linker.engine(), path),
            Preload::Bytes(bytes) => Module::new(linker.engine(), bytes),
        };
        let instantiate = |module: Module| {
            provide_missing(linker, store, &module)?;
            linker.module(&mut *store, name, &module).map(|_| ())
        };
        module.and_then(instantiate).map_err(|error| PreinitError::Preload { name: name.clone(), error })?;
    }
    Ok(())
}

/// Makes functions that nobody provides fail when they are called, not before.
fn provide_missing(linker: &mut Linker<Host>, store: &mut Store<Host>, module: &Module) -> Result<(), PreinitError> {
    for import in module.imports() {
        if linker.get_by_import(&mut *store, &import).is_some() {
            continue;
        }
        let (module, name) = (import.module().to_owned(), import.name().to_owned());
        let ExternType::Func(ty) = import.ty() else {
            return Err(PreinitError::MissingImport { module, name, ty: import.ty().to_string() });
        };
        let missing = (module.clone(), name.clone());
        let fail = move |mut caller: Caller<'_, Host>, _: &[hotfoot::Val], _: &mut [hotfoot::Val]| {
            caller.data_mut().missing = Some(missing.clone());
            Err(PreinitError::CalledMissingImport { module: missing.0.clone(), name: missing.1.clone() }.into())
        };
        linker.func_new(&module, &name, ty, fail).map_err(PreinitError::Linker)?;
    }
    Ok(())
}

fn call(store: &mut Store<Host>, instance: &Instance, name: &str) -> Result<(), PreinitError> {
    let called = instance.get_typed_func::<(), ()>(&mut *store, name).and_then(|func| func.call(&mut *store, ()));
    let Err(error) = called else { return Ok(()) };
    if let Some((module, name)) = store.data_mut().missing.take() {
        return Err(PreinitError::CalledMissingImport { module, name });
    }
    let func = name.to_owned();
    match error.downcast_ref::<I32Exit>() {
        Some(exit) => Err(PreinitError::Exited { func, code: exit.0 }),
        None => Err(PreinitError::Failed { func, error }),
    }
}
