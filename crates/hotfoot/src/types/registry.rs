//! The defined types of an engine and their numbers.
//!
//! Types are equal when their groups are: groups of recursive types that look the same once each names the types of its
//! own group by place and all others by number (section 3.1.6 "Rolling and Unrolling"). So a group is its own key.
//!
//! Numbers are given once and kept for the engine's life. Giving one takes a lock; looking one up does not, so that
//! calls and lookups of functions share nothing that is written: types stand in blocks that never move, each twice as
//! long as the one before.
//!
//! ```text
//!  blocks[0] ▶ numbers 0 … 63      blocks[1] ▶ 64 … 191      blocks[2] ▶ 192 … 447      …
//! ```
//!
//! A type's number is also where its supertypes are listed for compiled code, see [`hotfoot_abi::types`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hotfoot_abi::types::{MAX_TYPE_DEPTH, MAX_TYPE_NUMBER};
use hotfoot_artifact::{FuncType, ModuleInfo, SubType};

use crate::vm::types::TypeDisplays;

/// In a group's key, marks the number of a type as its place in the group.
const IN_GROUP: u32 = 1 << 31;

/// Why types got no numbers.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There are no more numbers.
    #[error("the engine has as many types as it can have: {MAX_TYPE_NUMBER}; use another Engine for further modules")]
    TooMany,
    /// A type has too many supertypes.
    #[error("a type has more than {MAX_TYPE_DEPTH} supertypes; derive it from one with fewer")]
    TooDeep,
    /// The host has no memory for them.
    #[error("cannot get memory for the engine's types: {0}")]
    Memory(#[from] io::Error),
}

/// A type of an engine. All types that it names are named by their numbers.
#[derive(Debug)]
pub struct TypeEntry {
    number: u32,
    /// The type.
    pub ty: SubType,
    /// Numbers of its supertypes, outermost first, and its own.
    display: Box<[u32]>,
    /// Numbers of all types of its group, ascending.
    group: Arc<[u32]>,
}

impl TypeEntry {
    /// The function type; for numbers of functions and tags.
    ///
    /// # Panics
    /// When it is another type: validation promises that functions and tags have function types.
    pub fn func(&self) -> &FuncType {
        self.ty.func().expect("the type of a function or tag is a function type")
    }

    /// Its own number, then those of its supertypes from the innermost outwards.
    pub fn lineage(&self) -> impl Iterator<Item = u32> + '_ {
        self.display.iter().rev().copied()
    }
}

/// See the module's documentation.
pub struct TypeRegistry {
    blocks: [OnceLock<Box<[OnceLock<TypeEntry>]>>; BLOCKS],
    displays: TypeDisplays,
    groups: Mutex<Groups>,
}

struct Groups {
    /// Groups, as their own keys, and the numbers of their types.
    known: HashMap<Vec<SubType>, Arc<[u32]>>,
    next_number: u32,
}

impl fmt::Debug for TypeRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TypeRegistry").finish_non_exhaustive()
    }
}

/// Numbers in the first block.
const FIRST_BLOCK: usize = 64;
/// Blocks for all numbers.
const BLOCKS: usize = 21;

/// In which block a number stands, and where in it.
fn place(number: u32) -> (usize, usize) {
    let shifted = number as usize + FIRST_BLOCK;
    let block = (shifted / FIRST_BLOCK).ilog2() as usize;
    (block, shifted - (FIRST_BLOCK << block))
}

impl TypeRegistry {
    /// A registry without types.
    pub fn new() -> io::Result<TypeRegistry> {
        Ok(TypeRegistry {
            blocks: [const { OnceLock::new() }; BLOCKS],
            displays: TypeDisplays::new()?,
            groups: Mutex::new(Groups { known: HashMap::new(), next_number: 1 }),
        })
    }

    /// Where compiled code finds the supertypes of each type.
    pub fn displays(&self) -> *const u32 {
        self.displays.base()
    }

    /// Numbers for the types of a module, by type index.
    pub fn register_module(&self, info: &ModuleInfo) -> Result<Box<[u32]>, RegisterError> {
        let mut numbers: Vec<u32> = Vec::with_capacity(info.types.len());
        for len in &info.rec_groups {
            let start = numbers.len();
            let number = |index: u32| match (index as usize).checked_sub(start) {
                Some(place) => IN_GROUP | place as u32,
                None => numbers[index as usize],
            };
            let group = info.types[start..start + *len as usize].iter().map(|ty| ty.map_types(&number)).collect();
            numbers.extend_from_slice(&self.register(group)?);
        }
        Ok(numbers.into())
    }

