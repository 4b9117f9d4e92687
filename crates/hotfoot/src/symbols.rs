//! Source lines of a guest's code, from the DWARF that its module carries.
//!
//! DWARF is the guest's, so it may be anything: what does not make sense gives no symbols. It is read when someone asks for
//! the first time, unit by unit as they are needed, and kept by the module. Some of it, or all, may lie in files beside the
//! module's ([`beside`]).

mod beside;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use addr2line::gimli::{Dwarf, DwarfPackage, EndianSlice, Error, LittleEndian, SectionId};
use addr2line::{Context, LookupContinuation, LookupResult};
use hotfoot_artifact::DebugSections;

pub use self::beside::Beside;
use self::beside::{DebugFile, section};

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

/// DWARF that is read where it lies, and the package of what was split off it.
struct Lines<'a> {
    context: Context<EndianSlice<'a, LittleEndian>>,
    package: Option<DwarfPackage<EndianSlice<'a, LittleEndian>>>,
}

/// A module's debug information, parsed as far as it was asked for.
pub struct Symbols<'a> {
    code_start: u64,
    /// Nothing where the debug information makes no sense. Locked because it is parsed while it is read.
    lines: Mutex<Option<Lines<'a>>>,
}

impl<'a> Symbols<'a> {
    /// Symbols of a module with this debug information, and of what is in files beside the module's.
    pub fn new(info: &DebugSections<'a>, beside: &'a Beside) -> Symbols<'a> {
        Symbols { code_start: info.code_start.into(), lines: Mutex::new(Lines::new(info, beside).ok()) }
    }

    /// File, line and column (or 0) at a place in the module, whatever was inlined there.
    pub fn line_at(&self, module_offset: usize) -> Option<(String, u32, u32)> {
        let address = (module_offset as u64).checked_sub(self.code_start)?;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.as_ref()?.line_at(address)
    }

    /// The functions at a place in the module, the innermost inlined one first; none where the debug information makes no
    /// sense.
    pub fn at(&self, module_offset: usize) -> Vec<FrameSymbol> {
        let Some(address) = (module_offset as u64).checked_sub(self.code_start) else { return Vec::new() };
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.as_ref().and_then(|lines| lines.functions_at(address)).unwrap_or_default()
    }
}

impl<'a> Lines<'a> {
    fn new(info: &DebugSections<'a>, beside: &'a Beside) -> Result<Lines<'a>, Error> {
        let slice = |bytes: &'a [u8]| -> Result<_, Error> { Ok(EndianSlice::new(bytes, LittleEndian)) };
        let own = |name: &str| match &beside.main {
            Some(file) => file.section(name),
            None => section(info, name),
        };
        let context = Context::from_dwarf(Dwarf::load(|id: SectionId| slice(own(id.name())))?)?;
        let load = |file: &'a DebugFile| {
            let split = |id: SectionId| slice(id.dwo_name().map_or(&[], |name| file.section(name)));
            // One that cannot be read is as good as none.
            DwarfPackage::load(split, EndianSlice::new(&[], LittleEndian)).ok()
        };
        Ok(Lines { context, package: beside.package.as_ref().and_then(load) })
    }

    fn line_at(&self, address: u64) -> Option<(String, u32, u32)> {
        let location = self.context.find_location(address).ok()??;
        Some((location.file?.to_owned(), location.line.filter(|line| *line > 0)?, location.column.unwrap_or(0)))
    }

    fn functions_at(&self, address: u64) -> Option<Vec<FrameSymbol>> {
        let mut lookup = self.context.find_frames(address);
        let frames = loop {
            match lookup {
                LookupResult::Output(frames) => break frames,
                LookupResult::Load { load, continuation } => {
                    let find = |package: &DwarfPackage<_>| package.find_cu(load.dwo_id, &load.parent).ok()?;
                    lookup = continuation.resume(self.package.as_ref().and_then(find).map(Arc::new));
                }
            }
        };
        let mut frames = frames.ok()?;
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
