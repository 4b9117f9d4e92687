//! Which things satisfy an import (section 3.3.15 "External Types").

use hotfoot_artifact::{EntityType, GlobalType};

use super::registry::TypeRegistry;

/// Whether something of this type satisfies an import of type `expected`. Functions and tags are given by the number of
/// their type.
pub(crate) fn satisfies(types: &TypeRegistry, actual: &EntityType, expected: &EntityType) -> bool {
    match (actual, expected) {
        (EntityType::Func(actual), EntityType::Func(expected)) => types.is_subtype(*actual, *expected),
        (EntityType::Tag(actual), EntityType::Tag(expected)) => actual == expected,
        (EntityType::Global(actual), EntityType::Global(expected)) => global(types, actual, expected),
        (EntityType::Table(actual), EntityType::Table(expected)) => {
            actual.element == expected.element
                && actual.index64 == expected.index64
                && limits((actual.minimum, actual.maximum), (expected.minimum, expected.maximum))
        }
        (EntityType::Memory(actual), EntityType::Memory(expected)) => {
            actual.index64 == expected.index64
                && actual.shared == expected.shared
                && actual.page_size_log2 == expected.page_size_log2
                && limits((actual.minimum, actual.maximum), (expected.minimum, expected.maximum))
        }
        _ => false,
    }
}

/// A global that can be set must hold exactly what is expected of it.
fn global(types: &TypeRegistry, actual: &GlobalType, expected: &GlobalType) -> bool {
    let is_subtype = |sub, sup| types.is_subtype(sub, sup);
    actual.mutable == expected.mutable
        && match actual.mutable {
            true => actual.content == expected.content,
            false => actual.content.matches(expected.content, is_subtype),
        }
}

fn limits(actual: (u64, Option<u64>), expected: (u64, Option<u64>)) -> bool {
    let maximum_fits = match (actual.1, expected.1) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(actual), Some(expected)) => actual <= expected,
    };
    actual.0 >= expected.0 && maximum_fits
}
