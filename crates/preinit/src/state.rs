//! The state of an instance in the words of its module: what it would take to begin with it.

use hotfoot::{Func, Global, Instance, Memory, Ref, Store, Table, Val};

use crate::error::PreinitError;
use crate::host::Host;
use crate::input::{Input, Kind};

/// A value that a constant expression can give.
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
    /// An unboxed integer of 31 bits.
    I31(i32),
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
    pub dropped_data: Vec<bool>,
    pub dropped_elements: Vec<bool>,
    /// For each entity the first one that is the same: a thing may be imported under several names.
    pub same_globals: Vec<u32>,
    pub same_tables: Vec<u32>,
    pub same_memories: Vec<u32>,
}

/// Reads everything that an instance holds.
pub fn capture(input: &Input<'_>, store: &mut Store<Host>, instance: &Instance) -> Result<State, PreinitError> {
    let globals: Vec<Global> = all(input.globals.len(), |index| instance.debug_global(&mut *store, index));
    let tables: Vec<Table> = all(input.tables.len(), |index| instance.debug_table(&mut *store, index));
    let memories: Vec<Memory> = all(input.memories.len(), |index| instance.debug_memory(&mut *store, index));
    let mut capture = Capture { input, store, instance };
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
        dropped_data: instance.dropped_data(&*store),
        dropped_elements: instance.dropped_elements(&*store),
    })
}

fn all<T>(count: usize, get: impl FnMut(u32) -> Option<T>) -> Vec<T> {
    (0..count as u32).map_while(get).collect()
}

fn first_equal<T: PartialEq>(entities: &[T]) -> Vec<u32> {
    let first = |entity: &T| entities.iter().position(|other| other == entity).unwrap_or_default() as u32;
    entities.iter().map(first).collect()
}

struct Capture<'s, 'a> {
    input: &'s Input<'a>,
    store: &'s mut Store<Host>,
    instance: &'s Instance,
}

impl Capture<'_, '_> {
    fn global(&mut self, index: usize, global: &Global) -> Result<Value, PreinitError> {
        let value = global.get(&mut *self.store);
        self.value(value)
            .map_err(|held| PreinitError::Uncapturable { place: self.input.describe(Kind::Global, index as u32), held })
    }

    fn table(&mut self, index: usize, table: &Table) -> Result<TableState, PreinitError> {
        let maximum = table.ty(&*self.store).maximum();
        let len = table.size(&*self.store);
        let mut elements = Vec::with_capacity(len as usize);
        for at in 0..len {
            let element = table.get(&mut *self.store, at).unwrap_or(Ref::Func(None));
            let element = self.reference(element).map_err(|held| PreinitError::Uncapturable {
                place: format!("element {at} of {}", self.input.describe(Kind::Table, index as u32)),
                held,
            })?;
            elements.push(element);
        }
        Ok(TableState { elements, maximum })
    }

    fn memory(&mut self, index: usize, memory: &Memory) -> Result<MemoryState, PreinitError> {
        let ty = memory.ty(&*self.store);
        if ty.shared {
            return Err(PreinitError::Uncapturable {
                place: self.input.describe(Kind::Memory, index as u32),
                held: "what other threads may write at any time, as it is shared".to_owned(),
            });
        }
        Ok(MemoryState { memory: *memory, pages: memory.size(&*self.store), maximum: ty.maximum })
    }

    /// A value, or what it is that cannot be kept.
    fn value(&mut self, value: Val) -> Result<Value, String> {
        Ok(match value {
            Val::I32(value) => Value::I32(value),
            Val::I64(value) => Value::I64(value),
            Val::F32(bits) => Value::F32(bits),
            Val::F64(bits) => Value::F64(bits),
            Val::V128(vector) => Value::V128(vector.as_u128()),
            Val::FuncRef(func) => self.reference(Ref::Func(func))?,
            Val::ExternRef(value) => self.reference(Ref::Extern(value))?,
            Val::ExnRef(value) => self.reference(Ref::Exn(value))?,
            Val::AnyRef(value) => self.reference(Ref::Any(value))?,
        })
    }

    /// A reference, or what it is that cannot be kept.
    fn reference(&mut self, reference: Ref) -> Result<Value, String> {
        match reference {
            reference if reference.is_null() => Ok(Value::Null),
            Ref::Func(Some(func)) => self.func(&func),
            Ref::Extern(_) => Err("an externref".to_owned()),
            Ref::Exn(_) => Err("an exnref".to_owned()),
            Ref::Any(Some(value)) => match value.as_i31(&*self.store) {
                Ok(Some(value)) => Ok(Value::I31(value.get_i32())),
                _ => Err("a struct or array".to_owned()),
            },
            Ref::Func(None) | Ref::Any(None) => Ok(Value::Null),
        }
    }

    fn func(&mut self, func: &Func) -> Result<Value, String> {
        let index = self.instance.function_index(&*self.store, func);
        let foreign = || "a function of another instance or of the host that the module does not import".to_owned();
        index.map(Value::Func).ok_or_else(foreign)
    }
}
