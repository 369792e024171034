//! Waits until nothing waits any more, and judges the world then.

use std::time::Duration;

use tokio::time::Instant;

use super::{REST_WITHIN, Stage};
use crate::sim::chance::Chance;
use crate::sim::mapping::Mapping;
use crate::sim::process::Numbers;
use crate::sim::{oracle, settings};

/// How many more messages there may be to show that the world works again, one after the other, and what stands before their
/// numbers.
const MORE_PROBES: u64 = 30;
const LATER: u64 = 1_000;
/// How often a broker is brought back to what waits there for nobody.
const VISITS: u32 = 6;

impl Stage<'_> {
    /// Waits until nothing waits any more.
    pub(super) async fn rest(&mut self) -> bool {
        if self.plan.moods.blocked_every > 0 {
            // Only others that pass show which message a proxy refuses.
            for more in 1..=MORE_PROBES {
                if self.until(Self::is_at_rest, Duration::from_mins(10)).await {
                    return true;
                }
                let mut chance = Chance::of(self.plan.seed, 13);
                self.publish(self.plan.messages + LATER + more, &mut chance);
            }
            let held = self.record.held();
            if self.plan.dry_runs && !held.is_empty() {
                self.record.violated("held", format!("{held:?} wait, though others passed since their first attempt"));
            }
            self.cloud.let_all_pass();
        }
        if self.plan.brokers.is_some() {
            for _ in 0..VISITS {
                if self.until(Self::is_at_rest, Duration::from_mins(10)).await {
                    return true;
                }
                self.sites.bring_back(Duration::from_mins(5));
            }
        }
        self.until(Self::is_at_rest, REST_WITHIN).await
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed() >= self.sessions() * self.plan.replicas
    }

    /// How many a process has.
    fn sessions(&self) -> usize {
        self.plan.sessions * self.mappings().len()
    }

    fn mappings(&self) -> &'static [Mapping] {
        Mapping::all(self.plan.two_mappings)
    }

    /// How many sessions hold the filters that they have to hold.
    pub(super) fn subscribed(&self) -> usize {
        let filters = |mapping: &Mapping| settings::filters(self.plan, *mapping, self.without).0;
        self.mappings().iter().map(|mapping| self.sites.subscribed(*mapping, &filters(mapping))).sum()
    }

    /// Whether a session holds a filter that it has to give up.
    fn holds_former(&self) -> bool {
        let filters = |mapping: &Mapping| settings::filters(self.plan, *mapping, self.without).1;
        self.mappings().iter().any(|mapping| self.sites.holds_any(*mapping, &filters(mapping)))
    }

    fn is_at_rest(&self) -> bool {
        self.sites.are_empty()
            && !self.holds_former()
            && self.is_subscribed()
            && self.record.waiting().is_empty()
            && self.starts.iter().all(Option::is_none)
            && self.processes.iter().all(Option::is_some)
    }

    pub(super) async fn judge(&mut self, rested: bool) {
        oracle::nothing_lost(&self.record);
        oracle::no_needless_invocations(&self.record);
        if !rested {
            let waiting = self.record.waiting().len();
            let what =
                format!("after {REST_WITHIN:?}: {waiting} wait, the broker is empty: {}", self.sites.are_empty());
            self.record.violated("rest", what);
            return;
        }
        // What the broker has dropped may still run, and an acknowledgement be on its way.
        let begun = Instant::now();
        loop {
            self.sleep_until(Instant::now() + Duration::from_mins(2)).await;
            let busy = self.busy().await;
            if busy.is_none() {
                return oracle::rotated(&self.record, self.rotated, self.sites.oldest_connection());
            }
            if begun.elapsed() >= REST_WITHIN {
                return oracle::at_rest(&self.record, busy);
            }
        }
    }

    /// The numbers of a process that holds something.
    async fn busy(&self) -> Option<Numbers> {
        for process in self.processes.iter().flatten() {
            let numbers = process.look().await;
            if numbers.is_some_and(|numbers| !numbers.are_at_rest(self.sessions())) {
                return numbers;
            }
        }
        None
    }
}
