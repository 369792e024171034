//! What one run of one client has shown, and both side by side. Pure.

use std::fmt;

use serde::Serialize;

/// One client in one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) client: &'static str,
    pub(super) messages: u64,
    pub(super) invocations: u64,
    /// More than were published: delivered twice.
    pub(super) duplicates: u64,
    pub(super) per_second: f64,
    /// User and system time of the bridge alone.
    pub(super) cpu_us_per_message: f64,
    /// Its memory at the end, and at most.
    pub(super) resident_mib: f64,
    pub(super) peak_mib: f64,
    /// From publication to invocation; of a backlog, mostly the time that it lay there.
    pub(super) p50_us: u64,
    pub(super) p90_us: u64,
    pub(super) p99_us: u64,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) scenario: &'static str,
    pub(super) broker: String,
    pub(super) latency_ms: f64,
    pub(super) concurrency: u32,
    pub(super) batch: u32,
    pub(super) figures: Vec<Figures>,
}

impl Report {
    /// CPU a message of the lean client by that of the SDK's, medians.
    pub(super) fn cpu_ratio(&self) -> Option<f64> {
        let median = |client| {
            let of_it = self.figures.iter().filter(|figures| figures.client == client);
            let mut costs: Vec<_> = of_it.map(|figures| figures.cpu_us_per_message).collect();
            costs.sort_by(f64::total_cmp);
            costs.get(costs.len() / 2).copied()
        };
        Some(median("lean")? / median("sdk").filter(|sdk| *sdk > 0.0)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, broker, latency_ms, concurrency, batch, .. } = self;
        writeln!(f, "{scenario}: {broker}, endpoint {latency_ms} ms, concurrency {concurrency}, batches of {batch}")?;
        writeln!(
            f,
            "{:<6}{:>10}{:>9}{:>10}{:>9}{:>9}{:>10}{:>10}{:>10}{:>6}",
            "client", "messages", "msg/s", "CPU µs/m", "RSS MiB", "peak", "p50 µs", "p90 µs", "p99 µs", "twice"
        )?;
        for one in &self.figures {
            writeln!(
                f,
                "{:<6}{:>10}{:>9.0}{:>10.1}{:>9.1}{:>9.1}{:>10}{:>10}{:>10}{:>6}",
                one.client,
                one.messages,
                one.per_second,
                one.cpu_us_per_message,
                one.resident_mib,
                one.peak_mib,
                one.p50_us,
                one.p90_us,
                one.p99_us,
                one.duplicates
            )?;
        }
        match self.cpu_ratio() {
            Some(ratio) => write!(f, "CPU a message, lean by sdk: {ratio:.2}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(client: &'static str, cpu_us_per_message: f64) -> Figures {
        Figures {
            client,
            messages: 10,
            invocations: 10,
            duplicates: 0,
            per_second: 1.0,
            cpu_us_per_message,
            resident_mib: 1.0,
            peak_mib: 1.0,
            p50_us: 1,
            p90_us: 1,
            p99_us: 1,
        }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let of = |costs: &[(&'static str, f64)]| Report {
            scenario: "per-message",
            broker: "b".into(),
            latency_ms: 0.0,
            concurrency: 1,
            batch: 1,
            figures: costs.iter().map(|(client, cost)| figures(client, *cost)).collect(),
        };
        let three = of(&[("sdk", 40.0), ("lean", 10.0), ("sdk", 90.0), ("lean", 11.0), ("sdk", 44.0), ("lean", 30.0)]);
        assert_eq!(three.cpu_ratio(), Some(0.25));
        assert!(three.to_string().ends_with("lean by sdk: 0.25"), "{three}");
        assert_eq!(of(&[("sdk", 40.0)]).cpu_ratio(), None);
        assert_eq!(of(&[]).cpu_ratio(), None);
    }
}
