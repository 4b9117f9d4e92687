//! Code of single functions to the parts of an artifact.
//!
//! Functions are laid out in order of their index, then the trampolines of builtins, then those of types. Calls
//! between them are resolved here, with veneers where the target's branches do not reach; so the text has no
//! relocations and works wherever it is mapped.

use cranelift_codegen::TextSectionBuilder;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use hotfoot_abi::builtin::Builtin;
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{
    Address, CallSite, CodeRange, Handler, Header, ModuleInfo, NONE, Parts, StackMap, Tables, Trampolines, Trap,
};

use crate::Error;
use crate::decode::Module;
use crate::driver::{self, Code, Compiled, Symbol};

/// Alignment of every function in bytes.
const FUNCTION_ALIGNMENT: u32 = 16;
/// Largest text in bytes: branches reach 2 GiB.
const TEXT_SIZE_LIMIT: u64 = i32::MAX as u64;

/// Lays out the code and collects its tables.
pub(crate) fn link(isa: &dyn TargetIsa, header: Header, module: Module, compiled: Compiled) -> Result<Parts, Error> {
    let Compiled { functions, builtins, trampolines } = &compiled;
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
    let mut linker = Linker {
        text: isa.text_section_builder(all().count()),
        builtin_labels,
        traps: Vec::new(),
        addresses: Vec::new(),
        call_sites: Vec::new(),
        handlers: Vec::new(),
        stack_maps: Vec::new(),
        roots: Vec::new(),
    };
    let ranges = functions.iter().map(|code| linker.append(code)).collect::<Result<Vec<_>, _>>()?;
    for (_, code) in builtins {
        linker.append(code)?;
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
        function_types: module.function_types,
        escaping: module.escaping,
        trampolines: places,
        elements: module.elements,
        exports: module.exports,
        traps: linker.traps,
        addresses: linker.addresses,
        call_sites: linker.call_sites,
        handlers: linker.handlers,
        stack_maps: linker.stack_maps,
        roots: linker.roots,
        names: module.names,
    };
    let sets_tables = functions.iter().any(|code| code.sets_tables);
    let has_objects = module.info.types.iter().any(|ty| ty.func().is_none());
    let needs_gc_heap = has_objects || functions.iter().any(|code| code.uses_heap);
    let info = ModuleInfo { sets_tables, needs_gc_heap, ..module.info };
    Ok(Parts { header, info, text, data: module.data, tables, debug: module.debug })
}

struct Linker {
    text: Box<dyn TextSectionBuilder>,
    /// The label of each builtin's trampoline.
    builtin_labels: [usize; Builtin::COUNT],
    traps: Vec<Trap>,
    addresses: Vec<Address>,
    call_sites: Vec<CallSite>,
    handlers: Vec<Handler>,
    stack_maps: Vec<StackMap>,
    roots: Vec<u32>,
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
        let start = start as u32;
        for (offset, number) in &code.traps {
            let offset = start + offset;
            if self.traps.last().is_none_or(|last| last.offset < offset) {
                self.traps.push(Trap { offset, code: trap_number(*number)? });
            }
        }
        if code.addresses.is_empty() {
            self.locate(start, NONE);
        }
        for (offset, wasm) in &code.addresses {
            self.locate(start + offset, *wasm);
        }
        for site in &code.call_sites {
            self.call_site(start, site);
        }
        for map in &code.stack_maps {
            self.stack_map(start, map);
        }
        Ok(CodeRange { offset: start.into(), len: (code.bytes.len() as u32).into() })
    }

    /// Appends a call and its handlers. Calls that follow each other mostly have the same handlers, which are kept once.
    fn call_site(&mut self, start: u32, site: &driver::CallSite) {
        let handler = |(catch, code): &(u32, u32)| Handler { catch: (*catch).into(), code: (start + code).into() };
        let handlers: Vec<Handler> = site.handlers.iter().map(handler).collect();
        let known = self.call_sites.last().map(|last| last.first.get() as usize);
        let first = match known {
            Some(first) if self.handlers[first..] == handlers => first,
            _ => {
                self.handlers.extend(&handlers);
                self.handlers.len() - handlers.len()
            }
        };
        self.call_sites.push(CallSite {
            return_offset: (start + site.return_offset).into(),
            frame_size: site.frame_size.into(),
            context: site.context.into(),
            first: (first as u32).into(),
            count: (handlers.len() as u32).into(),
        });
    }

    /// Appends a call and where references are across it. Calls that follow each other often keep the same ones.
    fn stack_map(&mut self, start: u32, map: &driver::StackMap) {
        let known = self.stack_maps.last().map(|last| last.first.get() as usize);
        let first = match known {
            Some(first) if self.roots[first..] == map.roots => first,
            _ => {
                self.roots.extend(&map.roots);
                self.roots.len() - map.roots.len()
            }
        };
        self.stack_maps.push(StackMap {
            return_offset: (start + map.return_offset).into(),
            first: (first as u32).into(),
            count: (map.roots.len() as u32).into(),
        });
    }

    /// Notes that code from here on comes from this place in the module.
    fn locate(&mut self, code: u32, wasm: u32) {
        match self.addresses.last_mut() {
            Some(last) if last.wasm.get() == wasm => {}
            Some(last) if last.code.get() == code => last.wasm = wasm.into(),
            _ => self.addresses.push(Address { code: code.into(), wasm: wasm.into() }),
        }
    }
}

/// Our number for a trap code of Cranelift's, which has names of its own for some.
fn trap_number(raw: u8) -> Result<u8, Error> {
    let own = |code: ir::TrapCode| code.as_raw().get();
    let code = match raw {
        _ if raw == own(ir::TrapCode::STACK_OVERFLOW) => TrapCode::StackOverflow,
        _ if raw == own(ir::TrapCode::HEAP_OUT_OF_BOUNDS) => TrapCode::MemoryOutOfBounds,
        _ if raw == own(ir::TrapCode::INTEGER_OVERFLOW) => TrapCode::IntegerOverflow,
        _ if raw == own(ir::TrapCode::INTEGER_DIVISION_BY_ZERO) => TrapCode::IntegerDivisionByZero,
        _ if raw == own(ir::TrapCode::BAD_CONVERSION_TO_INTEGER) => TrapCode::BadConversionToInteger,
        _ => TrapCode::from_u8(raw).ok_or_else(|| {
            let message = format!("trap code {raw} has no meaning");
            Error::Codegen { function: "a trap".into(), message }
        })?,
    };
    Ok(code as u8)
}
