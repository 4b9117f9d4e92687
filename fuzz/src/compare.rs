//! One module in hotfoot and in the peer: whether anybody could tell them apart.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::generate::Case;
use crate::ours::observe::{EXHAUSTED, REFUSED, difference};
use crate::ours::settings::Settings;
use crate::{ours, peer};

/// Engines are renewed after so many modules: each keeps the types of all modules that it has seen.
const MODULES: u32 = 500;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Both did the same, to the end.
    Same,
    /// Both did the same until one was exhausted.
    Exhausted,
    /// Both refused the module, or the instance.
    Refused,
    /// The settings do not go with the module.
    Skipped,
    /// The peer panicked, which is not our business.
    PeerPanicked,
    /// They differ: what hotfoot did, and what the peer did.
    Different(String, String),
    /// hotfoot panicked.
    Panicked,
}

/// The engines of both sides.
#[derive(Default)]
pub struct Engines {
    ours: Vec<(Settings, bool, hotfoot::Engine)>,
    peer: Vec<(bool, bool, wasmtime::Engine)>,
    modules: u32,
}

impl Engines {
    fn ours(&mut self, settings: Settings, canonical: bool) -> hotfoot::Engine {
        let known = self.ours.iter().find(|known| (known.0, known.1) == (settings, canonical));
        if let Some((.., engine)) = known {
            return engine.clone();
        }
        let engine = settings.engine(canonical).expect("the settings are good");
        self.ours.push((settings, canonical, engine.clone()));
        engine
    }

    fn peer(&mut self, optimised: bool, canonical: bool) -> wasmtime::Engine {
        let known = self.peer.iter().find(|known| (known.0, known.1) == (optimised, canonical));
        if let Some((.., engine)) = known {
            return engine.clone();
        }
        let engine = peer::engine(optimised, canonical).expect("the peer's settings are good");
        self.peer.push((optimised, canonical, engine.clone()));
        engine
    }

    /// What the peer does with a module, unless it panics.
    pub fn run_peer(&mut self, wasm: &[u8], optimised: bool, canonical: bool) -> Option<Vec<String>> {
        let engine = self.peer(optimised, canonical);
        catch_unwind(AssertUnwindSafe(|| peer::observe::observe(&engine, wasm))).ok()
    }

    /// Runs a case on both sides and compares.
    pub fn compare(&mut self, case: &Case) -> Outcome {
        self.modules += 1;
        if self.modules % MODULES == 0 {
            (self.ours, self.peer) = (Vec::new(), Vec::new());
        }
        if case.damaged {
            return self.compare_validity(case);
        }
        let engine = self.ours(case.settings, case.canonical);
        let Ok(runs) = catch_unwind(AssertUnwindSafe(|| case.settings.observe(&engine, &case.wasm))) else {
            return Outcome::Panicked;
        };
        if runs.is_empty() {
            return Outcome::Skipped;
        }
        let Some(peer) = self.run_peer(&case.wasm, case.peer_optimised, case.canonical) else {
            return Outcome::PeerPanicked;
        };
        for ours in &runs {
            if let Some(at) = difference(ours, &peer) {
                return Outcome::Different(part(ours, at), part(&peer, at));
            }
        }
        let ends = |mark: &str| {
            runs.iter().chain([&peer]).any(|lines| lines.last().is_some_and(|line| line.starts_with(mark)))
        };
        match () {
            () if ends(EXHAUSTED) => Outcome::Exhausted,
            () if ends(REFUSED) => Outcome::Refused,
            () => Outcome::Same,
        }
    }

    /// A damaged module is not run; both sides must refuse it, or neither.
    fn compare_validity(&mut self, case: &Case) -> Outcome {
        let engine = self.ours(case.settings, case.canonical);
        let Ok(ours) = catch_unwind(AssertUnwindSafe(|| ours::engine::Module::new(&engine, &case.wasm).map(drop)))
        else {
            return Outcome::Panicked;
        };
        let peer = peer::engine::Module::validate(&self.peer(case.peer_optimised, case.canonical), &case.wasm);
        match (ours, peer) {
            (Ok(()), Ok(())) => Outcome::Same,
            (Err(_), Err(_)) => Outcome::Refused,
            (Ok(()), Err(error)) => Outcome::Different("valid".to_owned(), format!("{error:#}")),
            (Err(error), Ok(())) => Outcome::Different(format!("{error:#}"), "valid".to_owned()),
        }
    }
}

/// The lines up to one, the last few of them.
fn part(lines: &[String], at: usize) -> String {
    lines[at.saturating_sub(6).min(lines.len())..lines.len().min(at + 1)].join("\n")
}
