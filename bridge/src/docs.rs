//! Compares the documentation with the code: linked and named files exist, commands parse, configurations load, and the
//! configuration reference has every key. Compiled for tests only.

mod commands;
mod configuration;
mod links;
mod page;
mod tests_named;

use std::fs;
use std::path::{Path, PathBuf};

pub(in crate::docs) use page::Page;

/// Folders whose files are made or fetched, or are not ours.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", "out", ".terraform"];

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the repository, by its path there, in order.
fn files() -> Vec<PathBuf> {
    let (root, mut found, mut open) = (root(), Vec::new(), vec![root()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true if !NOT_OURS.contains(&name.as_str()) && !path.is_symlink() => open.push(path),
                true => {}
                false => found.push(path.strip_prefix(&root).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// Every page.
fn pages() -> Vec<Page> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let pages: Vec<_> = files().into_iter().filter(is_page).map(|path| Page::read(&root(), &path)).collect();
    assert!(pages.len() > 15, "the pages are not where this test looks");
    pages
}
