//! What of a module will be fast or slow to start, and why.
//!
//! The limits between fast and slow are what a person notices beside a start of some microseconds.

use hotfoot_artifact::{ConstExpr, ConstOp, EntityType, ModuleInfo};
use serde::Serialize;

use super::Anatomy;

/// Bytes of data that are written to a memory in less time than the rest of an instantiation takes.
const DATA_FEW: u64 = 64 << 10;
/// What a pool copies back; a memory of which more is written is given back to the system instead.
const DATA_MANY: u64 = 4 << 20;
/// Elements and references, 8 and 32 bytes each, that are written likewise.
const ELEMENTS_FEW: u64 = 1000;
/// Bytes of functions' bodies that one core compiles in a second, roughly.
const COMPILED_PER_SECOND: u64 = 1 << 20;
/// Bytes of bodies that are compiled in the blink of an eye.
const CODE_FEW: u64 = 64 << 10;

/// A verdict.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// It costs next to nothing.
    Fast,
    /// It costs what can be noticed.
    Slow,
}

/// Something that a start meets.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Whether it costs much.
    pub speed: Speed,
    /// What it is, why it costs that, and what can be done.
    pub what: String,
}

/// The value of an offset that does not depend on imports, as far as that can be seen without computing.
pub fn constant(offset: &ConstExpr) -> Option<u64> {
    match offset.ops.as_slice() {
        [ConstOp::I32(value)] => Some(u64::from(*value as u32)),
        [ConstOp::I64(value)] => Some(*value as u64),
        _ => None,
    }
}

/// Everything that the start meets, in the order in which it does.
pub fn findings(anatomy: &Anatomy, info: &ModuleInfo) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    found.code(anatomy);
    found.imports(info);
    found.memories(anatomy, info);
    found.tables(anatomy);
    found.functions(anatomy);
    found.entry(anatomy, info);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, is_fast: bool, what: String) {
        self.0.push(Finding { speed: if is_fast { Speed::Fast } else { Speed::Slow }, what });
    }

    fn code(&mut self, anatomy: &Anatomy) {
        if let Some(target) = &anatomy.target {
            match target.missing_here.as_slice() {
                [] => self.add(true, "its code is compiled, and used where the file is mapped".to_owned()),
                missing => self.add(
                    false,
                    format!(
                        "it does not start on this machine, which lacks {}: compile it for this one",
                        missing.join(", ")
                    ),
                ),
            }
            return;
        }
        let functions = &anatomy.functions;
        let bytes = functions.bytes;
        if bytes <= CODE_FEW {
            return self.add(true, format!("{} of code to compile", size(bytes)));
        }
        let seconds = bytes as f64 / COMPILED_PER_SECOND as f64;
        let advice = "`hotfoot compile` does it once and for all";
        self.add(false, format!("{} of code to compile, {seconds:.1} s or so of one core; {advice}", size(bytes)));
        if let Some(largest) = functions.largest.first().filter(|largest| largest.bytes * 4 > bytes) {
            let name = largest.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            let share = largest.bytes * 100 / bytes;
            self.add(
                false,
                format!("function {}{name} is {share} % of that, and only one core can compile it", largest.index),
            );
        }
    }

    fn imports(&mut self, info: &ModuleInfo) {
        let others = info.imports.iter().filter(|import| !matches!(import.ty, EntityType::Func(_))).count();
        if others > 0 {
            let what = count(others as u64, "import is", "imports are");
            self.add(
                false,
                format!(
                    "{what} no function: a pool keeps instances warm only if another module provides that, not the host"
                ),
            );
        } else if !info.imports.is_empty() {
            let what = count(info.imports.len() as u64, "import is a function", "imports are functions");
            self.add(true, format!("its {what}, resolved once, and a pool can keep instances warm"));
        }
    }

    fn memories(&mut self, anatomy: &Anatomy, info: &ModuleInfo) {
        for (index, memory) in anatomy.memories.iter().enumerate() {
            if info.memories[index].is_64() {
                self.add(
                    false,
                    format!("memory {index} has 64-bit addresses: each access has an explicit bounds check"),
                );
            }
            if memory.data_segments == 0 {
                if !memory.imported {
                    self.add(true, format!("memory {index} begins empty"));
                }
                continue;
            }
            let sparse = memory.data_pages * 4096 * 2 < memory.data_span && memory.data_span > DATA_FEW;
            let layout = if sparse {
                format!(" of {}, most of which stays untouched", size(memory.data_span))
            } else {
                String::new()
            };
            let pages = count(memory.data_pages, "page", "pages");
            let image = format!("memory {index} begins with {} of data in {pages}{layout}", size(memory.data_bytes));
            let advice = match memory.data_bytes {
                few if few <= DATA_FEW => "",
                some if some <= DATA_MANY => {
                    ": runs of 64 KiB are mapped, shorter ones written for each instance; one from a pool gets back only the pages it wrote"
                }
                _ => {
                    ": runs of 64 KiB are mapped, shorter ones written for each instance; more than a pool copies back unless linear_memory_keep_resident is raised"
                }
            };
            self.add(memory.data_bytes <= DATA_FEW, format!("{image}{advice}"));
            if memory.segments_placed_by_imports > 0 {
                let what = count(memory.segments_placed_by_imports, "data segment lies", "data segments lie");
                self.add(
                    false,
                    format!("{what} where an imported global says, so its place is known only when it is linked"),
                );
            }
        }
    }

    fn tables(&mut self, anatomy: &Anatomy) {
        for (index, table) in anatomy.tables.iter().enumerate() {
            let written = table.elements.max(if table.imported { 0 } else { table.minimum });
            if written > 0 {
                let what = count(written, "element", "elements");
                self.add(written <= ELEMENTS_FEW, format!("table {index} begins with {what} of 8 bytes to write"));
            }
            if table.segments_placed_by_imports > 0 {
                let what = count(table.segments_placed_by_imports, "element segment lies", "element segments lie");
                self.add(
                    false,
                    format!("{what} where an imported global says, so its place is known only when it is linked"),
                );
            }
        }
    }

    fn functions(&mut self, anatomy: &Anatomy) {
        let referenced = u64::from(anatomy.functions.referenced);
        if referenced > 0 {
            let what = count(referenced, "function can be called by reference", "functions can be called by reference");
            self.add(referenced <= ELEMENTS_FEW, format!("{what}: 32 bytes to write for each"));
        }
    }

    fn entry(&mut self, anatomy: &Anatomy, info: &ModuleInfo) {
        if let Some(start) = info.start {
            let pool = "in a pool only in the first one, if it calls no host function";
            self.add(false, format!("its start function, function {start}, runs in each new instance; {pool}"));
        }
        if anatomy.exports.iter().any(|export| export.name == "_initialize") {
            let advice = "call it once, and begin with a snapshot instead";
            self.add(false, format!("its export `_initialize` is to be called in each new instance; {advice}"));
        }
    }
}

