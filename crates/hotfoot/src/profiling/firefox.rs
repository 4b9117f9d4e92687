//! A profile in the format of the [Firefox Profiler]: one JSON document of tables, each with a list for each column; rows
//! of other tables are named by their number.
//!
//! ```text
//!  samples ──▶ stackTable ──▶ frameTable ──▶ funcTable ──▶ stringArray
//!                └▶ prefix       │ line         └▶ sources (files)
//!                                └▶ categories: guest, host
//! ```
//!
//! [Firefox Profiler]: https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::guest::Record;
use super::stacks::Frame;

/// The version of the format of which this is.
const FORMAT: u32 = 62;
const GUEST: u32 = 0;
const HOST: u32 = 1;

/// The profile as a document.
pub fn document(name: &str, interval: Duration, start: (Duration, SystemTime), record: &Record) -> String {
    let tables = Tables::new(record);
    let name = quoted(name);
    let started = start.1.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let pid = std::process::id();
    format!(
        r#"{{"meta":{{"categories":[{{"color":"yellow","name":"Guest","subcategories":["Other"]}},{{"color":"grey","name":"Host","subcategories":["Other"]}}],"debug":false,"extensions":{{"baseURL":[],"id":[],"length":0,"name":[]}},"interval":{interval},"markerSchema":[],"pausedRanges":[],"preprocessedProfileVersion":{FORMAT},"processType":0,"product":{name},"sampleUnits":{{"eventDelay":"ms","threadCPUDelta":"µs","time":"ms"}},"sourceCodeIsNotOnSearchfox":true,"startTime":{started},"symbolicated":true,"usesOnlyOneStackType":true,"version":24}},"counters":[],"libs":[],"pages":[],"profilerOverhead":[],"shared":{shared},"threads":[{{"isMainThread":true,"markers":{{"category":[],"data":[],"endTime":[],"length":0,"name":[],"phase":[],"startTime":[]}},"name":{name},"pausedRanges":[],"pid":"{pid}","processName":{name},"processShutdownTime":null,"processStartupTime":0,"processType":"default","registerTime":0,"samples":{samples},"showMarkersInTimeline":false,"tid":"{pid}","unregisterTime":null}}]}}"#,
        interval = milliseconds(interval),
        started = milliseconds(started),
        shared = tables.shared(),
        samples = samples(record, start.0),
    )
}

/// The columns of the tables that samples refer to.
#[derive(Default)]
struct Tables {
    strings: Strings,
    /// Name, file.
    funcs: Vec<(u32, Option<u32>)>,
    /// Function, category, line, column.
    frames: Vec<(u32, u32, Option<u32>, Option<u32>)>,
    /// Frame, prefix.
    stacks: Vec<(u32, Option<u32>)>,
    /// Names of files.
    sources: Vec<u32>,
}

#[derive(Default)]
struct Strings {
    all: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Strings {
    fn number(&mut self, text: String) -> u32 {
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            self.all.len() as u32 - 1
        })
    }
}

impl Tables {
    fn new(record: &Record) -> Tables {
        let mut tables = Tables::default();
        let (mut frames, mut funcs, mut sources) = (HashMap::new(), HashMap::new(), HashMap::new());
        for stack in record.stacks.all() {
            let frame = *frames.entry(stack.frame).or_insert_with(|| {
                let (line, column, file) = place(record, stack.frame);
                let name = tables.strings.number(record.stacks.name(stack.frame));
                let source = file.map(|file| {
                    let file = tables.strings.number(file);
                    *sources.entry(file).or_insert_with(|| {
                        tables.sources.push(file);
                        tables.sources.len() as u32 - 1
                    })
                });
                let func = *funcs.entry((name, source)).or_insert_with(|| {
                    tables.funcs.push((name, source));
                    tables.funcs.len() as u32 - 1
                });
                let category = if stack.frame == Frame::Host { HOST } else { GUEST };
                tables.frames.push((func, category, line, column));
                tables.frames.len() as u32 - 1
            });
            tables.stacks.push((frame, stack.prefix));
        }
        tables
    }

