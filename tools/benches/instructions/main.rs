//! What a call and a message cost over the bare connection, in instructions.
//!
//! Instructions, since at a socket a wrapper is below the noise of a clock. Needs `valgrind`.
//! Prints tables in Markdown, and draws `docs/instructions.svg`.
//!
//! Fails if what this crate adds to a read, a write, a vectored write or a flush is more than half
//! of what `stubborn-io` adds, or if a message costs more than the bound of its way beyond
//! `Framed` of `tokio_util`.
//!
//! The counts are those of Cargo's default release profile. With `lto` or `codegen-units = 1` the
//! compiler inlines `stubborn-io` too, and its share shrinks.

mod bytes;
mod messages;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use support::{arguments, counted_arguments, is_debug_build, machine};

fn main() -> ExitCode {
    let arguments = arguments();
    let outcome = match counted_arguments(&arguments) {
        Some(arguments) => be_counted(arguments),
        None if is_debug_build() => Ok(()),
        None => compare(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Counts all of it, and checks the bounds.
fn compare() -> Result<(), String> {
    println!("{}\n", machine());
    let mut costly = bytes::compare()?;
    costly.extend(messages::compare()?);
    match costly.as_slice() {
        [] => Ok(()),
        _ => Err(costly.join("\nerror: ")),
    }
}

/// The process that is counted.
fn be_counted(arguments: &[String]) -> Result<(), String> {
    let [kind, what, on, repetitions] = arguments else {
        return Err(format!("expected four arguments, got {arguments:?}"));
    };
    let repetitions = repetitions
        .parse()
        .map_err(|_| format!("expected a number, got {repetitions}"))?;
    match kind.as_str() {
        bytes::KIND => bytes::be_counted(what, on, repetitions),
        messages::KIND => messages::be_counted(what, on, repetitions),
        _ => Err(format!("expected a kind of call, got {kind}")),
    }
}

fn named<T, const N: usize>(all: [(&str, T); N], name: &str) -> Result<T, String> {
    let names = all.each_ref().map(|(name, _)| *name);
    all.into_iter()
        .find_map(|(known, value)| (known == name).then_some(value))
        .ok_or_else(|| format!("expected one of {names:?}, got {name}"))
}
