//! Shows an address in the user's browser. Never waits for it.

use std::env;
use std::process::{Command, Stdio};

/// Programs that show an address, by habit of the system.
const PROGRAMS: [&str; 3] = ["xdg-open", "open", "wslview"];

/// Shows `url` with the program of the variable `BROWSER`, or with what the system has. False when nothing could be
/// started.
pub(super) fn in_browser(url: &str) -> bool {
    let said = env::var("BROWSER").ok().filter(|program| !program.is_empty());
    let programs = said.iter().map(String::as_str).chain(PROGRAMS);
    programs.into_iter().any(|program| start(program, url))
}

fn start(program: &str, url: &str) -> bool {
    // The browser's output would break the screen.
    let started =
        Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = started else { return false };
    // Waited for aside, so that it is not left as a zombie; a browser may run for as long as its window.
    std::thread::spawn(move || child.wait());
    true
}
