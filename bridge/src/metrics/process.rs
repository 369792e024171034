//! Metrics of this process from the operating system, under the names that all Prometheus clients use. Reads `/proc` on
//! request, and shows nothing if it does not exist.

use std::fs;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// When this process started, as far as the metrics know.
static STARTED: OnceLock<SystemTime> = OnceLock::new();

/// This process, as the operating system sees it.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// When the bridge in it began.
    pub started: SystemTime,
    /// The memory that it occupies, in bytes.
    pub resident_bytes: Option<u64>,
    /// Its open file descriptors, sockets among them.
    pub open_descriptors: Option<u64>,
    /// How many it may have.
    pub max_descriptors: Option<u64>,
}

impl Process {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let kibibytes = |file, field| number(&fs::read_to_string(file).ok()?, field);
        Self {
            started: *STARTED.get_or_init(SystemTime::now),
            resident_bytes: kibibytes("/proc/self/status", "VmRSS:").map(|kib| kib * 1024),
            // Less the descriptor of this very directory.
            open_descriptors: fs::read_dir("/proc/self/fd").ok().map(|all| (all.count() as u64).saturating_sub(1)),
            max_descriptors: kibibytes("/proc/self/limits", "Max open files"),
        }
    }
}

/// The first number behind the name of a field.
fn number(text: &str, field: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// Shows it in the metrics.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let process = Process::now();
        let started = process.started.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        let shown = [
            ("process_start_time", Some(Unit::Seconds), "When the process started, as a Unix time.", started),
            (
                "process_resident_memory",
                Some(Unit::Bytes),
                "The memory that the process occupies.",
                process.resident_bytes,
            ),
            ("process_open_fds", None, "Open file descriptors, sockets among them.", process.open_descriptors),
            ("process_max_fds", None, "How many file descriptors the process may have open.", process.max_descriptors),
        ];
        for (name, unit, help, value) in shown {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let status = "VmPeak:\t  9 kB\nVmRSS:\t   18432 kB\n";
        assert_eq!(number(status, "VmRSS:"), Some(18_432));
        assert_eq!(
            number("Max open files            1024                 4096                 files\n", "Max open files"),
            Some(1024)
        );
        assert_eq!(
            number("Max open files            unlimited            unlimited            files\n", "Max open files"),
            None
        );
        assert_eq!(number(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_descriptor_more_is_seen() {
        let before = Process::now();
        assert!(before.resident_bytes.unwrap() > 100_000, "{before:?}");
        // Other tests open and close files meanwhile, but never as many as these at once.
        let held: Vec<_> = (0..64).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(Process::now().open_descriptors.unwrap() > before.open_descriptors.unwrap() + 32);
        drop(held);
    }
}
