//! A mapped artifact: machine code that can run and tables that are read where they lie.

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use hotfoot_abi::trap::TrapCode;
use hotfoot_artifact::{Artifact, CallSite, CodeTables, Handler, InitialBytes, MAPPED_LEN, ModuleInfo, Origin};

use super::lazy::{LazyCode, Places, Supplier};
use super::sys::{arch, memfd, mmap::Mmap, page};
use crate::engine::Engine;
use crate::module::Module;
use crate::symbols::{Beside, Symbols};

/// A file, and an offset in it.
pub type FilePlace<'a> = (&'a File, u64);

/// One module's code and tables, mapped.
///
/// Invariant S6: the mapping's bytes do not change while this value lives, so slices into it stay valid; text is
/// executable, everything else read-only.
#[derive(Debug)]
pub struct ModuleCode {
    /// Slices of `map`; the lifetime is a promise that the mapping is not dropped before.
    artifact: Artifact<'static>,
    /// The file that the module comes from, beside which there may be debug information.
    origin: Option<PathBuf>,
    /// Such files, when they have been looked for.
    beside: OnceLock<Box<Beside>>,
    /// Made when someone asks for a source line; slices of `map` and `beside`, and of what `lazy` keeps.
    symbols: OnceLock<Option<Symbols<'static>>>,
    text: Range<usize>,
    len: usize,
    map: Mmap,
    /// What is mapped, if memories can begin as mappings of parts of it.
    file: Option<File>,
    /// What a module has whose functions are compiled when they are called.
    lazy: Option<LazyCode>,
}

