//! The machine that measures, as its kernel describes it (`/proc`, so Linux alone).

use std::fmt;
use std::fs::read_to_string;

use serde::Serialize;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in super::super) struct Machine {
    pub(in super::super) cpu: String,
    /// That this process may use.
    pub(in super::super) cores: usize,
    pub(in super::super) kernel: String,
    /// Processes that ran or waited when it began, over the last minute: above 0 there was other work.
    pub(in super::super) load: Option<f64>,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path: &str| read_to_string(path).unwrap_or_default();
        Self {
            cpu: model(&read("/proc/cpuinfo")).unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
        }
    }
}

/// The name of its first core; Arm's kernels say none.
fn model(cpus: &str) -> Option<&str> {
    let line = cpus.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores, {}", self.cpu, self.cores, self.kernel)?;
        self.load.map_or(Ok(()), |load| write!(f, ", load {load} at the start"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_has_a_name_or_none() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), Some("Some CPU @ 2 GHz"));
        assert_eq!(model("processor\t: 0\nBogoMIPS\t: 243.75\n"), None);
    }
}
