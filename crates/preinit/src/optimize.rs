//! What only the initialisation needed goes away: functions that nothing can reach any more, elements of tables that nothing
//! reads, and then globals and types that nothing names ([`unused`]).
//!
//! Reached is what exports, the start function, globals, tables and segments name, and what the code of reached functions
//! names. The elements of a table of the module's own are reached when code of a reached function reads them. A
//! `call_indirect` or `return_call_indirect` at a constant place of a table that nothing can change becomes a direct call
//! first, if the function there has the very type that the call names. The remaining functions get new numbers, so the code is encoded
//! anew, and DWARF, which names places in it, is left out.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ElementSection, Elements, FunctionSection, IndirectNameMap, Instruction, NameMap};
use wasmparser::{ConstExpr, ElementItems, ElementKind, ExternalKind, FunctionBody, Name, Operator, Parser};

use crate::error::PreinitError;
use crate::input::Input;
use crate::unused::{self, Unused, renamed};

/// What an optimisation did.
#[derive(Copy, Clone, Debug, Default)]
pub struct Gain {
    pub removed_functions: usize,
    /// Items of element segments for tables that nothing reads.
    pub removed_elements: usize,
    pub direct_calls: usize,
    pub unused: Unused,
}

/// Writes a module without what cannot be reached.
pub fn optimize(wasm: &[u8]) -> Result<(Vec<u8>, Gain), PreinitError> {
    let input = Input::new(wasm)?;
    let constant_calls = constant_tables(&input)?;
    let mut reached = Reached::new(&input, &constant_calls)?;
    reached.follow()?;
    let Reached { functions, unread, .. } = reached;
    let map: HashMap<u32, u32> = functions.into_iter().zip(0..).collect();
    let removed_functions = input.funcs.len() - map.len();
    let mut shrink = Shrink {
        imported: input.imported.funcs,
        types: &input.funcs,
        tables: constant_calls,
        map,
        unread,
        direct_calls: 0,
        removed_elements: 0,
    };
    let mut module = wasm_encoder::Module::new();
    shrink.parse_core_module(&mut module, Parser::new(0), wasm)?;
    let (removed_elements, direct_calls) = (shrink.removed_elements, shrink.direct_calls);
    let (wasm, unused) = unused::remove(&module.finish())?;
    Ok((wasm, Gain { removed_functions, removed_elements, direct_calls, unused }))
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

/// The tables whose elements an instruction reads, if it does; a call at a place that is known is not one.
fn read_table(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::TableGet { table }
        | Operator::CallIndirect { table_index: table, .. }
        | Operator::ReturnCallIndirect { table_index: table, .. }
        | Operator::TableCopy { src_table: table, .. } => Some(table),
        _ => None,
    }
}

/// What can be reached.
struct Reached<'a> {
    input: &'a Input<'a>,
    tables: &'a ConstantTables,
    functions: BTreeSet<u32>,
    /// Tables whose elements nothing that was reached reads.
    unread: BTreeSet<u32>,
    waiting: Vec<u32>,
}

impl<'a> Reached<'a> {
    /// What the module names outside of code.
    fn new(input: &'a Input<'a>, tables: &'a ConstantTables) -> Result<Reached<'a>, PreinitError> {
        let is_func = |kind| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
        let exports = input.exports.iter().filter(|export| is_func(export.kind));
        let mut waiting: Vec<u32> = exports.map(|export| export.index).chain(input.start).collect();
        let inits = input.global_inits.iter().chain(input.table_inits.iter().flatten());
        for init in inits {
            functions_in(init, &mut waiting)?;
        }
        let mut unread: BTreeSet<u32> = (input.imported.tables..input.tables.len() as u32).collect();
        for export in input.exports.iter().filter(|export| export.kind == ExternalKind::Table) {
            unread.remove(&export.index);
        }
        // Imports stay: a host that provides them need not notice.
        let functions = (0..input.imported.funcs).collect();
        let mut reached = Reached { input, tables, functions, unread, waiting };
        for element in &input.elements {
            match &element.kind {
                // What is only declared is needed if code names it.
                ElementKind::Declared => {}
                ElementKind::Active { table_index, .. } if reached.unread.contains(&table_index.unwrap_or(0)) => {}
                _ => reached.items(&element.items)?,
            }
        }
        Ok(reached)
    }

    fn items(&mut self, items: &ElementItems<'_>) -> Result<(), PreinitError> {
        match items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    self.waiting.push(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions.clone() {
                    functions_in(&expression?, &mut self.waiting)?;
                }
            }
        }
        Ok(())
    }

