//! A mapping at work: `concurrency` lanes that take deliveries from one queue and bring each to its outcome. Knows
//! nothing of connections and acknowledges nothing.

mod batch;
mod lane;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config;
use crate::dead_letter::Destination;
use crate::delivery::Delivery;
use crate::lambda::Client;
use crate::metrics::MappingMetrics;
use crate::shutdown::Listener;
use batch::Batches;
use lane::Lane;

/// What the lanes of one mapping share.
#[derive(Debug)]
pub struct Mapping {
    /// As configured.
    pub settings: config::Mapping,
    /// Invokes its function.
    pub client: Client,
    /// Where messages go that the function will not have; without one they are tried for ever.
    pub destination: Option<Destination>,
    /// What it counts.
    pub metrics: MappingMetrics,
    /// Set while Lambda refuses every invocation until somebody mends the configuration.
    pub fault: watch::Sender<Option<String>>,
}

impl Mapping {
    /// Starts its lanes. They end when the queue is closed and empty.
    pub fn start(self, queue: mpsc::Receiver<Delivery>, shutdown: &Listener, lanes: &mut JoinSet<()>) {
        let batches = Arc::new(Batches::new(queue, &self.settings.batch));
        let mapping = Arc::new(self);
        for _ in 0..mapping.settings.concurrency {
            lanes.spawn(Lane::new(mapping.clone(), shutdown.clone()).run(batches.clone()));
        }
    }
}
