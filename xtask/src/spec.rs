//! `cargo xtask spec`: the table of the official suites, printed and, with `--update-docs`, kept in `docs/spec.md`.
//!
//! The scripts run in a program of `hotfoot-testing`, so that the other chores need not build the engine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const BEGIN: &str = "<!-- table: cargo xtask spec --update-docs -->\n";
const END: &str = "<!-- end of table -->";

/// Runs the suites. `--update-docs` is ours; the other words (`--dir FOLDER`, `--only SUITE`) go to the program.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let update = words.contains(&"--update-docs");
    let rest: Vec<&str> = words.iter().copied().filter(|word| *word != "--update-docs").collect();
    if update && !rest.is_empty() {
        bail!("the docs keep the whole table: give --update-docs alone, not with `{}`", rest.join(" "));
    }
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "hotfoot-testing", "--features", "suites", "--bin", "spec", "--"])
        .args(&rest)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    let table = String::from_utf8(output.stdout).context("the table is not UTF-8")?;
    print!("{table}");
    if !output.status.success() {
        bail!("a suite that hotfoot must pass does not pass; what failed is above");
    }
    if update { write_into(&root.join("docs/spec.md"), &table) } else { Ok(()) }
}

fn write_into(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let text = replaced(&text, table)
        .with_context(|| format!("{} has no table; put these two lines into it: {BEGIN}{END}", page.display()))?;
    fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))
}

/// The page with another table between the two markers.
fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_replaced() {
        let page = format!("# Title\n{BEGIN}old\n{END}\nmore\n");
        let new = replaced(&page, "| a |\n").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}\n| a |\n\n{END}\nmore\n"));
        assert_eq!(replaced(&new, "| a |\n"), Some(new.clone()));
        assert_eq!(replaced("no table", "| a |\n"), None);
    }
}
