//! Promise: nothing is lost in any interleaving. Worlds that a seed has drawn, played with a virtual clock.

use std::fs;
use std::path::Path;

use bridge::config::LambdaClient;
use sandbox::sim::{Campaign, Faults, Plan, Profile, play, run};

/// The everyday seeds; `cargo sim` plays as many as one likes.
const SEEDS: u64 = 200;
/// The worlds as they were when these seeds found their faults.
const PLAIN: Profile = Profile {
    broker: None,
    faults: Faults::Usual,
    several_filters: false,
    two_mappings: false,
    careless: false,
    strangers: false,
    two_brokers: false,
    plain: true,
};

#[test]
fn worlds_keep_every_promise() {
    let everyday = Campaign { first: 0, seeds: SEEDS, at_most: None, profile: Profile::default(), goes_on: true };
    let tally = play(everyday, |_| {});
    let broken: Vec<_> = tally.broken.iter().map(|(seed, violation)| format!("seed {seed}: {violation}")).collect();
    assert!(broken.is_empty(), "cargo sandbox sim --seed N --trace shows it:\n{}", broken.join("\n"));
    assert_eq!(tally.worlds, SEEDS);
    assert!(tally.messages > 200 * SEEDS && tally.faults > 5 * SEEDS, "idle worlds: {tally:?}");
}

/// Each was a fault of the bridge once. A record that the function had taken was given up with the one before it of its key
/// (12988, 14559), or counted as delivered though its answer was never published (11093). A retiring session unsubscribed though the
/// broker had no room: after a minute behind one slow message (8613), or as a PUBREL that came twice had freed two places (24685).
#[test]
fn seeds_that_found_a_fault_find_it_no_more() {
    for seed in [8_613, 11_093, 12_988, 14_559, 24_685] {
        for client in [LambdaClient::Sdk, LambdaClient::Lean] {
            let plan = Plan { client, ..Plan::draw(seed, PLAIN) };
            let violations = run(&plan).violations;
            assert!(violations.is_empty(), "seed {seed}, {client:?}: {violations:?}");
        }
    }
}

/// With something else in Lambda's place in every world: one part of a batch was given up at its first refusal, because another part had
/// been refused before (39); a message that a proxy refuses waited for ever, as the window was full behind it (662).
#[test]
fn seeds_with_strangers_that_found_a_fault_find_it_no_more() {
    for seed in [39, 662] {
        let violations = run(&Plan::draw(seed, Profile { strangers: true, ..Profile::default() })).violations;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    }
}

/// With devices that write text which MQTT forbids: copies of such a message differed by what was left of their life, so the second was
/// acknowledged under a packet identifier that another message had by then (224).
#[test]
fn seeds_with_careless_devices_that_found_a_fault_find_it_no_more() {
    let profile =
        Profile { careless: true, several_filters: true, two_mappings: true, two_brokers: true, ..Profile::default() };
    let violations = run(&Plan::draw(224, profile)).violations;
    assert!(violations.is_empty(), "{violations:?}");
}

/// With several filters in every world: a broker that calls each session new had kept messages that only one filter brings, which were
/// acknowledged as spare copies (37).
#[test]
fn seeds_with_several_filters_that_found_a_fault_find_it_no_more() {
    let violations = run(&Plan::draw(37, Profile { several_filters: true, ..Profile::default() })).violations;
    assert!(violations.is_empty(), "{violations:?}");
}

/// With two brokers in every world: a filter that a reload had removed stayed subscribed at the broker that was not connected then
/// (180), and a session that drained gave such a filter up though the broker's queue was full of its messages, which were dropped
/// (808). With several filters, too: a session that left for good took the only copy of a message for a spare one (1264).
#[test]
fn seeds_with_two_brokers_that_found_a_fault_find_it_no_more() {
    for seed in [180, 808] {
        let violations = run(&Plan::draw(seed, Profile { two_brokers: true, ..Profile::default() })).violations;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    }
    let overlapping = Profile { two_brokers: true, several_filters: true, ..Profile::default() };
    let violations = run(&Plan::draw(1_264, overlapping)).violations;
    assert!(violations.is_empty(), "{violations:?}");
}

