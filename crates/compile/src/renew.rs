//! The code of one module for another that differs only in how it begins: what a pre-initialised module is to its original.
//!
//! Compiled code depends on functions, types, and the shape of everything else. It does not depend on what memories, tables
//! and mutable globals hold, nor on how many elements or pages there are beyond those that it may rely on. So if both modules
//! agree in what matters, the new artifact is the old one's code and the tables about it, with the new module's interface
//! and segments. Nothing is compiled; both modules are decoded, and the new one is validated.

use hotfoot_artifact::{Address, Artifact, CodeTables, ModuleInfo, NONE, Parts, Tables};

use crate::decode::{self, Body, Module};
use crate::{Compiler, Error, fold, validate};

impl Compiler {
    /// An artifact of `wasm` with the code of `artifact`, which this compiler or an equal one made of `original`. `None` if
    /// its code would not do, as the modules differ in more than initial values, or the artifact is another's.
    ///
    /// # Errors
    /// When one of the modules is invalid or not supported.
    pub fn renew(&self, wasm: &[u8], original: &[u8], artifact: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let features = self.options.features;
        let (old, old_bodies) = decode::decode(original, features)?;
        let (mut new, new_bodies) = decode::decode(wasm, features)?;
        let Ok(code) = Artifact::parse(artifact) else { return Ok(None) };
        let Ok(info) = code.info() else { return Ok(None) };
        let Some(moved) = moved(&old_bodies, &new_bodies) else { return Ok(None) };
        let is_its = code.header == self.header
            && code.text.len() <= u32::MAX as usize
            && info.num_funcs == old.info.num_funcs
            && code.escaping.iter().map(|index| index.get()).eq(old.escaping.iter().copied());
        if !is_its || !agree(&old, &new) {
            return Ok(None);
        }
        validate::bodies(new_bodies, self.options.parallel)?;
        if !self.options.debug_info {
            new.debug.sections.clear();
        }
        fold::fold(&mut new, wasm);
        let addresses = code.code.addresses.iter().map(|address| Address {
            code: address.code,
            wasm: if address.wasm == NONE { address.wasm } else { address.wasm.get().wrapping_add(moved).into() },
        });
        let tables = Tables {
            functions: code.functions.to_vec(),
            function_types: &new.function_types,
            // Code names functions by their place in this list.
            escaping: &old.escaping,
            trampolines: code.trampolines.to_vec(),
            elements: &new.elements,
            exports: &new.exports,
            code: CodeTables { addresses: addresses.collect(), ..code.code.clone() },
            names: &new.names,
        };
        let ModuleInfo { escaping_funcs, sets_tables, needs_gc_heap, .. } = info;
        let info = ModuleInfo { escaping_funcs, sets_tables, needs_gc_heap, ..new.info };
        let parts = Parts {
            header: self.header(),
            info,
            text: code.text.to_vec(),
            data: &new.data,
            tables,
            debug: new.debug.of(wasm),
        };
        Ok(Some(parts.write()))
    }
}

/// How far the bodies are from where they were, if they are the same.
fn moved(old: &[Body<'_>], new: &[Body<'_>]) -> Option<u32> {
    let distance = |old: &Body<'_>, new: &Body<'_>| new.1.range().start.wrapping_sub(old.1.range().start) as u32;
    let moved = old.first().zip(new.first()).map_or(0, |(old, new)| distance(old, new));
    let same = |(old, new): (&Body<'_>, &Body<'_>)| {
        distance(old, new) == moved && old.1.as_bytes() == new.1.as_bytes() && old.0.ty == new.0.ty
    };
    (old.len() == new.len() && old.iter().zip(new).all(same)).then_some(moved)
}

/// Whether code that was compiled for one module is right for the other.
fn agree(old: &Module, new: &Module) -> bool {
    let counts = |module: &Module| hotfoot_abi::vmctx::Counts { escaping_funcs: 0, ..module.counts };
    counts(old) == counts(new)
        && old.info.types == new.info.types
        && old.info.rec_groups == new.info.rec_groups
        && old.info.tags == new.info.tags
        && old.function_types == new.function_types
        && old.branch_hints == new.branch_hints
        && new.escaping.iter().all(|function| old.escaping.binary_search(function).is_ok())
        && globals_agree(&old.info, &new.info)
        && memories_agree(&old.info, &new.info)
        && tables_agree(&old.info, &new.info)
}

/// Code may know the values of immutable globals.
fn globals_agree(old: &ModuleInfo, new: &ModuleInfo) -> bool {
    let first = old.globals.len() - old.global_inits.len();
    let mut inits = old.globals[first..].iter().zip(old.global_inits.iter().zip(&new.global_inits));
    old.globals == new.globals && inits.all(|(ty, (old, new))| ty.mutable || old.ops.len() > 1 || old == new)
}

/// Code may know that a memory cannot grow, and that it is at least so large.
fn memories_agree(old: &ModuleInfo, new: &ModuleInfo) -> bool {
    old.memories.len() == new.memories.len()
        && old.memories.iter().zip(&new.memories).all(|(old, new)| {
            let same = hotfoot_artifact::MemoryType { minimum: old.minimum, ..*new };
            same == *old && old.minimum <= new.minimum
        })
}

/// As for memories.
fn tables_agree(old: &ModuleInfo, new: &ModuleInfo) -> bool {
    old.tables.len() == new.tables.len()
        && old.tables.iter().zip(&new.tables).all(|(old, new)| {
            let same = hotfoot_artifact::TableType { minimum: old.minimum, ..*new };
            same == *old && old.minimum <= new.minimum
        })
}
