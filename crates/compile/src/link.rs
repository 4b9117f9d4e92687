//! Code of single functions to the parts of an artifact.
//!
//! Functions are laid out in order of their index, then the trampolines of builtins, then those of types. Calls
//! between them are resolved here, with veneers where the target's branches do not reach; so the text has no
//! relocations and works wherever it is mapped.

use cranelift_codegen::TextSectionBuilder;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use hotfoot_abi::builtin::Builtin;
use hotfoot_artifact::{CodeRange, DebugSections, Header, ModuleInfo, NONE, Parts, Tables, Trampolines};

use crate::Error;
use crate::decode::Module;
use crate::driver::{Code, Compiled, Symbol};
use crate::tables::TableBuilder;

/// Alignment of every function in bytes.
pub(crate) const FUNCTION_ALIGNMENT: u32 = 16;
/// Largest text in bytes: branches reach 2 GiB.
const TEXT_SIZE_LIMIT: u64 = i32::MAX as u64;

/// Lays out the code and collects its tables; there is no debug information yet. Tells also where the trampoline of each builtin is, [`NONE`] if nowhere.
pub(crate) fn link<'a>(
    isa: &dyn TargetIsa,
    header: Header,
    module: &'a Module,
    compiled: &Compiled<'_>,
) -> Result<(Parts<'a>, Vec<u32>), Error> {
    let Compiled { functions, builtins, trampolines } = *compiled;
    let all = || {
        let types = trampolines.iter().flat_map(|(_, entry, host)| [entry, host]);
        functions.iter().chain(builtins.iter().map(|(_, code)| code)).chain(types)
    };
    // Room for alignment and, on targets that need them, veneers.
    let size: u64 = all().map(|code| (code.bytes.len() + code.relocations.len() * 16) as u64 + 64).sum();
    if size > TEXT_SIZE_LIMIT {
        return Err(Error::Limit { what: "its machine code in bytes", value: size, limit: TEXT_SIZE_LIMIT });
    }
    let mut builtin_labels = [usize::MAX; Builtin::COUNT];
    for (label, (builtin, _)) in (functions.len()..).zip(builtins) {
        builtin_labels[*builtin as usize] = label;
    }
    let mut linker =
        Linker { text: isa.text_section_builder(all().count()), builtin_labels, tables: TableBuilder::default() };
    let ranges = functions.iter().map(|code| linker.append(code)).collect::<Result<Vec<_>, _>>()?;
    let mut builtin_offsets = vec![NONE; Builtin::COUNT];
    for (builtin, code) in builtins {
        builtin_offsets[*builtin as usize] = linker.append(code)?.offset.get();
    }
    let mut places = vec![Trampolines { entry: NONE.into(), host: NONE.into() }; module.info.types.len()];
    for (ty, entry, host) in trampolines {
        let (entry, host) = (linker.append(entry)?.offset, linker.append(host)?.offset);
        places[*ty as usize] = Trampolines { entry, host };
    }
    let places = module.canonical_types.iter().map(|ty| places[*ty as usize]).collect();
    let text = linker.text.finish(&mut ControlPlane::default());
    let tables = Tables {
        functions: ranges,
        function_types: &module.function_types,
        escaping: &module.escaping,
        trampolines: places,
        elements: &module.elements,
        exports: &module.exports,
        code: linker.tables.finish(),
        names: &module.names,
    };
    let sets_tables = functions.iter().any(|code| code.sets_tables);
    let has_objects = module.info.types.iter().any(|ty| ty.func().is_none());
    let needs_gc_heap = has_objects || functions.iter().any(|code| code.uses_heap);
    let info = ModuleInfo { sets_tables, needs_gc_heap, ..module.info.clone() };
    let parts = Parts { header, info, text, data: &module.data, tables, debug: DebugSections::default() };
    Ok((parts, builtin_offsets))
}

struct Linker {
    text: Box<dyn TextSectionBuilder>,
    /// The label of each builtin's trampoline.
    builtin_labels: [usize; Builtin::COUNT],
    tables: TableBuilder,
}

impl Linker {
    /// Appends a function's code and tables.
    fn append(&mut self, code: &Code) -> Result<CodeRange, Error> {
        let alignment = code.alignment.max(FUNCTION_ALIGNMENT);
        let start = self.text.append(true, &code.bytes, alignment, &mut ControlPlane::default());
        for relocation in &code.relocations {
            let label = match relocation.symbol {
                Symbol::Function(function) => function as usize,
                Symbol::Builtin(builtin) => self.builtin_labels[builtin as usize],
            };
            let offset = start + u64::from(relocation.offset);
            if !self.text.resolve_reloc(offset, relocation.kind, relocation.addend, label) {
                let message = format!("{relocation:?} cannot be resolved");
                return Err(Error::Codegen { function: "a call".into(), message });
            }
        }
        self.tables.append(start as u32, code)?;
        Ok(CodeRange { offset: (start as u32).into(), len: (code.bytes.len() as u32).into() })
    }
}
