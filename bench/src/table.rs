//! What every benchmark returns: a table of samples.
//!
//! ```text
//!  Table "calls", nanoseconds     hotfoot          Wasmtime 48 (peer)
//!  i32 → i32                      [9.1, 9.0, …]    [21.0, 20.4, …]       sample n of each was taken right after the other
//!                                 median 9.0       median 20.6           ratio: median and quartiles of sample by sample
//! ```
//!
//! Samples of one row that were taken in turns are compared pair by pair: what disturbs the machine for a while disturbs
//! both, and the ratio stays. A ratio above 1 says that hotfoot, the first column, is so many times better.

use serde::Serialize;

use crate::progress;

/// What the numbers of a table are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Time of one operation; less is better.
    Nanoseconds,
    /// Size; less is better.
    Bytes,
    /// Operations a second; more is better.
    PerSecond,
    /// How many of something that the table names; less is better.
    Count,
    /// A ratio to something that the table names; less is better.
    Times,
}

impl Unit {
    /// A number of this unit, for people.
    pub fn show(self, value: f64) -> String {
        let scaled = |steps: &[(f64, &str)]| {
            let (factor, name) = steps.iter().copied().rev().find(|(factor, _)| value >= *factor).unwrap_or(steps[0]);
            let digits = if value / factor < 10.0 {
                2
            } else if value / factor < 100.0 {
                1
            } else {
                0
            };
            format!("{:.digits$} {name}", value / factor)
        };
        match self {
            Unit::Nanoseconds => scaled(&[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")]),
            Unit::Bytes => scaled(&[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB")]),
            Unit::PerSecond => scaled(&[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")]),
            Unit::Count if value < 1e3 => format!("{value:.0}"),
            Unit::Count => scaled(&[(1e3, "k"), (1e6, "M"), (1e9, "G")]),
            Unit::Times => format!("{value:.2}×"),
        }
    }
}

/// What a column is to the first one, which is hotfoot's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// hotfoot in some setting.
    Ours,
    /// Something that hotfoot is compared with.
    Peer,
}

/// Who was measured, and with which settings.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    pub name: String,
    pub settings: String,
    pub role: Role,
}

/// One thing that was measured, with the samples of each column; none where a column cannot do it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub samples: Vec<Vec<f64>>,
}

/// See the module's documentation.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub name: String,
    pub title: String,
    pub unit: Unit,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

/// A median and the quartiles around it.
#[derive(Copy, Clone, Debug, Serialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// Of samples in any order; none of none.
    pub fn of(samples: &[f64]) -> Option<Spread> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (last, at) = (sorted.len().checked_sub(1)?, |place: usize| sorted[place]);
        Some(Spread { low: at(last / 4), median: at(last / 2), high: at(last - last / 4) })
    }
}

impl Table {
    /// A table without columns or rows. Tables of one benchmark have different names.
    pub fn new(name: impl Into<String>, title: impl Into<String>, unit: Unit) -> Table {
        let (columns, rows, notes) = (Vec::new(), Vec::new(), Vec::new());
        Table { name: name.into(), title: title.into(), unit, columns, rows, notes }
    }

    /// Adds a column of hotfoot's.
    pub fn ours(self, name: &str, settings: &str) -> Table {
        self.column(name, settings, Role::Ours)
    }

    /// Adds a column to compare with.
    pub fn peer(self, name: &str, settings: &str) -> Table {
        self.column(name, settings, Role::Peer)
    }

    fn column(mut self, name: &str, settings: &str, role: Role) -> Table {
        self.columns.push(Column { name: name.into(), settings: settings.into(), role });
        self
    }

    /// Adds a sentence that belongs below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a row: the samples of each column, in order.
    pub fn row(&mut self, name: impl Into<String>, samples: impl Into<Vec<Vec<f64>>>) {
        let row = Row { name: name.into(), samples: samples.into() };
        assert_eq!(row.samples.len(), self.columns.len(), "row {}: one list of samples a column", row.name);
        progress::row(&self.name, &row.name);
        self.rows.push(row);
    }

