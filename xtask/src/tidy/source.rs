//! Rules about every Rust file: it begins by saying what it is, it is not too long, nothing in it waits to be done,
//! and differences between platforms stay where they belong.

use super::tree::Tree;

const LINES_MAX: usize = 600;

/// Files that may be longer, each for a reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Words of work not finished, spelled so that this file may be checked too.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("db", "g!("),
    concat!("unimple", "mented!("),
    concat!("to", "do!("),
];

/// Where code may differ by platform.
const PLATFORM_FOLDERS: [&str; 2] = ["crates/hotfoot/src/vm/sys/", "crates/wasi/src/host/sys"];

/// What asks for the platform, spelled as above.
const PLATFORM_QUESTIONS: [&str; 5] = [
    concat!("target", "_os"),
    concat!("target", "_arch"),
    concat!("target", "_family"),
    concat!("cfg(", "unix)"),
    concat!("cfg(", "windows)"),
];

/// Checks all Rust files.
pub fn check(tree: &Tree, complaints: &mut Vec<String>) {
    for (path, text) in tree.rust() {
        if !text.starts_with("//!") {
            complaints.push(format!("{path}:1: begin the file with a `//!` comment that says what it is and why"));
        }
        let lines = text.lines().count();
        let may_be_long = LONG_FILES.iter().any(|(long, _)| *long == path);
        if lines > LINES_MAX && !may_be_long {
            complaints
                .push(format!("{path}: {lines} lines; split it into files of {LINES_MAX} at most, one noun each"));
        }
        if lines <= LINES_MAX && may_be_long {
            complaints.push(format!("{path}: no longer too long; take it off the list LONG_FILES"));
        }
        let is_platform = PLATFORM_FOLDERS.iter().any(|folder| path.starts_with(folder));
        for (line, number) in text.lines().zip(1..) {
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{path}:{number}: `{word}`; finish it, or open an issue and name its number"));
            }
            let asks = line.contains("cfg") && PLATFORM_QUESTIONS.iter().any(|question| line.contains(question));
            if asks && !is_platform {
                complaints.push(format!("{path}:{number}: a question about the platform; put it under vm/sys"));
            }
        }
    }
    for (path, _) in LONG_FILES {
        if tree.get(path).is_none() {
            complaints.push(format!("{path}: does not exist; take it off the list LONG_FILES"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complain(path: &str, text: &str) -> String {
        let mut complaints = Vec::new();
        check(&Tree::of(&[(path, text)]), &mut complaints);
        complaints.join("\n")
    }

    #[test]
    fn good_files_pass() {
        assert_eq!(complain("a.rs", "//! A.\nfn a() {}\n"), "");
        let question = format!("//! P.\n#[cfg({} = \"linux\")]\n", PLATFORM_QUESTIONS[0]);
        assert_eq!(complain("crates/hotfoot/src/vm/sys/page.rs", &question), "");
    }

    #[test]
    fn bad_files_do_not() {
        assert!(complain("a.rs", "fn a() {}\n").starts_with("a.rs:1: begin"));
        assert!(complain("a.rs", &format!("//! A.\n// {}\n", UNFINISHED[0])).starts_with("a.rs:2: "));
        assert!(complain("a.rs", &format!("//! A.\n{}", "\n".repeat(600))).contains("601 lines"));
        assert!(complain("a.rs", &format!("//! A.\n#[cfg({})]", PLATFORM_QUESTIONS[0])).contains("vm/sys"));
    }
}
