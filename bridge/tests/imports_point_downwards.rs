//! The promise: imports inside the bridge point one way, from the layers that decide to the layers that know nothing of
//! them, and each foreign protocol is named in one file alone.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers, from the top. A module imports from its own layer and those below.
const LAYERS: &[&[&str]] = &[
    &["main", "lib", "cli", "docs"],
    &["supervisor", "check", "admin", "redrive", "fuzzing"],
    &["mqtt", "mapping", "lambda", "dead_letter"],
    &["delivery", "outgoing"],
    &[
        "message",
        "otlp",
        "payload",
        "content",
        "topic",
        "config",
        "metrics",
        "backoff",
        "clock",
        "shutdown",
        "latest",
        "aws",
        "crypto",
        "secret",
        "foreign",
        "panics",
        "repeats",
        "logging",
        "tunnel",
        "kubernetes",
        "notify",
    ],
];

/// Neighbours in a layer that must not know each other, in either direction.
const STRANGERS: &[(&str, &str)] = &[("mqtt", "mapping"), ("mqtt", "lambda"), ("mqtt", "dead_letter")];

/// Crates that one file alone may name, with the rooms of its own folder.
const HOMES: &[(&str, &str)] = &[
    ("rumqttc_v4", "mqtt/v4.rs"),
    ("rumqttc", "mqtt/v5.rs"),
    ("aws_sdk_lambda", "lambda/client/sdk.rs"),
    ("aws_sdk_s3", "dead_letter/s3.rs"),
    ("aws_sdk_sqs", "dead_letter/sqs.rs"),
    ("aws_sdk_sts", "aws/caller.rs"),
    ("aws_config", "aws.rs"),
    ("aws_types", "aws.rs"),
    ("aws_lc_rs", "crypto.rs"),
    ("cryptoki", "mqtt/tls/token.rs"),
    ("clap_complete", "cli/shell.rs"),
    ("clap_mangen", "cli/shell.rs"),
    ("flate2", "content/gzip.rs"),
    ("ruzstd", "content/zstd.rs"),
    ("rustix", "mqtt/login/command.rs"),
    ("socket2", "mqtt/dial.rs"),
    ("tokio_tungstenite", "mqtt/websocket.rs"),
    ("x509_parser", "mqtt/tls/certificate.rs"),
];

#[test]
fn the_bridge_keeps_its_layers() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "the sources are not where this test looks");
    assert_eq!(violations(&sources), Vec::<String>::new());
}

/// The same table for the function.
const HOMES_IN_THE_FUNCTION: &[(&str, &str)] =
    &[("aws_sdk_dynamodb", "store/dynamodb.rs"), ("aws_config", "store/dynamodb.rs"), ("lambda_runtime", "runtime.rs")];

#[test]
fn each_foreign_protocol_has_its_home() {
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR"));
    at_home(&bridge.join("src"), HOMES);
    at_home(&bridge.parent().unwrap().join("lambda-handler/src"), HOMES_IN_THE_FUNCTION);
}

fn at_home(directory: &Path, homes: &[(&str, &str)]) {
    let sources = sources(directory);
    for (name, home) in homes {
        let named_in: Vec<_> = sources.iter().filter(|(_, text)| words(text).any(|word| word == *name)).collect();
        let rooms = format!("{}/", home.trim_end_matches(".rs"));
        let files = named_in.iter().map(|(file, _)| file.as_str());
        let files: Vec<_> = files.filter(|file| !file.starts_with(&rooms)).collect();
        assert!(!named_in.is_empty() && files.iter().all(|file| file == home), "{name}: {files:?}");
    }
}

#[test]
fn other_crates_keep_their_distance() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = |name: &str| fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
    assert!(!manifest("bridge").contains("sandbox"), "the sandbox depends on the bridge, never the reverse");
    let contract = manifest("event");
    let needs = contract.split_once("[dependencies]").unwrap().1;
    assert!(!needs.contains("mqtt"), "the contract knows no MQTT crate");
    assert!(!needs.contains("lambda_runtime"), "the contract knows no Lambda runtime");
}

