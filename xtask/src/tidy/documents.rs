//! Rules about ARCHITECTURE.md: short enough to be read, and naming what exists.

use super::tree::Tree;

const PATH: &str = "ARCHITECTURE.md";
const LINES_MAX: usize = 250;

/// Checks the page against the tree.
pub fn check(tree: &Tree, complaints: &mut Vec<String>) {
    let Some(text) = tree.get(PATH) else {
        complaints.push(format!("{PATH}: does not exist; write it"));
        return;
    };
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complaints.push(format!("{PATH}: {lines} lines; shorten it to {LINES_MAX}"));
    }
    for (line, number) in text.lines().zip(1..) {
        for file in line.split([' ', '`', '(', ')', '[', ']', ';', '|', '"']).flat_map(expand) {
            let file = file.trim_end_matches(['.', ',', ':']);
            if file.ends_with(".rs") && !tree.has_file_ending(file) {
                complaints.push(format!("{PATH}:{number}: there is no file {file}; correct the name"));
            }
        }
    }
    for folder in tree.crates() {
        if !text.contains(folder) {
            complaints.push(format!("{PATH}: does not say what {folder} is for; add a line"));
        }
    }
}

/// `vm/{store,code}.rs` as `vm/store.rs` and `vm/code.rs`; any other word as itself.
fn expand(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else { return vec![word.to_owned()] };
    let Some((names, after)) = rest.split_once('}') else { return Vec::new() };
    names.split(',').flat_map(|name| expand(&format!("{before}{name}{after}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand() {
        assert_eq!(expand("vm/{a,b}.rs"), ["vm/a.rs", "vm/b.rs"]);
        assert_eq!(expand("{a,b}/{c,d}"), ["a/c", "a/d", "b/c", "b/d"]);
        assert_eq!(expand("a.rs"), ["a.rs"]);
    }

    #[test]
    fn names_must_exist() {
        let tree = Tree::of(&[
            ("crates/abi/Cargo.toml", ""),
            ("crates/abi/src/trap.rs", ""),
            ("crates/wasi/Cargo.toml", ""),
            (PATH, "`crates/abi`: `abi/src/trap.rs`, `src/{trap,gone}.rs`.\n"),
        ]);
        let mut complaints = Vec::new();
        check(&tree, &mut complaints);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].contains("src/gone.rs"));
        assert!(complaints[1].contains("crates/wasi"));
    }
}
