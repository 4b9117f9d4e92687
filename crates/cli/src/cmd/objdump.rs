//! `hotfoot objdump FILE`: machine code, with what it was compiled from.
//!
//! ```text
//! 0000000000000040 function 3 <add>: (param i32 i32) (result i32), 15 bytes
//! ;; 0x2c  i32.add
//!       44  03 fa                    add       edi, edx
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use anyhow::Result;

use crate::args::{EngineArgs, ObjdumpArgs};
use crate::input::Input;
use crate::listing::Listing;
use crate::wasm_text;
use crate::{progress, refusal};

/// Bytes of an instruction that fit into their column.
const BYTES_SHOWN: usize = 10;

/// Compiles if need be, and prints.
pub fn execute(args: &ObjdumpArgs) -> Result<i32> {
    let name = args.file.to_string();
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match Input::read(&args.file)? {
        Input::Module(wasm) => {
            let options = EngineArgs::for_target(&args.engine, &args.target)?;
            let engine = options.engine_to_read()?;
            let artifact = progress::shown(&name, |observer| engine.precompile_module_observed(&wasm, observer))
                .map_err(|error| refusal::explain(&error, &name))?;
            let listing = Listing::new(&artifact)?;
            let functions = listing.functions(args.func.as_deref())?;
            out.write_all(head(&listing).as_bytes())?;
            let wanted = |index: u32| functions.binary_search(&index).is_ok();
            wasm_text::each_function(&wasm, wanted, &mut |function, lines| {
                // The prologue belongs to the line that names the function, which is there already.
                let instructions = lines.into_iter().filter(|line| !line.text.starts_with('('));
                let text = instructions.map(|line| (line.offset, line.text)).collect();
                Ok(out.write_all(function_text(&listing, function, &text)?.as_bytes())?)
            })
        }
        Input::Artifact(artifact) => {
            let listing = Listing::new(&artifact)?;
            let functions = listing.functions(args.func.as_deref())?;
            out.write_all(head(&listing).as_bytes())?;
            functions.iter().try_for_each(|function| {
                Ok(out.write_all(function_text(&listing, *function, &BTreeMap::new())?.as_bytes())?)
            })
        }
        Input::ArtifactFile(_) | Input::ModuleFile(_) => unreachable!("`read` reads everything"),
    };
    match printed.and_then(|()| Ok(out.flush()?)) {
        // A reader that has gone away, as in `| head`, has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_none() => Err(error),
        _ => Ok(0),
    }
}

/// What the code is for.
fn head(listing: &Listing<'_>) -> String {
    let header = &listing.artifact.header;
    let extensions = header.isa_flags.join(" ");
    let with = if extensions.is_empty() { "no extensions" } else { &extensions };
    format!("{}, with {with}\n", header.target)
}

fn function_text(listing: &Listing<'_>, function: u32, text: &BTreeMap<u32, String>) -> Result<String> {
    let (start, code) = listing.code(function)?;
    let name = listing.name(function).map(|name| format!(" <{name}>")).unwrap_or_default();
    let ty = listing.type_text(function);
    let separator = if ty.is_empty() { "" } else { " " };
    let mut shown = format!("\n{start:08x} function {function}{name}:{separator}{ty}, {} bytes\n", code.len());
    let mut last = None;
    for code_line in listing.lines(function)? {
        let line = &code_line.line;
        if code_line.wasm.is_some() && code_line.wasm != last {
            let offset = code_line.wasm.unwrap_or_default();
            let source = text.get(&offset).map(|text| format!("  {text}")).unwrap_or_default();
            shown.push_str(&format!(";; {offset:#x}{source}\n"));
        }
        last = code_line.wasm;
        let at = (line.offset - start) as usize;
        let bytes = &code[at..at + line.len as usize];
        let hex: Vec<String> = bytes.iter().take(BYTES_SHOWN).map(|byte| format!("{byte:02x}")).collect();
        let hex = if line.text.starts_with('.') { String::new() } else { hex.join(" ") };
        let note = code_line.note.map(|note| format!("  {note}")).unwrap_or_default();
        shown.push_str(&format!("{:>8x}  {hex:<31}{}{note}\n", line.offset, line.text));
    }
    Ok(shown)
}
