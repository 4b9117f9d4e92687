//! Why a module was refused, with what to do: switch a feature on, build the program without one, or build it again.

use anyhow::{Error, anyhow};
use hotfoot::DisabledFeatures;
use hotfoot_compile::Error as Refusal;

/// Turns the engine's reason into a sentence that ends with what to do.
pub fn explain(error: &Error, name: &str) -> Error {
    if let Some(disabled) = error.downcast_ref::<DisabledFeatures>() {
        let list: Vec<String> = disabled.names().iter().map(|name| name.replace('_', "-")).collect();
        return anyhow!(
            "{name} cannot run: {}; switch on what it needs with -W {}",
            disabled.refusal(),
            list.join(",")
        );
    }
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Invalid { .. }) => anyhow!("{name} cannot run: {error:#}; correct the program or build it again"),
        Some(Refusal::NotWasm { .. } | Refusal::Component | Refusal::Unsupported { .. }) => {
            anyhow!("{name} cannot run: {error:#}")
        }
        // The module is fine: the compiler has its own reason, and says itself what to do.
        _ => anyhow!("{name} cannot be compiled: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use hotfoot::Module;

    use super::*;
    use crate::args;

    fn message(text: &str, words: &str) -> String {
        let engine = args::engine(words);
        let bytes = wat::parse_str(text).unwrap();
        let error = Module::new(&engine.engine().unwrap(), &bytes).unwrap_err();
        explain(&error, "`x`").to_string()
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
