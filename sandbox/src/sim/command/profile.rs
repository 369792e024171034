//! The command-line options for the kind of worlds, and for what to leave out.

use super::Keep;
use crate::sim::broker::Habits;
use crate::sim::plan::{Faults, Profile};
use crate::sim::shrink::Less;

/// `broker=NAME,faults=heavy`.
pub(super) fn profile(text: &str) -> Result<Profile, String> {
    let mut profile = Profile::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("broker", name)) => profile.broker = Some(known("broker", name, Habits::names())?),
            Some(("filters", "several")) => profile.several_filters = true,
            Some(("mappings", "two")) => profile.two_mappings = true,
            Some(("brokers", "two")) => profile.two_brokers = true,
            Some(("lambda", "strange")) => profile.strangers = true,
            Some(("devices", "careless")) => profile.careless = true,
            Some(("worlds", "plain")) => profile.plain = true,
            Some(("faults", "none")) => profile.faults = Faults::None,
            Some(("faults", "usual")) => profile.faults = Faults::Usual,
            Some(("faults", "heavy")) => profile.faults = Faults::Heavy,
            _ => {
                return Err(format!(
                    "`{part}`: unknown; write broker=NAME, faults=none|usual|heavy, filters=several, mappings=two, brokers=two, lambda=strange, devices=careless or worlds=plain"
                ));
            }
        }
    }
    Ok(profile)
}

/// The same as an argument, or nothing where nothing is chosen.
pub(super) fn chosen(profile: Profile) -> String {
    let Profile { broker, faults, several_filters, two_mappings, strangers, two_brokers, careless, plain } = profile;
    let mut parts: Vec<String> = broker.map(|name| format!("broker={name}")).into_iter().collect();
    match faults {
        Faults::None => parts.push("faults=none".to_owned()),
        Faults::Usual => {}
        Faults::Heavy => parts.push("faults=heavy".to_owned()),
    }
    for (is_chosen, part) in [
        (several_filters, "filters=several"),
        (two_mappings, "mappings=two"),
        (two_brokers, "brokers=two"),
        (strangers, "lambda=strange"),
        (careless, "devices=careless"),
        (plain, "worlds=plain"),
    ] {
        parts.extend(is_chosen.then(|| part.to_owned()));
    }
    if parts.is_empty() { String::new() } else { format!(" --profile {}", parts.join(",")) }
}

/// One part that is left out.
pub(super) fn part(name: &str) -> Result<&'static str, String> {
    known("part", name, Less::names())
}

/// `2,5`, or `none`.
pub(super) fn keep(text: &str) -> Result<Keep, String> {
    let number = |number: &str| number.parse().map_err(|_| format!("fault `{number}`: not a number"));
    if text == "none" { Ok(Keep::new()) } else { text.split(',').map(number).collect() }
}

fn known(what: &str, name: &str, names: impl Iterator<Item = &'static str>) -> Result<&'static str, String> {
    let names: Vec<_> = names.collect();
    let found = names.iter().find(|known| **known == name).copied();
    found.ok_or_else(|| format!("{what} `{name}`: unknown; one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_names_a_broker_and_how_much_breaks() {
        let heavy = Profile { broker: Some("vernemq"), faults: Faults::Heavy, ..Profile::default() };
        assert_eq!(profile("broker=vernemq,faults=heavy"), Ok(heavy));
        assert!(profile("filters=several").unwrap().several_filters);
        assert!(profile("mappings=two").unwrap().two_mappings);
        assert!(profile("brokers=two").unwrap().two_brokers);
        assert!(profile("lambda=strange").unwrap().strangers);
        assert!(profile("devices=careless").unwrap().careless);
        assert_eq!(profile(""), Ok(Profile::default()));
        assert!(profile("broker=verne").unwrap_err().starts_with("broker `verne`: unknown; one of mosquitto, "));
        assert!(profile("faults=many").unwrap_err().contains("faults=none|usual|heavy"));
    }

    #[test]
    fn what_was_chosen_is_said_as_it_was_written() {
        for text in [
            "broker=vernemq,faults=heavy",
            "faults=none,filters=several,mappings=two,brokers=two,lambda=strange,devices=careless,worlds=plain",
        ] {
            assert_eq!(chosen(profile(text).unwrap()), format!(" --profile {text}"));
        }
        assert_eq!(chosen(Profile::default()), "");
    }

    #[test]
    fn faults_are_kept_by_their_numbers() {
        assert_eq!(keep("2,15"), Ok(vec![2, 15]));
        assert_eq!(keep("none"), Ok(Vec::new()));
        assert_eq!(keep("x").unwrap_err(), "fault `x`: not a number");
        assert!(part("lies").is_ok() && part("truth").is_err());
    }
}
