//! `emit_clif`: the functions as the translator hands them to the code generator, one file each.
//!
//! A file's name is the function's index and, as far as a file can have it, its name: `17-main.clif`.

use std::fs;
use std::path::{Path, PathBuf};

use cranelift_codegen::ir::Function;

use crate::Error;

/// Letters of a function's name that its file gets.
const NAME_LEN_MAX: usize = 60;

/// Makes the folder.
pub(crate) fn prepare(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| failed(folder.to_owned(), error))
}

/// Writes one function; the index counts imports first.
pub(crate) fn write(folder: &Path, index: u32, name: Option<&str>, function: &Function) -> Result<(), Error> {
    let path = folder.join(file_name(index, name));
    let text = format!("; {}\n{}", name.unwrap_or_default().escape_default(), function.display());
    fs::write(&path, text).map_err(|error| failed(path, error))
}

fn failed(path: PathBuf, error: std::io::Error) -> Error {
    Error::EmitClif { path, error }
}

/// A name may hold anything, slashes too: only letters and digits that every system allows come into the file's name.
fn file_name(index: u32, name: Option<&str>) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '_' };
    match name {
        Some(name) => format!("{index}-{}.clif", name.chars().take(NAME_LEN_MAX).map(plain).collect::<String>()),
        None => format!("{index}.clif"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        assert_eq!(file_name(3, None), "3.clif");
        assert_eq!(file_name(17, Some("main")), "17-main.clif");
        assert_eq!(file_name(0, Some("../../etc/passwd")), "0-.._.._etc_passwd.clif");
        assert_eq!(file_name(0, Some(&"a".repeat(1000))).len(), NAME_LEN_MAX + "0-.clif".len());
    }
}
