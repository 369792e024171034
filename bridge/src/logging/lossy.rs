//! Writes log lines to their reader, with a thread of its own and a bounded queue. If the reader stalls, lines are lost
//! and counted, and the bridge never waits.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of lines that wait for a reader.
const MOST_BYTES: usize = 512 * 1024;

/// Takes lines and never waits. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lossy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is a line.
    some: Condvar,
    /// All are written.
    none: Condvar,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The size in bytes of those lines, and of the one that is being written.
    bytes: usize,
    /// Lost lines that no log line has reported yet.
    untold: u64,
}

impl Lossy {
    /// Writes there, for the life of the process.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(to: impl Write + Send + 'static, lost: Counter) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), some: Condvar::new(), none: Condvar::new(), lost };
        let lines = Self(Arc::new(shared));
        let writer = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.0.write(to))?;
        Ok(lines)
    }

    /// Waits until all lines are written; for so long at most.
    pub(super) fn flush(&self, patience: Duration) {
        let (begun, mut queue) = (Instant::now(), self.0.queue());
        while queue.bytes > 0 {
            let Some(rest) = patience.checked_sub(begun.elapsed()) else { return };
            queue = self.0.none.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.bytes + line.len() > MOST_BYTES {
            queue.untold += 1;
            self.lost.inc();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        self.some.notify_one();
    }

    fn write(&self, mut to: impl Write) {
        loop {
            let line = self.next();
            if to.write_all(&line).is_err() {
                self.lost.inc();
            }
            let lost = self.written(line.len());
            if lost > 0 {
                warn!(event = "log.lines_lost", lines = lost, "nobody read the log: lines were lost");
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                return line;
            }
            queue = self.some.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many lines were lost, once there is room to say so.
    fn written(&self, bytes: usize) -> u64 {
        let mut queue = self.queue();
        queue.bytes -= bytes;
        if queue.bytes == 0 {
            self.none.notify_all();
        }
        if queue.bytes <= MOST_BYTES / 2 { std::mem::take(&mut queue.untold) } else { 0 }
    }

    /// Locks, also after a panic elsewhere: nothing here is left half-written.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// One line, which comes in one piece.
pub(super) struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// A reader that takes a line only when told to.
    struct Slow {
        allowed: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(io::Error::other)?;
            self.read.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_the_lines_above_the_bound_and_nobody_waits() {
        let ((allow, allowed), (read, seen), lost) = (channel(), channel(), Counter::default());
        let lines = Lossy::start(Slow { allowed, read }, lost.clone()).unwrap();
        let line = [b'x'; 1024];
        let (fit, more) = (MOST_BYTES / line.len(), 7);
        for _ in 0..fit + more {
            lines.make_writer().write_all(&line).unwrap();
        }
        assert_eq!(lost.get(), more as u64);
        lines.flush(Duration::ZERO);
        for _ in 0..fit {
            allow.send(()).unwrap();
            assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), line);
        }
        lines.flush(PATIENCE);
        assert_eq!(lines.0.queue().bytes, 0);
        lines.make_writer().write_all(b"after").unwrap();
        allow.send(()).unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), b"after", "it goes on when it is read again");
        assert_eq!((lost.get(), lines.0.queue().untold), (more as u64, 0), "what was lost has been told");
    }

    #[test]
    fn a_reader_that_is_gone_costs_lines_and_nothing_else() {
        let ((allow, allowed), (read, _), lost) = (channel(), channel(), Counter::default());
        drop(allow);
        let lines = Lossy::start(Slow { allowed, read }, lost.clone()).unwrap();
        lines.make_writer().write_all(b"a").unwrap();
        lines.make_writer().write_all(b"b").unwrap();
        lines.flush(PATIENCE);
        assert_eq!((lost.get(), lines.0.queue().bytes), (2, 0));
    }
}
