//! What is refused, and how the error names it.

use super::*;

#[test]
fn unknown_fields_are_refused_and_named() {
    for (text, name) in [
        ("max_attemps = 3", "max_attemps"),
        ("classify = 'none'", "classify"),
        ("backoff.exponential.delay = '1s'", "delay"),
        (
            "[backoff.constant]\ndelay = '1s'\ninitial = '1s'",
            "initial",
        ),
    ] {
        let refusal = refusal(text);
        assert!(
            refusal.contains(&format!("unknown field `{name}`")),
            "{refusal}"
        );
    }
    for (text, name) in [
        ("backoff.linear.step = '1s'", "linear"),
        ("backoff = 'Exponential'", "Exponential"),
        ("eof = 'ignore'", "ignore"),
        ("backoff.exponential.jitter = 'some'", "some"),
    ] {
        let refusal = refusal(text);
        assert!(
            refusal.contains(&format!("unknown variant `{name}`")),
            "{refusal}"
        );
    }
}

#[test]
fn a_constant_needs_its_delay() {
    for text in ["backoff.constant.jitter = 'full'", "backoff = 'constant'"] {
        let refusal = refusal(text);
        assert!(refusal.contains("missing field `delay`"), "{refusal}");
    }
}

#[test]
fn a_number_is_no_duration() {
    for field in [
        "attempt_timeout",
        "max_outage",
        "stable_after",
        "idle_timeout",
        "backoff.exponential.initial",
        "backoff.exponential.max",
        "backoff.constant.delay",
    ] {
        for (number, reason) in [
            ("5", "expected a duration such as"),
            ("-5", "expected a duration such as"),
            ("'5'", "\"5\" is not a duration: time unit needed"),
            ("'-5s'", "\"-5s\" is not a duration: expected number"),
            ("''", "\"\" is not a duration: value was empty"),
            ("'None'", "\"None\" is not a duration"),
            ("'584942417356years'", "number is too large"),
            ("'18446744073709551615s 1000ms'", "number is too large"),
        ] {
            let refusal = refusal(&format!("{field} = {number}"));
            assert!(refusal.contains(reason), "{refusal}");
            let name = field.rsplit('.').next().unwrap();
            assert!(refusal.contains(name), "the line is shown: {refusal}");
        }
    }
}

#[test]
fn values_of_other_types_are_refused() {
    for (text, reason) in [
        ("max_attempts = -1", "expected u32, or \"none\""),
        ("max_attempts = 4294967296", "expected u32, or \"none\""),
        ("max_attempts = 'many'", "expected u32, or \"none\""),
        ("max_attempts = 1.5", "expected a limit, or \"none\""),
        ("max_attempts = true", "expected a limit, or \"none\""),
        ("max_outage = ['1s']", "expected a limit, or \"none\""),
        ("stable_after = 'none'", "\"none\" is not a duration"),
        ("backoff.exponential.factor = '2'", "expected f64"),
        ("backoff = 3", "expected the name or the table of a backoff"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(reason), "{refusal}");
    }
    for (text, reason) in [
        (r#"{"stable_after": null}"#, "expected a duration such as"),
        (
            r#"{"backoff": {"exponential": {"factor": null}}}"#,
            "expected f64",
        ),
        (
            r#"{"backoff": null}"#,
            "expected the name or the table of a backoff",
        ),
    ] {
        let refusal = refusal_in_json(text);
        assert!(refusal.contains(reason), "{refusal}");
    }
}
