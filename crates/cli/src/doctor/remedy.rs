//! What may make a start shorter, each one tried.

use std::time::{Duration, Instant};

use anyhow::Result;
use hotfoot::{Config, Engine, InstanceAllocationStrategy, Linker, Module, OptLevel, Store};
use hotfoot_preinit::Preinit;
use hotfoot_wasi::{WasiCtx, WasiCtxBuilder, p0, p1};
use wasmparser::BinaryReader;

use super::start::{self, COMPILE, GUEST, HOST, INSTANTIATE, LINK, Load, Way};
use super::text::time;
use super::{Subject, as_asked, fill, medians};
use crate::anatomy::start::size;

/// Custom sections that are a smaller part of the module than one in this many are not worth removing.
const CUSTOM_PART: usize = 20;
/// How many warm instances are made.
const INSTANCES: usize = 200;

/// Something that was tried.
pub struct Remedy {
    /// What to do, as the beginning of a sentence.
    pub what: String,
    /// Of which starts it makes a part shorter.
    pub of: &'static str,
    /// That part without it.
    pub before: Duration,
    /// And with it; nothing where it could not be tried.
    pub after: Option<Duration>,
    /// What else there is to say.
    pub note: String,
}

impl Remedy {
    /// What it saves.
    pub fn gain(&self) -> Duration {
        self.after.map_or(Duration::ZERO, |after| self.before.saturating_sub(after))
    }

    /// Whether that is worth anything: a twentieth, and more than clocks and luck make.
    pub fn helps(&self) -> bool {
        self.gain() * 20 > self.before && self.gain() > Duration::from_micros(20)
    }
}

const FIRST: &str = "the first start";
const NEXT: &str = "every later start";

/// Tries everything.
///
/// # Errors
/// When something fails that has worked before.
pub fn try_all(subject: &Subject<'_>) -> Result<Vec<Remedy>> {
    let mut remedies = vec![Remedy {
        what: "Leave the cache on, which it is by default".to_owned(),
        of: NEXT,
        before: subject.first.total(),
        after: Some(subject.next.total()),
        note: "--no-cache would compile the module each time".to_owned(),
    }];
    remedies.push(compiled(subject)?);
    if subject.first.time(&[COMPILE]) * 10 > subject.first.total() {
        let set = |config: &mut Config| {
            config.cranelift_opt_level(OptLevel::None);
        };
        let note = "the program itself then runs slower".to_owned();
        let way = Way { set, ..subject.first_way };
        remedies.push(compared(subject, "Optimise less, with -O 0".to_owned(), FIRST, way, note)?);
    }
    remedies.push(preinit(subject)?);
    remedies.extend(smaller(subject)?);
    remedies.extend(pooled(subject));
    Ok(remedies)
}

/// Another way to start, beside the one that it is to replace.
fn compared(subject: &Subject<'_>, what: String, of: &'static str, way: Way<'_>, note: String) -> Result<Remedy> {
    let usual = if of == FIRST { subject.first_way } else { subject.next_way };
    let [before, after] = medians(subject.args, [usual, way])?;
    Ok(Remedy { what, of, before: before.total(), after: Some(after.total()), note })
}

/// An artifact.
fn compiled(subject: &Subject<'_>) -> Result<Remedy> {
    let artifact = subject.args.engine.engine()?.precompile_module(subject.wasm)?;
    let file = subject.folder.write("module.hotfoot", &artifact)?;
    let note = format!("run the artifact with --allow-precompiled; it has {}", size(artifact.len() as u64));
    let way = Way { file: &file, load: Load::Artifact, set: as_asked };
    compared(subject, "Compile ahead of time, with `hotfoot compile`".to_owned(), NEXT, way, note)
}