impl ModuleCode {
    /// Copies an artifact into memory of its own and makes its text executable.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModuleCode> {
        // In a file without a name if memories can be mapped from there.
        if Artifact::parse(bytes)?.data.len() as u64 >= MAPPED_LEN
            && let Ok(mut file) = memfd::create("hotfoot-artifact")
            && file.write_all(bytes).is_ok()
        {
            return ModuleCode::from_file(&file);
        }
        let mut map = Mmap::reserve(bytes.len()).context("cannot reserve memory for compiled code")?;
        let all = 0..map.len();
        map.make_writable(all.clone()).context("cannot get memory for compiled code")?;
        // SAFETY: S5, the mapping is ours, writable, and at least as long as the bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), map.base().as_ptr(), bytes.len()) };
        map.make_readable(all)?;
        let code = ModuleCode::new(map, bytes.len())?;
        arch::synchronize_instructions(code.text.start as *const u8, code.text.len());
        Ok(code)
    }

    /// Takes a skeleton that this engine's compiler made a moment ago, whose functions are compiled when they are called;
    /// see [`lazy`](super::lazy).
    ///
    /// # Errors
    /// When the system does not allow new code, or has no address space for it.
    pub fn lazy_from_skeleton(skeleton: &[u8], supplier: Box<dyn Supplier>) -> Result<ModuleCode> {
        let (text, functions) = {
            let artifact = Artifact::parse(skeleton)?;
            (artifact.text_range.start, artifact.functions.len())
        };
        let places = Places::new(skeleton.len(), text, functions).context("the module is too large for lazy code")?;
        let mut map = Mmap::reserve(places.len()).context("cannot reserve memory for compiled code")?;
        let artifact = 0..page::round_up(skeleton.len()).context("a skeleton that fills the address space")?;
        map.make_writable(artifact.clone()).context("cannot get memory for compiled code")?;
        // SAFETY: S5, the mapping is ours, writable, and at least as long as the bytes.
        unsafe { std::ptr::copy_nonoverlapping(skeleton.as_ptr(), map.base().as_ptr(), skeleton.len()) };
        // SAFETY: S6, S19: the skeleton's text begins with a stub for each of its functions.
        let lazy = unsafe { LazyCode::new(&mut map, text, &places, functions, supplier)? };
        map.make_readable(artifact)?;
        let mut code = ModuleCode::new(map, skeleton.len())?;
        arch::synchronize_instructions(code.text.start as *const u8, code.text.len());
        code.text.end = lazy.text_end();
        code.lazy = Some(lazy);
        Ok(code)
    }

    /// Maps an artifact's file and uses it in place: what is not needed is never read, and processes share its pages.
    pub fn from_file(file: &File) -> Result<ModuleCode> {
        let (map, len) = Mmap::file(file).context("cannot map the artifact's file")?;
        let mut code = ModuleCode::new(map, len)?;
        code.file = file.try_clone().ok();
        Ok(code)
    }

    /// Keeps the file only if a memory begins with something that is worth mapping, and mapping is wanted.
    pub fn keep_file_for(&mut self, info: &ModuleInfo, wanted: bool) {
        let is_long = |initial: &InitialBytes| initial.end() - initial.offset >= MAPPED_LEN;
        if !(wanted && info.initial.iter().any(is_long)) {
            self.file = None;
        }
    }

    /// What a memory begins with; and the file that it is in and where there, if it can be mapped.
    pub fn initial(&self, initial: &InitialBytes) -> Option<(&[u8], Option<FilePlace<'_>>)> {
        let range = initial.bytes.start as usize..initial.bytes.end as usize;
        let bytes = self.artifact.data.get(range.clone())?;
        let place = (self.artifact.data_range.start + range.start) as u64;
        Some((bytes, self.file.as_ref().map(|file| (file, place))))
    }

    fn new(mut map: Mmap, len: usize) -> Result<ModuleCode> {
        // SAFETY: S6, the mapping holds `len` readable bytes that nobody changes, and `artifact` is dropped with it.
        let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(map.base().as_ptr(), len) };
        let artifact = Artifact::parse(bytes)?;
        let in_file = artifact.text_range.clone();
        if !in_file.is_empty() {
            anyhow::ensure!(
                in_file.start.is_multiple_of(page::size()),
                "the host's pages are larger than the artifact's"
            );
            let end = page::round_up(in_file.end).unwrap_or(usize::MAX).min(map.len());
            map.make_executable(in_file.start..end).context("cannot make compiled code executable")?;
        }
        let start = map.base().as_ptr() as usize + in_file.start;
        let text = start..start + in_file.len();
        let (beside, symbols) = (OnceLock::new(), OnceLock::new());
        Ok(ModuleCode { artifact, origin: None, beside, symbols, text, len, map, file: None, lazy: None })
    }

    /// Says of which file this was made.
    pub fn with_origin(self, origin: Option<&Path>) -> ModuleCode {
        ModuleCode { origin: origin.map(Path::to_owned), ..self }
    }

    /// The tables.
    pub fn artifact(&self) -> &Artifact<'_> {
        &self.artifact
    }

    /// Source lines, if the module has debug information, itself or beside the file that it comes from. All that they give
    /// out is copied, so none of it outlives the map.
    pub fn symbols(&self) -> Option<&Symbols<'static>> {
        let symbols = || {
            let info = match &self.lazy {
                None => self.artifact.debug_info(),
                Some(lazy) => lazy.debug_sections(),
            }?;
            let find = || self.origin.as_deref().map(|origin| Beside::find(origin, &info)).unwrap_or_default();
            let beside: *const Beside = &raw const **self.beside.get_or_init(|| Box::new(find()));
            // SAFETY: S6, boxed, set once, and dropped with this, as the mapping is.
            Some(Symbols::new(&info, unsafe { &*beside }))
        };
        self.symbols.get_or_init(symbols).as_ref()
    }

    /// What a module has whose functions are compiled when they are called.
    pub fn lazy(&self) -> Option<&LazyCode> {
        self.lazy.as_ref()
    }

    /// The whole artifact, or skeleton.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: S6, `len` readable bytes that do not change.
        unsafe { std::slice::from_raw_parts(self.map.base().as_ptr(), self.len) }
    }

    /// Addresses of the code.
    pub fn text(&self) -> Range<usize> {
        self.text.clone()
    }

    /// The address of the code at an offset, or null where there is none.
    pub fn address(&self, code_offset: u32) -> *const u8 {
        if (code_offset as usize) < self.text.len() {
            (self.text.start + code_offset as usize) as *const u8
        } else {
            std::ptr::null()
        }
    }

    /// Where in the text a program counter is.
    pub fn offset_of(&self, pc: usize) -> Option<u32> {
        self.text.contains(&pc).then(|| (pc - self.text.start) as u32)
    }

    /// The defined function (counting defined functions only) that an offset is in. Async-signal-safe.
    pub fn function_at(&self, code_offset: u32) -> Option<u32> {
        match self.lazy.as_ref().and_then(|lazy| lazy.function_at(code_offset)) {
            Some((function, _)) => Some(function),
            None => self.artifact.function_at(code_offset),
        }
    }

    /// The tables of the code at an offset. Async-signal-safe.
    fn tables_at(&self, code_offset: u32) -> &CodeTables<'_> {
        self.lazy.as_ref().and_then(|lazy| lazy.tables_at(code_offset)).unwrap_or(&self.artifact.code)
    }

    /// Where in the WebAssembly binary the body of a defined function (counting defined functions only) begins.
    pub fn body_of(&self, defined: u32) -> Option<u32> {
        // The first instruction of a function is said to come from there.
        self.artifact.code.wasm_offset_at(self.artifact.functions.get(defined as usize)?.offset.get())
    }

    /// What the code at this offset comes from, the innermost of inlined functions first.
    pub fn origins_at(&self, code_offset: u32) -> impl Iterator<Item = Origin> {
        self.tables_at(code_offset).origins_at(code_offset)
    }

    /// The call that returns to this code offset and its handlers, if it has any.
    pub fn handlers_at(&self, return_offset: u32) -> Option<(&CallSite, &[Handler])> {
        self.tables_at(return_offset - 1).handlers_at(return_offset)
    }

    /// The address of the first instruction of the function that an offset is in; trampolines are no functions.
    /// Async-signal-safe.
    pub fn function_start(&self, code_offset: u32) -> Option<usize> {
        if let Some(lazy) = &self.lazy {
            return match lazy.function_at(code_offset) {
                Some((_, start)) => Some(self.text.start + start as usize),
                // A stub makes no frame, so wherever it is interrupted, it has not begun.
                None => self.artifact.function_at(code_offset).map(|_| self.text.start + code_offset as usize),
            };
        }
        let function = self.artifact.function_at(code_offset)?;
        Some(self.text.start + self.artifact.functions.get(function as usize)?.offset.get() as usize)
    }

    /// Where a frame keeps references across the call that returns to `pc`, in bytes below its frame pointer.
    pub fn stack_map(&self, pc: usize) -> impl Iterator<Item = u32> + '_ {
        // The call instruction is before the address that it returns to, which may be behind the text.
        let offset = self.offset_of(pc.wrapping_sub(1));
        let roots = offset.map_or(&[][..], |offset| self.tables_at(offset).roots_at(offset + 1));
        roots.iter().map(|below| below.get())
    }

    /// The trap that the instruction at `pc` may raise, and the fuel that was consumed and not charged. Async-signal-safe.
    pub fn trap_and_fuel_at(&self, pc: usize) -> Option<(TrapCode, u8)> {
        let offset = self.offset_of(pc)?;
        self.tables_at(offset).trap_and_fuel_at(offset)
    }
}

