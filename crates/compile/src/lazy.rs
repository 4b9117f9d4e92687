//! A module whose functions are compiled one by one, in whatever order someone asks for them.
//!
//! A [`LazyModule`] is validated whole, and what lies between functions and the host is compiled with it. Its
//! [skeleton](LazyModule::skeleton) is an artifact like any other but for its functions, each of which is only room for
//! a stub; so whoever can load an artifact can load a skeleton. Code of functions is [placed](LazyModule::place)
//! behind it as it comes.
//!
//! [`LazyModule::compile`] is the seam for other code generators: function number in, [`Code`] out. When all functions are
//! compiled, [`LazyModule::link`] makes of the same codes what [`Compiler::compile`] would have made, byte for byte.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cranelift_codegen::binemit::Reloc;
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::stub::STUB_SIZE;
use hotfoot_artifact::{CodeTables, DebugSections};
use wasmparser::{BinaryReader, FuncToValidate, FunctionBody, ValidatorResources};

use crate::decode::{self, Body, Module};
use crate::driver::{self, Code, Compiled, Relocation, Symbol, Worker};
use crate::tables::TableBuilder;
use crate::translate::inline::{BodySource, Inlinees, Shapes};
use crate::validate::{self, Uses};
use crate::{Compiler, Error, fold, link};

/// See the module's documentation.
pub struct LazyModule {
    compiler: Arc<Compiler>,
    module: Module,
    bodies: Bodies,
    /// What is known of them as functions to inline.
    shapes: Shapes,
    /// All of them: which are used is known when all functions are compiled.
    builtins: Vec<(Builtin, Code)>,
    /// Where in the skeleton's text they are.
    builtin_offsets: Vec<u32>,
    trampolines: Vec<(u32, Code, Code)>,
    uses: Uses,
}

impl std::fmt::Debug for LazyModule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LazyModule").field("functions", &self.bodies.places.len()).finish_non_exhaustive()
    }
}

/// A module's binary, and where the bodies of its functions are in it.
struct Bodies {
    wasm: Arc<Vec<u8>>,
    places: Vec<Range<u64>>,
    /// What they are validated against; none if there is no function.
    resources: Option<ValidatorResources>,
}

/// Code for one place in a text.
#[derive(Debug)]
pub struct Placed {
    /// Machine code.
    pub bytes: Vec<u8>,
    /// What is known of it by its addresses.
    pub tables: CodeTables<'static>,
}

impl Code {
    /// How many bytes it has.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// What the offset of its first byte must be a multiple of.
    pub fn alignment(&self) -> u32 {
        self.alignment.max(link::FUNCTION_ALIGNMENT)
    }

    /// The functions of its module that it calls by name, counting defined functions only, in the order of the calls.
    pub fn callees(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.relocations.iter().filter_map(|relocation| match relocation.symbol {
            Symbol::Function(function) => Some(function),
            Symbol::Builtin(_) => None,
        })
    }
}

impl Compiler {
    /// Validates a module, and prepares to compile its functions one by one.
    ///
    /// # Errors
    /// As [`Compiler::compile`], but for what is only found out by compiling a function: [`LazyModule::compile`] finds it.
    pub fn compile_lazily(self: Arc<Compiler>, wasm: Arc<Vec<u8>>) -> Result<LazyModule, Error> {
        let options = &self.options;
        let (mut module, bodies) = decode::decode(&wasm, options.features)?;
        if !options.debug_info {
            module.debug.sections.clear();
        }
        fold::fold(&mut module, &wasm);
        let places: Vec<Range<u64>> = bodies.iter().map(|(_, body)| body.range()).collect();
        let resources = bodies.first().map(|(function, _)| function.resources.clone());
        let uses = validate::bodies(bodies, options.parallel)?;
        let trampolines = driver::trampolines(&self.isas, options, &module)?;
        let builtins = driver::builtins(&self.isas, |_| true)?;
        Ok(LazyModule {
            compiler: self,
            module,
            shapes: Shapes::new(places.len()),
            bodies: Bodies { wasm, places, resources },
            builtins,
            builtin_offsets: Vec::new(),
            trampolines,
            uses,
        })
    }
}

impl LazyModule {
    /// How many functions there are to compile.
    pub fn function_count(&self) -> u32 {
        self.bodies.places.len() as u32
    }

