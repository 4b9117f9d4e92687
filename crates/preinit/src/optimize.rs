//! What only the initialisation needed goes away: functions that nothing can reach any more.
//!
//! Reached is what exports, the start function, globals, tables and segments name, and what the code of reached functions
//! names. A `call_indirect` at a constant place of a table that nothing can change becomes a direct call first, if the
//! function there has the very type that the call names. The remaining functions get new numbers, so the code is encoded
//! anew, and DWARF, which names places in it, is left out.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ElementSection, Elements, FunctionSection, IndirectNameMap, Instruction, NameMap};
use wasmparser::{ConstExpr, ElementItems, ElementKind, ExternalKind, FunctionBody, Name, Operator, Parser};

use crate::error::PreinitError;
use crate::input::Input;

/// What an optimisation did.
#[derive(Copy, Clone, Debug, Default)]
pub struct Gain {
    pub removed_functions: usize,
    pub direct_calls: usize,
}

/// Writes a module without what cannot be reached.
pub fn optimize(wasm: &[u8]) -> Result<(Vec<u8>, Gain), PreinitError> {
    let input = Input::new(wasm)?;
    let constant_calls = constant_tables(&input)?;
    let reached = reached(&input, &constant_calls)?;
    let mut map = HashMap::new();
    for old in reached.iter().copied() {
        map.insert(old, map.len() as u32);
    }
    let removed_functions = input.funcs.len() - map.len();
    let mut shrink =
        Shrink { imported: input.imported.funcs, types: &input.funcs, tables: constant_calls, map, direct_calls: 0 };
    let mut module = wasm_encoder::Module::new();
    shrink.parse_core_module(&mut module, Parser::new(0), wasm)?;
    Ok((module.finish(), Gain { removed_functions, direct_calls: shrink.direct_calls }))
}

/// What the elements of tables are that nothing can change: by table and place.
type ConstantTables = HashMap<u32, HashMap<u32, u32>>;

fn constant_tables(input: &Input<'_>) -> Result<ConstantTables, PreinitError> {
    let first = input.imported.tables;
    let mut tables: ConstantTables = (first..input.tables.len() as u32)
        .filter(|table| input.table_inits[(*table - first) as usize].is_none())
        .map(|table| (table, HashMap::new()))
        .collect();
    for export in input.exports.iter().filter(|export| export.kind == ExternalKind::Table) {
        tables.remove(&export.index);
    }
    for body in &input.bodies {
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            if let Some(table) = changed_table(&operators.read()?) {
                tables.remove(&table);
            }
        }
    }
    for element in &input.elements {
        let ElementKind::Active { table_index, offset_expr } = &element.kind else { continue };
        let table = table_index.unwrap_or(0);
        let Some(places) = tables.get_mut(&table) else { continue };
        match (offset(offset_expr), &element.items) {
            (Some(start), ElementItems::Functions(functions)) => {
                for (place, function) in (start..).zip(functions.clone()) {
                    places.insert(place, function?);
                }
            }
            _ => drop(tables.remove(&table)),
        }
    }
    Ok(tables)
}

fn changed_table(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::TableSet { table }
        | Operator::TableGrow { table }
        | Operator::TableFill { table }
        | Operator::TableInit { table, .. }
        | Operator::TableCopy { dst_table: table, .. } => Some(table),
        _ => None,
    }
}

/// The offset of a segment of a 32-bit table, if it is a plain number.
fn offset(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match operators.read().ok()? {
        Operator::I32Const { value } if operators.is_end_then_eof() => Some(value as u32),
        _ => None,
    }
}

/// The function that an indirect call at a constant place calls for certain.
fn target(tables: &ConstantTables, types: &[u32], place: i32, ty: u32, table: u32) -> Option<u32> {
    let function = *tables.get(&table)?.get(&(place as u32))?;
    (types.get(function as usize) == Some(&ty)).then_some(function)
}

fn reached(input: &Input<'_>, tables: &ConstantTables) -> Result<BTreeSet<u32>, PreinitError> {
    // Imports stay: a host that provides them need not notice.
    let mut reached: BTreeSet<u32> = (0..input.imported.funcs).collect();
    let mut waiting: Vec<u32> = roots(input)?;
    while let Some(function) = waiting.pop() {
        if !reached.insert(function) {
            continue;
        }
        let Some(body) = input.bodies.get((function - input.imported.funcs) as usize) else { continue };
        let mut operators = body.get_operators_reader()?;
        let mut last_constant = None;
        while !operators.eof() {
            let operator = operators.read()?;
            match operator {
                Operator::Call { function_index }
                | Operator::ReturnCall { function_index }
                | Operator::RefFunc { function_index } => waiting.push(function_index),
                Operator::CallIndirect { type_index, table_index } => {
                    let place = last_constant;
                    waiting.extend(place.and_then(|at| target(tables, &input.funcs, at, type_index, table_index)));
                }
                _ => {}
            }
            last_constant = if let Operator::I32Const { value } = operator { Some(value) } else { None };
        }
    }
    Ok(reached)
}

