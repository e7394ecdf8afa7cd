//! Policies that are read.

use super::*;

#[test]
fn every_field_is_read() {
    assert_reads(
        r#"
        attempt_timeout = "3s"
        max_attempts = 7
        max_outage = "1h 30m"
        stable_after = "2500ms"
        eof = "pass"
        idle_timeout = "1m 30s"

        [backoff.exponential]
        initial = "200ms"
        factor = 1.5
        max = "30s"
        jitter = "equal"
        "#,
        &Policy::default()
            .attempt_timeout(3 * SECOND)
            .max_attempts(7)
            .max_outage(5400 * SECOND)
            .stable_after(2500 * MS)
            .eof(Eof::Pass)
            .idle_timeout(90 * SECOND)
            .backoff(
                Backoff::exponential(200 * MS)
                    .factor(1.5)
                    .max(30 * SECOND)
                    .jitter(Jitter::Equal),
            ),
    );
}

#[test]
fn a_missing_field_is_its_default() {
    assert_reads("", &Policy::default());
    assert_reads("[backoff.exponential]", &Policy::default());
    for line in [
        "attempt_timeout = '10s'",
        "max_attempts = 100",
        "max_outage = 'none'",
        "stable_after = '10s'",
        "eof = 'reconnect'",
        "idle_timeout = 'none'",
        "backoff.exponential.initial = '100ms'",
        "backoff.exponential.factor = 2",
        "backoff.exponential.max = '10s'",
        "backoff.exponential.jitter = 'full'",
    ] {
        assert_reads(line, &Policy::default());
    }
}

#[test]
fn a_policy_is_a_part_of_a_services_own_file() {
    #[derive(Deserialize)]
    struct Service {
        name: String,
        #[serde(default)]
        upstream: Policy,
    }
    let with: Service = toml::from_str("name = 'x'\n[upstream]\nmax_attempts = 3").unwrap();
    assert_eq!(
        facts(&with.upstream),
        facts(&Policy::default().max_attempts(3))
    );
    let without: Service = toml::from_str("name = 'x'").unwrap();
    assert_eq!(facts(&without.upstream), facts(&Policy::default()));
    assert_eq!(without.name, "x");
}

#[test]
fn none_is_no_limit() {
    let set = Policy::default()
        .max_attempts(None)
        .max_outage(None)
        .idle_timeout(None);
    assert_reads(
        "max_attempts = 'none'\nmax_outage = 'none'\nidle_timeout = 'none'",
        &set,
    );
    let null: Policy =
        serde_json::from_str(r#"{"max_attempts": null, "max_outage": null, "idle_timeout": null}"#)
            .unwrap();
    assert_eq!(facts(&null), facts(&set));
}

#[test]
fn a_backoff_may_be_none_or_constant() {
    let with = |backoff| Policy::default().backoff(backoff);
    assert_reads("backoff = 'none'", &with(Backoff::none()));
    assert_reads("backoff = 'exponential'", &Policy::default());
    assert_reads(
        "backoff.constant.delay = '1s'",
        &with(Backoff::constant(SECOND)),
    );
    assert_reads(
        "[backoff.constant]\ndelay = '1s'\nfactor = 2\nmax = '4s'\njitter = 'full'",
        &with(
            Backoff::constant(SECOND)
                .factor(2.0)
                .max(4 * SECOND)
                .jitter(Jitter::Full),
        ),
    );
    assert_reads(
        "backoff.exponential.max = 'none'",
        &with(Backoff::exponential(100 * MS).max(Duration::MAX)),
    );
}

#[test]
fn a_backoff_is_named_without_a_table_in_other_formats() {
    for (text, backoff) in [
        (r#"{"backoff": "exponential"}"#, Policy::default()),
        (
            r#"{"backoff": "none"}"#,
            Policy::default().backoff(Backoff::none()),
        ),
    ] {
        let policy: Policy = serde_json::from_str(text).unwrap();
        assert_eq!(policy, backoff);
    }
}

#[test]
fn a_backoff_of_two_kinds_or_of_none_is_an_error() {
    let text = "[backoff]\nexponential = {}\nconstant = { delay = '1s' }";
    let error = toml::from_str::<Policy>(text).unwrap_err().to_string();
    assert!(error.contains("a backoff of two kinds"), "{error}");
    let text = "[backoff]\nkind = 'exponential'\nbase = '100ms'";
    let error = toml::from_str::<Policy>(text).unwrap_err().to_string();
    let expected = "expected the table `exponential` or `constant`";
    assert!(error.contains(expected), "{error}");
    let error = toml::from_str::<Policy>("[backoff]").unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    let text = r#"{ "backoff": { "constant": { "delay": "1s" }, "exponential": {} } }"#;
    let error = serde_json::from_str::<Policy>(text).unwrap_err();
    assert!(error.to_string().contains("`exponential`"), "{error}");
}

#[test]
fn what_the_setters_clamp_is_clamped() {
    let clamped = Policy::default().backoff(Backoff::exponential(MS).factor(1.0));
    for factor in ["nan", "-inf", "-3.0", "0"] {
        let text = format!("[backoff.exponential]\ninitial = '0s'\nfactor = {factor}");
        assert_reads(&text, &clamped);
    }
    assert_reads(
        "backoff.exponential.factor = inf",
        &Policy::default().backoff(Backoff::exponential(100 * MS).factor(f64::INFINITY)),
    );
    assert_reads(
        "attempt_timeout = '0s'\nidle_timeout = '0s'\nmax_attempts = 0",
        &Policy::default()
            .attempt_timeout(Duration::ZERO)
            .idle_timeout(Duration::ZERO)
            .max_attempts(0),
    );
}

#[test]
fn the_parts_can_be_read_alone() {
    #[derive(Deserialize, Serialize)]
    struct Parts {
        backoff: Backoff,
        eof: Eof,
        jitter: Jitter,
    }
    let text = "backoff = \"none\"\neof = \"pass\"\njitter = \"equal\"\n";
    let parts: Parts = toml::from_str(text).unwrap();
    assert_eq!(
        format!("{:?}", parts.backoff),
        format!("{:?}", Backoff::none())
    );
    assert_eq!((parts.eof, parts.jitter), (Eof::Pass, Jitter::Equal));
    assert_eq!(toml::to_string(&parts).unwrap(), text);
}

#[test]
fn an_address_is_read_and_written_as_its_text() {
    #[derive(Debug, Deserialize, Serialize)]
    struct Service {
        upstream: Address,
    }
    for text in [
        "tcp://db.example:5432",
        "tls://[::1]:443",
        "unix:/run/a.sock",
    ] {
        let file = format!("upstream = {text:?}\n");
        let service: Service = toml::from_str(&file).unwrap();
        assert_eq!(service.upstream.to_string(), text);
        assert_eq!(toml::to_string(&service).unwrap(), file);
        let json = serde_json::to_string(&service).unwrap();
        let service: Service = serde_json::from_str(&json).unwrap();
        assert_eq!(service.upstream.to_string(), text);
    }
    let refusal = toml::from_str::<Service>("upstream = 'tcp://db.example'").unwrap_err();
    assert!(refusal.to_string().contains("has no port"), "{refusal}");
    let refusal = serde_json::from_str::<Service>(r#"{"upstream": 5432}"#).unwrap_err();
    assert!(
        refusal.to_string().contains("expected a string"),
        "{refusal}"
    );
}
