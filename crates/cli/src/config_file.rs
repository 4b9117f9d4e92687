//! `--config FILE`: settings of the engine in TOML, under the names of `Config`'s methods.
//!
//! [`KEYS`] is the whole language: what is read, what `hotfoot config new` writes, and what a slip is compared with.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use hotfoot::{Config, Inlining, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};
use toml::{Table, Value};

use crate::args;
use crate::near;

/// A setting that a file may have.
struct Key {
    name: &'static str,
    /// What it is without the file, in TOML; an example where that is nothing. A switch's default is asked for.
    default: &'static str,
    /// One sentence.
    meaning: &'static str,
    kind: Kind,
}

/// What a key's value is, and what sets it.
enum Kind {
    Switch(fn(&mut Config, bool) -> &mut Config),
    /// A number of bytes.
    Size(fn(&mut Config, u64) -> &mut Config),
    /// Anything else; the error says what to write.
    Other(fn(&mut Config, &Value) -> Result<(), &'static str>),
}

/// A setting under `[pooling]`, which belongs to `allocation_strategy`.
struct PoolingKey {
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
    kind: PoolingKind,
}

enum PoolingKind {
    Count(fn(&mut PoolingAllocationConfig, u32) -> &mut PoolingAllocationConfig),
    Bytes(fn(&mut PoolingAllocationConfig, usize) -> &mut PoolingAllocationConfig),
}

/// What a pool has by default. Its limits are for hosts of many guests, which set them in the library.
const POOLING_KEYS: &[PoolingKey] = &[
    PoolingKey {
        name: "total_core_instances",
        default: "10000",
        meaning: "How many instances there may be, in use and idle.",
        kind: PoolingKind::Count(PoolingAllocationConfig::total_core_instances),
    },
    PoolingKey {
        name: "total_memories",
        default: "10000",
        meaning: "How many memories they may have.",
        kind: PoolingKind::Count(PoolingAllocationConfig::total_memories),
    },
    PoolingKey {
        name: "total_tables",
        default: "10000",
        meaning: "How many tables they may have.",
        kind: PoolingKind::Count(PoolingAllocationConfig::total_tables),
    },
    PoolingKey {
        name: "max_unused_warm_slots",
        default: "100",
        meaning: "How many idle instances each thread keeps of each program.",
        kind: PoolingKind::Count(PoolingAllocationConfig::max_unused_warm_slots),
    },
    PoolingKey {
        name: "linear_memory_keep_resident",
        default: "\"4MiB\"",
        meaning: "How much of an idle memory stays resident and is reset by copying.",
        kind: PoolingKind::Bytes(PoolingAllocationConfig::linear_memory_keep_resident),
    },
    PoolingKey {
        name: "table_keep_resident",
        default: "\"4MiB\"",
        meaning: "How large the tables of an idle instance may be.",
        kind: PoolingKind::Bytes(PoolingAllocationConfig::table_keep_resident),
    },
];

use Kind::{Other, Size, Switch};

const KEYS: &[Key] = &[
    key("cranelift_opt_level", "\"speed\"", "How hard to optimise: none, speed, speed_and_size.", Other(opt_level)),
    key("target", "\"native\"", "What to compile for: native, x86_64, aarch64, x86-64-v3, a triple.", Other(target)),
    key(
        "cranelift_flag_enable",
        "[]",
        "Settings of the code generator to switch on, as [\"has_avx2\"].",
        Other(enable),
    ),
    key("cranelift_flag_set", "{}", "Settings of the code generator by name, as { has_avx2 = false }.", Other(set)),
    switch(
        "cranelift_nan_canonicalization",
        "Give every NaN that arithmetic makes the same bits.",
        Config::cranelift_nan_canonicalization,
    ),
    switch(
        "relaxed_simd_deterministic",
        "Give relaxed SIMD instructions the same results on every host.",
        Config::relaxed_simd_deterministic,
    ),
    switch("compiler_inlining", "Translate small functions where they are called.", inlining),
    switch("parallel_compilation", "Compile functions on all cores.", Config::parallel_compilation),
    switch("lazy_compilation", "Compile functions when they are called first.", Config::lazy_compilation),
    key(
        "emit_clif",
        "\"clif\"",
        "Write each function, as the code generator gets it, to this folder.",
        Other(emit_clif),
    ),
    switch(
        "generate_address_map",
        "Say of every machine instruction where in the module it comes from.",
        Config::generate_address_map,
    ),
    switch(
        "signals_based_traps",
        "Find some traps through memory protection instead of explicit checks.",
        Config::signals_based_traps,
    ),
    key(
        "memory_reservation",
        "\"4GiB\"",
        "Address space to reserve for each memory; less brings explicit bounds checks.",
        Size(Config::memory_reservation),
    ),
    key(
        "memory_guard_size",
        "\"32MiB\"",
        "Inaccessible space after each memory's reservation.",
        Size(Config::memory_guard_size),
    ),
    key(
        "memory_reservation_for_growth",
        "\"2GiB\"",
        "Address space to reserve beyond what a memory has that would move as it grows.",
        Size(Config::memory_reservation_for_growth),
    ),
    switch("memory_may_move", "Whether a memory that outgrows its reservation may move.", Config::memory_may_move),
    switch(
        "memory_init_cow",
        "Whether memories that begin with much data begin as copy-on-write mappings of the artifact.",
        Config::memory_init_cow,
    ),
    key("max_wasm_stack", "\"512KiB\"", "Stack that programs may use before they trap.", Other(max_wasm_stack)),
    switch("wasm_backtrace", "Whether errors carry a backtrace.", Config::wasm_backtrace),
    switch(
        "wasm_backtrace_details",
        "Whether modules keep their DWARF, so that backtraces name source files and lines.",
        backtrace_details,
    ),
    switch("debug_info", "Whether debuggers are shown programs' functions and source lines.", Config::debug_info),
    switch("coredump_on_trap", "Whether errors carry what a core dump is made of.", Config::coredump_on_trap),
    key("wasm_backtrace_max_frames", "20", "How many frames a backtrace has at most.", Other(backtrace_frames)),
    key(
        "gc_heap_reservation",
        "\"4GiB\"",
        "Address space to reserve for a program's objects.",
        Size(Config::gc_heap_reservation),
    ),
    key("allocation_strategy", "\"on_demand\"", "Where instances come from: on_demand or pooling.", Other(strategy)),
    switch(
        "verify_artifact_files",
        "Compare every artifact with its checksum before it is used.",
        Config::verify_artifact_files,
    ),
    switch("wasm_bulk_memory", "memory.copy and its kin, passive segments.", Config::wasm_bulk_memory),
    switch("wasm_custom_page_sizes", "Memories with pages of a byte.", Config::wasm_custom_page_sizes),
    switch("wasm_exceptions", "Exceptions: try_table, throw, tags.", Config::wasm_exceptions),
    switch("wasm_extended_const", "Arithmetic in constant expressions.", Config::wasm_extended_const),
    switch("wasm_function_references", "Typed references to functions.", Config::wasm_function_references),
    switch("wasm_gc", "Structs and arrays that are collected.", Config::wasm_gc),
    switch("wasm_legacy_exceptions", "Exceptions in their older encoding.", Config::wasm_legacy_exceptions),
    switch("wasm_memory64", "Memories and tables indexed by i64.", Config::wasm_memory64),
    switch("wasm_multi_memory", "Several memories.", Config::wasm_multi_memory),
    switch("wasm_multi_value", "Several results, blocks with parameters.", Config::wasm_multi_value),
    switch("wasm_mutable_global", "Imported and exported globals that can be set.", Config::wasm_mutable_global),
    switch("wasm_reference_types", "References as values, several tables.", Config::wasm_reference_types),
    switch(
        "wasm_relaxed_simd",
        "Vector instructions whose results may differ between hosts.",
        Config::wasm_relaxed_simd,
    ),
    switch(
        "wasm_saturating_float_to_int",
        "Conversions from float to integer that saturate.",
        Config::wasm_saturating_float_to_int,
    ),
    switch("wasm_sign_extension", "Sign extension instructions.", Config::wasm_sign_extension),
    switch("wasm_simd", "128-bit vectors.", Config::wasm_simd),
    switch("wasm_tail_call", "Tail calls.", Config::wasm_tail_call),
    switch("wasm_threads", "Shared memories, atomic operations and waiting.", Config::wasm_threads),
    switch("wasm_wide_arithmetic", "128-bit integers in arithmetic.", Config::wasm_wide_arithmetic),
];

const fn switch(name: &'static str, meaning: &'static str, set: fn(&mut Config, bool) -> &mut Config) -> Key {
    Key { name, default: "", meaning, kind: Switch(set) }
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str, kind: Kind) -> Key {
    Key { name, default, meaning, kind }
}

/// A file that was read and whose keys and values are known to be right.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    table: Table,
}

