//! Compiling the functions of a module, on all cores.
//!
//! Threads take functions from one list, the largest bodies first so that none is left to run alone at the end; each
//! keeps its buffers from function to function. Results are put in order of function index afterwards, so neither
//! the number of threads nor their luck shows in the artifact. When several functions are invalid, the first one in
//! the module is reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{self, ExternalName, Function};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::print_errors::pretty_error;
use cranelift_codegen::settings::OptLevel;
use cranelift_codegen::{
    CodegenError, CompiledCode, Context, ExceptionContextLoc, Final, FinalizedMachCallSite,
    FinalizedMachExceptionHandler, FinalizedRelocTarget, MachSrcLoc,
};
use cranelift_frontend::FunctionBuilderContext;
use hotfoot_abi::builtin::Builtin;
use hotfoot_artifact::{FuncType, INLINED, NONE};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::decode::{Body, Module};
use crate::schedule::Scheduler;
use crate::translate::env::{Env, NAMESPACE_BUILTIN};
use crate::translate::inline::{InlinedPlace, Inlinees, Shapes, again};
use crate::translate::{Scratch, translate};
use crate::{Error, Isas, Observer, Options, clif, trampoline};

/// Stack of a compiling thread: parts of the code generator recurse over what they compile.
pub const STACK_SIZE: usize = 16 << 20;
/// Modules with less code than this, in bytes, are compiled by the calling thread: waking others costs more.
pub(crate) const SMALL_MODULE: u64 = 4 << 10;

/// What a relocation refers to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// A defined function; counts defined functions only.
    Function(u32),
    /// A builtin's trampoline.
    Builtin(Builtin),
}

/// A place in code that holds the distance to another function.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Relocation {
    pub(crate) offset: u32,
    pub(crate) kind: Reloc,
    pub(crate) addend: i64,
    pub(crate) symbol: Symbol,
}

/// A call that exceptions can come back from.
#[derive(Clone, Debug)]
pub(crate) struct CallSite {
    /// Where the call returns to.
    pub(crate) return_offset: u32,
    /// Bytes from the stack pointer during the call to the frame pointer.
    pub(crate) frame_size: u32,
    /// Bytes from the stack pointer during the call to where the VM context is kept.
    pub(crate) context: u32,
    /// What is caught and by the code at which offset, in order.
    pub(crate) handlers: Vec<(u32, u32)>,
}

/// A call across which references are kept in the frame.
#[derive(Clone, Debug)]
pub(crate) struct StackMap {
    /// Where the call returns to.
    pub(crate) return_offset: u32,
    /// Where the references are, in bytes below the frame pointer.
    pub(crate) roots: Vec<u32>,
}

/// A compiled function. Offsets count from its first byte.
#[derive(Clone, Debug, Default)]
pub struct Code {
    pub(crate) bytes: Vec<u8>,
    pub(crate) alignment: u32,
    pub(crate) relocations: Vec<Relocation>,
    /// Instructions that may trap, with Cranelift's code.
    pub(crate) traps: Vec<(u32, u8)>,
    /// Code offset to module offset, or to a place in an inlined function.
    pub(crate) addresses: Vec<(u32, u32)>,
    /// Places in inlined functions.
    pub(crate) inlined: Vec<InlinedPlace>,
    /// Calls with handlers, ascending.
    pub(crate) call_sites: Vec<CallSite>,
    /// Calls across which references are kept, ascending.
    pub(crate) stack_maps: Vec<StackMap>,
    /// Bytes of stack that a call of it takes.
    pub(crate) frame_size: u32,
    /// Whether it has a `table.set`.
    pub(crate) sets_tables: bool,
    /// Whether it looks into the collected heap.
    pub(crate) uses_heap: bool,
}

impl Code {
    /// Says which place in the module the code at an offset comes from, if that is not known yet.
    fn locate(&mut self, offset: u32, wasm: u32) {
        if let Err(at) = self.addresses.binary_search_by_key(&offset, |(offset, _)| *offset) {
            self.addresses.insert(at, (offset, wasm));
        }
    }
}

/// All code of a module.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Compiled<'a> {
    pub(crate) functions: &'a [Code],
    /// Those that the functions use.
    pub(crate) builtins: &'a [(Builtin, Code)],
    pub(crate) trampolines: &'a [TypeTrampolines],
}

/// Entry and host trampoline of a type that is its own canonical type.
pub(crate) type TypeTrampolines = (u32, Code, Code);

