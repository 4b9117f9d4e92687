//! Names, for backtraces. They come from a custom section, which no one validates: what is malformed is left out.

use hotfoot_artifact::FunctionName;
use wasmparser::{Name, NameSectionReader};

use crate::decode::Module;

/// Longest name that is kept, in bytes; longer ones are of no use in a backtrace.
const NAME_LEN_LIMIT: usize = 4096;

/// Takes the names of the module and its functions from a name section.
pub(crate) fn names(module: &mut Module, section: NameSectionReader<'_>) {
    for subsection in section {
        match subsection {
            Ok(Name::Module { name, .. }) if name.len() <= NAME_LEN_LIMIT => {
                module.info.name = Some(name.to_owned());
            }
            Ok(Name::Function(names)) => {
                let named = names.into_iter().map_while(Result::ok);
                let kept = named.filter(|naming| naming.name.len() <= NAME_LEN_LIMIT);
                module
                    .names
                    .extend(kept.map(|naming| FunctionName { function: naming.index, name: naming.name.to_owned() }));
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Orders the names and keeps one for each function that exists.
pub(crate) fn complete(module: &mut Module) {
    let count = module.info.num_funcs;
    module.names.retain(|name| name.function < count);
    module.names.sort_by_key(|name| name.function);
    module.names.dedup_by_key(|name| name.function);
}
