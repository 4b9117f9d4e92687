//! Everything that `hotfoot` itself says on stderr, and the exit codes that go with it.
//!
//! A message is `hotfoot: ` and a sentence: what happened, where, and what to do about it.

use std::io::{self, Write};

use hotfoot::{FrameSymbol, Trap, WasmBacktrace};
use hotfoot_wasi::I32Exit;

/// The input is bad, or the guest stopped with an error of the host.
const EXIT_FAILURE: i32 = 1;
/// The command line is bad.
const EXIT_USAGE: i32 = 2;
/// The guest trapped: what a shell reports for a process that ended by SIGABRT.
const EXIT_TRAP: i32 = 134;
/// What a person may be expected to read.
const BACKTRACE_LINES_MAX: usize = 40;

/// Says something. A closed stderr is no reason to stop, so failure to write is ignored.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr(), "hotfoot: {message}");
}

/// Writes a result to stdout; a reader that has gone away, as in `| head`, is no error.
pub fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Reports bad input and gives the exit code for it.
pub fn report(error: &anyhow::Error) -> i32 {
    say(&format!("{error:#}"));
    EXIT_FAILURE
}

/// Ends the process after `--help`, `--version` or wrong usage.
pub fn exit_with_usage(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        let _ = error.print();
        std::process::exit(0);
    }
    let text = error.to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = write!(io::stderr(), "{text}");
        std::process::exit(EXIT_USAGE);
    }
    say(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
    std::process::exit(EXIT_USAGE)
}

/// Reports how a guest ended that did not return, and gives the exit code for it.
pub fn report_guest_end(error: &anyhow::Error, program: &str) -> i32 {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return exit_code(exit.0);
    }
    let backtrace = backtrace(error);
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let reason = trap.to_string();
            let reason = reason.strip_prefix("wasm trap: ").unwrap_or(&reason);
            say(&format!("{program} trapped: {reason}{}{backtrace}", advice(*trap)));
            EXIT_TRAP
        }
        None => {
            say(&format!("{program} stopped because a call to the host failed: {}{backtrace}", error.root_cause()));
            EXIT_FAILURE
        }
    }
}

/// Where the guest stood, one frame a line, each on a new one.
pub fn backtrace(error: &anyhow::Error) -> String {
    error.downcast_ref::<WasmBacktrace>().map(backtrace_text).unwrap_or_default()
}

/// The guest's exit code, as far as a process can have it: the kernel keeps eight bits, and a failure whose low bits
/// happen to be zero must not look like success.
fn exit_code(code: i32) -> i32 {
    if (0..=255).contains(&code) {
        return code;
    }
    say(&format!("the program's exit code {code} does not fit into the 0 to 255 of a process; exiting with 1 instead"));
    EXIT_FAILURE
}

/// What can be done from the command line about a trap; most need a change of the program.
fn advice(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "; if the recursion is meant to be this deep, raise --max-wasm-stack",
        _ => "",
    }
}

/// A function of the source into which the one before was inlined.
fn inlined(symbol: &FrameSymbol, otherwise: &str) -> String {
    format!("\n       inlined into {} at {symbol}", symbol.name().unwrap_or(otherwise))
}

/// One line per frame, the innermost call first, with what a person can look up: a name and a module offset. Equal
/// frames in a row, as a recursion leaves them, share a line.
fn backtrace_text(backtrace: &WasmBacktrace) -> String {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for frame in backtrace.frames() {
        let name = match frame.func_name() {
            Some(name) => name.to_owned(),
            None => format!("function {}", frame.func_index()),
        };
        let module = frame.module().name().map(|module| format!(" of module {module}")).unwrap_or_default();
        let symbols = frame.symbols();
        let place = match (symbols.first(), frame.module_offset()) {
            (Some(symbol), _) => format!(" at {symbol}"),
            (None, Some(offset)) => format!(" at offset {offset:#x}"),
            (None, None) => String::new(),
        };
        let line = match symbols {
            // The function itself comes last; the first is what was inlined where the guest stood.
            [first, rest @ ..] if !rest.is_empty() => {
                let callers: Vec<String> = rest.iter().map(|symbol| inlined(symbol, &name)).collect();
                format!("{}{place}{}", first.name().unwrap_or("inlined code"), callers.concat())
            }
            _ => format!("{name}{module}{place}"),
        };
        match lines.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => lines.push((line, 1)),
        }
    }
    let mut text = String::new();
    for (number, (line, count)) in lines.iter().take(BACKTRACE_LINES_MAX).enumerate() {
        let times = if *count > 1 { format!(", {count} times") } else { String::new() };
        text.push_str(&format!("\n  {number:>3}: {line}{times}"));
    }
    if lines.len() > BACKTRACE_LINES_MAX {
        text.push_str(&format!("\n  and {} more", lines.len() - BACKTRACE_LINES_MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_never_turn_failure_into_success() {
        assert_eq!(exit_code(0), 0);
        assert_eq!(exit_code(255), 255);
        assert_eq!(exit_code(256), 1);
        assert_eq!(exit_code(-1), 1);
    }
}
