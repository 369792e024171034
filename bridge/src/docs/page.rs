//! Parses a Markdown page for the checks: prose, code blocks, words in backticks, headings. Checks nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// A page.
pub(in crate::docs) struct Page {
    /// Its path in the repository.
    pub(in crate::docs) path: PathBuf,
    /// Its lines outside blocks of code, each with its number.
    pub(in crate::docs) prose: Vec<(usize, String)>,
    pub(in crate::docs) blocks: Vec<Block>,
}

/// A block of code.
pub(in crate::docs) struct Block {
    /// The text after its first backticks.
    pub(in crate::docs) language: String,
    /// The number of its first line.
    pub(in crate::docs) line: usize,
    pub(in crate::docs) text: String,
}

impl Page {
    pub(in crate::docs) fn read(root: &Path, path: &Path) -> Self {
        Self::of(path, &fs::read_to_string(root.join(path)).unwrap())
    }

    pub(in crate::docs) fn of(path: &Path, text: &str) -> Self {
        let (mut prose, mut blocks, mut open): (Vec<_>, Vec<_>, Option<Block>) = (Vec::new(), Vec::new(), None);
        for (number, line) in (1..).zip(text.lines()) {
            let fence = line.trim_start().strip_prefix("```");
            match (fence, open.take()) {
                (Some(language), None) => {
                    open = Some(Block { language: language.to_owned(), line: number + 1, text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => prose.push((number, line.to_owned())),
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", path.display());
        Self { path: path.to_owned(), prose, blocks }
    }

    /// A place in it, for people.
    pub(in crate::docs) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The words in backticks, with their line numbers.
    pub(in crate::docs) fn in_backticks(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(|code| (*number, code)))
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(in crate::docs) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in &self.prose {
            let Some((_, title)) = line.split_once(' ').filter(|(marks, _)| marks.bytes().all(|byte| byte == b'#'))
            else {
                continue;
            };
            if line.starts_with('#') {
                let kept = title
                    .to_lowercase()
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                    .collect::<String>();
                let anchor = kept.replace(' ', "-");
                let times = anchors.iter().filter(|other| **other == anchor).count();
                anchors.push(if times == 0 { anchor } else { format!("{anchor}-{times}") });
            }
        }
        anchors
    }
}

#[test]
fn a_page_has_its_parts() {
    let page = Page::of(Path::new("a.md"), "# The `a`: one\n\na `b` c\n```sh\nd `e`\n```\n## X\n## X\n");
    assert_eq!(page.anchors(), ["the-a-one", "x", "x-1"]);
    assert_eq!(page.in_backticks().collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
    assert_eq!(
        (page.blocks[0].language.as_str(), page.blocks[0].line, page.blocks[0].text.as_str()),
        ("sh", 5, "d `e`\n")
    );
    assert_eq!(page.at(3), "a.md:3");
}
