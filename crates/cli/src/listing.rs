//! The functions of an artifact with their machine code, line by line, and what is known about each line.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use hotfoot_artifact::{Artifact, EntityIndex, ModuleInfo};

use crate::disasm::{self, Disassembler};
use crate::near;

/// An artifact whose code can be shown.
pub struct Listing<'a> {
    /// The artifact.
    pub artifact: Artifact<'a>,
    /// Its module's interface.
    pub info: ModuleInfo,
    /// How many functions are imported: defined ones come after them.
    pub imported: u32,
    /// Names of exported functions.
    exported: HashMap<u32, &'a str>,
    /// Where handlers of exceptions begin, ascending.
    handlers: Vec<u32>,
    disassembler: Disassembler,
}

/// A line of machine code.
pub struct CodeLine {
    /// The instruction.
    pub line: disasm::Line,
    /// Offset in the WebAssembly binary of what it belongs to.
    pub wasm: Option<u32>,
    /// What cannot be seen in it: the name of what it calls, why it may trap.
    pub note: Option<String>,
}

impl<'a> Listing<'a> {
    /// Reads an artifact.
    ///
    /// # Errors
    /// When it is damaged, or for a processor whose code cannot be read.
    pub fn new(bytes: &'a [u8]) -> Result<Listing<'a>> {
        let artifact = Artifact::parse(bytes)?;
        artifact.check_body()?;
        let info = artifact.info()?;
        let imported = info.counts().imported_funcs;
        let disassembler = disasm::disassembler(&artifact.header.target)?;
        let mut exported = HashMap::new();
        for (name, entity) in artifact.exports() {
            if let EntityIndex::Func(function) = entity {
                exported.entry(function).or_insert(name);
            }
        }
        let mut handlers: Vec<u32> = artifact.code.handlers.iter().map(|handler| handler.code.get()).collect();
        handlers.sort_unstable();
        Ok(Listing { artifact, info, imported, exported, handlers, disassembler })
    }

    /// Indices of the defined functions, or of those that a filter chooses: by index, or by a part of the name.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn functions(&self, filter: Option<&str>) -> Result<Vec<u32>> {
        let all = self.imported..self.info.num_funcs;
        let Some(filter) = filter else { return Ok(all.collect()) };
        if let Ok(index) = filter.parse::<u32>() {
            return match index {
                index if all.contains(&index) => Ok(vec![index]),
                index if index < self.imported => {
                    bail!(
                        "function {index} is imported, so its code is elsewhere; those of this module begin at {}",
                        all.start
                    )
                }
                _ => bail!("there is no function {index}; the last one is {}", all.end.saturating_sub(1)),
            };
        }
        let chosen: Vec<u32> =
            all.clone().filter(|index| self.name(*index).is_some_and(|name| name.contains(filter))).collect();
        if chosen.is_empty() {
            let near = near::nearest(filter, all.filter_map(|index| self.name(index)));
            let advice = near.map_or("`hotfoot inspect` counts them, and an index does, too".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
            bail!("no function has `{filter}` in its name; {advice}");
        }
        Ok(chosen)
    }

    /// The name of a function: its own, or that of an export.
    pub fn name(&self, function: u32) -> Option<&str> {
        self.artifact.function_name(function).or_else(|| self.exported.get(&function).copied())
    }

    /// How a person calls a function: its name, or its index.
    pub fn label(&self, function: u32) -> String {
        self.name(function).map_or_else(|| format!("function {function}"), str::to_owned)
    }

    /// A function's type in the text format, without the word `func`.
    pub fn type_text(&self, function: u32) -> String {
        let ty = self.artifact.function_types.get(function as usize).map(|ty| ty.get() as usize);
        let text = ty.and_then(|ty| self.info.types.get(ty)).map(ToString::to_string).unwrap_or_default();
        let inside = text.strip_prefix("(func").and_then(|rest| rest.strip_suffix(')'));
        inside.unwrap_or_default().trim().to_owned()
    }

    /// The code of a function.
    ///
    /// # Errors
    /// When the artifact's tables are wrong.
    pub fn code(&self, function: u32) -> Result<(u32, &'a [u8])> {
        let range =
            self.artifact.functions.get((function - self.imported) as usize).context("there is no such function")?;
        let (start, len) = (range.offset.get() as usize, range.len.get() as usize);
        let code = start.checked_add(len).and_then(|end| self.artifact.text.get(start..end));
        Ok((start as u32, code.context("the artifact is damaged: a function lies outside of its code")?))
    }

    /// The lines of a function.
    ///
    /// # Errors
    /// As [`Listing::code`].
    pub fn lines(&self, function: u32) -> Result<Vec<CodeLine>> {
        let (start, code) = self.code(function)?;
        let end = start + code.len() as u32;
        let first_from = |offset: u32| self.handlers.partition_point(|handler| *handler < offset);
        let handlers = self.handlers[first_from(start)..first_from(end)].iter().copied();
        let lines = self.disassembler.function(code, start, handlers);
        let describe = |line: disasm::Line| CodeLine {
            wasm: self.artifact.code.wasm_offset_at(line.offset),
            note: self.note(&line, start..end),
            line,
        };
        Ok(lines.into_iter().map(describe).collect())
    }

    fn note(&self, line: &disasm::Line, function: std::ops::Range<u32>) -> Option<String> {
        let elsewhere = line.target.filter(|target| !function.contains(target));
        let called = elsewhere.map(|target| match self.artifact.function_at(target) {
            Some(defined) => self.label(self.imported + defined),
            None => "trampoline".to_owned(),
        });
        // What a call may raise belongs to what it calls.
        called.map(|called| format!("<{called}>")).or_else(|| {
            let trap = self.artifact.code.trap_at(line.offset)?.to_string();
            Some(format!("trap: {}", trap.trim_start_matches("wasm trap: ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_traps_are_named() {
        let wasm = wat::parse_str(
            "(module (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
             (func (export \"half\") (result i32) (call $divide (i32.const 6) (i32.const 2))))",
        )
        .unwrap();
        for target in ["x86_64", "aarch64"] {
            let mut config = hotfoot::Config::new();
            config.target(target).unwrap().compiler_inlining(hotfoot::Inlining::No);
            let engine = hotfoot::Engine::new(&config).unwrap();
            let artifact = engine.precompile_module(&wasm).unwrap();
            let listing = Listing::new(&artifact).unwrap();
            let notes = |function: u32| -> Vec<String> {
                listing.lines(function).unwrap().into_iter().filter_map(|line| line.note).collect()
            };
            assert!(notes(0).contains(&"trap: integer divide by zero".to_owned()), "{target}: {:?}", notes(0));
            assert!(notes(1).contains(&"<divide>".to_owned()), "{target}: {:?}", notes(1));
            assert!(notes(1).contains(&"trap: call stack exhausted".to_owned()), "{target}: {:?}", notes(1));
            assert_eq!((listing.label(0), listing.label(1)), ("divide".to_owned(), "half".to_owned()));
            assert_eq!(listing.type_text(0), "(param i32 i32) (result i32)");
            let whole = listing.lines(1).unwrap().iter().map(|line| line.line.len).sum::<u32>();
            assert_eq!(whole as usize, listing.code(1).unwrap().1.len());
        }
    }
}
