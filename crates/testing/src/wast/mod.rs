//! Runs a specification script (`.wast`) and reports on each of its assertions.
//!
//! A script is a list of directives: modules to load, names to register, and assertions about calling, trapping,
//! refusing and linking. [`run`] takes them in order through the public interface of `hotfoot`. It never stops at the
//! first failure: a module that does not load fails every assertion that depends on it, and a panic of the engine
//! fails the directive that caused it.
//!
//! The language of scripts is described in
//! <https://github.com/WebAssembly/spec/tree/main/interpreter#scripts>.

mod expect;
mod runner;
mod spectest;
mod trap;
mod value;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hotfoot::Engine;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{Wast, WastDirective};

use crate::suite::panic_message;
use runner::Runner;

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Assertions in the script.
    pub assertions: usize,
    /// Assertions that hold.
    pub passed: usize,
    /// Directives that went wrong, in order: assertions, and also modules, registrations and calls.
    pub failures: Vec<Failure>,
}

/// A directive that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line on which the directive begins, counted from 1.
    pub line: usize,
    /// What went wrong, as a sentence.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.reason)
    }
}

impl Report {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// The report of a script that cannot be run at all: none of its assertions hold.
    pub fn of_unread(text: &str, line: usize, reason: String) -> Report {
        let assertions = text.matches("(assert_").count();
        Report { assertions, passed: 0, failures: vec![Failure { line, reason }] }
    }
}

/// Runs a script with an engine.
pub fn run(text: &str, engine: &Engine) -> Report {
    let unread = |error: wast::Error| {
        let line = error.span().linecol_in(text).0 + 1;
        Report::of_unread(text, line, format!("the script cannot be parsed: {}", error.message()))
    };
    let mut lexer = Lexer::new(text);
    // Names in the scripts use every odd character there is.
    lexer.allow_confusing_unicode(true);
    let buffer = match ParseBuffer::new_with_lexer(lexer) {
        Ok(buffer) => buffer,
        Err(error) => return unread(error),
    };
    match parser::parse::<Wast<'_>>(&buffer) {
        Ok(script) => run_directives(text, engine, script.directives),
        Err(error) => unread(error),
    }
}

fn run_directives(text: &str, engine: &Engine, directives: Vec<WastDirective<'_>>) -> Report {
    let mut report = Report::default();
    let mut runner = match Runner::new(engine) {
        Ok(runner) => runner,
        Err(error) => return Report::of_unread(text, 1, format!("the module `spectest` cannot be made: {error:#}")),
    };
    for directive in directives {
        let line = directive.span().linecol_in(text).0 + 1;
        let asserts = is_assertion(&directive);
        report.assertions += usize::from(asserts);
        let outcome = catch_unwind(AssertUnwindSafe(|| runner.directive(directive)))
            .unwrap_or_else(|panic| Err(format!("the engine panicked: {}", panic_message(&*panic))));
        match outcome {
            Ok(()) => report.passed += usize::from(asserts),
            Err(reason) => report.failures.push(Failure { line, reason }),
        }
    }
    report
}

fn is_assertion(directive: &WastDirective<'_>) -> bool {
    match directive {
        WastDirective::AssertMalformed { .. }
        | WastDirective::AssertInvalid { .. }
        | WastDirective::AssertInvalidCustom { .. }
        | WastDirective::AssertMalformedCustom { .. }
        | WastDirective::AssertTrap { .. }
        | WastDirective::AssertReturn { .. }
        | WastDirective::AssertExhaustion { .. }
        | WastDirective::AssertUnlinkable { .. }
        | WastDirective::AssertException { .. }
        | WastDirective::AssertSuspension { .. } => true,
        WastDirective::Module(_)
        | WastDirective::ModuleDefinition(_)
        | WastDirective::ModuleInstance { .. }
        | WastDirective::Register { .. }
        | WastDirective::Invoke(_)
        | WastDirective::Thread(_)
        | WastDirective::Wait { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> (usize, usize, Vec<usize>) {
        let report = run(text, &Engine::default());
        (report.assertions, report.passed, report.failures.iter().map(|failure| failure.line).collect())
    }

    const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "div") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
        (func (export "nan") (result f32) (f32.div (f32.const 0) (f32.const 0))))
    "#;

    #[test]
    fn assertions_that_hold_pass() {
        let script = format!(
            r#"{ADD}
            (assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i32.const 3))
            (assert_return (invoke "nan") (f32.const nan:canonical))
            (assert_return (invoke "nan") (either (f32.const 1) (f32.const nan:arithmetic)))
            (assert_trap (invoke "div" (i32.const 0)) "integer divide by zero")
            (assert_invalid (module (func i32.add)) "type mismatch")
            (assert_malformed (module quote "(func i32.ad)") "unknown operator")
            (assert_unlinkable (module (import "no" "thing" (func))) "unknown import")
            (assert_trap (module (func $f unreachable) (start $f)) "unreachable")
            "#
        );
        assert_eq!(lines(&script), (8, 8, vec![]));
    }

    #[test]
    fn assertions_that_do_not_hold_fail_each_with_its_line() {
        let script = format!(
            r#"{ADD}
            (assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i32.const 4))
            (assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i64.const 3))
            (assert_return (invoke "add" (i32.const 1)) (i32.const 3))
            (assert_return (invoke "absent"))
            (assert_return (invoke "nan") (f32.const 0))
            (assert_trap (invoke "div" (i32.const 1)) "integer divide by zero")
            (assert_trap (invoke "div" (i32.const 0)) "integer overflow")
            (assert_invalid (module) "type mismatch")
            (assert_malformed (module quote "(func)") "unknown operator")
            (assert_unlinkable (module) "unknown import")
            (assert_unlinkable (module (func $f unreachable) (start $f)) "unknown import")
            (assert_exhaustion (invoke "div" (i32.const 0)) "call stack exhausted")
            "#
        );
        assert_eq!(lines(&script), (12, 0, (5..17).collect()));
    }

    #[test]
    fn a_module_that_does_not_load_fails_what_depends_on_it() {
        let script = r#"(module $bad (func (export "f") (i32.add)))
            (assert_return (invoke "f"))
            (assert_return (invoke $bad "f"))
            (register "bad" $bad)
            (module (func (export "g")))
            (assert_return (invoke "g"))"#;
        assert_eq!(lines(script), (3, 1, vec![1, 2, 3, 4]));
    }

    #[test]
    fn instances_of_one_definition_are_apart() {
        let script = r#"(module definition $M (global (export "g") (mut i32) (i32.const 0))
              (func (export "set") (global.set 0 (i32.const 7))))
            (module instance $A $M)
            (module instance $B $M)
            (invoke $A "set")
            (assert_return (get $A "g") (i32.const 7))
            (assert_return (get $B "g") (i32.const 0))
            (assert_return (get "g") (i32.const 0))"#;
        assert_eq!(lines(script), (3, 3, vec![]));
    }

    #[test]
    fn a_script_that_cannot_be_parsed_fails_as_a_whole() {
        assert_eq!(lines("(module)\n(assert_return (invoke"), (1, 0, vec![2]));
    }
}