/// Largest frame where the code itself checks for stack overflow: it does so after the frame was made, so a frame must
/// fit what a thread has below the limit. With signals the prologue checks first, and any size is safe.
const MAX_CHECKED_FRAME: u32 = 256 << 10;
/// The trampolines of so many types are compiled by the calling thread.
const FEW_TYPES: usize = 4;

/// What a thread that compiles keeps from one function to the next: its buffers.
pub struct Worker {
    context: Context,
    scratch: Scratch,
    scheduler: Scheduler,
    registers: regalloc2::Ctx,
    builder: FunctionBuilderContext,
}

impl Default for Worker {
    fn default() -> Worker {
        Worker {
            context: Context::new(),
            scratch: Scratch::default(),
            scheduler: Scheduler::default(),
            registers: regalloc2::Ctx::default(),
            builder: FunctionBuilderContext::new(),
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// What the functions of a module are compiled against.
pub(crate) fn env<'a>(isas: &'a Isas, options: &'a Options, module: &'a Module, inlinees: Inlinees<'a>) -> Env<'a> {
    let isa = &*isas.optimising;
    Env {
        isa,
        simple_isa: &*isas.simple,
        module,
        tunables: options.tunables,
        operator_cost: &options.operator_cost,
        inlinees: options.inlining.then_some(inlinees),
        relaxed_simd_deterministic: options.relaxed_simd_deterministic,
        memory_spectre: isa.flags().enable_heap_access_spectre_mitigation(),
        table_spectre: isa.flags().enable_table_access_spectre_mitigation(),
        full_address_map: options.full_address_map,
        emit_clif: options.emit_clif.as_deref(),
    }
}

/// Compiles all functions of a module.
pub(crate) fn functions(
    isas: &Isas,
    options: &Options,
    module: &Module,
    bodies: &[Body<'_>],
    observer: &dyn Observer,
) -> Result<Vec<Code>, Error> {
    if let Some(folder) = &options.emit_clif {
        clif::prepare(folder)?;
    }
    let shapes = Shapes::new(bodies.len());
    let env = env(isas, options, module, Inlinees { bodies: &bodies, shapes: &shapes });
    let size: u64 = bodies.iter().map(|(_, body)| body.as_bytes().len() as u64).sum();
    observer.begin(bodies.len(), size);
    let queue = Queue::new(bodies, observer);
    let finished = if size <= SMALL_MODULE {
        vec![queue.work(&env)]
    } else if options.parallel {
        pool()?.broadcast(|_| queue.work(&env))
    } else {
        pool()?.install(|| vec![queue.work(&env)])
    };
    queue.collect(finished)
}

/// Which builtins functions call.
pub(crate) fn used_builtins(functions: &[Code]) -> [bool; Builtin::COUNT] {
    let mut used = [false; Builtin::COUNT];
    for relocation in functions.iter().flat_map(|code| &code.relocations) {
        if let Symbol::Builtin(builtin) = relocation.symbol {
            used[builtin as usize] = true;
        }
    }
    used
}

/// Compiles the trampolines of the wanted builtins.
pub(crate) fn builtins(isas: &Isas, wanted: impl Fn(Builtin) -> bool) -> Result<Vec<(Builtin, Code)>, Error> {
    let mut worker = Worker::default();
    let wanted = Builtin::ALL.into_iter().filter(|builtin| wanted(*builtin));
    wanted.map(|builtin| Ok((builtin, worker.builtin(&*isas.optimising, builtin)?))).collect()
}

/// Compiles the trampolines of the module's types.
pub(crate) fn trampolines(isas: &Isas, options: &Options, module: &Module) -> Result<Vec<TypeTrampolines>, Error> {
    let isa = &*isas.optimising;
    let own = module.canonical_types.iter().zip(0..).filter(|(canonical, index)| *canonical == index);
    let types: Vec<(u32, &FuncType)> =
        own.filter_map(|(_, index)| Some((index, module.info.types[index as usize].func()?))).collect();
    if options.parallel && types.len() > FEW_TYPES {
        let compile = |worker: &mut Worker, (index, ty)| worker.trampolines(isa, index, ty);
        return pool()?.install(|| types.into_par_iter().map_init(Worker::default, compile).collect());
    }
    let mut worker = Worker::default();
    types.into_iter().map(|(index, ty)| worker.trampolines(isa, index, ty)).collect()
}

/// The threads that compile, made once for the process.
pub(crate) fn pool() -> Result<&'static ThreadPool, Error> {
    static POOL: OnceLock<Result<ThreadPool, String>> = OnceLock::new();
    let built = POOL.get_or_init(|| {
        let builder = ThreadPoolBuilder::new().stack_size(STACK_SIZE).thread_name(|index| format!("compile-{index}"));
        builder.build().map_err(|error| error.to_string())
    });
    built.as_ref().map_err(|message| Error::Threads(message.clone()))
}

/// The functions still to compile.
struct Queue<'a> {
    bodies: &'a [Body<'a>],
    /// Places in `bodies`, those of the largest first.
    order: Vec<u32>,
    next: AtomicUsize,
    /// The first function that is known to be invalid, or the number of functions.
    first_failure: AtomicUsize,
    observer: &'a dyn Observer,
}

type Finished = Vec<(usize, Result<Code, Error>)>;

impl<'a> Queue<'a> {
    fn new(bodies: &'a [Body<'a>], observer: &'a dyn Observer) -> Queue<'a> {
        let mut order: Vec<u32> = (0..bodies.len() as u32).collect();
        order.sort_by_key(|index| std::cmp::Reverse(bodies[*index as usize].1.as_bytes().len()));
        Queue { first_failure: AtomicUsize::new(bodies.len()), bodies, order, next: AtomicUsize::new(0), observer }
    }

