//! Makes a world that breaks a promise smaller, as long as it still breaks the same promise: fewer faults, and fewer
//! other features. Each omission has a name, so that the smaller world can be run again.

use bridge::config::LambdaClient;

use super::plan::{Answers, Filters, Plan};

/// What is left out of what a seed draws.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Less {
    /// The faults that stay, as the plan numbers them; all unless given.
    pub keep: Option<Vec<usize>>,
    /// Names of [`Less::names`].
    pub without: Vec<&'static str>,
}

type LeaveOut = fn(&mut Plan);

/// Everything beside faults that can be left out.
const PARTS: &[(&str, LeaveOut)] = &[
    ("lean", |plan| plan.client = LambdaClient::Sdk),
    ("throws", |plan| plan.moods.throws = 0),
    ("partial", |plan| plan.moods.partial = 0),
    ("answer-lost", |plan| plan.moods.answer_lost = 0),
    ("lies", |plan| plan.moods.lies = 0),
    ("service", |plan| plan.moods.service = 0),
    ("poison", |plan| plan.moods.poison_every = 0),
    ("hopeless", |plan| plan.moods.hopeless_every = 0),
    ("refused", |plan| plan.moods.refused_every = 0),
    ("strange", |plan| plan.moods.strange = 0),
    ("blocked", |plan| plan.moods.blocked_every = 0),
    ("slowness", |plan| plan.moods.longest = 1),
    ("answers", |plan| plan.answers = Answers::default()),
    ("expiry", |plan| plan.expiring = 0),
    ("retained", |plan| plan.retained = 0),
    ("careless", |plan| plan.ill_formed_every = 0),
    ("retirement", |plan| plan.retires = None),
    ("dry runs", |plan| plan.dry_runs = false),
    ("mapping", |plan| plan.two_mappings = false),
    ("filters", |plan| plan.filters = Filters::default()),
    ("broker", |plan| plan.brokers = None),
    ("bytes", |plan| plan.most_bytes = None),
    ("replicas", |plan| plan.replicas = 1),
    ("network", |plan| (plan.delay, plan.piece) = (0, 16_384)),
    ("half", |plan| plan.messages /= 2),
    ("most", |plan| plan.messages /= 8),
];

impl Less {
    /// The names of what can be left out.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARTS.iter().map(|(name, _)| *name)
    }

    /// The plan without it.
    #[must_use]
    pub fn of(&self, mut plan: Plan) -> Plan {
        if let Some(keep) = &self.keep {
            let faults = std::mem::take(&mut plan.faults).into_iter().enumerate();
            plan.faults = faults.filter(|(index, _)| keep.contains(index)).map(|(_, fault)| fault).collect();
        }
        let chosen = PARTS.iter().filter(|(name, _)| self.without.contains(name));
        chosen.for_each(|(_, leave_out)| leave_out(&mut plan));
        plan
    }

    /// As arguments of the command line.
    #[must_use]
    pub fn arguments(&self) -> String {
        let keep = self.keep.as_ref().map(|keep| {
            let keep: Vec<_> = keep.iter().map(usize::to_string).collect();
            format!(" --keep {}", if keep.is_empty() { "none".to_owned() } else { keep.join(",") })
        });
        let without = (!self.without.is_empty()).then(|| format!(" --without {}", self.without.join(",")));
        [keep, without].into_iter().flatten().collect()
    }
}

/// The least that still `fails`, as far as leaving out one thing after the other finds it.
pub fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Less {
    let mut least = Less { keep: Some((0..plan.faults.len()).collect()), without: Vec::new() };
    let still_fails = |less: &Less| fails(&less.of(plan.clone()));
    for name in Less::names() {
        let mut less = least.clone();
        less.without.push(name);
        if still_fails(&less) {
            least = less;
        }
    }
    // Halves first, then quarters, and finally one by one.
    let mut size = plan.faults.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while let Some(kept) = least.keep.as_ref().filter(|kept| at < kept.len()) {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + size).min(kept.len()));
            let less = Less { keep: Some(fewer), ..least.clone() };
            if still_fails(&less) {
                least = less;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::plan::{Faults, Profile};

    #[test]
    fn what_does_not_matter_is_left_out() {
        let plan = Plan::draw(1, Profile { faults: Faults::Heavy, ..Profile::default() });
        let (one, other) = (plan.faults[3], plan.faults[17]);
        let least = shrink(&plan, |plan| plan.faults.contains(&one) && plan.faults.contains(&other));
        assert_eq!(least.keep, Some(vec![3, 17]));
        assert_eq!(least.without, Less::names().collect::<Vec<_>>());
        let plan = least.of(plan);
        assert_eq!((plan.faults, plan.moods.throws), (vec![one, other], 0));
        assert!(least.arguments().starts_with(" --keep 3,17 --without lean,throws,"), "{}", least.arguments());
    }

    #[test]
    fn what_matters_stays() {
        let plan = Plan::draw(1, Profile::default());
        let messages = plan.messages;
        let least = shrink(&plan, |plan| plan.messages == messages);
        assert_eq!(least.keep, Some(Vec::new()));
        assert!(!least.without.contains(&"half") && least.without.contains(&"network"));
        assert!(least.arguments().starts_with(" --keep none"));
    }
}
