//! Everything that an instance holds, to compare instances with each other.

use hotfoot::{Instance, Module, Store, Val};

/// See the module's documentation. References to functions are their indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    pub globals: Vec<String>,
    pub tables: Vec<Vec<String>>,
    pub memories: Vec<Vec<u8>>,
}

/// A value as text, with a function as its index in the instance's module.
pub fn text<T: 'static>(store: &Store<T>, instance: &Instance, value: &Val) -> String {
    match value {
        Val::I32(value) => format!("i32 {value:#x}"),
        Val::I64(value) => format!("i64 {value:#x}"),
        Val::F32(bits) => format!("f32 {bits:#x}"),
        Val::F64(bits) => format!("f64 {bits:#x}"),
        Val::V128(vector) => format!("v128 {:#x}", vector.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) | Val::AnyRef(None) => "null".to_owned(),
        Val::FuncRef(Some(func)) => match instance.function_index(store, func) {
            Some(index) => format!("func {index}"),
            None => "foreign func".to_owned(),
        },
        Val::AnyRef(Some(value)) => format!("{:?}", value.as_i31(store)),
        other => format!("{other:?}"),
    }
}

impl Dump {
    pub fn of<T: 'static>(store: &mut Store<T>, instance: &Instance) -> Dump {
        let mut dump = Dump::default();
        while let Some(global) = instance.debug_global(&mut *store, dump.globals.len() as u32) {
            let value = global.get(&mut *store);
            dump.globals.push(text(store, instance, &value));
        }
        while let Some(table) = instance.debug_table(&mut *store, dump.tables.len() as u32) {
            let mut elements = Vec::new();
            while let Some(element) = table.get(&mut *store, elements.len() as u64) {
                elements.push(text(store, instance, &Val::from(element)));
            }
            dump.tables.push(elements);
        }
        while let Some(memory) = instance.debug_memory(&mut *store, dump.memories.len() as u32) {
            dump.memories.push(memory.data(&*store).to_vec());
        }
        dump
    }
}

/// A module's memory contents are too long for a message: this names the first difference.
pub fn assert_same(expected: &Dump, found: &Dump, what: &str) {
    assert_eq!(expected.globals, found.globals, "{what}: globals");
    assert_eq!(expected.tables, found.tables, "{what}: tables");
    assert_eq!(expected.memories.len(), found.memories.len(), "{what}: memories");
    for (index, (expected, found)) in expected.memories.iter().zip(&found.memories).enumerate() {
        assert_eq!(expected.len(), found.len(), "{what}: size of memory {index}");
        let differs = expected.iter().zip(found).position(|(expected, found)| expected != found);
        assert_eq!(differs, None, "{what}: memory {index} differs first there");
    }
}

/// The names of a module's exports.
pub fn exports(module: &Module) -> Vec<String> {
    module.exports().map(|export| export.name().to_owned()).collect()
}
