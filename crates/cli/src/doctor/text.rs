//! The report as plain text.

use std::time::Duration;

use super::start::Start;
use super::{Report, ending};

/// How wide the longest bar is.
const BAR_MAX: usize = 32;

/// One page of plain sentences.
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "{}: {} to the first output, {} from the second start on\n",
        report.program,
        time(report.first.total()),
        time(report.next.total())
    );
    if let Some(ending) = ending(&report.first.ended) {
        text.push_str(&format!("{ending}\n"));
    }
    text.push_str(&format!("Before that, the process itself takes {}.\n", time(report.process)));
    text.push_str(&table("The first start, nothing is in the cache", &report.first));
    text.push_str(&table("Every later start", &report.next));
    text.push_str("\nWhat would help\n");
    let (help, not): (Vec<_>, Vec<_>) = report.remedies.iter().partition(|remedy| remedy.helps());
    for remedy in &help {
        let after = remedy.after.unwrap_or_default();
        let percent = remedy.gain().as_secs_f64() / remedy.before.as_secs_f64().max(1e-9) * 100.0;
        text.push_str(&format!(
            "  {}: {} takes {} in place of {} ({percent:.0} % less). {}.\n",
            remedy.what,
            remedy.of,
            time(after),
            time(remedy.before),
            capitalized(&remedy.note)
        ));
    }
    if help.is_empty() {
        text.push_str("  Nothing that was tried.\n");
    }
    if !not.is_empty() {
        text.push_str("\nWhat would not\n");
    }
    for remedy in not {
        let measured = match remedy.after {
            Some(after) => format!("{} in place of {}", time(after), time(remedy.before)),
            None => remedy.note.clone(),
        };
        text.push_str(&format!("  {}: {measured}.\n", remedy.what));
    }
    text
}

fn table(heading: &str, start: &Start) -> String {
    let total = start.total();
    let mut text = format!("\n{heading}\n");
    for step in &start.steps {
        let share = step.time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        let bar = "█".repeat((share * BAR_MAX as f64).round() as usize);
        let faults = if step.faults > 0 { format!("{} page faults", step.faults) } else { String::new() };
        let line = format!("  {:<30}{:>10}  {bar:<BAR_MAX$}  {faults}", step.name, time(step.time));
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text.push_str(&format!("  {:<30}{:>10}  with {} calls to the host\n", "together", time(total), start.calls));
    text
}

/// `12.3 ms`, `45.6 µs`, `1.23 s`.
pub fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        0.0..1e3 => format!("{micros:.1} µs"),
        1e3..1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
