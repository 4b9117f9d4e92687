//! `hotfoot run`: one module from its file to its exit code.
//!
//! The order is the life of a module: read, compile, provide imports, resolve them, instantiate, call, report how it ended.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hotfoot::{Cache, Engine, ExternType, Func, Instance, InstancePre, Linker, Module, Store, Val, WasmCoreDump};
use hotfoot_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, p0, p1};

use crate::args::{RunArgs, Source};
use crate::cmd::cache;
use crate::input::Input;
use crate::profile::Running;
use crate::rest::{self, Rest};
use crate::stop::Stop;
use crate::stopwatch::Stopwatch;
use crate::threads::{self, Group};
use crate::{imports, invoke, key, load, stack, types, ui, wasi};

/// What the host functions of one run work on.
struct Host {
    /// Of a program that may start threads, the thread's own; the program's is the group's.
    wasi: WasiCtx,
    threads: Option<Arc<Group<Host>>>,
    bench_start: Option<Instant>,
}

impl Host {
    fn new(wasi: WasiCtx) -> Host {
        Host { wasi, threads: None, bench_start: None }
    }

    /// What a thread of a group works on.
    fn of_thread(group: Arc<Group<Host>>) -> Host {
        let wasi = WasiCtxBuilder::new().inherit_stdio().build();
        Host { wasi, threads: Some(group), bench_start: None }
    }

    /// The files of a group.
    fn shared(&self) -> &Mutex<WasiCtx> {
        let group = self.threads.as_ref().expect("only the functions of groups ask for a group's files");
        &group.wasi
    }
}

/// Runs the program, or invokes the export that was asked for, and gives the exit code.
pub fn execute(args: &RunArgs) -> Result<i32> {
    let mut watch = Stopwatch::start();
    let outcome = stack::with_room(args.engine.max_wasm_stack(), || run(args, &mut watch));
    if args.time {
        ui::say(&watch.to_string());
    }
    outcome
}

fn run(args: &RunArgs, watch: &mut Stopwatch) -> Result<i32> {
    let cache = if args.cache { cache::for_runs() } else { None };
    let key = args.verify_key.as_deref().map(key::read).transpose()?;
    let input = Input::find(&args.source)?;
    let is_large = rest::is_large(&input);
    let engine = args.engine.engine_with(|config| {
        config.cache(cache.clone()).lazy_compilation(is_large);
        config.coredump_on_trap(args.coredump.is_some()).debug_info(args.debug);
        if let Some(key) = key {
            config.artifact_key(key);
        }
        if let Some(profile) = &args.profile {
            profile.apply(config);
        }
    })?;
    let program = args.source.to_string();
    let own_args = if args.invoke.is_none() { words(args)? } else { Vec::new() };
    let wasi = wasi::context(args, &own_args)?;
    let host = if args.threads {
        let stack = args.engine.max_wasm_stack();
        Host::of_thread(Group::new(&engine, wasi, &program, stack, Host::of_thread))
    } else {
        Host::new(wasi)
    };
    let group = host.threads.clone();
    watch.lap("read");
    if rest::is_asked() {
        return compile_rest(&engine, args, &input, cache.as_ref());
    }
    let mut rest = Rest::new(&args.source, cache);
    let module = load::module(&engine, args, &input, &args.source)?;
    rest.add(&module);
    watch.lap(if matches!(input, Input::Module(_) | Input::ModuleFile(_)) { "compile" } else { "load" });

    let mut store = Store::new(&engine, host);
    let stop = Stop::watch(&mut store, args.timeout)?;
    let mut linker = linker(&engine, &store, &module, args, group.as_ref())?;
    let mut modules = Vec::new();
    for preload in &args.preloads {
        let source = Source::File(preload.file.clone());
        let name = source.to_string();
        let module = load::module(&engine, args, &Input::find(&source)?, &source)?;
        rest.add(&module);
        modules.push((preload.name.clone(), module.clone()));
        let resolved = imports::resolve(&module, &linker, &mut store, &name)?;
        match initialized(&mut store, &resolved) {
            Ok(instance) => linker.instance(&mut store, &preload.name, instance)?,
            Err(error) => return Ok(report_end(&mut store, &stop, args, &error, &name)),
        };
    }

    modules.push((args.source.program_name(), module.clone()));
    let profile = Running::start(args.profile.as_ref(), &engine, &mut store, &args.source, modules)?;
    let resolved = imports::resolve(&module, &linker, &mut store, &program)?;
    if let Some(group) = &group {
        group.set_program(resolved.clone());
    }
    let ended = instantiate_and_call(&mut store, &resolved, &module, args, watch)?;
    let code = ended.map_or_else(|error| report_end(&mut store, &stop, args, &error, &program), |()| 0);
    if let Some(profile) = profile {
        profile.finish()?;
    }
    Ok(code)
}

