//! A policy in a configuration file.

#[path = "config/reading.rs"]
mod reading;
#[path = "config/refusing.rs"]
mod refusing;
#[path = "config/writing.rs"]
mod writing;

use std::time::Duration;

use proptest::prelude::*;
use reconnecting_stream::{Address, Backoff, Eof, Jitter, Policy};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Everything of a policy but its code, exactly: no setting is rounded by `Debug`.
fn facts(policy: &Policy) -> String {
    let all = format!("{policy:?}");
    let (facts, _) = all.split_once(", classify").unwrap();
    facts.to_owned()
}

fn read(text: &str) -> Policy {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn assert_reads(text: &str, policy: &Policy) {
    assert_eq!(facts(&read(text)), facts(policy), "{text}");
}

/// What is wrong with a text.
fn refusal(text: &str) -> String {
    match toml::from_str::<Policy>(text) {
        Ok(policy) => panic!("{text} was read as {policy:?}"),
        Err(error) => error.to_string(),
    }
}

fn refusal_in_json(text: &str) -> String {
    match serde_json::from_str::<Policy>(text) {
        Ok(policy) => panic!("{text} was read as {policy:?}"),
        Err(error) => error.to_string(),
    }
}
