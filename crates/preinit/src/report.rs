//! What a pre-initialisation did, for people and for programs.

use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::error::PreinitError;

/// What was run, what was captured, and what came out.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The functions that were called, in order.
    pub called: Vec<String>,
    /// Host functions that the initialisation called.
    pub host_calls: Vec<HostCall>,
    /// What of the output will surprise whoever does not know it.
    pub warnings: Vec<String>,
    /// Imports that became the module's own.
    pub owned_imports: Vec<String>,
    /// Every memory.
    pub memories: Vec<MemoryReport>,
    /// Every table.
    pub tables: Vec<TableReport>,
    /// How many globals there are.
    pub globals: usize,
    /// How many structs and arrays globals, tables and segments lead to.
    pub objects: usize,
    /// Data segments of the output.
    pub data_segments: usize,
    /// Element segments of the output.
    pub element_segments: usize,
    /// Functions that were removed as nothing can reach them.
    pub removed_functions: usize,
    /// Items of element segments that were removed as nothing reads their table.
    pub removed_elements: usize,
    /// Globals that were removed as nothing names them.
    pub removed_globals: usize,
    /// Types that were removed as nothing names them.
    pub removed_types: usize,
    /// Indirect calls that became direct.
    pub direct_calls: usize,
    /// Whether the artifact has the code that was compiled for the initialisation; none for a module.
    pub reused_code: Option<bool>,
    /// Size of the input.
    pub input_bytes: usize,
    /// Size of the output.
    pub output_bytes: usize,
    /// Section sizes of the output, in its order.
    pub sections: Vec<(String, usize)>,
}

/// A host function that the initialisation called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostCall {
    /// Its module name.
    pub module: String,
    /// Its name.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// What a memory holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryReport {
    /// Its size in pages.
    pub pages: u64,
    /// Its size in bytes.
    pub bytes: usize,
    /// Bytes in data segments.
    pub data_bytes: usize,
    /// Bytes of freed stack that were left out.
    pub stack_bytes: usize,
    /// For each sixteenth of the memory, how many bytes of it are in data segments.
    pub regions: Vec<usize>,
}

/// What a table holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableReport {
    /// Its size.
    pub elements: usize,
    /// Elements that are not null.
    pub set: usize,
}

/// What a host function gives that is frozen into the output.
fn frozen(module: &str, name: &str) -> Option<&'static str> {
    if !module.starts_with("wasi") {
        return None;
    }
    Some(match name {
        "random_get" => "random numbers, which come from a fixed seed and are the same in every instance from now on",
        "clock_time_get" | "clock_res_get" => "a clock, which stood at a fixed time during the initialisation",
        "environ_get" | "environ_sizes_get" => "the environment as it is now",
        "args_get" | "args_sizes_get" => "the arguments, of which there were none",
        "fd_prestat_get" | "fd_prestat_dir_name" => {
            "the list of directories, which later instances must be given under the same numbers and names"
        }
        "path_open" | "fd_read" | "fd_pread" | "fd_readdir" | "path_filestat_get" | "fd_filestat_get"
        | "path_readlink" => "files as they are now",
        _ => return None,
    })
}

impl Report {
    /// A warning for each kind of thing that was read from outside.
    pub(crate) fn warn_of_frozen_input(&mut self) {
        let mut kinds: Vec<&str> = Vec::new();
        for call in &self.host_calls {
            let Some(what) = frozen(&call.module, &call.name) else { continue };
            if !kinds.contains(&what) {
                kinds.push(what);
                self.warnings.push(format!("the initialisation read {what} ({}::{})", call.module, call.name));
            }
        }
    }

    /// Sizes of the output and its sections.
    pub(crate) fn describe_output(&mut self, output: &[u8]) -> Result<(), PreinitError> {
        self.output_bytes = output.len();
        for payload in Parser::new(0).parse_all(output) {
            let payload = payload?;
            let Some((id, range)) = payload.as_section() else { continue };
            let name = match &payload {
                Payload::CustomSection(section) => format!("custom {:?}", section.name()),
                _ => section_name(id).to_owned(),
            };
            self.sections.push((name, (range.end - range.start) as usize));
        }
        Ok(())
    }

    /// The report as lines of text.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("called {}", self.called.join(", then "))];
        for call in &self.host_calls {
            lines.push(format!("host call {}::{}, {} times", call.module, call.name, call.count));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(self.owned_imports.iter().map(|import| format!("import made the module's own: {import}")));
        for (index, memory) in self.memories.iter().enumerate() {
            let regions: Vec<String> = memory.regions.iter().map(usize::to_string).collect();
            lines.push(format!(
                "memory {index}: {} pages, {} of {} bytes kept, {} of freed stack left out; by sixteenths: {}",
                memory.pages,
                memory.data_bytes,
                memory.bytes,
                memory.stack_bytes,
                regions.join(" ")
            ));
        }
        for (index, table) in self.tables.iter().enumerate() {
            lines.push(format!("table {index}: {} of {} elements set", table.set, table.elements));
        }
        lines.push(format!(
            "{} globals, {} objects, {} data segments, {} element segments",
            self.globals, self.objects, self.data_segments, self.element_segments
        ));
        let removed = [self.removed_functions, self.removed_globals, self.removed_types, self.removed_elements];
        if removed.iter().sum::<usize>() + self.direct_calls > 0 {
            let [functions, globals, types, elements] = removed;
            lines.push(format!(
                "{functions} functions, {globals} globals, {types} types and {elements} table elements removed, {} calls made direct",
                self.direct_calls
            ));
        }
        match self.reused_code {
            Some(true) => lines.push("nothing was compiled again".to_owned()),
            Some(false) => lines.push("the new module was compiled again, as its code is another".to_owned()),
            None => {}
        }
        for (name, bytes) in &self.sections {
            lines.push(format!("section {name}: {bytes} bytes"));
        }
        lines.push(format!("{} bytes became {}", self.input_bytes, self.output_bytes));
        lines.join("\n") + "\n"
    }
}

/// A section's name.
fn section_name(id: u8) -> &'static str {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    NAMES.get(usize::from(id)).copied().unwrap_or("unknown")
}
