//! Why a module was refused, with what to do: switch a feature on, build the program without one, or build it again.
//!
//! A validator stops at the first thing that it does not know and cannot tell a damaged file from one that is ahead of
//! it. We can: with everything switched on, only the damaged one is still invalid.

use anyhow::{Error, anyhow};
use hotfoot::{Config, Engine, Module};

use crate::args::{self, EngineArgs};

/// Turns the engine's reason into a sentence that ends with what to do.
pub fn explain(error: &Error, bytes: &[u8], engine: &EngineArgs, name: &str) -> Error {
    let missing = match missing_features(bytes, engine) {
        // The module is fine: the compiler has its own reason, and says itself what to do.
        Some(missing) if missing.is_empty() => return anyhow!("{name} cannot be compiled: {error:#}"),
        Some(missing) => missing,
        None => return anyhow!("{name} cannot run: {error:#}; correct the program or build it again"),
    };
    let (switches, unknown): (Vec<_>, Vec<_>) = missing.into_iter().partition(|feature| args::is_switch(feature));
    if unknown.is_empty() {
        let list = switches.join(",");
        return anyhow!("{name} cannot run: {error:#}; switch on what it needs with -W {list}");
    }
    let list = unknown.join(" and ");
    anyhow!("{name} needs {list}, which hotfoot does not have yet; build it without ({error:#})")
}

/// The features that this module needs and does not get. None if it is invalid with all of them, too.
fn missing_features(bytes: &[u8], engine: &EngineArgs) -> Option<Vec<&'static str>> {
    let accepts = |features: &[args::FeatureName]| {
        let mut config = Config::new();
        engine.apply(&mut config).ok()?;
        for (_, set) in features {
            set(&mut config, true);
        }
        let engine = Engine::new(&config).ok()?;
        Module::validate(&engine, bytes).ok()
    };
    let mut needed = args::feature_names();
    accepts(&needed)?;
    // Take away one after the other and keep those that are missed. The newest go first, as they include older ones.
    let mut at = needed.len();
    while at > 0 {
        at -= 1;
        let feature = needed.remove(at);
        if accepts(&needed).is_none() {
            needed.insert(at, feature);
        }
    }
    Some(needed.into_iter().map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, words: &str) -> String {
        let engine = args::engine(words);
        let bytes = wat::parse_str(text).unwrap();
        let error = Module::new(&engine.engine().unwrap(), &bytes).unwrap_err();
        explain(&error, &bytes, &engine, "`x`").to_string()
    }

    #[test]
    fn a_feature_that_is_off_is_named() {
        let vector = "(module (func (param v128)))";
        assert!(message(vector, "-W simd=n").ends_with("with -W simd"));
        let both = "(module (func (param v128) (result i32 i32) unreachable))";
        assert!(message(both, "-W simd=n,multi-value=n").ends_with("with -W multi-value,simd"));
    }

    #[test]
    fn a_damaged_module_is_to_be_built_again() {
        assert!(message("(module (func i32.add))", "").ends_with("build it again"));
    }
}
