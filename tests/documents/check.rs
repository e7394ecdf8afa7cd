//! The checks. Each returns the problems in a text, one line for each: `file: problem`.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{anchors, one_line, prose, root, spans, texts};

/// Where a text stands.
pub(crate) struct Place<'a> {
    pub(crate) file: &'a Path,
}

impl Place<'_> {
    pub(crate) fn problem(&self, what: &str) -> String {
        let file = self.file.strip_prefix(root()).unwrap_or(self.file);
        format!("{}: {what}", file.display())
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap()
    }

    /// Returns whether a path exists below the root, `src/`, or a folder that the file is in.
    fn reaches(&self, path: &str) -> bool {
        let root = root();
        let above = self.folder().ancestors();
        let mut folders = above.take_while(|folder| folder.starts_with(&root));
        root.join("src").join(path).exists() || folders.any(|folder| folder.join(path).exists())
    }
}

/// Returns the links of a document that point nowhere. Links into the crate's docs are checked by
/// rustdoc, except for the headings of the book.
pub(crate) fn unknown_links(place: &Place<'_>, text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split(')').next());
    let unknown = targets.filter(|target| !is_link_known(place, text, target));
    unknown.map(|target| place.problem(target)).collect()
}

fn is_link_known(place: &Place<'_>, text: &str, target: &str) -> bool {
    if target.contains("://") || target == "crate" {
        return true;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = match path.strip_prefix("crate::docs::") {
        Some(page) => root().join(format!("src/docs/{page}.md")),
        None if path.contains("::") => return true,
        None => place.folder().join(path),
    };
    let has_heading = |text: &str| anchors(text).iter().any(|anchor| anchor == heading);
    match (path, heading) {
        ("", heading) => !heading.is_empty() && has_heading(text),
        (_, "") => file.exists(),
        _ => fs::read_to_string(file).is_ok_and(|text| has_heading(&text)),
    }
}

/// Folders of the repository: a path that begins with one of them is ours.
const FOLDERS: [&str; 8] = [
    ".ci", ".github", "benches", "docs", "examples", "src", "tests", "tools",
];

const EXTENSIONS: [&str; 6] = [".rs", ".md", ".toml", ".txt", ".svg", ".yml"];

/// Returns the paths in backticks that do not exist.
pub(crate) fn unknown_paths(place: &Place<'_>, text: &str) -> Vec<String> {
    let prose = prose(text);
    let paths = prose.lines().flat_map(spans).filter(|span| is_path(span));
    let unknown = paths.filter(|path| !place.reaches(path));
    unknown.map(|path| place.problem(path)).collect()
}

fn is_path(span: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if span.starts_with(['/', '-']) || !span.chars().all(is_plain) {
        return false;
    }
    let first = span.split('/').next().unwrap();
    let is_ours = span.contains('/') && FOLDERS.contains(&first);
    let is_file = EXTENSIONS
        .iter()
        .any(|end| span.len() > end.len() && span.ends_with(end));
    is_ours || is_file || (span.len() > 1 && span.ends_with('/'))
}

/// Returns the targets of Cargo's commands that do not exist.
pub(crate) fn unknown_targets(place: &Place<'_>, text: &str) -> Vec<String> {
    let words = text
        .split(|c: char| c.is_whitespace() || c == '`')
        .collect::<Vec<_>>();
    let pairs = words.windows(2).filter_map(|pair| {
        let folder = match pair[0] {
            "--test" => "tests",
            "--bench" => "benches",
            "--bin" => "src/bin",
            "--example" => "examples",
            _ => return None,
        };
        Some((folder, pair[0], pair[1]))
    });
    let unknown = pairs.filter(|(folder, _, name)| !is_target(folder, name));
    unknown
        .map(|(_, option, name)| place.problem(&format!("{option} {name}")))
        .collect()
}

fn is_target(folder: &str, name: &str) -> bool {
    let packages = ["", "tools", "tools/clients"].map(|folder| root().join(folder));
    packages.iter().any(|package| {
        let targets = package.join(folder);
        targets.join(format!("{name}.rs")).exists() || targets.join(name).join("main.rs").exists()
    })
}

/// Returns the tests of the last column of a table that do not exist, written
/// `` `file`: `module::beginning_of_the_name` ``.
pub(crate) fn unknown_tests(place: &Place<'_>, text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit(" | ").next());
    let tests = cells.filter_map(|cell| {
        cell.strip_prefix('`')?
            .strip_suffix('`')?
            .split_once("`: `")
    });
    let unknown = tests.filter(|(file, test)| !is_test(file, test));
    unknown
        .map(|(file, test)| place.problem(&format!("{file}::{test}")))
        .collect()
}

fn is_test(file: &str, test: &str) -> bool {
    let name = test.rsplit("::").next().unwrap();
    let begins = [format!("fn {name}"), format!("mod {name}")];
    let sources = sources_of(&root().join("tests").join(file));
    sources
        .iter()
        .any(|source| begins.iter().any(|begin| source.contains(begin)))
}

/// Returns the sources of a module, given as its path without the ending.
fn sources_of(module: &Path) -> Vec<String> {
    let mut sources = texts(&module.with_extension("rs"), &["rs"]);
    sources.extend(texts(module, &["rs"]));
    sources.into_iter().map(|(_, source)| source).collect()
}

/// Returns the tests of a table in the docs of a test file that do not exist. A test is written
/// `` `file.rs::module::name` ``. Without a file it is in this file, or in the one that the row
/// has named before. `*` stands for any end of the name, or for the tests of a module.
pub(crate) fn unknown_tests_of_contract(place: &Place<'_>, text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with("//! | "));
    let cells = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit(" | ").next());
    let unknown = cells.flat_map(|cell| {
        let mut files = vec![place.file.with_extension("")];
        let tests = spans(cell).filter(move |test| !is_test_of_contract(test, &mut files));
        tests.collect::<Vec<_>>()
    });
    unknown.map(|test| place.problem(test)).collect()
}

