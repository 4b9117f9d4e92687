//! The committed list of assertions that contradict a later rule: `tests/spec-exceptions.txt`.
//!
//! One a line: suite, file, line of the assertion, reason. `#` begins a comment. The list must stay exact: a listed
//! assertion that holds is as much a failure as an unlisted one that does not.

use crate::wast::Report;

/// One assertion that is expected to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Name of the suite.
    pub suite: String,
    /// Path of the script in the suite.
    pub file: String,
    /// Line on which the directive begins, counted from 1.
    pub line: usize,
    /// Why it contradicts what holds now.
    pub reason: String,
}

/// The whole list.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(Vec<Exception>);

impl Exceptions {
    /// The list of this repository.
    ///
    /// # Errors
    /// When a line of it cannot be read.
    pub fn committed() -> Result<Exceptions, String> {
        Exceptions::parse(include_str!("../../../tests/spec-exceptions.txt"))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When a line lacks a part or gives no number for the line.
    pub fn parse(text: &str) -> Result<Exceptions, String> {
        let mut list = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad =
                || format!("line {} of the list of exceptions is not `SUITE FILE LINE REASON`: {line}", number + 1);
            let mut words = line.splitn(4, char::is_whitespace);
            let mut word = || words.next().filter(|word| !word.is_empty()).ok_or_else(bad);
            let (suite, file, at, reason) = (word()?.into(), word()?.into(), word()?, word()?.trim().into());
            list.push(Exception { suite, file, line: at.parse().map_err(|_| bad())?, reason });
        }
        Ok(Exceptions(list))
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = &Exception> {
        self.0.iter()
    }

    /// Entries of one file.
    pub fn of<'a>(&'a self, suite: &'a str, file: &'a str) -> impl Iterator<Item = &'a Exception> {
        self.0.iter().filter(move |entry| entry.suite == suite && entry.file == file)
    }

    /// What is wrong with the report of a file, in sentences: nothing, when the list and the failures agree.
    pub fn complaints(&self, suite: &str, file: &str, report: &Report) -> Vec<String> {
        let listed: Vec<usize> = self.of(suite, file).map(|entry| entry.line).collect();
        let unlisted = report.failures.iter().filter(|failure| !listed.contains(&failure.line));
        let mut complaints: Vec<String> = unlisted.map(ToString::to_string).collect();
        let holds = |line: &&usize| report.failures.iter().all(|failure| failure.line != **line);
        complaints.extend(listed.iter().filter(holds).map(|line| {
            format!("line {line}: is listed as an exception but holds; remove it from tests/spec-exceptions.txt")
        }));
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wast::Failure;

    #[test]
    fn complains_about_what_is_not_listed_and_about_what_is_listed_in_vain() {
        let list = Exceptions::parse("# why\ns f.wast 3 a later rule\n\ns f.wast 5 another rule\n").unwrap();
        let failure = |line| Failure { line, reason: "broken".into() };
        let report = Report { assertions: 9, passed: 7, failures: vec![failure(3), failure(4)] };
        let complaints = list.complaints("s", "f.wast", &report);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("line 4:") && complaints[1].starts_with("line 5:"));
        assert_eq!(list.complaints("s", "other.wast", &report).len(), 2);
    }

    #[test]
    fn refuses_a_line_that_lacks_a_part() {
        assert!(Exceptions::parse("s f.wast 3").is_err());
        assert!(Exceptions::parse("s f.wast three because").is_err());
    }

    #[test]
    fn the_committed_list_can_be_read() {
        Exceptions::committed().unwrap();
    }
}