    /// Goes where the code of reached functions leads.
    fn follow(&mut self) -> Result<(), PreinitError> {
        let input = self.input;
        while let Some(function) = self.waiting.pop() {
            if !self.functions.insert(function) {
                continue;
            }
            let Some(body) = input.bodies.get((function - input.imported.funcs) as usize) else { continue };
            let mut operators = body.get_operators_reader()?;
            let mut last_constant = None;
            while !operators.eof() {
                let operator = operators.read()?;
                self.operator(&operator, last_constant)?;
                last_constant = if let Operator::I32Const { value } = operator { Some(value) } else { None };
            }
        }
        Ok(())
    }

    fn operator(&mut self, operator: &Operator<'_>, last_constant: Option<i32>) -> Result<(), PreinitError> {
        match *operator {
            Operator::Call { function_index }
            | Operator::ReturnCall { function_index }
            | Operator::RefFunc { function_index } => self.waiting.push(function_index),
            Operator::CallIndirect { type_index, table_index }
            | Operator::ReturnCallIndirect { type_index, table_index } => {
                let direct =
                    last_constant.and_then(|at| target(self.tables, &self.input.funcs, at, type_index, table_index));
                if let Some(function) = direct {
                    self.waiting.push(function);
                    return Ok(());
                }
            }
            _ => {}
        }
        if let Some(table) = read_table(operator).filter(|table| self.unread.remove(table)) {
            let input = self.input;
            for element in &input.elements {
                let into = matches!(&element.kind, ElementKind::Active { table_index, .. } if table_index.unwrap_or(0) == table);
                if into {
                    self.items(&element.items)?;
                }
            }
        }
        Ok(())
    }
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
    unread: BTreeSet<u32>,
    direct_calls: usize,
    removed_elements: usize,
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
                (
                    Operator::CallIndirect { type_index, table_index }
                    | Operator::ReturnCallIndirect { type_index, table_index },
                    Some(place),
                ) => target(&self.tables, self.types, place, *type_index, *table_index),
                _ => None,
            };
            if let Some(target) = direct {
                constant = None;
                self.direct_calls += 1;
                let target = self.function_index(target)?;
                function.instruction(&match operator {
                    Operator::ReturnCallIndirect { .. } => Instruction::ReturnCall(target),
                    _ => Instruction::Call(target),
                });
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
            (ElementKind::Active { table_index, offset_expr }, items)
                if self.unread.contains(&table_index.unwrap_or(0)) =>
            {
                // The segment stays, for the numbers of others.
                let offset = self.const_expr(offset_expr.clone())?;
                match items {
                    ElementItems::Functions(functions) => {
                        self.removed_elements += functions.count() as usize;
                        elements.active(*table_index, &offset, Elements::Functions((&[]).into()));
                    }
                    ElementItems::Expressions(ty, expressions) => {
                        self.removed_elements += expressions.count() as usize;
                        let ty = self.ref_type(*ty)?;
                        elements.active(*table_index, &offset, Elements::Expressions(ty, (&[]).into()));
                    }
                }
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
            Name::Function(map) => names.functions(&renamed(&self.map, map)?),
            Name::Local(map) => names.locals(&self.inside(map)?),
            Name::Label(map) => names.labels(&self.inside(map)?),
            other => utils::parse_custom_name_subsection(self, names, other)?,
        }
        Ok(())
    }
}
