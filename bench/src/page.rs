//! The results as one HTML page that needs nothing but itself: plots are elements placed by percentages, so they fit
//! any width; colours follow the reader's light or dark setting.
//!
//! ```text
//!               0.5×      1×        2×        4×          a logarithmic axis; right of 1× hotfoot is better
//!  row name      ┆        │     ├──●──┤        ┆  2.1×    dot: the median ratio; line: its quartiles; one for each peer
//! ```

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::machine;
use crate::table::{Row, Spread, Table, Unit};

/// Ratios at which an axis may have a line.
const TICKS: [f64; 17] =
    [0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0, 8192.0, 32768.0];

/// All results of one run of the command.
#[derive(Serialize)]
pub struct Report {
    command: String,
    date: String,
    machine: Vec<(&'static str, String)>,
    seconds: f64,
    pub failures: Vec<String>,
    pub tables: Vec<Table>,
    #[serde(skip)]
    started: Instant,
}

impl Report {
    /// Of the command with these arguments, without tables.
    pub fn new(arguments: Vec<String>) -> Report {
        let command = format!("cd bench && cargo run --release -- {}", arguments.join(" "));
        Report {
            command: command.trim_end_matches([' ', '-']).into(),
            date: machine::date(),
            machine: machine::describe(),
            seconds: 0.0,
            failures: Vec::new(),
            tables: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Notes how long it took.
    pub fn finish(&mut self) {
        self.seconds = self.started.elapsed().as_secs_f64();
    }

    /// The page.
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>hotfoot, measured</title>\n\
             <style>\n{}</style>\n<main>\n<h1>hotfoot, measured</h1>\n{INTRODUCTION}",
            include_str!("page.css")
        );
        page += "<dl class=\"machine\">";
        let duration = format!("{:.0} s, begun {} UTC", self.seconds, self.date);
        let command = [("command", self.command.clone()), ("duration", duration)];
        for (label, value) in command.iter().chain(&self.machine) {
            let _ = write!(page, "<dt>{label}</dt><dd>{}</dd>", escape(value));
        }
        page += "</dl>\n";
        for failure in &self.failures {
            let _ = writeln!(page, "<p class=\"failure\">failed: {}</p>", escape(failure));
        }
        overview(&mut page, &self.tables);
        for table in &self.tables {
            section(&mut page, table);
        }
        page += "</main>\n</html>\n";
        page
    }
}

const INTRODUCTION: &str = "<p>Each dot is the median of how many times better hotfoot is than a peer: \
    <strong>right of 1× hotfoot is better</strong>, left of it the peer. The line through it spans the middle half of the \
    ratios, which are of samples taken in turns in one process. The axes are logarithmic. Below each plot are the medians \
    themselves; they depend on the machine, the ratios much less.</p>\n";

/// What is in a line of a plot.
struct Line {
    /// In HTML.
    name: String,
    /// A colour's class and what it shows; nothing where a peer has no place.
    dots: Vec<(usize, Option<Spread>)>,
}

/// The colour of a column that is the `at`th to compare with: the same for a peer in all tables.
fn colour(name: &str, at: usize) -> usize {
    match name {
        "V8" => 1,
        "native" => 2,
        "wasmi" => 3,
        "Wasmtime baseline" => 4,
        _ => at,
    }
}

/// Of each table and peer the geometric mean, between the lowest and the highest of the table's medians.
fn overview(page: &mut String, tables: &[Table]) {
    let mut lines = Vec::new();
    for table in tables {
        for (at, peer) in table.peers().enumerate() {
            let medians = || table.rows.iter().filter_map(|row| table.ratio(row, peer)).map(|ratio| ratio.median);
            let Some(median) = table.mean_ratio(peer).or_else(|| medians().next()) else { continue };
            let (low, high) = (medians().fold(median, f64::min), medians().fold(median, f64::max));
            let column = &table.columns[peer].name;
            let name =
                format!("<a href=\"#{}\">{}</a> <small>{}</small>", id(table), escape(&table.name), escape(column));
            lines.push(Line { name, dots: vec![(colour(column, at), Some(Spread { low, median, high }))] });
        }
    }
    page.push_str(
        "<section class=\"glance\"><h2>at a glance</h2><p>each table\u{2019}s geometric mean, from its worst row to its best</p>\n",
    );
    plot(page, &lines);
    let alone: Vec<&Table> = tables.iter().filter(|table| table.peers().next().is_none()).collect();
    if !alone.is_empty() {
        page.push_str("<p class=\"alone\">without peers: ");
        for table in alone {
            let _ = write!(page, "<a href=\"#{}\">{}</a> ", id(table), escape(&table.name));
        }
        page.push_str("</p>");
    }
    page.push_str("</section>\n");
}

fn id(table: &Table) -> String {
    escape(&table.name).replace(' ', "-").replace(',', "")
}

/// One table: its plot, if there are peers, and its numbers.
fn section(page: &mut String, table: &Table) {
    let _ =
        writeln!(page, "<section id=\"{}\"><h2>{}</h2><p>{}</p>", id(table), escape(&table.name), escape(&table.title));
    let peers: Vec<usize> = table.peers().collect();
    if !peers.is_empty() {
        page.push_str("<ul class=\"legend\">");
        for (at, peer) in peers.iter().enumerate() {
            let column = &table.columns[*peer];
            let mean =
                table.mean_ratio(*peer).map_or(String::new(), |mean| format!(" · geometric mean {}", ratio_text(mean)));
            let colour = colour(&column.name, at);
            let _ = write!(page, "<li class=\"p{colour}\"><b>{}</b>{mean}</li>", escape(&column.name));
        }
        page.push_str("</ul>\n");
        let dots = |row: &Row| {
            let dot = |(at, peer): (usize, &usize)| (colour(&table.columns[*peer].name, at), table.ratio(row, *peer));
            peers.iter().enumerate().map(dot).collect()
        };
        let lines = table.rows.iter().map(|row| Line { name: escape(&row.name), dots: dots(row) });
        plot(page, &lines.collect::<Vec<_>>());
    }
    numbers(page, table, peers.is_empty());
}

/// Medians, settings and notes, to be unfolded or not.
fn numbers(page: &mut String, table: &Table, open: bool) {
    let open = if open { " open" } else { "" };
    let _ = write!(
        page,
        "<details{open}><summary>medians and settings</summary>\n<div class=\"wide\"><table><tr><th></th>"
    );
    for column in &table.columns {
        let _ = write!(page, "<th>{}</th>", escape(&column.name));
    }
    page.push_str("</tr>\n");
    for row in &table.rows {
        let _ = write!(page, "<tr><th>{}</th>", escape(&row.name));
        for samples in &row.samples {
            let _ = write!(page, "<td>{}</td>", cell(table.unit, samples));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n<ul>");
    for column in table.columns.iter().filter(|column| !column.settings.is_empty()) {
        let _ = write!(page, "<li>{}: {}</li>", escape(&column.name), escape(&column.settings));
    }
    for note in &table.notes {
        let _ = write!(page, "<li>{}</li>", escape(note));
    }
    page.push_str("</ul></details></section>\n");
}

/// A median, and as a hint its quartiles.
fn cell(unit: Unit, samples: &[f64]) -> String {
    let Some(Spread { low, median, high }) = Spread::of(samples) else { return "—".into() };
    format!(
        "<span title=\"{} – {} of {}\">{}</span>",
        unit.show(low),
        unit.show(high),
        samples.len(),
        unit.show(median)
    )
}

/// Lines of ratios on a common axis.
fn plot(page: &mut String, lines: &[Line]) {
    let all = || lines.iter().flat_map(|line| &line.dots).filter_map(|(_, ratio)| *ratio);
    let low = all().map(|ratio| ratio.low).fold(0.5, f64::min) / 1.1;
    let high = all().map(|ratio| ratio.high).fold(2.0, f64::max) * 1.1;
    let place = |ratio: f64| 100.0 * (ratio.max(low) / low).ln() / (high / low).ln();
    let ticks = ticks(low, high);
    let peers = lines.iter().map(|line| line.dots.len()).max().unwrap_or(0);
    let _ = write!(page, "<div class=\"plot\" style=\"--peers:{peers}\">");
    page.push_str("<div class=\"row axis\"><div class=\"name\"></div><div class=\"track\">");
    for tick in &ticks {
        let _ = write!(page, "<span style=\"left:{:.2}%\">{tick}×</span>", place(*tick));
    }
    page.push_str("</div><div class=\"value\"></div></div>\n");
    for line in lines {
        let _ = write!(page, "<div class=\"row\"><div class=\"name\">{}</div><div class=\"track\">", line.name);
        for tick in &ticks {
            let class = if *tick == 1.0 { "tick one" } else { "tick" };
            let _ = write!(page, "<i class=\"{class}\" style=\"left:{:.2}%\"></i>", place(*tick));
        }
        for (at, (colour, ratio)) in line.dots.iter().enumerate() {
            let Some(Spread { low, median, high }) = *ratio else { continue };
            let (from, to, top) = (place(low), place(high), (at as f64 + 0.5) * 100.0 / line.dots.len() as f64);
            let _ = write!(
                page,
                "<i class=\"p{colour} span\" style=\"left:{from:.2}%;width:{:.2}%;top:{top:.0}%\"></i>\
                 <i class=\"p{colour} dot\" style=\"left:{:.2}%;top:{top:.0}%\" title=\"{} ({}–{})\"></i>",
                to - from,
                place(median),
                ratio_text(median),
                ratio_text(low),
                ratio_text(high),
            );
        }
        page.push_str("</div><div class=\"value\">");
        for (colour, ratio) in &line.dots {
            let shown = ratio.map_or("—".into(), |ratio| ratio_text(ratio.median));
            let _ = write!(page, "<b class=\"p{colour}\">{shown}</b>");
        }
        page.push_str("</div></div>\n");
    }
    page.push_str("</div>\n");
}

/// Where an axis has lines: at 1 and around it, as many as have room on a phone.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let inside: Vec<f64> = TICKS.into_iter().filter(|tick| (low..high).contains(tick)).collect();
    let step = inside.len().div_ceil(8).max(1);
    let one = inside.iter().position(|tick| *tick == 1.0).unwrap_or(0);
    inside.iter().enumerate().filter(|(at, _)| at % step == one % step).map(|(_, tick)| *tick).collect()
}

fn ratio_text(ratio: f64) -> String {
    let digits = if ratio < 10.0 {
        2
    } else if ratio < 100.0 {
        1
    } else {
        0
    };
    format!("{ratio:.digits$}×")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_row_and_nothing_from_elsewhere() {
        let mut table = Table::new("calls", "a <b>", Unit::Nanoseconds).ours("us", "").peer("them", "best & fast");
        table.row("i32 → i32", [vec![1.0, 1.0], vec![2.0, 3.0]]);
        table.row("only ours", [vec![1.0], vec![]]);
        let mut report = Report::new(vec!["--quick".into()]);
        report.tables.push(table);
        let html = report.html();
        for expected in ["i32 → i32", "only ours", "a &lt;b&gt;", "best &amp; fast", "2.00×", "--quick", "dark"] {
            assert!(html.contains(expected), "{expected}");
        }
        for forbidden in ["http", "<script", "url(", "@import"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }
}
