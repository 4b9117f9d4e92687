//! Functions of a module in the text format, each line with the offset in the binary that it shows.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use anyhow::Result;
use wasmparser::{Parser, Payload, TypeRef};
use wasmprinter::Print;

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextLine {
    /// Offset in the binary of what it shows.
    pub offset: u32,
    /// Its indentation inside the function.
    pub depth: u32,
    /// Without indentation.
    pub text: String,
}

/// Hands the text of each wanted function over, in the order of the module; indices count imports first. What is
/// printed is gone again with the next function, however large the module is. Stops at the first error of `take`.
///
/// # Errors
/// When the module is not one, and what `take` says.
pub fn each_function(
    wasm: &[u8],
    wanted: impl Fn(u32) -> bool,
    take: &mut dyn FnMut(u32, Vec<TextLine>) -> Result<()>,
) -> Result<()> {
    let bodies = bodies(wasm, wanted)?;
    let mut collector = Collector { bodies: &bodies, body: 0, function: None, line: None, take, outcome: Ok(()) };
    let printed = wasmprinter::Config::new().print(wasm, &mut collector);
    collector.end_line();
    collector.end_function();
    collector.outcome.and(printed)
}

/// The text of the wanted functions, by index with imports first.
///
/// # Errors
/// When the module is not one.
pub fn functions(wasm: &[u8], wanted: impl Fn(u32) -> bool) -> Result<BTreeMap<u32, Vec<TextLine>>> {
    let mut found = BTreeMap::new();
    each_function(wasm, wanted, &mut |function, lines| {
        found.insert(function, lines);
        Ok(())
    })?;
    Ok(found)
}

/// Where the bodies of the wanted functions are, ascending.
fn bodies(wasm: &[u8], wanted: impl Fn(u32) -> bool) -> Result<Vec<(Range<u64>, u32)>> {
    let mut bodies = Vec::new();
    let mut index = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    index += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionEntry(body) => {
                if wanted(index) {
                    bodies.push((body.range(), index));
                }
                index += 1;
            }
            _ => {}
        }
    }
    Ok(bodies)
}

/// Takes what the printer prints, and keeps the lines that lie inside the bodies.
struct Collector<'a> {
    bodies: &'a [(Range<u64>, u32)],
    /// The first body that does not end before the current line: lines come in the order of the binary.
    body: usize,
    /// The function whose lines come now, and those that came.
    function: Option<(u32, Vec<TextLine>)>,
    /// The line being printed.
    line: Option<(u64, String)>,
    take: &'a mut dyn FnMut(u32, Vec<TextLine>) -> Result<()>,
    /// The first error of `take`.
    outcome: Result<()>,
}

impl Collector<'_> {
    fn end_line(&mut self) {
        let (Some((offset, line)), Some((_, lines))) = (self.line.take(), &mut self.function) else { return };
        let text = line.trim_start_matches(' ');
        // Two spaces a level; a function is inside the module.
        let depth = ((line.len() - text.len()) / 2).saturating_sub(1) as u32;
        // The parenthesis that ends a function stands where the binary has `end`.
        let text = if text.trim_end() == ")" { "end" } else { text.trim_end() };
        if !text.is_empty() {
            lines.push(TextLine { offset: offset as u32, depth, text: text.to_owned() });
        }
    }

    fn end_function(&mut self) {
        if let Some((function, lines)) = self.function.take()
            && self.outcome.is_ok()
        {
            self.outcome = (self.take)(function, lines);
        }
    }
}

impl Print for Collector<'_> {
    fn write_str(&mut self, text: &str) -> io::Result<()> {
        if self.outcome.is_err() {
            return Err(io::Error::other("nobody wants more"));
        }
        if let Some((_, line)) = &mut self.line {
            line.push_str(text);
        }
        Ok(())
    }

    fn newline(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn start_line(&mut self, offset: Option<u64>) {
        self.end_line();
        let Some(offset) = offset else { return };
        while self.bodies.get(self.body).is_some_and(|(range, _)| range.end <= offset) {
            self.body += 1;
        }
        let Some((_, function)) = self.bodies.get(self.body).filter(|(range, _)| range.contains(&offset)) else {
            return;
        };
        if self.function.as_ref().is_none_or(|(current, _)| current != function) {
            self.end_function();
            self.function = Some((*function, Vec::new()));
        }
        self.line = Some((offset, String::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_place() {
        let wasm = wat::parse_str(
            "(module (import \"a\" \"b\" (func)) (func (nop))
             (func $add (param i32) (result i32) (local i64) (if (local.get 0) (then (nop))) (i32.const 7)))",
        )
        .unwrap();
        let texts = functions(&wasm, |index| index == 2).unwrap();
        assert_eq!(texts.keys().copied().collect::<Vec<_>>(), [2]);
        let lines = &texts[&2];
        for (line, opcode) in [("local.get", 0x20), ("if", 0x04), ("nop", 0x01), ("i32.const 7", 0x41)] {
            let line = lines.iter().find(|found| found.text.starts_with(line)).unwrap_or_else(|| panic!("{lines:?}"));
            assert_eq!(wasm[line.offset as usize], opcode, "{line:?}");
        }
        let depth = |text: &str| lines.iter().find(|line| line.text.starts_with(text)).unwrap().depth;
        assert_eq!(depth("nop"), depth("if") + 1);
        assert!(functions(&wasm, |_| false).unwrap().is_empty());
        assert!(functions(b"\0asm\x01\0\0\0\x0a", |_| true).is_err());
        let mut seen = 0;
        let stopped = each_function(&wasm, |_| true, &mut |_, _| {
            seen += 1;
            anyhow::bail!("enough")
        });
        assert_eq!((stopped.unwrap_err().to_string(), seen), ("enough".to_owned(), 1));
    }
}