    /// The columns to compare with, by index.
    pub fn peers(&self) -> impl Iterator<Item = usize> {
        (1..self.columns.len()).filter(|column| self.columns[*column].role == Role::Peer)
    }

    /// How many times better hotfoot is than the column's, sample by sample where they are pairs.
    pub fn ratio(&self, row: &Row, column: usize) -> Option<Spread> {
        let (ours, peer) = (&row.samples[0], &row.samples[column]);
        let better = |ours: f64, peer: f64| if self.unit == Unit::PerSecond { ours / peer } else { peer / ours };
        if ours.len() == peer.len() {
            let ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| better(*ours, *peer)).collect();
            return Spread::of(&ratios).filter(|ratio| ratio.median.is_finite());
        }
        let median = better(Spread::of(ours)?.median, Spread::of(peer)?.median);
        Some(Spread { low: median, median, high: median }).filter(|_| median.is_finite())
    }

    /// The geometric mean of a column's ratios, if it has several.
    pub fn mean_ratio(&self, column: usize) -> Option<f64> {
        let ratios: Vec<f64> = self.rows.iter().filter_map(|row| self.ratio(row, column)).map(|r| r.median).collect();
        (ratios.len() > 1).then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
    }

    /// The table as text.
    pub fn text(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(16);
        let mut text = format!("\n{} — {}\n{:width$}", self.name, self.title, "");
        let cell = |shown: String| format!("  {shown:>18}");
        for column in &self.columns {
            text += &cell(column.name.clone());
        }
        for column in self.peers() {
            text += &format!("  {:>22}", format!("{} ÷", self.columns[column].name));
        }
        text += "\n";
        for row in &self.rows {
            text += &format!("{:width$}", row.name);
            for samples in &row.samples {
                text += &cell(Spread::of(samples).map_or("—".into(), |spread| self.unit.show(spread.median)));
            }
            for column in self.peers() {
                let ratio = self.ratio(row, column);
                let shown = ratio.map_or("—".into(), |r| format!("{:.2}× ({:.2}–{:.2})", r.median, r.low, r.high));
                text += &format!("  {shown:>22}");
            }
            text += "\n";
        }
        for column in self.peers() {
            if let Some(mean) = self.mean_ratio(column) {
                text += &format!("{} ÷ hotfoot, geometric mean: {mean:.2}×\n", self.columns[column].name);
            }
        }
        for note in &self.notes {
            text += &format!("  {note}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_pairs_and_above_one_where_ours_is_better() {
        let mut time = Table::new("t", "", Unit::Nanoseconds).ours("a", "").peer("b", "");
        // The second pair was taken while the machine was four times slower.
        time.row("r", [vec![10.0, 40.0, 10.0], vec![20.0, 80.0, 20.0]]);
        assert_eq!(time.ratio(&time.rows[0], 1).unwrap().high, 2.0);
        assert_eq!(time.ratio(&time.rows[0], 1).unwrap().low, 2.0);
        let mut rate = Table::new("t", "", Unit::PerSecond).ours("a", "").peer("b", "");
        rate.row("r", [vec![30.0], vec![10.0]]);
        rate.row("s", [vec![10.0], vec![]]);
        assert_eq!(rate.ratio(&rate.rows[0], 1).unwrap().median, 3.0);
        assert!(rate.ratio(&rate.rows[1], 1).is_none());
        assert!(rate.mean_ratio(1).is_none());
    }

    #[test]
    fn quartiles_of_few_samples_are_the_outermost() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 3.0));
        assert!(Spread::of(&[]).is_none());
    }

    #[test]
    fn numbers_are_shown_in_the_unit_that_suits_them() {
        assert_eq!(Unit::Nanoseconds.show(9.512), "9.51 ns");
        assert_eq!(Unit::Nanoseconds.show(12_345.0), "12.3 µs");
        assert_eq!(Unit::Bytes.show(2048.0), "2.00 KiB");
        assert_eq!(Unit::Nanoseconds.show(0.25), "0.25 ns");
        assert_eq!(Unit::Count.show(7.0), "7");
    }
}
