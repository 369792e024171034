//! The file's JSON Schema (draft 2020-12), for editors and other programs, made from the same keys as everything else.
//! It checks each value by its form and bounds; only the bridge checks whether settings fit together.

use serde_json::{Value, json};

use super::key::{Change, Fallback, Key, Kind};
use super::keys::{self, KEYS};
use super::on_failure::ON_FAILURE;

/// Texts of durations, as `humantime` reads them.
const DURATION: &str = r"^\s*(\d+\s*[A-Za-z]+\s*)+$";

/// The schema of a file that stands alone: what comes from variables or flags may be missing there.
#[must_use]
pub fn schema() -> Value {
    let mut schema = table("");
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "The configuration of mqtt-lambda-bridge".into();
    schema
}

/// The table whose keys' paths begin with `prefix`, which is empty or ends in a dot.
fn table(prefix: &str) -> Value {
    let below = || KEYS.iter().filter_map(|key| Some((key, key.path.strip_prefix(prefix)?)));
    let property = |name: &str| {
        let path = format!("{prefix}{name}");
        match keys::find(&path) {
            Some(key) => of_key(key),
            None if path == "mapping" => json!({ "type": "array", "items": table("mapping."), "minItems": 1 }),
            None if path == ON_FAILURE => destinations(),
            None => table(&format!("{path}.")),
        }
    };
    let names = below().map(|(_, rest)| rest.split('.').next().unwrap_or(rest));
    let properties: serde_json::Map<_, _> = names.map(|name| (name.to_owned(), property(name))).collect();
    let is_required = |(key, name): &(&Key, &str)| matches!(key.default, Fallback::Required(_)) && !name.contains('.');
    let required: Vec<_> = below().filter(is_required).map(|(_, name)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A table that names one destination, or a list of such tables.
fn destinations() -> Value {
    let mut one = table(&format!("{ON_FAILURE}."));
    (one["minProperties"], one["maxProperties"]) = (1.into(), 1.into());
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_kind(key.kind);
    let change = match key.change() {
        Change::Nothing => "",
        Change::Mapping => " A change restarts the mapping.",
        Change::Restart => " A change needs a restart.",
    };
    schema["description"] = format!("{}.{change}", key.doc).into();
    match key.default {
        Fallback::Is(text) => schema["default"] = as_written(key.kind, text),
        Fallback::Required(text) | Fallback::Absent(text) => schema["examples"] = json!([as_written(key.kind, text)]),
    }
    schema
}

fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::File => json!({ "type": "string", "minLength": 1 }),
        Kind::Choice(names) => json!({ "enum": names() }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Number(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": r"^\d+\s*(B|KiB|MiB|GiB)?$" },
        ] }),
        Kind::Period(..) | Kind::Seconds(..) => json!({ "type": "string", "pattern": DURATION }),
        Kind::Range => json!({ "type": "string", "pattern": r"^.+\.\..+$" }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Texts => json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] }),
        Kind::Json => json!({ "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "object" } }] }),
    }
}

/// A default or an example, which is written as in the file.
fn as_written(kind: Kind, text: &str) -> Value {
    let document = match kind {
        Kind::Number(..) | Kind::Switch | Kind::List | Kind::Json => format!("value = {text}"),
        _ => return text.into(),
    };
    toml::from_str::<Value>(&document).map_or(Value::Null, |mut value| value["value"].take())
}

#[cfg(test)]
mod tests {
    use boon::{Compiler, Draft, SchemaIndex, Schemas};

    use super::super::{commented_default, mistakes_in, read_text};
    use super::*;

    struct Judge(Schemas, SchemaIndex);

    impl Judge {
        fn new() -> Self {
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler.set_default_draft(Draft::V2020_12);
            compiler.add_resource("bridge.json", schema()).unwrap();
            let index = compiler.compile("bridge.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
            Self(schemas, index)
        }

        fn takes(&self, text: &str) -> bool {
            let document: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            self.0.validate(&document, self.1).is_ok()
        }
    }

