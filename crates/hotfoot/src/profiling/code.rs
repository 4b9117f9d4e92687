//! The names and places of a module's code.

use addr2line::demangle_auto;
use hotfoot_artifact::NONE;

use crate::module::Module;

/// A stretch of code with one name.
pub struct Piece {
    /// What it is called: on one line, whatever the guest named it.
    pub name: String,
    /// Where in the text it begins.
    pub code_offset: u32,
    /// How long it is, in bytes; not 0.
    pub len: u32,
}

/// The functions and trampolines of a module, ascending.
pub fn pieces(module: &Module) -> Vec<Piece> {
    let artifact = module.code().artifact();
    let mut pieces: Vec<Piece> = Vec::with_capacity(artifact.functions.len());
    let mut end = 0;
    for (range, index) in artifact.functions.iter().zip(module.counts().imported_funcs..) {
        let (code_offset, len) = (range.offset.get(), range.len.get());
        pieces.push(Piece { name: function_name(module, index), code_offset, len });
        end = end.max(code_offset + len);
    }
    let mut starts: Vec<(u32, &str)> = vec![(end, "trampoline of the runtime's functions")];
    for trampolines in artifact.trampolines {
        starts.push((trampolines.entry.get(), "entry trampoline"));
        starts.push((trampolines.host.get(), "host trampoline"));
    }
    starts.retain(|(start, _)| *start != NONE);
    starts.sort_unstable();
    starts.dedup_by_key(|(start, _)| *start);
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([module.code().text().len() as u32]);
    for ((start, name), end) in starts.iter().zip(ends) {
        pieces.push(Piece { name: (*name).to_owned(), code_offset: *start, len: end.saturating_sub(*start) });
    }
    pieces.retain(|piece| piece.len > 0);
    pieces
}

/// The name of a function, as the source has it; or its module and index.
pub fn function_name(module: &Module, index: u32) -> String {
    match module.code().artifact().function_name(index) {
        Some(name) => printable(&demangle_auto(name.into(), None)),
        None => format!("{}[{index}]", printable(module.name().unwrap_or("wasm"))),
    }
}

/// The text without what would end a line.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// From where on code comes from a line of the source.
pub struct Line {
    /// Where in the text.
    pub code_offset: u32,
    /// The source file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1, or 0.
    pub column: u32,
}

/// The lines of a stretch of code, ascending, as far as debug information and the address map tell.
pub fn lines(module: &Module, piece: &Piece) -> Vec<Line> {
    let Some(symbols) = module.symbols() else { return Vec::new() };
    let addresses = &module.code().artifact().code.addresses;
    let first = addresses.partition_point(|address| address.code.get() < piece.code_offset);
    let within = addresses[first..].iter().take_while(|address| address.code.get() < piece.code_offset + piece.len);
    let mut lines: Vec<Line> = Vec::new();
    for address in within.filter(|address| address.wasm.get() != NONE) {
        let Some((file, line, column)) = symbols.line_at(address.wasm.get() as usize) else { continue };
        if lines.last().is_none_or(|last| (last.line, last.column) != (line, column) || last.file != file) {
            lines.push(Line { code_offset: address.code.get(), file, line, column });
        }
    }
    lines
}
