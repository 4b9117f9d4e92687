//! The page of `hotfoot explore`: one file of HTML with everything in it, data as JSON and a script that shows it.
//!
//! The text that people chose (names of files and functions) reaches the page only inside the JSON, in which `<` is
//! escaped, and the script puts it nowhere but into text.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::listing::Listing;
use crate::wasm_text::TextLine;

const PAGE: &str = include_str!("page.html");
const PLACE_OF_DATA: &str = "@DATA@";

#[derive(Serialize)]
struct Data<'a> {
    file: &'a str,
    target: &'a str,
    extensions: String,
    functions: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    index: u32,
    name: Option<&'a str>,
    r#type: String,
    /// Offset of its code.
    start: u32,
    /// Size of its code.
    bytes: u32,
    wasm: Vec<Text<'a>>,
    code: Vec<Code>,
}

#[derive(Serialize)]
struct Text<'a> {
    at: u32,
    depth: u32,
    text: &'a str,
}

#[derive(Serialize)]
struct Code {
    at: u32,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The page for these functions.
///
/// # Errors
/// When the artifact is damaged.
pub fn page(
    file: &str,
    listing: &Listing<'_>,
    functions: &[u32],
    text: &BTreeMap<u32, Vec<TextLine>>,
) -> Result<String> {
    let header = &listing.artifact.header;
    let functions = functions.iter().map(|function| describe(listing, *function, text)).collect::<Result<_>>()?;
    let data = Data { file, target: &header.target, extensions: header.isa_flags.join(" "), functions };
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    Ok(PAGE.replace(PLACE_OF_DATA, &json))
}

fn describe<'a>(
    listing: &'a Listing<'_>,
    function: u32,
    text: &'a BTreeMap<u32, Vec<TextLine>>,
) -> Result<Function<'a>> {
    let (start, code) = listing.code(function)?;
    let lines = text.get(&function).map(Vec::as_slice).unwrap_or_default();
    let text = |line: &'a TextLine| Text { at: line.offset, depth: line.depth, text: &line.text };
    let code_lines = listing.lines(function)?.into_iter().map(|line| Code {
        at: line.line.offset,
        text: line.line.text,
        wasm: line.wasm,
        target: line.line.target,
        note: line.note,
    });
    Ok(Function {
        index: function,
        name: listing.name(function),
        r#type: listing.type_text(function),
        start,
        bytes: code.len() as u32,
        wasm: lines.iter().map(text).collect(),
        code: code_lines.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm_text;

    #[test]
    fn names_cannot_become_markup() {
        let wasm = wat::parse_str("(module (func (export \"</script><b>\") (drop (i32.const 1))))").unwrap();
        let artifact = hotfoot::Engine::default().precompile_module(&wasm).unwrap();
        let listing = Listing::new(&artifact).unwrap();
        let text = wasm_text::functions(&wasm, |_| true).unwrap();
        let page = page("</script><i>", &listing, &[0], &text).unwrap();
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        assert!(page.contains("\\u003c/script>\\u003cb>") && !page.contains(PLACE_OF_DATA));
    }
}
