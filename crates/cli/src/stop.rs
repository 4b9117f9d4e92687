//! Stopping a program from outside: when its time is up, and when a person presses Ctrl-C.
//!
//! The guest leaves by a trap, so everything of ours ends as it would after any other: files are closed, and what was
//! asked for is written. A second Ctrl-C ends the process there and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hotfoot::{InterruptHandle, Store, Trap};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::ui;

/// What `timeout` of the system's own tools returns.
const EXIT_TIMEOUT: i32 = 124;
/// What a shell reports for a process that a signal ended is this and the signal's number.
const EXIT_SIGNAL: i32 = 128;

/// Who may stop the program.
pub struct Stop {
    timeout: Option<Duration>,
    /// The signal that a person sent, 0 before.
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// Lets the program of a store be stopped, after so long and by signals.
    pub fn watch<T>(store: &mut Store<T>, timeout: Option<Duration>) -> Result<Stop> {
        store.set_timeout(timeout)?;
        let handle = store.interrupt_handle()?;
        let signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for Ctrl-C")?;
        let signal = Arc::new(AtomicI32::new(0));
        let heard = signal.clone();
        let listener = std::thread::Builder::new().name("signals".into()).stack_size(64 << 10);
        listener
            .spawn(move || listen(signals, &heard, &handle))
            .context("cannot start the thread that hears Ctrl-C")?;
        Ok(Stop { timeout, signal })
    }

    /// Reports how a guest ended that did not return, and gives the exit code for it.
    pub fn report_guest_end(&self, error: &anyhow::Error, program: &str) -> i32 {
        let signal = self.signal.load(Ordering::SeqCst);
        let (code, why) = match (error.downcast_ref::<Trap>(), signal, self.timeout) {
            (Some(Trap::Interrupt), 0, Some(timeout)) => {
                (EXIT_TIMEOUT, format!("it ran longer than {timeout:?}, its --timeout"))
            }
            (Some(Trap::Interrupt), SIGINT, _) => (EXIT_SIGNAL + SIGINT, "Ctrl-C was pressed".to_owned()),
            (Some(Trap::Interrupt), SIGTERM, _) => (EXIT_SIGNAL + SIGTERM, "the process was asked to end".to_owned()),
            _ => return ui::report_guest_end(error, program),
        };
        ui::say(&format!("{program} was stopped: {why}{}", ui::backtrace(error)));
        code
    }
}

fn listen(mut signals: Signals, heard: &AtomicI32, handle: &InterruptHandle) {
    for signal in &mut signals {
        if heard.swap(signal, Ordering::SeqCst) != 0 {
            std::process::exit(EXIT_SIGNAL + signal);
        }
        handle.interrupt();
    }
}