/// `1 page`, `1,234 pages`.
fn count(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// `512 bytes`, `12.3 KiB`, `4.0 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => count(bytes, "byte", "bytes"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(text: &str) -> Vec<String> {
        let anatomy = super::super::of_module(&wat::parse_str(text).unwrap()).unwrap();
        anatomy.start.into_iter().map(|finding| format!("{:?} {}", finding.speed, finding.what)).collect()
    }

    #[track_caller]
    fn expect(text: &str, parts: &[&str]) {
        let verdicts = verdicts(text);
        for part in parts {
            assert!(verdicts.iter().any(|verdict| verdict.contains(part)), "{part} is not in {verdicts:#?}");
        }
    }

    #[test]
    fn each_cost_is_named() {
        expect("(module)", &["Fast 0 bytes of code"]);
        expect("(module (memory 1))", &["Fast memory 0 begins empty"]);
        expect("(module (memory i64 1))", &["Slow memory 0 has 64-bit"]);
        expect("(module (import \"a\" \"b\" (func)))", &["Fast its 1 import is a function"]);
        expect("(module (import \"a\" \"b\" (memory 1)))", &["Slow 1 import is no function"]);
        expect("(module (table 2000 funcref))", &["Slow table 0 begins with 2,000 elements"]);
        expect("(module (table 20 funcref))", &["Fast table 0 begins with 20 elements"]);
        expect("(module (func) (start 0))", &["Slow its start function, function 0", "Fast 1 function can"]);
        expect("(module (func (export \"_initialize\")))", &["Slow its export `_initialize`"]);
        let linked = "(module (import \"a\" \"g\" (global i32)) (memory 1) (table 1 funcref) (func)
            (data (global.get 0) \"x\") (elem (global.get 0) 0))";
        expect(
            linked,
            &["Slow 1 data segment lies where an imported", "Slow 1 element segment lies where an imported"],
        );
    }

    #[test]
    fn images_are_dense_or_sparse_and_small_or_large() {
        let with = |segments: &str| format!("(module (memory 1000) {segments})");
        expect(&with("(data (i32.const 0) \"abc\")"), &["Fast memory 0 begins with 3 bytes of data in 1 page"]);
        let apart = "(data (i32.const 0) \"abc\") (data (i32.const 0x1000000) \"d\")";
        expect(&with(apart), &["4 bytes of data in 2 pages of 16.0 MiB, most of which stays untouched"]);
        let large = format!("(data (i32.const 0) \"{}\")", "x".repeat(100_000));
        expect(&with(&large), &["Slow memory 0 begins with 97.7 KiB of data in 25 pages: runs of 64 KiB are mapped"]);
        let larger = format!("(data (i32.const 0) \"{}\")", "x".repeat((4 << 20) + 1));
        expect(&with(&larger), &["linear_memory_keep_resident"]);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1234567), "1,234,567");
        assert_eq!(grouped(123456), "123,456");
        assert_eq!(
            (size(1), size(1023), size(1536), size(5 << 20)),
            ("1 byte".to_owned(), "1,023 bytes".to_owned(), "1.5 KiB".to_owned(), "5.0 MiB".to_owned())
        );
    }
}
