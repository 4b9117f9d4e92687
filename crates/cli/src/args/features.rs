//! The switches of `-W`: which features of WebAssembly the engine accepts.

use hotfoot::Config;

use super::value;
use crate::near;

/// One feature and whether it is wanted.
#[derive(Copy, Clone, Debug)]
pub struct FeatureSwitch {
    feature: &'static Feature,
    enabled: bool,
}

type Set = fn(&mut Config, bool) -> &mut Config;

/// A feature that can be switched: its name here and what sets it there.
#[derive(Debug)]
struct Feature {
    name: &'static str,
    /// What cannot be without it, and so goes with it unless it is asked for by name.
    base_of: Option<&'static str>,
    set: Set,
}

const FEATURES: &[Feature] = &[
    Feature { name: "bulk-memory", base_of: Some("reference-types"), set: Config::wasm_bulk_memory },
    Feature { name: "custom-page-sizes", base_of: None, set: Config::wasm_custom_page_sizes },
    Feature { name: "exceptions", base_of: None, set: Config::wasm_exceptions },
    Feature { name: "extended-const", base_of: None, set: Config::wasm_extended_const },
    Feature { name: "function-references", base_of: Some("gc"), set: Config::wasm_function_references },
    Feature { name: "gc", base_of: None, set: Config::wasm_gc },
    Feature { name: "legacy-exceptions", base_of: None, set: Config::wasm_legacy_exceptions },
    Feature { name: "memory64", base_of: None, set: Config::wasm_memory64 },
    Feature { name: "multi-memory", base_of: None, set: Config::wasm_multi_memory },
    Feature { name: "multi-value", base_of: None, set: Config::wasm_multi_value },
    Feature { name: "nan-canonicalization", base_of: None, set: Config::cranelift_nan_canonicalization },
    Feature { name: "reference-types", base_of: None, set: Config::wasm_reference_types },
    Feature { name: "relaxed-simd", base_of: None, set: Config::wasm_relaxed_simd },
    Feature { name: "relaxed-simd-deterministic", base_of: None, set: Config::relaxed_simd_deterministic },
    Feature { name: "simd", base_of: Some("relaxed-simd"), set: Config::wasm_simd },
    Feature { name: "tail-call", base_of: None, set: Config::wasm_tail_call },
    Feature { name: "threads", base_of: None, set: Config::wasm_threads },
    Feature { name: "wide-arithmetic", base_of: None, set: Config::wasm_wide_arithmetic },
];

/// What `--help` says about `-W`; a test keeps it equal to the list above.
pub const NAMES_HELP: &str = "\
Turn features of WebAssembly on or off, as in -W simd=n,memory64; the features are bulk-memory, custom-page-sizes, \
exceptions, extended-const, function-references, gc, legacy-exceptions, memory64, multi-memory, multi-value, \
nan-canonicalization, reference-types, relaxed-simd, relaxed-simd-deterministic, simd, tail-call, threads, \
wide-arithmetic";

impl FeatureSwitch {
    /// Sets all switches, in the order of the command line.
    pub fn apply(switches: &[FeatureSwitch], config: &mut Config) {
        let named = |name: &str| switches.iter().any(|switch| switch.feature.name == name);
        for switch in switches {
            (switch.feature.set)(config, switch.enabled);
            let dependent = switch.feature.base_of.filter(|name| !switch.enabled && !named(name));
            if let Some(feature) = FEATURES.iter().find(|feature| Some(feature.name) == dependent) {
                (feature.set)(config, false);
            }
        }
    }
}

impl std::str::FromStr for FeatureSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<FeatureSwitch, String> {
        let (name, enabled) = match text.split_once('=') {
            Some((name, value)) => (name, value::yes_or_no(value)?),
            None => (text, true),
        };
        let names = || FEATURES.iter().map(|feature| feature.name);
        match FEATURES.iter().find(|feature| feature.name == name) {
            Some(feature) => Ok(FeatureSwitch { feature, enabled }),
            None => Err(match near::nearest(name, names()) {
                Some(near) => format!("there is no feature `{name}`; did you mean `{near}`?"),
                None => {
                    format!("there is no feature `{name}`; write one of {}", names().collect::<Vec<_>>().join(", "))
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_feature() {
        let names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        assert!(names.is_sorted());
        assert!(NAMES_HELP.ends_with(&format!("the features are {}", names.join(", "))));
    }

    #[test]
    fn switches() {
        let read = |text: &str| text.parse::<FeatureSwitch>();
        assert!(read("simd").unwrap().enabled);
        assert!(!read("simd=n").unwrap().enabled);
        assert!(read("smid").unwrap_err().contains("`simd`"));
        assert!(read("warp-drive").unwrap_err().contains("bulk-memory, "));
        assert!(read("simd=maybe").unwrap_err().contains("y or n"));
    }
}