fn is_test_of_contract(test: &str, files: &mut Vec<PathBuf>) -> bool {
    let (file, path) = match test.split_once(".rs") {
        Some((file, path)) => (Some(file), path.trim_start_matches("::")),
        None => (None, test),
    };
    if let Some(file) = file {
        let folder = if file.contains('/') { "src" } else { "tests" };
        files.push(root().join(folder).join(file));
    }
    let name = path.rsplit("::").next().unwrap();
    let begin = match (name, name.strip_suffix('*')) {
        ("", _) => return files.last().unwrap().with_extension("rs").exists(),
        ("*", _) => match path.rsplit("::").nth(1) {
            Some(module) => format!("mod {module}"),
            None => "fn ".to_owned(),
        },
        (_, Some(begin)) => format!("fn {begin}"),
        (_, None) => format!("fn {name}("),
    };
    let mut sources = files.iter().flat_map(|file| sources_of(file));
    sources.any(|source| source.contains(&begin))
}

const FORBIDDEN: [&str; 9] = [
    "nobody",
    "somebody",
    "everyone",
    "whoever",
    "anew",
    "obey",
    "hear",
    "hears",
    "what becomes of",
];

/// Returns the words that plain prose does not use.
pub(crate) fn forbidden_words(place: &Place<'_>, text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let spaced = text.to_lowercase().replace(|c: char| !is_word(c), " ");
    let words = format!(" {} ", one_line(&spaced));
    let found = FORBIDDEN
        .iter()
        .filter(|word| words.contains(&format!(" {word} ")));
    found.map(|word| place.problem(word)).collect()
}

/// In two parts, so that this file does not name them.
const REGISTRIES: [(&str, &str); 4] = [
    ("crates", ".io"),
    ("://docs", ".rs"),
    ("docs", ".rs/"),
    ("://lib", ".rs"),
];

/// Returns the hosts of package registries in a text.
pub(crate) fn registries(place: &Place<'_>, text: &str) -> Vec<String> {
    let hosts = REGISTRIES.iter().map(|(name, end)| format!("{name}{end}"));
    let mut found = hosts.filter(|host| text.contains(host)).collect::<Vec<_>>();
    // Two spellings of one host are one problem.
    found.dedup_by(|host, before| host.trim_matches(['/', ':']) == before.trim_matches(['/', ':']));
    found.iter().map(|host| place.problem(host)).collect()
}
