//! Every table of the project in one command, hotfoot beside its peers.
//!
//! ```text
//!  cargo run --release -- [--NAME …] [--corpus FOLDER] [--only PATTERN] [--quick] [--out FOLDER]
//! ```
//!
//! Without a `--NAME` all of [`BENCHES`] run. `--only` keeps those tables and rows whose name contains PATTERN, `--quick`
//! takes fewer samples, `--corpus` adds programs that are not in the repository (its folders `preinit`, `sightglass`, …).
//! Tables are printed, and written to FOLDER (`target/bench`) as `bench.json` and `bench.html`.
//!
//! Each benchmark is a function that returns [`Table`]s of samples; `turns.rs` takes them from hotfoot and its peers in
//! turns. Times of shared machines are noisy: read the ratios, which are of samples taken side by side.

mod calls;
mod density;
mod execution;
mod guests;
mod instantiate;
mod load;
mod machine;
mod metering;
mod objects;
mod options;
mod ours;
mod page;
mod peer;
mod preinit;
mod programs;
mod start;
mod table;
mod threads;
mod turns;
mod wasi;

use anyhow::{Context as _, Result, ensure};
use options::Options;
use page::Report;
use table::Table;

/// A benchmark: its name, and what measures it.
type Bench = (&'static str, fn(&Options) -> Result<Vec<Table>>);

/// All of them, in the order of the page.
const BENCHES: [Bench; 12] = [
    ("calls", calls::tables),
    ("metering", metering::tables),
    ("execution", execution::tables),
    ("instantiate", instantiate::tables),
    ("threads", threads::tables),
    ("density", density::tables),
    ("load", load::tables),
    ("start", start::tables),
    ("wasi", wasi::tables),
    ("objects", objects::tables),
    ("programs", programs::tables),
    ("preinit", preinit::tables),
];

fn main() -> Result<()> {
    if let Some(process) = start::Process::asked(std::env::args().skip(1)) {
        return process.run();
    }
    let options = Options::parse(std::env::args().skip(1), &BENCHES.map(|(name, _)| name))?;
    let mut report = Report::new(std::env::args().skip(1).collect());
    for (name, bench) in BENCHES.iter().filter(|(name, _)| options.runs(name)) {
        eprintln!("{name}");
        match bench(&options) {
            Ok(tables) => {
                for table in tables.into_iter().filter(|table| !table.rows.is_empty()) {
                    print!("{}", table.text());
                    report.tables.push(table);
                }
            }
            Err(error) => report.failures.push(format!("{name}: {error:#}")),
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
