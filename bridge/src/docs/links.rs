//! Checks that links within the repository lead to files and headings that exist, and that source files named on pages
//! exist. Uses no network.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Page, files, pages, root};

/// Endings of names that stand for files of the repository.
const SOURCE: &[&str] = &["rs", "sh"];

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<_, _> = pages.iter().map(|page| (page.path.clone(), page.anchors())).collect();
    let links: Vec<_> = pages.iter().flat_map(|page| links(page).into_iter().map(move |link| (page, link))).collect();
    assert!(links.len() > 60, "{}", links.len());
    let dead = links.iter().filter_map(|(page, (line, link))| {
        let fault = fault(&page.path, link, &anchors)?;
        Some(format!("{}: {link}: {fault}", page.at(*line)))
    });
    assert_eq!(dead.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn files_of_source_that_pages_name_exist() {
    let files: Vec<_> = files().into_iter().map(|path| format!("/{}", path.display())).collect();
    let mut dead = Vec::new();
    let pages = pages();
    // The changelog may name files that no longer exist.
    for page in pages.iter().filter(|page| page.path != Path::new("CHANGELOG.md")) {
        for (line, code) in page.in_backticks().filter(|(_, code)| is_source(code)) {
            if !files.iter().any(|file| file.ends_with(&format!("/{code}"))) {
                dead.push(format!("{}: {code}: no such file", page.at(line)));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn every_page_of_the_book_is_in_its_index() {
    let index = Page::read(&root(), Path::new("docs/README.md"));
    let listed: Vec<_> = links(&index).into_iter().map(|(_, link)| normal(&Path::new("docs").join(link))).collect();
    let of_book = |page: &Page| page.path.starts_with("docs") && page.path != index.path;
    let missing = pages().into_iter().filter(of_book).map(|page| page.path).filter(|path| !listed.contains(path));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn dead_links_are_found() {
    let anchors = BTreeMap::from([(PathBuf::from("docs/mapping.md"), vec!["order".to_owned()])]);
    let fault = |link: &str| fault(Path::new("docs/README.md"), link, &anchors);
    assert_eq!(fault("mapping.md"), None);
    assert_eq!(fault("mapping.md#order"), None);
    assert_eq!(fault("../README.md"), None);
    assert_eq!(fault("../bridge"), None);
    assert_eq!(fault("mapping.md#ordre"), Some("no such heading"));
    assert_eq!(fault("maping.md"), Some("no such file"));
    assert_eq!(fault("#order"), Some("no such heading"));
    let page = Page::of(Path::new("a.md"), "a [b](c.md) `[d](e.md)`\n[f]: g.md\n![h](i.png)\n[j](https://k)\n");
    let found: Vec<_> = links(&page).into_iter().map(|(_, link)| link).collect();
    assert_eq!(found, ["c.md", "g.md", "i.png"]);
    assert!(is_source("mqtt/tls.rs") && !is_source("bridge.toml") && !is_source("a b.rs") && !is_source("*.rs"));
}

/// Links of a page that lead into the repository.
fn links(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in &page.prose {
        let plain: String = line.split('`').step_by(2).collect();
        let inline = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined = plain.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        let targets = inline.chain(defined).map(str::trim).filter(|target| !target.contains("://"));
        found
            .extend(targets.filter(|target| !target.starts_with("mailto:")).map(|target| (*number, target.to_owned())));
    }
    found
}

fn fault(page: &Path, link: &str, anchors: &BTreeMap<PathBuf, Vec<String>>) -> Option<&'static str> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { page.to_owned() } else { normal(&page.parent()?.join(path)) };
    if !root().join(&target).exists() {
        return Some("no such file");
    }
    let has = |anchor: &str| anchors.get(&target).is_some_and(|all| all.iter().any(|other| other == anchor));
    anchor.filter(|anchor| !has(anchor)).map(|_| "no such heading")
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts.iter().collect()
}

fn is_source(code: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let named = code.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && SOURCE.contains(&ending));
    named && code.chars().all(is_part)
}
