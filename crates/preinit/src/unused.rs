//! Globals and types that nothing names any more go away, after the functions that did.
//!
//! A first reading notes every index that is named anywhere but in the sections that define globals and types; a global that is
//! used names what its initial value does, and a type everything in its recursion group. That is repeated until nothing is
//! added. Then the module is written with new numbers. Imported globals stay: a host that provides them need not notice.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{GlobalSection, IndirectNameMap, Module, NameMap, NameSection, TypeSection};
use wasmparser::{CustomSectionReader, GlobalSectionReader, Name, Parser, TypeSectionReader};

use crate::error::PreinitError;
use crate::input::Input;

/// How many were removed.
#[derive(Copy, Clone, Debug, Default)]
pub struct Unused {
    pub globals: usize,
    pub types: usize,
}

/// Writes a module without the globals and types that nothing names.
pub fn remove(wasm: &[u8]) -> Result<(Vec<u8>, Unused), PreinitError> {
    let input = Input::new(wasm)?;
    let mut used = Used { imported_globals: input.imported.globals, ..Used::default() };
    used.globals.extend(0..input.imported.globals);
    loop {
        let before = (used.globals.len(), used.types.len());
        used.parse_core_module(&mut Module::new(), Parser::new(0), wasm)?;
        if before == (used.globals.len(), used.types.len()) {
            break;
        }
    }
    let unused =
        Unused { globals: input.globals.len() - used.globals.len(), types: input.types.len() - used.types.len() };
    let numbers = |kept: &BTreeSet<u32>| kept.iter().copied().zip(0..).collect();
    let (globals, types) = (numbers(&used.globals), numbers(&used.types));
    let mut module = Module::new();
    Renumber { imported_globals: input.imported.globals, globals, types }.parse_core_module(
        &mut module,
        Parser::new(0),
        wasm,
    )?;
    Ok((module.finish(), unused))
}

/// What is named; what it encodes is thrown away.
#[derive(Default)]
struct Used {
    imported_globals: u32,
    globals: BTreeSet<u32>,
    types: BTreeSet<u32>,
}

impl Reencode for Used {
    type Error = Infallible;

    fn global_index(&mut self, global: u32) -> Result<u32, Error<Infallible>> {
        self.globals.insert(global);
        Ok(global)
    }

    fn type_index(&mut self, ty: u32) -> Result<u32, Error<Infallible>> {
        self.types.insert(ty);
        Ok(ty)
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let mut next = 0;
        for group in section {
            let group = group?;
            let members = next..next + group.types().len() as u32;
            next = members.end;
            if members.clone().any(|ty| self.types.contains(&ty)) {
                self.types.extend(members);
                utils::parse_recursive_type_group(self, types.ty(), group)?;
            }
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for (index, global) in (self.imported_globals..).zip(section) {
            if self.globals.contains(&index) {
                utils::parse_global(self, globals, global?)?;
            }
        }
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Result<(), Error<Infallible>> {
        // A name is no use.
        Ok(())
    }
}

/// Writes what has a new number.
struct Renumber {
    imported_globals: u32,
    globals: HashMap<u32, u32>,
    types: HashMap<u32, u32>,
}

impl Reencode for Renumber {
    type Error = Infallible;

    fn global_index(&mut self, global: u32) -> Result<u32, Error<Infallible>> {
        // Everything that is encoded was noted, so it has a number.
        Ok(self.globals.get(&global).copied().unwrap_or_default())
    }

    fn type_index(&mut self, ty: u32) -> Result<u32, Error<Infallible>> {
        Ok(self.types.get(&ty).copied().unwrap_or_default())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let mut next = 0;
        for group in section {
            let group = group?;
            let first = next;
            next += group.types().len() as u32;
            // A group is kept or removed as a whole; an empty one is no type at all.
            if self.types.contains_key(&first) && first < next {
                utils::parse_recursive_type_group(self, types.ty(), group)?;
            }
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for (index, global) in (self.imported_globals..).zip(section) {
            if self.globals.contains_key(&index) {
                utils::parse_global(self, globals, global?)?;
            }
        }
        Ok(())
    }

    fn parse_custom_name_subsection(
        &mut self,
        names: &mut NameSection,
        section: Name<'_>,
    ) -> Result<(), Error<Infallible>> {
        match section {
            Name::Global(map) => names.globals(&renamed(&self.globals, map)?),
            Name::Type(map) => names.types(&renamed(&self.types, map)?),
            Name::Field(map) => {
                let mut fields = IndirectNameMap::new();
                for ty in map {
                    let ty = ty?;
                    let Some(index) = self.types.get(&ty.index) else { continue };
                    let mut inner = NameMap::new();
                    for naming in ty.names {
                        let naming = naming?;
                        inner.append(naming.index, naming.name);
                    }
                    fields.append(*index, &inner);
                }
                names.fields(&fields);
            }
            other => utils::parse_custom_name_subsection(self, names, other)?,
        }
        Ok(())
    }
}

/// The names of what has a new number.
pub fn renamed(numbers: &HashMap<u32, u32>, map: wasmparser::NameMap<'_>) -> Result<NameMap, Error<Infallible>> {
    let mut names = NameMap::new();
    for naming in map {
        let naming = naming?;
        if let Some(index) = numbers.get(&naming.index) {
            names.append(*index, naming.name);
        }
    }
    Ok(names)
}
