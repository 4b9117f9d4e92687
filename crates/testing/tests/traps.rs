//! Traps and their backtraces, as data: each `tests/traps/*.wat` says how to run it and what must come of it.
//!
//! A line `;;! run: EXPORT ARGUMENT…` calls an export; the lines `;;!   …` after it are the outcome: the results, or
//! the error and the frames of its backtrace, newest first, with offsets in the module. The outcome must be the same
//! under every kind of engine, and an error must come again when the call is repeated in the same store. `BLESS=1`
//! writes what comes instead of comparing.
//!
//! Guests may import from `host`: `fail` returns an error, `reenter` calls the guest's export `callee`.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hotfoot::{Caller, Engine, Error, Extern, Instance, Linker, Module, Store, Trap, Val, ValType, WasmBacktrace};
use hotfoot_testing::engines::EngineKind;
use hotfoot_testing::features::Features;
use libtest_mimic::{Arguments, Failed, Trial};

const RUN: &str = ";;! run: ";
const OUTCOME: &str = ";;!   ";

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/traps");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wat"));
    files.sort();
    let trial = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || check(&path).map_err(Failed::from))
    };
    libtest_mimic::run(&Arguments::from_args(), files.into_iter().map(trial).collect()).exit_code()
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut renewed = String::new();
    let mut runs = 0;
    for line in text.lines().filter(|line| !line.starts_with(OUTCOME)) {
        renewed.push_str(line);
        renewed.push('\n');
        if let Some(call) = line.strip_prefix(RUN) {
            runs += 1;
            for line in outcome(&text, call)?.lines() {
                renewed.push_str(&format!("{OUTCOME}{line}\n"));
            }
        }
    }
    if runs == 0 {
        return Err(format!("the file has no line `{RUN}EXPORT ARGUMENT…`"));
    }
    if std::env::var_os("BLESS").is_some() {
        return fs::write(path, renewed).map_err(|error| error.to_string());
    }
    if renewed == text {
        return Ok(());
    }
    let lines = renewed.lines().zip(text.lines()).find(|(new, old)| new != old);
    let (new, old) = lines.unwrap_or(("another number of lines", ""));
    Err(format!(
        "came out otherwise; run again with BLESS=1 if that is right\n  expected: {old}\n  came: {new}\n\n{renewed}"
    ))
}

/// What comes of a call under every kind of engine, when that is the same.
fn outcome(text: &str, call: &str) -> Result<String, String> {
    let first = outcome_under(EngineKind::Default, text, call)?;
    for kind in EngineKind::ALL {
        let other = outcome_under(kind, text, call)?;
        if other != first {
            return Err(format!(
                "`{call}` under {} differs: {other}\nfrom what comes by default: {first}",
                kind.name()
            ));
        }
    }
    Ok(first)
}

fn outcome_under(kind: EngineKind, text: &str, call: &str) -> Result<String, String> {
    let engine = kind.engine(Features::ALL).map_err(|error| format!("{error:#}"))?;
    let module = Module::new(&engine, text).map_err(|error| format!("{error:#}"))?;
    let mut store = Store::new(&engine, ());
    let linker = linker(&engine).map_err(|error| format!("{error:#}"))?;
    let instance = match linker.instantiate(&mut store, &module) {
        Ok(instance) => instance,
        Err(error) => return Ok(shown(&error)),
    };
    let outcome = match run(&mut store, instance, call) {
        Ok(results) => return Ok(format!("returns: {}", results.join(" ")).trim_end().to_owned()),
        Err(error) => shown(&error),
    };
    let again = run(&mut store, instance, call).err().map(|error| shown(&error));
    if again.as_ref() != Some(&outcome) {
        return Err(format!("`{call}` comes out otherwise when repeated: {outcome}\nthen {again:?}"));
    }
    Ok(outcome)
}

fn run(store: &mut Store<()>, instance: Instance, call: &str) -> Result<Vec<String>, Error> {
    let mut words = call.split_whitespace();
    let name = words.next().unwrap_or_default();
    let func = instance.get_func(&mut *store, name).ok_or_else(|| Error::msg(format!("no function `{name}`")))?;
    let ty = func.ty(&*store);
    let arguments = ty.params().zip(words).map(|(ty, word)| argument(ty, word)).collect::<Result<Vec<Val>, Error>>()?;
    let mut results = vec![Val::I32(0); ty.results().len()];
    func.call(&mut *store, &arguments, &mut results)?;
    Ok(results.iter().map(|value| format!("{value:?}")).collect())
}

fn linker(engine: &Engine) -> Result<Linker<()>, Error> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "fail", || -> Result<(), Error> { Err(Error::msg("the host refuses")) })?;
    linker.func_wrap("host", "reenter", |mut caller: Caller<'_, ()>| -> Result<(), Error> {
        let callee = caller.get_export("callee").and_then(Extern::into_func);
        callee.ok_or_else(|| Error::msg("the guest exports no `callee`"))?.call(&mut caller, &[], &mut [])
    })?;
    Ok(linker)
}

fn argument(ty: ValType, word: &str) -> Result<Val, Error> {
    Ok(match ty {
        ValType::I32 => Val::I32(word.parse()?),
        ValType::I64 => Val::I64(word.parse()?),
        ValType::F32 => Val::F32(word.parse::<f32>()?.to_bits()),
        ValType::F64 => Val::F64(word.parse::<f64>()?.to_bits()),
        _ => return Err(Error::msg(format!("arguments of type {ty} cannot be written"))),
    })
}

/// An error and its backtrace; frames that repeat are counted.
fn shown(error: &Error) -> String {
    let mut text = match error.downcast_ref::<Trap>() {
        Some(trap) => format!("trap: {trap:?}\n"),
        None => format!("error: {}\n", error.root_cause()),
    };
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
    let shown = frames.iter().map(|frame| {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), str::to_owned);
        let offset = frame.module_offset().map_or_else(|| "an unknown place".into(), |offset| format!("{offset:#x}"));
        format!("at {offset} in {name}")
    });
    let shown: Vec<String> = shown.collect();
    for same in shown.chunk_by(|a, b| a == b) {
        let times = if same.len() > 1 { format!(", {} times", same.len()) } else { String::new() };
        text.push_str(&format!("  {}{times}\n", same[0]));
    }
    text
}
