//! What a fleet costs a month: terraform/prices.json is the list, with its source and date. Broker, function's table
//! and logs are not in it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::size::Fleet;

const LIST: &str = include_str!("../../../terraform/prices.json");
const HOURS: f64 = 730.0;
const SECONDS: f64 = HOURS * 3600.0;
/// Of a replica: one vCPU, and memory in GB.
const MEMORY: f64 = 2.0;

#[derive(Debug, Deserialize)]
pub(super) struct Prices {
    prices: BTreeMap<String, Price>,
}

#[derive(Debug, Deserialize)]
struct Price {
    usd: f64,
}

/// In dollars.
#[derive(Debug, Clone, Copy)]
pub(super) struct Month {
    pub(super) lambda: f64,
    pub(super) replicas: f64,
}

impl Month {
    pub(super) fn all(&self) -> f64 {
        self.lambda + self.replicas
    }
}

impl Prices {
    pub(super) fn known() -> Result<Self, serde_json::Error> {
        serde_json::from_str(LIST)
    }

    /// A price that is not in the list makes the sum no number.
    fn of(&self, name: &str) -> f64 {
        self.prices.get(name).map_or(f64::NAN, |price| price.usd)
    }

    /// With a function of so many GB.
    pub(super) fn month(&self, fleet: &Fleet, gigabytes: f64) -> Month {
        let invocations = fleet.invocations() * SECONDS;
        let seconds = invocations * fleet.load.invocation * gigabytes;
        let lambda = invocations / 1e6 * self.of("lambda_million_requests") + seconds * self.of("lambda_gb_second");
        let replica = self.of("fargate_vcpu_hour") + MEMORY * self.of("fargate_gb_hour");
        Month { lambda, replicas: f64::from(fleet.replicas) * replica * HOURS }
    }
}