/// A module that starts where its initialisation ended.
fn preinit(subject: &Subject<'_>) -> Result<Remedy> {
    let what = "Pre-initialise, with `hotfoot preinit`".to_owned();
    let mut config = Config::new();
    subject.args.engine.apply(&mut config)?;
    let mut preinit = Preinit::new();
    preinit.config(config).allow_wasi(true).inherit_stdio(false);
    let initialised = match preinit.run(subject.wasm) {
        Ok(initialised) => initialised,
        Err(error) => {
            let most = time(subject.next.time(&[GUEST, HOST]));
            let note = format!(
                "not tried: {error}; a function `wizer.initialize` that does the initialisation could save {most} at most"
            );
            return Ok(Remedy { what, of: NEXT, before: subject.next.total(), after: None, note });
        }
    };
    let file = subject.folder.write("initialised.wasm", &initialised)?;
    let cache = subject.folder.cache("initialised")?;
    fill(subject.args, &cache, &file)?;
    let note = format!("the module then has {}", size(initialised.len() as u64));
    compared(subject, what, NEXT, Way { file: &file, load: Load::Cached(&cache), set: as_asked }, note)
}

/// The module without sections that nothing needs to run it.
fn smaller(subject: &Subject<'_>) -> Result<Option<Remedy>> {
    let small = without_custom_sections(subject.wasm)?;
    let removed = subject.wasm.len() - small.len();
    if removed * CUSTOM_PART < subject.wasm.len() {
        return Ok(None);
    }
    let file = subject.folder.write("smaller.wasm", &small)?;
    let what = format!("Strip {} of custom sections from the module", size(removed as u64));
    let note = "backtraces then name no functions and lines".to_owned();
    let way = Way { file: &file, load: Load::Compile, set: as_asked };
    compared(subject, what, FIRST, way, note).map(Some)
}

/// The module's other sections.
fn without_custom_sections(wasm: &[u8]) -> Result<Vec<u8>> {
    const HEADER_LEN: usize = 8;
    let (header, sections) = wasm.split_at(HEADER_LEN.min(wasm.len()));
    let (mut kept, mut at) = (header.to_vec(), 0);
    while at < sections.len() {
        let mut reader = BinaryReader::new(&sections[at..], at as u64);
        let (id, len) = (reader.read_u8()?, reader.read_var_u32()? as usize);
        let end = (reader.original_position() as usize).saturating_add(len).min(sections.len());
        if id != 0 {
            kept.extend_from_slice(&sections[at..end]);
        }
        at = end;
    }
    Ok(kept)
}

/// An instance from a pool in place of a new one, for hosts that make many. Nothing where it cannot be made twice.
fn pooled(subject: &Subject<'_>) -> Option<Remedy> {
    let engine = subject.args.engine.engine_with(|config| {
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
    });
    let after = warm_instance(&engine.ok()?, subject.wasm).ok()?;
    Some(Remedy {
        what: "In a host of many instances, take them from a pool".to_owned(),
        of: "each instance",
        before: subject.next.time(&[LINK, INSTANTIATE, start::START]),
        after: Some(after),
        note: "in the library, InstanceAllocationStrategy::pooling(), and InstancePre in place of Linker".to_owned(),
    })
}

/// How long it takes to make an instance like one that was just dropped.
fn warm_instance(engine: &Engine, wasm: &[u8]) -> Result<Duration> {
    let module = Module::new(engine, wasm)?;
    let mut linker = Linker::<WasiCtx>::new(engine);
    p1::add_to_linker(&mut linker, |wasi| wasi)?;
    p0::add_to_linker(&mut linker, |wasi| wasi)?;
    let pre = linker.instantiate_pre(&module)?;
    let mut times = Vec::with_capacity(INSTANCES);
    for _ in 0..INSTANCES {
        let wasi = WasiCtxBuilder::new().build();
        let start = Instant::now();
        let mut store = Store::new(engine, wasi);
        pre.instantiate(&mut store)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_custom_sections_is_removed() {
        let with = wat::parse_str("(module $name (@custom \"a\" \"bcd\") (func $f) (memory 1))").unwrap();
        let without = wat::parse_str("(module (func) (memory 1))").unwrap();
        assert_ne!(with, without);
        assert_eq!(without_custom_sections(&with).unwrap(), without);
        assert_eq!(without_custom_sections(&without).unwrap(), without);
    }
}