    /// The commented default with its examples and defaults in force, one failure destination, and one way to a
    /// password.
    fn everything() -> String {
        let live = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', ':'])).map(str::to_owned);
        let text = commented_default();
        let lines = text.lines().filter(|line| !line.contains("on_failure.") || line.contains("on_failure.s3"));
        let lines = lines.filter(|line| !line.starts_with("#password_file"));
        lines.map(|line| live(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
    }

    #[test]
    fn defaults_and_examples_of_the_file_are_good() {
        let judge = Judge::new();
        assert!(judge.takes(&commented_default()));
        assert!(everything().lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count() > 40);
        assert!(judge.takes(&everything()));
        assert_eq!(mistakes_in(&everything()), Vec::<String>::new());
    }

    #[test]
    fn each_default_and_example_in_the_schema_is_good_by_it() {
        for key in KEYS.iter() {
            let schema = of_key(key);
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler.set_default_draft(Draft::V2020_12);
            compiler.add_resource("key.json", schema.clone()).unwrap();
            let index = compiler.compile("key.json", &mut schemas).unwrap();
            let value = schema.get("default").unwrap_or_else(|| &schema["examples"][0]);
            assert!(schemas.validate(value, index).is_ok(), "{}: {value}", key.path);
        }
    }

    const GOOD: &str = "log = \"json\"\n[mqtt]\nurl = \"mqtts://b\"\nkeep_alive = \"1m 5s\"\n[[mapping]]\nname = \"a\"\n\
                        topic_filter = \"t\"\nfunction = \"f\"\nqos = 1\n";

    #[test]
    fn what_the_bridge_takes_the_schema_takes() {
        let judge = Judge::new();
        for more in [
            "",
            "on_failure = [{ file = \"a\" }, { topic = \"b\" }]",
            "on_failure.sqs = \"https://localhost/1/q\"",
            "max_outstanding_bytes = 7",
            "max_outstanding_bytes = \"512 KiB\"",
            "filter = { topic = [\"a\"] }",
            "retry = { max_age = \"1day\", backoff = \"1s .. 2s\" }",
        ] {
            let text = format!("{GOOD}{more}\n");
            read_text(&text).unwrap_or_else(|error| panic!("{error}"));
            assert!(judge.takes(&text), "{more}");
        }
    }

    #[test]
    fn what_the_schema_refuses_the_bridge_refuses() {
        let judge = Judge::new();
        for (old, new) in [
            ("log", "logs"),
            ("\"json\"", "\"xml\""),
            ("\"json\"", "1"),
            ("url = \"mqtts://b\"\n", ""),
            ("1m 5s", "soon"),
            ("keep_alive", "tls.verify"),
            ("name = \"a\"\n", ""),
            ("function = \"f\"\n", ""),
            ("qos = 1", "qos = 3"),
            ("qos = 1", "qos = \"1\""),
            ("qos = 1", "receive_maximum = 0"),
            ("qos = 1", "batch.bisect_on_error = 1"),
            ("qos = 1", "batch.max_record = 1"),
            ("qos = 1", "max_outstanding_bytes = \"64MB\""),
            ("qos = 1", "max_outstanding_bytes = 0"),
            ("qos = 1", "retry.backoff = \"1s\""),
            ("qos = 1", "response.allow = \"a\""),
            ("qos = 1", "filter = [1]"),
            ("qos = 1", "on_failure = {}"),
            ("qos = 1", "on_failure = { file = \"a\", topic = \"b\" }"),
            ("qos = 1", "on_failure = [{ files = \"a\" }]"),
            ("qos = 1", "on_failure.file = \"\""),
            ("[[mapping]]", "[[mappings]]"),
        ] {
            let text = GOOD.replacen(old, new, 1);
            assert!(!judge.takes(&text), "{new}");
            assert!(read_text(&text).is_err(), "{new}");
        }
    }
}
