//! Why a module was refused, with what to do: switch a feature on, build the program without one, or build it again.
//!
//! A validator stops at the first thing that it does not know and cannot tell a damaged file from one that is ahead of
//! it. We can: with everything switched on, only the damaged one is still invalid.

use anyhow::{Error, Result, anyhow};
use hotfoot::{Config, Engine, Module};

use crate::args::{self, EngineArgs};

/// Turns the engine's reason into a sentence that ends with what to do.
pub fn explain(error: &Error, bytes: &[u8], engine: &EngineArgs, name: &str) -> Error {
    let missing = match missing_features(bytes, engine) {
        // The module is fine: the compiler has its own reason, and says itself what to do.
        Ok(missing) if missing.is_empty() => return anyhow!("{name} cannot be compiled: {error:#}"),
        Ok(missing) => missing,
        Err(error) => {
            let reason = format!("{error:#}");
            let is_advice = reason.contains("does not support");
            let advice = if is_advice { "" } else { "; correct the program or build it again" };
            return anyhow!("{name} cannot run: {reason}{advice}");
        }
    };
    let list = missing.join(",");
    anyhow!("{name} cannot run: {error:#}; switch on what it needs with -W {list}")
}

/// The features that this module needs and does not get.
///
/// # Errors
/// When it is refused with all of them, too.
fn missing_features(bytes: &[u8], engine: &EngineArgs) -> Result<Vec<&'static str>> {
    let accepts = |features: &[args::FeatureName]| {
        let mut config = Config::new();
        engine.apply(&mut config)?;
        for (_, set) in features {
            set(&mut config, true);
        }
        Module::validate(&Engine::new(&config)?, bytes)
    };
    let mut needed = args::feature_names();
    accepts(&needed)?;
    // Take away one after the other and keep those that are missed. The newest go first, as they include older ones.
    let mut at = needed.len();
    while at > 0 {
        at -= 1;
        let feature = needed.remove(at);
        if accepts(&needed).is_err() {
            needed.insert(at, feature);
        }
    }
    Ok(needed.into_iter().map(|(name, _)| name).collect())
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
        let wide = "(module (func (param i64 i64) (result i64 i64) local.get 0 local.get 1 i64.mul_wide_s))";
        assert!(message(wide, "").ends_with("with -W wide-arithmetic"));
        assert!(message("(module (memory 1 (pagesize 1)))", "").ends_with("with -W custom-page-sizes"));
        assert!(message("(module (memory 1 1 shared))", "").ends_with("with -W threads"));
        let both = "(module (func (param v128) (result i32 i32) unreachable))";
        assert!(message(both, "-W simd=n,multi-value=n").ends_with("with -W multi-value,simd"));
    }

    #[test]
    fn a_damaged_module_is_to_be_built_again() {
        assert!(message("(module (func i32.add))", "").ends_with("build it again"));
    }
}
