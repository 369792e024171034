use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde_json::{from_str, json};

use super::rule::Scalar;
use super::*;
use crate::config::Qos;
use crate::message::Properties;

const EXAMPLES: &str = include_str!("examples.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    name: String,
    source: String,
    pattern: Value,
    events: Vec<ExampleEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleEvent {
    message: ExampleMessage,
    matches: bool,
}

/// A message with one of three kinds of payload, `{}` when it has none of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct ExampleMessage {
    payload: Value,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
    topic: String,
    qos: u8,
    retain: bool,
    user_properties: Vec<(String, String)>,
}

impl Default for ExampleMessage {
    fn default() -> Self {
        Self {
            payload: json!({}),
            text: None,
            bytes: None,
            topic: "sensor/data".to_owned(),
            qos: 1,
            retain: false,
            user_properties: Vec::new(),
        }
    }
}

impl From<ExampleMessage> for Message {
    fn from(example: ExampleMessage) -> Self {
        let text = example.text.unwrap_or_else(|| example.payload.to_string());
        Self {
            topic: example.topic.into(),
            payload: example.bytes.unwrap_or_else(|| text.into_bytes()).into(),
            qos: [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][usize::from(example.qos)],
            retain: example.retain,
            dup: false,
            properties: Some(Arc::new(Properties { user: example.user_properties, ..Properties::default() })),
        }
    }
}

fn with_payload(text: impl Into<String>) -> Message {
    ExampleMessage { text: Some(text.into()), ..ExampleMessage::default() }.into()
}

fn filters(pattern: Value) -> Filters {
    Filters::parse(&[pattern]).unwrap()
}

/// Whether a pattern about the payload's fields matches this payload.
fn payload_matches(pattern: Value, payload: &Value) -> bool {
    payload_text_matches(pattern, &payload.to_string())
}

fn payload_text_matches(pattern: Value, payload: &str) -> bool {
    filters(json!({ "payload": pattern })).matches(&with_payload(payload))
}

fn error(pattern: Value) -> String {
    Filters::parse(&[pattern]).unwrap_err().to_string()
}

#[test]
fn documented_examples_hold() {
    for example in from_str::<Vec<Example>>(EXAMPLES).unwrap() {
        let filters = filters(example.pattern);
        for (index, event) in example.events.into_iter().enumerate() {
            let found = filters.matches(&event.message.into());
            assert_eq!(found, event.matches, "{}, message {index} ({})", example.name, example.source);
        }
    }
}

/// A rule of AWS's documentation: a pattern, events that it matches, and others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documented {
    page: String,
    rule: String,
    pattern: Value,
    matches: Vec<Value>,
    others: Vec<Value>,
}

/// The events as payloads, as the patterns are about them; Event Ruler gives the same answer to each.
#[test]
fn the_rules_that_aws_documents_hold() {
    let rules: Vec<Documented> = from_str(include_str!("aws.json")).unwrap();
    let mut pairs = 0;
    for Documented { page, rule, pattern, matches, others } in rules {
        let filters = filters(json!({ "payload": pattern }));
        let all = matches.iter().map(|event| (event, true)).chain(others.iter().map(|event| (event, false)));
        for (event, expected) in all {
            pairs += 1;
            let found = filters.matches(&with_payload(event.to_string()));
            assert_eq!(found, expected, "{rule}: {event} ({page})");
        }
    }
    assert!(pairs >= 200, "{pairs} pairs");
}

