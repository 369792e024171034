//! Promise: a reading is one item of the table, however often its record comes; a late one never replaces a newer one.
//! Each scenario runs against the double that the tests of faults use, and against moto's DynamoDB where it is installed.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::collections::BTreeMap;

use common::function::Function;
use common::moto::Moto;
use common::table::Double;
use common::{at, event, failures, numbered, record, timed};
use serde_json::{Value, json};

const LATEST: &str = "latest";

/// Runs each scenario as a test of its own against the double, and all of them one by one against one moto, which takes
/// its time to start.
macro_rules! scenarios {
    ($($scenario:ident)*) => {
        mod on_the_double {
            $(#[test]
            fn $scenario() {
                let double = super::Double::start();
                super::$scenario(&super::Place { authority: &double.authority, table: "readings", items: &|| double.items() });
            })*
        }

        #[test]
        fn all_the_same_on_moto() {
            let Some(moto) = Moto::start() else { return };
            for (table, scenario) in [$((stringify!($scenario), $scenario as fn(&Place<'_>))),*] {
                eprintln!("{table}");
                moto.create_table(table);
                scenario(&Place { authority: &moto.authority, table, items: &|| moto.items(table) });
            }
        }
    };
}

scenarios! {
    each_reading_is_one_item_and_each_device_has_a_latest
    an_item_says_all_that_is_known_of_the_reading
    another_attempt_at_an_event_changes_nothing
    a_message_delivered_again_changes_nothing
    the_first_of_an_id_stays_whatever_the_second_says
    a_message_twice_in_one_event_is_one_item
    a_late_reading_never_replaces_a_newer_one
    a_bad_reading_is_given_up_with_its_reason_and_the_others_are_stored
}

/// Where a table is, and how to look into it.
struct Place<'a> {
    authority: &'a str,
    table: &'a str,
    items: &'a dyn Fn() -> Vec<Value>,
}

impl<'a> Place<'a> {
    /// The function, started with these variables beside those that lead it to the table.
    fn function(&self, more: &[(&str, &str)]) -> Tried<'a> {
        let endpoint = format!("http://{}", self.authority);
        let mut variables = vec![
            ("READINGS_TABLE", self.table),
            ("READINGS_TTL", "30d"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        variables.extend(more);
        Tried { function: Function::start(&variables), items: self.items }
    }
}

/// A table, and the function that writes to it.
struct Tried<'a> {
    function: Function,
    items: &'a dyn Fn() -> Vec<Value>,
}

impl Tried<'_> {
    /// The items by device and sort key.
    fn items(&self) -> BTreeMap<(String, String), Value> {
        let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
        (self.items)().into_iter().map(|item| ((text(&item, "device_id"), text(&item, "sk")), item)).collect()
    }

    /// The sort keys of a device's items.
    fn keys(&self, device: &str) -> Vec<String> {
        self.items().into_keys().filter(|(of, _)| of == device).map(|(_, key)| key).collect()
    }

    fn item(&self, device: &str, key: &str) -> Value {
        let found = self.items().remove(&(device.to_owned(), key.to_owned()));
        found.unwrap_or_else(|| panic!("{device} has no {key}, but {:?}", self.keys(device)))
    }

    fn stores(&self, records: &[Value]) -> Value {
        let answer = self.function.answer(&event(records));
        assert!(failures(&answer).is_empty(), "{answer}");
        answer
    }
}

fn each_reading_is_one_item_and_each_device_has_a_latest(place: &Place<'_>) {
    let tried = place.function(&[]);
    let records: Vec<_> =
        (0..60).map(|n| record(&numbered(n), &format!("d-{}", n % 3), 20.0, &at(&format!("12:00:{n:02}")))).collect();
    tried.stores(&records);
    assert_eq!(tried.items().len(), 63);
    for n in 0..60 {
        tried.item(&format!("d-{}", n % 3), &format!("2026-11-20T12:00:{n:02}.000Z#{}", numbered(n)));
    }
    for (device, newest) in [("d-0", 57), ("d-1", 58), ("d-2", 59)] {
        assert_eq!(tried.item(device, LATEST)["record_id"]["S"], numbered(newest));
    }
}

fn an_item_says_all_that_is_known_of_the_reading(place: &Place<'_>) {
    let tried = place.function(&[("TEMPERATURE_MAX", "24")]);
    let mut record = timed("m-1", "C-Client-01", 24.5, &at("12:00:00"), &at("11:59:58"));
    record["payload"]["message_id"] = "m-1".into();
    tried.stores(&[record]);
    let expected = json!({
        "device_id": { "S": "C-Client-01" },
        "sk": { "S": "2026-11-20T11:59:58.000Z#m-1" },
        "temperature": { "N": "24.5" },
        "status": { "S": "OK" },
        "measured_at": { "S": "2026-11-20T11:59:58.000Z" },
        "received_at": { "S": "2026-11-20T12:00:00.000Z" },
        "record_id": { "S": "m-1" },
        "message_id": { "S": "m-1" },
        "topic": { "S": "sensor/data" },
        "out_of_range": { "S": "above" },
        // 30 days after the receipt.
        "expires_at": { "N": "1797768000" },
    });
    assert_eq!(tried.item("C-Client-01", "2026-11-20T11:59:58.000Z#m-1"), expected);
    let latest = tried.item("C-Client-01", LATEST);
    assert_eq!((&latest["temperature"], &latest["expires_at"]), (&expected["temperature"], &expected["expires_at"]));
}

/// Another attempt of the bridge, after an answer that was lost: ids and times are those of the first attempt.
fn another_attempt_at_an_event_changes_nothing(place: &Place<'_>) {
    let tried = place.function(&[("TEMPERATURE_MAX", "24")]);
    let (received, measured) = (at("12:00:00"), at("11:00:00"));
    let mut records = vec![
        record(&numbered(1), "a", 25.0, &received),
        timed(&numbered(2), "a", 25.0, &received, &measured),
        record("m-3", "a", 25.0, &received),
        timed("m-4", "a", 25.0, &received, &measured),
    ];
    let first = tried.stores(&records);
    let before = tried.items();
    records.iter_mut().for_each(|record| record["dup"] = true.into());
    let again = tried.stores(&records);
    assert_eq!(tried.items(), before);
    // Four readings, the newest of them, and the claim of the one that has neither a time nor an id of the bridge's.
    assert_eq!(before.len(), 6, "{:?}", tried.keys("a"));
    assert_eq!(again, first, "the commands are the same, too");
    assert_eq!(first["publish"].as_array().unwrap().len(), 4);
}

/// After a restart of the bridge the broker sends again: a new delivery, received later, with the publisher's own id.
fn a_message_delivered_again_changes_nothing(place: &Place<'_>) {
    let tried = place.function(&[("TEMPERATURE_MAX", "24")]);
    let delivered = |received: &str| {
        [record("m-1", "a", 25.0, &at(received)), timed("m-2", "b", 25.0, &at(received), &at("11:00:00"))]
    };
    let first = tried.stores(&delivered("12:00:00"));
    let before = tried.items();
    assert_eq!(before.len(), 5);
    let again = tried.stores(&delivered("13:00:00"));
    assert_eq!((tried.items(), again), (before, first));
}

fn the_first_of_an_id_stays_whatever_the_second_says(place: &Place<'_>) {
    let tried = place.function(&[]);
    tried.stores(&[record("m-1", "a", 20.0, &at("12:00:00"))]);
    tried.stores(&[timed("m-2", "b", 20.0, &at("12:00:00"), &at("11:00:00"))]);
    let before = tried.items();
    tried.stores(&[record("m-1", "a", 99.0, &at("12:00:00"))]);
    tried.stores(&[timed("m-2", "b", 99.0, &at("12:00:00"), &at("11:00:00"))]);
    assert_eq!(tried.items(), before);
    // An id is a device's own: another device may have the same.
    tried.stores(&[record("m-1", "c", 99.0, &at("12:00:00"))]);
    assert_eq!(tried.item("c", "2026-11-20T12:00:00.000Z#m-1")["temperature"]["N"], "99");
}

fn a_message_twice_in_one_event_is_one_item(place: &Place<'_>) {
    let tried = place.function(&[]);
    let twice = |record: Value| [record.clone(), record];
    tried.stores(&twice(record(&numbered(1), "a", 20.0, &at("12:00:00"))));
    tried.stores(&twice(record("m-2", "b", 20.0, &at("12:00:00"))));
    tried.stores(&[record("m-3", "c", 20.0, &at("12:00:00")), record("m-3", "c", 20.0, &at("12:00:01"))]);
    assert_eq!(tried.keys("a").len(), 2);
    assert_eq!(tried.keys("b"), ["2026-11-20T12:00:00.000Z#m-2", "id#m-2", LATEST]);
    assert_eq!(tried.keys("c"), ["2026-11-20T12:00:00.000Z#m-3", "id#m-3", LATEST]);
}

fn a_late_reading_never_replaces_a_newer_one(place: &Place<'_>) {
    let tried = place.function(&[]);
    let newest = || tried.item("a", LATEST)["temperature"]["N"].clone();
    tried.stores(&[timed(&numbered(1), "a", 21.0, &at("12:00:00"), &at("12:00:00"))]);
    tried.stores(&[timed(&numbered(2), "a", 22.0, &at("12:00:01"), &at("11:00:00"))]);
    assert_eq!((newest(), tried.keys("a").len()), (json!("21"), 3), "the late one is stored all the same");
    tried.stores(&[timed(&numbered(3), "a", 23.0, &at("12:00:03"), &at("12:00:02"))]);
    assert_eq!(newest(), "23");
    // The order inside an event does not matter either.
    let (late, new) = (at("12:00:04"), at("12:00:05"));
    tried.stores(&[record(&numbered(5), "a", 25.0, &new), record(&numbered(4), "a", 24.0, &late)]);
    assert_eq!(newest(), "25");
    // A clock that runs ahead is no reason to show its reading for ever.
    tried.stores(&[timed(&numbered(6), "a", 26.0, &at("12:00:06"), "2099-01-01T00:00:00Z")]);
    assert_eq!(newest(), "26");
    tried.stores(&[record(&numbered(7), "a", 27.0, &at("12:00:07"))]);
    assert_eq!(newest(), "27");
}

fn a_bad_reading_is_given_up_with_its_reason_and_the_others_are_stored(place: &Place<'_>) {
    let tried = place.function(&[("TEMPERATURE_MAX", "24")]);
    let mut broken = record(&numbered(3), "a", 20.0, &at("12:00:02"));
    broken["receivedAt"] = "yesterday".into();
    let records = [
        record(&numbered(1), "a", 20.0, &at("12:00:00")),
        record(&numbered(2), "a", 999.0, &at("12:00:01")),
        broken,
        // A valid reading, but too small a number for DynamoDB.
        record(&numbered(4), "a", 1e-300, &at("12:00:03")),
    ];
    let answer = tried.function.answer(&event(&records));
    let (hot, broken) = (numbered(2), numbered(3));
    let expected = [
        (hot.as_str(), false, "temperature: 999 is outside -55..=125 °C"),
        (broken.as_str(), false, "receivedAt: not RFC 3339 in UTC, such as 2026-11-20T12:00:00.123Z"),
    ];
    assert_eq!(failures(&answer), expected);
    assert_eq!(answer["publish"], Value::Null, "no command for what is no reading");
    assert_eq!(tried.keys("a").len(), 3);
    assert_eq!(tried.item("a", LATEST)["temperature"]["N"], "0");
}