/// Provides what WASI and the options promise.
fn linker(
    engine: &Engine,
    store: &Store<Host>,
    module: &Module,
    args: &RunArgs,
    group: Option<&Arc<Group<Host>>>,
) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    if let Some(group) = group {
        if !args.preloads.is_empty() {
            bail!("--preload does not go with -S threads: what is preloaded would belong to the first thread only")
        }
        p1::add_to_linker_of_threads(&mut linker, Host::shared, |host: &mut Host| &mut host.wasi)?;
        threads::add_to_linker(&mut linker, store, module, group)?;
    } else {
        p1::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
        p0::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
    }
    if args.bench_imports {
        add_bench(&mut linker)?;
    }
    Ok(linker)
}

/// Makes the instance and calls what was asked for. The outer error is about the request; the inner one is how the guest
/// ended.
fn instantiate_and_call(
    store: &mut Store<Host>,
    resolved: &InstancePre<Host>,
    module: &Module,
    args: &RunArgs,
    watch: &mut Stopwatch,
) -> Result<Result<()>> {
    let instance = match &args.invoke {
        None => resolved.instantiate(&mut *store),
        Some(_) => initialized(store, resolved),
    };
    watch.lap("instantiate");
    let instance = match instance {
        Ok(instance) => instance,
        Err(error) => return Ok(Err(error)),
    };
    let called = match &args.invoke {
        Some(name) => invoke_export(store, &instance, module, name, args)?,
        None => run_program(store, &instance, module, args)?,
    };
    watch.lap("run");
    Ok(called)
}

/// Compiles all modules of a run into the cache, and runs none of them.
fn compile_rest(engine: &Engine, args: &RunArgs, input: &Input, cache: Option<&Cache>) -> Result<i32> {
    let begun = cache.and_then(|cache| rest::begin(&args.source, cache));
    if begun.is_some() {
        load::module(engine, args, input, &args.source)?;
        for preload in &args.preloads {
            let source = Source::File(preload.file.clone());
            load::module(engine, args, &Input::find(&source)?, &source)?;
        }
    }
    Ok(0)
}

/// Says how a guest ended that did not return, writes the core dump if one is wanted, and gives the exit code.
fn report_end(store: &mut Store<Host>, stop: &Stop, args: &RunArgs, error: &anyhow::Error, program: &str) -> i32 {
    let code = stop.report_guest_end(error, program);
    let dump = error.downcast_ref::<WasmCoreDump>().filter(|_| !error.is::<I32Exit>());
    if let (Some(path), Some(dump)) = (&args.coredump, dump) {
        let bytes = dump.serialize(store, &args.source.program_name());
        let shown = path.display();
        match std::fs::write(path, &bytes) {
            Ok(()) => ui::say(&format!("wrote a core dump of {} bytes to `{shown}`", bytes.len())),
            Err(error) => ui::say(&format!("cannot write the core dump to `{shown}`: {error}; name another file")),
        }
    }
    code
}

