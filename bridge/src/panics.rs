//! Logs the place of a panic, and its message only if that is a literal of this crate. Another crate may put the
//! request or a header into its message, and so may an `unwrap` of ours on that crate's error. Catches nothing.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{Location, PanicHookInfo};

use tracing::{dispatcher, error};

use crate::logging;

/// From now on panics are written so: as a line of the log, or on standard error before there is one.
pub fn install() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let said = words(panic.payload(), panic.location());
    // Names of functions and lines alone.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if dispatcher::has_been_set() {
        error!(event = "process.panicked", at, backtrace, "panicked: {said}");
        // The process may end now.
        logging::flush();
    } else {
        let _ = writeln!(std::io::stderr(), "error: panicked at {at}: {said}\n{}", backtrace.unwrap_or_default());
    }
}

/// The words of a panic, when nobody can have put anything into them.
fn words<'a>(payload: &'a (dyn Any + Send), at: Option<&Location<'_>>) -> &'a str {
    let ours = at.is_some_and(|at| at.file().starts_with("bridge/src/"));
    payload.downcast_ref::<&'static str>().copied().filter(|_| ours).unwrap_or("its words are not shown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_of_this_crate_are_shown() {
        let here = Location::caller();
        let literal: Box<dyn Any + Send> = Box::new("a literal");
        let written: Box<dyn Any + Send> = Box::new(String::from("with data"));
        assert_eq!(words(&*literal, Some(here)), "a literal");
        assert_eq!(words(&*written, Some(here)), "its words are not shown");
        assert_eq!(words(&*literal, None), "its words are not shown");
    }
}
