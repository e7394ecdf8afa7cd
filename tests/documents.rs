//! The documents name files, headings, targets and tests that exist, in plain words.
//!
//! Each check is a function from a text to the problems in it, so that a bad text shows that the
//! check can fail.

#[path = "documents/check.rs"]
mod check;
#[path = "documents/files.rs"]
mod files;
#[path = "documents/sentences.rs"]
mod sentences;

use check::{
    Place, forbidden_words, registries, unknown_links, unknown_paths, unknown_targets,
    unknown_tests, unknown_tests_of_contract,
};
use files::{comments, number_after, read, root, texts};
use sentences::unfinished_docs;

/// Files and folders that are written in plain words. Add a folder here once it is.
const PLAIN: [&str; 10] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches",
    "docs",
    "examples",
    "src",
    "tests",
    "tools",
];

/// The files of this test, which name the words that are not plain.
const NOT_PLAIN: &str = "tests/documents";

const MOST_LINES_OF_README: usize = 120;

/// Numbers that stand in several places: the file, and the words before the number. All numbers of
/// a group are the same.
const FIGURES: [&[(&str, &str)]; 3] = [
    &[
        ("tools/tests/allocations.rs", "MOST_KEPT: usize ="),
        ("docs/benchmarks.md", "a stream keeps at most"),
        ("src/docs/faq.md", "and keeps at most"),
    ],
    &[
        ("tools/tests/allocations.rs", "MOST_FOR_A_RECONNECT: u64 ="),
        ("src/docs/faq.md", "It allocates at most"),
    ],
    &[
        ("Cargo.toml", "rust-version = \""),
        ("README.md", "\nRust"),
        ("src/docs/faq.md", "**Which Rust version is required?**"),
    ],
];

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Runs a check over every document.
fn check_documents(check: impl Fn(&Place<'_>, &str) -> Vec<String>) {
    let documents = texts(&root(), &["md"]);
    assert!(documents.len() > 15, "{} documents", documents.len());
    let problems = documents
        .iter()
        .flat_map(|(file, text)| check(&Place { file }, text))
        .collect::<Vec<_>>();
    assert_none(&problems);
}

#[test]
fn every_link_points_to_a_file_and_a_heading_that_exist() {
    check_documents(unknown_links);
}

#[test]
fn every_path_in_a_document_exists() {
    check_documents(unknown_paths);
}

#[test]
fn every_path_in_a_comment_of_the_sources_exists() {
    let sources = texts(&root().join("src"), &["rs"]);
    assert!(sources.len() > 50, "{} sources", sources.len());
    let problems = sources
        .iter()
        .flat_map(|(file, text)| unknown_paths(&Place { file }, &comments(text)))
        .collect::<Vec<_>>();
    assert_none(&problems);
}

#[test]
fn every_target_in_a_command_exists() {
    check_documents(unknown_targets);
}

#[test]
fn every_test_in_the_table_of_planted_faults_exists() {
    check_documents(unknown_tests);
}

#[test]
fn every_test_in_the_tables_of_the_contract_exists() {
    for contract in ["tests/contract_framed.rs", "tests/contract_stream.rs"] {
        let file = root().join(contract);
        let problems = unknown_tests_of_contract(&Place { file: &file }, &read(contract));
        assert_none(&problems);
    }
}

#[test]
fn the_documents_use_plain_words() {
    let mut problems = Vec::new();
    for name in PLAIN {
        let path = root().join(name);
        let found = texts(&path, &["md", "rs"]);
        assert!(!found.is_empty(), "nothing in {name}");
        for (file, text) in &found {
            let names_the_words = file.to_string_lossy().contains(NOT_PLAIN);
            if !names_the_words {
                problems.extend(forbidden_words(&Place { file }, text));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_docs_of_each_item_begin_with_a_sentence() {
    let problems = texts(&root().join("src"), &["rs"])
        .iter()
        .flat_map(|(file, text)| unfinished_docs(&Place { file }, text))
        .collect::<Vec<_>>();
    assert_none(&problems);
}

#[test]
fn control_docs_that_do_not_begin_with_a_sentence_are_found() {
    const SOURCE: &str = "
/// Returns the number of attempts,
/// with the first one.
///
/// and the rest
pub fn attempts();
/// `Some` while there is a connection.
#[inline]
/// of a chapter in two parts
pub a: u8,
    /// no capital letter.
    pub b: u8,
/// No full stop
pub(crate) c: u8,
/// # Panics
///
/// Never.
fn d();
";
    let place = Place {
        file: &root().join("src/lib.rs"),
    };
    let found = unfinished_docs(&place, SOURCE);
    let lines = found.iter().map(|problem| problem.rsplit(": ").next());
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            Some("no capital letter."),
            Some("No full stop"),
            Some("# Panics")
        ]
    );
}

#[test]
fn no_file_names_a_registry() {
    let kinds = ["md", "rs", "toml", "yml", "txt", "svg", ""];
    let problems = texts(&root(), &kinds)
        .iter()
        .flat_map(|(file, text)| registries(&Place { file }, text))
        .collect::<Vec<_>>();
    assert_none(&problems);
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= MOST_LINES_OF_README, "{lines} lines");
}

#[test]
fn figures_that_stand_in_several_places_are_the_same() {
    for group in FIGURES {
        let numbers = group
            .iter()
            .map(|(file, words)| {
                number_after(&read(file), words)
                    .unwrap_or_else(|| panic!("{file} has no number after {words:?}"))
            })
            .collect::<Vec<_>>();
        let is_same = numbers.iter().all(|number| *number == numbers[0]);
        assert!(is_same, "{group:?}: {numbers:?}");
    }
}

/// A control for each check: what it finds in a text that is wrong in every way, and accepts
/// beside it.
#[test]
fn each_check_finds_what_is_wrong() {
    const BAD: &str = "\
# A heading

[lost](docs/lost.md) [no heading](README.md#no-such-heading) [book](crate::docs::faq#no-such)
[a file](README.md) [a heading](#a-heading) [here](docs/proof.md#verification) [x](crate::Policy)

`src/lost.rs`, `src/lost/`, `tests/lost.rs` and `.ci/lost`; `src/lib.rs`, `src/link/`, `tokio/net`.

`cargo test --test lost --bench lost`, `cargo test --test readme`

| fault | `src/lib.rs` | `readme`: `lost_test` |
| fault | `src/lib.rs` | `readme`: `every_block_of_code` |

//! | sentence | `lost_test`, `readme.rs::every_block_*`, `readme.rs::every_*_lost`, `lost::*` |

Whoever hears, what becomes
of it? A shear is hearing.
";
    let file = root().join("CHANGELOG.md");
    let place = Place { file: &file };
    let found = |check: fn(&Place<'_>, &str) -> Vec<String>| {
        let problems = check(&place, BAD);
        let names = problems
            .iter()
            .map(|problem| problem.rsplit(": ").next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        found(unknown_links),
        [
            "docs/lost.md",
            "README.md#no-such-heading",
            "crate::docs::faq#no-such"
        ],
    );
    assert_eq!(
        found(unknown_paths),
        ["src/lost.rs", "src/lost/", "tests/lost.rs", ".ci/lost"],
    );
    assert_eq!(found(unknown_targets), ["--test lost", "--bench lost"]);
    assert_eq!(found(unknown_tests), ["readme::lost_test"]);
    assert_eq!(
        found(unknown_tests_of_contract),
        ["lost_test", "readme.rs::every_*_lost", "lost::*"],
    );
    assert_eq!(
        found(forbidden_words),
        ["whoever", "hears", "what becomes of"],
    );
    let host = format!("see https://{}.rs/tokio and {}.io", "docs", "crates");
    assert_eq!(registries(&place, &host).len(), 2);
    assert_eq!(registries(&place, "[package.metadata.docs.rs]").len(), 0);
    assert_eq!(
        number_after("keeps at\nmost 1,024 bytes", "at most"),
        Some("1,024".to_owned())
    );
    assert_eq!(number_after("keeps at most some bytes", "at most"), None);
}
