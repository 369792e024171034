//! Metrics of TLS: what connections agreed on, when certificates expire, and the results of renewals.

use std::time::SystemTime;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The TLS metrics of one bridge. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TlsMetrics {
    connections: Family<AgreedLabels, Counter>,
    expires: Family<PartLabels, Gauge>,
    renewals: Family<RenewalLabels, Counter>,
    files_refused: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgreedLabels {
    version: String,
    suite: String,
    group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    of: &'static str,
}

/// The parts that can end.
const PARTS: [&str; 3] = ["certificate", "authority", "revocation_list"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabels {
    result: &'static str,
}

impl TlsMetrics {
    /// A connection that the broker has accepted, and what its handshake agreed on.
    pub fn connected(&self, version: String, suite: String, group: String) {
        self.connections.get_or_create(&AgreedLabels { version, suite, group }).inc();
    }

    /// When the first of that part ends.
    pub fn expires(&self, of: &'static str, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.expires.get_or_create(&PartLabels { of }).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// When the first of each part ends, as Unix times; without those that have no end.
    #[must_use]
    pub fn ends(&self) -> Vec<(&'static str, u64)> {
        let end = |of| Some((of, u64::try_from(self.expires.get(&PartLabels { of })?.get()).ok()?));
        PARTS.into_iter().filter_map(end).collect()
    }

    /// A new set of files, taken into use or refused.
    pub fn renewed(&self, taken: bool) {
        let result = if taken { "renewed" } else { "refused" };
        self.renewals.get_or_create(&RenewalLabels { result }).inc();
    }

    /// Whether the files on disk could be used.
    pub fn files_good(&self, good: bool) {
        self.files_refused.set(i64::from(!good));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_connections",
            "Connections that the broker has accepted, by what their handshake agreed on",
            self.connections.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expires_timestamp",
            "When the first certificate of ours, authority or revocation list ends",
            Unit::Seconds,
            self.expires.clone(),
        );
        registry.register("tls_renewals", "New sets of TLS files, taken into use or refused", self.renewals.clone());
        registry.register(
            "tls_files_refused",
            "Whether the TLS files on disk are bad, so that older ones are in use",
            self.files_refused.clone(),
        );
    }
}
