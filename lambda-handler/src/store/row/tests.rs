//! The item of a reading, by its content and by the origin of its id.

use event::Event;

use super::*;
use crate::thresholds::Breach;

const TTL: Option<Duration> = Some(Duration::from_hours(24));
const NUMBERED: &str = "5b1f0c7e9a3d2468-1";

/// The first record of the fixture, with another id, and a device that tells its time or does not.
fn record(id: &str, measured_at: Option<&str>) -> Record {
    let event: Event = serde_json::from_str(include_str!("../../../../event/fixtures/event.json")).unwrap();
    let mut record = event.records.into_iter().next().unwrap();
    let timestamp = measured_at.map(|at| format!(r#","timestamp":"{at}""#)).unwrap_or_default();
    let payload = format!(r#"{{"device_id":"C-Client-01","temperature":24.5,"status":"OK"{timestamp}}}"#);
    record.payload = serde_json::value::RawValue::from_string(payload).unwrap();
    id.clone_into(&mut record.id);
    record
}

fn checked(record: &Record) -> Checked<'_> {
    Checked { record, reading: Reading::of(record).unwrap(), breach: None }
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| match value {
        Value::Text(value) | Value::Number(value) => value.clone(),
    })
}

#[test]
fn a_reading_is_one_item_by_device_time_and_id() {
    let record = record("m-1", Some("2026-11-20T11:59:58Z"));
    let checked = Checked { breach: Some(Breach::Above(20.0)), ..checked(&record) };
    let row = Entry::new(&checked).unwrap().row(TTL);
    assert_eq!((row.device_id.as_str(), row.sk.as_str()), ("C-Client-01", "2026-11-20T11:59:58.000Z#m-1"));
    for (name, value) in [
        ("temperature", "24.5"),
        ("status", "OK"),
        ("measured_at", "2026-11-20T11:59:58.000Z"),
        ("received_at", "2026-11-20T12:00:00.123Z"),
        ("record_id", "m-1"),
        ("topic", "sensor/data"),
        ("out_of_range", "above"),
        // 2026-11-21T12:00:00Z: a day after the receipt, not after the measurement.
        ("expires_at", "1795262400"),
    ] {
        assert_eq!(text(&row, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(row.attributes.len(), 8);
}

#[test]
fn without_a_clock_the_time_is_that_of_the_receipt() {
    let record = record(NUMBERED, None);
    let checked = checked(&record);
    let row = Entry::new(&checked).unwrap().row(None);
    assert_eq!(row.sk, "2026-11-20T12:00:00.123Z#5b1f0c7e9a3d2468-1");
    assert_eq!((text(&row, "measured_at"), text(&row, "expires_at")), (None, None));
}

#[test]
fn another_attempt_at_a_delivery_makes_the_same_bytes() {
    let (first, mut again) = (record(NUMBERED, None), record(NUMBERED, None));
    again.dup = true;
    let (first, again) = (checked(&first), checked(&again));
    assert_eq!(Entry::new(&first).unwrap().row(TTL), Entry::new(&again).unwrap().row(TTL));
}

#[test]
fn who_gave_the_id_and_the_time_decides_how_a_repeat_is_known() {
    let clock = Some("2026-11-20T12:00:00Z");
    for (id, measured_at, expected) in [
        (NUMBERED, None, Repeat::WritesTheSame),
        (NUMBERED, clock, Repeat::WritesTheSame),
        ("m-1", clock, Repeat::FirstStays),
        ("m-1", None, Repeat::Claims),
        ("7", None, Repeat::Claims),
        ("5B1F0C7E9A3D2468-1", None, Repeat::Claims),
        ("5b1f0c7e9a3d2468-", None, Repeat::Claims),
        ("5b1f0c7e9a3d2468-1x", None, Repeat::Claims),
        ("5b1f0c7e9a3d246-1", None, Repeat::Claims),
    ] {
        let record = record(id, measured_at);
        assert_eq!(Entry::new(&checked(&record)).unwrap().repeat(), expected, "{id} {measured_at:?}");
    }
}

#[test]
fn a_publishers_id_that_looks_like_the_bridges_is_found_where_it_was_taken_from() {
    let mut by_property = record(NUMBERED, None);
    by_property.user_properties = vec![("message-id".to_owned(), NUMBERED.to_owned())];
    assert_eq!(Entry::new(&checked(&by_property)).unwrap().repeat(), Repeat::Claims);
    let by_payload = record(NUMBERED, None);
    let mut checked = checked(&by_payload);
    checked.reading.message_id = Some(NUMBERED.to_owned());
    assert_eq!(Entry::new(&checked).unwrap().repeat(), Repeat::Claims);
}

#[test]
fn a_claim_keeps_the_first_receipt() {
    let (first, mut later) = (record("m-1", None), record("m-1", None));
    later.received_at = "2026-11-20T13:00:00.000Z".to_owned();
    let (first, later) = (checked(&first), checked(&later));
    let (first, mut later) = (Entry::new(&first).unwrap(), Entry::new(&later).unwrap());
    let claim = first.claim(TTL);
    assert_eq!((claim.sk.as_str(), text(&claim, "expires_at").as_deref()), ("id#m-1", Some("1795262400")));
    assert_eq!((claim.device_id, claim.sk), (later.claim(TTL).device_id, later.claim(TTL).sk));
    assert_ne!(first.row(TTL), later.row(TTL));
    later.received(humantime::parse_rfc3339(&text(&first.claim(TTL), RECEIVED_AT).unwrap()).unwrap());
    assert_eq!(first.row(TTL), later.row(TTL));
}

#[test]
fn newer_is_greater_and_a_clock_ahead_counts_as_the_receipt() {
    let as_of = |id: &str, measured_at| Entry::new(&checked(&record(id, measured_at))).unwrap().as_of();
    assert!(as_of("a", Some("2026-11-20T11:59:59.999Z")) < as_of("a", Some("2026-11-20T12:00:00Z")));
    assert!(as_of("a", Some("2026-11-20T12:00:00Z")) < as_of("b", Some("2026-11-20T12:00:00Z")));
    assert_eq!(as_of("a", Some("2099-01-01T00:00:00Z")), as_of("a", None));
    let record = record("a", None);
    let checked = checked(&record);
    let latest = Entry::new(&checked).unwrap().latest(TTL);
    assert_eq!((latest.sk.as_str(), text(&latest, AS_OF)), ("latest", Some(as_of("a", None))));
    assert!(latest.sk.as_str() > "9999-12-31T23:59:59.999Z#");
}

#[test]
fn what_the_bridge_would_not_send_has_no_place() {
    let refused = |record: &Record| Entry::new(&checked(record)).unwrap_err().to_string();
    assert_eq!(refused(&record(&"x".repeat(513), None)), "id: 513 bytes, a key takes 1 to 512");
    assert_eq!(refused(&record("", None)), "id: 0 bytes, a key takes 1 to 512");
    Entry::new(&checked(&record(&"x".repeat(512), None))).unwrap();
    for time in ["", "yesterday", "2026-11-20 12:00:00"] {
        let mut record = record("a", None);
        time.clone_into(&mut record.received_at);
        assert!(refused(&record).starts_with("receivedAt: not RFC 3339"), "{time}");
    }
}

#[test]
fn numbers_are_spelled_as_dynamodb_takes_them() {
    for (value, expected) in [
        (24.5, "24.5"),
        (-55.0, "-55"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.0, "0"),
        (1e-7, "1e-7"),
        (-2.5e-90, "-2.5e-90"),
        (1e-130, "0"),
        (5e-324, "0"),
    ] {
        assert_eq!(number(value), expected, "{value:e}");
    }
}
