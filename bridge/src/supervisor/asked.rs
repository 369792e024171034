//! The requests and orders that a running bridge accepts. Changes nothing by itself.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::Bridge;
use crate::admin::{Standing, Watched};
use crate::metrics::Metrics;
use crate::mqtt::{Status, TlsError};

impl Bridge {
    /// Where the admin endpoint listens.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Reads the TLS files again, now, as [`LiveTls::renew`](crate::mqtt::LiveTls::renew) says.
    ///
    /// # Errors
    /// When the files cannot be used; then those from before stay in use.
    pub async fn renew_tls(&self) -> Result<bool, TlsError> {
        match &self.tls {
            Some(tls) => tls.renew().await,
            None => Ok(false),
        }
    }

    /// Holds a mapping, or lets it go. False when there is none of the name.
    #[must_use]
    pub fn pause(&self, mapping: &str, paused: bool) -> bool {
        let all = self.watched.borrow();
        all.iter().find(|watched| watched.mapping == mapping).and_then(|watched| watched.hold(paused)).is_some()
    }

    /// Has the whole bridge leave for good: [`Bridge::tend`] sees to it, and returns when it is done.
    pub fn ask_to_retire(&self) {
        self.retire.send_replace(true);
    }

    /// All numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How long a stop may take, as configured now.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        self.config.drain_timeout
    }

    /// Returns once the bridge was ready, as `/readyz` judges it: within a second of that. Holds nothing of the bridge.
    pub fn started(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut started = self.started.subscribe();
        async move {
            if started.wait_for(|started| *started).await.is_err() {
                // The bridge has ended and will never start.
                std::future::pending::<()>().await;
            }
        }
    }

    /// How it stands, in a few words, and whenever that changes.
    #[must_use]
    pub fn headline(&self) -> watch::Receiver<String> {
        self.headline.subscribe()
    }

    /// Returns once every mapping of now is subscribed, whether its function takes invocations or not. Holds nothing of
    /// the bridge.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let all = self.watched.borrow().clone();
        async move {
            for watched in all.into_iter().filter(|watched| watched.standing != Standing::Retires) {
                let mut session = watched.session;
                // An error means that the session, and with it the bridge, has ended.
                let _ = session.wait_for(Status::is_ready).await;
            }
        }
    }

    /// Why it is not ready, a line a mapping.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.watched.borrow().iter().filter_map(Watched::trouble).collect()
    }
}
