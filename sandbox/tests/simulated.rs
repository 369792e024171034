//! Promise: nothing is lost in any interleaving. Worlds that a seed has drawn, played with a virtual clock.

use sandbox::sim::{Plan, Profile, run};

/// The everyday seeds; `cargo sandbox sim` plays as many as one likes.
const SEEDS: u64 = 100;

#[test]
fn worlds_keep_every_promise() {
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        let plan = Plan::draw(seed, Profile::default());
        let outcome = run(&plan);
        for violation in &outcome.violations {
            broken.push(format!("seed {seed}: {violation}"));
        }
    }
    assert!(broken.is_empty(), "{} violations\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_seed_is_played_again_event_for_event() {
    for seed in [1, 2, 3] {
        let plan = Plan::draw(seed, Profile::default());
        let (one, two) = (run(&plan).lines, run(&plan).lines);
        let differs = one.iter().zip(&two).position(|(one, two)| one != two);
        assert_eq!(differs.map(|at| (&one[at], &two[at])), None, "seed {seed}");
        assert_eq!(one.len(), two.len());
    }
}