    /// Compiles functions until none is left. A function that comes after an invalid one need not be looked at.
    fn work(&self, env: &Env<'_>) -> Finished {
        let mut worker = Worker::default();
        let mut finished = Finished::new();
        while let Some(index) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let index = *index as usize;
            if index > self.first_failure.load(Ordering::Relaxed) {
                continue;
            }
            let body = &self.bodies[index];
            let (function, body_bytes) = (body.0.index, body.1.as_bytes().len() as u64);
            let result = catch_unwind(AssertUnwindSafe(|| worker.function(env, body)))
                .unwrap_or_else(|_| Err(failure(env.module, function, "the code generator panicked".to_owned())));
            if result.is_err() {
                self.first_failure.fetch_min(index, Ordering::Relaxed);
                // What was being built is still in the buffers.
                worker = Worker::default();
            }
            self.observer.advance(body_bytes);
            finished.push((index, result));
        }
        finished
    }

    /// Puts the results in order.
    fn collect(&self, finished: Vec<Finished>) -> Result<Vec<Code>, Error> {
        let mut all: Finished = finished.into_iter().flatten().collect();
        all.sort_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, result)| result).collect()
    }
}

impl Worker {
    pub(crate) fn function(&mut self, env: &Env<'_>, (function, body): &Body<'_>) -> Result<Code, Error> {
        let index = function.index;
        let translated = translate(&mut self.scratch, &mut self.context, env, again(function), body)?;
        if let Some(folder) = env.emit_clif {
            clif::write(folder, index, env.module.name_of(index), &self.context.func)?;
        }
        let isa = if translated.is_optimisable { env.isa } else { env.simple_isa };
        let mut code = self.generate(isa, || env.module.describe(index))?;
        if !env.tunables.signals_based_traps && code.frame_size > MAX_CHECKED_FRAME {
            return Err(Error::FrameTooLarge { function: env.module.describe(index), bytes: code.frame_size });
        }
        code.sets_tables = translated.sets_tables;
        code.uses_heap = translated.uses_heap;
        code.inlined = translated.inlined;
        // The prologue and its trap belong to the function as a whole.
        let start = body.range().start as u32;
        code.locate(0, start);
        let overflow = ir::TrapCode::STACK_OVERFLOW.as_raw().get();
        if let Some((offset, _)) = code.traps.iter().find(|(_, number)| *number == overflow) {
            code.locate(*offset, start);
        }
        Ok(code)
    }

