//! Types of imports and exports as a person reads them: `func (i32, i64) -> (f32)`, `memory (1 page or more)`.

use hotfoot::{ExternType, FuncType, GlobalType, MemoryType, Mutability, TableType, ValType};

/// The type of an import or export.
pub fn extern_text(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(func) => format!("func {}", func_text(func)),
        ExternType::Global(global) => global_text(global),
        ExternType::Memory(memory) => memory_text(memory),
        ExternType::Table(table) => table_text(table),
        ExternType::Tag(tag) => format!("tag ({})", list(tag.ty().params())),
    }
}

/// A function's parameters and results.
pub fn func_text(ty: &FuncType) -> String {
    format!("({}) -> ({})", list(ty.params()), list(ty.results()))
}

/// Value types with commas between.
pub fn list(types: impl Iterator<Item = ValType>) -> String {
    types.map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
}

fn global_text(ty: &GlobalType) -> String {
    let mutable = if ty.mutability() == Mutability::Var { "mut " } else { "" };
    format!("global {mutable}{}", ty.content())
}

fn memory_text(ty: &MemoryType) -> String {
    let wide = if ty.is_64() { ", 64-bit" } else { "" };
    let shared = if ty.is_shared() { ", shared" } else { "" };
    let unit = if ty.page_size() == 1 { "byte" } else { "page" };
    format!("memory ({}{wide}{shared})", limits(ty.minimum(), ty.maximum(), unit))
}

fn table_text(ty: &TableType) -> String {
    format!("table of {} ({})", ty.element(), limits(ty.minimum(), ty.maximum(), "element"))
}

fn limits(minimum: u64, maximum: Option<u64>, unit: &str) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    match maximum {
        Some(maximum) if maximum == minimum => format!("{minimum} {unit}{}", plural(minimum)),
        Some(maximum) => format!("{minimum} to {maximum} {unit}s"),
        None => format!("{minimum} {unit}{} or more", plural(minimum)),
    }
}

/// Whether what is offered may stand where something is wanted, as [import matching] has it for the types without
/// subtyping. Limits match when they are at least as tight as the wanted ones.
///
/// [import matching]: https://webassembly.github.io/spec/core/exec/modules.html#external-typing
pub fn fits(offered: &ExternType, wanted: &ExternType) -> bool {
    match (offered, wanted) {
        (ExternType::Func(a), ExternType::Func(b)) => a.matches(b) || func_text(a) == func_text(b),
        (ExternType::Global(a), ExternType::Global(b)) => global_text(a) == global_text(b),
        (ExternType::Memory(a), ExternType::Memory(b)) => {
            a.is_64() == b.is_64()
                && a.is_shared() == b.is_shared()
                && a.page_size() == b.page_size()
                && within((a.minimum(), a.maximum()), (b.minimum(), b.maximum()))
        }
        (ExternType::Table(a), ExternType::Table(b)) => {
            a.element().to_string() == b.element().to_string()
                && within((a.minimum(), a.maximum()), (b.minimum(), b.maximum()))
        }
        _ => false,
    }
}

fn within(offered: (u64, Option<u64>), wanted: (u64, Option<u64>)) -> bool {
    offered.0 >= wanted.0 && wanted.1.is_none_or(|most| offered.1.is_some_and(|maximum| maximum <= most))
}