    /// The artifact whose functions are [`STUB_SIZE`] zero bytes each, in order of their index, at the start of its text, without
    /// debug information.
    ///
    /// # Errors
    /// When the module is too large.
    pub fn skeleton(&mut self) -> Result<Vec<u8>, Error> {
        let stub = |place: &Range<u64>| Code {
            bytes: vec![0; STUB_SIZE as usize],
            addresses: vec![(0, place.start as u32)],
            ..Code::default()
        };
        let functions: Vec<Code> = self.bodies.places.iter().map(stub).collect();
        let all = Compiled { functions: &functions, builtins: &self.builtins, trampolines: &self.trampolines };
        let (mut parts, offsets) =
            link::link(&*self.compiler.isas.optimising, self.compiler.header(), &self.module, &all)?;
        parts.info.sets_tables = self.uses.table_set;
        parts.info.needs_gc_heap |= self.uses.objects;
        self.builtin_offsets = offsets;
        Ok(parts.write())
    }

    /// Compiles a function, counting defined functions only.
    ///
    /// # Errors
    /// When the function uses what is not supported, or is too large.
    pub fn compile(&self, worker: &mut Worker, function: u32) -> Result<Code, Error> {
        let inlinees = Inlinees { bodies: self, shapes: &self.shapes };
        let env = driver::env(&self.compiler.isas, &self.compiler.options, &self.module, inlinees);
        let compiled = catch_unwind(AssertUnwindSafe(|| worker.function(&env, &self.body(function))));
        let result = compiled.unwrap_or_else(|_| {
            let function = self.module.describe(self.module.counts.imported_funcs + function);
            Err(Error::Codegen { function, message: "the code generator panicked".to_owned() })
        });
        if result.is_err() {
            // What was being built is still in the buffers.
            *worker = Worker::default();
        }
        result
    }

    /// Makes code of a place in the skeleton's text or behind it, where other functions are at the offsets that
    /// `function_at` gives.
    ///
    /// # Errors
    /// When another function is too far away for the processor's calls.
    pub fn place(&self, code: &Code, start: u32, function_at: impl Fn(u32) -> u32) -> Result<Placed, Error> {
        let mut bytes = code.bytes.clone();
        for relocation in &code.relocations {
            let target = match relocation.symbol {
                Symbol::Function(function) => function_at(function),
                Symbol::Builtin(builtin) => self.builtin_offsets[builtin as usize],
            };
            resolve(&mut bytes, start, relocation, target).ok_or_else(|| {
                let message = format!("{relocation:?} at {start:#x} does not reach {target:#x}");
                Error::Codegen { function: "a call".into(), message }
            })?;
        }
        let mut tables = TableBuilder::default();
        tables.append(start, code)?;
        Ok(Placed { bytes, tables: tables.finish() })
    }

    /// The artifact of the codes of all functions, in order.
    ///
    /// # Errors
    /// When all code together is too large.
    pub fn link(&self, functions: &[Code]) -> Result<Vec<u8>, Error> {
        let used = driver::used_builtins(functions);
        let builtins: Vec<(Builtin, Code)> =
            self.builtins.iter().filter(|(builtin, _)| used[*builtin as usize]).cloned().collect();
        let all = Compiled { functions, builtins: &builtins, trampolines: &self.trampolines };
        let (mut parts, _) = link::link(&*self.compiler.isas.optimising, self.compiler.header(), &self.module, &all)?;
        parts.debug = self.debug_sections();
        Ok(parts.write())
    }

    /// What the module says of its source.
    pub fn debug_sections(&self) -> DebugSections<'_> {
        self.module.debug.of(&self.bodies.wasm)
    }
}

impl BodySource for LazyModule {
    fn body(&self, function: u32) -> Body<'_> {
        let Bodies { wasm, places, resources } = &self.bodies;
        let index = self.module.counts.imported_funcs + function;
        let features = self.compiler.options.features;
        let resources = resources.clone().expect("a module with functions has what they are validated against");
        let ty = self.module.function_types[index as usize];
        let place = &places[function as usize];
        let bytes = &wasm[place.start as usize..place.end as usize];
        let reader = BinaryReader::new_features(bytes, place.start, features);
        (FuncToValidate { resources, index, ty, features }, FunctionBody::new(reader))
    }
}

/// Writes the distance to a target into the instruction that names it. `None` if it does not fit, or no call has such a
/// relocation.
fn resolve(bytes: &mut [u8], start: u32, relocation: &Relocation, target: u32) -> Option<()> {
    let at = relocation.offset as usize;
    let field = bytes.get_mut(at..at + 4)?.first_chunk_mut::<4>()?;
    let distance = i64::from(target) + relocation.addend - (i64::from(start) + at as i64);
    match relocation.kind {
        Reloc::X86CallPCRel4 | Reloc::X86PCRel4 => *field = i32::try_from(distance).ok()?.to_le_bytes(),
        Reloc::Arm64Call => {
            let words = distance >> 2;
            if !(-(1 << 25)..1 << 25).contains(&words) {
                return None;
            }
            let opcode = u32::from_le_bytes(*field) & 0xfc00_0000;
            *field = (opcode | (words as u32 & 0x03ff_ffff)).to_le_bytes();
        }
        _ => return None,
    }
    Some(())
}
