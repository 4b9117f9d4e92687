//! Interpreters, a database and a program with a runtime of its own.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::fresh;
use super::program::{Expect, Program};

/// Reads a file from a preopened directory, and uses modules that are written in Python and in C.
const PYTHON: &str = r#"
import hashlib, json, re, sys
with open("/data/text.txt") as file:
    text = file.read()
print(json.dumps({
    "words": re.findall(r"\w+", text),
    "sha256": hashlib.sha256(text.encode()).hexdigest(),
    "arguments": sys.argv[1:],
    "power": 2 ** 100,
    "third": 1 / 3,
}))
"#;
const TEXT: &str = "the quick brown fox\njumps\n";
const PYTHON_PRINTS: &str = concat!(
    r#"{"words": ["the", "quick", "brown", "fox", "jumps"], "#,
    r#""sha256": "4a7c33322f616bcd261c3cc72b3bcfc23046d639392a96fb4ee50bde0ec6fc15", "#,
    r#""arguments": ["one", "two"], "power": 1267650600228229401496703205376, "third": 0.3333333333333333}"#,
    "\n"
);

/// Catches an error, which is what makes Lua's interpreter throw.
const LUA: &str = r#"
local ok, message = pcall(function() error({ code = 42 }) end)
print(ok, message.code)
local parts = {}
for word in io.open("/data/text.txt"):read("a"):gmatch("%a+") do parts[#parts + 1] = word:upper() end
print(table.concat(parts, "-"), 7 // 2, 1 / 3)
"#;
const LUA_PRINTS: &str = "false\t42\nTHE-QUICK-BROWN-FOX-JUMPS\t3\t0.33333333333333\n";

/// After its greeting: JSON, sums, sorting, SHA-256 of `abc`, a regular expression, and a nil pointer caught.
const GO_PRINTS: &str = r#"hello from go [one two] 
{"a":[1,2,3],"b":null}
4950 196418
[a b c]
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
aaab
recovered runtime error: invalid memory address or nil pointer dereference
"#;

/// The programs that are there.
pub fn programs(corpus: &Path, scratch: &Path) -> Result<Vec<Program>> {
    let folder = corpus.join("apps");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    let data = fresh(scratch, "data")?;
    for (name, text) in [("text.txt", TEXT), ("script.py", PYTHON), ("script.lua", LUA)] {
        fs::write(data.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let program = |name: &str, file: &str, arguments: &[&str], exit_code: i32, stdout: Expect| {
        let options =
            ["--dir".to_owned(), format!("{}::/data", data.display()), format!("{}/{file}", folder.display())];
        let words = options.into_iter().chain(arguments.iter().map(|word| (*word).to_owned())).collect();
        let name = name.to_owned();
        Program { name, folder: data.clone(), words, exit_code, stdout, stderr: Expect::Exactly(String::new()) }
    };
    let exactly = |text: &str| Expect::Exactly(text.to_owned());
    Ok(vec![
        program("python", "python-3.12.wasm", &["/data/script.py", "one", "two"], 0, exactly(PYTHON_PRINTS)),
        program("lua", "lua-5.4.4.wasm", &["/data/script.lua"], 0, exactly(LUA_PRINTS)),
        program(
            "sqlite speedtest1",
            "sqlite-speedtest1.wasm",
            &["--memdb", "--size", "5"],
            0,
            Expect::Words(&["100 - 2500 INSERTs", "410 - 3500 SELECTS", "980 - PRAGMA integrity_check", "TOTAL"]),
        ),
        program("go hello", "go-hello.wasm", &["one", "two"], 5, exactly(GO_PRINTS)),
    ])
}