impl ConfigFile {
    /// Reads a file and tries what it says.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key or value that does not exist.
    pub fn read(path: &Path) -> Result<ConfigFile> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            anyhow!("cannot read the configuration `{shown}`: {error}; `hotfoot config new` writes one")
        })?;
        let table = text.parse::<Table>().map_err(|error| anyhow!("`{shown}` is not correct TOML: {error}"))?;
        let file = ConfigFile { table };
        file.apply(&mut Config::new()).with_context(|| format!("in the configuration `{shown}`"))?;
        Ok(file)
    }

    /// Sets what the file names.
    ///
    /// # Errors
    /// When a key is unknown or its value is not one of its kind.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        for (name, value) in &self.table {
            if name == "pooling" {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                bail!(unknown(name, KEYS.iter().map(|key| key.name).chain(["pooling"])));
            };
            key.apply(config, value).map_err(|wanted| anyhow!("`{name}` cannot be {value}; write {wanted}"))?;
        }
        self.apply_pooling(config)
    }

    /// The stack that guests may use, if the file names a size.
    pub fn max_wasm_stack(&self) -> Option<u64> {
        self.table.get("max_wasm_stack").and_then(bytes)
    }

    /// The target, if the file names one.
    pub fn target(&self) -> Option<&str> {
        self.table.get("target").and_then(Value::as_str)
    }

    fn apply_pooling(&self, config: &mut Config) -> Result<()> {
        let Some(value) = self.table.get("pooling") else { return Ok(()) };
        let table = value.as_table().context("`pooling` must be a table; write its settings under `[pooling]`")?;
        let mut pool = PoolingAllocationConfig::new();
        for (name, value) in table {
            let Some(key) = POOLING_KEYS.iter().find(|key| key.name == name) else {
                bail!(unknown(name, POOLING_KEYS.iter().map(|key| key.name)));
            };
            let wrong = || anyhow!("`pooling.{name}` cannot be {value}; write {COUNT}");
            match key.kind {
                PoolingKind::Count(set) => {
                    let count = value.as_integer().and_then(|count| u32::try_from(count).ok());
                    set(&mut pool, count.with_context(wrong)?);
                }
                PoolingKind::Bytes(set) => {
                    let size = bytes(value).and_then(|bytes| usize::try_from(bytes).ok());
                    set(&mut pool, size.with_context(wrong)?);
                }
            }
        }
        if self.table.get("allocation_strategy").and_then(Value::as_str) != Some("pooling") {
            bail!("`[pooling]` has no use without `allocation_strategy = \"pooling\"`; write that, or remove it");
        }
        config.allocation_strategy(pool);
        Ok(())
    }
}

