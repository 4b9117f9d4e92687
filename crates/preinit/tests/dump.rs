//! Everything that an instance holds, to compare instances with each other.

use std::collections::HashMap;

use hotfoot::{AnyRef, AsContextMut, Instance, RootScope, Rooted, Store, Val};

/// See the module's documentation. References to functions are their indices, and to objects their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    pub globals: Vec<String>,
    pub tables: Vec<Vec<String>>,
    pub memories: Vec<Vec<u8>>,
    /// Structs and arrays in the order in which globals and tables lead to them.
    pub objects: Vec<String>,
}

/// Gives objects numbers when it sees them first.
struct Reader<'i, S> {
    store: S,
    instance: &'i Instance,
    numbers: HashMap<u32, usize>,
    found: Vec<Rooted<AnyRef>>,
}

impl<S: AsContextMut> Reader<'_, S> {
    fn text(&mut self, value: &Val) -> String {
        match value {
            Val::I32(value) => format!("i32 {value:#x}"),
            Val::I64(value) => format!("i64 {value:#x}"),
            Val::F32(bits) => format!("f32 {bits:#x}"),
            Val::F64(bits) => format!("f64 {bits:#x}"),
            Val::V128(vector) => format!("v128 {:#x}", vector.as_u128()),
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) | Val::AnyRef(None) => "null".to_owned(),
            Val::FuncRef(Some(func)) => match self.instance.function_index(&self.store, func) {
                Some(index) => format!("func {index}"),
                None => "foreign func".to_owned(),
            },
            Val::AnyRef(Some(value)) => self.any(*value),
            Val::ExternRef(Some(value)) => {
                let value = AnyRef::convert_extern(&mut self.store, *value).unwrap();
                format!("extern {}", self.any(value))
            }
            other => format!("{other:?}"),
        }
    }

    fn any(&mut self, value: Rooted<AnyRef>) -> String {
        if let Some(value) = value.as_i31(&self.store).unwrap() {
            return format!("i31 {}", value.get_i32());
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry(value.debug_address(&self.store).unwrap()).or_insert(next);
        if number == next {
            self.found.push(value);
        }
        format!("object {number}")
    }

    /// All objects that were found, and those that they lead to.
    fn objects(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(object) = self.found.get(texts.len()).copied() {
            let ty = self.instance.debug_type_index(&self.store, &object).unwrap();
            let values: Vec<Val> = match object.as_struct(&self.store).unwrap() {
                Some(object) => object.fields(&mut self.store).unwrap().collect(),
                None => object.unwrap_array(&self.store).unwrap().elems(&mut self.store).unwrap().collect(),
            };
            let values: Vec<String> = values.iter().map(|value| self.text(value)).collect();
            texts.push(format!("type {ty:?}: {}", values.join(", ")));
        }
        texts
    }
}

/// A value as text, with a function as its index in the instance's module.
pub fn text<T: 'static>(store: &mut Store<T>, instance: &Instance, value: &Val) -> String {
    reader(RootScope::new(store), instance).text(value)
}

fn reader<S: AsContextMut>(store: S, instance: &Instance) -> Reader<'_, S> {
    Reader { store, instance, numbers: HashMap::new(), found: Vec::new() }
}

impl Dump {
    pub fn of<T: 'static>(store: &mut Store<T>, instance: &Instance) -> Dump {
        Dump::with_globals(store, instance, usize::MAX)
    }

    /// With the first so many globals: the output may have more than the input, for items of element segments.
    pub fn with_globals<T: 'static>(store: &mut Store<T>, instance: &Instance, count: usize) -> Dump {
        let mut dump = Dump::default();
        let mut reader = reader(RootScope::new(store), instance);
        while let Some(global) = instance.debug_global(&mut reader.store, dump.globals.len() as u32) {
            if dump.globals.len() == count {
                break;
            }
            let value = global.get(&mut reader.store);
            dump.globals.push(reader.text(&value));
        }
        while let Some(table) = instance.debug_table(&mut reader.store, dump.tables.len() as u32) {
            let mut elements = Vec::new();
            while let Some(element) = table.get(&mut reader.store, elements.len() as u64) {
                elements.push(reader.text(&Val::from(element)));
            }
            dump.tables.push(elements);
        }
        while let Some(memory) = instance.debug_memory(&mut reader.store, dump.memories.len() as u32) {
            dump.memories.push(memory.data(&reader.store).to_vec());
        }
        dump.objects = reader.objects();
        dump
    }
}

/// A module's memory contents are too long for a message: this names the first difference.
pub fn assert_same(expected: &Dump, found: &Dump, what: &str) {
    assert_eq!(expected.globals, found.globals, "{what}: globals");
    assert_eq!(expected.tables, found.tables, "{what}: tables");
    assert_eq!(expected.objects, found.objects, "{what}: objects");
    assert_eq!(expected.memories.len(), found.memories.len(), "{what}: memories");
    for (index, (expected, found)) in expected.memories.iter().zip(&found.memories).enumerate() {
        assert_eq!(expected.len(), found.len(), "{what}: size of memory {index}");
        let differs = expected.iter().zip(found).position(|(expected, found)| expected != found);
        assert_eq!(differs, None, "{what}: memory {index} differs first there");
    }
}