/// A broker that answers pings before it sends what is queued: a session left while its queue waited, and lost it (3, 747); and a
/// copy that was the only one was taken for a spare one (1408 with several filters). One that sends again by a timer alone: after an
/// UNSUBSCRIBE that was lost with its connection the next one did not wait for that (678). After a pause a session took its queue for
/// empty, as nothing had come while it read nothing (61, 996).
#[test]
fn seeds_with_brokers_that_send_late_find_a_fault_no_more() {
    for (broker, seed) in [("nats", 3), ("nats", 678), ("nats", 747), ("activemq", 61), ("rumqttd", 996)] {
        let violations = run(&Plan::draw(seed, Profile { broker: Some(broker), ..Profile::default() })).violations;
        assert!(violations.is_empty(), "{broker}, seed {seed}: {violations:?}");
    }
    let violations = run(&Plan::draw(1_408, Profile { several_filters: true, ..Profile::default() })).violations;
    assert!(violations.is_empty(), "{violations:?}");
}

/// With the worlds of today: while a mapping drained, a message overtook an abandoned one of its key (92630); and a record that the
/// function had taken, with no answer left to publish, was given up with the one before it, as a later attempt had one (25195).
/// After a pause a session took it that the broker had had room meanwhile, and unsubscribed with its queue full (118779). Behind the
/// answer to its last PINGREQ a session did not wait for a message that came as late as that answer (289132).
#[test]
fn seeds_of_the_everyday_worlds_that_found_a_fault_find_it_no_more() {
    for seed in [25_195, 92_630, 118_779, 289_132] {
        let violations = run(&Plan::draw(seed, Profile::default())).violations;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    }
}

/// In each the bridge was right, and its judge was not: what a broker drops at UNSUBSCRIBE (4094), a dead letter on its way when a copy
/// is taken (2896), the order among copies in one event (45101), a copy that has become too old (79253), a silent connection
/// that one of two replicas notices (79819). With the worlds of today: an UNSUBSCRIBE that a black hole held back (202077), and answers
/// of a success before a failure (297966).
#[test]
fn seeds_that_were_judged_wrongly_are_clean() {
    let today = Profile::default();
    let plain = [2_896, 4_094, 45_101, 79_253, 79_819].map(|seed| (seed, PLAIN));
    for (seed, profile) in plain.into_iter().chain([(202_077, today), (297_966, today)]) {
        let violations = run(&Plan::draw(seed, profile)).violations;
        assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    }
}

#[test]
fn a_seed_is_played_again_event_for_event() {
    // With rotations and pauses: what many tasks are told at once they must be told in one order.
    for seed in [1, 20, 24, 41, 64, 150, 172, 19_138] {
        let plan = Plan::draw(seed, Profile::default());
        let (one, two) = (run(&plan).lines, run(&plan).lines);
        let differs = one.iter().zip(&two).position(|(one, two)| one != two);
        assert_eq!(differs.map(|at| (&one[at], &two[at])), None, "seed {seed}");
        assert_eq!(one.len(), two.len());
    }
}

/// `.ci/mutations` takes an hour, and is run by hand: at least each of its faults must still have its place.
#[test]
fn each_fault_for_the_simulation_to_find_has_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("sandbox/mutations.toml")).unwrap();
    let mutations = text.parse::<toml::Table>().unwrap()["mutation"].as_array().unwrap().clone();
    assert!(mutations.len() >= 20, "only {}", mutations.len());
    for mutation in mutations {
        let part = |name: &str| mutation[name].as_str().unwrap();
        let source = fs::read_to_string(root.join(part("file"))).unwrap();
        assert_eq!(source.matches(part("find")).count(), 1, "{}: in {}", part("name"), part("file"));
        assert_ne!(part("find"), part("put"), "{}", part("name"));
    }
}
