//! The report as a page: one file of HTML, with a waterfall of each start.

use std::fmt::Write as _;
use std::time::Duration;

use super::remedy::Remedy;
use super::start::Start;
use super::text::{capitalized, time};
use super::{Report, ending};

const HEAD: &str = include_str!("head.html");

/// The page.
pub fn page(report: &Report) -> String {
    let mut page = HEAD.replace("@PROGRAM@", &escaped(&report.program));
    let (first, next) = (time(report.first.total()), time(report.next.total()));
    let mut line = |text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{text}");
    };
    line(&format!("<h1>{}</h1>", escaped(&report.program)));
    line(&format!("<p class=lead><b>{first}</b> to the first output, <b>{next}</b> from the second start on."));
    if let Some(ending) = ending(&report.first.ended) {
        line(&escaped(&ending));
    }
    line(&format!("The process itself takes {} before that.</p>", time(report.process)));
    let longest = report.first.total().max(report.next.total());
    line(&waterfall("The first start, nothing is in the cache", &report.first, longest));
    line(&waterfall("Every later start", &report.next, longest));
    line("<h2>What would help</h2>");
    let (help, not): (Vec<_>, Vec<_>) = report.remedies.iter().partition(|remedy| remedy.helps());
    help.iter().for_each(|remedy| line(&comparison(remedy)));
    if help.is_empty() {
        line("<p>Nothing that was tried.</p>");
    }
    if !not.is_empty() {
        line("<h2>What would not</h2><ul>");
    }
    for remedy in &not {
        let measured = match remedy.after {
            Some(after) => format!("{} in place of {}", time(after), time(remedy.before)),
            None => remedy.note.clone(),
        };
        line(&format!("<li>{}: {}.</li>", escaped(&remedy.what), escaped(&measured)));
    }
    if !not.is_empty() {
        line("</ul>");
    }
    let repetitions = Report::REPETITIONS;
    line(&format!(
        "<footer>Each number is from the median of up to {repetitions} starts on this machine, in one process; the program got an \
         empty standard input and was stopped when it first wrote something. Made by hotfoot {}.</footer>",
        env!("CARGO_PKG_VERSION")
    ));
    line("</body>\n</html>");
    page
}

/// The steps of a start, each beginning where the one before ended.
fn waterfall(heading: &str, start: &Start, longest: Duration) -> String {
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / longest.as_secs_f64().max(1e-9);
    let mut rows = String::new();
    let mut at = Duration::ZERO;
    for step in &start.steps {
        let faults = if step.faults > 0 { format!("{} page faults", step.faults) } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(
            rows,
            "<div class=step><span>{}</span><span class=track><i style=\"left:{:.3}%;width:{:.3}%\"></i></span><b>{}</b><em>{faults}</em></div>",
            escaped(step.name),
            percent(at),
            percent(step.time),
            time(step.time),
        );
        at += step.time;
    }
    let total = time(start.total());
    format!(
        "<h2>{heading}: {total}</h2>\n<section>{rows}</section>\n<p>The program called the host {} times.</p>",
        start.calls
    )
}

/// Two bars: without a remedy and with it.
fn comparison(remedy: &Remedy) -> String {
    let after = remedy.after.unwrap_or_default();
    let share = 100.0 * after.as_secs_f64() / remedy.before.as_secs_f64().max(1e-9);
    format!(
        "<article><h3>{}</h3><p>{} takes {} in place of {}, {:.0} % less. {}.</p>\
         <div class=track><i class=before style=\"width:100%\"></i></div><div class=track><i style=\"width:{share:.3}%\"></i></div></article>",
        escaped(&remedy.what),
        capitalized(remedy.of),
        time(after),
        time(remedy.before),
        100.0 - share,
        escaped(&capitalized(&remedy.note)),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::start::{Ended, Step};

    #[test]
    fn names_and_messages_cannot_become_markup() {
        let step = Step { name: "compile", time: Duration::from_millis(1), faults: 2 };
        let start = Start { steps: vec![step], calls: 1, ended: Ended::Failed("<b>".to_owned()) };
        let remedy = Remedy {
            what: "<i>".to_owned(),
            of: "every later start",
            before: Duration::from_millis(2),
            after: Some(Duration::from_millis(1)),
            note: "<u>".to_owned(),
        };
        let report = Report {
            program: "<script>".to_owned(),
            process: Duration::ZERO,
            first: start.clone(),
            next: start,
            remedies: vec![remedy],
        };
        let page = page(&report);
        for markup in ["<script>", "<b>.", "<i>", "<u>"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(page.contains("50 % less") && page.contains("1.00 ms in place of 2.00 ms"), "{page}");
    }
}
