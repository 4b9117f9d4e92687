//! A module seen from the outside, without compiling it: its interface, and where its functions are.

use std::ops::Range;

use hotfoot_artifact::{Export, FunctionName, ModuleInfo};
use wasmparser::WasmFeatures;

use crate::{Error, decode};

/// What can be known of a module without looking into its functions.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Its interface. What only compiling finds out is left at its default.
    pub info: ModuleInfo,
    /// Exports in order.
    pub exports: Vec<Export>,
    /// Type index of each function, imports first.
    pub function_types: Vec<u32>,
    /// Function indices in element segments, as [`ModuleInfo`] refers to them.
    pub elements: Vec<u32>,
    /// Where in the binary the bodies of the defined functions are.
    pub bodies: Vec<Range<u64>>,
    names: Vec<FunctionName>,
}

impl Outline {
    /// The name of a function, imports counted first.
    pub fn function_name(&self, function: u32) -> Option<&str> {
        let index = self.names.binary_search_by_key(&function, |name| name.function).ok()?;
        Some(&self.names[index].name)
    }
}

/// Decodes a module, and validates all of it but the bodies of its functions.
///
/// # Errors
/// When the bytes are no module, an invalid one, or one whose interface uses what is not supported.
pub fn outline(wasm: &[u8], features: WasmFeatures) -> Result<Outline, Error> {
    let (module, bodies) = decode::decode(wasm, features)?;
    let bodies = bodies.iter().map(|(_, body)| body.range()).collect();
    let decode::Module { info, exports, function_types, elements, names, .. } = module;
    Ok(Outline { info, exports, function_types, elements, bodies, names })
}
