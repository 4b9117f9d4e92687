//! Features of WebAssembly: as the compiler knows them and as [`Config`](crate::Config) switches them, and the error of
//! a module that needs one which is off.

use anyhow::Error;
use hotfoot_compile::WasmFeatures;

use crate::config::Features;

/// A switch: what it is called after `Config::wasm_`, and the field that it sets.
type Switch = (&'static str, fn(&mut Features) -> &mut bool);

const SWITCHES: [Switch; 19] = [
    ("mutable_global", |features| &mut features.mutable_global),
    ("saturating_float_to_int", |features| &mut features.saturating_float_to_int),
    ("sign_extension", |features| &mut features.sign_extension),
    ("reference_types", |features| &mut features.reference_types),
    ("multi_value", |features| &mut features.multi_value),
    ("bulk_memory", |features| &mut features.bulk_memory),
    ("simd", |features| &mut features.simd),
    ("relaxed_simd", |features| &mut features.relaxed_simd),
    ("threads", |features| &mut features.threads),
    ("tail_call", |features| &mut features.tail_call),
    ("multi_memory", |features| &mut features.multi_memory),
    ("memory64", |features| &mut features.memory64),
    ("extended_const", |features| &mut features.extended_const),
    ("function_references", |features| &mut features.function_references),
    ("gc", |features| &mut features.gc),
    ("exceptions", |features| &mut features.exceptions),
    ("legacy_exceptions", |features| &mut features.legacy_exceptions),
    ("wide_arithmetic", |features| &mut features.wide_arithmetic),
    ("custom_page_sizes", |features| &mut features.custom_page_sizes),
];

/// A module was refused, and would not be if more features of WebAssembly were switched on.
///
/// ```
/// use hotfoot::{Config, DisabledFeatures, Engine, Module};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::new(Config::new().wasm_simd(false).wasm_relaxed_simd(false))?;
/// let error = Module::new(&engine, "(module (func (param v128)))").unwrap_err();
/// assert_eq!(error.downcast_ref::<DisabledFeatures>().unwrap().names(), ["simd"]);
/// assert!(error.to_string().ends_with("switch on what it needs: `Config::wasm_simd`"));
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{refusal}; switch on what it needs: {}", self.methods())]
pub struct DisabledFeatures {
    names: Vec<&'static str>,
    refusal: hotfoot_compile::Error,
}

impl DisabledFeatures {
    /// The features, by what their switches are called after `Config::wasm_`.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// What is wrong with the module as long as they are off.
    pub fn refusal(&self) -> impl std::error::Error + '_ {
        &self.refusal
    }

    fn methods(&self) -> String {
        let methods: Vec<String> = self.names.iter().map(|name| format!("`Config::wasm_{name}`")).collect();
        methods.join(", ")
    }
}

/// The error of a module that was refused under these switches; it names those that are missing.
pub(crate) fn explain(refusal: hotfoot_compile::Error, wasm: &[u8], switches: Features) -> Error {
    match missing(&refusal, wasm, switches) {
        Some(names) => DisabledFeatures { names, refusal }.into(),
        None => refusal.into(),
    }
}

fn missing(refusal: &hotfoot_compile::Error, wasm: &[u8], mut switches: Features) -> Option<Vec<&'static str>> {
    let is_about_validity = matches!(refusal, hotfoot_compile::Error::Invalid { .. });
    let off: Vec<&Switch> = SWITCHES.iter().filter(|(_, switch)| !*switch(&mut switches)).collect();
    off.iter().for_each(|(_, switch)| *switch(&mut switches) = true);
    let accepts = |switches: &Features| hotfoot_compile::validate(wasm, features(switches)).is_ok();
    if !is_about_validity || !accepts(&switches) {
        return None;
    }
    // Off again, one after the other, the newest first, as they include older ones: who is missed then is needed.
    let mut names = Vec::new();
    for (name, switch) in off.into_iter().rev() {
        *switch(&mut switches) = false;
        if !accepts(&switches) {
            *switch(&mut switches) = true;
            names.insert(0, *name);
        }
    }
    Some(names)
}

/// What the compiler accepts under these switches.
pub(crate) fn features(switches: &Features) -> WasmFeatures {
    let mut features = WasmFeatures::empty();
    for (feature, enabled) in [
        (WasmFeatures::FLOATS, true),
        (WasmFeatures::GC_TYPES, true),
        (WasmFeatures::MUTABLE_GLOBAL, switches.mutable_global),
        (WasmFeatures::SATURATING_FLOAT_TO_INT, switches.saturating_float_to_int),
        (WasmFeatures::SIGN_EXTENSION, switches.sign_extension),
        (WasmFeatures::REFERENCE_TYPES, switches.reference_types),
        (WasmFeatures::CALL_INDIRECT_OVERLONG, switches.reference_types),
        (WasmFeatures::MULTI_VALUE, switches.multi_value),
        (WasmFeatures::BULK_MEMORY, switches.bulk_memory),
        (WasmFeatures::BULK_MEMORY_OPT, switches.bulk_memory),
        (WasmFeatures::SIMD, switches.simd),
        (WasmFeatures::RELAXED_SIMD, switches.relaxed_simd),
        (WasmFeatures::THREADS, switches.threads),
        (WasmFeatures::TAIL_CALL, switches.tail_call),
        (WasmFeatures::MULTI_MEMORY, switches.multi_memory),
        (WasmFeatures::MEMORY64, switches.memory64),
        (WasmFeatures::EXTENDED_CONST, switches.extended_const),
        (WasmFeatures::FUNCTION_REFERENCES, switches.function_references),
        (WasmFeatures::GC, switches.gc),
        (WasmFeatures::EXCEPTIONS, switches.exceptions || switches.legacy_exceptions),
        (WasmFeatures::LEGACY_EXCEPTIONS, switches.legacy_exceptions),
        (WasmFeatures::WIDE_ARITHMETIC, switches.wide_arithmetic),
        (WasmFeatures::CUSTOM_PAGE_SIZES, switches.custom_page_sizes),
    ] {
        features.set(feature, enabled);
    }
    features
}
