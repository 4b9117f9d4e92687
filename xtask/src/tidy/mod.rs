//! House rules that no compiler checks. Each file here holds the rules about one kind of thing; a rule is a function
//! from the tree to complaints, and a complaint is `path:line: what is wrong and what to do`.

mod dependencies;
mod documents;
mod source;
mod tree;
mod unsafety;

use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;

/// Checks every rule and prints the complaints.
pub fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let complaints = complaints(&tree);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} rules are broken in {} files read; the list is above", complaints.len(), tree.len());
    }
    println!("tidy: {} files follow the rules", tree.len());
    Ok(())
}

fn complaints(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    source::check(tree, &mut complaints);
    unsafety::check(tree, &mut complaints);
    dependencies::check(tree, &mut complaints);
    documents::check(tree, &mut complaints);
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let tree = Tree::read(&crate::root()).unwrap();
        let complaints = complaints(&tree);
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
}
