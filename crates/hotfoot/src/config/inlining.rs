//! Whether functions are inlined into each other.

use super::Config;

/// Whether the compiler translates small functions where they are called.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inlining {
    /// It does, inside of a module. Backtraces show inlined functions like others.
    #[default]
    Yes,
    /// It does not.
    No,
}

impl Config {
    /// Whether small functions are translated where they are called. What a program does is the same either way, fuel
    /// included, but for how deep it can recurse. Default: they are, unless `OptLevel::None` is asked for.
    pub fn compiler_inlining(&mut self, inlining: Inlining) -> &mut Self {
        self.inlining = inlining;
        self
    }
}
