//! Watches whether the broker keeps to the Receive Maximum that it was given (MQTT 5, 3.3.4-9). One that does not is borne
//! up to [`Settings::max_outstanding`], where reading stops: a DISCONNECT would only have it send the same again. Mosquitto
//! up to 2.0.12 is one.

use tracing::warn;

use super::Settings;
use crate::config::Protocol;
use crate::metrics::MappingMetrics;

/// Whether it was told. Once a session, whatever the connections.
#[derive(Debug, Default)]
pub(super) struct Overrun {
    told: bool,
}

impl Overrun {
    /// Counts a PUBLISH that came beyond the bound, with so many in flight.
    pub(super) fn watch(&mut self, in_flight: usize, settings: &Settings, metrics: &MappingMetrics) {
        let receive_maximum = settings.receive_maximum;
        if settings.protocol != Protocol::V5 || in_flight <= usize::from(receive_maximum) {
            return;
        }
        metrics.beyond_maximum.inc();
        if !std::mem::replace(&mut self.told, true) {
            warn!(
                event = "broker.exceeds_receive_maximum",
                mapping = settings.mapping,
                receive_maximum,
                in_flight,
                "the broker sends more than Receive Maximum allows; it is borne up to twice that, and told only once"
            );
        }
    }
}