    fn shared(&self) -> String {
        let (funcs, frames, stacks, sources) = (&self.funcs, &self.frames, &self.stacks, &self.sources);
        let func_table = table(
            funcs.len(),
            &[
                ("columnNumber", nulls(funcs.len())),
                ("isJS", repeated("false", funcs.len())),
                ("lineNumber", nulls(funcs.len())),
                ("name", list(funcs.iter().map(|func| func.0))),
                ("relevantForJS", repeated("false", funcs.len())),
                ("resource", repeated("-1", funcs.len())),
                ("source", optional(funcs.iter().map(|func| func.1))),
            ],
        );
        let frame_table = table(
            frames.len(),
            &[
                ("address", repeated("-1", frames.len())),
                ("category", list(frames.iter().map(|frame| frame.1))),
                ("column", optional(frames.iter().map(|frame| frame.3))),
                ("func", list(frames.iter().map(|frame| frame.0))),
                ("inlineDepth", repeated("0", frames.len())),
                ("innerWindowID", repeated("0", frames.len())),
                ("line", optional(frames.iter().map(|frame| frame.2))),
                ("nativeSymbol", nulls(frames.len())),
                ("subcategory", repeated("0", frames.len())),
            ],
        );
        let stack_table = table(
            stacks.len(),
            &[
                ("frame", list(stacks.iter().map(|stack| stack.0))),
                ("prefix", optional(stacks.iter().map(|stack| stack.1))),
            ],
        );
        let source_table = table(
            sources.len(),
            &[
                ("filename", list(sources)),
                ("id", nulls(sources.len())),
                ("sourceMapURL", nulls(sources.len())),
                ("startColumn", repeated("1", sources.len())),
                ("startLine", repeated("1", sources.len())),
            ],
        );
        let symbols = table(0, &["address", "functionSize", "libIndex", "name"].map(|name| (name, nulls(0))));
        let resources = table(0, &["host", "lib", "name", "type"].map(|name| (name, nulls(0))));
        let strings = list(self.strings.all.iter().map(|text| quoted(text)));
        format!(
            r#"{{"frameTable":{frame_table},"funcTable":{func_table},"nativeSymbols":{symbols},"resourceTable":{resources},"sources":{source_table},"stackTable":{stack_table},"stringArray":{strings}}}"#
        )
    }
}

/// Line, column and file of a frame: of the function itself, where something was inlined into it.
fn place(record: &Record, frame: Frame) -> (Option<u32>, Option<u32>, Option<String>) {
    let Frame::Guest { module, module_offset: Some(offset), .. } = frame else { return (None, None, None) };
    let symbols = record.stacks.module(module).1.symbols();
    let last = symbols.and_then(|symbols| symbols.at(offset as usize).pop());
    last.map_or((None, None, None), |symbol| (symbol.line(), symbol.column(), symbol.file().map(str::to_owned)))
}

fn samples(record: &Record, start: Duration) -> String {
    let samples = &record.samples;
    let mut last = start;
    let deltas = samples.iter().map(|sample| {
        let delta = sample.time.saturating_sub(last);
        last = last.max(sample.time);
        milliseconds(delta)
    });
    table(
        samples.len(),
        &[
            ("stack", list(samples.iter().map(|sample| sample.stack))),
            ("timeDeltas", list(deltas)),
            ("weight", list(samples.iter().map(|sample| milliseconds(sample.weight)))),
            ("weightType", quoted("tracing-ms")),
        ],
    )
}

/// An object of columns that are JSON already, and their length.
fn table(len: usize, columns: &[(&str, String)]) -> String {
    let mut text = format!("{{\"length\":{len}");
    for (name, column) in columns {
        // Writing to a string cannot fail.
        let _ = write!(text, ",\"{name}\":{column}");
    }
    text + "}"
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

fn optional(items: impl Iterator<Item = Option<u32>>) -> String {
    list(items.map(|item| item.map_or_else(|| "null".to_owned(), |item| item.to_string())))
}

fn repeated(item: &str, len: usize) -> String {
    list(std::iter::repeat_n(item, len))
}

fn nulls(len: usize) -> String {
    repeated("null", len)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64() * 1e3)
}

/// The text as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\n\u{1}ü"), r#""a\"b\\c\u000a\u0001ü""#);
    }
}
