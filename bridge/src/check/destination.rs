//! Checks whether the failure destinations of a mapping, except topics, would take a dead letter. Leaves none behind.

use super::report::{Found, Refused, Walk};
use crate::aws::Aws;
use crate::config::{Mapping, OnFailure};
use crate::dead_letter::{DestinationError, Seen, probe, probe_file};

/// Looks at each; without AWS at the files alone.
pub(super) async fn look(aws: Option<&Aws>, mapping: &Mapping, walk: &mut Walk) {
    for place in &mapping.on_failure {
        let look = async {
            match (place, aws) {
                (OnFailure::File(path), _) => judged(probe_file(path)),
                (_, Some(aws)) => judged(probe(aws, place).await),
                (_, None) => judged(Ok(Seen::Unknown("not tried without credentials".to_owned()))),
            }
        };
        // Topics are checked together with the broker.
        if !matches!(place, OnFailure::Topic(_)) {
            walk.step("failure destination", Some(&mapping.name), Box::pin(look)).await;
        }
    }
}

fn judged(seen: Result<Seen, DestinationError>) -> Result<Found, Refused> {
    let hint = "create it, or grant the bridge's role what docs/dead-letters.md names";
    Ok(match seen.map_err(|error| (error.to_string(), Some(hint)))? {
        Seen::Good(said) => Found::good(said.to_owned()),
        Seen::Unknown(why) => Found::but(why, Some("the first dead letter will show it".to_owned())),
    })
}
