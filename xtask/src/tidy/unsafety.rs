//! Rules about `unsafe`: only the virtual machine has it, and the tests of its crate, which call functions that ask for
//! a promise; and two files of the command line, in one of which its user makes one. Every other crate forbids it, and each use
//! cites a numbered invariant of SAFETY.md that exists.

use std::collections::BTreeSet;

use super::tree::Tree;

/// Where `unsafe` may be in the product.
const UNSAFE_FOLDER: &str = "crates/hotfoot/src/vm/";
/// Where it may be besides.
const UNSAFE_TESTS: &str = "crates/hotfoot/tests/";
/// No part of the product: it calls functions that ask for a promise, ours and the peers'.
const BENCH: &str = "bench/";
/// Its crate cannot forbid it as a whole.
const UNSAFE_CRATE: &str = "crates/hotfoot";
/// Where the command loads machine code that its user vouches for, and makes a system call that no safe function makes. The
/// rest of that crate denies it.
const UNSAFE_OF_COMMAND: [&str; 2] = ["crates/cli/src/trust.rs", "crates/cli/src/descriptors.rs"];
const PROMISING_CRATE: &str = "crates/cli";
/// How far above an `unsafe` its comment may begin: attributes and a statement's first lines come between.
const COMMENT_DISTANCE_MAX: usize = 12;

/// Checks every Rust file and every crate's root.
pub fn check(tree: &Tree, complaints: &mut Vec<String>) {
    let invariants = invariants(tree.get("SAFETY.md").unwrap_or_default());
    if invariants.is_empty() {
        complaints.push("SAFETY.md: has no numbered invariant, such as `S1`; write it".to_owned());
    }
    for (path, text) in tree.rust().filter(|(path, _)| !path.starts_with(BENCH)) {
        if path.starts_with(UNSAFE_FOLDER) || path.starts_with(UNSAFE_TESTS) || UNSAFE_OF_COMMAND.contains(&path) {
            check_citations(path, text, &invariants, complaints);
        } else {
            check_absence(path, text, complaints);
        }
    }
    for folder in tree.crates().chain(["xtask"]).filter(|folder| *folder != UNSAFE_CRATE) {
        let attribute = format!("#![{}(unsafe_code)]", if folder == PROMISING_CRATE { "deny" } else { "forbid" });
        for root in ["lib.rs", "main.rs"].map(|file| format!("{folder}/src/{file}")) {
            if tree.get(&root).is_some_and(|text| !text.contains(&attribute)) {
                complaints.push(format!("{root}: add `{attribute}`"));
            }
        }
    }
}

/// The numbers that SAFETY.md defines: a line that begins, after any markup, with `S` and a number.
fn invariants(text: &str) -> BTreeSet<u32> {
    let begin = |line: &str| line.trim_start_matches(|letter: char| !letter.is_alphanumeric()).to_owned();
    text.lines()
        .filter_map(|line| citations(&begin(line)).into_iter().next().filter(|_| begin(line).starts_with('S')))
        .collect()
}

/// The numbers of all words `S<number>` in a text.
fn citations(text: &str) -> Vec<u32> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.filter_map(|word| word.strip_prefix('S')?.parse().ok()).collect()
}

fn check_absence(path: &str, text: &str, complaints: &mut Vec<String>) {
    for (line, number) in text.lines().zip(1..) {
        if has_unsafe(&code_of(line)) {
            complaints
                .push(format!("{path}:{number}: unsafe outside of {UNSAFE_FOLDER}; move it there, behind a safe name"));
        }
    }
}

fn check_citations(path: &str, text: &str, invariants: &BTreeSet<u32>, complaints: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if !needs_comment(&code_of(line)) {
            continue;
        }
        let number = index + 1;
        let Some(comment) = safety_comment(&lines, index) else {
            complaints.push(format!(
                "{path}:{number}: no SAFETY comment; say above it why this is sound, and cite SAFETY.md"
            ));
            continue;
        };
        let cited = citations(&comment);
        if cited.is_empty() {
            complaints.push(format!(
                "{path}:{number}: the SAFETY comment cites no invariant; name its S<number> of SAFETY.md"
            ));
        }
        for number in cited.iter().filter(|cited| !invariants.is_empty() && !invariants.contains(cited)) {
            complaints
                .push(format!("{path}:{}: SAFETY.md has no invariant S{number}; cite one that exists", index + 1));
        }
    }
}

