//! Structs and arrays: how the new module makes those that the old one held.
//!
//! ```text
//!  global   ──  a constant expression makes what it holds, with everything that was immutable below it
//!  start    ──  makes the other objects, each after those that its immutable fields name,
//!               fills in references that led to later objects (all circles go through a mutable field),
//!               and puts objects into tables and the remaining globals
//! ```
//!
//! An object that is named once is made in the place that names it (`graph`). The start function finds the others in an
//! array that only it knows. An immutable global that no constant expression can make becomes mutable, unless it is
//! exported. Items of element segments get a global of their own.

mod graph;
mod make;
mod placeholder;

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::{ConstExpr, HeapType, Instruction};
use wasmparser::{ExternalKind, RefType, StorageType, ValType};

use super::indices::Indices;
use super::values;
use crate::error::PreinitError;
use crate::input::{Imported, Input, Kind};
use crate::state::{State, Value};
use graph::Graph;

/// Instructions after which another function begins.
const MAX_CHUNK: usize = 4000;

/// What makes the objects of a state. Indices are those of the output.
#[derive(Debug, Default)]
pub struct Plan {
    /// For globals of the input: how the output begins with objects in them.
    pub globals: BTreeMap<u32, GlobalPlan>,
    /// Further globals, immutable: the type of what they refer to, and how they begin.
    pub more_globals: Vec<(u32, ConstExpr)>,
    /// For items of element segments of the input that are objects.
    pub items: BTreeMap<(u32, usize), ConstExpr>,
    /// What the elements of tables begin as where null and other values will not do.
    pub fillers: BTreeMap<u32, ConstExpr>,
    /// What the start function does, in parts.
    pub code: Vec<Vec<Instruction<'static>>>,
    /// How many objects the start function must find again; they are in an array in local 0.
    pub scratch: u32,
    /// What the data segment for arrays of numbers holds.
    pub bytes: Vec<u8>,
    /// Functions that all this names.
    pub functions: BTreeSet<u32>,
}

/// How a global begins.
#[derive(Debug)]
pub struct GlobalPlan {
    pub init: ConstExpr,
    /// Whether it must be mutable, as the start function sets it.
    pub mutable: bool,
}

/// Where an object is once it is made.
#[derive(Copy, Clone, Debug)]
enum Place {
    Global {
        index: u32,
        ty: RefType,
        is_constant: bool,
    },
    /// A field or element of another object.
    Part {
        owner: u32,
        index: usize,
    },
    /// In the array of the start function.
    Scratch(u32),
}

/// What is still to be filled.
#[derive(Copy, Clone, Debug)]
enum Patch {
    Part { object: u32, index: usize },
    Numbers { array: u32 },
}

/// Makes a [`Plan`].
pub struct Builder<'w, 'a> {
    input: &'w Input<'a>,
    state: &'w State,
    indices: &'w Indices,
    kept: Imported,
    /// Number of the data segment for arrays of numbers.
    data_segment: u32,
    graph: Graph,
    places: Vec<Option<Place>>,
    /// Objects in the order in which they got a place, to be forgotten if a constant expression fails.
    placed: Vec<u32>,
    patches: Vec<Patch>,
    /// In a constant expression: the global before which all globals can be named.
    constant: Option<u32>,
    out: Vec<Instruction<'static>>,
    scratch: u32,
    bytes: Vec<u8>,
    plan: Plan,
}

impl<'w, 'a> Builder<'w, 'a> {
    pub fn new(
        input: &'w Input<'a>,
        state: &'w State,
        indices: &'w Indices,
        kept: Imported,
        data_segment: u32,
    ) -> Builder<'w, 'a> {
        Builder {
            input,
            state,
            indices,
            kept,
            data_segment,
            graph: Graph::new(input, state),
            places: vec![None; state.objects.len()],
            placed: Vec::new(),
            patches: Vec::new(),
            constant: None,
            out: Vec::new(),
            scratch: 0,
            bytes: Vec::new(),
            plan: Plan::default(),
        }
    }

    /// Plans everything.
    pub fn build(mut self) -> Result<Plan, PreinitError> {
        let later = self.globals()?;
        self.segments()?;
        let refuse = |held| PreinitError::Uncapturable { place: "the heap".to_owned(), held };
        self.objects().map_err(refuse)?;
        self.roots(&later)?;
        self.end_chunk();
        self.plan.scratch = self.scratch;
        self.plan.bytes = self.bytes;
        Ok(self.plan)
    }

