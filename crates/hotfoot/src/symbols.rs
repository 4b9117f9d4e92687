//! Source lines of a guest's code, from the DWARF that its module carries.
//!
//! DWARF is the guest's, so it may be anything: what does not make sense gives no symbols. It is read when someone asks for
//! the first time, unit by unit as they are needed, and kept by the module.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, Error, LittleEndian, SectionId};
use hotfoot_artifact::DebugSections;

/// Whether backtraces name source lines; see
/// [`Config::wasm_backtrace_details`](crate::Config::wasm_backtrace_details).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum WasmBacktraceDetails {
    /// If the module has debug information.
    #[default]
    Enable,
    /// Never; debug information is left out of what is compiled.
    Disable,
}

/// Most functions that are reported as inlined at one place.
const MAX_INLINED: usize = 64;

/// A place in the guest's source; see [`FrameInfo::symbols`](crate::FrameInfo::symbols).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSymbol {
    name: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

impl FrameSymbol {
    /// Name of the function in the source.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The source file.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// The column, counted from 1.
    pub fn column(&self) -> Option<u32> {
        self.column
    }
}

/// `FILE:LINE:COLUMN`, as far as they are known.
impl fmt::Display for FrameSymbol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.file().unwrap_or("<unknown file>"))?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
            if let Some(column) = self.column {
                write!(formatter, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// DWARF that is read where it lies.
type SliceContext<'a> = Context<EndianSlice<'a, LittleEndian>>;

/// A module's debug information, parsed as far as it was asked for.
pub struct Symbols<'a> {
    code_start: u64,
    /// Nothing where the debug information makes no sense. Locked because it is parsed while it is read.
    context: Mutex<Option<SliceContext<'a>>>,
}

impl<'a> Symbols<'a> {
    /// Symbols of a module with this debug information.
    pub fn new(info: &DebugSections<'a>) -> Symbols<'a> {
        let load = |id: SectionId| -> Result<EndianSlice<'a, LittleEndian>, Error> {
            let found = info.sections.iter().find(|(name, _)| *name == id.name());
            Ok(EndianSlice::new(found.map_or(&[], |(_, bytes)| bytes), LittleEndian))
        };
        let context = Dwarf::load(load).and_then(Context::from_dwarf).ok();
        Symbols { code_start: info.code_start.into(), context: Mutex::new(context) }
    }

    /// File, line and column (or 0) at a place in the module, whatever was inlined there.
    pub fn line_at(&self, module_offset: usize) -> Option<(String, u32, u32)> {
        let address = (module_offset as u64).checked_sub(self.code_start)?;
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let location = context.as_ref()?.find_location(address).ok()??;
        Some((location.file?.to_owned(), location.line.filter(|line| *line > 0)?, location.column.unwrap_or(0)))
    }

    /// The functions at a place in the module, the innermost inlined one first.
    pub fn at(&self, module_offset: usize) -> Vec<FrameSymbol> {
        self.look_up(module_offset).unwrap_or_default()
    }

    /// `None` where the debug information makes no sense.
    fn look_up(&self, module_offset: usize) -> Option<Vec<FrameSymbol>> {
        let address = (module_offset as u64).checked_sub(self.code_start)?;
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = context.as_ref()?.find_frames(address).skip_all_loads().ok()?;
        let mut symbols = Vec::new();
        while symbols.len() < MAX_INLINED
            && let Ok(Some(frame)) = frames.next()
        {
            let location = frame.location.as_ref();
            symbols.push(FrameSymbol {
                name: frame.function.as_ref().and_then(|function| Some(function.demangle().ok()?.into_owned())),
                file: location.and_then(|location| location.file).map(str::to_owned),
                line: location.and_then(|location| location.line).filter(|line| *line > 0),
                column: location.and_then(|location| location.column).filter(|column| *column > 0),
            });
        }
        Some(symbols)
    }
}

impl fmt::Debug for Symbols<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Symbols").finish_non_exhaustive()
    }
}
