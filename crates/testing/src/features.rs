//! Which parts of the language a script may use: the versions of the specification, and single proposals.
//!
//! A script of an early version asserts that what came later is refused, so each suite runs with the features of its
//! version and no more.

use std::str::FromStr;

use hotfoot::Config;

/// A version of the WebAssembly specification.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SpecVersion {
    /// WebAssembly 1.0, of 2019.
    V1,
    /// WebAssembly 2.0, of 2022.
    V2,
    /// WebAssembly 3.0, of 2025.
    V3,
}

impl SpecVersion {
    /// The features of this version.
    pub fn features(self) -> Features {
        match self {
            SpecVersion::V1 => Features::V1,
            SpecVersion::V2 => Features::V2,
            SpecVersion::V3 => Features::ALL,
        }
    }

    /// Settings for an engine that has the features of this version and no more.
    pub fn config(self) -> Config {
        let mut config = Config::new();
        self.features().apply(&mut config);
        config
    }
}

impl FromStr for SpecVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<SpecVersion, String> {
        match text {
            "1" | "1.0" => Ok(SpecVersion::V1),
            "2" | "2.0" => Ok(SpecVersion::V2),
            "3" | "3.0" => Ok(SpecVersion::V3),
            _ => Err(format!("there is no such version of the specification: {text}; choose 1.0, 2.0 or 3.0")),
        }
    }
}

/// One part of the language that came after the first version.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of a proposal")]
pub enum Feature {
    MutableGlobal,
    SignExtension,
    SaturatingFloatToInt,
    MultiValue,
    BulkMemory,
    ReferenceTypes,
    Simd,
    RelaxedSimd,
    ExtendedConst,
    MultiMemory,
    Memory64,
    TailCall,
    FunctionReferences,
    Gc,
    Exceptions,
    Threads,
    WideArithmetic,
    CustomPageSizes,
}

impl Feature {
    const EVERY: [Feature; 18] = [
        Feature::MutableGlobal,
        Feature::SignExtension,
        Feature::SaturatingFloatToInt,
        Feature::MultiValue,
        Feature::BulkMemory,
        Feature::ReferenceTypes,
        Feature::Simd,
        Feature::RelaxedSimd,
        Feature::ExtendedConst,
        Feature::MultiMemory,
        Feature::Memory64,
        Feature::TailCall,
        Feature::FunctionReferences,
        Feature::Gc,
        Feature::Exceptions,
        Feature::Threads,
        Feature::WideArithmetic,
        Feature::CustomPageSizes,
    ];

    fn switch(self, config: &mut Config, on: bool) {
        match self {
            Feature::MutableGlobal => config.wasm_mutable_global(on),
            Feature::SignExtension => config.wasm_sign_extension(on),
            Feature::SaturatingFloatToInt => config.wasm_saturating_float_to_int(on),
            Feature::MultiValue => config.wasm_multi_value(on),
            Feature::BulkMemory => config.wasm_bulk_memory(on),
            Feature::ReferenceTypes => config.wasm_reference_types(on),
            Feature::Simd => config.wasm_simd(on),
            Feature::RelaxedSimd => config.wasm_relaxed_simd(on),
            Feature::ExtendedConst => config.wasm_extended_const(on),
            Feature::MultiMemory => config.wasm_multi_memory(on),
            Feature::Memory64 => config.wasm_memory64(on),
            Feature::TailCall => config.wasm_tail_call(on),
            Feature::FunctionReferences => config.wasm_function_references(on),
            Feature::Gc => config.wasm_gc(on),
            Feature::Exceptions => config.wasm_exceptions(on),
            Feature::Threads => config.wasm_threads(on),
            Feature::WideArithmetic => config.wasm_wide_arithmetic(on),
            Feature::CustomPageSizes => config.wasm_custom_page_sizes(on),
        };
    }
}

const V1: &[Feature] = &[Feature::MutableGlobal];
const V2: &[Feature] = &[
    Feature::MutableGlobal,
    Feature::SignExtension,
    Feature::SaturatingFloatToInt,
    Feature::MultiValue,
    Feature::BulkMemory,
    Feature::ReferenceTypes,
    Feature::Simd,
];

/// A set of features: exactly those of a base, and some more.
#[derive(Copy, Clone, Debug)]
pub struct Features {
    /// `None` is whatever an engine has when nothing is said.
    base: Option<&'static [Feature]>,
    more: &'static [Feature],
}

impl Features {
    /// WebAssembly 1.0.
    pub const V1: Features = Features { base: Some(V1), more: &[] };
    /// WebAssembly 2.0.
    pub const V2: Features = Features { base: Some(V2), more: &[] };
    /// All that hotfoot has by default.
    pub const ALL: Features = Features { base: None, more: &[] };

    /// The same set with these features as well.
    pub const fn with(self, more: &'static [Feature]) -> Features {
        Features { base: self.base, more }
    }

    /// Switches the features of the set on, and all others off unless the set says nothing about them.
    pub fn apply(&self, config: &mut Config) {
        if let Some(base) = self.base {
            Feature::EVERY.iter().for_each(|feature| feature.switch(config, base.contains(feature)));
        }
        self.more.iter().for_each(|feature| feature.switch(config, true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotfoot::{Engine, Module};

    fn accepts(version: SpecVersion, text: &str) -> bool {
        Module::new(&Engine::new(&version.config()).unwrap(), text).is_ok()
    }

    #[test]
    fn each_version_refuses_what_came_later() {
        let vector = "(module (func (param v128)))";
        assert!(!accepts(SpecVersion::V1, vector) && accepts(SpecVersion::V2, vector));
        let tail_call = "(module (func return_call 0))";
        assert!(!accepts(SpecVersion::V2, tail_call) && accepts(SpecVersion::V3, tail_call));
        assert_eq!("2.0".parse(), Ok(SpecVersion::V2));
        assert!("4".parse::<SpecVersion>().is_err());
    }
}
