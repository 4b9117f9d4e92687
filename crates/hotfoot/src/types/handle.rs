//! What the API's defined types have in common: an engine's registry and a number in it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use anyhow::{Result, ensure};
use hotfoot_artifact::{CompositeType, SubType};

use super::registry::{TypeEntry, TypeRegistry};

/// Whether a type can have subtypes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Finality {
    /// It cannot.
    Final,
    /// It can.
    NonFinal,
}

/// A defined type of an engine. Types of two engines are equal when they look the same, in all that they name.
#[derive(Clone)]
pub struct RegisteredType {
    registry: Arc<TypeRegistry>,
    number: u32,
}

impl PartialEq for RegisteredType {
    fn eq(&self, other: &RegisteredType) -> bool {
        if Arc::ptr_eq(&self.registry, &other.registry) {
            return self.number == other.number;
        }
        self.registry.find(&other.registry, other.number) == Some(self.number)
    }
}

impl Eq for RegisteredType {}

impl Hash for RegisteredType {
    /// Numbers differ between engines in which equal types live, so only what they cannot differ in is hashed.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry().ty.is_final.hash(state);
        self.entry().ty.composite.part_count().hash(state);
    }
}

impl fmt::Debug for RegisteredType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.number, self.entry().ty)
    }
}

impl fmt::Display for RegisteredType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry().ty.fmt(formatter)
    }
}

impl RegisteredType {
    /// The type with this number.
    pub fn new(types: &Arc<TypeRegistry>, number: u32) -> RegisteredType {
        RegisteredType { registry: types.clone(), number }
    }

    /// A type that stands alone: no group of its own names it. `types` are those that its parts have numbers of.
    ///
    /// # Errors
    /// When the supertype is final or has other parts than a supertype may have.
    pub fn register(
        types: &Arc<TypeRegistry>,
        finality: Finality,
        supertype: Option<&RegisteredType>,
        composite: CompositeType,
    ) -> Result<RegisteredType> {
        let supertype = supertype.map(|ty| ty.number_in(types));
        let ty = SubType { is_final: finality == Finality::Final, supertype, composite };
        if let Some(supertype) = supertype {
            let extended = &types.get(supertype).ty;
            ensure!(
                !extended.is_final,
                "a final type cannot have subtypes: {extended}; make it with Finality::NonFinal"
            );
            let fits = ty.composite.matches(&extended.composite, &|sub, sup| types.is_subtype(sub, sup));
            ensure!(fits, "{} cannot be a subtype of {}", ty.composite, extended.composite);
        }
        Ok(RegisteredType::new(types, types.register_one(ty)?))
    }

    /// The type.
    pub fn entry(&self) -> &TypeEntry {
        self.registry.get(self.number)
    }

    /// Its number in its own engine.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its number among these types, to which it is added if it is of another engine.
    ///
    /// # Panics
    /// When the engine has as many types as it can have.
    pub fn number_in(&self, types: &Arc<TypeRegistry>) -> u32 {
        if Arc::ptr_eq(&self.registry, types) {
            return self.number;
        }
        types.adopt(&self.registry, self.number).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether it is `other` or a subtype of it; types of different engines never are.
    pub fn is_subtype(&self, other: &RegisteredType) -> bool {
        Arc::ptr_eq(&self.registry, &other.registry) && self.registry.is_subtype(self.number, other.number)
    }

    /// Whether it can have subtypes.
    pub fn finality(&self) -> Finality {
        if self.entry().ty.is_final { Finality::Final } else { Finality::NonFinal }
    }

    /// The type that it declares as its supertype.
    pub fn supertype(&self) -> Option<RegisteredType> {
        let number = self.entry().ty.supertype?;
        Some(RegisteredType { registry: self.registry.clone(), number })
    }

    /// The types of its engine.
    pub fn registry(&self) -> &Arc<TypeRegistry> {
        &self.registry
    }
}
