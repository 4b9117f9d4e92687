//! Artifacts from the embedder's side: recognising them, and refusing those that do not fit an engine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use hotfoot_artifact::{Header, RECOGNISABLE_LEN, is_artifact};

use crate::engine::Engine;
use crate::vm::sys::arch;

/// What an artifact was compiled from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precompiled {
    /// A module.
    Module,
}

/// An artifact that this engine cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncompatibleArtifact {
    /// Made for another kind of processor or system.
    #[error("the artifact is for {found}, this machine is {expected}: compile the module for this target")]
    Target {
        /// Target of the artifact.
        found: String,
        /// Target of this process.
        expected: String,
    },
    /// Made under other promises about memory.
    #[error(
        "the artifact was compiled with other memory settings ({found}) than this engine has ({expected}): use the same Config"
    )]
    Tunables {
        /// Settings of the artifact.
        found: String,
        /// Settings of the engine.
        expected: String,
    },
    /// Compiled with another setting that the engine was asked for.
    #[error("the artifact was compiled with `{found}`, this engine has `{expected}`: use the same Config")]
    Setting {
        /// The artifact's setting, as `name=value`.
        found: String,
        /// The engine's.
        expected: String,
    },
    /// Needs instructions that this processor lacks.
    #[error("the artifact needs `{flag}`, which this processor does not have: compile the module without it")]
    Isa {
        /// The extension.
        flag: String,
    },
}

impl Engine {
    /// Whether bytes begin as an artifact does, of this version of hotfoot or another.
    ///
    /// ```
    /// use hotfoot::{Engine, Precompiled};
    /// let artifact = Engine::default().precompile_module(b"(module)")?;
    /// assert_eq!(Engine::detect_precompiled(&artifact), Some(Precompiled::Module));
    /// assert_eq!(Engine::detect_precompiled(b"(module)"), None);
    /// # Ok::<(), hotfoot::Error>(())
    /// ```
    pub fn detect_precompiled(bytes: &[u8]) -> Option<Precompiled> {
        is_artifact(bytes).then_some(Precompiled::Module)
    }

    /// Whether a file begins as an artifact does. Reads no more of it than that.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn detect_precompiled_file(path: impl AsRef<Path>) -> Result<Option<Precompiled>> {
        let path = path.as_ref();
        let mut start = Vec::with_capacity(RECOGNISABLE_LEN);
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let read = file.take(RECOGNISABLE_LEN as u64).read_to_end(&mut start);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Engine::detect_precompiled(&start))
    }
}

/// Begins the setting that says what operators cost.
const OPERATOR_COST: &str = "operator_cost=";

/// Compares what code assumes with this machine and the engine's settings.
pub(crate) fn check_compatible(engine: &Engine, header: &Header) -> Result<(), IncompatibleArtifact> {
    let expected = std::env::consts::ARCH;
    if header.target.split('-').next() != Some(expected) {
        return Err(IncompatibleArtifact::Target { found: header.target.clone(), expected: expected.to_owned() });
    }
    if header.tunables != *engine.tunables() {
        let (found, expected) = (format!("{:?}", header.tunables), format!("{:?}", engine.tunables()));
        return Err(IncompatibleArtifact::Tunables { found, expected });
    }
    if header.tunables.consume_fuel {
        let expected = format!("{OPERATOR_COST}{}", engine.config().operator_costs());
        let found = header.settings.iter().find(|setting| setting.starts_with(OPERATOR_COST));
        if found != Some(&expected) {
            let found = found.map_or(OPERATOR_COST, String::as_str).to_owned();
            return Err(IncompatibleArtifact::Setting { found, expected });
        }
    }
    for (name, expected) in engine.config().asked_settings() {
        let value_of = |setting: &&String| setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let found = header.settings.iter().find(value_of);
        if let Some(found) = found.filter(|found| found[name.len() + 1..] != *expected) {
            let expected = format!("{name}={expected}");
            return Err(IncompatibleArtifact::Setting { found: found.clone(), expected });
        }
    }
    match header.isa_flags.iter().find(|flag| !arch::has_isa_flag(flag)) {
        Some(flag) => Err(IncompatibleArtifact::Isa { flag: flag.clone() }),
        None => Ok(()),
    }
}

#[cfg(all(test, feature = "compile"))]
mod tests {
    use hotfoot_artifact::Artifact;

    use super::*;

    #[test]
    fn an_extension_that_is_missing_is_named() {
        let engine = Engine::default();
        let artifact = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
        let mut header = Artifact::parse(&artifact).unwrap().header;
        check_compatible(&engine, &header).unwrap();
        header.isa_flags.push("has_time_travel".to_owned());
        let error = check_compatible(&engine, &header).unwrap_err();
        assert!(matches!(&error, IncompatibleArtifact::Isa { flag } if flag == "has_time_travel"), "{error}");
    }
}
