//! Custom sections: copied, but for those that would say something wrong now.
//!
//! * `name`: without the names of segments, which are others now; and without those of index spaces that changed.
//! * DWARF: left out if asked, or if places in the code moved.
//! * `linking`, `reloc.*`: describe an object file, which the output is not.
//! * `dylink.0`: describes memory that a loader provides; left out once the module has its own.

use wasm_encoder::{CustomSection, NameSection, RawSection};
use wasmparser::BinaryReader;

use super::Writer;
use crate::input::Custom;

/// Subsections of `name` for element and data segments.
const SEGMENT_NAMES: [u8; 2] = [8, 9];
/// Subsections of `name` for tables, memories and globals.
const ENTITY_NAMES: [u8; 3] = [5, 6, 7];

impl Writer<'_, '_> {
    /// The custom sections that stood after a section.
    pub(super) fn customs_after(&mut self, id: u8) {
        for custom in &self.input.customs {
            if custom.after == id {
                self.custom(custom);
            }
        }
    }

    fn custom(&mut self, custom: &Custom<'_>) {
        match custom.name {
            "name" => self.names(custom),
            name if name.starts_with(".debug_") => self.debug(custom),
            "sourceMappingURL" if self.preinit.strip_debug => {}
            "linking" => {}
            name if name.starts_with("reloc.") => {}
            "dylink.0" | "dylink" if !self.preinit.keep_imports => {}
            name if name.starts_with("metadata.code.") && self.code_moved() => {}
            _ => self.copy_custom(custom),
        }
    }

    fn debug(&mut self, custom: &Custom<'_>) {
        match (self.preinit.strip_debug, self.code_moved()) {
            (true, _) => {}
            (false, true) => {
                self.warn_once("debugging information was left out, because the code had to be encoded anew");
            }
            (false, false) => self.copy_custom(custom),
        }
    }

    fn copy_custom(&mut self, custom: &Custom<'_>) {
        wasm_encoder::Section::append_to(&RawSection { id: 0, data: custom.contents }, &mut self.output);
    }

    fn names(&mut self, custom: &Custom<'_>) {
        let mut section = NameSection::new();
        let identity = self.indices.is_identity();
        let mut rest = custom.data;
        // Each subsection is a number, a length and so many bytes; a damaged rest is left out.
        while let Some((&id, after)) = rest.split_first() {
            let mut reader = BinaryReader::new(after, 0);
            let Ok(len) = reader.read_var_u32() else { break };
            let start = reader.original_position() as usize;
            let Some(data) = after.get(start..start + len as usize) else { break };
            if !SEGMENT_NAMES.contains(&id) && (identity || !ENTITY_NAMES.contains(&id)) {
                section.raw(id, data);
            }
            rest = &after[start + len as usize..];
        }
        let custom: CustomSection<'_> = section.as_custom();
        if !custom.data.is_empty() {
            wasm_encoder::Section::append_to(&custom, &mut self.output);
        }
    }

    fn warn_once(&mut self, warning: &str) {
        if !self.report.warnings.iter().any(|given| given == warning) {
            self.report.warnings.push(warning.to_owned());
        }
    }
}
