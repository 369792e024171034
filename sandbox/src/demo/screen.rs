//! The terminal of a demo: remarks, and the block below them.

use std::io::{self, IsTerminal, Write};

use tokio::sync::mpsc;

use crate::report::{Report, Snapshot, Style};
use crate::scene::Heard;

/// Where a demo is shown.
pub struct Terminal {
    /// The terminal, or what stands for it.
    pub out: Box<dyn Write + Send>,
    /// Block or lines.
    pub style: Style,
    /// Whether more than remarks is shown.
    pub live: bool,
}

impl Terminal {
    /// Standard error. Nobody watches there when the result is `json` for a program, unless it is a terminal.
    #[must_use]
    pub fn stderr(json: bool) -> Self {
        let out = io::stderr();
        Self { style: Style::detect(&out), live: !json || out.is_terminal(), out: Box::new(out) }
    }
}

/// The terminal, with what is said above the block.
pub(super) struct Screen {
    report: Report<Box<dyn Write + Send>>,
    remarks: mpsc::Receiver<String>,
    /// Commands that hubs have heard; `None` in a scene without any.
    heard: Option<Heard>,
    live: bool,
}

impl Screen {
    pub(super) fn new(terminal: Terminal, title: &str, remarks: mpsc::Receiver<String>) -> Self {
        let Terminal { out, style, live } = terminal;
        Self { report: Report::new(out, style, title), remarks, heard: None, live }
    }

    /// Shows and counts these commands from now on.
    pub(super) fn hear(&mut self, heard: Heard) {
        self.heard = Some(heard);
    }

    /// How many commands hubs have heard.
    pub(super) fn commands(&self) -> Option<u64> {
        self.heard.as_ref().map(Heard::count)
    }

    pub(super) fn say(&mut self, remark: &str) -> io::Result<()> {
        self.report.say(remark)
    }

    pub(super) fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        while let Ok(remark) = self.remarks.try_recv() {
            self.say(&remark)?;
        }
        while let Some(command) = self.heard.as_mut().and_then(Heard::told) {
            self.say(&command)?;
        }
        // Asked each time, as a window may change while it is watched.
        if let Some((_, columns)) = console::Term::stderr().size_checked() {
            self.report.fit(columns.into());
        }
        if self.live { self.report.show(snapshot) } else { Ok(()) }
    }
}
