//! Checks that the commands of the bridge on pages parse as on a command line. Runs none.

use std::ffi::OsString;

use super::{Page, pages};
use crate::cli::{Cli, NothingToRun};

const NAME: &str = "mqtt-lambda-bridge";

#[test]
fn commands_of_the_bridge_parse() {
    let pages = pages();
    let commands: Vec<_> = pages.iter().flat_map(commands).collect();
    assert!(commands.len() > 15, "{commands:#?}");
    let wrong = commands.iter().filter_map(|(place, words)| Some(format!("{place}: {words:?}: {}", mistake(words)?)));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn commands_are_found_and_judged() {
    let text = "see `mqtt-lambda-bridge pause MAPPING` and `mqtt-lambda-bridge`\n```sh\nA=b mqtt-lambda-bridge check \\\n  \
                --config 'a b'  # why\n$ cargo run -p mqtt-lambda-bridge -- run --url x | cat\ncargo test -p mqtt-lambda-bridge\n```\n";
    let page = Page::of("a.md".as_ref(), text);
    let found: Vec<_> = commands(&page).into_iter().map(|(_, words)| words.join(" ")).collect();
    assert_eq!(found, ["pause MAPPING", "check --config a b", "run --url x"]);
    assert!(mistake(&["check".into(), "--confg".into(), "a".into()]).unwrap().contains("--confg"));
    assert!(mistake(&["chek".into()]).is_some() && mistake(&["pause".into(), "Sensor".into()]).is_some());
    assert_eq!((mistake(&["pause".into(), "MAPPING".into()]), mistake(&["write-files".into()])), (None, None));
    assert_eq!(mistake(&["run".into(), "--help".into()]), None);
}

/// The arguments of each command, with its place.
fn commands(page: &Page) -> Vec<(String, Vec<String>)> {
    let blocks = page.blocks.iter().filter(|block| ["sh", "console", "bash"].contains(&block.language.as_str()));
    let of_blocks = blocks.flat_map(|block| {
        let lines = block.text.replace("\\\n", " ");
        lines.lines().map(|line| (page.at(block.line), line.to_owned())).collect::<Vec<_>>()
    });
    let inline = page.in_backticks().map(|(line, code)| (page.at(line), code.to_owned()));
    let lines = inline.chain(of_blocks);
    lines
        .filter_map(|(place, line)| {
            Some((place, arguments(&line)?)).filter(|(_, words)| !words.is_empty() && words[0] != "…")
        })
        .collect()
}

/// What the bridge gets, when the line calls it.
fn arguments(line: &str) -> Option<Vec<String>> {
    let mut words = words(line.trim().trim_start_matches("$ ")).into_iter().skip_while(|word| word.contains('='));
    match words.next()?.as_str() {
        NAME => Some(words.collect()),
        "cargo" if words.next()? == "run" => {
            let words: Vec<_> = words.collect();
            let end = words.iter().position(|word| word == "--")?;
            words[..end].iter().any(|word| word == NAME).then(|| words[end + 1..].to_vec())
        }
        _ => None,
    }
}

/// The words of a simple command, as a shell would part them; what is behind it is left out.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) = (Vec::new(), None, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | ';' | '&' | '>' | '<', None) => break,
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A word in capitals stands for one that the reader chooses, and a command alone is named, not called.
fn mistake(arguments: &[String]) -> Option<String> {
    let is_hole = |word: &str| word.chars().all(|c| c.is_ascii_uppercase());
    let chosen = arguments.iter().map(|word| if is_hole(word) { word.to_lowercase() } else { word.clone() });
    let help = (arguments.len() == 1).then(|| "--help".to_owned());
    match Cli::read([NAME.to_owned()].into_iter().chain(chosen).chain(help).map(OsString::from)) {
        Err(NothingToRun::NoCommand(text) | NothingToRun::Usage(text)) => Some(text),
        Ok(_) | Err(NothingToRun::Help(_)) => None,
    }
}
