//! A process that answers a line with a line: how peers that are no library are measured in turns with those that are.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// See the module's documentation; it is ended when this is dropped.
pub struct Answering {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Answering {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Result<Answering> {
        let name = command.get_program().to_string_lossy().into_owned();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let questions = child.stdin.take().context("its input is not piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is not piped")?);
        Ok(Answering { child, questions, answers })
    }

    /// Asks for the next number.
    pub fn ask(&mut self, question: &str) -> Result<f64> {
        // In one piece: who reads it takes what there is for a line.
        self.questions.write_all(format!("{question}\n").as_bytes()).context("the process has ended")?;
        self.number()
    }

    /// Reads the next number, which nothing asked for.
    pub fn number(&mut self) -> Result<f64> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "the process has ended without an answer");
        let number: f64 = line.trim().parse().with_context(|| format!("no number: {line:?}"))?;
        ensure!(number.is_finite(), "the process could not do it");
        Ok(number)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
