//! The parts of a file and their sizes.

use anyhow::Result;
use hotfoot_artifact::Artifact;
use serde::Serialize;
use wasmparser::{Parser, Payload};

/// A part of a file.
#[derive(Debug, Serialize)]
pub struct Section {
    /// Its name; of a custom section, after `custom `.
    pub name: String,
    /// Where its contents begin in the file.
    pub offset: u64,
    /// The size of its contents.
    pub bytes: u64,
    /// How many things are in it, if they can be counted.
    pub entries: Option<u32>,
}

/// The sections of a module.
pub fn of_module(wasm: &[u8]) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let (name, entries) = match &payload {
            Payload::TypeSection(reader) => ("type", Some(reader.count())),
            Payload::ImportSection(reader) => ("import", Some(reader.count())),
            Payload::FunctionSection(reader) => ("function", Some(reader.count())),
            Payload::TableSection(reader) => ("table", Some(reader.count())),
            Payload::MemorySection(reader) => ("memory", Some(reader.count())),
            Payload::TagSection(reader) => ("tag", Some(reader.count())),
            Payload::GlobalSection(reader) => ("global", Some(reader.count())),
            Payload::ExportSection(reader) => ("export", Some(reader.count())),
            Payload::StartSection { .. } => ("start", None),
            Payload::ElementSection(reader) => ("element", Some(reader.count())),
            Payload::DataCountSection { .. } => ("data count", None),
            Payload::DataSection(reader) => ("data", Some(reader.count())),
            Payload::CodeSectionStart { count, .. } => ("code", Some(*count)),
            Payload::CustomSection(_) => ("custom", None),
            _ => continue,
        };
        let Some((_, range)) = payload.as_section() else { continue };
        let name = match &payload {
            Payload::CustomSection(section) => format!("{name} {}", section.name()),
            _ => name.to_owned(),
        };
        sections.push(Section { name, offset: range.start, bytes: range.end - range.start, entries });
    }
    Ok(sections)
}

/// The sections of an artifact.
pub fn of_artifact(artifact: &Artifact<'_>) -> Result<Vec<Section>> {
    let sections = artifact.sections()?.into_iter().map(|(section, range)| Section {
        name: section.name().to_owned(),
        offset: range.start as u64,
        bytes: range.len() as u64,
        entries: None,
    });
    Ok(sections.collect())
}
