//! A panic is one log line. Alone in its file because a panic hook belongs to the whole process.

use std::io;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};

use lambda_handler::logging::{Format, log_panic, subscriber};
use serde_json::Value;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_one_line_whatever_its_message() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = subscriber(Format::Json, None, move || writer.clone());
    tracing::subscriber::with_default(log, || {
        set_hook(Box::new(log_panic));
        let caught = catch_unwind(|| panic!("device {}", "a\n{\"level\":\"INFO\"}"));
        drop(take_hook());
        assert!(caught.is_err());
    });
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["reason"], "device a\n{\"level\":\"INFO\"}");
    assert!(line["location"].as_str().unwrap().contains("panic_line.rs"), "{line}");
}
