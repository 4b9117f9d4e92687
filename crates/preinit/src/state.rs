//! The state of an instance in the words of its module: what it would take to begin with it.

use hotfoot::{AsContextMut, Func, Global, Instance, Memory, Ref, RootScope, Table, Val};

use crate::error::PreinitError;
use crate::input::{Input, Kind};
use crate::objects::{Object, Objects};
use crate::uses::Uses;

/// A value, as a constant expression or code can give it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    I32(i32),
    I64(i64),
    /// As bits.
    F32(u32),
    /// As bits.
    F64(u64),
    V128(u128),
    Null,
    /// A function of the module, its own or imported.
    Func(u32),
    /// An unboxed integer of 31 bits; converted, where the type is of the hierarchy `extern`.
    I31(i32),
    /// A struct or array: a number in [`State::objects`]. Converted likewise.
    Object(u32),
}

impl Value {
    /// The number of the object that it refers to.
    pub fn object(self) -> Option<u32> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }
}

/// A table as it is now.
#[derive(Debug)]
pub struct TableState {
    pub elements: Vec<Value>,
    /// What it may grow to, which for an imported one is not what the module asks for.
    pub maximum: Option<u64>,
}

/// A memory as it is now; its bytes stay in the store.
#[derive(Debug)]
pub struct MemoryState {
    pub memory: Memory,
    pub pages: u64,
    /// As for tables.
    pub maximum: Option<u64>,
}

/// See the module's documentation. Vectors hold imports first, as index spaces do.
#[derive(Debug)]
pub struct State {
    pub globals: Vec<Value>,
    pub tables: Vec<TableState>,
    pub memories: Vec<MemoryState>,
    /// Items of the element segments that code may still use, where these are references to objects.
    pub element_objects: Vec<Vec<Value>>,
    /// The structs and arrays that globals, tables and segments lead to.
    pub objects: Vec<Object>,
    pub dropped_data: Vec<bool>,
    pub dropped_elements: Vec<bool>,
    /// For each entity the first one that is the same: a thing may be imported under several names.
    pub same_globals: Vec<u32>,
    pub same_tables: Vec<u32>,
    pub same_memories: Vec<u32>,
}

/// Reads everything that an instance holds.
pub fn capture(
    input: &Input<'_>,
    uses: &Uses,
    store: impl AsContextMut,
    instance: &Instance,
) -> Result<State, PreinitError> {
    let mut store = RootScope::new(store);
    let globals: Vec<Global> = all(input.globals.len(), |index| instance.debug_global(&mut store, index));
    let tables: Vec<Table> = all(input.tables.len(), |index| instance.debug_table(&mut store, index));
    let memories: Vec<Memory> = all(input.memories.len(), |index| instance.debug_memory(&mut store, index));
    let (dropped_data, dropped_elements) = (instance.dropped_data(&store), instance.dropped_elements(&store));
    let mut capture = Capture { input, store, instance, objects: Objects::default() };
    Ok(State {
        same_globals: first_equal(&globals),
        same_tables: first_equal(&tables),
        same_memories: first_equal(&memories),
        globals: globals.iter().enumerate().map(|(at, global)| capture.global(at, global)).collect::<Result<_, _>>()?,
        tables: tables.iter().enumerate().map(|(at, table)| capture.table(at, table)).collect::<Result<_, _>>()?,
        memories: memories
            .iter()
            .enumerate()
            .map(|(at, memory)| capture.memory(at, memory))
            .collect::<Result<_, _>>()?,
        element_objects: (0..dropped_elements.len() as u32)
            .map(|segment| capture.segment(segment, uses.elements.contains(&segment)))
            .collect::<Result<_, _>>()?,
        objects: capture.objects.finish(),
        dropped_data,
        dropped_elements,
    })
}

fn all<T>(count: usize, get: impl FnMut(u32) -> Option<T>) -> Vec<T> {
    (0..count as u32).map_while(get).collect()
}

fn first_equal<T: PartialEq>(entities: &[T]) -> Vec<u32> {
    let first = |entity: &T| entities.iter().position(|other| other == entity).unwrap_or_default() as u32;
    entities.iter().map(first).collect()
}

/// Reads values; [`Objects`] has the part about structs and arrays.
pub struct Capture<'s, 'a, S> {
    pub input: &'s Input<'a>,
    pub store: S,
    pub instance: &'s Instance,
    pub objects: Objects,
}

impl<S: AsContextMut> Capture<'_, '_, S> {
    fn global(&mut self, index: usize, global: &Global) -> Result<Value, PreinitError> {
        let value = global.get(&mut self.store);
        self.root(value, |input| input.describe(Kind::Global, index as u32))
    }

    fn table(&mut self, index: usize, table: &Table) -> Result<TableState, PreinitError> {
        let maximum = table.ty(&self.store).maximum();
        let len = table.size(&self.store);
        let mut elements = Vec::with_capacity(len as usize);
        for at in 0..len {
            let element = table.get(&mut self.store, at).unwrap_or(Ref::Func(None));
            let place = |input: &Input<'_>| format!("element {at} of {}", input.describe(Kind::Table, index as u32));
            elements.push(self.root(element.into(), place)?);
        }
        Ok(TableState { elements, maximum })
    }

    fn memory(&mut self, index: usize, memory: &Memory) -> Result<MemoryState, PreinitError> {
        let ty = memory.ty(&self.store);
        if ty.shared {
            return Err(PreinitError::Uncapturable {
                place: self.input.describe(Kind::Memory, index as u32),
                held: "what other threads may write at any time, as it is shared".to_owned(),
            });
        }
        Ok(MemoryState { memory: *memory, pages: memory.size(&self.store), maximum: ty.maximum })
    }

    fn segment(&mut self, index: u32, in_use: bool) -> Result<Vec<Value>, PreinitError> {
        let items = if in_use { self.instance.debug_element_objects(&mut self.store, index) } else { Vec::new() };
        let place = |at: usize| move |_: &Input<'_>| format!("item {at} of element segment {index}");
        items.into_iter().enumerate().map(|(at, item)| self.root(item.into(), place(at))).collect()
    }

    /// A value that the instance itself holds, with everything that it leads to.
    fn root(&mut self, value: Val, place: impl Fn(&Input<'_>) -> String) -> Result<Value, PreinitError> {
        let refuse = |held| PreinitError::Uncapturable { place: place(self.input), held };
        let value = self.value(value).map_err(refuse)?;
        self.follow().map_err(|held| refuse(format!("an object that leads to {held}")))?;
        Ok(value)
    }

    /// A value, or what it is that cannot be kept.
    pub fn value(&mut self, value: Val) -> Result<Value, String> {
        Ok(match value {
            Val::I32(value) => Value::I32(value),
            Val::I64(value) => Value::I64(value),
            Val::F32(bits) => Value::F32(bits),
            Val::F64(bits) => Value::F64(bits),
            Val::V128(vector) => Value::V128(vector.as_u128()),
            Val::FuncRef(Some(func)) => self.func(&func)?,
            Val::ExternRef(Some(value)) => self.external(value)?,
            Val::ExnRef(Some(_)) => return Err("an exnref".to_owned()),
            Val::AnyRef(Some(value)) => self.any(value)?,
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) | Val::AnyRef(None) => Value::Null,
        })
    }

    fn func(&mut self, func: &Func) -> Result<Value, String> {
        let index = self.instance.function_index(&self.store, func);
        let foreign = || "a function of another instance or of the host that the module does not import".to_owned();
        index.map(Value::Func).ok_or_else(foreign)
    }
}