impl Key {
    /// What the key is without a file.
    fn default(&self) -> &'static str {
        let Switch(set) = self.kind else { return self.default };
        let is_on = format!("{:?}", set(&mut Config::new(), true)) == format!("{:?}", Config::new());
        if is_on { "true" } else { "false" }
    }

    fn apply(&self, config: &mut Config, value: &Value) -> Result<(), &'static str> {
        match self.kind {
            Switch(set) => {
                set(config, value.as_bool().ok_or("true or false")?);
            }
            Size(set) => {
                set(config, bytes(value).ok_or(SIZE)?);
            }
            Other(set) => set(config, value)?,
        }
        Ok(())
    }
}

/// The text of a file with every key, each one commented out and at its default.
pub fn template() -> String {
    let mut text = String::from(
        "# Settings of hotfoot: `hotfoot run --config FILE …` reads them. Each has the name of a method of `Config` in\n\
         # the library. What is commented out is at its default; options of the command line override what is not.\n",
    );
    let mut line = |name: &str, default: &str, meaning: &str| {
        text.push_str(&format!("\n# {meaning}\n# {name} = {default}\n"));
    };
    for key in KEYS {
        line(key.name, key.default(), key.meaning);
    }
    text.push_str("\n# Of `allocation_strategy = \"pooling\"`.\n# [pooling]\n");
    for key in POOLING_KEYS {
        text.push_str(&format!("\n# {}\n# {} = {}\n", key.meaning, key.name, key.default));
    }
    text
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match near::nearest(name, known) {
        Some(near) => format!("there is no setting `{name}`; did you mean `{near}`?"),
        None => format!("there is no setting `{name}`; `hotfoot config new -` prints all that there are"),
    }
}