#[test]
fn a_bad_sample_is_found() {
    let found = |file: &str, text: &str| violations(&BTreeMap::from([(file.to_owned(), stripped(text))]));
    assert_eq!(found("topic.rs", "use crate::delivery::Ticket;"), ["topic.rs: topic must not import delivery"]);
    assert_eq!(
        found("mapping/lane.rs", "use crate::{config, mqtt::Session};"),
        ["mapping/lane.rs: mapping must not import mqtt"]
    );
    assert_eq!(
        found("mqtt/session.rs", "fn f() { crate::lambda::g() }"),
        ["mqtt/session.rs: mqtt must not import lambda"]
    );
    assert_eq!(
        found("delivery.rs", "use super::supervisor::Bridge;"),
        ["delivery.rs: delivery must not import supervisor"]
    );
    assert_eq!(found("mqtt/tls.rs", "use super::super::admin;"), ["mqtt/tls.rs: mqtt must not import admin"]);
    assert_eq!(found("new.rs", "use crate::config::Tls;"), ["new.rs: new has no layer; name one in this test"]);
    assert_eq!(
        found("mapping.rs", "use crate::{config::Qos, lambda::{Client, supervisor}, topic};"),
        Vec::<String>::new()
    );
    assert_eq!(
        found("topic.rs", "// not crate::mqtt, see crate::supervisor\npub(crate) fn f() {}"),
        Vec::<String>::new()
    );
}

#[test]
fn a_circle_is_found() {
    let sources = BTreeMap::from([
        ("lambda.rs".to_owned(), "use crate::dead_letter::Reason;".to_owned()),
        ("dead_letter.rs".to_owned(), "use crate::lambda::Client;".to_owned()),
    ]);
    assert_eq!(violations(&sources), ["dead_letter and lambda import each other, if not directly"]);
}

#[test]
fn no_files_of_one_folder_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for package in ["bridge", "event", "lambda-handler", "sandbox"] {
        let sources = sources(&root.join(package).join("src"));
        assert_eq!(nested_circles(&sources), Vec::<String>::new(), "{package}");
    }
}

#[test]
fn a_circle_of_nested_files_is_found() {
    let source = |file: &str, text: &str| (file.to_owned(), text.to_owned());
    let found = |of_b: &str| {
        nested_circles(&BTreeMap::from([
            source("x.rs", "mod a;\nmod b;\nuse a::A;"),
            source("x/a.rs", "use super::b::{B, deeper::C};"),
            source("x/b.rs", of_b),
            source("x/b/deeper.rs", "use crate::x::Other;"),
        ]))
    };
    assert_eq!(found("use super::Other;"), Vec::<String>::new(), "a child may know its parent");
    assert_eq!(found("use crate::{y, x::a::A};"), ["x::a and x::b import each other, if not directly"]);
    assert_eq!(found("fn f() { super::a::g() }"), ["x::a and x::b import each other, if not directly"]);
    assert_eq!(found("#[cfg(test)]\nmod tests { use super::super::a::A; }"), Vec::<String>::new());
}