    fn push(&mut self, instruction: Instruction<'static>) {
        if let Instruction::RefFunc(function) = instruction {
            self.plan.functions.insert(function);
        }
        self.out.push(instruction);
    }

    /// The type of the array of the start function.
    fn scratch_type(&self) -> u32 {
        scratch_type(self.input)
    }

    /// A constant expression in which the globals before some can be named; leaves no trace where there is none.
    fn constant(&mut self, before: u32, value: Value, ty: StorageType) -> Result<ConstExpr, String> {
        let (placed, patches) = (self.placed.len(), self.patches.len());
        self.constant = Some(before);
        let made = self.value(value, ty, 0);
        self.constant = None;
        let instructions = std::mem::take(&mut self.out);
        if let Err(error) = made {
            for object in self.placed.drain(placed..) {
                self.places[object as usize] = None;
            }
            self.patches.truncate(patches);
            return Err(error);
        }
        Ok(ConstExpr::extended(instructions))
    }

    /// Plans the globals that hold objects; gives those that the start function must set.
    fn globals(&mut self) -> Result<Vec<u32>, PreinitError> {
        let exported = |index: u32| {
            self.input.exports.iter().any(|export| export.kind == ExternalKind::Global && export.index == index)
        };
        let holds = |index: &u32| {
            let at = *index as usize;
            self.state.globals[at].object().is_some() && self.state.same_globals[at] == *index
        };
        let mut globals: Vec<(u32, bool)> =
            (0..self.input.globals.len() as u32).filter(holds).map(|index| (index, exported(index))).collect();
        // Those that must be made by a constant expression come first; mutable ones cannot be named by others.
        globals.sort_by_key(|(index, exported)| (self.input.globals[*index as usize].mutable, !exported, *index));
        let mut later = Vec::new();
        for (index, exported) in globals {
            let ty = self.input.globals[index as usize];
            let refuse = |held: String| PreinitError::Uncapturable {
                place: self.input.describe(Kind::Global, index),
                held: format!("an object that cannot be made before the module runs ({held})"),
            };
            if index < self.kept.globals {
                if !ty.mutable {
                    return Err(refuse("as the import stays an import".to_owned()));
                }
                later.push(index);
                continue;
            }
            let new = self.state.globals[index as usize].object();
            let new = new.filter(|object| self.places[*object as usize].is_none());
            let number = self.indices.global(index);
            let value = self.state.globals[index as usize];
            let (init, mutable) = match self.constant(number, value, StorageType::Val(ty.content_type)) {
                Ok(init) => {
                    if let (Some(object), ValType::Ref(content)) = (new, ty.content_type) {
                        self.place(object, Place::Global { index: number, ty: content, is_constant: !ty.mutable });
                    }
                    (init, ty.mutable)
                }
                Err(held) if exported && !ty.mutable => return Err(refuse(held)),
                Err(_) => {
                    later.push(index);
                    let place = || self.input.describe(Kind::Global, index);
                    let filler = self.filler_expression(ty.content_type);
                    (filler.map_err(|held| PreinitError::Uncapturable { place: place(), held })?, true)
                }
            };
            self.plan.globals.insert(index, GlobalPlan { init, mutable });
        }
        later.sort_unstable();
        Ok(later)
    }

    /// A constant expression for a place that is filled later.
    fn filler_expression(&mut self, ty: ValType) -> Result<ConstExpr, String> {
        let before = std::mem::take(&mut self.out);
        let made = self.filler(StorageType::Val(ty));
        let filler = std::mem::replace(&mut self.out, before);
        made.map(|()| ConstExpr::extended(filler))
    }

    fn place(&mut self, object: u32, place: Place) {
        self.places[object as usize] = Some(place);
        self.placed.push(object);
    }

