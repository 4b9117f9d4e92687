//! `hotfoot inspect FILE`: what is in a module or artifact, and how it will start.

use anyhow::{Context, Result, anyhow};

use crate::anatomy::start::{grouped, size};
use crate::anatomy::{self, Anatomy, Speed};
use crate::args::InspectArgs;
use crate::input::Input;
use crate::ui;

/// Takes it apart and prints.
pub fn execute(args: &InspectArgs) -> Result<i32> {
    let name = args.file.to_string();
    let anatomy = match Input::read(&args.file)? {
        Input::Module(wasm) => anatomy::of_module(&wasm),
        Input::Artifact(artifact) => anatomy::of_artifact(&artifact),
        Input::ArtifactFile(_) | Input::ModuleFile(_) => unreachable!("`read` reads everything"),
    };
    let anatomy = anatomy.map_err(|error| anyhow!("{name} cannot be inspected: {error:#}"))?;
    if args.json {
        let json = serde_json::to_string_pretty(&anatomy).context("the description has no form in JSON")?;
        ui::print(&format!("{json}\n"));
    } else {
        ui::print(&text(&anatomy, &name));
    }
    Ok(0)
}

fn text(anatomy: &Anatomy, file: &str) -> String {
    let name = anatomy.name.as_ref().map(|name| format!(", named {name}")).unwrap_or_default();
    let mut text = format!("{file}: {} of {} bytes{name}\n", anatomy.kind, grouped(anatomy.bytes));
    if let Some(target) = &anatomy.target {
        text.push_str(&format!("  for {}", target.triple));
        if !target.extensions.is_empty() {
            text.push_str(&format!(" with {}", target.extensions.join(" ")));
        }
        text.push('\n');
    }
    text.push_str(&format!("\nSections{:>24}{:>10}\n", "bytes", "entries"));
    for section in anatomy.sections.iter().filter(|section| section.bytes > 0) {
        let entries = section.entries.map(|entries| grouped(entries.into())).unwrap_or_default();
        let line = format!("  {:<20}{:>10}{entries:>10}", section.name, grouped(section.bytes));
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    let functions = &anatomy.functions;
    text.push_str(&format!(
        "\nFunctions\n  {} imported, {} defined with {}, {} can be called by reference\n",
        grouped(functions.imported.into()),
        grouped(functions.defined.into()),
        size(functions.bytes),
        grouped(functions.referenced.into())
    ));
    for function in &functions.largest {
        let name = function.name.as_deref().unwrap_or("");
        text.push_str(format!("  {:>12}  function {} {name}", size(function.bytes), function.index).trim_end());
        text.push('\n');
    }
    let memories = anatomy.memories.iter();
    list(
        &mut text,
        "Memories",
        memories.map(|memory| {
            format!("{}, {} at first", place(memory.imported, &memory.r#type), size(memory.minimum_bytes))
        }),
    );
    list(&mut text, "Tables", anatomy.tables.iter().map(|table| place(table.imported, &table.r#type)));
    let imports = anatomy.imports.iter();
    list(&mut text, "Imports", imports.map(|import| format!("{}.{} {}", import.module, import.name, import.r#type)));
    list(&mut text, "Exports", anatomy.exports.iter().map(|export| format!("{} {}", export.name, export.r#type)));
    let start = anatomy.start.iter().map(|finding| {
        let speed = match finding.speed {
            Speed::Fast => "fast",
            Speed::Slow => "slow",
        };
        format!("{speed}  {}", finding.what)
    });
    list(&mut text, "Start", start);
    text
}

fn place(imported: bool, ty: &str) -> String {
    if imported { format!("{ty} imported") } else { ty.to_owned() }
}

/// A heading and lines under it, if there are any.
fn list(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        text.push_str(&format!("\n{heading}\n"));
    }
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
}
