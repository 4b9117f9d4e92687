//! The module to pre-initialise, taken apart: what the capture and the rewriting ask about it.
//!
//! Sections are kept as bytes, so that what does not change is copied. The engine has validated the module before.

use std::collections::HashMap;
use std::fmt;

use hotfoot::{AsContext, Instance};
use wasmparser::{
    AbstractHeapType, CompositeInnerType, ConstExpr, Data, Element, ElementItems, Export, ExternalKind, FunctionBody,
    GlobalType, HeapType, Import, KnownCustom, MemoryType, Name, NameSectionReader, Parser, Payload, RefType, SubType,
    TableInit, TableType, TypeRef, UnpackedIndex,
};

use crate::error::PreinitError;

/// The largest section number.
const SECTION_MAX: usize = 13;

/// A custom section and where it stood.
#[derive(Debug)]
pub struct Custom<'a> {
    /// Number of the section before it that is no custom section; 0 at the start.
    pub after: u8,
    pub name: &'a str,
    pub data: &'a [u8],
    /// Name and data as they are in the file.
    pub contents: &'a [u8],
}

/// How many entities of each kind are imported.
#[derive(Copy, Clone, Debug, Default)]
pub struct Imported {
    pub funcs: u32,
    pub tables: u32,
    pub memories: u32,
    pub globals: u32,
}

/// See the module's documentation. Vectors of entities hold imports first, as index spaces do.
#[derive(Default)]
pub struct Input<'a> {
    sections: [Option<&'a [u8]>; SECTION_MAX + 1],
    pub customs: Vec<Custom<'a>>,
    pub imports: Vec<Import<'a>>,
    pub imported: Imported,
    pub types: Vec<SubType>,
    /// A type without parameters and results, if there is one.
    pub empty_func_type: Option<u32>,
    /// Type of each function.
    pub funcs: Vec<u32>,
    pub tables: Vec<TableType>,
    /// What the elements of each defined table begin as, if not null.
    pub table_inits: Vec<Option<ConstExpr<'a>>>,
    pub memories: Vec<MemoryType>,
    pub globals: Vec<GlobalType>,
    /// What each defined global begins as.
    pub global_inits: Vec<ConstExpr<'a>>,
    pub exports: Vec<Export<'a>>,
    pub elements: Vec<Element<'a>>,
    pub data: Vec<Data<'a>>,
    pub start: Option<u32>,
    pub has_data_count: bool,
    pub bodies: Vec<FunctionBody<'a>>,
    names: HashMap<(Kind, u32), &'a str>,
}

/// A kind of entity that can hold state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Func,
    Table,
    Memory,
    Global,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Func => "function",
            Kind::Table => "table",
            Kind::Memory => "memory",
            Kind::Global => "global",
        })
    }
}

