//! What single functions say about their code, gathered for a text in which they have a place.

use cranelift_codegen::ir;
use hotfoot_abi::trap::{self, TrapCode};
use hotfoot_artifact::{Address, CallSite, CodeTables, Handler, INLINED, Inlined, NONE, StackMap};

use crate::Error;
use crate::driver::{self, Code};

/// Gathers the tables of functions in the order of their places.
#[derive(Default)]
pub(crate) struct TableBuilder {
    trap_offsets: Vec<u32>,
    trap_codes: Vec<u8>,
    addresses: Vec<Address>,
    inlined: Vec<Inlined>,
    call_sites: Vec<CallSite>,
    handlers: Vec<Handler>,
    stack_maps: Vec<StackMap>,
    roots: Vec<u32>,
}

impl TableBuilder {
    /// Adds what is known of a function that begins at this offset of the text.
    pub(crate) fn append(&mut self, start: u32, code: &Code) -> Result<(), Error> {
        for (offset, number) in &code.traps {
            let offset = start + offset;
            if self.trap_offsets.last().is_none_or(|last| *last < offset) {
                self.trap_offsets.push(offset);
                self.trap_codes.push(trap_number(*number)?);
            }
        }
        if code.addresses.is_empty() {
            self.locate(start, NONE);
        }
        let first = self.inlined.len() as u32;
        let rebased = |place: u32| if place & INLINED != 0 && place != NONE { place + first } else { place };
        for (offset, place) in &code.addresses {
            self.locate(start + offset, rebased(*place));
        }
        self.inlined.extend(code.inlined.iter().map(|place| Inlined {
            function: place.function.into(),
            wasm: place.wasm.into(),
            caller: rebased(place.caller).into(),
        }));
        for site in &code.call_sites {
            self.call_site(start, site);
        }
        for map in &code.stack_maps {
            self.stack_map(start, map);
        }
        Ok(())
    }

    /// The tables of all functions that were added.
    pub(crate) fn finish(self) -> CodeTables<'static> {
        CodeTables {
            trap_offsets: self.trap_offsets.into_iter().map(Into::into).collect(),
            trap_codes: self.trap_codes.into(),
            addresses: self.addresses.into(),
            inlined: self.inlined.into(),
            call_sites: self.call_sites.into(),
            handlers: self.handlers.into(),
            stack_maps: self.stack_maps.into(),
            roots: self.roots.into_iter().map(Into::into).collect(),
        }
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
        _ if trap::of_number(raw).is_some() => return Ok(raw),
        _ => {
            let message = format!("trap code {raw} has no meaning");
            return Err(Error::Codegen { function: "a trap".into(), message });
        }
    };
    Ok(code as u8)
}