    fn generate(&mut self, isa: &dyn TargetIsa, name: impl Fn() -> String) -> Result<Code, Error> {
        let failed = |message: String| Error::Codegen { function: name(), message };
        let compiled = match self.code(isa) {
            Ok(code) => code,
            Err(CodegenError::CodeTooLarge | CodegenError::ImplLimitExceeded) => {
                return Err(Error::FunctionTooLarge { function: name() });
            }
            Err(error) => return Err(failed(pretty_error(&self.context.func, error))),
        };
        let buffer = &compiled.buffer;
        let mut relocations = Vec::with_capacity(buffer.relocs().len());
        for reloc in buffer.relocs() {
            let symbol = symbol(&self.context.func, &reloc.target).map_err(failed)?;
            relocations.push(Relocation { offset: reloc.offset, kind: reloc.kind, addend: reloc.addend, symbol });
        }
        let mut call_sites = Vec::new();
        for site in buffer.call_sites().filter(|site| !site.exception_handlers.is_empty()) {
            call_sites.push(call_site(&site).map_err(failed)?);
        }
        let frame_size = buffer.frame_layout().map_or(0, |layout| layout.frame_to_fp_offset);
        let stack_maps = buffer.user_stack_maps().iter().map(|(return_offset, _, map)| StackMap {
            return_offset: *return_offset,
            roots: map.entries().map(|(_, above)| frame_size - above).collect(),
        });
        let stack_maps = stack_maps.collect();
        Ok(Code {
            bytes: buffer.data().to_vec(),
            alignment: buffer.alignment,
            relocations,
            traps: buffer.traps().iter().map(|trap| (trap.offset, trap.code.as_raw().get())).collect(),
            addresses: addresses(buffer.get_srclocs_sorted()),
            inlined: Vec::new(),
            call_sites,
            stack_maps,
            frame_size,
            sets_tables: false,
            uses_heap: false,
        })
    }

    /// Compiles the function in the context.
    fn code(&mut self, isa: &dyn TargetIsa) -> Result<CompiledCode, CodegenError> {
        let Worker { context, scheduler, registers, .. } = self;
        let control = &mut ControlPlane::default();
        context.optimize(isa, control)?;
        if isa.flags().opt_level() != OptLevel::None {
            scheduler.run(&mut context.func);
        }
        let stencil = isa.compile_function(&context.func, &context.domtree, registers, false, control)?;
        Ok(stencil.apply_params(&context.func.params))
    }

    /// Compiles the trampoline of a builtin.
    fn builtin(&mut self, isa: &dyn TargetIsa, builtin: Builtin) -> Result<Code, Error> {
        trampoline::builtin(&mut self.context, &mut self.builder, isa, builtin);
        self.generate(isa, || format!("the trampoline of {builtin:?}"))
    }

    /// Compiles the trampolines of a type.
    fn trampolines(&mut self, isa: &dyn TargetIsa, index: u32, ty: &FuncType) -> Result<TypeTrampolines, Error> {
        trampoline::entry(&mut self.context, &mut self.builder, isa, ty);
        let entry = self.generate(isa, || format!("the entry trampoline of type {index}"))?;
        trampoline::host(&mut self.context, &mut self.builder, isa, ty);
        let host = self.generate(isa, || format!("the host trampoline of type {index}"))?;
        Ok((index, entry, host))
    }
}

fn failure(module: &Module, function: u32, message: String) -> Error {
    Error::Codegen { function: module.describe(function), message }
}

/// What stretches of code come from. Code without a place counts to what is before it; but what comes after inlined code
/// is not in the inlined function any more.
fn addresses(locations: &[MachSrcLoc<Final>]) -> Vec<(u32, u32)> {
    let mut addresses: Vec<(u32, u32)> = Vec::with_capacity(locations.len());
    for location in locations {
        let after_inlined = addresses.last().is_some_and(|(_, place)| *place & INLINED != 0 && *place != NONE);
        if !location.loc.is_default() {
            addresses.push((location.start, location.loc.bits()));
        } else if after_inlined {
            addresses.push((location.start, NONE));
        }
    }
    addresses
}

/// A call with handlers. The translator names one context, before all handlers; no register survives the call.
fn call_site(site: &FinalizedMachCallSite<'_>) -> Result<CallSite, String> {
    let mut context = None;
    let mut handlers = Vec::with_capacity(site.exception_handlers.len());
    for handler in site.exception_handlers {
        match handler {
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(offset)) => context = Some(*offset),
            FinalizedMachExceptionHandler::Tag(tag, code) => handlers.push((tag.as_u32(), *code)),
            other => return Err(format!("the code generator made a handler that has no meaning: {other:?}")),
        }
    }
    let (Some(context), Some(frame_size)) = (context, site.frame_offset) else {
        return Err("the code generator lost the frame of a call with handlers".to_owned());
    };
    Ok(CallSite { return_offset: site.ret_addr, frame_size, context, handlers })
}

/// What a relocation names. Nothing but our own functions can be linked.
fn symbol(function: &Function, target: &FinalizedRelocTarget) -> Result<Symbol, String> {
    let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = target else {
        return Err(format!("its code refers to {target:?}, which does not exist in an artifact"));
    };
    let name = &function.params.user_named_funcs()[*name];
    if name.namespace == NAMESPACE_BUILTIN {
        return Ok(Symbol::Builtin(Builtin::ALL[name.index as usize]));
    }
    Ok(Symbol::Function(name.index))
}
