//! Names, for backtraces, and branch hints. They come from custom sections, which no one validates: what is malformed
//! is left out.

use hotfoot_artifact::FunctionName;
use wasmparser::{BranchHintSectionReader, Name, NameSectionReader};

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

/// What a producer expects of a conditional branch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BranchHint {
    /// Imports counted first.
    pub(crate) function: u32,
    /// Of the instruction, from the start of the function's body.
    pub(crate) offset: u32,
    /// Whether its condition will usually hold.
    pub(crate) likely: bool,
}

/// Takes the hints of a branch hint section.
pub(crate) fn branch_hints(module: &mut Module, section: BranchHintSectionReader<'_>) {
    for function in section.into_iter().map_while(Result::ok) {
        let hints = function.hints.into_iter().map_while(Result::ok);
        let function = function.func;
        let hints = hints.map(|hint| BranchHint { function, offset: hint.func_offset, likely: hint.taken });
        module.branch_hints.extend(hints);
    }
    module.branch_hints.sort_unstable();
}

impl Module {
    /// The hints for one function, by ascending offset.
    pub(crate) fn hints_of(&self, function: u32) -> &[BranchHint] {
        let start = self.branch_hints.partition_point(|hint| hint.function < function);
        let end = self.branch_hints.partition_point(|hint| hint.function <= function);
        &self.branch_hints[start..end]
    }
}

/// Orders the names and keeps one for each function that exists.
pub(crate) fn complete(module: &mut Module) {
    let count = module.info.num_funcs;
    module.names.retain(|name| name.function < count);
    module.names.sort_by_key(|name| name.function);
    module.names.dedup_by_key(|name| name.function);
}