/// ARGS as text: the interface of WASI to its guests has no other kind.
pub fn words(args: &RunArgs) -> Result<Vec<String>> {
    let word = |word: &std::ffi::OsString| {
        let text = word.to_str().map(str::to_owned);
        text.with_context(|| format!("the argument {word:?} is not UTF-8, which a guest cannot be given; write it so"))
    };
    args.argv.iter().map(word).collect()
}

/// Instantiates a module and prepares it for calls: a [reactor] wants its `_initialize` called before anything else.
///
/// [reactor]: https://github.com/WebAssembly/WASI/blob/main/legacy/application-abi.md
fn initialized(store: &mut Store<Host>, module: &InstancePre<Host>) -> Result<Instance> {
    let instance = module.instantiate(&mut *store)?;
    if let Some(initialize) = instance.get_func(&mut *store, "_initialize") {
        initialize.typed::<(), ()>(&mut *store)?.call(&mut *store, ())?;
    }
    Ok(instance)
}

/// Provides what benchmark programs call around their hot part: nothing happens but a look at the clock.
fn add_bench(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap("bench", "start", |mut caller: hotfoot::Caller<'_, Host>| {
        caller.data_mut().bench_start = Some(Instant::now());
    })?;
    linker.func_wrap("bench", "end", |mut caller: hotfoot::Caller<'_, Host>| {
        if let Some(start) = caller.data_mut().bench_start.take() {
            ui::say(&format!("bench.start to bench.end took {:.3} ms", start.elapsed().as_secs_f64() * 1e3));
        }
    })?;
    Ok(())
}

/// Calls `_start`. The outer error says that there is none; the inner one is how the guest ended.
fn run_program(store: &mut Store<Host>, instance: &Instance, module: &Module, args: &RunArgs) -> Result<Result<()>> {
    match instance.get_func(&mut *store, "_start") {
        Some(start) => {
            let Ok(typed) = start.typed::<(), ()>(&mut *store) else {
                let ty = types::func_text(&start.ty(&*store));
                let source = &args.source;
                bail!("the export `_start` of {source} must take and return nothing, but it is a func {ty}; change it")
            };
            Ok(typed.call(&mut *store, ()))
        }
        // Its start function has run, and that was the program.
        None if module.has_start() => Ok(Ok(())),
        None => bail!("{} is not a program, as it has no export `_start`; {}", args.source, invocable(module)),
    }
}

/// Calls one export and prints its results. The errors are as in [`run_program`].
fn invoke_export(
    store: &mut Store<Host>,
    instance: &Instance,
    module: &Module,
    name: &str,
    args: &RunArgs,
) -> Result<Result<()>> {
    let Some(func) = instance.get_func(&mut *store, name) else {
        let source = &args.source;
        match module.get_export(name) {
            Some(ty) => {
                let ty = types::extern_text(&ty);
                bail!("the export `{name}` of {source} is a {ty}, not a function; {}", invocable(module))
            }
            None => bail!("{source} has no export `{name}`; {}", invocable(module)),
        }
    };
    let ty = func.ty(&*store);
    let arguments = invoke::arguments(name, &ty, &words(args)?)?;
    Ok(call_and_print(store, &func, &arguments, ty.results().len()))
}

fn call_and_print(store: &mut Store<Host>, func: &Func, arguments: &[Val], result_count: usize) -> Result<()> {
    let mut results = vec![Val::I32(0); result_count];
    func.call(&mut *store, arguments, &mut results)?;
    for result in &results {
        ui::print(&format!("{}\n", invoke::text(result)));
    }
    Ok(())
}

/// What to do instead of running a module: a list of the exports that can be called.
fn invocable(module: &Module) -> String {
    let exports = module.exports();
    let funcs: Vec<String> = exports
        .filter_map(|export| match export.ty() {
            ExternType::Func(ty) => Some(format!("{} {}", export.name(), types::func_text(&ty))),
            _ => None,
        })
        .collect();
    if funcs.is_empty() {
        return "it exports no function, so another module must use it (see --preload)".to_owned();
    }
    format!("call one of its functions with --invoke NAME:\n  {}", funcs.join("\n  "))
}
