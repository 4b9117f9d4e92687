//! Every table of the project in one command, hotfoot beside its peers.
//!
//! ```text
//!  cargo run --release -- [--NAME …] [--corpus FOLDER] [--only PATTERN] [--quick] [--out FOLDER]
//! ```
//!
//! Without a `--NAME` all of [`BENCHES`] run but those that take valgrind. `--only` keeps those tables and rows whose name contains PATTERN, `--quick`
//! takes fewer samples, `--corpus` adds programs that are not in the repository (its folders `preinit`, `sightglass`, …).
//! Tables are printed, and written to FOLDER (`target/bench`) as `bench.json` and `bench.html`.
//!
//! Each benchmark is a function that returns [`Table`]s of samples; `turns.rs` takes them from hotfoot and its peers in
//! turns. Times of shared machines are noisy: read the ratios, which are of samples taken side by side.

mod answering;
mod calls;
mod commands;
mod density;
mod execution;
mod guests;
mod instantiate;
mod instructions;
mod load;
mod machine;
mod metering;
mod objects;
mod options;
mod others;
mod ours;
mod page;
mod peer;
mod preinit;
mod programs;
mod progress;
mod scratch;
mod start;
mod table;
mod threads;
mod turns;
mod wasi;

use anyhow::{Context as _, Result, ensure};
use options::Options;
use page::Report;
use table::Table;

/// A benchmark.
struct Bench {
    /// Its option.
    name: &'static str,
    tables: fn(&Options) -> Result<Vec<Table>>,
    /// Whether it runs if no benchmark is named.
    unasked: bool,
}

const fn bench(name: &'static str, tables: fn(&Options) -> Result<Vec<Table>>) -> Bench {
    Bench { name, tables, unasked: true }
}

/// All of them, in the order of the page.
const BENCHES: [Bench; 14] = [
    bench("start", start::tables),
    bench("commands", commands::tables),
    bench("load", load::tables),
    bench("instantiate", instantiate::tables),
    bench("threads", threads::tables),
    bench("density", density::tables),
    bench("calls", calls::tables),
    bench("wasi", wasi::tables),
    bench("execution", execution::tables),
    Bench { name: "instructions", tables: instructions::tables, unasked: false },
    bench("metering", metering::tables),
    bench("objects", objects::tables),
    bench("programs", programs::tables),
    bench("preinit", preinit::tables),
];

fn main() -> Result<()> {
    if let Some(process) = start::Process::asked(std::env::args().skip(1)) {
        return process.run();
    }
    if let Some(ran) = instructions::asked(std::env::args().skip(1)) {
        return ran;
    }
    let options = Options::parse(std::env::args().skip(1), &BENCHES.each_ref().map(|bench| bench.name))?;
    let mut report = Report::new(std::env::args().skip(1).collect());
    let benches: Vec<&Bench> = BENCHES.iter().filter(|bench| options.runs(bench.name, bench.unasked)).collect();
    for (at, bench) in benches.iter().enumerate() {
        progress::benchmark(bench.name, at + 1, benches.len());
        let tables = (bench.tables)(&options);
        progress::clear();
        match tables {
            Ok(tables) => {
                for table in tables.into_iter().filter(|table| !table.rows.is_empty()) {
                    print!("{}", table.text());
                    report.tables.push(table);
                }
            }
            Err(error) => report.failures.push(format!("{}: {error:#}", bench.name)),
        }
    }
    report.finish();
    std::fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    std::fs::write(options.out.join("bench.json"), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(options.out.join("bench.html"), report.html())?;
    eprintln!("written: {0}/bench.json, {0}/bench.html", options.out.display());
    ensure!(report.failures.is_empty(), "failed: {}", report.failures.join("; "));
    Ok(())
}
