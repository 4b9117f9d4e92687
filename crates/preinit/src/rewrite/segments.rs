//! Segments: what memories and tables begin with, and what code can still take from passive ones.
//!
//! A segment that code refers to keeps its number. If it was dropped, anything does that is dropped after instantiation:
//! an active segment (which we have to write anyway), or an empty one.
//!
//! ```text
//!  before:  0 active   1 passive, dropped   2 passive, in use   3 active
//!  after:   0 active'  1 active'            2 passive           3 active'  4 active' …
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{ConstExpr, DataSection, ElementSection, Elements, RefType};
use wasmparser::{ElementItems, Operator};

use super::objects::Builder;
use super::{Reencoding, Writer, values};
use crate::error::PreinitError;
use crate::image;
use crate::input::Kind;
use crate::report::MemoryReport;
use crate::state::Value;

/// How many parts of a memory the report tells apart.
const REGIONS: usize = 16;

/// A part of a table, for one active segment.
struct Run {
    table: u32,
    range: Range<usize>,
}

impl Writer<'_, '_> {
    /// Whether code may still take something from a data segment.
    fn data_in_use(&self, index: u32) -> bool {
        self.uses.data.contains(&index) && !self.state.dropped_data[index as usize]
    }

    /// The data segments; also plans how to make objects, as their numbers come last.
    pub(super) fn data(&mut self) -> Result<Option<DataSection>, PreinitError> {
        let in_use = self.uses.data.iter().filter(|index| self.data_in_use(**index)).count();
        let mut ranges: Vec<(u32, Range<usize>)> = Vec::new();
        for index in 0..self.images.len() as u32 {
            let bytes = self.images[index as usize];
            let is_first = self.state.same_memories[index as usize] == index;
            let stack = self.freed_stack(index);
            let parts = if is_first { self.memory_parts(bytes, &stack) } else { Vec::new() };
            ranges.extend(parts.into_iter().map(|range| (index, range)));
        }
        image::limit(&mut ranges, image::MAX_SEGMENTS.saturating_sub(in_use), |left, right| left != right);
        self.report_memories(&ranges);

        let mut section = DataSection::new();
        let mut active: VecDeque<(u32, Range<usize>)> = ranges.into();
        let count = self.uses.data.last().map_or(0, |last| last + 1);
        for index in 0..count {
            if self.data_in_use(index) {
                section.passive(self.input.data[index as usize].data.iter().copied());
            } else if !self.active_data(&mut section, &mut active) {
                section.passive([]);
            }
        }
        while self.active_data(&mut section, &mut active) {}
        self.object_data = section.len();
        self.plan = Builder::new(self.input, self.state, &self.indices, self.kept, self.object_data).build()?;
        if !self.plan.bytes.is_empty() {
            section.passive(self.plan.bytes.iter().copied());
        }
        let needed = !section.is_empty() || self.input.has_data_count;
        Ok(needed.then_some(section))
    }

    /// Writes the next active segment, if there is one more.
    fn active_data(&mut self, section: &mut DataSection, active: &mut VecDeque<(u32, Range<usize>)>) -> bool {
        let Some((memory, range)) = active.pop_front() else { return false };
        let offset = offset(range.start, self.input.memories[memory as usize].memory64);
        let number = self.indices.memory_index(memory).unwrap_or(memory);
        section.active(number, &offset, self.images[memory as usize][range].iter().copied());
        true
    }

    fn memory_parts(&self, bytes: &[u8], stack: &Range<usize>) -> Vec<Range<usize>> {
        let shift = |range: Range<usize>| range.start + stack.end..range.end + stack.end;
        let mut parts = image::segments(&bytes[..stack.start]);
        parts.extend(image::segments(&bytes[stack.end..]).into_iter().map(shift));
        parts
    }

