//! Checks that the tests which pages tell readers to run exist: the package, the program and a match for the filter.
//! Runs none.

use std::fs;
use std::path::PathBuf;

use super::{Page, files, pages, root};

#[test]
fn tests_that_pages_name_exist() {
    let (pages, files) = (pages(), files());
    let lines: Vec<_> = pages.iter().flat_map(lines).collect();
    assert!(lines.len() > 5, "{lines:#?}");
    let wrong = lines.iter().filter_map(|(place, line)| Some(format!("{place}: `{line}`: {}", mistake(line, &files)?)));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn tests_that_do_not_exist_are_found() {
    let files = files();
    let mistake = |line: &str| mistake(line, &files);
    assert_eq!(mistake("cargo test --workspace"), None);
    assert_eq!(mistake("cargo test -p mqtt-lambda-bridge --lib docs::links"), None);
    assert_eq!(mistake("cargo test --package sandbox --test promises acks_in_order:: -- --nocapture"), None);
    assert_eq!(mistake("cargo test -p bridg").as_deref(), Some("no package `bridg`"));
    assert_eq!(mistake("cargo test -p sandbox --test promise").as_deref(), Some("no program of tests `promise`"));
    assert_eq!(
        mistake("cargo test -p sandbox --test promises acks_inorder").as_deref(),
        Some("no test `acks_inorder`")
    );
    assert_eq!(
        mistake("cargo test -p mqtt-lambda-bridge --lib nothing_such").as_deref(),
        Some("no test `nothing_such`")
    );
}

fn lines(page: &Page) -> Vec<(String, String)> {
    let blocks = page.blocks.iter().flat_map(|block| block.text.lines().map(|line| (block.line, line)));
    // HTML comments hold the commands that generate a part of the page.
    let comments = page.prose.iter().map(|(number, line)| (*number, line.as_str()));
    let comments = comments.filter(|(_, line)| line.starts_with("<!--"));
    let all = blocks.chain(comments).chain(page.in_backticks());
    let from = |(number, line): (usize, &str)| {
        let line = &line[line.find("cargo test")?..];
        Some((page.at(number), line.split(['#', '|']).next()?.trim_end_matches("-->").trim().to_owned()))
    };
    all.filter_map(from).collect()
}

fn mistake(line: &str, files: &[PathBuf]) -> Option<String> {
    let (mut package, mut program, mut filters, mut words) = (None, None, Vec::new(), line.split_whitespace().skip(2));
    while let Some(word) = words.next() {
        match word {
            "-p" | "--package" => package = words.next(),
            "--test" => program = words.next(),
            "--lib" => program = Some("--lib"),
            word if word.starts_with('-') => {}
            word => filters.push(word),
        }
    }
    let folder = match package {
        None => return None,
        Some("mqtt-lambda-bridge") => "bridge",
        Some(other) if root().join(other).join("Cargo.toml").exists() => other,
        Some(other) => return Some(format!("no package `{other}`")),
    };
    let below = match program {
        None => vec![format!("{folder}/")],
        Some("--lib") => vec![format!("{folder}/src/")],
        Some(name) => vec![format!("{folder}/tests/{name}.rs"), format!("{folder}/tests/{name}/")],
    };
    let below = |path: &str| below.iter().find_map(|start| path.strip_prefix(start).map(str::to_owned));
    let mut known = files.iter().filter_map(|path| Some((path, below(path.to_str()?)?))).peekable();
    if known.peek().is_none() {
        return Some(format!("no program of tests `{}`", program.unwrap_or_default()));
    }
    let names: Vec<_> = known.flat_map(|(path, name)| names(path, &name)).collect();
    let missing = filters.into_iter().find(|filter| !names.iter().any(|name| name.contains(filter)))?;
    Some(format!("no test `{missing}`"))
}

/// The paths of the tests in a file, near enough: modules within a file are left out.
fn names(path: &PathBuf, name: &str) -> Vec<String> {
    let module = name.trim_end_matches(".rs").replace('/', "::");
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    let is_test = |line: &str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let (mut found, mut next) = (Vec::new(), false);
    for line in text.lines().map(str::trim_start) {
        next |= is_test(line);
        if let Some((_, rest)) = line.split_once("fn ").filter(|_| next) {
            found.push(format!("{module}::{}", rest.split('(').next().unwrap_or(rest)));
            next = false;
        }
    }
    found
}