const COUNT: &str = "a number that is not negative";
const SIZE: &str = "a number of bytes such as 65536, or \"64KiB\" or \"4GiB\" in quotes";

/// A number of bytes: an integer, or text with a unit.
fn bytes(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        Value::String(text) => args::size(text).ok(),
        _ => None,
    }
}

fn opt_level(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    let level = match value.as_str() {
        Some("none") => OptLevel::None,
        Some("speed") => OptLevel::Speed,
        Some("speed_and_size") => OptLevel::SpeedAndSize,
        _ => return Err("\"none\", \"speed\" or \"speed_and_size\""),
    };
    config.cranelift_opt_level(level);
    Ok(())
}

fn target(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    let known = value.as_str().filter(|name| args::known_target(name).is_ok());
    let name = known.ok_or("\"native\", \"x86_64\", \"aarch64\", a level such as \"x86-64-v3\", or a triple")?;
    config.target(name).map(|_| ()).map_err(|_| "another target")
}

fn enable(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    const WANTED: &str = "a list of names, as in [\"has_avx2\"]";
    for name in value.as_array().ok_or(WANTED)? {
        config.cranelift_flag_enable(name.as_str().ok_or(WANTED)?);
    }
    Ok(())
}

fn set(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    for (name, value) in value.as_table().ok_or("names and values, as in { opt_level = \"none\" }")? {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        config.cranelift_flag_set(name, &text);
    }
    Ok(())
}

fn emit_clif(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    config.emit_clif(Path::new(value.as_str().ok_or("the name of a folder")?));
    Ok(())
}

fn max_wasm_stack(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    config.max_wasm_stack(bytes(value).and_then(|bytes| usize::try_from(bytes).ok()).ok_or(SIZE)?);
    Ok(())
}

fn inlining(config: &mut Config, enable: bool) -> &mut Config {
    config.compiler_inlining(if enable { Inlining::Yes } else { Inlining::No })
}

fn backtrace_details(config: &mut Config, enable: bool) -> &mut Config {
    config.wasm_backtrace_details(if enable { WasmBacktraceDetails::Enable } else { WasmBacktraceDetails::Disable })
}

fn backtrace_frames(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    let frames = value.as_integer().and_then(|frames| usize::try_from(frames).ok());
    config.wasm_backtrace_max_frames(frames.ok_or(COUNT)?);
    Ok(())
}