/// The comment for the `unsafe` in a line: on the line itself, or the nearest one above.
fn safety_comment(lines: &[&str], index: usize) -> Option<String> {
    let first = index.saturating_sub(COMMENT_DISTANCE_MAX);
    let start = (first..=index).rev().find(|at| lines[*at].contains("SAFETY:"))?;
    let (_, mut comment) = lines[start].split_once("SAFETY:").map(|(before, after)| (before, after.to_owned()))?;
    for line in lines[start + 1..].iter().map_while(|line| line.trim_start().strip_prefix("//")) {
        comment.push(' ');
        comment.push_str(line);
    }
    Some(comment)
}

fn has_unsafe(code: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "unsafe")
}

/// Whether this is an obligation met here. An `unsafe fn` or trait states one, and an `unsafe` attribute stands on an
/// item with a contract of its own.
fn needs_comment(code: &str) -> bool {
    let mut rest = code;
    while let Some(at) = rest.find("unsafe") {
        rest = &rest[at + "unsafe".len()..];
        let next = rest.trim_start();
        if next.starts_with('{') || next.starts_with("impl") {
            return true;
        }
    }
    false
}

/// A line without its comment and without what is inside its strings.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if in_string => drop(letters.next()),
            '"' => in_string = !in_string,
            '\'' if !in_string && letters.peek() == Some(&'"') => drop(letters.next()),
            '/' if !in_string && letters.peek() == Some(&'/') => break,
            _ if !in_string => code.push(letter),
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complain(path: &str, text: &str) -> Vec<String> {
        let safety = "# Safety\n\n## S1 Frames\n\n* **S12**: see S13.\n";
        let mut complaints = Vec::new();
        check(&Tree::of(&[("SAFETY.md", safety), (path, text)]), &mut complaints);
        complaints
    }

    #[test]
    fn unsafe_stays_in_the_machine() {
        assert_eq!(complain("crates/hotfoot/src/func.rs", "let a = 1;\nunsafe { a }\n").len(), 1);
        assert_eq!(complain("crates/hotfoot/tests/func.rs", "unsafe { a } // SAFETY: S1.\n"), [""; 0]);
        assert_eq!(
            complain("crates/hotfoot/src/func.rs", "// unsafe\nlet a = \"unsafe {\";\nunsafe_code();\n"),
            [""; 0]
        );
        assert_eq!(
            complain("crates/wasi/src/lib.rs", "//! W.\n"),
            [""; 0],
            "a tree without the crate's manifest has no such crate"
        );
        let tree =
            Tree::of(&[("SAFETY.md", "S1"), ("crates/wasi/Cargo.toml", ""), ("crates/wasi/src/lib.rs", "//! W.\n")]);
        let mut complaints = Vec::new();
        check(&tree, &mut complaints);
        assert!(complaints[0].contains("forbid"), "{complaints:?}");
        assert_eq!(complain("crates/cli/src/trust.rs", "// SAFETY: S1.\nunsafe { a() }\n"), [""; 0]);
        assert_eq!(complain("crates/cli/src/main.rs", "// SAFETY: S1.\nunsafe { a() }\n").len(), 1);
    }

    #[test]
    fn each_use_cites_an_invariant_that_exists() {
        let vm = |text: &str| complain("crates/hotfoot/src/vm/code.rs", text).join("\n");
        assert_eq!(vm("// SAFETY: frames are ours (S1,\n// S12).\nlet a = unsafe { b() };\n"), "");
        assert_eq!(vm("unsafe fn f() {}\n"), "");
        assert!(vm("let a = unsafe { b() };\n").contains("no SAFETY comment"));
        assert!(vm("// SAFETY: it is fine.\nunsafe impl Send for A {}\n").contains("cites no invariant"));
        assert!(vm("// SAFETY: S13.\nunsafe { a() }\n").contains("no invariant S13"));
    }

    #[test]
    fn code_is_what_is_neither_comment_nor_string() {
        assert_eq!(code_of("a(\"b // c\"); // d"), "a(); ");
        assert_eq!(code_of("match c { '\"' => e }"), "match c { ' => e }");
    }
}
