//! The files of the repository, and the parts of their text.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file, whose path begins at the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the texts of a file, or of all files below a folder, that have one of these extensions.
pub(crate) fn texts(path: &Path, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(path, extensions, &mut found);
    found.sort();
    found
}

/// What is not a part of the repository.
const SKIPPED: [&str; 5] = [
    ".git",
    "target",
    "mutants.out",
    "mutants.out.old",
    "Cargo.lock",
];

fn collect(path: &Path, extensions: &[&str], found: &mut Vec<(PathBuf, String)>) {
    let name = path.file_name().unwrap_or_default();
    if SKIPPED.iter().any(|skipped| name == *skipped) {
        return;
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), extensions, found);
        }
        return;
    }
    let extension = path.extension().unwrap_or_default();
    if extensions.iter().any(|allowed| extension == *allowed) {
        if let Ok(text) = fs::read_to_string(path) {
            found.push((path.to_owned(), text));
        }
    }
}

/// Returns the comments of a Rust file, without their slashes.
pub(crate) fn comments(source: &str) -> String {
    let lines = source.lines().map(str::trim_start);
    let comments = lines.filter(|line| line.starts_with("//"));
    comments
        .map(|line| line.trim_start_matches(['/', '!']))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the lines of a document that are not in a fenced block.
pub(crate) fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Returns what stands in backticks in a line.
pub(crate) fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Returns the anchors of the headings of a document.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

/// Returns a text with every gap between words as one space.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the number that follows these words. Words that begin with a line break have to begin a
/// line.
pub(crate) fn number_after(text: &str, words: &str) -> Option<String> {
    let begins_a_line = words.starts_with('\n');
    let (text, words) = match begins_a_line {
        true => (text.replace('\n', " \u{b6}"), words.replace('\n', "\u{b6}")),
        false => (text.to_owned(), words.to_owned()),
    };
    let text = one_line(&text);
    let rest = text.split(&words).nth(1)?.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '.'))
        .unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches([',', '.']);
    (!number.is_empty()).then(|| number.to_owned())
}