/// What the module names outside of code.
fn roots(input: &Input<'_>) -> Result<Vec<u32>, PreinitError> {
    let is_func = |kind| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
    let exports = input.exports.iter().filter(|export| is_func(export.kind));
    let mut roots: Vec<u32> = exports.map(|export| export.index).chain(input.start).collect();
    let inits = input.global_inits.iter().chain(input.table_inits.iter().flatten());
    for init in inits {
        functions_in(init, &mut roots)?;
    }
    for element in &input.elements {
        // What is only declared is needed if code names it.
        if matches!(element.kind, ElementKind::Declared) {
            continue;
        }
        match &element.items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    roots.push(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions.clone() {
                    functions_in(&expression?, &mut roots)?;
                }
            }
        }
    }
    Ok(roots)
}

fn functions_in(expression: &ConstExpr<'_>, functions: &mut Vec<u32>) -> Result<(), PreinitError> {
    let mut operators = expression.get_operators_reader();
    while !operators.eof() {
        if let Operator::RefFunc { function_index } = operators.read()? {
            functions.push(function_index);
        }
    }
    Ok(())
}

/// Encodes a module without the functions that have no new number.
struct Shrink<'a> {
    imported: u32,
    types: &'a [u32],
    tables: ConstantTables,
    map: HashMap<u32, u32>,
    direct_calls: usize,
}

impl Shrink<'_> {
    fn body(&mut self, code: &mut CodeSection, body: &FunctionBody<'_>) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(body)?;
        let mut operators = body.get_operators_reader()?;
        // A constant waits until it is known that no indirect call takes it.
        let mut constant: Option<i32> = None;
        while !operators.eof() {
            let operator = operators.read()?;
            let direct = match (&operator, constant) {
                (Operator::CallIndirect { type_index, table_index }, Some(place)) => {
                    target(&self.tables, self.types, place, *type_index, *table_index)
                }
                _ => None,
            };
            if let Some(target) = direct {
                constant = None;
                self.direct_calls += 1;
                function.instruction(&Instruction::Call(self.function_index(target)?));
                continue;
            }
            if let Some(value) = constant.take() {
                function.instruction(&Instruction::I32Const(value));
            }
            match operator {
                Operator::I32Const { value } => constant = Some(value),
                operator => drop(function.instruction(&self.instruction(operator)?)),
            }
        }
        code.function(&function);
        Ok(())
    }

    fn functions(&mut self, map: wasmparser::NameMap<'_>) -> Result<NameMap, Error<Infallible>> {
        let mut names = NameMap::new();
        for naming in map {
            let naming = naming?;
            if let Some(index) = self.map.get(&naming.index) {
                names.append(*index, naming.name);
            }
        }
        Ok(names)
    }

    fn inside(&mut self, map: wasmparser::IndirectNameMap<'_>) -> Result<IndirectNameMap, Error<Infallible>> {
        let mut names = IndirectNameMap::new();
        for function in map {
            let function = function?;
            let Some(index) = self.map.get(&function.index) else { continue };
            let mut inner = NameMap::new();
            for naming in function.names {
                let naming = naming?;
                inner.append(naming.index, naming.name);
            }
            names.append(*index, &inner);
        }
        Ok(names)
    }
}

impl Reencode for Shrink<'_> {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Infallible>> {
        // Everything that is encoded was reached, so it has a number.
        Ok(self.map.get(&function).copied().unwrap_or_default())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for (index, ty) in (self.imported..).zip(section) {
            if self.map.contains_key(&index) {
                functions.function(ty?);
            }
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for (index, body) in (self.imported..).zip(section) {
            if self.map.contains_key(&index) {
                self.body(code, &body?)?;
            }
        }
        Ok(())
    }

    fn parse_element(
        &mut self,
        elements: &mut ElementSection,
        element: wasmparser::Element<'_>,
    ) -> Result<(), Error<Infallible>> {
        match (&element.kind, &element.items) {
            (ElementKind::Declared, ElementItems::Functions(functions)) => {
                let kept: Result<Vec<u32>, _> = functions.clone().into_iter().collect();
                let kept: Vec<u32> = kept?.iter().filter_map(|function| self.map.get(function).copied()).collect();
                elements.declared(Elements::Functions(kept.into()));
                Ok(())
            }
            _ => utils::parse_element(self, elements, element),
        }
    }

    fn parse_custom_section(
        &mut self,
        module: &mut wasm_encoder::Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let name = section.name();
        if name.starts_with(".debug_") || name.starts_with("metadata.code.") || name == "sourceMappingURL" {
            return Ok(());
        }
        utils::parse_custom_section(self, module, section)
    }

    fn parse_custom_name_subsection(
        &mut self,
        names: &mut wasm_encoder::NameSection,
        section: Name<'_>,
    ) -> Result<(), Error<Infallible>> {
        match section {
            Name::Function(map) => names.functions(&self.functions(map)?),
            Name::Local(map) => names.locals(&self.inside(map)?),
            Name::Label(map) => names.labels(&self.inside(map)?),
            other => utils::parse_custom_name_subsection(self, names, other)?,
        }
        Ok(())
    }
}
