//! Results of suites under each kind of engine, and the table that shows them.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::engines::EngineKind;
use crate::exceptions::Exceptions;
use crate::suite::Suite;
use crate::wast::Report;

/// What came of a suite under one kind of engine.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Scripts.
    pub files: usize,
    /// Scripts in which nothing went wrong but what is listed as an exception.
    pub files_passed: usize,
    /// Assertions in all scripts.
    pub assertions: usize,
    /// Assertions that hold.
    pub passed: usize,
    /// What is wrong, one sentence each, with the script's name.
    pub complaints: Vec<String>,
}

/// Runs all scripts of a suite, on all cores.
pub fn tally(suite: &Suite, kind: EngineKind, exceptions: &Exceptions) -> Tally {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(vec![Report::default(); suite.scripts.len()]);
    let work = || {
        while let Some((index, script)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            suite.scripts.get(index).map(|script| (index, script))
        } {
            let report = script.run(kind);
            reports.lock().expect("no thread panics while it holds this")[index] = report;
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut tally = Tally { files: suite.scripts.len(), ..Tally::default() };
    for (script, report) in suite.scripts.iter().zip(reports.into_inner().expect("all threads have ended")) {
        let complaints = exceptions.complaints(&suite.name, &script.name, &report);
        tally.files_passed += usize::from(complaints.is_empty());
        tally.assertions += report.assertions;
        tally.passed += report.passed;
        tally.complaints.extend(complaints.into_iter().map(|complaint| format!("{}: {complaint}", script.name)));
    }
    tally
}

/// A row for each suite, a column for each kind of engine.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<(String, Vec<Tally>)>,
}

impl Table {
    /// Adds a suite; tallies are in the order of [`EngineKind::ALL`].
    pub fn push(&mut self, suite: &Suite, tallies: Vec<Tally>) {
        self.rows.push((suite.name.clone(), tallies));
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| suite |");
        for kind in EngineKind::ALL {
            let _ = write!(text, " {0}: files | {0}: assertions |", kind.name());
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(2 * EngineKind::ALL.len()));
        text.push('\n');
        for (suite, tallies) in &self.rows {
            let _ = write!(text, "| {suite} |");
            for tally in tallies {
                let Tally { files, files_passed, assertions, passed, .. } = tally;
                let _ = write!(text, " {files_passed}/{files} | {passed}/{assertions} |");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use crate::suite::Script;

    #[test]
    fn a_table_counts_files_and_assertions() {
        let script =
            |name: &str, text: &'static str| Script { name: name.into(), text: text.into(), features: Features::ALL };
        let good = script("good.wast", "(assert_malformed (module quote \"(\") \"\")");
        let bad = script("bad.wast", "(assert_malformed (module quote \"(func)\") \"\")(assert_invalid (module) \"\")");
        let suite = Suite { name: "tiny".into(), required: true, scripts: vec![good, bad] };
        let tallies = EngineKind::ALL.map(|kind| tally(&suite, kind, &Exceptions::default()));
        assert_eq!(tallies[0].complaints.len(), 2);
        let mut table = Table::default();
        table.push(&suite, tallies.to_vec());
        assert!(table.markdown().contains("| tiny | 1/2 | 1/3 |"), "{}", table.markdown());
    }
}
