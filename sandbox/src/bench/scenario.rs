//! The scenarios by name: which cases each has. Pure.

use clap::ValueEnum;

use super::case::{Case, Contender, Incident};
use Contender::{Lean, Node, Python, Raw, Sdk, SdkLoop};

/// A scenario by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// A backlog, one message an invocation.
    PerMessage,
    /// A backlog in batches of 10, 100 and 1,000, with filter, key and id too.
    Batches,
    /// 500 messages a second, one an invocation; beside it a subscriber that only acknowledges.
    IdleRate,
    /// Endpoints that take 5 and 20 milliseconds.
    Latency,
    /// Backlogs of 10,000, 100,000 and 300,000 messages; 1, 10 and 50 publishers.
    Sizes,
    /// Over HTTP and HTTPS.
    Https,
    /// One, two and three bridges on one shared subscription, one message an invocation and in batches of 100.
    Shared,
    /// Killed half way, and a full window.
    Faults,
    /// The bridge beside Python and Node.
    Peers,
    /// Everything that a goal needs.
    Goals,
}

impl Scenario {
    /// Its cases, in the order they are played in.
    pub(super) fn cases(self) -> Vec<Case> {
        match self {
            Self::PerMessage => vec![PER_MESSAGE_SDK_LOOP, PER_MESSAGE, PER_MESSAGE_SDK],
            Self::Batches => {
                vec![RAW, Case::batches(Lean, 100_000, 10), BATCHES, Case::batches(Lean, 100_000, 1000), LOOKS_INSIDE]
            }
            Self::IdleRate => {
                vec![Case { contender: Raw, ..IDLE_RATE }, IDLE_RATE, Case { contender: Sdk, ..IDLE_RATE }]
            }
            Self::Latency => {
                vec![
                    FIVE_MILLISECONDS,
                    Case { contender: Sdk, ..FIVE_MILLISECONDS },
                    TWENTY_MILLISECONDS,
                    Case { contender: Sdk, ..TWENTY_MILLISECONDS },
                ]
            }
            Self::Sizes => vec![
                TEN_THOUSAND,
                HUNDRED_THOUSAND,
                THREE_HUNDRED_THOUSAND,
                ONE_PUBLISHER,
                Case { publishers: 10, ..ONE_PUBLISHER },
                FIFTY_PUBLISHERS,
            ],
            Self::Https => vec![PER_MESSAGE, HTTPS, Case { https: true, ..PER_MESSAGE_SDK }],
            Self::Shared => {
                let members = |case: Case| (1..=3).map(move |members| case.shared_by(members));
                members(HUNDRED_THOUSAND).chain(members(THREE_HUNDRED_THOUSAND_IN_BATCHES)).collect()
            }
            Self::Faults => vec![KILLED, HELD],
            Self::Peers => {
                vec![FIVE_MILLISECONDS, Case { contender: Sdk, ..FIVE_MILLISECONDS }, ONE_BY_ONE, PYTHON, NODE]
            }
            Self::Goals => vec![
                PER_MESSAGE_SDK_LOOP,
                PER_MESSAGE,
                PER_MESSAGE_SDK,
                HTTPS,
                FIVE_MILLISECONDS,
                ONE_BY_ONE,
                PYTHON,
                NODE,
                RAW,
                BATCHES,
                LOOKS_INSIDE,
                IDLE_RATE,
                HELD,
                TEN_THOUSAND,
                HUNDRED_THOUSAND,
                THREE_HUNDRED_THOUSAND,
                ONE_PUBLISHER,
                FIFTY_PUBLISHERS,
                KILLED,
                TWENTY_MILLISECONDS,
            ],
        }
    }
}

// The cases that goals name.
pub(super) const PER_MESSAGE: Case = Case::backlog(Lean, 40_000);
pub(super) const PER_MESSAGE_SDK: Case = Case::backlog(Sdk, 40_000);
pub(super) const PER_MESSAGE_SDK_LOOP: Case = Case::backlog(SdkLoop, 40_000);
pub(super) const HTTPS: Case = Case { https: true, ..PER_MESSAGE };
pub(super) const FIVE_MILLISECONDS: Case = Case::backlog(Lean, 40_000).at(5, 256);
pub(super) const ONE_BY_ONE: Case = Case::backlog(Python(1), 1_000).at(5, 1);
pub(super) const PYTHON: Case = Case::backlog(Python(32), 5_000).at(5, 32);
pub(super) const NODE: Case = Case::backlog(Node(64), 10_000).at(5, 64);
pub(super) const RAW: Case = Case::batches(Raw, 100_000, 100);
pub(super) const BATCHES: Case = Case::batches(Lean, 100_000, 100);
pub(super) const LOOKS_INSIDE: Case = Case { looks_inside: true, ..BATCHES };
pub(super) const IDLE_RATE: Case = Case { rate: Some(500.0), ..Case::backlog(Lean, 5_000) };
pub(super) const HELD: Case = Case { incident: Incident::Hold, ..Case::backlog(Lean, 65_000).at(3_600_000, 64) };
pub(super) const TEN_THOUSAND: Case = Case::backlog(Lean, 10_000);
pub(super) const HUNDRED_THOUSAND: Case = Case::backlog(Lean, 100_000);
pub(super) const THREE_HUNDRED_THOUSAND: Case = Case::backlog(Lean, 300_000);
const THREE_HUNDRED_THOUSAND_IN_BATCHES: Case = Case::batches(Lean, 300_000, 100);
pub(super) const ONE_PUBLISHER: Case = Case { rate: Some(2_000.0), ..Case::backlog(Lean, 10_000) };
pub(super) const FIFTY_PUBLISHERS: Case = Case { publishers: 50, ..ONE_PUBLISHER };
pub(super) const KILLED: Case = Case { incident: Incident::Kill, ..Case::batches(Lean, 20_000, 10).at(20, 16) };
pub(super) const TWENTY_MILLISECONDS: Case = Case::backlog(Lean, 20_000).at(20, 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scenario_plays_a_case_twice() {
        for scenario in Scenario::value_variants() {
            let cases = scenario.cases();
            for (index, case) in cases.iter().enumerate() {
                assert!(!cases[..index].contains(case), "{scenario:?}: {case}");
            }
        }
    }
}