#[test]
fn patterns_of_the_documentation_compile() {
    let page = include_str!("../../../../docs/filters.md");
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned);
    let examples = page.split("\n## ").find(|section| section.starts_with("Examples")).unwrap();
    let cells = examples.split("| `").skip(1).filter_map(|rest| rest.split("` |").next());
    let settings: Vec<_> = blocks.chain(cells.map(|pattern| format!("filter = [{pattern}]"))).collect();
    assert_eq!(settings.len(), 2 + 7, "the page has more or fewer than it had");
    for text in settings {
        let settings: Value = toml::from_str(&text).unwrap();
        let patterns = settings.pointer("/mapping/0/filter").unwrap_or_else(|| &settings["filter"]);
        assert!(!patterns.as_array().unwrap().is_empty(), "{text}");
        Filters::parse(patterns.as_array().unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn without_a_pattern_every_message_passes() {
    assert!(Filters::default().matches(&with_payload("anything")));
    assert!(Filters::parse(&[]).unwrap().matches(&with_payload("anything")));
}

#[test]
fn one_pattern_of_several_is_enough() {
    let filters =
        Filters::parse(&[json!({ "payload": { "status": ["ALARM"] } }), json!({ "topic": ["sensor/test"] })]).unwrap();
    assert!(filters.matches(&with_payload(r#"{"status":"ALARM"}"#)));
    assert!(!filters.matches(&with_payload(r#"{"status":"OK"}"#)));
    let topic = "sensor/test".to_owned();
    assert!(filters.matches(&ExampleMessage { topic, ..ExampleMessage::default() }.into()));
}

#[test]
fn an_alternative_without_payload_takes_what_is_not_json() {
    let filters = filters(json!({ "$or": [{ "payload": { "a": [1] } }, { "topic": ["sensor/data"] }] }));
    assert!(filters.matches(&with_payload("no JSON")));
}

/// The view of a payload, as JSON.
fn shown(seen: &Seen<'_>) -> Value {
    match seen {
        Seen::Object(view) => view.iter().map(|(name, seen)| ((*name).to_owned(), shown(seen))).collect(),
        Seen::Elements(elements, wanted) => elements.clone().map(|element| shown(&wanted.see(element))).collect(),
        Seen::Texts(texts) => texts.iter().copied().collect(),
        Seen::Scalar(Scalar::Null) => Value::Null,
        Seen::Scalar(Scalar::Bool(value)) => (*value).into(),
        Seen::Scalar(Scalar::Number(number)) => number.clone().into(),
        Seen::Scalar(Scalar::Text(text)) => text.as_ref().into(),
    }
}

#[test]
fn only_what_patterns_name_is_read() {
    let text = r#"{"a":{"b":1,"c":2},"d":[{"e":3,"f":4}],"g":5}"#.to_owned();
    let user_properties = [("x", "1"), ("y", "2"), ("x", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let message: Message =
        ExampleMessage { text: Some(text), user_properties: user_properties.into(), ..ExampleMessage::default() }
            .into();
    let view = |pattern| {
        let filters = filters(pattern);
        shown(&Seen::Object(filters.wanted.view(&message, || Look::at(&message.payload))))
    };
    assert_eq!(view(json!({ "topicLevels": ["data"] })), json!({ "topicLevels": ["sensor", "data"] }));
    assert_eq!(view(json!({ "userProperties": { "x": ["1"] } })), json!({ "userProperties": { "x": ["1", "3"] } }));
    assert_eq!(
        view(json!({ "payload": { "a": { "b": [1] }, "d": { "e": [3] }, "x": [0] } })),
        json!({ "payload": { "a": { "b": 1 }, "d": [{ "e": 3 }] } })
    );
}

/// A text payload: patterns about fields do not match, whatever the fields are, and patterns about text do.
#[test]
fn json_that_not_every_function_can_read_is_seen_as_text() {
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let field = filters(json!({ "payload": { "a": [1] } }));
    let any_field = filters(json!({ "payload": { "a": [{ "exists": true }, { "exists": false }] } }));
    let text = filters(json!({ "payload": [{ "prefix": "{" }, { "prefix": "[" }] }));
    for payload in [
        format!(r#"{{"a":1,"deep":{}}}"#, deep(60)),
        r#"{"a":1,"b":1e999}"#.to_owned(),
        format!(r#"{{"a":1,"b":0.{}}}"#, "1".repeat(1000)),
        r#"{"a":1,"b":"\ud800"}"#.to_owned(),
        deep(200_000),
        "{\"a\":".repeat(200_000),
    ] {
        let message = with_payload(payload.as_str());
        let found = [&field, &any_field, &text].map(|filters| filters.matches(&message));
        assert_eq!(found, [false, false, true], "{}", &payload[..payload.len().min(60)]);
    }
    assert!(field.matches(&with_payload(format!(r#"{{"a":1,"deep":{},"b":1e99,"c":"\ud83d\ude00"}}"#, deep(59)))));
}

/// `[0,0,…]` of a million elements, in a field that a pattern names: it is walked through where it stands.
#[test]
fn a_long_list_is_compared_where_it_stands() {
    let list = format!(r#"{{"a":[{}{{"b":7}}]}}"#, "0,".repeat(1_000_000));
    assert!(payload_text_matches(json!({ "a": { "b": [7] } }), &list));
    assert!(!payload_text_matches(json!({ "a": [1] }), &list));
}

#[test]
fn case_is_ignored_beyond_ascii() {
    let whole = json!({ "a": [{ "equals-ignore-case": "ÅNGSTRÖM" }] });
    assert!(payload_matches(whole, &json!({ "a": "ångström" })));
    let prefix = json!({ "a": [{ "prefix": { "equals-ignore-case": "ΟΔΟΣ" } }] });
    assert!(payload_matches(prefix, &json!({ "a": "οδοσα" })));
}

#[test]
fn a_key_with_dots_is_one_key() {
    let pattern = json!({ "state.status": [1] });
    assert!(payload_matches(pattern.clone(), &json!({ "state.status": 1 })));
    assert!(!payload_matches(pattern, &json!({ "state": { "status": 1 } })));
}

#[test]
fn fields_beside_and_within_an_or_are_about_one_element() {
    let pattern = json!({
        "payload": { "readings": { "unit": ["C"] } },
        "$or": [{ "payload": { "readings": { "value": [31] } } }, { "qos": [2] }]
    });
    let matches =
        |readings: Value| filters(pattern.clone()).matches(&with_payload(json!({ "readings": readings }).to_string()));
    assert!(matches(json!([{ "unit": "C", "value": 31 }])));
    assert!(!matches(json!([{ "unit": "C", "value": 1 }, { "unit": "%", "value": 31 }])));
}

#[test]
fn errors_name_the_place_the_cause_and_the_way_out() {
    let in_payload = |pattern: Value| error(json!({ "payload": { "temperature": pattern } }));
    assert_eq!(
        in_payload(json!([{ "numeric": [">"] }])),
        "filter: payload.temperature: `numeric` needs `[\"=\", 5]`, one bound as `[\">\", 0]`, or a lower and a higher \
         upper bound as `[\">\", 0, \"<=\", 5]`"
    );
    assert_eq!(
        in_payload(json!(30)),
        "filter: payload.temperature: must be a list of values or an object of fields; write `[30]`"
    );
    assert_eq!(
        in_payload(json!([{ "regex": "a" }])),
        "filter: payload.temperature: unknown operator `regex`; there are `prefix`, `suffix`, `equals-ignore-case`, \
         `wildcard`, `anything-but`, `numeric`, `exists`, `cidr`"
    );
    assert_eq!(
        error(json!({ "temperature": [30] })),
        "filter: temperature: no message has this field; there are `payload`, `topic`, `topicLevels`, `qos`, `retain`, \
         `userProperties`"
    );
    assert_eq!(error(json!([])), "filter: must be an object of fields, such as `{ \"payload\": [...] }`");
    assert_eq!(
        error(json!({ "$or": [{ "qos": [1] }, { "payload": { "a": { "b": [] } } }] })),
        "filter: $or[1].payload.a.b: the list is empty; give it a value, or leave the field out"
    );
    assert_eq!(
        Filters::parse(&[json!({ "qos": [1] }), json!({})]).unwrap_err().to_string(),
        "filter[1]: the object is empty; name a field, or leave it out"
    );
}

#[test]
fn errors_are_one_line_whatever_the_pattern_holds() {
    let text = error(json!({ "payload": { "a\nb": [{ "\u{7f}\u{9b}31m": 1 }] } }));
    assert!(text.starts_with(r"filter: payload.a\nb: unknown operator `\u{7f}\u{9b}31m`; "), "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

#[test]
fn a_field_given_twice_is_refused_wherever_an_or_hides_it() {
    let twice = "is given twice, once within an `$or`; a field can be given once in each combination";
    assert_eq!(
        error(json!({ "payload": { "a": { "b": [1] }, "$or": [{ "a": { "b": [2] } }, { "c": [1] }] } })),
        format!("filter: payload.a.b: {twice}")
    );
    assert_eq!(
        error(json!({ "payload": { "a": [1] }, "$or": [{ "payload": { "a": { "b": [2] } } }, { "qos": [1] }] })),
        format!("filter: payload.a: {twice}")
    );
}

#[test]
fn what_aws_refuses_is_refused() {
    use FilterFault::{
        EmptyList, EmptyObject, NestedList, NotAList, NotOneOperator, OperatorInOr, Or, UnknownOperator,
    };
    let fault = |pattern: Value| Filter::parse(&pattern).unwrap_err().fault().clone();
    let rule = |rule: Value| fault(json!({ "payload": { "a": [rule] } }));
    assert_eq!(fault(json!({ "payload": {} })), EmptyObject);
    assert_eq!(fault(json!({ "payload": [] })), EmptyList);
    assert_eq!(rule(json!([1])), NestedList);
    assert_eq!(rule(json!({})), NotOneOperator);
    assert_eq!(rule(json!({ "prefix": "a", "suffix": "b" })), NotOneOperator);
    assert_eq!(rule(json!({ "Prefix": "a" })), UnknownOperator { operator: "Prefix".to_owned() });
    assert_eq!(fault(json!({ "topic": { "a": [1] } })), NotAList);
    assert_eq!(fault(json!({ "userProperties": { "a": { "b": [1] } } })), NotAList);
    assert_eq!(fault(json!({ "userProperties": ["a"] })), FilterFault::NotAnObject { example: "name" });
    for or in [json!({}), json!([]), json!([{ "qos": [1] }]), json!([{ "qos": [1] }, 1])] {
        assert_eq!(fault(json!({ "$or": or })), Or);
    }
    assert_eq!(
        fault(json!({ "payload": { "a": { "$or": [{ "prefix": ["a"] }, { "b": [1] }] } } })),
        OperatorInOr { operator: "prefix".to_owned() }
    );
    for (operator, operands) in [
        ("prefix", vec![json!(1), json!(["a"]), json!({ "wildcard": "a" }), json!({ "equals-ignore-case": 1 })]),
        ("suffix", vec![json!(null), json!({ "equals-ignore-case": "a", "prefix": "b" })]),
        ("equals-ignore-case", vec![json!(1), json!(["a"])]),
        ("wildcard", vec![json!(1), json!("a**"), json!(["a"])]),
        ("exists", vec![json!("true"), json!([true])]),
        ("cidr", vec![json!("10.0.0.0"), json!(10)]),
        (
            "anything-but",
            vec![
                json!(true),
                json!(null),
                json!([]),
                json!(["a", 1]),
                json!([null]),
                json!([{ "prefix": "a" }]),
                json!({}),
                json!({ "prefix": "" }),
                json!({ "suffix": ["a", ""] }),
                json!({ "prefix": { "equals-ignore-case": "a" } }),
                json!({ "prefix": [] }),
                json!({ "numeric": ["=", 1] }),
                json!({ "prefix": "a", "suffix": "b" }),
            ],
        ),
    ] {
        for operand in operands {
            let found = rule(json!({ operator: operand }));
            let named = matches!(&found, FilterFault::Operand { operator: named, .. } if *named == operator);
            assert!(named, "{operator}: {operand}: {found}");
        }
    }
}

#[test]
fn limits_hold() {
    let of_length =
        |length: usize| json!({ "topic": ["x".repeat(length - json!({ "topic": [""] }).to_string().len())] });
    assert!(Filter::parse(&of_length(PATTERN_LIMIT)).is_ok());
    let error = Filter::parse(&of_length(PATTERN_LIMIT + 1)).unwrap_err();
    assert_eq!(*error.fault(), FilterFault::TooLong { characters: PATTERN_LIMIT + 1 });

    let ors = |count: usize| {
        let or = |index: usize| json!([{ format!("a{index}"): [1] }, { format!("b{index}"): [1] }]);
        let nested = (0..count).fold(json!({ "z": [1] }), |inner, index| json!({ "$or": or(index), "n": inner }));
        Filter::parse(&json!({ "payload": nested }))
    };
    assert_eq!(ors(9).unwrap().alternatives.len(), 512);
    assert_eq!(*ors(10).unwrap_err().fault(), FilterFault::TooManyAlternatives);

    let deep = |depth: usize| Filter::parse(&(0..depth).fold(json!([1]), |inner, _| json!({ "payload": inner })));
    assert!(deep(vocabulary::DEPTH_LIMIT).is_ok());
    assert_eq!(*deep(vocabulary::DEPTH_LIMIT + 1).unwrap_err().fault(), FilterFault::TooDeep);
    let in_ors = (0..150).fold(json!({ "a": [1] }), |inner, _| json!({ "$or": [inner, { "b": [1] }] }));
    assert_eq!(*Filter::parse(&json!({ "payload": in_ors })).unwrap_err().fault(), FilterFault::TooDeep);
}

/// Few scalars, so that some are equal.
fn scalar() -> impl Strategy<Value = Value> {
    let strings = select(vec!["", "a", "ab", "A", "10.0.0.1"]).prop_map(Value::from);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1..3_i8).prop_map(Value::from),
        select(vec![-0.5, 1.0, 1.5, 1e300]).prop_map(Value::from),
        strings
    ]
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

/// JSON of objects and arrays over `scalars`, with few keys.
fn document(scalars: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    scalars.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A rule, or something similar.
fn rule() -> impl Strategy<Value = Value> {
    let operator = select(vocabulary::OPERATORS.to_vec());
    prop_oneof![scalar(), (operator, document(scalar())).prop_map(|(operator, operand)| json!({ operator: operand }))]
}

/// A list of rules that compiles.
fn valid_leaf() -> impl Strategy<Value = Value> {
    let rules = prop_oneof![
        4 => scalar(),
        1 => any::<bool>().prop_map(|exists| json!({ "exists": exists })),
        1 => select(vec!["a", "ab"]).prop_map(|text| json!({ "anything-but": text })),
        1 => (-1..3_i8).prop_map(|bound| json!({ "numeric": [">=", bound] })),
        1 => Just(json!({ "prefix": "a" })),
    ];
    prop::collection::vec(rules, 1..3).prop_map(Value::from)
}

/// An object of fields, down to such lists.
fn valid_fields(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let object =
        |inner| prop::collection::btree_map(key(), inner, 1..3).prop_map(|fields| fields.into_iter().collect());
    let node = leaf.prop_recursive(2, 8, 2, object);
    object(node.boxed())
}

/// Something similar to a pattern.
fn invalid_pattern() -> impl Strategy<Value = Value> {
    let names = ["a", "$or", "payload", "topic", "topicLevels", "qos", "retain", "userProperties", "numeric"];
    let node = prop_oneof![rule(), prop::collection::vec(rule(), 0..3).prop_map(Value::from)];
    node.prop_recursive(4, 24, 3, move |inner| {
        let key = select(names.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            2 => prop::collection::btree_map(key, inner.clone(), 0..3).prop_map(|fields| fields.into_iter().collect()),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// Event Ruler's definition of a match without absence: to each list of rules a value at its path, no two of them
/// within different elements of one array. Elements that are scalars are within none.
mod definition {
    use super::*;

    type Path = Vec<String>;
    /// Which element, of each array that a value is within.
    type Membership = std::collections::BTreeMap<usize, usize>;

    pub fn matches(pattern: &Value, document: &Value) -> bool {
        let (mut lists, mut values) = (Vec::new(), Vec::new());
        leaves(pattern, &Path::new(), &mut lists);
        flatten(document, &Path::new(), &Membership::new(), &mut 0, &mut values);
        assign(&lists, &values, &Membership::new())
    }

    fn leaves(pattern: &Value, path: &Path, found: &mut Vec<(Path, Vec<Value>)>) {
        match pattern {
            Value::Object(fields) => fields.iter().for_each(|(name, node)| leaves(node, &below(path, name), found)),
            list => found.push((path.clone(), list.as_array().unwrap().clone())),
        }
    }

    fn flatten(
        value: &Value,
        path: &Path,
        membership: &Membership,
        arrays: &mut usize,
        found: &mut Vec<(Path, Value, Membership)>,
    ) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| flatten(value, &below(path, name), membership, arrays, found));
            }
            Value::Array(elements) => {
                *arrays += 1;
                let array = *arrays;
                for (index, element) in elements.iter().enumerate() {
                    let mut membership = membership.clone();
                    if element.is_array() || element.is_object() {
                        membership.insert(array, index);
                    }
                    flatten(element, path, &membership, arrays, found);
                }
            }
            scalar => found.push((path.clone(), scalar.clone(), membership.clone())),
        }
    }

    fn assign(lists: &[(Path, Vec<Value>)], values: &[(Path, Value, Membership)], so_far: &Membership) -> bool {
        let Some(((path, list), rest)) = lists.split_first() else { return true };
        values.iter().any(|(at, value, membership)| {
            let consistent = membership.iter().all(|(array, index)| so_far.get(array).is_none_or(|i| i == index));
            let together = || so_far.iter().chain(membership).map(|(array, index)| (*array, *index)).collect();
            at == path && list.contains(value) && consistent && assign(rest, values, &together())
        })
    }

    fn below(path: &Path, name: &str) -> Path {
        path.iter().cloned().chain([name.to_owned()]).collect()
    }
}

/// Every field that a [`document`] can have.
fn want_all(wanted: &mut Wanted, depth: usize) {
    for name in ["a", "b", "c"].into_iter().filter(|_| depth > 0) {
        want_all(wanted.field_mut(name), depth - 1);
    }
}

proptest! {
    #[test]
    fn parsing_and_matching_never_panic(pattern in invalid_pattern(), text in "[\\[\\]{}\",:a1.e-]{0,12}|\\PC{0,12}") {
        if let Ok(filters) = Filters::parse(&[pattern]) {
            let _ = filters.matches(&with_payload(text));
        }
    }

    #[test]
    fn rules_are_refused_or_work(rule in rule(), value in document(scalar())) {
        if let Ok(filters) = Filters::parse(&[json!({ "payload": { "a": [rule] } })]) {
            let _ = filters.matches(&with_payload(json!({ "a": value }).to_string()));
        }
    }

    #[test]
    fn or_is_the_union(
        first in valid_fields(valid_leaf()), second in valid_fields(valid_leaf()), third in valid_leaf(),
        document in document(scalar()), z in scalar(),
    ) {
        let union = payload_matches(first.clone(), &document) || payload_matches(second.clone(), &document);
        prop_assert_eq!(payload_matches(json!({ "$or": [first, second] }), &document), union);

        // Beside an `$or`, a field belongs to both of its choices.
        if let Value::Object(mut fields) = document {
            fields.insert("z".to_owned(), z);
            let document = Value::Object(fields);
            let with_third = |mut fields: Value| {
                fields["z"] = third.clone();
                payload_matches(fields, &document)
            };
            let union = with_third(first.clone()) || with_third(second.clone());
            prop_assert_eq!(payload_matches(json!({ "z": third.clone(), "$or": [first, second] }), &document), union);
        }
    }

    #[test]
    fn anything_but_is_the_complement_for_values(value in scalar(), text in select(vec!["a", "ab", "A", "*b"]), number in -1..3_i8) {
        let document = json!({ "v": value });
        let matches = |rule: Value| payload_matches(json!({ "v": [rule] }), &document);
        prop_assert_ne!(matches(json!({ "anything-but": text })), matches(json!(text)));
        prop_assert_ne!(matches(json!({ "anything-but": number })), matches(json!(number)));
        prop_assert_ne!(
            matches(json!({ "anything-but": [text, "b"] })),
            matches(json!(text)) || matches(json!("b"))
        );
        for operator in ["prefix", "suffix", "equals-ignore-case", "wildcard"] {
            prop_assert_ne!(
                matches(json!({ "anything-but": { operator: text } })),
                matches(json!({ operator: text })),
                "{}", operator
            );
        }
        let matches_absence = payload_matches(json!({ "v": [{ "anything-but": text }] }), &json!({}));
        prop_assert!(!matches_absence);
    }

    #[test]
    fn one_of_exists_true_and_false_holds(document in document(scalar())) {
        let exists = |exists: bool| payload_matches(json!({ "a": { "b": [{ "exists": exists }] } }), &document);
        if document.is_object() {
            prop_assert_ne!(exists(true), exists(false));
        }
    }

    #[test]
    fn reading_only_what_is_named_changes_nothing(pattern in valid_fields(valid_leaf()), document in document(scalar())) {
        let filter = Filter::parse(&json!({ "payload": pattern.clone() })).unwrap();
        let mut everything = Wanted::default();
        want_all(everything.field_mut("payload"), 6);
        let message = with_payload(document.to_string());
        let whole = everything.view(&message, || Look::at(&message.payload));
        prop_assert_eq!(payload_matches(pattern, &document), filter.matches(&whole));
    }

    #[test]
    fn arrays_match_as_event_ruler_defines_it(
        pattern in valid_fields(prop::collection::vec((0..3_i8).prop_map(Value::from), 1..3).prop_map(Value::from)),
        document in document((0..3_i8).prop_map(Value::from)),
    ) {
        prop_assert_eq!(payload_matches(pattern.clone(), &document), definition::matches(&pattern, &document));
    }
}
