//! What debuggers are shown: read from the list that they read, by parsers that are not ours.

use std::ffi::c_void;
use std::sync::Mutex;

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use hotfoot::{Config, Engine, Module};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

const DIVIDE: &[u8] = include_bytes!("../../../../tests/cli/data/divide.wasm");

#[repr(C)]
struct Entry {
    next: *const Entry,
    previous: *const Entry,
    file: *const u8,
    len: u64,
}

#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *const c_void,
    first: *const Entry,
}

unsafe extern "C" {
    static __jit_debug_descriptor: Descriptor;
}

/// The list is the process's: one test at a time looks at it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The files in the list, newest first.
fn files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    // SAFETY: S21, nobody changes the list meanwhile, as the tests here are the only ones that do and take turns.
    unsafe {
        let descriptor = &raw const __jit_debug_descriptor;
        assert_eq!(((*descriptor).version, (*descriptor).action), (1, 0));
        let (mut next, mut previous) = ((*descriptor).first, std::ptr::null());
        while !next.is_null() {
            assert_eq!((*next).previous, previous);
            files.push(std::slice::from_raw_parts((*next).file, (*next).len as usize).to_vec());
            (previous, next) = (next, (*next).next);
        }
    }
    files
}

#[test]
fn functions_and_lines_have_the_addresses_of_the_code() {
    let _turn = ONE_AT_A_TIME.lock();
    let engine = Engine::new(Config::new().debug_info(true)).unwrap();
    let module = Module::new(&engine, DIVIDE).unwrap();
    let [file] = &files()[..] else { panic!("one module, one file") };
    let elf = object::File::parse(&file[..]).unwrap();
    let text = elf.section_by_name(".text").unwrap();
    assert_eq!(text.address()..text.address() + text.size(), module.text().start as u64..module.text().end as u64);
    let symbol = |name: &str| {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(symbol.kind(), SymbolKind::Text);
        symbol.address()..symbol.address() + symbol.size()
    };
    let (compute, run) = (symbol("compute"), symbol("run"));
    let load = |id: addr2line::gimli::SectionId| {
        let bytes = elf.section_by_name(id.name()).map_or(&[][..], |section| section.data().unwrap());
        Ok::<_, addr2line::gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    };
    let context = Context::from_dwarf(Dwarf::load(load).unwrap()).unwrap();
    let lines_of = |range: std::ops::Range<u64>| {
        let mut lines: Vec<u32> = Vec::new();
        for address in range {
            let location = context.find_location(address).unwrap();
            if let Some(location) =
                location.filter(|location| location.file.is_some_and(|file| file.ends_with("divide.c")))
            {
                lines.extend(location.line);
            }
            let frame = context.find_frames(address).skip_all_loads().unwrap().next().unwrap().unwrap();
            assert!(frame.function.is_some());
        }
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    assert!(lines_of(run).contains(&17));
    let lines = lines_of(compute);
    assert!(lines.iter().all(|line| (6..=14).contains(line)) && lines.contains(&13), "{lines:?}");
}

#[test]
fn modules_that_go_take_their_files_with_them() {
    let _turn = ONE_AT_A_TIME.lock();
    let engine = Engine::new(Config::new().debug_info(true)).unwrap();
    let modules: Vec<Module> = (0..3).map(|_| Module::new(&engine, "(module (func $f))").unwrap()).collect();
    let all = files();
    assert_eq!(all.len(), 3);
    let mut modules = modules;
    drop(modules.remove(1));
    assert_eq!(files(), [all[0].clone(), all[2].clone()]);
    drop(modules);
    assert!(files().is_empty());
    assert!(Module::new(&Engine::default(), "(module (func))").is_ok() && files().is_empty());
}
