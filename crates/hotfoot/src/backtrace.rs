//! Where a guest stood when it was stopped.

use std::fmt;
use std::sync::OnceLock;

use hotfoot_artifact::Origin;

use crate::module::Module;
use crate::symbols::FrameSymbol;
use crate::vm::trap::RawFrame;

/// The frames of guests on the stack, newest first. Found in an error with `error.downcast_ref::<WasmBacktrace>()`.
#[derive(Debug)]
pub struct WasmBacktrace {
    frames: Vec<FrameInfo>,
}

/// One frame of a guest.
#[derive(Debug)]
pub struct FrameInfo {
    module: Module,
    func_index: u32,
    func_name: Option<String>,
    module_offset: Option<usize>,
    func_offset: Option<usize>,
    symbols: OnceLock<Vec<FrameSymbol>>,
}

impl WasmBacktrace {
    pub(crate) fn new(frames: &[RawFrame]) -> WasmBacktrace {
        let limit = frames.first().map_or(0, |frame| frame.module.engine().config().wasm_backtrace_max_frames);
        WasmBacktrace { frames: frames.iter().flat_map(FrameInfo::all_of).take(limit).collect() }
    }

    /// The guests on the stack below this host function; empty when no guest runs.
    pub fn capture(store: impl crate::AsContextMut) -> WasmBacktrace {
        let mut store = store;
        WasmBacktrace::new(&store.as_context_mut().frames())
    }

    /// The frames, newest first; at most as many as
    /// [`Config::wasm_backtrace_max_frames`](crate::Config::wasm_backtrace_max_frames) says.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }
}

impl FrameInfo {
    /// The frames that a frame of compiled code stands for: its function's, after those of functions inlined into it.
    fn all_of(frame: &RawFrame) -> Vec<FrameInfo> {
        let code = frame.module.code();
        let Some(defined) = code.function_at(frame.code_offset) else { return Vec::new() };
        let imported = frame.module.counts().imported_funcs;
        let of = |origin: Origin| {
            let func_index = origin.function.unwrap_or(imported + defined);
            let body = func_index.checked_sub(imported).and_then(|defined| code.body_of(defined));
            let func_offset = origin.wasm_offset.zip(body).map(|(at, body)| at.saturating_sub(body));
            FrameInfo {
                func_index,
                func_name: code.artifact().function_name(func_index).map(str::to_string),
                module_offset: origin.wasm_offset.map(|offset| offset as usize),
                func_offset: func_offset.map(|offset| offset as usize),
                module: frame.module.clone(),
                symbols: OnceLock::new(),
            }
        };
        code.origins_at(frame.code_offset).map(of).collect()
    }

    /// Index of the function, imports counted first.
    pub fn func_index(&self) -> u32 {
        self.func_index
    }

    /// Name of the function, from the module's name section.
    pub fn func_name(&self) -> Option<&str> {
        self.func_name.as_deref()
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Places in the source, from the module's DWARF: the function that the code was compiled from, after those that were
    /// inlined into it there. Empty without debug information. Read when asked for, which may take a while for the first.
    pub fn symbols(&self) -> &[FrameSymbol] {
        self.symbols.get_or_init(|| {
            let symbols = self.module.symbols().zip(self.module_offset);
            symbols.map(|(symbols, offset)| symbols.at(offset)).unwrap_or_default()
        })
    }

    /// Offset of the instruction in the module's binary, in bytes.
    pub fn module_offset(&self) -> Option<usize> {
        self.module_offset
    }

    /// Offset of the instruction from the start of its function's body, in bytes.
    pub fn func_offset(&self) -> Option<usize> {
        self.func_offset
    }
}

impl fmt::Display for WasmBacktrace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error while executing at wasm backtrace:")?;
        for (number, frame) in self.frames.iter().enumerate() {
            write!(formatter, "\n{number:>5}: ")?;
            match frame.module_offset {
                Some(offset) => write!(formatter, "{offset:#8x} - ")?,
                None => write!(formatter, "       ? - ")?,
            }
            write!(formatter, "{}!", frame.module.name().unwrap_or("<unknown>"))?;
            match frame.func_name() {
                Some(name) => formatter.write_str(name)?,
                None => write!(formatter, "<wasm function {}>", frame.func_index)?,
            }
            for (depth, symbol) in frame.symbols().iter().enumerate() {
                if depth > 0 {
                    write!(formatter, "\n           inlined into {}", symbol.name().unwrap_or("<unknown>"))?;
                }
                write!(formatter, "\n           at {symbol}")?;
            }
        }
        Ok(())
    }
}
