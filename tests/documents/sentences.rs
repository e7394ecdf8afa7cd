//! The first paragraph of the docs of an item.

use super::check::Place;

/// Returns the first paragraphs of docs in a Rust file that are not sentences: that do not begin
/// with a capital letter or with code, or have no full stop.
pub(crate) fn unfinished_docs(place: &Place<'_>, source: &str) -> Vec<String> {
    let first = first_paragraphs(source);
    let unfinished = first.iter().filter(|paragraph| !is_sentence(paragraph));
    unfinished
        .map(|paragraph| place.problem(paragraph))
        .collect()
}

fn is_sentence(paragraph: &str) -> bool {
    let begins = |c: char| c.is_uppercase() || matches!(c, '`' | '[');
    paragraph.starts_with(begins) && paragraph.ends_with('.')
}

/// Docs that continue after an attribute have begun before it.
fn first_paragraphs(source: &str) -> Vec<String> {
    let lines = source.lines().map(str::trim).collect::<Vec<_>>();
    let begins = (0..lines.len()).filter(|&at| {
        let before = at.checked_sub(1).map_or("", |before| lines[before]);
        lines[at].starts_with("/// ") && !before.starts_with("///") && !before.ends_with(']')
    });
    let paragraphs = begins.map(|at| {
        let text = lines[at..]
            .iter()
            .map_while(|line| line.strip_prefix("/// "));
        text.collect::<Vec<_>>().join(" ")
    });
    paragraphs.collect()
}