/// Every file below `directory`, by its relative path, without comments.
fn sources(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, stripped(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The text without what follows `//` in a line.
fn stripped(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).flat_map(|line| [line, "\n"]).collect()
}

fn violations(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut graph: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources {
        let module = file.split(['/', '.']).next().unwrap();
        let Some(layer) = layer_of(module) else {
            found.push(format!("{file}: {module} has no layer; name one in this test"));
            continue;
        };
        let depth = file.matches('/').count();
        for import in imports(text, depth).into_iter().filter(|import| import != module) {
            // A name at the root that is no module is a re-export of lib.rs.
            let below = layer_of(&import).unwrap_or(0) >= layer;
            let strangers = STRANGERS.contains(&(module, import.as_str())) || STRANGERS.contains(&(&import, module));
            if !below || strangers {
                found.push(format!("{file}: {module} must not import {import}"));
            }
            graph.entry(module).or_default().insert(import);
        }
    }
    found.extend(circles(&graph));
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn circles(graph: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let circles = pairs_in_circles(graph).into_iter();
    circles.map(|(a, b)| format!("{a} and {b} import each other, if not directly")).collect()
}

/// Pairs of modules that each reach the other.
fn pairs_in_circles(graph: &BTreeMap<&str, BTreeSet<String>>) -> Vec<(String, String)> {
    let reached: BTreeMap<_, _> = graph.keys().map(|module| (*module, reach(graph, module))).collect();
    let mut found = Vec::new();
    for (a, from_a) in &reached {
        for b in from_a.iter().filter(|b| b.as_str() > *a) {
            if reached.get(b.as_str()).is_some_and(|from_b| from_b.contains(*a)) {
                found.push(((*a).to_owned(), b.clone()));
            }
        }
    }
    found
}

fn reach(graph: &BTreeMap<&str, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
    while let Some(next) = open.pop() {
        for import in graph.get(next.as_str()).into_iter().flatten() {
            if seen.insert(import.clone()) {
                open.push(import.clone());
            }
        }
    }
    seen
}

/// Circles among the modules of each folder, whatever stands between. What a module and those below it name counts as
/// named by it; that parent and child know each other is no circle, and tests may name anything.
fn nested_circles(sources: &BTreeMap<String, String>) -> Vec<String> {
    let module = |file: &str| file.trim_end_matches(".rs").split('/').map(str::to_owned).collect::<Vec<_>>();
    let modules: BTreeSet<Vec<String>> = sources.keys().map(|file| module(file)).collect();
    let mut graphs: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (file, text) in sources.iter().filter(|(file, _)| !file.ends_with("tests.rs")) {
        let from = module(file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for to in named_paths(code, &from) {
            let known = (1..=to.len()).rev().map(|length| &to[..length]).find(|path| modules.contains(*path));
            let Some(to) = known else { continue };
            let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
                graphs.entry(from[..shared].to_vec()).or_default().entry(a.clone()).or_default().insert(b.clone());
            }
        }
    }
    let mut found = Vec::new();
    for (parent, graph) in &graphs {
        let name = |child: &str| parent.iter().map(String::as_str).chain([child]).collect::<Vec<_>>().join("::");
        let graph = graph.iter().map(|(a, to)| (a.as_str(), to.clone())).collect();
        for (a, b) in pairs_in_circles(&graph) {
            found.push(format!("{} and {} import each other, if not directly", name(&a), name(&b)));
        }
    }
    found
}

/// The paths below the root of the crate that the code of a module names by `crate::` or `super::`.
fn named_paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, keyword) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = &code[..at];
        if before.ends_with(|c: char| c == '$' || c == '_' || c == ':' || c.is_alphanumeric()) {
            continue;
        }
        let mut rest = &code[at..];
        let mut base = if keyword == "crate::" { Vec::new() } else { module.to_vec() };
        if keyword == "crate::" {
            rest = &rest[keyword.len()..];
        }
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        found.extend(expand(rest).into_iter().map(|path| base.iter().cloned().chain(path).collect()));
    }
    found
}

/// The paths that a piece of code begins with: one, or those of a group in braces.
fn expand(rest: &str) -> Vec<Vec<String>> {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        let (mut nested, mut paths, mut begin) = (0, Vec::new(), 0);
        for (at, character) in group.char_indices() {
            match character {
                '{' => nested += 1,
                '}' if nested == 0 => {
                    paths.extend(expand(&group[begin..at]));
                    break;
                }
                '}' => nested -= 1,
                ',' if nested == 0 => {
                    paths.extend(expand(&group[begin..at]));
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return paths;
    }
    let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    match after.strip_prefix("::") {
        _ if name.is_empty() => Vec::new(),
        Some(after) => {
            let deeper = expand(after).into_iter().map(|path| [vec![name.to_owned()], path].concat());
            let deeper: Vec<_> = deeper.collect();
            if deeper.is_empty() { vec![vec![name.to_owned()]] } else { deeper }
        }
        None => vec![vec![name.to_owned()]],
    }
}

/// The modules at the root of the crate that a file names by `crate::`, or by as many `super::` as lead there.
fn imports(text: &str, depth: usize) -> BTreeSet<String> {
    let to_root = "super::".repeat(depth + 1);
    let mut found = BTreeSet::new();
    for (path, root_only) in [("crate::", false), (to_root.as_str(), true)] {
        for (at, _) in text.match_indices(path) {
            let begins =
                !text[..at].ends_with(|before: char| before == '$' || before == '_' || before.is_alphanumeric());
            let names = first_names(&text[at + path.len()..]);
            // `super::` inside an inline module leads less far, to names that are no modules of the root.
            found.extend(names.into_iter().filter(|name| begins && (!root_only || layer_of(name).is_some())));
        }
    }
    found.retain(|name| name.starts_with(char::is_lowercase));
    found
}

/// The name that a path goes on with, or each of them in `{a, b::{c, d}}`.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return words(rest).next().map(str::to_owned).into_iter().collect();
    };
    let (mut nested, mut names, mut name) = (0, Vec::new(), String::new());
    for character in group.chars() {
        match character {
            '{' => nested += 1,
            '}' if nested == 0 => break,
            '}' => nested -= 1,
            ',' if nested == 0 => names.push(std::mem::take(&mut name)),
            _ if nested == 0 => name.push(character),
            _ => {}
        }
    }
    names.push(name);
    names.iter().filter_map(|name| words(name).next()).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character != '_' && !character.is_alphanumeric()).filter(|word| !word.is_empty())
}