fn strategy(config: &mut Config, value: &Value) -> Result<(), &'static str> {
    config.allocation_strategy(match value.as_str() {
        Some("on_demand") => InstanceAllocationStrategy::OnDemand,
        Some("pooling") => InstanceAllocationStrategy::pooling(),
        _ => return Err("\"on_demand\" or \"pooling\""),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str) -> Result<Config> {
        let mut config = Config::new();
        ConfigFile { table: text.parse()? }.apply(&mut config)?;
        Ok(config)
    }

    fn complaint(text: &str) -> String {
        format!("{:#}", apply(text).unwrap_err())
    }

    /// What the template shows as defaults are the defaults: taken out of their comments, they change nothing. The
    /// folder for `emit_clif` is an example, and a target is a choice even if it is this machine.
    #[test]
    fn the_template_says_the_defaults() {
        let text = template();
        let settings = text.lines().filter_map(|line| line.strip_prefix("# ")).collect::<Vec<_>>();
        let is_setting = |line: &&str| line.contains(" = ") && !line.ends_with('.') || line.starts_with('[');
        let examples = ["emit_clif", "target", "[pooling]"];
        let lines: Vec<&str> = settings
            .into_iter()
            .take_while(|line| *line != "[pooling]")
            .filter(is_setting)
            .filter(|line| !examples.iter().any(|example| line.starts_with(example)))
            .collect();
        assert_eq!(lines.len(), KEYS.len() - 2);
        // That a reservation was chosen is kept, even if it is the default.
        let expected = Config::new().memory_reservation(4 << 30).clone();
        assert_eq!(format!("{:?}", apply(&lines.join("\n")).unwrap()), format!("{expected:?}"));
        let line = |key: &PoolingKey| format!("{} = {}\n", key.name, key.default);
        let pooling: String = POOLING_KEYS.iter().map(line).collect();
        let pooled = apply(&format!("allocation_strategy = \"pooling\"\n[pooling]\n{pooling}")).unwrap();
        let expected = Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()).clone();
        assert_eq!(format!("{pooled:?}"), format!("{expected:?}"));
    }

    /// A setting that the library gets belongs into files, too, unless a file is the wrong place for it.
    #[test]
    fn every_method_of_config_is_a_key() {
        let elsewhere = [
            "strategy",              // There is one compiler.
            "consume_fuel",          // Of no use before the host gives fuel.
            "operator_cost",         // Likewise.
            "epoch_interruption",    // Likewise; `--timeout` stops programs.
            "artifact_key",          // A secret.
            "cache",                 // `hotfoot cache`, `--no-cache`.
            "gc_zeal_alloc_counter", // For tests of the collector.
            "async_support",         // Nothing that a command calls waits asynchronously.
            "async_stack_size",      // Likewise.
        ];
        let source = include_str!("../../hotfoot/src/config.rs");
        let control = include_str!("../../hotfoot/src/config/control.rs");
        let methods = source[source.find("\nimpl Config {").unwrap()..].lines().chain(control.lines());
        let named = |line: &str| Some(line.trim().strip_prefix("pub fn ")?.split_once("(&mut self")?.0.to_owned());
        let switch =
            |line: &str| Some(line.trim().split_once(" => ")?.0.to_owned()).filter(|name| name.starts_with("wasm_"));
        let methods = methods.filter_map(named).chain(source.lines().filter_map(switch));
        let missing: Vec<String> = methods
            .filter(|name| !elsewhere.contains(&name.as_str()) && KEYS.iter().all(|key| key.name != name))
            .collect();
        assert_eq!(missing, [""; 0], "add them to KEYS in crates/cli/src/config_file.rs");
    }

    /// A switch that sets another field, or nothing, would go unnoticed by the test above.
    #[test]
    fn every_switch_switches() {
        for key in KEYS.iter().filter(|key| matches!(key.kind, Switch(_))) {
            let other = key.default() == "false";
            let changed = format!("{:?}", apply(&format!("{} = {other}", key.name)).unwrap());
            assert_ne!(changed, format!("{:?}", Config::new()), "{}", key.name);
        }
    }

    #[test]
    fn slips_are_recognised() {
        assert!(complaint("max_wasm_stak = 1").contains("did you mean `max_wasm_stack`?"));
        assert!(complaint("warp_drive = 1").contains("hotfoot config new -"));
        assert!(complaint("wasm_simd = 1").contains("`wasm_simd` cannot be 1; write true or false"));
        assert!(complaint("memory_reservation = \"4GB\"").contains("64KiB"));
        assert!(complaint("memory_reservation = -1").contains("64KiB"));
        assert!(complaint("target = \"amiga\"").contains("x86-64-v3"));
        assert!(complaint("allocation_strategy = \"magic\"").contains("pooling"));
        assert!(complaint("[pooling]\ntotal_core_instance = 1").contains("`total_core_instances`?"));
        assert!(complaint("[pooling]\ntotal_core_instances = 1").contains("has no use without"));
    }

    #[test]
    fn sizes_are_numbers_or_text() {
        let file = |text: &str| ConfigFile { table: text.parse().unwrap() }.max_wasm_stack();
        assert_eq!(file("max_wasm_stack = 65536"), Some(65536));
        assert_eq!(file("max_wasm_stack = \"1MiB\""), Some(1 << 20));
        assert_eq!(file(""), None);
    }
}