    /// The number of a type that names no type of its own group: as a group of its own.
    pub fn register_one(&self, ty: SubType) -> Result<u32, RegisterError> {
        Ok(self.register(vec![ty])?[0])
    }

    /// Numbers for a group of types.
    fn register(&self, group: Vec<SubType>) -> Result<Arc<[u32]>, RegisterError> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = groups.known.get(&group) {
            return Ok(numbers.clone());
        }
        let first = groups.next_number;
        let mut displays: Vec<Vec<u32>> = Vec::with_capacity(group.len());
        for ty in &group {
            let mut display = match ty.supertype {
                None => Vec::new(),
                Some(place) if place & IN_GROUP != 0 => displays[(place & !IN_GROUP) as usize].clone(),
                Some(number) => self.get(number).display.to_vec(),
            };
            display.push(groups.next_number);
            groups.next_number += display.len() as u32;
            let too_deep = display.len() > MAX_TYPE_DEPTH as usize + 1;
            if too_deep || groups.next_number >= MAX_TYPE_NUMBER {
                groups.next_number = first;
                return Err(if too_deep { RegisterError::TooDeep } else { RegisterError::TooMany });
            }
            displays.push(display);
        }
        let numbers: Arc<[u32]> = displays.iter().map(|display| display[display.len() - 1]).collect();
        for (number, display) in numbers.iter().zip(&displays) {
            self.displays.write(*number, display)?;
        }
        let absolute = |number: u32| match number & IN_GROUP {
            0 => number,
            _ => numbers[(number & !IN_GROUP) as usize],
        };
        for ((number, display), ty) in numbers.iter().zip(displays).zip(&group) {
            let ty = ty.map_types(&absolute);
            self.set(TypeEntry { number: *number, ty, display: display.into(), group: numbers.clone() });
        }
        groups.known.insert(group, numbers.clone());
        Ok(numbers)
    }

    /// Only the holder of the lock fills a place, and each place once.
    fn set(&self, entry: TypeEntry) {
        let (block, at) = place(entry.number);
        let new_block = || (0..FIRST_BLOCK << block).map(|_| OnceLock::new()).collect();
        let _ = self.blocks[block].get_or_init(new_block)[at].set(entry);
    }

    /// The type with this number, which this registry gave out.
    ///
    /// # Panics
    /// When it did not: functions, tags and objects get their numbers from here only.
    pub fn get(&self, number: u32) -> &TypeEntry {
        let (block, at) = place(number);
        let entry = self.blocks.get(block).and_then(|block| block.get()?.get(at)?.get());
        entry.expect("a type's number was not given out by this engine")
    }

    /// Whether one type is the other or a subtype of it.
    pub fn is_subtype(&self, sub: u32, sup: u32) -> bool {
        sub == sup || self.get(sub).display.get(self.get(sup).display.len() - 1) == Some(&sup)
    }

    /// The number here of a type of another registry, to be registered if it is not known.
    pub fn adopt(&self, other: &TypeRegistry, number: u32) -> Result<u32, RegisterError> {
        self.translate(other, number, |group| self.register(group))
    }

    /// The number here of a type of another registry, if it is known.
    pub fn find(&self, other: &TypeRegistry, number: u32) -> Option<u32> {
        let known = |group: Vec<SubType>| {
            let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.known.get(&group).cloned().ok_or(())
        };
        self.translate(other, number, known).ok()
    }

    fn translate<E>(
        &self,
        other: &TypeRegistry,
        number: u32,
        mut numbers_of: impl FnMut(Vec<SubType>) -> Result<Arc<[u32]>, E>,
    ) -> Result<u32, E> {
        // Groups that it needs, which are those with smaller numbers that it names directly or through others.
        let mut needed: BTreeMap<u32, &TypeEntry> = BTreeMap::new();
        let mut pending = vec![number];
        while let Some(number) = pending.pop() {
            let entry = other.get(number);
            if needed.insert(entry.group[0], entry).is_none() {
                for member in entry.group.iter() {
                    other.get(*member).ty.for_each_type(|named| pending.push(named));
                }
            }
        }
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for entry in needed.values() {
            let own = |number: u32| match entry.group.binary_search(&number) {
                Ok(place) => IN_GROUP | place as u32,
                Err(_) => numbers[&number],
            };
            let group = entry.group.iter().map(|member| other.get(*member).ty.map_types(&own)).collect();
            numbers.extend(entry.group.iter().copied().zip(numbers_of(group)?.iter().copied()));
        }
        Ok(numbers[&number])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotfoot_artifact::{CompositeType, FieldType, HeapType, RefType, StorageType, StructType, ValType};

    fn func(params: usize) -> SubType {
        SubType::of(CompositeType::Func(FuncType { params: vec![ValType::I32; params], results: vec![] }))
    }

    fn node(next: u32) -> SubType {
        let ty = ValType::Ref(RefType { nullable: true, heap: HeapType::ConcreteStruct(next) });
        let field = FieldType { storage: StorageType::Val(ty), mutable: true };
        SubType::of(CompositeType::Struct(StructType { fields: vec![field] }))
    }

    fn module(types: Vec<SubType>, rec_groups: Vec<u32>) -> ModuleInfo {
        ModuleInfo { types, rec_groups, ..ModuleInfo::default() }
    }

    #[test]
    fn numbers_stand_for_the_types_they_were_given_to() {
        let registry = TypeRegistry::new().unwrap();
        let numbers: Vec<u32> = (0..500).map(|count| registry.register_one(func(count)).unwrap()).collect();
        for (count, number) in numbers.iter().enumerate() {
            assert_eq!(registry.register_one(func(count)).unwrap(), *number, "an equal type has the same number");
            assert_eq!(registry.get(*number).func().params.len(), count);
        }
    }

    #[test]
    fn groups_are_equal_by_what_they_look_like_not_by_where_they_stand() {
        let registry = TypeRegistry::new().unwrap();
        let pair = registry.register_module(&module(vec![node(1), node(0)], vec![2])).unwrap();
        let later = registry.register_module(&module(vec![func(1), node(2), node(1), node(3)], vec![1, 2, 1])).unwrap();
        assert_eq!(later[1..3], pair[..]);
        assert!(pair[0] != pair[1] && !pair.contains(&later[3]), "one type that names itself is another type");
        let ty = registry.get(pair[0]).ty.clone();
        assert_eq!(ty, node(pair[1]), "inside the engine every type is named by its number");
    }

    #[test]
    fn subtypes_are_those_that_were_declared() {
        let registry = TypeRegistry::new().unwrap();
        let open = |supertype| SubType { is_final: false, supertype, ..node(0) };
        let types = vec![open(None), open(Some(0)), open(Some(1)), open(Some(0)), open(Some(3))];
        let numbers = registry.register_module(&module(types, vec![2, 1, 2])).unwrap();
        let expected = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 1, 1]];
        for (sub, row) in expected.iter().enumerate() {
            for (sup, expected) in row.iter().enumerate() {
                assert_eq!(registry.is_subtype(numbers[sub], numbers[sup]), *expected == 1, "{sub} {sup}");
            }
        }
    }

    #[test]
    fn types_of_another_registry_get_numbers_here_with_all_that_they_name() {
        let (here, there) = (TypeRegistry::new().unwrap(), TypeRegistry::new().unwrap());
        let types = vec![node(0), func(1), node(3), node(0)];
        let numbers = there.register_module(&module(types, vec![1, 1, 2])).unwrap();
        here.register_one(func(7)).unwrap();
        assert_eq!(here.find(&there, numbers[2]), None);
        let adopted = here.adopt(&there, numbers[2]).unwrap();
        assert_eq!(here.find(&there, numbers[2]), Some(adopted));
        assert_eq!(here.adopt(&there, numbers[2]).unwrap(), adopted);
        assert_eq!(there.adopt(&here, adopted).unwrap(), numbers[2], "there and back again");
    }

    #[test]
    fn the_last_number_has_a_place() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(63), (0, 63));
        assert_eq!(place(64), (1, 0));
        assert_eq!(place(191), (1, 127));
        assert_eq!(place(192), (2, 0));
        assert!(place(MAX_TYPE_NUMBER).0 < BLOCKS);
    }
}
