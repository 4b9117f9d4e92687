//! The guests, as text: each exports `run` and stresses one thing.

/// One guest.
pub struct Guest {
    /// What it stresses.
    pub name: String,
    /// The module; its only imports are functions `h.fN` without parameters or results.
    pub wat: String,
    /// How many functions it imports.
    pub imports: usize,
    /// A module whose exports it imports as `env`, if it is a program of two.
    pub library: Option<&'static str>,
}

/// A table to be filled at an offset that only the library knows.
const LIBRARY: &str = r#"(module (table (export "table") 8192 funcref) (global (export "base") i32 (i32.const 16)))"#;

fn guest(name: impl Into<String>, fields: impl Into<String>) -> Guest {
    Guest { name: name.into(), wat: format!("(module {})", fields.into()), imports: 0, library: None }
}

/// A data segment of so many bytes that are not zero.
fn data(len: usize) -> String {
    "\\a5".repeat(len)
}

/// Writes one word in each of so many pages.
fn touch(pages: usize) -> String {
    format!(
        "(func (export \"run\") (local $i i32)
           (block $done (loop $next
             (br_if $done (i32.ge_u (local.get $i) (i32.const {})))
             (i32.store offset=8 (local.get $i) (i32.const 1))
             (local.set $i (i32.add (local.get $i) (i32.const 4096)))
             (br $next))))",
        pages * 4096
    )
}

/// All guests, in the order of the table.
pub fn all() -> Vec<Guest> {
    let mut guests = vec![
        guest("empty", "(func (export \"run\"))"),
        guest("64 KiB, 1 page written", format!("(memory 1) {}", touch(1))),
    ];
    let imports: String = (0..24).map(|index| format!("(import \"h\" \"f{index}\" (func))")).collect();
    guests.push(Guest { imports: 24, ..guest("24 imports", format!("{imports} (func (export \"run\") (call 3))")) });
    let elements = "$f ".repeat(2000);
    guests.push(guest(
        "2000-entry table",
        format!(
            "(type $t (func)) (table 2000 funcref) (elem (i32.const 0) {elements}) (func $f)
             (func (export \"run\") (call_indirect (type $t) (i32.const 1234)))"
        ),
    ));
    let elements = "$f ".repeat(8000);
    let fields = format!(
        "(type $t (func)) (import \"env\" \"table\" (table $table 8192 funcref)) (import \"env\" \"base\" (global $base i32))
         (elem (table $table) (offset (global.get $base)) func {elements}) (func $f)
         (func (export \"run\") (call_indirect $table (type $t) (i32.const 1234)))"
    );
    guests.push(Guest { library: Some(LIBRARY), ..guest("8000 elements, imported table", fields) });
    for pages in [0, 1, 8, 64, 256] {
        let image = format!("(memory 17) (data (i32.const 0) \"{}\")", data(1 << 20));
        guests.push(guest(format!("1 MiB image, {pages} written"), format!("{image} {}", touch(pages))));
    }
    let sparse: String = (0..16).map(|at| format!("(data (i32.const {}) \"{}\")", at << 22, data(4096))).collect();
    guests.push(guest("64 MiB sparse image", format!("(memory 1025) {sparse} {}", touch(1))));
    guests
}
