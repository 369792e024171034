//! The output of function processes, line by line, in bounded memory. Never prints it to the terminal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::broadcast;

use super::lock;

/// Longer lines are broken, as CloudWatch breaks them.
const LONGEST_LINE: u64 = 256 * 1024;

/// One line of a function's stdout or stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The function.
    pub function: Arc<str>,
    /// The process that wrote it.
    pub pid: u32,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// A handle on the last lines that all function processes wrote.
#[derive(Debug, Clone)]
pub struct Output {
    lines: Arc<Mutex<VecDeque<Line>>>,
    capacity: usize,
    live: broadcast::Sender<Line>,
}

impl Output {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lines: Arc::default(), capacity, live: broadcast::Sender::new(1_024) }
    }

    /// The last lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// Each line from now on. A reader that is 1,024 lines behind loses the oldest and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Line> {
        self.live.subscribe()
    }

    /// Takes lines from `pipe` until it closes. Never stops reading: a full pipe would stop the function.
    pub(super) async fn capture(self, function: Arc<str>, pid: u32, pipe: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            self.push(Line { function: Arc::clone(&function), pid, text });
            line.clear();
        }
    }

    fn push(&self, line: Line) {
        // An error means that nobody listens.
        let _ = self.live.send(line.clone());
        let mut lines = lock(&self.lines);
        lines.push_back(line);
        while lines.len() > self.capacity {
            lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_last_lines_and_breaks_endless_ones() {
        let output = Output::new(3);
        let mut written = b"one\ntwo\r\nthree \xff\n".to_vec();
        written.resize(written.len() + usize::try_from(LONGEST_LINE).unwrap() + 5, b'x');
        output.clone().capture("f".into(), 7, &written[..]).await;
        let lines = output.lines();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].text, "three \u{fffd}");
        assert_eq!(lines[2].text, "xxxxx");
    }
}