    /// The part of a memory that was stack and is free now: below the stack pointer, where the toolchain is one that
    /// names its stack pointer and puts the stack below all data (LLVM's default order).
    fn freed_stack(&self, memory: u32) -> Range<usize> {
        let pointer = self.input.find(Kind::Global, "__stack_pointer").filter(|_| memory == 0);
        let now = pointer.and_then(|global| self.state.globals.get(global as usize));
        let Some(Value::I32(now)) = now else { return 0..0 };
        let is_below = |start: Option<u64>| start.is_some_and(|start| start >= u64::from(*now as u32));
        let starts = self.input.data.iter().filter_map(|data| match &data.kind {
            wasmparser::DataKind::Active { offset_expr, .. } => Some(constant_offset(offset_expr)),
            wasmparser::DataKind::Passive => None,
        });
        let starts: Vec<Option<u64>> = starts.collect();
        let len = self.images[0].len();
        let known = !starts.is_empty() && starts.into_iter().all(is_below);
        if known { 0..len.min(*now as u32 as usize) } else { 0..0 }
    }

    fn report_memories(&mut self, ranges: &[(u32, Range<usize>)]) {
        for index in 0..self.images.len() as u32 {
            let bytes = self.images[index as usize];
            let stack = self.freed_stack(index);
            let region_len = bytes.len().div_ceil(REGIONS).max(1);
            let mut regions = vec![0; REGIONS];
            let mut data_bytes = 0;
            for (_, range) in ranges.iter().filter(|(memory, _)| *memory == index) {
                data_bytes += range.len();
                let touched = range.start / region_len..range.end.div_ceil(region_len);
                for (region, kept) in regions.iter_mut().enumerate().take(touched.end).skip(touched.start) {
                    *kept += range.end.min((region + 1) * region_len) - range.start.max(region * region_len);
                }
            }
            self.add_memory_report(MemoryReport {
                pages: self.state.memories[index as usize].pages,
                bytes: bytes.len(),
                data_bytes,
                stack_bytes: bytes[stack].iter().filter(|byte| **byte != 0).count(),
                regions,
            });
        }
    }

    /// Whether code may still take something from an element segment.
    fn elements_in_use(&self, index: u32) -> bool {
        self.uses.elements.contains(&index) && !self.state.dropped_elements[index as usize]
    }

    pub(super) fn elements(&mut self) -> Result<Option<ElementSection>, PreinitError> {
        let mut section = ElementSection::new();
        let mut active: VecDeque<Run> = self.table_runs().into();
        let count = self.uses.elements.last().map_or(0, |last| last + 1);
        for index in 0..count {
            if self.elements_in_use(index) {
                let items = self.items(index)?;
                section.passive(items);
            } else if self.uses.elements.contains(&index) {
                // Its type must fit the tables that code names with it.
                section.passive(self.no_items(index)?);
            } else if !self.active_elements(&mut section, &mut active)? {
                section.passive(Elements::Functions([][..].into()));
            }
        }
        while self.active_elements(&mut section, &mut active)? {}
        self.declare(&mut section);
        Ok((!section.is_empty()).then_some(section))
    }

    /// Declares what code names with `ref.func`, whether or not something else in the module does too: that may go away when
    /// the module is optimised.
    fn declare(&self, section: &mut ElementSection) {
        let named: Vec<u32> = self.uses.funcs.union(&self.plan.functions).copied().collect();
        if !named.is_empty() {
            section.declared(Elements::Functions(named.into()));
        }
    }

