//! Random modules, on this machine, without `cargo fuzz`.
//!
//! ```text
//!  cargo run --release -- differential [--seconds N] [--seeds A..B]   compares; what differs is kept in `findings/`
//!  cargo run --release -- file MODULE.wasm                            compares one module under all settings
//!  cargo run --release -- module SEED > MODULE.wasm                   the module of a seed
//!  cargo run --release -- record SEED COUNT > FILE                    modules and what the peer saw, for the tests
//!  cargo run --release -- preinit SEED COUNT > FILE                   modules for the tests of the pre-initialiser
//!  cargo run --release -- preinit-check SEED COUNT                    those tests, and the new modules in the peer
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hotfoot_fuzz::compare::{Engines, Outcome};
use hotfoot_fuzz::generate::Case;
use hotfoot_fuzz::ours::settings::Settings;
use hotfoot_fuzz::{preinit, record};

/// How much of the processor a module may take before the run is ended, as one that hangs: 30 seconds.
const PATIENCE_TICKS: u64 = 3000;
/// Says which module it was, after a crash that takes the process with it.
const CURRENT_SEED: &str = "findings/current-seed";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    match words.first().map_or("", String::as_str) {
        "differential" => differential(&words),
        "file" => file(words.get(1).context("the name of a module is missing")?),
        "module" => Ok(io::stdout().write_all(&Case::of_seed(number(1, 0)).context("the seed makes no module")?.wasm)?),
        "record" => Ok(record::write(number(1, 0), number(2, 250) as usize, io::stdout().lock())?),
        "preinit" => {
            let (seed, count) = (number(1, 0), number(2, 1000));
            let mut output = BufWriter::new(io::stdout().lock());
            for wasm in (seed..seed + count).filter_map(preinit::module) {
                output.write_all(&(wasm.len() as u32).to_le_bytes())?;
                output.write_all(&wasm)?;
            }
            Ok(output.flush()?)
        }
        "preinit-check" => preinit_check(number(1, 0), number(2, 1000)),
        other => bail!(
            "there is no such command: `{other}`; there are differential, file, module, record, preinit, preinit-check"
        ),
    }
}

fn preinit_check(first: u64, count: u64) -> Result<()> {
    fs::create_dir_all("findings")?;
    watch_for_hangs();
    let mut engines = Engines::default();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = 0;
    for seed in first..first + count {
        CURRENT.store(seed, Ordering::Relaxed);
        let Some(wasm) = preinit::module(seed) else { continue };
        let outcome = preinit::check(&mut engines, &wasm).unwrap_or_else(|difference| {
            found += 1;
            println!("seed {seed}: {difference}");
            let _ = fs::write(format!("findings/preinit-{seed}.wasm"), &wasm);
            "different".to_owned()
        });
        *outcomes.entry(outcome).or_default() += 1;
        if (seed + 1) % 1000 == 0 {
            println!("{seed}: {outcomes:?}");
        }
    }
    println!("{outcomes:#?}");
    ensure!(found == 0, "{found} differences; see findings/");
    Ok(())
}

fn option<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

/// Compares until there is no more time, or there are no more seeds.
fn differential(words: &[String]) -> Result<()> {
    let seconds = option(words, "--seconds").map(str::parse).transpose()?;
    let (first, end) = match option(words, "--seeds") {
        Some(range) => range.split_once("..").context("seeds are written A..B")?,
        None => ("0", "18446744073709551615"),
    };
    let (first, end): (u64, u64) = (first.parse()?, end.parse()?);
    ensure!(seconds.is_some() || end != u64::MAX, "say for how long: --seconds N, or --seeds A..B");
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    fs::create_dir_all("findings")?;
    watch_for_hangs();
    let mut engines = Engines::default();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = 0;
    for seed in first..end {
        if until.is_some_and(|until| Instant::now() > until) {
            println!("ended before seed {seed}");
            break;
        }
        CURRENT.store(seed, Ordering::Relaxed);
        fs::write(CURRENT_SEED, seed.to_string())?;
        let Some(case) = Case::of_seed(seed) else { continue };
        let outcome = engines.compare(&case);
        if matches!(outcome, Outcome::Different(..) | Outcome::Panicked) {
            found += 1;
            keep(seed, &case, &outcome)?;
        }
        let kind = format!("{outcome:?}").split('(').next().unwrap_or_default().to_owned();
        *outcomes.entry(if case.damaged { format!("damaged: {kind}") } else { kind }).or_default() += 1;
        if (seed + 1) % 2000 == 0 {
            println!("{seed}: {outcomes:?}");
        }
    }
    fs::remove_file(CURRENT_SEED)?;
    println!("{outcomes:#?}");
    ensure!(found == 0, "{found} differences; see findings/");
    Ok(())
}

fn keep(seed: u64, case: &Case, outcome: &Outcome) -> Result<()> {
    fs::write(format!("findings/{seed}.wasm"), &case.wasm)?;
    let settings = format!(
        "{:?}, canonical: {}, peer optimised: {}, damaged: {}",
        case.settings, case.canonical, case.peer_optimised, case.damaged
    );
    let text = match outcome {
        Outcome::Different(ours, peer) => format!("seed {seed}, {settings}\n--- hotfoot\n{ours}\n--- peer\n{peer}\n"),
        other => format!("seed {seed}, {settings}: {other:?}\n"),
    };
    print!("{text}");
    Ok(fs::write(format!("findings/{seed}.txt"), text)?)
}

/// Time of processors that this process used, in hundredths of a second; a machine that is busy with other things is no
/// module that hangs.
fn processor_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

static CURRENT: AtomicU64 = AtomicU64::new(0);

/// Ends the process when a module takes too long; its seed is the last thing that is said.
fn watch_for_hangs() {
    std::thread::spawn(|| {
        let mut last = (u64::MAX, processor_ticks());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let current = CURRENT.load(Ordering::Relaxed);
            if current != last.0 {
                last = (current, processor_ticks());
            } else if processor_ticks() - last.1 > PATIENCE_TICKS {
                eprintln!("seed {current} does not end");
                std::process::exit(3);
            }
        }
    });
}

/// Compares one module under all settings, and shows the runs.
fn file(name: &str) -> Result<()> {
    let wasm = fs::read(name).with_context(|| name.to_owned())?;
    let wasm = wat::parse_bytes(&wasm)?.into_owned();
    let mut engines = Engines::default();
    println!("{}", engines.run_peer(&wasm, true, false).context("the peer panics")?.join("\n"));
    for settings in Settings::ALL {
        let case = Case { wasm: wasm.clone(), settings, canonical: false, peer_optimised: true, damaged: false };
        match engines.compare(&case) {
            Outcome::Different(ours, peer) => {
                println!("{}: differs\n--- hotfoot\n{ours}\n--- peer\n{peer}", settings.name())
            }
            outcome => println!("{}: {outcome:?}", settings.name()),
        }
    }
    Ok(())
}
