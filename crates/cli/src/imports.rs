//! Imports that nobody provides: all of them at once, with their types and with what was probably meant.
//!
//! Instantiation would stop at the first one. Whoever has to repair a module wants the whole list.

use std::collections::HashSet;

use anyhow::{Result, anyhow};
use hotfoot::{AsContextMut, ExternType, InstancePre, Linker, Module};

use crate::{near, types};

/// A definition that an import could have named.
struct Offer {
    module: String,
    name: String,
    ty: ExternType,
}

/// Resolves the imports of a module, or says everything that is wrong with them.
pub fn resolve<T: 'static>(
    module: &Module,
    linker: &Linker<T>,
    store: impl AsContextMut<Data = T>,
    program: &str,
) -> Result<InstancePre<T>> {
    linker.instantiate_pre(module).map_err(|error| explain(module, linker, store, program).unwrap_or(error))
}

/// The whole list. None if nothing is found: the engine's rules are the ones that count, and it may know another reason.
fn explain<T: 'static>(
    module: &Module,
    linker: &Linker<T>,
    mut store: impl AsContextMut<Data = T>,
    program: &str,
) -> Option<anyhow::Error> {
    let mut problems: Vec<String> = Vec::new();
    let mut missing_modules: Vec<&str> = Vec::new();
    let mut offers: Option<Vec<Offer>> = None;
    let mut seen = HashSet::new();
    for import in module.imports().filter(|import| seen.insert(format!("{import:?}"))) {
        let (from, name, wanted) = (import.module(), import.name(), import.ty());
        let wanted_text = types::extern_text(&wanted);
        let problem = match linker.get_by_import(&mut store, &import) {
            Some(found) => {
                let found = found.ty(&store);
                if types::fits(&found, &wanted) {
                    continue;
                }
                format!("{from}.{name}: expected {wanted_text}, found {}", types::extern_text(&found))
            }
            None => {
                missing_modules.push(from);
                let offers = offers.get_or_insert_with(|| all_offers(linker, &mut store));
                format!("{from}.{name}: {wanted_text}{}", meant(offers, from, name, &wanted))
            }
        };
        problems.push(problem);
    }
    let count = match problems.len() {
        0 => return None,
        1 => "an import is".to_owned(),
        count => format!("{count} imports are"),
    };
    let missing = match missing_modules.len() {
        0 => "of another type",
        missing if missing == problems.len() => "missing",
        _ => "missing or of another type",
    };
    let list = problems.join("\n  ");
    let advice = advice(&missing_modules);
    Some(anyhow!("{program} cannot start, because {count} {missing}:\n  {list}\n{advice}"))
}

fn all_offers<T: 'static>(linker: &Linker<T>, mut store: impl AsContextMut<Data = T>) -> Vec<Offer> {
    let found: Vec<_> = linker.iter(&mut store).collect();
    let offer = |(module, name, item): (&str, &str, hotfoot::Extern)| Offer {
        module: module.to_owned(),
        name: name.to_owned(),
        ty: item.ty(&store),
    };
    found.into_iter().map(offer).collect()
}

/// The definition with almost this name: in the module that was named, or under the same name in another module.
fn meant(offers: &[Offer], from: &str, name: &str, wanted: &ExternType) -> String {
    let in_module = offers.iter().filter(|offer| offer.module == from).map(|offer| offer.name.as_str());
    let near = match near::nearest(name, in_module) {
        Some(near) => offers.iter().find(|offer| offer.module == from && offer.name == near),
        None => {
            let modules = || offers.iter().filter(|offer| offer.name == name);
            let near = near::nearest(from, modules().map(|offer| offer.module.as_str()));
            modules().find(|offer| near.is_none_or(|near| offer.module == near))
        }
    };
    match near {
        Some(Offer { module, name, ty }) if types::fits(ty, wanted) => format!(" (did you mean {module}.{name}?)"),
        Some(Offer { module, name, ty }) => {
            format!(" (there is {module}.{name}, but it is {})", types::extern_text(ty))
        }
        None => String::new(),
    }
}

/// What to do, by the modules that imports are missing from.
fn advice(modules: &[&str]) -> &'static str {
    if modules.contains(&"bench") {
        "Give --bench-imports to provide bench.start and bench.end."
    } else if modules.iter().any(|module| module.starts_with("wasi:")) {
        "It is a part of a component of WASI 0.2 or later: build the program for wasm32-wasip1."
    } else if modules.contains(&"wasi") {
        "It starts threads, which -S threads provides."
    } else {
        "Provide a module that exports them with --preload MODULE=FILE, or change the program."
    }
}