    /// The items of a passive segment, which stay what they are. A global that they name holds a constant.
    fn items(&mut self, index: u32) -> Reencoding<Elements<'static>> {
        match self.input.elements[index as usize].items.clone() {
            ElementItems::Functions(functions) => {
                let functions = functions.into_iter().collect::<Result<Vec<u32>, _>>()?;
                Ok(Elements::Functions(functions.into()))
            }
            ElementItems::Expressions(ty, expressions) => {
                let ty = self.indices.ref_type(ty)?;
                let mut items = Vec::new();
                for (at, value) in self.state.element_objects[index as usize].iter().enumerate() {
                    let object = self.plan.items.get(&(index, at)).cloned();
                    items.push(object.unwrap_or_else(|| values::reference(*value, ty.heap_type)));
                }
                let evaluated = items.len();
                for expression in expressions.into_iter().skip(evaluated) {
                    items.push(self.item(expression?, ty)?);
                }
                Ok(Elements::Expressions(ty, items.into()))
            }
        }
    }

    fn item(&mut self, expression: wasmparser::ConstExpr<'_>, ty: RefType) -> Reencoding<ConstExpr> {
        let value = match expression.get_operators_reader().read()? {
            Operator::RefFunc { function_index } => Value::Func(function_index),
            Operator::GlobalGet { global_index } if global_index >= self.kept.globals => {
                self.state.globals[global_index as usize]
            }
            _ => return self.indices.const_expr(expression),
        };
        Ok(values::reference(value, ty.heap_type))
    }

    /// An empty segment of the same type.
    fn no_items(&mut self, index: u32) -> Reencoding<Elements<'static>> {
        Ok(match &self.input.elements[index as usize].items {
            ElementItems::Functions(_) => Elements::Functions([][..].into()),
            ElementItems::Expressions(ty, _) => Elements::Expressions(self.indices.ref_type(*ty)?, [][..].into()),
        })
    }

    /// Writes the next active segment, if there is one more.
    fn active_elements(&mut self, section: &mut ElementSection, active: &mut VecDeque<Run>) -> Reencoding<bool> {
        let Some(Run { table, range }) = active.pop_front() else { return Ok(false) };
        let ty = self.indices.table_type(self.input.tables[table as usize])?;
        let offset = offset(range.start, ty.table64);
        let elements = &self.state.tables[table as usize].elements[range];
        let functions: Vec<u32> = elements.iter().filter_map(|element| func_of(*element)).collect();
        let number = self.indices.table_index(table)?;
        // The short form is for tables of any function without null in between.
        let items = if ty.element_type.heap_type == RefType::FUNCREF.heap_type && functions.len() == elements.len() {
            Elements::Functions(functions.into())
        } else {
            let item = |element: &Value| values::reference(*element, ty.element_type.heap_type);
            Elements::Expressions(ty.element_type, elements.iter().map(item).collect())
        };
        let is_short = number == 0 && matches!(items, Elements::Functions(_));
        section.active((!is_short).then_some(number), &offset, items);
        Ok(true)
    }

    /// What the elements of a table begin as: null, or what most of them are if the table began with something else.
    /// Objects are put there by the start function.
    pub(super) fn table_filler(&self, table: u32) -> Value {
        let defined = table.checked_sub(self.input.imported.tables);
        let begins_null = defined.is_none_or(|defined| self.input.table_inits[defined as usize].is_none());
        if begins_null && self.input.tables[table as usize].element_type.is_nullable() {
            return Value::Null;
        }
        let mut counts: BTreeMap<Value, usize> = BTreeMap::new();
        let elements = &self.state.tables[table as usize].elements;
        for element in elements.iter().filter(|element| element.object().is_none()) {
            *counts.entry(*element).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map_or(Value::Null, |(value, _)| value)
    }

    /// The parts of all tables that hold something else than they begin as.
    fn table_runs(&self) -> Vec<Run> {
        let mut ranges: Vec<(u32, Range<usize>)> = Vec::new();
        for (table, state) in self.state.tables.iter().enumerate() {
            if self.state.same_tables[table] != table as u32 {
                continue;
            }
            let filler = self.table_filler(table as u32);
            let mut at = 0;
            let begins_so = |element: &Value| *element == filler || element.object().is_some();
            for run in state.elements.chunk_by(|left, right| begins_so(left) == begins_so(right)) {
                if !begins_so(&run[0]) {
                    ranges.push((table as u32, at..at + run.len()));
                }
                at += run.len();
            }
        }
        let in_use = self.uses.elements.len();
        image::limit(&mut ranges, image::MAX_SEGMENTS.saturating_sub(in_use), |left, right| left != right);
        ranges.into_iter().map(|(table, range)| Run { table, range }).collect()
    }
}

fn func_of(value: Value) -> Option<u32> {
    if let Value::Func(index) = value { Some(index) } else { None }
}

fn offset(at: usize, index64: bool) -> ConstExpr {
    if index64 { ConstExpr::i64_const(at as i64) } else { ConstExpr::i32_const(at as u32 as i32) }
}

/// The offset of an active segment, if it is a plain number.
fn constant_offset(expression: &wasmparser::ConstExpr<'_>) -> Option<u64> {
    let mut operators = expression.get_operators_reader();
    let offset = match operators.read().ok()? {
        Operator::I32Const { value } => u64::from(value as u32),
        Operator::I64Const { value } => value as u64,
        _ => return None,
    };
    operators.is_end_then_eof().then_some(offset)
}