impl<'a> Input<'a> {
    /// Takes a module apart.
    pub fn new(wasm: &'a [u8]) -> Result<Input<'a>, PreinitError> {
        let mut input = Input::default();
        let mut last = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                let contents = &wasm[range.start as usize..range.end as usize];
                match &payload {
                    Payload::CustomSection(custom) => {
                        let (name, data) = (custom.name(), custom.data());
                        input.customs.push(Custom { after: last, name, data, contents });
                        if let KnownCustom::Name(names) = custom.as_known() {
                            input.read_names(names);
                        }
                    }
                    _ => {
                        last = id;
                        if let Some(place) = input.sections.get_mut(usize::from(id)) {
                            *place = Some(contents);
                        }
                    }
                }
            }
            input.read(payload)?;
        }
        Ok(input)
    }

    fn read(&mut self, payload: Payload<'a>) -> Result<(), PreinitError> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        let empty = matches!(&ty.composite_type.inner, CompositeInnerType::Func(func)
                            if func.params().is_empty() && func.results().is_empty());
                        if empty && self.empty_func_type.is_none() {
                            self.empty_func_type = Some(self.types.len() as u32);
                        }
                        self.types.push(ty);
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.read_import(import?);
                }
            }
            Payload::FunctionSection(types) => self.funcs.extend(types.into_iter().collect::<Result<Vec<_>, _>>()?),
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table?;
                    self.tables.push(table.ty);
                    self.table_inits.push(match table.init {
                        TableInit::RefNull => None,
                        TableInit::Expr(init) => Some(init),
                    });
                }
            }
            Payload::MemorySection(memories) => {
                self.memories.extend(memories.into_iter().collect::<Result<Vec<_>, _>>()?)
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    self.globals.push(global.ty);
                    self.global_inits.push(global.init_expr);
                }
            }
            Payload::ExportSection(exports) => self.exports = exports.into_iter().collect::<Result<_, _>>()?,
            Payload::ElementSection(elements) => self.elements = elements.into_iter().collect::<Result<_, _>>()?,
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::DataCountSection { .. } => self.has_data_count = true,
            Payload::DataSection(data) => self.data = data.into_iter().collect::<Result<_, _>>()?,
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            _ => {}
        }
        Ok(())
    }

    fn read_import(&mut self, import: Import<'a>) {
        match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.funcs.push(ty);
                self.imported.funcs += 1;
            }
            TypeRef::Table(ty) => {
                self.tables.push(ty);
                self.imported.tables += 1;
            }
            TypeRef::Memory(ty) => {
                self.memories.push(ty);
                self.imported.memories += 1;
            }
            TypeRef::Global(ty) => {
                self.globals.push(ty);
                self.imported.globals += 1;
            }
            TypeRef::Tag(_) => {}
        }
        self.imports.push(import);
    }

    /// Damaged names are no reason to stop: the section means nothing to execution.
    fn read_names(&mut self, names: NameSectionReader<'a>) {
        for name in names.into_iter().map_while(Result::ok) {
            let (kind, map) = match name {
                Name::Function(map) => (Kind::Func, map),
                Name::Table(map) => (Kind::Table, map),
                Name::Memory(map) => (Kind::Memory, map),
                Name::Global(map) => (Kind::Global, map),
                _ => continue,
            };
            for naming in map.map_while(Result::ok) {
                self.names.insert((kind, naming.index), naming.name);
            }
        }
    }

    /// The bytes of a section.
    pub fn section(&self, id: u8) -> Option<&'a [u8]> {
        *self.sections.get(usize::from(id))?
    }

    /// The name of an entity, from its name section.
    pub fn name(&self, kind: Kind, index: u32) -> Option<&'a str> {
        self.names.get(&(kind, index)).copied()
    }

    /// The index of the entity with this name, from its name section or an export.
    pub fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        let named = self.names.iter().filter(|((of, _), own)| *of == kind && **own == name);
        let exported = self.exports.iter().find(|export| kind_of(export.kind) == Some(kind) && export.name == name);
        named.map(|((_, index), _)| *index).min().or(exported.map(|export| export.index))
    }

    /// Whether a defined type is another, or was declared to be below it.
    pub fn is_subtype(&self, sub: u32, sup: u32) -> bool {
        let mut ty = Some(sub);
        while let Some(at) = ty.filter(|at| *at != sup) {
            ty = self.types.get(at as usize).and_then(|ty| ty.supertype_idxs.first()?.as_module_index());
        }
        ty.is_some()
    }

    /// Whether values of a reference type can be where another is asked for. `false` also where it takes more than this
    /// module's declarations to tell.
    pub fn flows(&self, from: RefType, to: RefType) -> bool {
        use AbstractHeapType::{Any, Array, Eq, Struct};
        if from.is_nullable() && !to.is_nullable() {
            return false;
        }
        let kind = |ty: u32| self.types.get(ty as usize).map(|ty| &ty.composite_type.inner);
        match (from.heap_type(), to.heap_type()) {
            (from, to) if from == to => true,
            (HeapType::Concrete(UnpackedIndex::Module(from)), HeapType::Concrete(UnpackedIndex::Module(to))) => {
                self.is_subtype(from, to)
            }
            (HeapType::Concrete(UnpackedIndex::Module(from)), HeapType::Abstract { ty, .. }) => match kind(from) {
                Some(CompositeInnerType::Struct(_)) => matches!(ty, Struct | Eq | Any),
                Some(CompositeInnerType::Array(_)) => matches!(ty, Array | Eq | Any),
                _ => false,
            },
            (HeapType::Abstract { ty: from, .. }, HeapType::Abstract { ty: to, .. }) => {
                matches!((from, to), (Struct | Array, Eq | Any) | (Eq, Any))
            }
            _ => false,
        }
    }

    /// The type of the items of an element segment.
    pub fn item_type(&self, segment: usize) -> RefType {
        match &self.elements[segment].items {
            ElementItems::Functions(_) => RefType::FUNCREF,
            ElementItems::Expressions(ty, _) => *ty,
        }
    }

    /// Whether an instance has the imports, exports and index spaces of this module.
    pub fn is_module_of(&self, store: impl AsContext, instance: &Instance) -> bool {
        let module = instance.module(store.as_context());
        let imports = module.imports();
        let exports = module.exports();
        let counts = instance.debug_counts(&store);
        let own = [self.funcs.len(), self.tables.len(), self.memories.len(), self.globals.len()];
        counts == own
            && imports.len() == self.imports.len()
            && exports.len() == self.exports.len()
            && imports
                .zip(&self.imports)
                .all(|(left, right)| (left.module(), left.name()) == (right.module, right.name))
            && exports.zip(&self.exports).all(|(left, right)| left.name() == right.name)
    }

    /// An entity as a person knows it: `global 3 "cache"`.
    pub fn describe(&self, kind: Kind, index: u32) -> String {
        let exported = self.exports.iter().find(|export| kind_of(export.kind) == Some(kind) && export.index == index);
        if let Some(name) = self.name(kind, index).or(exported.map(|export| export.name)) {
            return format!("{kind} {index} {name:?}");
        }
        let imports = self.imports.iter().filter(|import| kind_of_import(&import.ty) == Some(kind));
        match imports.into_iter().nth(index as usize) {
            Some(import) => format!("{kind} {index} (import `{}::{}`)", import.module, import.name),
            None => format!("{kind} {index}"),
        }
    }
}

fn kind_of(kind: ExternalKind) -> Option<Kind> {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => Some(Kind::Func),
        ExternalKind::Table => Some(Kind::Table),
        ExternalKind::Memory => Some(Kind::Memory),
        ExternalKind::Global => Some(Kind::Global),
        ExternalKind::Tag => None,
    }
}

/// What an import brings, if it can hold state.
pub fn kind_of_import(ty: &TypeRef) -> Option<Kind> {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => Some(Kind::Func),
        TypeRef::Table(_) => Some(Kind::Table),
        TypeRef::Memory(_) => Some(Kind::Memory),
        TypeRef::Global(_) => Some(Kind::Global),
        TypeRef::Tag(_) => None,
    }
}