/// Code comes in only here: compiled by this engine, or vouched for by whoever calls these.
impl Module {
    /// Loads an artifact that [`Engine::precompile_module`] or [`Module::serialize`] made. All of it is copied, and
    /// compared with its checksum on the way.
    ///
    /// # Safety
    /// An artifact is machine code: these bytes must come from hotfoot. What was damaged or made for other settings is
    /// refused, but a forged artifact can do whatever it wants, unless [`Config::artifact_key`] asks for a signature.
    ///
    /// # Errors
    /// When the artifact is damaged or does not fit this engine or machine ([`IncompatibleArtifact`]).
    ///
    /// [`Config::artifact_key`]: crate::Config::artifact_key
    /// [`IncompatibleArtifact`]: crate::IncompatibleArtifact
    pub unsafe fn deserialize(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        Module::from_foreign_code(engine, ModuleCode::from_bytes(bytes.as_ref())?, true)
    }

    /// Loads an artifact from its file, which is mapped and used in place, in a time that does not depend on its size.
    ///
    /// The head of the file and what describes the module are compared with their checksum; with
    /// [`Config::verify_artifact_files`], code and tables are too.
    ///
    /// # Safety
    /// As [`Module::deserialize`]; and the file must not be changed while the module lives.
    ///
    /// # Errors
    /// When the file cannot be mapped, and as [`Module::deserialize`].
    ///
    /// [`Config::verify_artifact_files`]: crate::Config::verify_artifact_files
    pub unsafe fn deserialize_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let load = || {
            let code = ModuleCode::from_file(&File::open(path)?)?.with_origin(Some(path));
            Module::from_foreign_code(engine, code, engine.config().verify_artifact_files)
        };
        load().with_context(|| format!("cannot load {}", path.display()))
    }
}

/// Finds the code that a program counter is in. A signal handler may read it.
///
/// It does not keep modules alive: the store's instances do, and it is emptied before they go.
#[derive(Debug, Default)]
pub struct CodeIndex {
    /// Ascending by start of text.
    modules: Vec<(Range<usize>, ManuallyDrop<Module>)>,
}

impl CodeIndex {
    /// The module whose text contains `pc`. Async-signal-safe.
    pub fn find(&self, pc: usize) -> Option<&Module> {
        let next = self.modules.partition_point(|(text, _)| text.start <= pc);
        let (text, module) = self.modules.get(next.checked_sub(1)?)?;
        text.contains(&pc).then_some(module)
    }

    /// Whether there is no module.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Adds a module.
    ///
    /// # Safety
    /// S3: the module outlives its place in the index. S9: no guest whose store has this index is on the stack, or the
    /// index is still private.
    pub unsafe fn insert(&mut self, module: &Module) {
        let text = module.code().text();
        let at = self.modules.partition_point(|(other, _)| other.start < text.start);
        // SAFETY: S3, a copy of the pointer in the handle, never dropped, as long-lived as the handle it is copied from.
        let copy = unsafe { std::ptr::read(module) };
        self.modules.insert(at, (text, ManuallyDrop::new(copy)));
    }

    /// The same modules in another index.
    pub fn copy(&self) -> CodeIndex {
        let copy = |(text, module): &(Range<usize>, ManuallyDrop<Module>)| {
            // SAFETY: S3, the copy is as long-lived as this one, and not dropped either.
            let module = unsafe { std::ptr::read(&raw const **module) };
            (text.clone(), ManuallyDrop::new(module))
        };
        CodeIndex { modules: self.modules.iter().map(copy).collect() }
    }

    /// Forgets all modules and keeps the memory.
    pub fn clear(&mut self) {
        self.modules.clear();
    }

    /// Every module in the index.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().map(|(_, module)| &**module)
    }
}
