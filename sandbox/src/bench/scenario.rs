//! The scenarios by name: which cases each has. Pure.

use clap::ValueEnum;

use super::case::{Case, Contender, Incident, Inside, Load, Members};
use Contender::{Lean, Node, Python, Raw, Sdk, SdkLoop};

/// A scenario by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// A backlog, one message an invocation, by both clients for Lambda, over HTTPS too, and by a loop that only
    /// invokes.
    PerMessage,
    /// A backlog in batches of 10, 100 and 1,000; with a filter, an ordering key and a message id, each alone and
    /// together.
    Batches,
    /// 500 messages a second, one an invocation; beside it a subscriber that only acknowledges.
    IdleRate,
    /// Endpoints that take 5 and 20 milliseconds.
    Latency,
    /// Backlogs of 10,000, 100,000 and 300,000 messages, the publishers of `publishers`, and 500 messages a second.
    Sizes,
    /// 1, 10 and 50 publishers, as fast as they go, so that the bridge is saturated.
    Publishers,
    /// Payloads of 65 bytes, 1 KiB and 16 KiB, one an invocation and in batches of 100.
    Payloads,
    /// Over HTTP/1.1 and HTTPS/1.1. The bridge speaks no HTTP/2 to Lambda, by neither client (docs/performance.md,
    /// "What was tried").
    Https,
    /// One, two and three bridges on one shared subscription, one message an invocation and in batches of 100.
    Shared,
    /// One bridge with 1, 2 and 4 sessions on one shared subscription (`sessions = N`).
    Sessions,
    /// The bridge killed half way through a backlog; and a full window.
    Faults,
    /// The bridge beside Python and Node.
    Peers,
    /// What it costs to undo the compression of a payload; without broker and endpoint.
    Decompression,
    /// What the system calls of an invocation take by themselves: one write and one read over loopback, without HTTP,
    /// broker and endpoint.
    Exchange,
    /// All cases that the goals of docs/performance.md need.
    Goals,
    /// One message is not published: a run that must fail, and say which message count is short.
    #[value(hide = true)]
    Loss,
}

impl Scenario {
    /// Its cases, in the order they are played in.
    pub(super) fn cases(self) -> Vec<Case> {
        match self {
            Self::PerMessage => vec![PER_MESSAGE_SDK_LOOP, PER_MESSAGE, HTTPS, PER_MESSAGE_SDK],
            Self::Batches => batches(),
            Self::IdleRate => vec![IDLE_RATE.by(Raw), IDLE_RATE, IDLE_RATE.by(Sdk)],
            Self::Latency => {
                [FIVE_MILLISECONDS, TWENTY_MILLISECONDS].into_iter().flat_map(|case| [case, case.by(Sdk)]).collect()
            }
            Self::Sizes => {
                let sizes = [TEN_THOUSAND, HUNDRED_THOUSAND, THREE_HUNDRED_THOUSAND].into_iter();
                sizes.chain(publishers()).chain([IDLE_RATE]).collect()
            }
            Self::Publishers => publishers().into(),
            Self::Payloads => payloads(),
            Self::Https => vec![PER_MESSAGE, HTTPS, PER_MESSAGE_SDK, HTTPS.by(Sdk)],
            Self::Shared => shared([1, 2, 3].map(Members::Bridges)),
            Self::Sessions => shared([1, 2, 4].map(Members::Sessions)),
            Self::Faults => vec![KILLED, HELD],
            Self::Peers => vec![FIVE_MILLISECONDS, FIVE_MILLISECONDS.by(Sdk), ONE_BY_ONE, PYTHON, NODE],
            // These send no messages.
            Self::Decompression | Self::Exchange => Vec::new(),
            Self::Goals => goals(),
            Self::Loss => {
                let case = Case { incident: Incident::Withhold, ..Case::backlog(Lean, 1_000) };
                vec![case, case.by(Raw), Case { load: Load::Flood, ..case }]
            }
        }
    }
}

fn batches() -> Vec<Case> {
    let mut cases = vec![RAW, Case::batches(Lean, 100_000, 10), BATCHES, Case::batches(Lean, 100_000, 1000)];
    cases.extend([Inside::FILTER, Inside::KEY, Inside::ID].map(|inside| Case { inside, ..BATCHES }));
    cases.push(LOOKS_INSIDE);
    cases
}

fn publishers() -> [Case; 3] {
    [ONE_PUBLISHER, Case { publishers: 10, ..ONE_PUBLISHER }, FIFTY_PUBLISHERS]
}

/// The broker keeps all of a backlog in memory; so the largest is 160 MiB.
fn payloads() -> Vec<Case> {
    let sizes = [(65, 40_000), (1_024, 40_000), (16 * 1_024, 10_000)];
    let with = |batch| sizes.map(|(payload, messages)| Case { payload, ..Case::batches(Lean, messages, batch) });
    with(1).into_iter().chain(with(100)).collect()
}

fn shared(members: [Members; 3]) -> Vec<Case> {
    let cases = [HUNDRED_THOUSAND, Case::batches(Lean, 300_000, 100)];
    cases.into_iter().flat_map(|case| members.map(|members| Case { members, ..case })).collect()
}

fn goals() -> Vec<Case> {
    vec![
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
    ]
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
pub(super) const LOOKS_INSIDE: Case = Case { inside: Inside::ALL, ..BATCHES };
pub(super) const IDLE_RATE: Case = Case { load: Load::Rate(500.0), ..Case::backlog(Lean, 5_000) };
pub(super) const HELD: Case = Case { incident: Incident::Hold, ..Case::backlog(Lean, 65_000).at(3_600_000, 64) };
pub(super) const TEN_THOUSAND: Case = Case::backlog(Lean, 10_000);
pub(super) const HUNDRED_THOUSAND: Case = Case::backlog(Lean, 100_000);
pub(super) const THREE_HUNDRED_THOUSAND: Case = Case::backlog(Lean, 300_000);
// Saturated: below that, a bridge's CPU is mostly its wake-ups, and more publishers at one rate mean fewer of them. And
// while it runs: in a backlog nobody can tell who has published.
pub(super) const ONE_PUBLISHER: Case = Case { load: Load::Flood, ..Case::backlog(Lean, 100_000) };
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
                assert!(
                    !cases[..index]
                        .iter()
                        .any(|other| other.to_string() == case.to_string() && other.contender == case.contender),
                    "{scenario:?}: {case}"
                );
            }
        }
    }
    /// docs/performance.md names the command of each of its tables, and all scenarios.
    #[test]
    fn the_page_and_the_scenarios_name_each_other() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md")).unwrap();
        let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(text.len());
        for (at, flag) in page.match_indices("--scenario ") {
            let rest = &page[at + flag.len()..];
            let name = &rest[..end(rest)];
            assert!(Scenario::from_str(name, false).is_ok(), "`{name}` is no scenario");
        }
        for value in Scenario::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
            let named =
                ["`", "--scenario "].iter().any(|before| page.contains(&format!("{before}{}", value.get_name())));
            assert_eq!(named, !value.is_hide_set(), "{}", value.get_name());
        }
    }
}
