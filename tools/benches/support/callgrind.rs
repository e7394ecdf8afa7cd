//! Instructions, counted by `valgrind`: the same in each run, whatever else the machine does.

use std::env;
use std::process::{Command, Output};

/// The first argument of a process that is counted.
const COUNTED: &str = "counted";

/// The arguments of [`count`], in the process that is counted.
pub fn counted_arguments(arguments: &[String]) -> Option<&[String]> {
    let (first, rest) = arguments.split_first()?;
    (first == COUNTED).then_some(rest)
}

/// Instructions of one repetition. This program is run twice with `arguments` and a number of
/// repetitions: what the second run takes more is without the start of the process.
pub fn count(arguments: &[&str], few: u32, more: u32) -> Result<f64, String> {
    let [fewer, most] = [count_run(arguments, few)?, count_run(arguments, more)?];
    Ok((most - fewer) / f64::from(more - few))
}

fn count_run(arguments: &[&str], repetitions: u32) -> Result<f64, String> {
    let itself = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(itself)
        .arg(COUNTED)
        .args(arguments)
        .arg(repetitions.to_string())
        .output()
        .map_err(|error| format!("valgrind, which counts, can't be run: {error}"))?;
    collected(&output).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("expected a count, valgrind gave {}:\n{said}", output.status)
    })
}

/// The count in `==1== Collected : 123`.
fn collected(output: &Output) -> Option<f64> {
    if !output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, rest) = said.split_once("Collected : ")?;
    rest.lines().next()?.trim().parse().ok()
}