    /// Plans the items of element segments.
    fn segments(&mut self) -> Result<(), PreinitError> {
        let state = self.state;
        let first_new = self.indices.count_globals();
        for (segment, items) in state.element_objects.iter().enumerate() {
            for (at, value) in items.iter().enumerate() {
                let Some(object) = value.object() else { continue };
                let refuse = |held: String| PreinitError::Uncapturable {
                    place: format!("item {at} of element segment {segment}"),
                    held: format!("an object that cannot be made before the module runs ({held})"),
                };
                let item = StorageType::Val(ValType::Ref(self.input.item_type(segment)));
                if self.places[object as usize].is_none() {
                    let number = first_new + self.plan.more_globals.len() as u32;
                    let ty = state.objects[object as usize].ty;
                    let own = values::reference_to(ty);
                    let init = self.constant(number, *value, StorageType::Val(ValType::Ref(own))).map_err(refuse)?;
                    self.plan.more_globals.push((ty, init));
                    self.place(object, Place::Global { index: number, ty: own, is_constant: true });
                }
                let expression = self.constant(u32::MAX, *value, item).map_err(refuse)?;
                self.plan.items.insert((segment as u32, at), expression);
            }
        }
        Ok(())
    }

    /// Makes all objects that have no place yet and need one, and fills the rest of those that have.
    fn objects(&mut self) -> Result<(), String> {
        for object in std::mem::take(&mut self.graph.order) {
            if self.places[object as usize].is_some() || self.graph.inline[object as usize] {
                continue;
            }
            let index = self.scratch;
            self.scratch += 1;
            self.push(Instruction::LocalGet(0));
            self.push(Instruction::I32Const(index as i32));
            self.make(object, 0)?;
            self.push(Instruction::ArraySet(self.scratch_type()));
            self.place(object, Place::Scratch(index));
            self.end_chunk_if_long();
        }
        for patch in std::mem::take(&mut self.patches) {
            self.patch(patch)?;
            self.end_chunk_if_long();
        }
        Ok(())
    }

    /// Puts objects into globals and tables, and everything into imported globals that stay.
    fn roots(&mut self, later: &[u32]) -> Result<(), PreinitError> {
        let state = self.state;
        let kept = (0..self.kept.globals).filter(|index| self.input.globals[*index as usize].mutable);
        let mut globals: Vec<u32> = later.iter().copied().chain(kept).collect();
        globals.sort_unstable();
        globals.dedup();
        for index in globals {
            let ty = StorageType::Val(self.input.globals[index as usize].content_type);
            let refuse = |held| PreinitError::Uncapturable { place: self.input.describe(Kind::Global, index), held };
            self.value(state.globals[index as usize], ty, 0).map_err(refuse)?;
            self.push(Instruction::GlobalSet(self.indices.global(index)));
            self.end_chunk_if_long();
        }
        for (index, table) in state.tables.iter().enumerate() {
            if state.same_tables[index] != index as u32 {
                continue;
            }
            let ty = self.input.tables[index];
            let refuse =
                |held| PreinitError::Uncapturable { place: self.input.describe(Kind::Table, index as u32), held };
            let is_other = |value: &Value| value.object().is_none() && *value != Value::Null;
            if !ty.element_type.is_nullable() && !table.elements.iter().any(is_other) {
                let filler = self.filler_expression(ValType::Ref(ty.element_type)).map_err(refuse)?;
                self.plan.fillers.insert(index as u32, filler);
            }
            for (at, value) in table.elements.iter().enumerate().filter(|(_, value)| value.object().is_some()) {
                self.push(match ty.table64 {
                    true => Instruction::I64Const(at as i64),
                    false => Instruction::I32Const(at as i32),
                });
                self.value(*value, StorageType::Val(ValType::Ref(ty.element_type)), 0).map_err(refuse)?;
                self.push(Instruction::TableSet(self.indices.table(index as u32)));
                self.end_chunk_if_long();
            }
        }
        Ok(())
    }

    fn end_chunk_if_long(&mut self) {
        if self.out.len() > MAX_CHUNK {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        if !self.out.is_empty() {
            self.plan.code.push(std::mem::take(&mut self.out));
        }
    }
}

/// The type of the array of the start function: the first one behind those of the input and the start function's.
pub fn scratch_type(input: &Input<'_>) -> u32 {
    input.types.len() as u32 + u32::from(input.empty_func_type.is_none())
}

/// That type as a reference.
pub fn scratch_ref(input: &Input<'_>) -> wasm_encoder::RefType {
    wasm_encoder::RefType { nullable: true, heap_type: HeapType::Concrete(scratch_type(input)) }
}
